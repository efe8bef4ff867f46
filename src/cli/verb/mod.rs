//! The verbs, one file each: its arguments, the one operation it calls, what it prints.
//!
//! To add one: a file `verb/NAME.rs` with `#[derive(Debug, clap::Args)] pub(crate) struct Args` (doc comments are the
//! help texts) and `pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure>`, then three lines here: the
//! `mod`, the variant with its one-line help, and the arm in `run`. Its tests are `tests/cli/NAME.rs`.

mod apply;
mod borrow;
mod checkout;
mod completions;
mod fence;
mod handover;
mod init;
pub(super) mod key;
mod leases;
mod license;
mod man;
mod plan;
mod release;
mod schema;
mod serve;
mod show;
mod sim;
pub(super) mod status;
mod up;
mod validate;
mod vendor;
mod watch;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::DeserializeOwned;

use super::Context;
use super::error::{Exit, Failure};
use crate::measure::{Timestamp, TimestampError};

/// What `tandem` is asked to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Make both servers run a manifest, or neither.
    Apply(apply::Args),
    /// Take a seat for a time of its own, for work without the network.
    Borrow(borrow::Args),
    /// Take a seat, and hold it while a command runs.
    Checkout(checkout::Args),
    /// Declare a dead server dead, so that the other one need not wait for it.
    Fence(fence::Args),
    /// Move service to the other server, for maintenance.
    Handover(handover::Args),
    /// Write a repository to start from: a manifest, licenses, keys and a CI job.
    Init(init::Args),
    /// Make and show the SSH keys that operators sign with.
    Key(key::Args),
    /// Show which seats are held.
    Leases(leases::Args),
    /// Read and check license files.
    License(license::Args),
    /// Show what a manifest would change, and who would lose a seat.
    Plan(plan::Args),
    /// Give back a lease that was checked out here.
    Release(release::Args),
    /// Run one server of a pair.
    Serve(serve::Args),
    /// Show a saved plan again.
    Show(show::Args),
    /// Show which server answers, what runs and what drifts.
    Status(status::Args),
    /// Run both servers of a manifest on this machine, and follow it.
    Up(up::Args),
    /// Check manifests and everything they name, with no server asked.
    Validate(validate::Args),
    /// Make a vendor's key and issue license files.
    Vendor(vendor::Args),
    /// Apply every change of a manifest as it is written.
    Watch(watch::Args),
    /// Run the simulation, `tandem-sim`, with what follows.
    Sim(sim::Args),
    /// Print the JSON Schema of manifests, or another that this version is built with.
    Schema(schema::Args),
    /// Print what a shell needs to complete words of this program.
    Completions(completions::Args),
    /// Print or write the manual pages.
    Man(man::Args),
}

impl Verb {
    /// Does it.
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Apply(args) => args.run(cx),
            Self::Borrow(args) => args.run(cx),
            Self::Checkout(args) => args.run(cx),
            Self::Fence(args) => args.run(cx),
            Self::Handover(args) => args.run(cx),
            Self::Init(args) => args.run(cx),
            Self::Key(args) => args.run(cx),
            Self::Leases(args) => args.run(cx),
            Self::License(args) => args.run(cx),
            Self::Plan(args) => args.run(cx),
            Self::Release(args) => args.run(cx),
            Self::Serve(args) => args.run(cx),
            Self::Show(args) => args.run(cx),
            Self::Status(args) => args.run(cx),
            Self::Up(args) => args.run(cx),
            Self::Validate(args) => args.run(cx),
            Self::Vendor(args) => args.run(cx),
            Self::Watch(args) => args.run(cx),
            Self::Sim(args) => args.run(cx),
            Self::Schema(args) => args.run(cx),
            Self::Completions(args) => args.run(cx),
            Self::Man(args) => args.run(cx),
        }
    }
}

/// How a result is printed, where a verb has these two ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    #[default]
    Human,
    /// One JSON document with a `schema` version.
    Json,
}

/// Reads an argument that is one of a few words, the words that the type has in JSON.
fn word<T, const N: usize>(words: [&'static str; N]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words)
        .try_map(|word| serde_json::from_value::<T>(serde_json::Value::String(word)))
}

/// Reads a time, or a date as its first moment in UTC.
fn moment(text: &str) -> Result<Timestamp, TimestampError> {
    text.parse().or_else(|_| format!("{text}T00:00:00Z").parse())
}
