//! A text that is no share.
//!
//! A share is an integer from 0 to 100 and `%`.
//!
//! ```yaml
//! redundancy:
//!   escrow:
//!     secondaryShare: 0.2
//! ```
//!
//! **What to do:** Write a percentage: `20%`.

use crate::manifest::finding::Code;

/// A text that is no share.
pub static CODE: Code = Code::error("E0023", "invalid-share");
