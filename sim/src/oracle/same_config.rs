//! `same-config`: a server never goes back to an older generation; both end at one bundle.
//!
//! It sees which commits were acknowledged and what the disks held. It does not claim anything of a
//! server whose disk was swapped for an empty one after it acknowledged, and, of the end, of a server that was down
//! or cut off from its peer then. What was committed to one server alone gives way to what its peer has, whatever the
//! numbers, where a stranger to the peer signed the first of it (rule 7).

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
            && !view.gave_way(server, *before, generation.saturating_sub(1), at)
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
            .filter(|before| generation < before)
            .filter(|before| !view.gave_way(server, *before, *generation, entry.at))
            .max();
        if let Some(before) = before {
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

    /// Both run a bundle that trusts one more operator; then each commits on its own. What becomes of it is the first
    /// server's last bundle on both disks.
    fn forked(at_a: &[&str], at_b: &[&str]) -> String {
        let mut story = Story::started();
        for server in ["lic-a", "lic-b"] {
            story.commit(1_000, server, "sha256:trusts-added", 2);
        }
        story.cut(1_500, "lic-a", "lic-b");
        for (at, server, bundles) in [(2_000, "lic-a", at_a), (3_000, "lic-b", at_b)] {
            for (bundle, generation) in bundles.iter().zip(3..) {
                story.commit(at + generation * 100, server, bundle, generation);
            }
        }
        story.mend(5_000, "lic-a", "lic-b");
        for server in ["lic-a", "lic-b"] {
            let (last, generation) = at_a.iter().zip(3..).last().expect("there is one");
            story.bundle_on_disk(6_000, server, last, generation);
        }
        story.judged(PROMISE)
    }

    #[test]
    fn a_branch_that_a_stranger_began_gives_way_whatever_its_number() {
        let back = "6000ms `lic-b` holds generation 3 and had acknowledged 4";
        assert_eq!(forked(&["sha256:two"], &["sha256:by-added", "sha256:three-seats"]), "");
        // It was begun by somebody whom both trust.
        let to_known = ["sha256:three-seats", "sha256:by-added"];
        assert_eq!(forked(&["sha256:two"], &to_known), back);
        assert_eq!(forked(&["sha256:trusts-added"], &["sha256:by-added", "sha256:two"]), back);
        let later = ["sha256:three-seats", "sha256:by-added", "sha256:one"];
        let further = "6000ms `lic-b` holds generation 4 and had acknowledged 5";
        assert_eq!(forked(&["sha256:two", "sha256:one"], &later), further);
        // Each is a stranger to the other: then the numbers decide.
        let by_added = ["sha256:by-added", "sha256:by-added"];
        assert_eq!(forked(&["sha256:by-other"], &by_added), back);
    }

    #[test]
    fn one_that_gave_way_goes_on_from_what_its_peer_has() {
        for (next, seen) in [(4, ""), (3, "7010ms `lic-b` took generation 3 after 4")] {
            let mut story = Story::started();
            for server in ["lic-a", "lic-b"] {
                story.commit(1_000, server, "sha256:trusts-added", 2);
            }
            story.commit(2_000, "lic-a", "sha256:two", 3);
            story.commit(3_000, "lic-b", "sha256:by-added", 3);
            story.commit(4_000, "lic-b", "sha256:three-seats", 4);
            story.commit(7_000, "lic-b", "sha256:one", next);
            story.check(PROMISE, seen);
        }
        let mut story = Story::started();
        story.commit(2_000, "lic-a", "sha256:two", 2);
        for (at, bundle, generation) in
            [(3_000, "sha256:by-added", 2), (4_000, "sha256:two", 3), (5_000, "sha256:one", 4)]
        {
            story.commit(at, "lic-b", bundle, generation);
        }
        story.commit(7_000, "lic-b", "sha256:three-seats", 3);
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
