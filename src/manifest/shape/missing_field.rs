//! A field is missing.
//!
//! The field has no default and must be given.
//!
//! ```yaml
//! servers:
//!   - name: lic-a
//!     role: primary
//! ```
//!
//! **What to do:** Add the field.

use crate::manifest::finding::Code;

/// A field is missing.
pub static CODE: Code = Code::error("E0019", "missing-field");
