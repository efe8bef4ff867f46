//! A plan as Markdown, for a comment on a pull request: bounded, and with nothing in it that a name could start.

use crate::text::escape;

use super::super::Plan;
use super::{by_kind, details, done, words};

/// The most bytes of a plan as Markdown: forges refuse longer comments.
pub const MARKDOWN_BYTES_MAX: usize = 60_000;
/// What is kept for the counts at the end and the headings to come.
const RESERVE: usize = 10_000;
/// The most rows of one table.
const ROWS_MAX: usize = 200;
/// The most characters of one cell.
const CELL_MAX: usize = 300;

/// A plan as Markdown, at most [`MARKDOWN_BYTES_MAX`] bytes.
#[must_use]
pub fn markdown(plan: &Plan) -> String {
    let mut page = Page(String::new());
    let summary = plan.summary();
    page.text(&format!("### Tandem plan for {}\n\n**{summary}**\n", cell(plan.pair.as_str())));
    losses(plan, &mut page);
    if !plan.servers.is_empty() {
        page.text("\n#### At each server\n\n");
        for (_, line) in plan.server_lines() {
            page.text(&format!("- {}\n", cell(&line)));
        }
    }
    for (kind, changes) in by_kind(&plan.changes) {
        let (one, many) = words(kind);
        page.text(&format!("\n#### {}\n\n", capital(many)));
        page.table(&[&capital(one), "", "Change"], changes, |change| {
            let details = details(change).unwrap_or_default();
            vec![change.name.clone(), done(change.action).to_owned(), details]
        });
    }
    if !plan.changes.is_empty() {
        page.text(&format!("\n**{summary}**\n"));
    }
    page.0
}

fn losses(plan: &Plan, page: &mut Page) {
    let impact = &plan.impact;
    if !impact.revoked.is_empty() {
        let (count, total) = (impact.revoked.len(), impact.counts.revoked.total);
        let end = if count == 1 { "ends" } else { "end" };
        page.text(&format!("\n#### {count} of {total} leases {end} at the next renewal\n\n"));
        page.table(&["Who", "Seats", "Why"], &impact.revoked, |one| {
            let who = format!("{} on {}", one.user, one.host);
            vec![who, format!("{} of {}", one.seats, one.product), one.reason.clone()]
        });
    } else if plan.misses_leases() {
        page.text("\nThe live leases could not be seen: it is not known who loses a seat.\n");
    }
    if !impact.draining.is_empty() {
        page.text("\n#### More is held than can be given\n\n");
        page.table(&["Product", "Held", "Can be given"], &impact.draining, |one| {
            vec![one.product.to_string(), one.held.to_string(), one.capacity.to_string()]
        });
    }
    if !plan.exceeds.is_empty() {
        page.text("\n#### Over the limits of the manifest that runs\n\n");
        for excess in &plan.exceeds {
            page.text(&format!("- it {excess}\n"));
        }
        page.text("\nIf this is meant: `tandem apply --allow-large-change`.\n");
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The text so far. Headings and counts always fit; rows only as long as enough is left.
struct Page(String);

impl Page {
    fn text(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn table<T>(&mut self, head: &[&str], items: &[T], cells: impl Fn(&T) -> Vec<String>) {
        self.text(&format!("| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len())));
        let mut shown = 0;
        for item in items.iter().take(ROWS_MAX) {
            let cells: Vec<String> = cells(item).iter().map(|text| cell(text)).collect();
            let row = format!("| {} |\n", cells.join(" | "));
            if self.0.len() + row.len() + RESERVE > MARKDOWN_BYTES_MAX {
                break;
            }
            self.text(&row);
            shown += 1;
        }
        if shown < items.len() {
            self.text(&format!("\n{} more\n", items.len() - shown));
        }
    }
}

/// Foreign text for a cell or a line: nothing in it is Markdown, HTML, a mention or a reference.
fn cell(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let escaped = escape(text);
    let mut characters = escaped.chars();
    for character in characters.by_ref().take(CELL_MAX) {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            // A comment between the sign and the name: neither a mention nor a reference is made of it.
            '@' | '#' => {
                safe.push(character);
                safe.push_str("<!-- -->");
            }
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '!' => {
                safe.push('\\');
                safe.push(character);
            }
            _ => safe.push(character),
        }
    }
    if characters.next().is_some() {
        safe.push_str("...");
    }
    // Nor a link.
    safe.replace("://", ":<!-- -->//").replace("www.", "www<!-- -->.")
}
