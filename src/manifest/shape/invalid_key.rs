//! A text that is no key.
//!
//! Keys of servers and vendors are `ed25519:` and the base64 of 32 bytes, as `tandem key show` prints them. Keys of users
//! and operators are SSH public keys of type `ssh-ed25519`, as a `.pub` file has them.
//!
//! ```yaml
//! trust:
//!   operators: ["ssh-rsa AAAAB3NzaC1yc2E ana"]
//! ```
//!
//! **What to do:** Copy the whole line of the public key. `ssh-keygen -t ed25519` makes a key.

use crate::manifest::finding::Code;

/// A text that is no key.
pub static CODE: Code = Code::error("E0025", "invalid-key");
