//! Not exactly one of several fields.
//!
//! An entry of `assign` or `deny` is about exactly one of `user`, `group`, `host`, `address` and `everyone`. A member of
//! a group is a user's name or exactly one of `{host: …}` and `{address: …}`.
//!
//! ```yaml
//! seats:
//!   - product: designer
//!     assign:
//!       - user: ana
//!         host: "ws-*"
//! ```
//!
//! **What to do:** Make an entry of each. There is no entry for a user on a host.

use crate::manifest::finding::Code;

/// Not exactly one of several fields.
pub static CODE: Code = Code::error("E0027", "exactly-one");
