//! A field is given twice.
//!
//! Some YAML readers take the first, some the last. The second one is marked.
//!
//! ```yaml
//! leases:
//!   ttl: 5m
//!   ttl: 10m
//! ```
//!
//! **What to do:** Keep one of them.

use crate::manifest::finding::Code;

/// A field is given twice.
pub static CODE: Code = Code::error("E0009", "duplicate-key");
