//! The file is not UTF-8 text.
//!
//! A manifest is UTF-8. Some editors on Windows save UTF-16 or an older code page unless told otherwise. A byte-order
//! mark at the beginning is fine.
//!
//! **What to do:** Save the file as UTF-8. The place is that of the first byte that is not.

use crate::manifest::finding::Code;

/// The file is not UTF-8 text.
pub static CODE: Code = Code::error("E0001", "not-utf8");
