//! `same-config`: a server never goes back to an older generation; both end at one bundle.
//!
//! It sees which commits were acknowledged and what the disks held. It does not claim anything of a
//! server whose disk was swapped for an empty one after it acknowledged, and, of the end, of a server that was down
//! or cut off from its peer then.

use std::collections::BTreeMap;

use crate::history::{Ask, Event, Fault};
use crate::oracle::{Promise, View, Violation};

pub(super) fn judge(view: &View<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut broken = |at: u64, what: String| {
        violations.push(Violation::new(Promise::SameConfig, at, what));
    };
    // The latest generation that each server acknowledged, and when.
    let mut latest: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut commits: Vec<_> = view
        .exchanges
        .iter()
        .filter_map(|exchange| match exchange.ask {
            Ask::Commit { generation, .. } => {
                exchange.got(200).map(|reply| (reply.at, exchange.asked, exchange.to, *generation))
            }
            _ => None,
        })
        .collect();
    commits.sort_unstable();
    let acknowledged = commits.clone();
    for (at, asked, server, generation) in commits {
        if let Some((before, when)) = latest.get(server)
            && generation < *before
            && asked > *when
            && !view.was_emptied(server, *when, at)
        {
            broken(at, format!("`{server}` took generation {generation} after {before}"));
        }
        let entry = latest.entry(server).or_insert((generation, at));
        if generation >= entry.0 {
            *entry = (generation, at);
        }
    }
    let mut ends: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for entry in view.entries {
        let Event::OnDisk { server, generation, bundle, .. } = &entry.event else { continue };
        let before = acknowledged
            .iter()
            // What happened in the same millisecond may have come after.
            .filter(|(at, _, of, _)| of == server && *at < entry.at)
            .filter(|(at, _, _, _)| !view.was_emptied(server, *at, entry.at))
            .map(|(_, _, _, generation)| *generation)
            .max();
        if let Some(before) = before.filter(|before| generation < before) {
            let what =
                format!("`{server}` holds generation {generation} and had acknowledged {before}");
            broken(entry.at, what);
        }
        // Of several looks at a disk the last one is its end.
        if entry.at == view.end && view.is_up(server, entry.at) && !is_cut_off(view, server) {
            ends.insert(server, bundle.as_deref());
        }
    }
    let ends: Vec<_> = ends.into_iter().collect();
    if let [(a, one), (b, other)] = ends.as_slice()
        && one != other
    {
        let none = "no bundle";
        let (one, other) = (one.unwrap_or(none), other.unwrap_or(none));
        broken(view.end, format!("`{a}` ended at {one} and `{b}` at {other}"));
    }
    violations
}

/// Whether something still keeps a server's bytes from another, or another's from it, at the end.
fn is_cut_off(view: &View<'_>, server: &str) -> bool {
    let mut cuts: Vec<(&str, &str)> = Vec::new();
    for (_, fault) in &view.faults {
        match fault {
            Fault::Cut { from, to } => cuts.push((from, to)),
            Fault::Heal { from, to } => cuts.retain(|link| *link != (from.as_str(), to.as_str())),
            _ => {}
        }
    }
    cuts.iter().any(|(from, to)| *from == server || *to == server)
}

#[cfg(test)]
mod tests {
    use crate::oracle::Promise;
    use crate::oracle::story::Story;

    const PROMISE: Promise = Promise::SameConfig;

    #[test]
    fn going_on_together_is_well() {
        let mut story = Story::started();
        story.commit(1_000, "lic-a", "sha256:two", 2);
        story.commit(1_100, "lic-b", "sha256:two", 2);
        story.bundle_on_disk(2_000, "lic-a", "sha256:two", 2);
        story.bundle_on_disk(2_000, "lic-b", "sha256:two", 2);
        story.check(PROMISE, "");
    }

    #[test]
    fn going_back_is_seen() {
        let mut story = Story::started();
        story.commit(1_000, "lic-a", "sha256:two", 2);
        story.commit(2_000, "lic-a", "sha256:one", 1);
        story.check(PROMISE, "2010ms `lic-a` took generation 1 after 2");
    }

    #[test]
    fn a_disk_behind_what_was_acknowledged_and_two_ends_are_seen() {
        let mut story = Story::started();
        story.commit(1_000, "lic-a", "sha256:two", 2);
        story.commit(1_000, "lic-b", "sha256:two", 2);
        story.bundle_on_disk(2_000, "lic-a", "sha256:two", 2);
        story.bundle_on_disk(2_000, "lic-b", "sha256:one", 1);
        story.check(
            PROMISE,
            "2000ms `lic-b` holds generation 1 and had acknowledged 2; \
             2000ms `lic-a` ended at sha256:two and `lic-b` at sha256:one",
        );
    }

    #[test]
    fn a_disk_is_held_against_what_was_acknowledged_before() {
        let mut story = Story::started();
        story.bundle_on_disk(500, "lic-a", "sha256:one", 1);
        story.commit(1_000, "lic-a", "sha256:two", 2);
        story.commit(1_000, "lic-b", "sha256:two", 2);
        story.check(PROMISE, "");
    }

    #[test]
    fn an_empty_disk_begins_anew() {
        let mut story = Story::started();
        story.commit(1_000, "lic-a", "sha256:two", 2);
        story.crash(1_100, "lic-a");
        story.start(1_200, "lic-a", true);
        story.commit(2_000, "lic-a", "sha256:one", 1);
        story.check(PROMISE, "");
    }
}
