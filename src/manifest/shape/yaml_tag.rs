//! A YAML tag.
//!
//! Tags such as `!!str` or `!Secret` say what a value is. In a manifest its field says that.
//!
//! ```yaml
//! metadata:
//!   name: !!str 2026
//! ```
//!
//! **What to do:** Remove the tag. A text that YAML would read as something else is quoted: `"2026"`.

use crate::manifest::finding::Code;

/// A YAML tag.
pub static CODE: Code = Code::error("E0007", "yaml-tag");
