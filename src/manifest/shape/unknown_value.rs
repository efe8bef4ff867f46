//! An unknown value.
//!
//! The field takes one of a few words, and this is none of them. Upper and lower case count.
//!
//! ```yaml
//! redundancy:
//!   mode: mirrored
//! ```
//!
//! **What to do:** Take one of the words that the message lists.

use crate::manifest::finding::Code;

/// An unknown value.
pub static CODE: Code = Code::error("E0020", "unknown-value");
