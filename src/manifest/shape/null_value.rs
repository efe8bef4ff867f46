//! A value is missing.
//!
//! Nothing stands where a value must be, or `null` or `~`, which YAML reads as nothing. `null` is never a value in a
//! manifest: a field that is not wanted is left out.
//!
//! ```yaml
//! leases:
//!   ttl:
//! ```
//!
//! **What to do:** Give a value, or remove the field: then its default holds.

use crate::manifest::finding::Code;

/// A value is missing.
pub static CODE: Code = Code::error("E0014", "null-value");
