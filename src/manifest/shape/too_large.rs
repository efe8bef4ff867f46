//! The file is too large.
//!
//! A YAML file has at most 64 MiB. That is room for more than a million users.
//!
//! **What to do:** Look for what was committed by mistake. Long lists of people may stand in a file that `usersFrom` names, or in
//! files that `membersFrom` names.

use crate::manifest::finding::Code;

/// The file is too large.
pub static CODE: Code = Code::error("E0002", "too-large");
