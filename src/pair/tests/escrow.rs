//! Scenes of the mode `escrow`: never a seat too many, whatever the network does, and holders keep theirs.

use super::*;
use crate::ledger::Void;
use crate::seen::{self, Mark};

/// The time after which a lease that nobody renews has run out at a server.
const RUN_OUT: u64 = TTL + TTL * 3 / 100 + 100;

impl Script {
    fn escrow(seats: u32) -> Self {
        let mut script = Self::paired_as(seats, "escrow");
        script.run(HEARTBEAT + 100);
        script
    }

    /// Both are up, and each serves alone.
    fn split(&mut self) {
        self.cut = true;
        self.run(2 * FAILOVER + 700);
        assert_eq!(self.states(), (State::Active, State::Active));
    }

    fn heal(&mut self) {
        self.cut = false;
        self.hang_up();
        self.run(2 * HEARTBEAT + 300);
        assert_eq!(self.states(), (State::Active, State::Standby));
        assert_eq!(self.contents(A), self.contents(B));
    }

    /// What both servers must agree on.
    fn contents(&self, at: usize) -> (Vec<crate::ledger::Lease>, crate::ledger::Quotas) {
        let contents = self.pair(at).ledger().contents();
        let strip = |lease| crate::ledger::Lease { heard: Epoch(0), ..lease };
        (contents.leases.into_iter().map(strip).collect(), contents.quotas)
    }

    /// As many seats as can be had, one after the other.
    fn exhaust(&mut self, at: usize, name: &str) -> Vec<Held> {
        let one = |n: usize| self.checkout(at, &format!("{name}-{n}"), &format!("{name}-{n}"));
        (0..40).map(one).map_while(Result::ok).collect()
    }

    fn fence(&mut self, at: usize, nonce: &str) -> Option<Reply> {
        let nonce = Nonce { nonce: nonce.to_owned(), expires: self.time().wall };
        let server = ServerName::new(["lic-a", "lic-b"][1 - at]).expect("a name");
        let ticket = self.command(at, Command::Fence { server, nonce });
        self.answer(ticket, 100)
    }

    fn release(&mut self, at: usize, held: &Held) {
        let token = self.token(held);
        let ticket = self.command(at, Command::Release(token));
        assert_eq!(self.answer(ticket, 100), Some(Reply::Released));
    }

    /// Slots of `lic-a` and of `lic-b`, as a server knows them.
    fn quotas(&self, at: usize) -> (u32, u32) {
        let product = ProductName::new("designer").expect("a name");
        let slots = self.pair(at).ledger().quotas().slots(&product);
        let of = |name: &str| slots.of(&ServerName::new(name).expect("a name")).0;
        (of("lic-a"), of("lic-b"))
    }

    fn parked(&self, at: usize) -> u32 {
        let product = ProductName::new("designer").expect("a name");
        self.pair(at).ledger().parked(&product).0
    }
}

#[test]
fn a_paired_primary_gives_out_every_seat() {
    let mut script = Script::escrow(10);
    assert_eq!((script.quotas(A), script.quotas(B)), ((8, 2), (8, 2)));
    assert_eq!(script.exhaust(A, "a").len(), 10);
}

#[test]
fn each_side_of_a_cut_gives_out_its_share_and_no_more() {
    let mut script = Script::escrow(10);
    script.split();
    let at_a = script.exhaust(A, "a");
    let at_b = script.exhaust(B, "b");
    assert_eq!((at_a.len(), at_b.len()), (8, 2));
    script.heal();
    for held in at_a.iter().chain(&at_b) {
        assert!(script.renew(A, held).is_ok());
    }
}

#[test]
fn the_secondarys_share_comes_back_free_when_seats_are_given_back() {
    let mut script = Script::escrow(10);
    let all = script.exhaust(A, "a");
    for held in &all[..3] {
        script.release(A, held);
    }
    script.run(2 * HEARTBEAT);
    script.split();
    assert_eq!(script.exhaust(B, "b").len(), 2);
    assert_eq!(script.exhaust(A, "c").len(), 1);
    assert!(seen::take().has(Mark::Shifted));
}

#[test]
fn a_lease_that_ran_out_during_a_cut_keeps_its_slot_until_the_cut_heals() {
    let mut script = Script::escrow(5);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.checkout(A, "bo", "u2").expect("a seat");
    script.split();
    // Ana has moved; Bo has gone home without a word.
    for _ in 0..8 {
        script.run(RUN_OUT / 8);
        script.renew(B, &ana).expect("hers");
    }
    assert_eq!((script.parked(A), script.parked(B)), (2, 1));
    assert_eq!(script.exhaust(A, "a").len(), 2, "four slots, two of them parked");
    script.heal();
    script.run(HEARTBEAT);
    assert!(script.renew(A, &ana).is_ok());
    assert_eq!(script.parked(A), 0);
    assert_eq!(script.exhaust(A, "c").len(), 2);
    let seen = seen::take();
    assert!(seen.has(Mark::Parked) && seen.has(Mark::FreedParked));
}

#[test]
fn a_holder_who_goes_back_and_forth_keeps_the_seat() {
    let mut script = Script::escrow(5);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.split();
    let new = script.checkout(A, "bo", "u2").expect("a seat");
    for at in [B, A, B] {
        for _ in 0..8 {
            script.run(RUN_OUT / 8);
            script.renew(at, &ana).expect("hers");
            script.renew(at, &new).expect("his, though the other never heard of it");
        }
    }
    script.heal();
    assert!(script.renew(A, &ana).is_ok() && script.renew(A, &new).is_ok());
    assert_eq!(script.leases(A).len(), 2);
    assert!(seen::take().has(Mark::Revived));
}

#[test]
fn a_slot_that_was_released_is_free_at_its_owner_and_parked_at_the_other() {
    let mut script = Script::escrow(5);
    let all = script.exhaust(A, "a");
    script.split();
    assert!(script.exhaust(A, "b").is_empty() && script.exhaust(B, "b").is_empty());
    // The first has a slot of the primary's; the last one of the secondary's.
    script.release(B, &all[0]);
    script.release(A, &all[4]);
    assert!(script.exhaust(A, "c").is_empty() && script.exhaust(B, "c").is_empty());
    script.release(A, &all[1]);
    assert_eq!(script.exhaust(A, "d").len(), 1);
    script.heal();
    assert_eq!(script.exhaust(A, "e").len(), 2);
}

#[test]
fn one_more_window_during_a_cut_needs_a_slot_of_the_server_that_is_asked() {
    let mut script = Script::escrow(5);
    let held = script.checkout(A, "ana", "u1").expect("a seat");
    script.split();
    script.checkout(A, "ana", "u2").expect("the owner has the slot");
    let joined = script.checkout(B, "ana", "u3").expect("the other takes its own");
    assert_eq!(joined.lease.id, held.lease.id);
    assert!(matches!(script.checkout(B, "bo", "u4"), Err(Refusal::NoSeatFree { .. })));
    script.heal();
    script.run(HEARTBEAT);
    assert_eq!(script.leases(A).len(), 1);
    assert_eq!(script.exhaust(A, "c").len(), 4);
}

#[test]
fn a_grant_on_the_peers_slot_is_not_answered_once_the_peer_is_lost() {
    let mut script = Script::escrow(5);
    for n in 0..4 {
        script.checkout(A, &format!("u{n}"), &format!("u{n}")).expect("a seat");
    }
    let ticket = script.ask(A, "last", "last");
    script.cut = true;
    let refused = Some(Reply::Refused(Refusal::Grace { retry_after: Span::from_ms(HEARTBEAT) }));
    assert_eq!(script.answer(ticket, 2 * FAILOVER + 700), refused);
    script.run(10);
    assert!(matches!(script.checkout(A, "last", "last"), Err(Refusal::NoSeatFree { .. })));
    assert_eq!(script.exhaust(B, "b").len(), 1);
    assert!(seen::take().has(Mark::RefusedUncovered));
}

#[test]
fn a_silence_on_the_first_connection_costs_no_slots() {
    let mut script = Script::escrow(10);
    script.cut = true;
    script.run(FAILOVER - HEARTBEAT);
    script.cut = false;
    script.run(2 * HEARTBEAT);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert_eq!(script.quotas(A), (8, 2));
    assert_eq!(script.exhaust(A, "a").len(), 10);
    assert!(!seen::take().has(Mark::SlotsLost));
}

#[test]
fn a_grant_on_the_peers_slot_is_not_answered_once_the_peer_has_lost_its_disk() {
    let mut script = Script::escrow(5);
    let seats: Vec<Held> = (0..4)
        .map(|n| script.checkout(A, &format!("u{n}"), &format!("u{n}")).expect("a seat"))
        .collect();
    let ticket = script.ask(A, "last", "last");
    script.cut = true;
    script.run(FAILOVER + 200);
    // It gives that slot away, and forgets it, before the primary goes on alone.
    let held = script.exhaust(B, "b");
    assert_eq!(held.len(), 1);
    script.kill(B);
    script.machines[B].disk = Durable::default();
    script.cut = false;
    script.hang_up();
    script.start(B);
    let refused = Some(Reply::Refused(Refusal::Grace { retry_after: Span::from_ms(HEARTBEAT) }));
    assert_eq!(script.answer(ticket, FAILOVER), refused);
    script.run(2 * HEARTBEAT);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert!(matches!(script.checkout(A, "last", "last"), Err(Refusal::NoSeatFree { .. })));
    script.renew(A, &held[0]).expect("adopted");
    // Whose lease is on that slot gets another once one is free, before who came after.
    assert_eq!(script.queue(A, "last", "last-again"), 1);
    let last = script.ask_waiting(A, "last", "last-again", TTL);
    let next = script.ask_waiting(A, "next", "next", TTL);
    script.release(A, &seats[0]);
    assert!(script.answer(last, 100).is_none() && script.answer(next, 100).is_none());
    script.release(A, &seats[1]);
    assert!(matches!(script.answer(last, 100), Some(Reply::Lease(_))));
    assert!(matches!(script.answer(next, 100), Some(Reply::Lease(_))));
    assert!(script.checkout(A, "more", "more").is_err());
    script.run(RUN_OUT + 2 * HEARTBEAT);
    script.run(2 * HEARTBEAT);
    assert_eq!(script.quotas(A), (4, 1));
}

#[test]
fn a_step_that_the_peer_never_wrote_down_is_begun_anew_after_the_cut() {
    let mut script = Script::escrow(10);
    let all = script.exhaust(A, "a");
    script.run(TTL / 4);
    script.release(A, &all[0]);
    // The primary's slot is free for a lease that has the secondary's; the secondary's disk is slow.
    script.disk_ms = [1, 900];
    script.run(HEARTBEAT + 100);
    script.cut = true;
    script.hang_up();
    assert!(seen::take().has(Mark::TransferRepeated));
    script.run(2 * FAILOVER + 700);
    assert_eq!(script.exhaust(B, "b").len(), 0);
    assert_eq!(script.exhaust(A, "c").len(), 0, "that lease may keep both slots");
    script.disk_ms = [1, 1];
    script.heal();
    script.run(HEARTBEAT);
    assert_eq!(script.exhaust(A, "d").len(), 1);
}

#[test]
fn a_fence_gives_every_slot_one_ttl_later_and_is_lifted_when_the_fenced_returns() {
    for (dead, alive) in [(A, B), (B, A)] {
        let mut script = Script::escrow(10);
        let all = script.exhaust(A, "a");
        script.kill(dead);
        script.run(2 * FAILOVER + 700);
        assert!(script.exhaust(alive, "b").is_empty());
        assert_eq!(script.fence(alive, "n1"), Some(Reply::Done));
        for _ in 0..8 {
            script.run(RUN_OUT / 8 + HEARTBEAT);
            script.renew(alive, &all[0]).expect("theirs");
        }
        // Nine did not come back.
        assert_eq!(script.exhaust(alive, "c").len(), 9);
        script.start(dead);
        script.run(1_000);
        assert_eq!(script.states(), (State::Active, State::Standby));
        assert_eq!(script.pair(A).ledger().quotas().void(&script.pair(A).me), None);
        assert_eq!(script.quotas(A), (8, 2), "lifted, after lic-{dead} was dead");
        assert_eq!(script.contents(A), script.contents(B));
        assert_eq!(script.leases(A).len(), 10);
        let seen = seen::take();
        assert!(seen.has(Mark::Fenced) && seen.has(Mark::Replaced));
    }
}

/// A server of a pair with ten seats dies, is fenced, and is back before a ttl has passed.
fn fenced_and_back(dead: usize) -> Script {
    let mut script = Script::escrow(10);
    script.kill(dead);
    script.run(2 * FAILOVER + 700);
    script.fence(1 - dead, "n1");
    script.start(dead);
    script.run(1_000);
    script
}

#[test]
fn a_fenced_server_that_returns_in_time_gets_its_slots_back_after_a_ttl() {
    let mut script = fenced_and_back(B);
    assert_eq!(script.quotas(A), (8, 0));
    let peer = ServerName::new("lic-b").expect("a name");
    assert_eq!(script.pair(B).ledger().quotas().void(&peer), Some(Void::Lost));
    script.run(RUN_OUT + 2 * HEARTBEAT);
    assert_eq!((script.quotas(A), script.quotas(B)), ((8, 2), (8, 2)));
    assert!(seen::take().has(Mark::FenceLifted));
}

#[test]
fn a_fence_does_not_outlive_the_return_of_the_fenced() {
    let mut script = fenced_and_back(A);
    assert_eq!(script.states(), (State::Active, State::Standby));
    let held = script.exhaust(A, "a");
    assert!(!held.is_empty());
    // They part again before one ttl has passed: now the other one serves.
    script.split();
    for _ in 0..8 {
        script.run(RUN_OUT / 8 + HEARTBEAT);
        for one in &held {
            script.renew(A, one).expect("theirs");
        }
    }
    let more = [A, B].map(|at| script.exhaust(at, "x").len());
    assert!(held.len() + more[0] + more[1] <= 10, "{} and {more:?} of 10", held.len());
}

#[test]
fn a_server_that_lost_its_disk_gets_its_slots_back_after_a_ttl() {
    for lost in [A, B] {
        let mut script = Script::escrow(10);
        script.split();
        let at_a = script.exhaust(A, "a");
        let at_b = script.exhaust(B, "b");
        assert_eq!((at_a.len(), at_b.len()), (8, 2));
        script.kill(lost);
        script.machines[lost].disk = Durable::default();
        script.cut = false;
        script.start(lost);
        script.run(FAILOVER);
        assert_eq!(script.states(), (State::Active, State::Standby), "lic-{lost}");
        let more = script.exhaust(A, "c").len();
        assert_eq!(more, 0, "what lic-{lost} granted may still be held: {:?}", script.contents(A));
        for held in at_a.iter().chain(&at_b) {
            script.renew(A, held).expect("known or adopted");
        }
        script.run(RUN_OUT + 2 * HEARTBEAT);
        script.run(2 * HEARTBEAT);
        assert_eq!(script.quotas(A), (8, 2));
        assert_eq!(script.exhaust(A, "d").len(), 10);
        assert!(seen::take().has(Mark::SlotsLost));
    }
}

#[test]
fn who_holds_a_slot_of_a_lost_disk_gets_another_that_is_free() {
    let mut script = Script::escrow(5);
    let held = script.exhaust(A, "a");
    script.kill(B);
    script.machines[B].disk = Durable::default();
    script.start(B);
    script.run(FAILOVER);
    assert_eq!((script.states(), script.quotas(A)), ((State::Active, State::Standby), (4, 0)));
    // The last one's seat is the slot of the lost disk: nobody knows whether it was given away there.
    assert!(script.checkout(A, "a-4", "second").is_err());
    script.release(A, &held[0]);
    let second = script.checkout(A, "a-4", "third").expect("a slot of the other server");
    assert_eq!(second.lease.id, held[4].lease.id);
    assert!(script.checkout(A, "b", "b").is_err());
    script.run(RUN_OUT / 2);
    for one in held[1..].iter().chain([&second]) {
        script.renew(A, one).expect("theirs");
    }
    script.run(RUN_OUT / 2 + 4 * HEARTBEAT);
    assert_eq!((script.quotas(A), script.quotas(B)), ((4, 1), (4, 1)));
    assert_eq!(script.exhaust(A, "c").len(), 1);
}

#[test]
fn a_first_bundle_on_one_server_alone_gives_out_nothing_before_the_two_have_met() {
    let mut script = Script::begin();
    script.kill(B);
    script.commit(A, config_as(5, "escrow"), 1);
    script.run(2 * FAILOVER + TTL + 2_000);
    assert_eq!(script.states_of(A), State::Active);
    assert!(script.exhaust(A, "a").is_empty());
    script.start(B);
    script.run(2_000);
    assert_eq!(script.exhaust(A, "b").len(), 5);
}

#[test]
fn a_lowered_capacity_takes_the_whole_difference_from_the_side_that_knows() {
    let mut script = Script::escrow(10);
    script.split();
    script.commit(A, config_as(6, "escrow"), 2);
    assert_eq!(script.exhaust(A, "a").len(), 4);
    assert_eq!(script.exhaust(B, "b").len(), 2);
    script.heal();
    script.run(2 * HEARTBEAT);
    assert_eq!(script.quotas(A), (4, 2));
    script.commit(A, config_as(20, "escrow"), 3);
    script.commit(B, config_as(20, "escrow"), 3);
    script.run(2 * HEARTBEAT);
    assert_eq!(script.quotas(B), (16, 4));
}

#[test]
fn what_is_given_back_to_a_server_alone_pays_first_for_what_is_held_beyond_a_lowered_capacity() {
    let mut script = Script::escrow(10);
    let all = script.exhaust(A, "a");
    script.commit(A, config_as(5, "escrow"), 2);
    script.commit(B, config_as(5, "escrow"), 2);
    script.run(2 * HEARTBEAT);
    assert_eq!(script.quotas(B), (4, 1));
    script.kill(A);
    script.run(2 * FAILOVER);
    // Both seats of the secondary's: eight of the primary's are still held, of five that there are.
    for held in &all[8..] {
        script.release(B, held);
    }
    assert_eq!(script.exhaust(B, "b").len(), 0);
}

#[test]
fn a_mode_that_changes_on_a_live_pair_keeps_every_holder() {
    let mut script = Script::paired(5);
    let all: Vec<Held> = script.exhaust(A, "a");
    for (generation, mode) in [(2, "escrow"), (3, "mirror"), (4, "escrow")] {
        for at in [A, B] {
            script.commit(at, config_as(5, mode), generation);
        }
        script.run(2 * HEARTBEAT);
        for held in &all {
            script.renew(A, held).expect("theirs");
        }
        let quotas = if mode == "escrow" { (4, 1) } else { (0, 0) };
        assert_eq!((script.quotas(A), script.quotas(B)), (quotas, quotas));
    }
    script.release(A, &all[0]);
    script.split();
    let (at_a, at_b) = (script.exhaust(A, "c").len(), script.exhaust(B, "c").len());
    assert_eq!(at_a + at_b, 1);
}

#[test]
fn a_mode_that_changes_soon_after_a_disk_was_lost_begins_with_a_grace() {
    let mut script = Script::escrow(5);
    script.split();
    let lost = script.exhaust(B, "b");
    assert_eq!(lost.len(), 1);
    script.kill(B);
    script.machines[B].disk = Durable::default();
    script.cut = false;
    script.start(B);
    script.run(FAILOVER);
    for at in [A, B] {
        script.commit(at, config_as(5, "mirror"), 2);
    }
    script.run(2 * HEARTBEAT);
    assert!(script.exhaust(A, "a").is_empty(), "four are free, and nobody knows of the fifth");
    script.renew(A, &lost[0]).expect("adopted");
    script.run(RUN_OUT / 2);
    script.renew(A, &lost[0]).expect("theirs");
    script.run(RUN_OUT / 2 + HEARTBEAT);
    assert_eq!(script.exhaust(A, "c").len(), 4);
}

#[test]
fn a_mode_is_not_changed_while_the_two_are_apart() {
    let mut script = Script::paired(5);
    script.split();
    let ticket = script.ask_commit(A, config_as(5, "escrow"), 2);
    let answer = script.answer(ticket, 100);
    assert!(matches!(answer, Some(Reply::Refused(Refusal::NotPaired { .. }))), "{answer:?}");
}

impl Script {
    fn states_of(&self, at: usize) -> State {
        self.pair(at).standing().state
    }
}

/// The primary has given a seat of its two of three when it dies, cut off from its peer; that has a bundle with one seat.
fn lowered_while_apart() -> Script {
    let mut script = Script::paired_as(3, "escrow");
    script.run(2 * HEARTBEAT);
    script.cut = true;
    script.hang_up();
    script.run(2 * FAILOVER + 600);
    script.checkout(A, "ana", "u1").expect("a seat");
    script.commit(B, config_as(1, "escrow"), 2);
    script.kill(A);
    script
}

#[test]
fn a_capacity_that_was_lowered_before_a_disk_was_lost_does_not_free_a_seat_that_may_be_held() {
    let mut script = lowered_while_apart();
    script.machines[A].disk = Durable::default();
    script.start(A);
    script.cut = false;
    script.run(2_000);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert!(matches!(script.checkout(A, "bo", "u2"), Err(Refusal::NoSeatFree { .. })));
    script.run(TTL + 2_000);
    assert!(script.checkout(A, "bo", "u3").is_ok());
}

#[test]
fn a_capacity_that_was_lowered_before_a_fence_does_not_free_a_seat_that_may_be_held() {
    let mut script = lowered_while_apart();
    assert_eq!(script.fence(B, "n1"), Some(Reply::Done));
    assert!(matches!(script.checkout(B, "bo", "u2"), Err(Refusal::NoSeatFree { .. })));
    script.run(TTL + 2_000);
    assert!(script.checkout(B, "bo", "u3").is_ok());
}

#[test]
fn a_silence_while_a_split_heals_loses_nothing_that_either_gave() {
    for (mode, seats) in [("mirror", 4), ("escrow", 10)] {
        for from in (0..20).chain((20..600).step_by(40)) {
            for silence in (1_500..3_500).step_by(200) {
                let mut script = Script::paired_as(seats, mode);
                script.run(HEARTBEAT + 100);
                script.split();
                let given = script.exhaust(A, "a").len() + script.exhaust(B, "b").len();
                script.cut = false;
                script.hang_up();
                script.run(from);
                script.cut = true;
                script.run(silence);
                script.cut = false;
                script.run(2 * FAILOVER + 700);
                assert_eq!(script.states(), (State::Active, State::Standby));
                let known = script.leases(A).len();
                assert_eq!(known, given, "{mode}: {silence} ms without a word after {from} ms");
            }
        }
    }
}
