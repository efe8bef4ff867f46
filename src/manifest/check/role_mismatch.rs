//! A license file is encoded for the other server's role.
//!
//! A license says for which role it is encoded, and the vendor's signature says it with it: the primary's file
//! never works at the secondary. Each server's `licenses` name the files that its own activation saved.
//!
//! ```yaml
//! servers:
//!   - {name: lic-b, role: secondary, address: 127.0.0.1, port: 4821, licenses: [licenses/designer.primary.alf]}
//! ```
//!
//! **What to do:** Name the file that was saved from the activation for this server's role. Where there is none,
//! activate the product again: one call gets the files of both roles.

use super::facts::Facts;
use super::report::Report;
use crate::license::Rejection;
use crate::manifest::finding::Code;

/// A license file is encoded for the other server's role.
pub static CODE: Code = Code::error("E0103", "role-mismatch");

pub(super) fn check(facts: &Facts<'_>, report: &mut Report<'_>) {
    for (held, why) in facts.misfits() {
        let Rejection::WrongRole { found, wanted } = why else { continue };
        // With no server of that role the server's own role is what is wrong, and said already.
        if !facts.manifest.servers.iter().any(|server| server.role == found) {
            continue;
        }
        // The exact words are a promise of the manual: no backticks around the names.
        let name = match held.among_others {
            true => format!("license {} in {}", held.license.id, held.file),
            false => held.file.to_owned(),
        };
        let message = format!(
            "{name} is encoded for the {found} server, but {} is the {wanted}: use the file saved from the \
             {wanted}'s activation",
            held.server.name
        );
        let help =
            format!("name the {wanted}'s file in the `licenses` of `{}` instead", held.server.name);
        report.at(&CODE, &facts.license_path(held.at, held.file), message, help);
    }
}
