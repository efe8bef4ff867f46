//! `convergence`: once the network is whole again and nothing breaks any more, both servers have the same bundle and
//! the same ledger.
//!
//! It compares what the two disks hold at the end of a run, where both servers are up, the links are whole, and either
//! the last fault is a minute and twice `aloneAfter` ago, or one has read *paired* for two heartbeats since. Leases that nobody believes in may differ, since
//! their ends are on their way. Whether seats over the capacity have drained depends on the holders and is not judged.

use std::collections::BTreeMap;

use crate::history::Event;
use crate::oracle::{Promise, View, Violation};

/// How long after the last fault the two must agree, beside the waits of the protocol, in milliseconds.
const AGREE_AFTER: u64 = 60_000;

pub(super) fn judge(view: &View<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut broken = |what: String| {
        violations.push(Violation::new(Promise::Convergence, view.end, what));
    };
    let terms = view.in_force(view.end, view.end);
    let [terms] = terms.as_slice() else { return violations };
    let last = view.faults.last().map_or(0, |(at, _)| *at);
    let up = terms.servers.keys().all(|server| view.is_up(server, view.end));
    let long_ago = view.end.saturating_sub(last) >= AGREE_AFTER + 2 * terms.alone_after;
    let calm = long_ago
        || terms.servers.keys().any(|server| {
            let heard = view.heard(server).filter(|(at, _, _)| *at > last);
            let since = heard.fold(None, |since, (at, active, paired)| {
                (active && paired).then_some(since.unwrap_or(at))
            });
            since.is_some_and(|since| view.end.saturating_sub(since) >= 2 * terms.heartbeat)
        });
    if !up || !calm || !view.is_whole(view.end) {
        return violations;
    }
    let mut disks: BTreeMap<&str, (&Option<String>, &Vec<String>)> = BTreeMap::new();
    for entry in view.entries.iter().filter(|entry| entry.at == view.end) {
        if let Event::OnDisk { server, bundle, leases, .. } = &entry.event {
            disks.insert(server, (bundle, leases));
        }
    }
    let mut disks = disks.into_iter();
    let (Some((a, (bundle_a, leases_a))), Some((b, (bundle_b, leases_b)))) =
        (disks.next(), disks.next())
    else {
        return violations;
    };
    if bundle_a != bundle_b {
        let name = |bundle: &Option<String>| bundle.clone().unwrap_or_else(|| "none".to_owned());
        let (one, other) = (name(bundle_a), name(bundle_b));
        broken(format!("`{a}` ends with the bundle {one} and `{b}` with {other}"));
    }
    for (has, lacks, leases, others) in [(a, b, leases_a, leases_b), (b, a, leases_b, leases_a)] {
        for id in leases.iter().filter(|id| !others.contains(id)) {
            if view.holdings.get(id.as_str()).is_some_and(|holding| holding.is_live(view.end)) {
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
    fn soon_after_a_fault_nothing_is_promised() {
        let mut story = healed();
        story.on_disk(20_000, "lic-a", &["L1"]);
        story.on_disk(20_000, "lic-b", &[]);
        story.check(PROMISE, "");
    }
}
