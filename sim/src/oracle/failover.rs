//! `failover`: a renewal sent later than `failoverAfter` + one heartbeat after the primary's death succeeds at the
//! secondary, losing nothing; a new checkout is answered from its seats.
//!
//! It looks at each death of the primary during which nothing else is broken: the secondary up and reachable, its
//! disk well. A `grace` answer to a new checkout is well where the secondary had not read *paired* lately. It does
//! not claim anything while something else is broken, nor of the wait before, nor
//! of what is to be borrowed, which a server does not lend alone.

use crate::history::{Ask, Fault};
use crate::oracle::view::Death;
use crate::oracle::{Promise, View, Violation};

/// How long after its disk is well again a server may take to start from it, in milliseconds.
const SETTLED: u64 = 1_000;

/// A time in which the primary is dead and nothing else is broken.
struct Outage<'a> {
    secondary: &'a str,
    from: u64,
    until: u64,
    in_step: bool,
}

pub(super) fn judge(view: &View<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for outage in outages(view) {
        for exchange in &view.exchanges {
            let inside = exchange.asked > outage.from && exchange.to == outage.secondary;
            let Some(reply) =
                exchange.answer.as_ref().filter(|reply| inside && reply.at < outage.until)
            else {
                continue;
            };
            let code = reply.code.unwrap_or("no code");
            let late = exchange.asked - outage.from;
            match exchange.ask {
                // What a bundle takes is judged by `entitlement`.
                Ask::Renew { lease, .. } if reply.status != 200 && code != "revoked" => {
                    let live = view
                        .holdings
                        .get(lease.as_str())
                        .is_some_and(|holding| holding.is_live(reply.at));
                    if live {
                        let what = format!(
                            "`{}` answered a renewal with {} ({code}), {late}ms after it had to serve",
                            outage.secondary, reply.status
                        );
                        violations.push(Violation::new(Promise::Failover, reply.at, what));
                    }
                }
                Ask::Checkout { borrow: false, .. } if reply.status == 503 => {
                    if code == "grace" && !outage.in_step {
                        continue;
                    }
                    let what = format!(
                        "`{}` answered a checkout with 503 ({code}), {late}ms after it had to serve",
                        outage.secondary
                    );
                    violations.push(Violation::new(Promise::Failover, reply.at, what));
                }
                _ => {}
            }
        }
    }
    violations
}

fn outages<'a>(view: &View<'a>) -> Vec<Outage<'a>> {
    let mut found = Vec::new();
    for Death { place, at, server, peer, terms } in view.deaths() {
        let led = view.leader(at) == Some(server);
        // A server whose disk has only just come back is still on its way.
        let settled = at.saturating_sub(terms.failover_after + SETTLED);
        let mended = view.faults.iter().any(|(when, fault)| {
            let mends =
                matches!(fault, Fault::Disk { .. } | Fault::Resume { .. } | Fault::Handover { .. });
            (settled..=at).contains(when) && mends
        });
        if !led || !view.is_up(peer, at) || !view.is_whole(at) || mended {
            continue;
        }
        let wait = terms.failover_after + terms.heartbeat + terms.late;
        // A secondary that has just started counts its silence from its own start.
        let from = at.max(view.started(peer, at)) + wait;
        let until = view.faults.get(place + 1).map_or(u64::MAX, |(next, _)| *next);
        let lately = at.saturating_sub(terms.failover_after);
        let in_step = view
            .heard(peer)
            .filter(|(when, _, _)| (lately..=at).contains(when))
            .last()
            .is_some_and(|(_, active, paired)| active && paired);
        found.push(Outage { secondary: peer, from, until, in_step });
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::oracle::Promise;
    use crate::oracle::story::Story;

    const PROMISE: Promise = Promise::Failover;

    fn dead_at_10s() -> Story {
        let mut story = Story::started();
        story.grant(1_000, "ana", "lic-a", "L1");
        story.hear(9_900, "lic-b", true, true);
        story.crash(10_000, "lic-a");
        story
    }

    #[test]
    fn a_secondary_that_takes_over_in_time_is_well() {
        let mut story = dead_at_10s();
        story.renew(12_000, "ana", "lic-b", "L1", 503);
        story.renew(13_600, "ana", "lic-b", "L1", 200);
        story.grant(14_000, "bo", "lic-b", "L2");
        story.check(PROMISE, "");
    }

    #[test]
    fn a_secondary_that_stays_silent_is_seen() {
        let mut story = dead_at_10s();
        story.renew(13_600, "ana", "lic-b", "L1", 503);
        story.refuse(14_000, "bo", "lic-b", 503, "grace");
        story.check(
            PROMISE,
            "13610ms `lic-b` answered a renewal with 503 (standby), 100ms after it had to serve; \
             14010ms `lic-b` answered a checkout with 503 (grace), 500ms after it had to serve",
        );
    }

    #[test]
    fn grace_is_well_where_the_secondary_was_not_in_step() {
        let mut story = Story::started();
        story.hear(9_900, "lic-b", true, false);
        story.crash(10_000, "lic-a");
        story.refuse(14_000, "bo", "lic-b", 503, "grace");
        story.check(PROMISE, "");
    }

    #[test]
    fn nothing_is_claimed_while_something_else_is_broken() {
        let mut story = dead_at_10s();
        story.crash(11_000, "lic-b");
        story.start(12_000, "lic-b", false);
        story.renew(13_600, "ana", "lic-b", "L1", 503);
        story.check(PROMISE, "");
    }
}
