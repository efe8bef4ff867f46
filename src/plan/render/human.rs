//! A plan for people on a terminal, clear without color.

use crate::text::escape;

use super::super::Plan;
use super::{by_kind, details, mark, words};

/// How many lines of one kind are shown; the rest is counted.
const SHOWN_MAX: usize = 100;

/// A plan as lines of text, each ended.
#[must_use]
pub fn human(plan: &Plan) -> String {
    let mut page = Page::default();
    let summary = plan.summary();
    page.line(0, &format!("plan for the pair `{}`: {summary}", plan.pair));
    if let Some(against) = plan.against.as_ref().filter(|_| plan.servers.is_empty()) {
        page.line(0, &format!("compared with `{against}`"));
    }
    losses(plan, &mut page);
    if !plan.servers.is_empty() {
        page.heading("at each server");
        for (mark, line) in plan.server_lines() {
            page.line(4, &format!("{mark} {line}"));
        }
    }
    for (kind, changes) in by_kind(&plan.changes) {
        page.heading(words(kind).1);
        page.list(4, changes, |change| {
            let details = details(change).map(|text| format!(": {text}")).unwrap_or_default();
            format!("{} {}{details}", mark(change.action), change.name)
        });
    }
    if !plan.changes.is_empty() {
        page.blank();
        page.line(0, &summary);
    }
    page.0
}

/// Who loses a seat, what drains, and which limits are exceeded: on top.
fn losses(plan: &Plan, page: &mut Page) {
    let impact = &plan.impact;
    let total = impact.counts.revoked.total;
    if !impact.revoked.is_empty() {
        let ends = if impact.revoked.len() == 1 { "ends" } else { "end" };
        let count = impact.revoked.len();
        page.heading(&format!("! {count} of {total} leases {ends} at the next renewal"));
        page.list(4, &impact.revoked, |one| {
            let seats = if one.seats.0 == 1 { "seat" } else { "seats" };
            format!(
                "- {} on {} loses {} {seats} of {}: {}",
                one.user, one.host, one.seats, one.product, one.reason
            )
        });
    } else if plan.misses_leases() {
        page.heading("! the live leases could not be seen: it is not known who loses a seat");
    }
    if !impact.draining.is_empty() {
        page.heading("! more is held than can be given: nothing new before it has drained");
        page.list(4, &impact.draining, |one| {
            format!("~ {}: {} held, {} can be given", one.product, one.held, one.capacity)
        });
    }
    if !plan.exceeds.is_empty() {
        page.heading("! over the limits of the manifest that runs: needs `tandem apply --allow-large-change`");
        page.list(4, &plan.exceeds, |excess| format!("! it {excess}"));
    }
}

/// Lines of text, escaped one by one.
#[derive(Default)]
struct Page(String);

impl Page {
    fn blank(&mut self) {
        self.0.push('\n');
    }

    fn line(&mut self, indent: usize, text: &str) {
        self.0.extend(std::iter::repeat_n(' ', indent));
        self.0.push_str(&escape(text));
        self.0.push('\n');
    }

    fn heading(&mut self, text: &str) {
        self.blank();
        self.line(2, text);
    }

    fn list<T>(&mut self, indent: usize, items: &[T], text: impl Fn(&T) -> String) {
        for item in items.iter().take(SHOWN_MAX) {
            self.line(indent, &text(item));
        }
        if let Some(more) = items.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
            self.line(indent, &format!("... and {more} more"));
        }
    }
}
