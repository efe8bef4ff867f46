//! Where rules put their findings, and how a finding gets its place: in the manifest, or in a list that it names.

use super::Written;
use crate::manifest::finding::{Code, Finding, Severity};
use crate::manifest::places::{Places, Step};
use crate::manifest::sources::Pattern;
use crate::manifest::types::Manifest;

/// What was found so far.
pub(super) struct Report<'a> {
    places: &'a Places,
    written: Option<&'a Written<'a>>,
    findings: Vec<Finding>,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        places: &'a Places,
        written: Option<&'a Written<'a>>,
        findings: Vec<Finding>,
    ) -> Self {
        Self { places, written, findings }
    }

    /// Something is wrong with the value at a path of the manifest.
    pub(super) fn at(&mut self, code: &'static Code, path: &[Step], message: String, help: String) {
        self.grave(code, code.severity, path, message, help);
    }

    /// As [`Report::at`], graver or less grave than its code.
    pub(super) fn grave(
        &mut self,
        code: &'static Code,
        severity: Severity,
        path: &[Step],
        message: String,
        help: String,
    ) {
        let finding = self.locate(code, path, message, help);
        self.findings.push(Finding { severity, ..finding });
    }

    /// Something is wrong with a whole file; its text has no part in it.
    pub(super) fn file(&mut self, code: &'static Code, file: &str, message: String, help: String) {
        self.findings.push(Places::without_text(file).finding(code, &[], message, help));
    }

    /// Whether a value stands in a list, whose text no message may quote.
    pub(super) fn is_listed(&self, path: &[Step]) -> bool {
        let Some(written) = self.written else { return false };
        match *path {
            [Step::Key("users"), Step::Index(at), ..] => {
                written.lists.users.as_ref().is_some_and(|list| at >= list.first)
            }
            [
                Step::Key("groups"),
                Step::Index(group),
                Step::Key("members"),
                Step::Index(at),
                ..,
            ] => {
                let lists = &written.lists.members;
                lists.iter().any(|list| list.group == group && at >= list.first)
            }
            _ => false,
        }
    }

    fn locate(&self, code: &'static Code, path: &[Step], message: String, help: String) -> Finding {
        if self.is_listed(path)
            && let Some(written) = self.written
        {
            match *path {
                [_, Step::Index(at), ref rest @ ..]
                    if path.first() == Some(&Step::Key("users")) =>
                {
                    if let Some(list) = &written.lists.users
                        && let Some(places) = &list.places
                    {
                        let path = [&[Step::Index(at.saturating_sub(list.first))], rest].concat();
                        return places.finding(code, &path, message, help);
                    }
                }
                [_, Step::Index(group), _, Step::Index(at), ..] => {
                    if let Some(list) =
                        written.lists.members.iter().find(|list| list.group == group)
                    {
                        let finding =
                            Places::without_text(&list.file).finding(code, &[], message, help);
                        let place = list.places.get(at.saturating_sub(list.first)).copied();
                        return Finding { place, ..finding };
                    }
                }
                _ => {}
            }
        }
        self.places.finding(code, path, message, help)
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// The findings, those of the manifest first, then by file and place.
    pub(super) fn into_findings(self) -> Vec<Finding> {
        let manifest = self.places.file();
        let mut findings = self.findings;
        findings.sort_by(|a, b| {
            let key = |finding: &Finding| {
                (finding.file != manifest, finding.place.map(|p| (p.line, p.column)))
            };
            let (one, two) = (key(a), key(b));
            (one.0, &a.file, one.1, a.code.id).cmp(&(two.0, &b.file, two.1, b.code.id))
        });
        findings
    }
}

/// The path of the entry of `licenses` that names a file: the first pattern that fits it.
pub(super) fn license_path(manifest: &Manifest, server: usize, file: &str) -> [Step; 4] {
    let patterns = manifest.servers.get(server).map_or(&[][..], |server| &server.licenses);
    let fits = |text: &String| Pattern::new(text).is_ok_and(|pattern| pattern.matches(file));
    let pattern = patterns.iter().position(fits).unwrap_or_default();
    [Step::Key("servers"), Step::Index(server), Step::Key("licenses"), Step::Index(pattern)]
}
