//! A tab as indentation.
//!
//! YAML is indented with spaces alone.
//!
//! **What to do:** Replace the tab by spaces; most editors can show tabs and convert them.

use crate::manifest::finding::Code;

/// A tab as indentation.
pub static CODE: Code = Code::error("E0013", "tab-indentation");
