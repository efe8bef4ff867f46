//! `convergence`: once the network is whole again and nothing breaks any more, both servers have the same bundle and
//! the same ledger.
//!
//! It compares what the two disks hold, where both servers are up and the links are whole: whenever they are looked at
//! while one goes on reading *paired*, as it has for two heartbeats since the last fault, and at the end of a run also
//! where the last fault is a minute and twice `aloneAfter` ago. Leases that nobody believes in may differ, since their
//! ends are on their way. Whether seats over the capacity have drained depends on the holders; that they are gone is
//! judged at the end, where they are to be revoked.

use std::collections::BTreeMap;

use crate::history::{Ask, Event, Terms};
use crate::oracle::view::Exchange;
use crate::oracle::{Promise, View, Violation};

/// How long after the last fault the two must agree, beside the waits of the protocol, in milliseconds.
const AGREE_AFTER: u64 = 60_000;

/// What a disk holds: the bundle, the leases.
type Disk<'a> = (&'a Option<String>, &'a Vec<String>);

pub(super) fn judge(view: &View<'_>) -> Vec<Violation> {
    let judged = looks(view).into_iter().map(|(at, disks)| judge_at(view, at, disks));
    judged.flatten().collect()
}

/// What was on the disks whenever they were looked at.
fn looks<'a>(view: &View<'a>) -> BTreeMap<u64, BTreeMap<&'a str, Disk<'a>>> {
    let mut looks: BTreeMap<u64, BTreeMap<&str, Disk<'_>>> = BTreeMap::new();
    for entry in view.entries {
        if let Event::OnDisk { server, bundle, leases, .. } = &entry.event {
            looks.entry(entry.at).or_default().insert(server, (bundle, leases));
        }
    }
    looks
}

/// When something broke or was mended last, until this time.
fn last_fault(view: &View<'_>, at: u64) -> u64 {
    view.faults.iter().map(|(when, _)| *when).take_while(|when| *when <= at).last().unwrap_or(0)
}

/// Whether the two count on each other for long enough.
fn is_calm(view: &View<'_>, at: u64, terms: &Terms) -> bool {
    let last = last_fault(view, at);
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

/// Whether a request is under way. One that is never answered may wait at its server for as long as that waits for its peer,
/// or on its way until what was broken is mended.
fn is_open(view: &View<'_>, exchange: &Exchange<'_>, at: u64) -> bool {
    let until = exchange.answer.as_ref().map_or_else(
        || {
            let terms = view.in_force(at, at);
            let longest = |span: fn(&Terms) -> u64| terms.iter().map(|terms| span(terms)).max();
            let waits = exchange.asked + longest(|terms| terms.alone_after).unwrap_or(0);
            waits.max(last_fault(view, at) + longest(|terms| terms.heartbeat).unwrap_or(0))
        },
        |reply| reply.at,
    );
    (exchange.asked..=until).contains(&at)
}

/// Whether a lease's holder renews it just then: a server that did not know it has it first, and answers when both do. Or
/// another one of the same use, which has one lease: this one ends by that.
fn is_renewed(view: &View<'_>, id: &str, at: u64) -> bool {
    let has_had = |usage: &str| {
        let mut given = view.exchanges.iter().filter_map(|exchange| exchange.given());
        given.any(|(_, lease)| lease.id == id && lease.usage == usage)
    };
    view.exchanges.iter().any(|exchange| {
        let Ask::Renew { lease, usage } = exchange.ask else { return false };
        (lease == id || usage.as_deref().is_some_and(has_had)) && is_open(view, exchange, at)
    })
}

/// Whether a lease is just then given to its holder: one disk has it first.
fn is_given(view: &View<'_>, id: &str, at: u64) -> bool {
    view.exchanges.iter().any(|exchange| {
        let given = exchange.given().filter(|(_, lease)| lease.id == id);
        given.is_some_and(|(until, _)| (exchange.asked..=until).contains(&at))
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
    let last = view.faults.last().map_or(0, |(at, _)| *at);
    if at == view.end {
        for (product, seats, capacity) in over_grants(view, terms, last) {
            let held = format!("{seats} seats of `{product}` are held at the end");
            broken(format!("{held}, with a capacity of {capacity}: none was revoked"));
        }
    }
    let Some([one, other]) = both(disks) else { return violations };
    let ((a, (bundle_a, _)), (b, (bundle_b, _))) = (one, other);
    // A bundle that is on its way is on one of them first.
    if bundle_a != bundle_b && at == view.end {
        let name = |bundle: &Option<String>| bundle.clone().unwrap_or_else(|| "none".to_owned());
        let (one, other) = (name(bundle_a), name(bundle_b));
        broken(format!("`{a}` ends with the bundle {one} and `{b}` with {other}"));
    }
    for (has, lacks, id) in on_one(one, other) {
        let is_live = view.holdings.get(id).is_some_and(|holding| holding.is_live(at));
        if is_live && !is_renewed(view, id, at) && !is_given(view, id, at) {
            broken(format!("`{has}` ends with the lease {id} and `{lacks}` without it"));
        }
    }
    violations
}

/// The disks of both servers, where both were read.
fn both<'a>(disks: BTreeMap<&'a str, Disk<'a>>) -> Option<[(&'a str, Disk<'a>); 2]> {
    disks.into_iter().collect::<Vec<_>>().try_into().ok()
}

/// The leases that one of two disks has alone: who has it, who has not, and which.
fn on_one<'a>(
    one: (&'a str, Disk<'a>),
    other: (&'a str, Disk<'a>),
) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
    [(one, other), (other, one)].into_iter().flat_map(
        |((has, (_, leases)), (lacks, (_, others)))| {
            let alone = leases.iter().filter(|id| !others.contains(id));
            alone.map(move |id| (has, lacks, id.as_str()))
        },
    )
}

/// What one of the two disks has at a time when a scenario expects them to be equal, and the other has not.
pub(crate) fn difference(view: &View<'_>, at: u64) -> Option<String> {
    let Some([one, other]) = looks(view).remove(&at).and_then(both) else {
        return Some("not both disks were read".to_owned());
    };
    let (has, lacks, id) = on_one(one, other).find(|(_, _, id)| !is_changing(view, id, at))?;
    Some(format!("`{has}` has the lease {id}, and `{lacks}` has not"))
}

/// Whether a lease is just then given, renewed or returned: one disk has it first.
fn is_changing(view: &View<'_>, id: &str, at: u64) -> bool {
    is_given(view, id, at) || view.exchanges.iter().any(|exchange| {
        matches!(exchange.ask, Ask::Renew { lease, .. } | Ask::Release { lease, .. } if lease == id)
            && is_open(view, exchange, at)
    })
}

/// The products of which more seats are held at the end than there are, though the bundle that ran all along says that
/// what is over the capacity is revoked, and there was time enough: a renewal, and what the last one gave.
fn over_grants<'a>(view: &'a View<'_>, terms: &Terms, last: u64) -> Vec<(&'a str, u32, u32)> {
    let time = terms.ttl + terms.ttl / 2 + AGREE_AFTER;
    let first = view.faults.first().map_or(0, |(at, _)| *at);
    let is_changed = view.in_force(first, view.end).len() > 1;
    if !terms.revokes || is_changed || view.end.saturating_sub(last) < time {
        return Vec::new();
    }
    let mut held: BTreeMap<&str, u32> = BTreeMap::new();
    for holding in view.holdings.values().filter(|holding| holding.is_live(view.end)) {
        *held.entry(holding.product).or_default() += holding.seats;
    }
    let capacity = |product: &str| {
        terms.servers.values().map(|server| server.capacity(product, view.end)).max().unwrap_or(0)
    };
    let held = held.into_iter().map(|(product, seats)| (product, seats, capacity(product)));
    held.filter(|(_, seats, capacity)| seats > capacity).collect()
}

#[cfg(test)]
mod tests {
    use crate::history::Ask;
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
    fn a_lease_that_is_just_renewed_may_be_on_one_disk_first() {
        for (renewed, seen) in [(19_995, false), (19_000, true)] {
            let mut story = healed();
            story.hear(18_000, "lic-b", true, true);
            story.renew(renewed, "ana", "lic-a", "L1", 200);
            story.on_disk(20_000, "lic-a", &["L1"]);
            story.on_disk(20_000, "lic-b", &[]);
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{renewed}");
        }
    }

    #[test]
    fn another_lease_of_a_use_that_is_just_renewed_may_be_on_one_disk_longer() {
        for (usage, seen) in [("u", false), ("v", true)] {
            let mut story = healed();
            story.hear(18_000, "lic-b", true, true);
            let (lease, usage) = ("L2".into(), Some(usage.into()));
            story.ask(19_995, "ana", "lic-a", Ask::Renew { lease, usage });
            story.on_disk(20_000, "lic-a", &["L2"]);
            story.on_disk(20_000, "lic-b", &["L1"]);
            assert_eq!(!story.judged(PROMISE).is_empty(), seen);
        }
    }

    #[test]
    fn a_lease_that_is_just_given_may_be_on_one_disk_first() {
        for (answered, seen) in [(20_000, false), (19_999, true)] {
            let mut story = healed();
            story.hear(18_000, "lic-b", true, true);
            story.grant_late(19_900, answered, "bo", "lic-a", "L2");
            story.on_disk(20_000, "lic-a", &["L1"]);
            story.on_disk(20_000, "lic-b", &["L1", "L2"]);
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{answered}");
        }
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

    #[test]
    fn seats_over_the_capacity_that_are_to_be_revoked_are_gone_at_the_end() {
        for (until, seen) in [(600_000, true), (400_000, false)] {
            let mut story = Story::started();
            story.cut(1_000, "lic-a", "lic-b");
            for (user, id) in [("ana", "L1"), ("bo", "L2"), ("cy", "L3")] {
                story.grant(2_000, user, "lic-a", id);
                story.renew(290_000, user, "lic-a", id, 200);
                story.renew(580_000, user, "lic-a", id, 200);
            }
            story.mend(9_000, "lic-a", "lic-b");
            for server in ["lic-a", "lic-b"] {
                story.on_disk(until, server, &["L1", "L2", "L3"]);
            }
            assert_eq!(story.judged(PROMISE).contains("none was revoked"), seen, "{until}");
        }
    }

    #[test]
    fn equal_ledgers_have_the_same_leases_but_for_one_that_is_on_its_way() {
        let mut story = Story::started();
        story.grant(100, "ana", "lic-a", "L1");
        story.grant(200, "bo", "lic-a", "L2");
        story.release(900, "bo", "lic-a", "L2");
        let mut seen = Vec::new();
        for (at, leases) in [(400, ["L1", "L2"]), (500, ["L1", "L3"]), (900, ["L1", "L2"])] {
            story.on_disk(at, "lic-a", &leases);
            story.on_disk(at, "lic-b", &["L1"]);
            seen.push(story.seen(|view| super::difference(view, at)));
        }
        let has = |id: &str| Some(format!("`lic-a` has the lease {id}, and `lic-b` has not"));
        assert_eq!(seen, [has("L2"), has("L3"), None]);
        // A renewal that nobody answers is not under way for ever.
        for (at, differ) in [(2_000, false), (60_000, true)] {
            let mut story = Story::started();
            story.grant(100, "ana", "lic-a", "L1");
            story.lose_renewal(1_500, "ana", "lic-a", "L1");
            story.on_disk(at, "lic-a", &["L1"]);
            story.on_disk(at, "lic-b", &[]);
            let seen = story.seen(|view| super::difference(view, at));
            assert_eq!(seen.is_some(), differ, "{at}");
        }
        let unread = story.seen(|view| super::difference(view, 950));
        assert_eq!(unread.as_deref(), Some("not both disks were read"));
    }
}
