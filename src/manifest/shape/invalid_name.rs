//! A text that is no name.
//!
//! Names of servers, groups, products and pairs have letters, digits, `.`, `_` and `-`, begin with a letter or digit,
//! and have at most 63 characters. Names of users and hosts have 1 to 256 characters, none of them a control character,
//! `*` or `?`; the two are wildcards in the patterns of `user:` and `host:`.
//!
//! ```yaml
//! users:
//!   - name: "guest-*"
//! ```
//!
//! **What to do:** Correct the name. Patterns go where they are taken: into `assign`, `deny` and a group's `{host: …}`.

use crate::manifest::finding::Code;

/// A text that is no name.
pub static CODE: Code = Code::error("E0021", "invalid-name");
