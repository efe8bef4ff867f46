//! A value out of its range.
//!
//! The value has the right form and is too small or too large; the message gives the range. Some ranges hang together:
//! `failoverAfter` is at least four heartbeats, and a `ttl` at least twice `failoverAfter` and 2s, so that a holder
//! outlives a failover.
//!
//! ```yaml
//! redundancy:
//!   heartbeat: 1s
//!   failoverAfter: 2s
//! ```
//!
//! **What to do:** Take a value in the range, or change the other value that it depends on.

use crate::manifest::finding::Code;

/// A value out of its range.
pub static CODE: Code = Code::error("E0026", "out-of-range");
