//! Scenes of a planned handover: service moves without a timeout, stays, and survives whatever dies on the way.

use super::*;
use crate::seen::{self, Mark};

impl Script {
    fn ask_handover(&mut self, at: usize, to: &str, nonce: &str) -> u64 {
        let nonce = Nonce { nonce: nonce.to_owned(), expires: self.time().wall };
        let server = ServerName::new(to).expect("a name");
        self.command(at, Command::Handover { server, nonce })
    }

    pub(super) fn hand_over(&mut self, at: usize, to: &str, nonce: &str) -> Reply {
        let ticket = self.ask_handover(at, to, nonce);
        self.answer(ticket, FAILOVER + 1_000).expect("an answer")
    }

    /// Why a handover is refused.
    fn no_handover(&mut self, at: usize, to: &str) -> String {
        let nonce = format!("refused-{}", self.tickets);
        match self.hand_over(at, to, &nonce) {
            Reply::Refused(Refusal::HandoverRefused { reason }) => reason,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// A pair whose secondary leads.
    pub(super) fn handed_over(seats: u32) -> Self {
        let mut script = Self::paired(seats);
        assert_eq!(script.hand_over(A, "lic-b", "n1"), Reply::Done);
        script.run(100);
        script.expect_lead(B);
        script
    }

    /// Both agree that this one leads, it serves, the other one stands by, and they are paired with one ledger.
    pub(super) fn expect_lead(&self, at: usize) {
        let active = (State::Active, State::Standby);
        let states = if at == A { active } else { (active.1, active.0) };
        assert_eq!(self.states(), states);
        for one in [A, B] {
            assert_eq!(self.pair(one).leader().map(ServerName::as_str), Some(NAMES[at]));
            assert!(self.pair(one).is_ready(), "server {one}");
        }
        assert_eq!(self.pair(at).status(self.time()).grace_ends_in, None);
        assert_eq!(self.leases(A), self.leases(B));
    }
}

#[test]
fn a_handover_moves_service_at_once_and_back_without_a_grace() {
    let mut script = Script::paired(2);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    assert_eq!(script.hand_over(A, "lic-b", "n1"), Reply::Done);
    script.run(20);
    script.expect_lead(B);
    assert!(seen::take().has(Mark::HandedOver));
    assert_eq!(script.renew(A, &ana), Err(Refusal::Standby));
    assert!(script.renew(B, &ana).is_ok());
    let bo = script.checkout(B, "bo", "u2").expect("the second seat");
    assert!(matches!(script.checkout(B, "cy", "u3"), Err(Refusal::NoSeatFree { .. })));

    assert_eq!(script.hand_over(B, "lic-a", "n2"), Reply::Done);
    script.run(20);
    script.expect_lead(A);
    assert!(script.renew(A, &ana).is_ok() && script.renew(A, &bo).is_ok());
    assert!(matches!(script.checkout(A, "cy", "u3"), Err(Refusal::NoSeatFree { .. })));
    let repeated = script.ask_handover(A, "lic-b", "n1");
    assert_eq!(script.answer(repeated, 10), Some(Reply::Refused(Refusal::NonceTaken)));
}

#[test]
fn a_server_that_hands_over_answers_nobody_from_that_moment() {
    let mut script = Script::paired(2);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.disk_ms = [20; 2];
    script.ask_handover(A, "lic-b", "n1");
    assert_eq!(script.renew(A, &ana), Err(Refusal::Recovering));
    assert_eq!(script.renew(B, &ana), Err(Refusal::Standby));
}

#[test]
fn a_handover_is_durable_before_the_peer_hears_of_it() {
    let mut script = Script::paired(2);
    script.run(600);
    script.disk_ms = [1_000; 2];
    script.ask_handover(A, "lic-b", "n1");
    for _ in 0..900 {
        script.run(1);
        assert_eq!(script.states(), (State::Recovering, State::Standby));
        assert_eq!(script.pair(B).leader().map(ServerName::as_str), Some("lic-a"));
    }
    script.run(5_000);
    script.expect_lead(B);
    assert!([A, B].iter().all(|at| script.machines[*at].disk.facts.lead.is_some()));
}

#[test]
fn a_request_under_way_is_answered_by_the_new_leader() {
    let mut script = Script::paired(1);
    script.disk_ms = [20; 2];
    let ticket = script.ask(A, "ana", "u1");
    script.run(10);
    let moved = script.ask_handover(A, "lic-b", "n1");
    assert_eq!(script.answer(ticket, 10), Some(Reply::Refused(Refusal::Recovering)));
    assert_eq!(script.answer(moved, 200), Some(Reply::Done));
    script.run(200);
    assert!(script.checkout(B, "ana", "u1").is_ok(), "the same use");
    assert!(matches!(script.checkout(B, "bo", "u2"), Err(Refusal::NoSeatFree { .. })));
}

#[test]
fn what_was_handed_over_stays_through_restarts() {
    let mut script = Script::handed_over(3);
    let ana = script.checkout(B, "ana", "u1").expect("a seat");
    // The standby, the leader for a moment, and both.
    for dead in [vec![A], vec![B], vec![A, B]] {
        for at in &dead {
            script.kill(*at);
        }
        script.run(1_000);
        for at in &dead {
            script.start(*at);
        }
        script.run(600);
        script.expect_lead(B);
        assert!(script.renew(B, &ana).is_ok());
        assert!(script.checkout(B, "bo", "u2").is_ok());
    }
}

#[test]
fn a_dead_leader_is_replaced_by_the_primary_which_leads_from_then_on() {
    let mut script = Script::handed_over(2);
    let ana = script.checkout(B, "ana", "u1").expect("a seat");
    script.run(600);
    script.kill(B);
    script.run(FAILOVER + 100);
    assert_eq!(script.pair(A).standing().state, State::Active);
    assert!(script.renew(A, &ana).is_ok());
    assert!(script.checkout(A, "bo", "u2").is_ok(), "it was in step: no grace");
    script.start(B);
    script.run(500);
    script.expect_lead(A);
    script.kill(A);
    script.run(100);
    script.start(A);
    script.run(500);
    script.expect_lead(A);
}

#[test]
fn a_lonely_leader_waits_before_it_grants_whatever_its_role() {
    let mut script = Script::handed_over(3);
    script.run(600);
    script.kill(A);
    assert!(matches!(script.checkout(B, "bo", "u2"), Err(Refusal::Grace { .. })));
    script.run(2 * FAILOVER + 300);
    let bo = script.checkout(B, "bo", "u2").expect("a seat");
    script.start(A);
    script.run(500);
    script.expect_lead(B);
    assert!(script.renew(B, &bo).is_ok());
}

#[test]
fn after_a_split_the_primary_leads_and_nobody_lost_a_seat() {
    let mut script = Script::handed_over(2);
    let ana = script.checkout(B, "ana", "u1").expect("a seat");
    script.run(600);
    script.cut = true;
    script.run(2 * FAILOVER + 1_000);
    assert_eq!(script.states(), (State::Active, State::Active));
    let bo = script.checkout(A, "bo", "u2").expect("a seat at the primary");
    let cy = script.checkout(B, "cy", "u3").expect("a seat at the secondary");
    script.cut = false;
    script.hang_up();
    script.run(600);
    script.expect_lead(A);
    for held in [&ana, &bo, &cy] {
        assert!(script.renew(A, held).is_ok());
    }
}

#[test]
fn a_handover_that_cannot_be_done_says_why() {
    let mut script = Script::paired(3);
    insta::assert_snapshot!(script.no_handover(A, "lic-a"), @"`lic-a` serves already");
    insta::assert_snapshot!(script.no_handover(A, "lic-c"), @"`lic-c` is no server of this pair: they are `lic-a` and `lic-b`");
    let standby = script.ask_handover(B, "lic-b", "n1");
    assert_eq!(script.answer(standby, 10), Some(Reply::Refused(Refusal::Standby)));
    script.kill(B);
    insta::assert_snapshot!(script.no_handover(A, "lic-b"), @"`lic-b` is not connected: start it, or mend the network between the two, and wait until `tandem status` says that they are paired");
    script.start(B);
    script.disk_ms = [200; 2];
    script.run(300);
    insta::assert_snapshot!(script.no_handover(A, "lic-b"), @"`lic-b` is not in step yet: wait until `tandem status` says that the two are paired");
    script.disk_ms = [1; 2];
    script.run(2_000);
    script.kill(A);
    script.run(FAILOVER + 100);
    insta::assert_snapshot!(script.no_handover(B, "lic-b"), @"`lic-b` serves only while `lic-a` is away, which takes service back when it returns");
}

#[test]
fn a_peer_of_a_version_without_handovers_is_not_asked_to_lead() {
    let mut script = Script::begin();
    script.speaks_v1 = true;
    script.commit(A, config(3), 1);
    script.commit(B, config(3), 1);
    script.run(600);
    insta::assert_snapshot!(script.no_handover(A, "lic-b"), @"`lic-b` runs a version that knows of no handover: upgrade it");
}

#[test]
fn a_server_in_grace_is_not_handed_over() {
    let mut script = Script::paired(3);
    script.kill(B);
    script.run(2 * FAILOVER + 500);
    let held = script.checkout(A, "ana", "u1").expect("a seat");
    let token = script.token(&held);
    // It loses its disk: the lease is unknown to both, and its token proves it.
    script.kill(A);
    script.machines[A].disk.ledger = Default::default();
    script.start(A);
    script.start(B);
    script.run(500);
    let ticket = script.command(A, Command::Renew(token));
    assert!(matches!(script.answer(ticket, 100), Some(Reply::Lease(_))));
    insta::assert_snapshot!(script.no_handover(A, "lic-b"), @"`lic-a` may not know every lease yet: wait for the end of its grace, in 21s");
}

#[test]
fn a_peer_that_does_not_take_service_leaves_it_where_it_was() {
    let mut script = Script::paired(2);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.run(600);
    let ticket = script.ask_handover(A, "lic-b", "n1");
    script.kill(B);
    script.run(FAILOVER + 100);
    let Some(Reply::Refused(Refusal::HandoverRefused { reason })) = script.answer(ticket, 10)
    else {
        panic!("it is not refused");
    };
    insta::assert_snapshot!(reason, @"`lic-b` did not take service in time: see `tandem status` for which server serves, and hand over again");
    assert!(seen::take().has(Mark::HandoverFailed));
    assert!(script.renew(A, &ana).is_ok());
    script.start(B);
    script.run(500);
    script.expect_lead(A);
}

/// Kills these servers so long after a handover was ordered, and starts those that are to come back.
fn crash(from: usize, dead: &[usize], back: &[usize], after: u64) {
    let scene = format!("from {from}, {dead:?} die after {after} ms, {back:?} come back");
    let mut script = if from == A { Script::paired(2) } else { Script::handed_over(2) };
    let to = 1 - from;
    let ana = script.checkout(from, "ana", "u1").expect("a seat");
    script.run(600);
    script.disk_ms = [3; 2];
    script.ask_handover(from, NAMES[to], "n2");
    script.run(after);
    let serving = script.one_serves_after(dead, back, &scene);
    let renewed = script.renew(serving, &ana);
    assert!(renewed.is_ok(), "{scene}: {renewed:?}");
    let mut held = 1;
    for user in ["bo", "cy"] {
        held += usize::from(script.checkout(serving, user, &format!("use-{user}")).is_ok());
    }
    assert!(held <= 2, "{scene}: {held} seats of two");
    if script.both_run() {
        script.run(100);
        script.expect_lead(serving);
        assert_eq!(held, 2, "{scene}: both knew everything");
    }
}

#[test]
fn whoever_dies_at_any_step_of_a_handover_one_serves_in_the_end() {
    for from in [A, B] {
        for after in 0..40 {
            for (dead, back) in DEATHS {
                crash(from, dead, back, after);
            }
        }
    }
}
