//! An alias without its anchor.
//!
//! `*name` repeats what `&name` marked before it in the same file. Mostly no alias was meant: a pattern begins with `*`.
//!
//! ```yaml
//! seats:
//!   - product: designer
//!     assign:
//!       - user: *-admin
//! ```
//!
//! **What to do:** Quote the pattern: `"*-admin"`.

use crate::manifest::finding::Code;

/// An alias without its anchor.
pub static CODE: Code = Code::error("E0011", "unknown-anchor");
