//! What a manifest means: one rule a file, each with its code and its manual page.
//!
//! Rules judge values; where the manifest's text is at hand their findings say where. A server, which has a bundle
//! and no text, judges by the same rules. Files and clocks are handed in.

mod facts;
mod report;

pub mod capacities_differ;
pub mod duplicate_name;
pub mod duplicate_server;
pub mod file_not_found;
pub mod file_not_readable;
pub mod git_not_asked;
pub mod invalid_list_line;
pub mod key_missing;
pub mod license_bound_elsewhere;
pub mod license_damaged;
pub mod license_ends_soon;
pub mod license_expired;
pub mod license_not_yet_valid;
pub mod license_repeated;
pub mod license_signature;
pub mod manifest_not_readable;
pub mod mode_not_allowed;
pub mod no_operator;
pub mod not_in_force;
pub mod product_not_assigned;
pub mod reserve_exceeds_capacity;
pub mod role_mismatch;
pub mod same_address;
pub mod schema_old;
pub mod secret_key_tracked;
pub mod server_roles;
pub mod share_differs;
pub mod signer_dropped;
pub mod twin_missing;
pub mod unassigned_user;
pub mod unknown_group;
pub mod unknown_product;
pub mod unknown_user;
pub mod unreachable_assignment;
pub mod vendor_not_trusted;

use std::collections::BTreeSet;

use super::finding::{Finding, Severity};
use super::limits;
use super::places::Places;
use super::sources::{FileFault, FileProblem, LicenseFile, Lists};
use super::types::Manifest;
use crate::license::License;
use crate::measure::{Span, Timestamp};
use crate::name::{LicenseId, ServerName};
use facts::Facts;
use report::Report;

/// What a manifest without a text is called in findings.
const BUNDLE: &str = "bundle";

/// A manifest as text in a folder.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// The manifest with its lists resolved into it; absent where nothing of its text can be judged.
    pub manifest: Option<&'a Manifest>,
    /// The license files of both servers, by server, then in a fixed order.
    pub licenses: &'a [LicenseFile],
    /// The manifest, as the user named it.
    pub file: &'a str,
    /// Where its values stand; absent where there is no manifest.
    pub places: Option<&'a Places>,
    /// Which users and members come from lists.
    pub lists: &'a Lists,
    /// Files that it names and that could not be read.
    pub problems: &'a [FileProblem],
    /// Why the manifest itself could not be read.
    pub unread: Option<&'a FileFault>,
    /// Files with secret keys that git tracks or would add.
    pub secrets: &'a [String],
    /// The bytes of `manifest.schema.json` beside it.
    pub schema: Option<&'a [u8]>,
    /// Why git could not be asked which files it tracks.
    pub unasked: Option<&'a str>,
}

/// When a manifest is judged, and beside what.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The wall time.
    pub now: Timestamp,
    /// Whose licenses run already: of those an end is only a warning.
    pub running: Running<'a>,
    /// A license that ends within this time is an error; absent: a warning within 60 days.
    pub expiring_within: Option<Span>,
    /// The SSH public key that signs the bundle (`ssh-ed25519 BASE64`), where one is to be signed.
    pub signer: Option<&'a str>,
}

impl Circumstances<'_> {
    /// At this time, with nothing that runs.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self { now, running: Running::Nothing, expiring_within: None, signer: None }
    }
}

/// Which licenses run already.
#[derive(Clone, Copy, Debug)]
pub enum Running<'a> {
    /// None.
    Nothing,
    /// Those of the bundle that runs.
    Licenses(&'a BTreeSet<LicenseId>),
    /// No end is refused: a bundle from the peer, a simulation.
    Whatever,
}

impl Running<'_> {
    fn has(self, id: &LicenseId) -> bool {
        match self {
            Self::Nothing => false,
            Self::Licenses(ids) => ids.contains(id),
            Self::Whatever => true,
        }
    }
}

/// What came of the checks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// Everything that is wrong, in the order of the files.
    pub findings: Vec<Finding>,
    /// The licenses whose signatures verify, so that nobody verifies twice. Those with an error among the findings
    /// are here too.
    pub licenses: Vec<JudgedLicense>,
}

impl Checked {
    /// Whether nothing but warnings was found.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        !self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// A license whose vendor's signature verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgedLicense {
    /// The server whose `licenses` name its file.
    pub server: ServerName,
    /// The file.
    pub file: String,
    /// What it says.
    pub license: License,
}

/// A rule: looks at the facts, reports what it finds.
type Rule = fn(&Facts<'_>, &mut Report<'_>);

/// The rules on what a manifest means, in the order of their numbers.
const RULES: &[Rule] = &[
    server_roles::check,
    duplicate_server::check,
    role_mismatch::check,
    same_address::check,
    key_missing::check,
    not_in_force::check,
    license_damaged::check,
    license_signature::check,
    vendor_not_trusted::check,
    license_bound_elsewhere::check,
    mode_not_allowed::check,
    twin_missing::check,
    license_expired::check,
    license_not_yet_valid::check,
    license_ends_soon::check,
    license_repeated::check,
    share_differs::check,
    capacities_differ::check,
    duplicate_name::check,
    unknown_user::check,
    unknown_group::check,
    unknown_product::check,
    product_not_assigned::check,
    reserve_exceeds_capacity::check,
    unassigned_user::check,
    unreachable_assignment::check,
    no_operator::check,
    signer_dropped::check,
    file_not_found::check,
    file_not_readable::check,
    invalid_list_line::check,
];

/// Judges a manifest that was read from files. `shape` is what reading its text found already: it goes with the rest
/// in the order of the files.
#[must_use]
pub fn check(
    written: &Written<'_>,
    circumstances: &Circumstances<'_>,
    shape: Vec<Finding>,
) -> Checked {
    let nowhere = Places::without_text(written.file);
    let mut report = Report::new(written.places.unwrap_or(&nowhere), Some(written), shape);
    if written.unread.is_some() {
        manifest_not_readable::check(written, &mut report);
    } else {
        secret_key_tracked::check(written, &mut report);
        schema_old::check(written, &mut report);
        git_not_asked::check(written, &mut report);
    }
    match written.manifest {
        Some(manifest) => judge(manifest, written.licenses, Some(written), circumstances, report),
        None => Checked { findings: report.into_findings(), licenses: Vec::new() },
    }
}

/// Judges a bundle, which is values with no text: its manifest and its license files, by server.
#[must_use]
pub fn check_values(
    manifest: &Manifest,
    licenses: &[LicenseFile],
    circumstances: &Circumstances<'_>,
) -> Checked {
    let nowhere = Places::without_text(BUNDLE);
    let report = Report::new(&nowhere, None, limits::check(manifest, &nowhere));
    judge(manifest, licenses, None, circumstances, report)
}

fn judge(
    manifest: &Manifest,
    licenses: &[LicenseFile],
    written: Option<&Written<'_>>,
    circumstances: &Circumstances<'_>,
    mut report: Report<'_>,
) -> Checked {
    let facts = Facts::gather(manifest, licenses, written, circumstances);
    for rule in RULES {
        rule(&facts, &mut report);
    }
    Checked { findings: report.into_findings(), licenses: facts.into_licenses() }
}

#[cfg(test)]
mod tests;
