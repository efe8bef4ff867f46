//! The file is empty.
//!
//! The file has nothing but comments.
//!
//! ```yaml
//! # nothing yet
//! ```
//!
//! **What to do:** `tandem init` writes a repository with a valid manifest to start from.

use crate::manifest::finding::Code;

/// The file is empty.
pub static CODE: Code = Code::error("E0004", "empty-manifest");
