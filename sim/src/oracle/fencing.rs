//! `fencing`: a server that comes back grants nothing before it has taken over what its peer granted, as long as its
//! peer can be reached.
//!
//! It looks at the first seat that a server gives after each of its starts, where its peer was up, reachable and well
//! from then on: every lease that the peer had given by then and whose holder believes in it must be known to it. It
//! does not claim anything after a split, with an emptied disk, or where anything else broke in between.

use crate::history::{Ask, Fault};
use crate::oracle::{Promise, View, Violation};

pub(super) fn judge(view: &View<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (place, (started, fault)) in view.faults.iter().enumerate() {
        let Fault::Start { server, empty: false } = fault else { continue };
        let Some(peer) = view.peer(server, *started, *started) else { continue };
        let until = view.faults.get(place + 1).map_or(u64::MAX, |(next, _)| *next);
        let grant = view.exchanges.iter().find(|exchange| {
            matches!(exchange.ask, Ask::Checkout { .. })
                && exchange.to == server
                && exchange.asked >= *started
                && exchange.got(201).is_some()
        });
        let Some((granted, lease)) = grant.and_then(|grant| grant.given()) else { continue };
        let asked = grant.map_or(granted, |grant| grant.asked);
        if granted >= until || !view.is_whole(*started) || !view.is_up(peer, *started) {
            continue;
        }
        let owed = view.holdings.values().filter(|holding| {
            holding.since <= asked && holding.beliefs.iter().any(|(_, _, by)| *by == peer)
        });
        for holding in owed {
            let excused = view.was_split([server, peer], holding.asked, granted)
                || view.was_emptied(peer, holding.asked, granted)
                || view.was_emptied(server, holding.asked, granted);
            let Some((at, how)) = view.forgot(server, holding.id, granted) else { continue };
            if !excused && at < until && holding.is_live(at) {
                let new = &lease.id;
                let what = format!(
                    "{how} of `{peer}`, though it granted {new} at {granted}ms, after its start"
                );
                violations.push(Violation::new(Promise::Fencing, at, what));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use crate::oracle::Promise;
    use crate::oracle::story::Story;

    const PROMISE: Promise = Promise::Fencing;

    /// The primary was away while the secondary granted L1, and is back at 20 s.
    fn back() -> Story {
        let mut story = Story::started();
        story.kill(1_000, "lic-a");
        story.grant(10_000, "ana", "lic-b", "L1");
        story.start(20_000, "lic-a", false);
        story
    }

    #[test]
    fn a_server_that_took_over_what_was_granted_may_grant() {
        let mut story = back();
        story.grant(21_000, "bo", "lic-a", "L2");
        story.renew(22_000, "ana", "lic-a", "L1", 200);
        story.on_disk(23_000, "lic-a", &["L1", "L2"]);
        story.check(PROMISE, "");
    }

    #[test]
    fn one_that_grants_without_it_is_seen() {
        let mut story = back();
        story.grant(21_000, "bo", "lic-a", "L2");
        story.on_disk(23_000, "lic-a", &["L2"]);
        story.check(
            PROMISE,
            "23000ms the disk of `lic-a` does not hold the lease L1 of `lic-b`, though it granted L2 at 21010ms, \
             after its start",
        );
    }

    #[test]
    fn a_peer_that_cannot_be_reached_and_a_lease_that_ran_out_excuse() {
        let mut story = Story::started();
        story.kill(1_000, "lic-a");
        story.grant(10_000, "ana", "lic-b", "L1");
        story.kill(15_000, "lic-b");
        story.start(20_000, "lic-a", false);
        story.grant(21_000, "bo", "lic-a", "L2");
        story.on_disk(23_000, "lic-a", &["L2"]);
        story.check(PROMISE, "");
        let mut story = back();
        story.grant(21_000, "bo", "lic-a", "L2");
        story.on_disk(400_000, "lic-a", &[]);
        story.check(PROMISE, "");
    }
}
