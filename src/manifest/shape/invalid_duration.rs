//! A text that is no duration.
//!
//! A duration is one integer and one unit: `ms`, `s`, `m`, `h` or `d`.
//!
//! ```yaml
//! leases:
//!   ttl: 1h30m
//! ```
//!
//! **What to do:** Write it in one unit: `90m`.

use crate::manifest::finding::Code;

/// A text that is no duration.
pub static CODE: Code = Code::error("E0022", "invalid-duration");
