//! `failover`: a renewal sent later than `failoverAfter` + one heartbeat after the primary's death succeeds at the
//! secondary, losing nothing; a new checkout is answered from its seats, and succeeds where one is free.
//!
//! It looks at each death of the primary during which nothing else is broken: the secondary up and reachable, its
//! disk well. A `grace` answer to a new checkout is well where the secondary had not read *paired* lately. It does
//! not claim anything while something else is broken, nor of the wait before, nor of what is to be borrowed, which a
//! server does not lend alone. A seat is free for sure where even with all that may have been granted unseen, and with
//! every lease that may still be counted, no limit is reached; where nobody waits; and not in the mode `escrow`.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use tandem::name::{HostName, UserName};

use crate::history::{Ask, Fault};
use crate::oracle::view::{Death, Exchange, Reply};
use crate::oracle::{Promise, View, Violation};

/// How long after its disk is well again a server may take to start from it, in milliseconds.
const SETTLED: u64 = 1_000;

/// How much longer than a ttl a server may count a lease that it has heard nothing of: its share of the ttl, and some
/// milliseconds for what is on its way.
const COUNTED_LONGER: (u64, u64) = (20, 5_000);

/// How much less than it may a server may stand alone, since it does not know exactly when it last heard its primary, in
/// milliseconds.
const ALONE_SLACK: u64 = 60_000;

/// A time in which the primary is dead and nothing else is broken.
struct Outage<'a> {
    secondary: &'a str,
    /// When the primary died.
    died: u64,
    from: u64,
    until: u64,
    in_step: bool,
}

pub(super) fn judge(view: &View<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let traffic = OnceCell::new();
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
                Ask::Checkout { product, .. }
                    if code == "no-seat-free"
                        && outage.in_step
                        && is_free(view, &traffic, &outage, exchange) =>
                {
                    let what = format!(
                        "`{}` answered a checkout with 409 ({code}) though a seat of `{product}` is free",
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

/// Whether a checkout that was refused must have found a seat.
fn is_free<'a>(
    view: &'a View<'a>,
    traffic: &OnceCell<Traffic<'a>>,
    outage: &Outage<'_>,
    refused: &Exchange<'_>,
) -> bool {
    let (Ask::Checkout { product, user, host, seats: 1, borrow: false, .. }, Some(reply)) =
        (refused.ask, &refused.answer)
    else {
        return false;
    };
    let terms = view.in_force(outage.died, reply.at);
    let [terms] = terms.as_slice() else { return false };
    let (Ok(user), Ok(host)) = (UserName::new(user), HostName::new(host)) else { return false };
    let rights = terms.rights.iter().find(|of| of.product.eq_ignore_ascii_case(product));
    let Some(rights) = rights.filter(|of| !of.has_personal_limits && of.allow(&user, &host)) else {
        return false;
    };
    let is_matched = rights.matching(&user, &host).is_some_and(|of| of.contains(&true));
    let (Some(limits), true) = (&rights.limits, is_matched) else { return false };
    if view.is_escrow(outage.died, reply.at) {
        return false;
    }
    let Some(server) = terms.servers.get(outage.secondary) else { return false };
    // How long it may serve alone is judged by `role-encoding`.
    let mut licenses =
        server.licenses.iter().filter(|one| one.product.eq_ignore_ascii_case(product));
    let alone = reply.at.saturating_sub(outage.died) + ALONE_SLACK;
    if licenses.any(|license| license.standalone.is_some_and(|limit| limit <= alone)) {
        return false;
    }
    let capacity = |at| server.capacity(product, at);
    let capacity = capacity(refused.asked).min(capacity(reply.at));
    traffic
        .get_or_init(|| Traffic::of(view))
        .maybe_held(view, outage, product, (refused.asked, reply.at), terms.ttl)
        .is_some_and(|held| limits.allow_one_more(held, capacity))
}

/// What was heard of each lease and of each checkout, in a whole history: gathered once, since a storm asks for it often.
struct Traffic<'a> {
    /// When something was last asked about a lease, or for it.
    heard: BTreeMap<&'a str, u64>,
    /// When a lease was given back for sure.
    back: BTreeMap<&'a str, u64>,
    /// The checkouts of which nobody knows what became, and those that were told to wait.
    open: Vec<&'a Exchange<'a>>,
}

impl<'a> Traffic<'a> {
    fn of(view: &'a View<'a>) -> Self {
        let mut traffic = Self { heard: BTreeMap::new(), back: BTreeMap::new(), open: Vec::new() };
        for exchange in &view.exchanges {
            let about = match exchange.ask {
                Ask::Renew { lease, .. } => Some(lease.as_str()),
                _ => exchange.given().map(|(_, lease)| lease.id.as_str()),
            };
            if let Some(lease) = about {
                let heard = traffic.heard.entry(lease).or_insert(exchange.asked);
                *heard = exchange.asked.max(*heard);
            }
            match (exchange.ask, &exchange.answer) {
                (Ask::Release { lease, .. }, Some(reply)) if (200..300).contains(&reply.status) => {
                    let back = traffic.back.entry(lease).or_insert(reply.at);
                    *back = reply.at.min(*back);
                }
                (Ask::Checkout { .. }, answer) if answer.as_ref().is_none_or(is_open) => {
                    traffic.open.push(exchange);
                }
                _ => {}
            }
        }
        traffic
    }

    /// The most seats of a product that a server may count, which took over from a peer with which it was in step; unknown
    /// where somebody waits for one. `asked` and `at` are when it was asked for one more, and when it refused.
    fn maybe_held(
        &self,
        view: &View<'_>,
        outage: &Outage<'_>,
        product: &str,
        (asked, at): (u64, u64),
        ttl: u64,
    ) -> Option<u32> {
        let (share, slack) = COUNTED_LONGER;
        let counted = ttl + ttl / share + slack;
        // Whoever begins to serve gives every lease that it counts another ttl.
        let is_over = |heard: u64| {
            let next = view.faults.partition_point(|(when, _)| *when < heard);
            view.faults.get(next).is_some_and(|(fault, _)| heard + counted < *fault)
        };
        let mut held: u32 = 0;
        for holding in view.holdings.values() {
            if holding.asked > at || !holding.product.eq_ignore_ascii_case(product) {
                continue;
            }
            let heard = self.heard.get(holding.id).copied().unwrap_or(holding.asked);
            // What came back while the checkout was under way may have come after it.
            let is_back = self.back.get(holding.id).is_some_and(|back| *back < asked);
            if !is_back && (holding.borrowed.is_some() || !is_over(heard)) {
                held = held.saturating_add(holding.seats);
            }
        }
        for exchange in &self.open {
            let Ask::Checkout { product: of, seats, .. } = exchange.ask else { continue };
            if exchange.asked > at || !of.eq_ignore_ascii_case(product) {
                continue;
            }
            match &exchange.answer {
                Some(reply) if reply.status == 202 => return None,
                // What was sent to a dead server came to nothing.
                _ if exchange.asked > outage.died && exchange.to != outage.secondary => {}
                // Nobody knows what became of it.
                _ if is_over(exchange.asked) => {}
                _ => held = held.saturating_add(*seats),
            }
        }
        Some(held)
    }
}

/// Whether an answer to a checkout leaves open what became of it.
fn is_open(reply: &Reply<'_>) -> bool {
    !matches!(reply.status, 200 | 201 | 403 | 409 | 429) && reply.code != Some("standby")
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
        // What it heard before it started again it does not count on.
        let lately = at.saturating_sub(terms.failover_after).max(view.started(peer, at));
        let in_step = view
            .heard(peer)
            .filter(|(when, _, _)| (lately..=at).contains(when))
            .last()
            .is_some_and(|(_, active, paired)| active && paired);
        found.push(Outage { secondary: peer, died: at, from, until, in_step });
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::oracle::Promise;
    use crate::oracle::story::Story;

    const PROMISE: Promise = Promise::Failover;

    fn with_two_held() -> Story {
        let mut story = Story::started();
        story.grant(1_000, "ana", "lic-a", "L1");
        story.grant(1_100, "bo", "lic-a", "L2");
        story
    }

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
    fn grace_is_well_where_the_secondary_has_not_heard_its_peer_since_it_started() {
        for (started, seen) in [(9_500, true), (9_950, false), (10_000, false)] {
            let mut story = Story::started();
            story.kill(9_000, "lic-b");
            story.hear(9_900, "lic-b", true, true);
            story.start(started, "lic-b", false);
            story.crash(10_000, "lic-a");
            story.refuse(14_000, "bo", "lic-b", 503, "grace");
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{started}");
        }
    }

    #[test]
    fn a_refusal_is_seen_where_a_seat_is_free_for_sure() {
        for (lost, released, seen) in
            [(false, true, true), (false, false, false), (true, true, false)]
        {
            let mut story = with_two_held();
            if lost {
                story.lose_grant(1_200, "dan", "lic-a");
            }
            if released {
                story.release(2_000, "ana", "lic-a", "L1");
            }
            story.hear(9_900, "lic-b", true, true);
            story.crash(10_000, "lic-a");
            story.refuse(14_000, "cy", "lic-b", 409, "no-seat-free");
            let judged = story.judged(PROMISE);
            assert_eq!(judged.contains("a seat of `designer` is free"), seen, "{judged}");
        }
    }

    #[test]
    fn a_seat_that_comes_back_while_a_checkout_is_under_way_is_not_free_for_it() {
        for (released, seen) in [(13_990, false), (13_980, true)] {
            let mut story = with_two_held();
            story.hear(9_900, "lic-b", true, true);
            story.crash(10_000, "lic-a");
            story.release(released, "ana", "lic-b", "L1");
            story.refuse(13_995, "cy", "lic-b", 409, "no-seat-free");
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{released}");
        }
    }

    #[test]
    fn nothing_is_free_at_a_secondary_that_stood_alone_for_as_long_as_it_may() {
        for (asked, seen) in [(700_000, true), (900_000, false)] {
            let mut story = dead_at_10s();
            story.refuse(asked, "bo", "lic-b", 409, "no-seat-free");
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{asked}");
        }
    }

    #[test]
    fn a_lease_that_ran_out_long_before_takes_no_seat() {
        for (died, seen) in [(330_000, true), (310_000, false)] {
            let mut story = with_two_held();
            story.renew(200_000, "bo", "lic-a", "L2", 200);
            story.hear(died - 100, "lic-b", true, true);
            story.crash(died, "lic-a");
            story.refuse(died + 4_000, "cy", "lic-b", 409, "no-seat-free");
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "{died}");
        }
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
