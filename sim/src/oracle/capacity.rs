//! `capacity`: no grant makes the live leases of a product, counted across the pair, exceed the capacity of the
//! server that grants. Mirror: unless both servers were up and split at some time since the oldest of those leases.
//! Either: as long as what an operator says with `fence` is true.
//!
//! A lease is live as long as its holder may believe so. It counts what clients hold for sure: a grant whose answer
//! was lost, and one that was refused, count nothing; so it may miss an over-grant, and never invents one.

use std::collections::BTreeSet;

use crate::history::Ask;
use crate::oracle::view::Holding;
use crate::oracle::{Promise, View, Violation};

pub(super) fn judge(view: &View<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for exchange in &view.exchanges {
        let Ask::Checkout { .. } = exchange.ask else { continue };
        let Some((at, lease)) = exchange.given() else { continue };
        let same = |product: &str| product.eq_ignore_ascii_case(&lease.product);
        let is_live = |holding: &&Holding<'_>| {
            holding.since <= at && holding.is_live(at) && same(holding.product)
        };
        let live = || view.holdings.values().filter(is_live);
        let seats: u32 = live().map(|holding| holding.seats).sum();
        let terms = view.in_force(exchange.asked, at);
        let capacity = |name: &str| {
            let of = terms.iter().filter_map(|terms| terms.servers.get(name));
            let dates =
                || [exchange.asked, at].map(|when| view.dates(name, when)).into_iter().flatten();
            of.flat_map(|server| dates().map(|when| server.capacity(&lease.product, when))).max()
        };
        if capacity(exchange.to).is_some_and(|capacity| seats <= capacity) {
            continue;
        }
        // Of grants that were on their way together, any may have been the last: the most generous server counts.
        let mut granters = BTreeSet::from([exchange.to]);
        granters.extend(
            view.exchanges
                .iter()
                .filter(|other| other.asked <= at)
                .filter(|other| {
                    other
                        .given()
                        .is_some_and(|(when, lease)| when >= exchange.asked && same(&lease.product))
                })
                .map(|other| other.to),
        );
        let capacity = granters.iter().filter_map(|name| capacity(name)).max();
        let Some(capacity) = capacity.filter(|capacity| seats > *capacity) else { continue };
        let oldest = live().map(|holding| holding.asked).min().unwrap_or(at);
        let names: Vec<&String> =
            terms.first().into_iter().flat_map(|t| t.servers.keys()).collect();
        let split = matches!(names.as_slice(), [a, b] if view.was_split([a, b], oldest, at));
        if (split && !view.is_escrow(oldest, at)) || view.was_word_broken(oldest, at) {
            continue;
        }
        violations.push(Violation::new(
            Promise::Capacity,
            at,
            format!(
                "{seats} seats of `{}` are held and `{}` granted the last one with a capacity of {capacity}",
                lease.product, exchange.to
            ),
        ));
    }
    violations
}

#[cfg(test)]
mod tests {
    use crate::oracle::Promise;
    use crate::oracle::story::Story;

    const PROMISE: Promise = Promise::Capacity;

    #[test]
    fn as_many_as_there_are_is_well_and_released_ones_count_no_more() {
        let mut story = Story::started();
        story.grant(100, "ana", "lic-a", "L1");
        story.grant(200, "bo", "lic-a", "L2");
        story.release(300, "ana", "lic-a", "L1");
        story.grant(400, "cy", "lic-a", "L3");
        story.check(PROMISE, "");
    }

    #[test]
    fn one_more_than_there_are_is_seen() {
        let mut story = Story::started();
        story.grant(100, "ana", "lic-a", "L1");
        story.grant(200, "bo", "lic-b", "L2");
        story.grant(300, "cy", "lic-a", "L3");
        story.check(
            PROMISE,
            "310ms 3 seats of `designer` are held and `lic-a` granted the last one with a capacity of 2",
        );
    }

    #[test]
    fn a_lease_that_ran_out_or_whose_answer_was_lost_does_not_count() {
        let mut story = Story::started();
        story.grant(100, "ana", "lic-a", "L1");
        story.lose_grant(150, "dan", "lic-a");
        story.grant(200_000, "bo", "lic-a", "L2");
        story.grant(300_200, "cy", "lic-a", "L3");
        story.check(PROMISE, "");
    }

    #[test]
    fn a_renewed_lease_lives_on() {
        let mut story = Story::started();
        story.grant(100, "ana", "lic-a", "L1");
        story.renew(250_000, "ana", "lic-a", "L1", 200);
        story.grant(260_000, "bo", "lic-a", "L2");
        story.grant(400_000, "cy", "lic-a", "L3");
        story.check(
            PROMISE,
            "400010ms 3 seats of `designer` are held and `lic-a` granted the last one with a capacity of 2",
        );
    }

    #[test]
    fn a_split_of_a_mirror_excuses_and_of_an_escrow_does_not() {
        for (escrow, seen) in [(false, false), (true, true)] {
            let mut story = Story::started_as(escrow);
            story.grant(100, "ana", "lic-a", "L1");
            story.cut(200, "lic-a", "lic-b");
            story.grant(300, "bo", "lic-a", "L2");
            story.grant(9_000, "cy", "lic-b", "L3");
            assert_eq!(!story.judged(PROMISE).is_empty(), seen, "escrow: {escrow}");
        }
    }

    #[test]
    fn a_word_that_was_not_true_excuses_and_one_that_was_does_not() {
        for (escrow, gives, seen) in
            [(true, false, true), (true, true, false), (false, false, true)]
        {
            let mut story = Story::started_as(escrow);
            story.kill(50, "lic-a");
            story.fence(1_000, "lic-a");
            story.grant(2_000, "ana", "lic-b", "L1");
            story.start(2_500, "lic-a", false);
            story.grant(3_000, "bo", if gives { "lic-a" } else { "lic-b" }, "L2");
            story.grant(9_000, "cy", "lic-b", "L3");
            let judged = story.judged(PROMISE);
            assert_eq!(!judged.is_empty(), seen, "escrow: {escrow}, gives: {gives}: {judged}");
        }
        let mut story = Story::started();
        story.grant(100, "ana", "lic-a", "L1");
        story.kill(200, "lic-a");
        story.fence(1_000, "lic-a");
        story.grant(2_000, "bo", "lic-b", "L2");
        story.grant(3_000, "cy", "lic-b", "L3");
        story.check(PROMISE, "");
    }

    #[test]
    fn a_server_that_lost_its_disk_gives_what_it_was_told_since() {
        for lost in [false, true] {
            let mut story = Story::started();
            story.commit(100, "lic-a", "sha256:two", 2);
            story.commit(100, "lic-b", "sha256:two", 2);
            story.kill(200, "lic-a");
            if lost {
                story.start(300, "lic-b", true);
                story.commit(400, "lic-b", "sha256:three-seats", 1);
            }
            story.grant(5_000, "ana", "lic-b", "L1");
            story.grant(5_100, "bo", "lic-b", "L2");
            story.grant(5_200, "cy", "lic-b", "L3");
            assert_eq!(story.judged(PROMISE).is_empty(), lost);
        }
    }

    #[test]
    fn a_cut_while_one_is_down_is_no_split() {
        let mut story = Story::started();
        story.kill(50, "lic-a");
        story.cut(60, "lic-a", "lic-b");
        story.grant(5_000, "ana", "lic-b", "L1");
        story.grant(5_100, "bo", "lic-b", "L2");
        story.grant(5_200, "cy", "lic-b", "L3");
        assert_ne!(story.judged(PROMISE), "");
    }
}
