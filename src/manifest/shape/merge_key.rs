//! A merge key.
//!
//! `<<` copies the fields of another mapping. It is from YAML 1.1, readers disagree about it, and what it brings in
//! cannot be seen where it acts.
//!
//! ```yaml
//! seats:
//!   - product: designer
//!     <<: *defaults
//! ```
//!
//! **What to do:** Write the fields out. An alias for a whole value (`assign: *everybody`) is fine.

use crate::manifest::finding::Code;

/// A merge key.
pub static CODE: Code = Code::error("E0008", "merge-key");
