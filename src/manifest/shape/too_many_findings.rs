//! Too many findings.
//!
//! More than 100,000 things are wrong. The rest is not listed.
//!
//! **What to do:** Something is wrong with all of a long list: correct one of its entries, then all alike.

use crate::manifest::finding::Code;

/// Too many findings.
pub static CODE: Code = Code::error("E0031", "too-many-findings");
