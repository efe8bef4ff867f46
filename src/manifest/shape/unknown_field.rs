//! An unknown field.
//!
//! No such field exists here: mostly a typing error, or a field one level too high or too low.
//!
//! ```yaml
//! redundancy:
//!   failover_after: 3s
//! ```
//!
//! **What to do:** Take the field that the message names. The reference lists all; an editor with the JSON Schema completes them.

use crate::manifest::finding::Code;

/// An unknown field.
pub static CODE: Code = Code::error("E0018", "unknown-field");
