//! Too many levels.
//!
//! More than 64 lists and mappings stand inside one another. A manifest needs no more than eight.
//!
//! **What to do:** Look for brackets that never close.

use crate::manifest::finding::Code;

/// Too many levels.
pub static CODE: Code = Code::error("E0012", "too-deep");
