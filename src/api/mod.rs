//! What travels over HTTP: bodies, problem details, lease tokens, and their description as OpenAPI.
//!
//! Bodies are as formats.md says, camelCase, durations as whole milliseconds in fields ending in `Ms`. Requests
//! refuse unknown fields; answers are read with unknown fields ignored. Nothing here knows sockets or decides.

mod config;
mod event;
mod keys;
mod lease;
pub mod ms;
pub mod openapi;
mod problem;
mod refusal;
mod status;
pub mod token;

pub use config::{CommitAnswer, CommitRequest, OperatorRequest, StageAnswer, StageRequest};
pub use event::{EVENT_SCHEMA, EventBody};
pub use keys::{Jwk, JwkSet};
pub use lease::{LeaseBody, LeaseEntry, LeaseList, LeaseRequest, QueuedBody};
pub use problem::{FindingBody, Holder, PrimaryBody, Problem, ProblemCode};
pub use status::{
    HeldApply, LastApply, PeerStatus, ProductList, ProductStatus, STATUS_SCHEMA, Source, Staged,
    State, Status,
};
