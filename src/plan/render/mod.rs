//! Plans to read: for people on a terminal, and as Markdown for a pull request. As JSON they are what serde makes.
//!
//! Names come from files, so everything foreign is escaped, and no line begins with a name.

mod human;
mod markdown;

pub use human::human;
pub use markdown::{MARKDOWN_BYTES_MAX, markdown};

use super::{Action, Change, Kind, Plan, ServerAction};

impl Plan {
    /// The changes and losses by kind in one line: `1 user renamed, 2 members added; 1 lease ends`.
    #[must_use]
    pub fn summary(&self) -> String {
        if !self.comparable {
            return "what runs could not be read, so the changes are not known".to_owned();
        }
        let mut parts = Vec::new();
        let mut rest = self.changes.as_slice();
        while let Some(first) = rest.first() {
            let length = rest.iter().take_while(|change| change.kind == first.kind).count();
            let (kind, others) = rest.split_at(length);
            let actions =
                [Action::Add, Action::Remove, Action::Change, Action::Rename, Action::Move];
            for action in actions {
                let count = kind.iter().filter(|change| change.action == action).count();
                if count > 0 {
                    parts.push(format!("{} {}", counted(count, first.kind), done(action)));
                }
            }
            rest = others;
        }
        let mut text = match parts.is_empty() {
            true if self.has_changes() => "no changes of meaning".to_owned(),
            true => "no changes".to_owned(),
            false => parts.join(", "),
        };
        match self.impact.revoked.len() {
            0 => {}
            1 => text.push_str("; 1 lease ends"),
            many => text.push_str(&format!("; {many} leases end")),
        }
        text
    }

    /// What happens at each server, a line each without its mark.
    fn server_lines(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.servers.iter().map(|plan| {
            let name = &plan.server;
            let base = self.base.get(name).map(ToString::to_string).unwrap_or_default();
            match plan.action {
                ServerAction::Nothing => ("=", format!("{name} runs it, as generation {base}")),
                ServerAction::First => ("+", format!("{name} gets its first bundle")),
                ServerAction::Replace => match &plan.applied {
                    Some(applied) => {
                        ("~", format!("{name} runs generation {base}, applied by {applied}"))
                    }
                    None => ("~", format!("{name} runs generation {base}")),
                },
                ServerAction::Unreachable => {
                    let why = plan.problem.as_deref().unwrap_or("no answer");
                    ("!", format!("{name} did not answer: {why}"))
                }
            }
        })
    }
}

/// The changes of each kind, in their order.
fn by_kind(changes: &[Change]) -> impl Iterator<Item = (Kind, &[Change])> {
    changes
        .chunk_by(|one, other| one.kind == other.kind)
        .filter_map(|chunk| chunk.first().map(|first| (first.kind, chunk)))
}

/// One word and several of a kind.
const fn words(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Setting => ("setting", "settings"),
        Kind::Server => ("server", "servers"),
        Kind::License => ("license", "licenses"),
        Kind::Vendor => ("vendor", "vendors"),
        Kind::Operator => ("operator", "operators"),
        Kind::User => ("user", "users"),
        Kind::Group => ("group", "groups"),
        Kind::Member => ("member", "members"),
        Kind::Product => ("product", "products"),
        Kind::Assignment => ("assignment", "assignments"),
        Kind::Denial => ("denial", "denials"),
    }
}

fn counted(count: usize, kind: Kind) -> String {
    let (one, many) = words(kind);
    format!("{count} {}", if count == 1 { one } else { many })
}

const fn done(action: Action) -> &'static str {
    match action {
        Action::Add => "added",
        Action::Remove => "removed",
        Action::Change => "changed",
        Action::Rename => "renamed",
        Action::Move => "moved",
    }
}

const fn mark(action: Action) -> &'static str {
    match action {
        Action::Add => "+",
        Action::Remove => "-",
        Action::Change | Action::Rename | Action::Move => "~",
    }
}

/// `from -> to` of a change, as far as its name does not say it already.
fn details(change: &Change) -> Option<String> {
    match (&change.from, &change.to) {
        (Some(from), Some(to)) => Some(match change.action {
            Action::Rename => format!("is now {to}"),
            _ => format!("{from} -> {to}"),
        }),
        (Some(text), None) | (None, Some(text)) => (*text != change.name).then(|| text.clone()),
        (None, None) => None,
    }
}
