//! What operators sign: statements, their signatures, and who may make them (formats.md, "Statement").
//!
//! A statement is bytes first: what is verified is exactly what is stored and forwarded. Private keys stay with the
//! shells, which implement [`Signs`]; nothing here opens a file, asks the time or draws a nonce.

mod apply;
mod chain;
mod key;
mod operator;
mod request;
mod signed;
mod sshsig;
mod stage;

pub use apply::{ApplyStatement, Source};
pub use chain::{ChainError, Link, verify_chain};
pub use key::{Keyring, MemoryKey, OperatorKey, OperatorKeyError, SignError, Signs, fingerprint};
pub use operator::{OperatorStatement, Order};
pub use request::{
    REQUEST_AGE_MAX, Request, RequestError, SignedRequest, sign_request, verify_request,
};
pub use signed::{SIGNATURE_BYTES_MAX, STATEMENT_BYTES_MAX, SignedStatement, StatementError};
pub use sshsig::{Namespace, assemble, signed_data};
pub use stage::{Accepted, StageError, judge_apply, judge_operator};
