//! Tandem serves floating licenses from a redundant pair of servers, configured only by a manifest in git.
//!
//! The tree is the data flow, in reading order: manifest -> bundle -> plan -> stage and commit on two servers ->
//! ledger -> leases. What decides is pure and builds with no default features; what touches the world is a thin
//! shell behind the seams. `ARCHITECTURE.md` says what each module owns and must not know.

pub mod json;
pub mod measure;
pub mod mutant;
pub mod name;
mod named;
pub mod role;
pub mod seen;
pub mod text;

pub mod license;
pub mod manifest;

pub mod bundle;
pub mod entitlement;
pub mod statement;

pub mod plan;

pub mod ledger;
pub mod pair;

pub mod api;
pub mod failover;

#[cfg(feature = "seam")]
pub mod seam;

#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod store;

#[cfg(feature = "cli")]
pub mod vendor;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "reconcile")]
pub mod reconcile;
#[cfg(feature = "reconcile")]
pub mod repository;
