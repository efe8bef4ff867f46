//! A text that is no address.
//!
//! A server's address is a host name or an IP address, with no port, no brackets and no `http://`. An entry's address is
//! an IP address or a range in CIDR form, such as `10.1.0.0/16`.
//!
//! ```yaml
//! servers:
//!   - name: lic-a
//!     address: lic-a:4820
//! ```
//!
//! **What to do:** Correct the address. A server's port is its own field.

use crate::manifest::finding::Code;

/// A text that is no address.
pub static CODE: Code = Code::error("E0024", "invalid-address");
