//! `everyone` that is not `true`.
//!
//! `everyone: true` is about anybody on the network. `false` would be about nobody.
//!
//! ```yaml
//! seats:
//!   - product: designer
//!     assign:
//!       - everyone: false
//! ```
//!
//! **What to do:** Remove the entry, or write `everyone: true`.

use crate::manifest::finding::Code;

/// `everyone` that is not `true`.
pub static CODE: Code = Code::error("E0028", "everyone-false");
