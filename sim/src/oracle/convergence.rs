//! `convergence`: once the network is whole again and nothing breaks any more, both servers have the same bundle and
//! the same ledger.
//!
//! It compares what the two disks hold, where both servers are up and the links are whole: whenever they are looked at
//! while one goes on reading *paired*, as it has for two heartbeats since the last fault, and at the end of a run also
//! where the last fault is a minute and twice `aloneAfter` ago. Leases that nobody believes in may differ, since their
//! ends are on their way. Whether seats over the capacity have drained depends on the holders and is not judged.

use std::collections::BTreeMap;

use crate::history::{Event, Terms};
use crate::oracle::{Promise, View, Violation};

/// How long after the last fault the two must agree, beside the waits of the protocol, in milliseconds.
const AGREE_AFTER: u64 = 60_000;

/// What a disk holds: the bundle, the leases.
type Disk<'a> = (&'a Option<String>, &'a Vec<String>);

pub(super) fn judge(view: &View<'_>) -> Vec<Violation> {
    let mut looks: BTreeMap<u64, BTreeMap<&str, Disk<'_>>> = BTreeMap::new();
    for entry in view.entries {
        if let Event::OnDisk { server, bundle, leases, .. } = &entry.event {
            looks.entry(entry.at).or_default().insert(server, (bundle, leases));
        }
    }
    let judged = looks.into_iter().map(|(at, disks)| judge_at(view, at, disks));
    judged.flatten().collect()
}

/// Whether the two count on each other for long enough.
fn is_calm(view: &View<'_>, at: u64, terms: &Terms) -> bool {
    let before = view.faults.iter().take_while(|(when, _)| *when <= at);
    let last = before.last().map_or(0, |(when, _)| *when);
    let is_end = at == view.end;
    let long_ago = at.saturating_sub(last) >= AGREE_AFTER + 2 * terms.alone_after;
    (is_end && long_ago)
        || terms.servers.keys().any(|server| {
            let heard = view.heard_between(server, last + 1, at).iter().copied();
            let since = heard.fold(None, |since: Option<(u64, u64)>, (at, active, paired)| {
                (active && paired).then_some((since.map_or(at, |(first, _)| first), at))
            });
            // What comes from before a cut comes all at once, and then nothing does.
            let goes_on = |(first, latest): (u64, u64)| {
                latest - first >= 2 * terms.heartbeat && at - latest <= 2 * terms.heartbeat
            };
            since.is_some_and(|(first, latest)| {
                is_end && at - first >= 2 * terms.heartbeat || goes_on((first, latest))
            })
        })
}

fn judge_at(view: &View<'_>, at: u64, disks: BTreeMap<&str, Disk<'_>>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut broken = |what: String| {
        violations.push(Violation::new(Promise::Convergence, at, what));
    };
    let terms = view.in_force(at, at);
    let [terms] = terms.as_slice() else { return violations };
    let up = terms.servers.keys().all(|server| view.is_up(server, at));
    if !up || !is_calm(view, at, terms) || !view.is_whole(at) {
        return violations;
    }
    let mut disks = disks.into_iter();
    let (Some((a, (bundle_a, leases_a))), Some((b, (bundle_b, leases_b)))) =
        (disks.next(), disks.next())
    else {
        return violations;
    };
    // A bundle that is on its way is on one of them first.
    if bundle_a != bundle_b && at == view.end {
        let name = |bundle: &Option<String>| bundle.clone().unwrap_or_else(|| "none".to_owned());
        let (one, other) = (name(bundle_a), name(bundle_b));
        broken(format!("`{a}` ends with the bundle {one} and `{b}` with {other}"));
    }
    for (has, lacks, leases, others) in [(a, b, leases_a, leases_b), (b, a, leases_b, leases_a)] {
        for id in leases.iter().filter(|id| !others.contains(id)) {
            if view.holdings.get(id.as_str()).is_some_and(|holding| holding.is_live(at)) {
                broken(format!("`{has}` ends with the lease {id} and `{lacks}` without it"));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use crate::oracle::Promise;
    use crate::oracle::story::Story;

    const PROMISE: Promise = Promise::Convergence;

    fn healed() -> Story {
        let mut story = Story::started();
        story.grant(100, "ana", "lic-a", "L1");
        story.kill(200, "lic-b");
        story.start(300, "lic-b", false);
        story
    }

    #[test]
    fn two_disks_that_hold_the_same_are_well() {
        let mut story = healed();
        story.on_disk(100_000, "lic-a", &["L1"]);
        story.on_disk(100_000, "lic-b", &["L1", "run-out"]);
        story.check(PROMISE, "");
    }

    #[test]
    fn a_lease_that_one_lacks_and_another_bundle_are_seen() {
        let mut story = healed();
        story.on_disk(100_000, "lic-a", &["L1"]);
        story.bundle_on_disk(100_000, "lic-b", "sha256:two", 2);
        story.check(
            PROMISE,
            "100000ms `lic-a` ends with the bundle sha256:one and `lic-b` with sha256:two; \
             100000ms `lic-a` ends with the lease L1 and `lic-b` without it",
        );
    }

    #[test]
    fn two_heartbeats_after_they_are_paired_both_have_the_same() {
        let mut story = healed();
        story.hear(18_000, "lic-b", true, true);
        story.on_disk(20_000, "lic-a", &["L1"]);
        story.on_disk(20_000, "lic-b", &[]);
        story.check(PROMISE, "20000ms `lic-a` ends with the lease L1 and `lic-b` without it");
    }

    #[test]
    fn while_they_go_on_as_paired_every_look_finds_the_same() {
        for (heard, seen) in [([17_000, 17_500, 18_200], true), ([17_000, 17_010, 17_020], false)] {
            let mut story = healed();
            heard.into_iter().for_each(|at| story.hear(at, "lic-b", true, true));
            story.on_disk(18_500, "lic-a", &["L1"]);
            story.on_disk(18_500, "lic-b", &[]);
            story.kill(19_000, "lic-b");
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{heard:?}");
        }
    }

    #[test]
    fn soon_after_a_fault_nothing_is_promised() {
        let mut story = healed();
        story.on_disk(20_000, "lic-a", &["L1"]);
        story.on_disk(20_000, "lic-b", &[]);
        story.check(PROMISE, "");
    }
}
