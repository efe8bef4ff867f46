//! `durability`: an acknowledged lease is known after every crash and restart of either server alone.
//!
//! A server must know a lease that it gave or renewed itself, and one that its peer gave before the server read a
//! heartbeat that says *paired*, where that had not waited while the server stood still. It does not claim anything of a
//! server whose disk was swapped for an empty one since, after a split, nor of a lease whose holder's belief had ended or
//! that was being released. Where the two servers gave one use a lease each, not knowing of each other's, a disk holds one
//! of them; whichever its holder shows is the one that stays.

use crate::history::{Ask, Event, Lease};
use crate::oracle::view::{Exchange, Holding};
use crate::oracle::{Promise, View, Violation};

pub(super) fn judge(view: &View<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut broken = |at: u64, what: String| {
        violations.push(Violation::new(Promise::Durability, at, what));
    };
    for exchange in &view.exchanges {
        let Ask::Renew { lease, .. } = exchange.ask else { continue };
        let Some(reply) = exchange.got(404) else { continue };
        let Some(holding) = view.holdings.get(lease.as_str()) else { continue };
        if reply.code == Some("unknown-lease")
            && is_claimed(holding, reply.at)
            && must_know(view, exchange.to, holding, exchange.asked)
        {
            let (id, server) = (holding.id, exchange.to);
            broken(
                reply.at,
                format!("`{server}` does not know the lease {id} that its holder has"),
            );
        }
    }
    for entry in view.entries {
        let Event::OnDisk { server, leases, .. } = &entry.event else { continue };
        for holding in view.holdings.values() {
            if is_claimed(holding, entry.at)
                && !leases.iter().any(|id| id == holding.id)
                && must_know(view, server, holding, entry.at)
                && !has_its_use(view, leases, holding)
            {
                let id = holding.id;
                broken(entry.at, format!("the disk of `{server}` does not hold the lease {id}"));
            }
        }
    }
    violations
}

/// Whether a disk has the use of a lease in another one: one that its holder was given before, or one that nobody was told of
/// where it asked and heard nothing.
fn has_its_use(view: &View<'_>, leases: &[String], holding: &Holding<'_>) -> bool {
    let mut given = view.exchanges.iter().filter_map(Exchange::given).map(|(_, lease)| lease);
    let Some(this) = given.clone().find(|lease| lease.id == holding.id) else { return false };
    let is_other = |lease: &Lease| lease.usage == this.usage && lease.id != this.id;
    if given.any(|lease| is_other(lease) && leases.contains(&lease.id)) {
        return true;
    }
    let untold = leases.iter().any(|id| !view.holdings.contains_key(id.as_str()));
    untold && view.exchanges.iter().any(|exchange| {
        matches!(exchange.ask, Ask::Checkout { usage, .. } if usage.as_ref() == Some(&this.usage))
            && exchange.answer.is_none()
    })
}

/// Whether anything is claimed of a lease now. When one that is borrowed ends is known by wall time after a restart, and
/// the two wall clocks may have gone apart since the beginning, each 1 % wrong.
fn is_claimed(holding: &Holding<'_>, at: u64) -> bool {
    let late = if holding.borrowed.is_some() { at + at / 50 } else { at };
    holding.is_live_until(at, late)
}

/// Whether a server has to know a lease at this time. What happened in the same millisecond may have come after.
pub(super) fn must_know(view: &View<'_>, server: &str, holding: &Holding<'_>, at: u64) -> bool {
    let given = holding.beliefs.iter().find(|(when, _, by)| *by == server && *when < at);
    let told =
        view.heard_between(server, holding.since, at).iter().find(|(when, active, paired)| {
            *active && *paired && *when < at && !view.has_just_resumed(server, *when)
        });
    let Some(since) = given.map(|(when, _, _)| *when).or(told.map(|(when, _, _)| *when)) else {
        return false;
    };
    // It was given some time before its answer arrived.
    let since = since.min(holding.asked);
    let servers: Vec<&String> = view
        .in_force(since, at)
        .first()
        .map(|terms| terms.servers.keys().collect())
        .unwrap_or_default();
    let split = matches!(servers.as_slice(), [a, b] if view.was_split([a, b], since, at));
    let emptied = servers.iter().any(|server| view.was_emptied(server, since, at));
    !split && !emptied
}

#[cfg(test)]
mod tests {
    use crate::oracle::Promise;
    use crate::oracle::story::Story;

    const PROMISE: Promise = Promise::Durability;

    #[test]
    fn a_lease_that_is_known_after_a_crash_is_well() {
        let mut story = Story::started();
        story.grant(100, "ana", "lic-a", "L1");
        story.crash(200, "lic-a");
        story.start(300, "lic-a", false);
        story.renew(400, "ana", "lic-a", "L1", 200);
        story.on_disk(500, "lic-a", &["L1"]);
        story.check(PROMISE, "");
    }

    #[test]
    fn a_lease_that_a_crash_lost_is_seen() {
        let mut story = Story::started();
        story.grant(100, "ana", "lic-a", "L1");
        story.crash(200, "lic-a");
        story.start(300, "lic-a", false);
        story.renew(400, "ana", "lic-a", "L1", 404);
        story.on_disk(500, "lic-a", &[]);
        story.check(
            PROMISE,
            "410ms `lic-a` does not know the lease L1 that its holder has; \
             500ms the disk of `lic-a` does not hold the lease L1",
        );
    }

    #[test]
    fn a_peer_that_was_paired_after_the_grant_must_know_it() {
        let mut story = Story::started();
        story.hear(50, "lic-b", true, true);
        story.grant(100, "ana", "lic-a", "L1");
        story.renew(200, "ana", "lic-b", "L1", 404);
        story.check(PROMISE, "");
        story.hear(300, "lic-b", true, true);
        story.renew(400, "ana", "lic-b", "L1", 404);
        story.check(PROMISE, "410ms `lic-b` does not know the lease L1 that its holder has");
    }

    #[test]
    fn a_heartbeat_that_waited_while_its_reader_stood_still_says_nothing_of_now() {
        let mut story = Story::started();
        story.grant(100, "ana", "lic-a", "L1");
        story.resume(300, "lic-b");
        story.hear(300, "lic-b", true, true);
        story.renew(400, "ana", "lic-b", "L1", 404);
        story.check(PROMISE, "");
        story.hear(500, "lic-b", true, true);
        story.renew(600, "ana", "lic-b", "L1", 404);
        story.check(PROMISE, "610ms `lic-b` does not know the lease L1 that its holder has");
    }

    #[test]
    fn a_borrowed_lease_ends_when_the_latest_answer_says() {
        let mut story = Story::started();
        story.borrow(100, "ana", "lic-a", "L1");
        story.renew_borrowed(1_000, "ana", "lic-a", "L1", 500);
        story.on_disk(1_400, "lic-a", &["L1"]);
        story.on_disk(1_600, "lic-a", &[]);
        story.check(PROMISE, "");
        story.on_disk(1_440, "lic-a", &[]);
        story.check(PROMISE, "1440ms the disk of `lic-a` does not hold the lease L1");
    }

    #[test]
    fn an_empty_disk_a_release_and_an_ended_lease_excuse() {
        let mut story = Story::started();
        story.grant(100, "ana", "lic-a", "L1");
        story.crash(200, "lic-a");
        story.start(300, "lic-a", true);
        story.renew(400, "ana", "lic-a", "L1", 404);
        story.grant(500, "bo", "lic-a", "L2");
        story.release(600, "bo", "lic-a", "L2");
        story.renew(700, "bo", "lic-a", "L2", 404);
        story.grant(1_000, "cy", "lic-a", "L3");
        story.renew(400_000, "cy", "lic-a", "L3", 404);
        story.check(PROMISE, "");
    }

    #[test]
    fn a_use_that_either_server_gave_a_lease_is_held_by_one_of_them() {
        for (disk, seen) in [(["L1"], false), (["L2"], false), (["L3"], true)] {
            let mut story = Story::started();
            story.give_use(100, "ana", "lic-a", "use-1", "L1");
            story.crash(200, "lic-a");
            story.give_use(4_000, "ana", "lic-b", "use-1", "L2");
            story.grant(4_500, "bo", "lic-b", "L3");
            story.start(5_000, "lic-a", false);
            story.on_disk(6_000, "lic-b", &disk);
            let lost = "the disk of `lic-b` does not hold the lease L2";
            assert_eq!(story.judged(PROMISE).contains(lost), seen, "{disk:?}");
        }
    }

    #[test]
    fn a_use_that_its_holder_ended_is_held_by_none_of_them() {
        for (released, seen) in [("L2", false), ("L3", true)] {
            let mut story = Story::started();
            story.give_use(100, "ana", "lic-a", "use-1", "L1");
            story.crash(200, "lic-a");
            story.give_use(4_000, "ana", "lic-b", "use-1", "L2");
            story.give_use(4_500, "ana", "lic-b", "use-2", "L3");
            story.start(5_000, "lic-a", false);
            story.release(5_500, "ana", "lic-b", released);
            story.on_disk(6_000, "lic-a", &[]);
            let lost = "the disk of `lic-a` does not hold the lease L1";
            assert_eq!(story.judged(PROMISE).contains(lost), seen, "{released}");
        }
    }

    #[test]
    fn a_lease_that_nobody_was_told_of_may_hold_a_use_whose_answer_was_lost() {
        for (lost, seen) in [("use-1", false), ("use-2", true)] {
            let mut story = Story::started();
            story.lose_use(100, "ana", "lic-a", lost);
            story.crash(200, "lic-a");
            story.give_use(4_000, "ana", "lic-b", "use-1", "L2");
            story.start(5_000, "lic-a", false);
            story.on_disk(6_000, "lic-b", &["L1"]);
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{lost}");
        }
    }
}
