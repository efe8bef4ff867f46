//! Scenes of a bundle that swaps the roles on a live pair: in effect on both or on neither, whatever dies on the way.

use super::*;
use crate::seen::{self, Mark};

/// A bundle of these servers, with three seats at the primary and two at the secondary.
fn uneven(names: [&str; 2]) -> Config {
    let everyone = serde_json::json!([{"everyone": true}]);
    compile_for(names, 3, &everyone, &serde_json::json!({}), |license| {
        license.seats = Seats(if license.role == Role::Primary { 3 } else { 2 });
    })
}

fn as_it_was() -> Config {
    uneven(["lic-a", "lic-b"])
}

fn swapped() -> Config {
    uneven(["lic-b", "lic-a"])
}

impl Script {
    fn uneven() -> Self {
        let mut script = Self::begin();
        script.commit(A, as_it_was(), 1);
        script.commit(B, as_it_was(), 1);
        script.run(600);
        script.expect_lead(A);
        script
    }

    fn role(&self, at: usize) -> Role {
        self.pair(at).standing().role.expect("a role")
    }

    /// This one is the primary, leads and serves with its licenses; the other one is its secondary.
    fn expect_primary(&self, at: usize) {
        self.expect_lead(at);
        for (at, role, capacity) in [(at, Role::Primary, 3), (1 - at, Role::Secondary, 2)] {
            assert_eq!(self.role(at), role, "server {at}");
            assert_eq!(self.pair(at).next_role(), None);
            assert_eq!(self.capacity(at), capacity, "server {at}");
            assert!(self.machines[at].disk.committed.as_ref().is_some_and(|c| c.before.is_none()));
        }
    }

    fn capacity(&self, at: usize) -> u32 {
        self.pair(at).status(self.time()).products[0].capacity.0
    }
}

#[test]
fn a_swap_takes_effect_though_the_primary_has_stepped_aside_for_want_of_a_license() {
    let everyone = serde_json::json!([{"everyone": true}]);
    let ends = compile_for(["lic-a", "lic-b"], 3, &everyone, &serde_json::json!({}), |license| {
        if license.role == Role::Primary {
            license.expires = Some(Timestamp::from_ms(1_700_000_010_000));
        }
    });
    let mut script = Script::begin();
    script.commit(A, ends.clone(), 1);
    script.commit(B, ends, 1);
    script.run(300);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.run(10_000 + FAILOVER + HEARTBEAT);
    assert_eq!(script.states(), (State::Recovering, State::Active));
    script.renew(B, &ana).expect("the secondary serves");
    for at in [A, B] {
        script.commit(at, swapped(), 2);
    }
    script.run(2 * FAILOVER);
    script.expect_primary(B);
    script.renew(B, &ana).expect("it is held as before");
}

#[test]
fn a_swap_takes_effect_once_both_run_it_and_the_new_primary_serves() {
    for order in [[A, B], [B, A]] {
        let mut script = Script::uneven();
        let ana = script.checkout(A, "ana", "u1").expect("a seat");
        script.commit(order[0], swapped(), 2);
        // The other one has it too: before it is committed there, its peer may bring it.
        script.commit(order[1], swapped(), 2);
        script.run(600);
        script.expect_primary(B);
        let seen = seen::take();
        assert!(seen.has(Mark::BecamePrimary) && seen.has(Mark::BecameSecondary));
        assert!(script.renew(B, &ana).is_ok());
        assert!(script.checkout(B, "bo", "u2").is_ok() && script.checkout(B, "cy", "u3").is_ok());
        assert!(matches!(script.checkout(B, "di", "u4"), Err(Refusal::NoSeatFree { .. })));
        assert_eq!(script.checkout(A, "ed", "u5"), Err(Refusal::Standby));
        // The new primary dies and comes back, as any primary does.
        script.kill(B);
        script.run(FAILOVER + 100);
        assert_eq!(script.pair(A).standing().state, State::Active);
        script.start(B);
        script.run(600);
        script.expect_primary(B);
        // And back.
        script.commit(A, as_it_was(), 3);
        script.commit(B, as_it_was(), 3);
        script.run(600);
        script.expect_primary(A);
        assert!(script.renew(A, &ana).is_ok());
    }
}

#[test]
fn until_both_run_it_each_keeps_its_role_and_its_licenses() {
    let mut script = Script::uneven();
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.kill(B);
    script.commit(A, swapped(), 2);
    for restart in [false, true] {
        if restart {
            script.kill(A);
            script.start(A);
        }
        script.run(TTL + 2 * FAILOVER);
        assert_eq!(script.role(A), Role::Primary);
        assert_eq!(script.pair(A).next_role(), Some(Role::Secondary));
        assert_eq!((script.pair(A).generation(), script.capacity(A)), (Generation(2), 3));
        assert_eq!(script.pair(A).standing().state, State::Active);
    }
    assert!(script.renew(A, &ana).is_err(), "it ran out");
    let bo = script.checkout(A, "bo", "u2").expect("a seat");
    script.start(B);
    script.run(1_000);
    script.expect_primary(B);
    assert!(script.renew(B, &bo).is_ok());
}

#[test]
fn a_swap_that_is_taken_back_before_both_run_it_changes_nothing() {
    let mut script = Script::uneven();
    script.kill(B);
    script.commit(A, swapped(), 2);
    script.commit(A, as_it_was(), 3);
    assert_eq!(script.pair(A).next_role(), None);
    script.start(B);
    script.run(1_000);
    script.expect_primary(A);
    assert_eq!(script.pair(B).generation(), Generation(3));
}

#[test]
fn a_swap_makes_the_secondary_that_leads_the_primary_where_it_is() {
    let mut script = Script::uneven();
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    assert_eq!(script.hand_over(A, "lic-b", "n1"), Reply::Done);
    script.run(100);
    script.expect_lead(B);
    script.commit(A, swapped(), 2);
    let ticket = script.ask_commit(B, swapped(), 2);
    for _ in 0..600 {
        script.run(1);
        assert_eq!(script.pair(B).standing().state, State::Active, "it never stops");
    }
    assert!(matches!(script.answer(ticket, 1), Some(Reply::Committed { .. })));
    script.expect_primary(B);
    assert!(script.renew(B, &ana).is_ok());
}

#[test]
fn a_split_right_after_a_swap_heals_with_every_holder() {
    for after in 0..30 {
        let mut script = Script::uneven();
        let ana = script.checkout(A, "ana", "u1").expect("a seat");
        script.commit(A, swapped(), 2);
        script.ask_commit(B, swapped(), 2);
        script.run(after);
        script.cut = true;
        script.run(2 * FAILOVER + 1_000);
        let mut held = vec![ana];
        for at in [A, B] {
            let user = ["bo", "cy"][at];
            held.extend(script.checkout(at, user, user).ok());
        }
        script.cut = false;
        script.hang_up();
        script.run(1_000);
        script.expect_primary(B);
        for held in &held {
            assert!(script.renew(B, held).is_ok(), "after {after} ms");
        }
    }
}

#[test]
fn a_swap_cut_off_in_its_moment_and_taken_back_on_both_sides_heals_at_once() {
    for mode in ["mirror", "escrow"] {
        for after in 0..30 {
            let bundle = |names| {
                let everyone = serde_json::json!([{"everyone": true}]);
                compile_for(names, 3, &everyone, &serde_json::json!({"mode": mode}), |_| {})
            };
            let (before, swapped) = (["lic-a", "lic-b"], ["lic-b", "lic-a"]);
            let mut script = Script::begin();
            for at in [A, B] {
                script.commit(at, bundle(before), 1);
            }
            script.run(600);
            script.commit(A, bundle(swapped), 2);
            script.ask_commit(B, bundle(swapped), 2);
            script.run(after);
            script.cut = true;
            script.run(2 * FAILOVER);
            for at in [A, B] {
                let next = script.pair(at).generation().0 + 1;
                script.commit(at, bundle(before), next.max(3));
            }
            script.run(FAILOVER);
            script.cut = false;
            script.hang_up();
            script.run(1_000);
            script.expect_lead(A);
            assert_eq!(script.role(A), Role::Primary, "{mode}, after {after} ms");
        }
    }
}

/// Kills these servers so long after a swap was committed, and starts those that are to come back.
fn crash(leader: usize, dead: &[usize], back: &[usize], after: u64) {
    let scene = format!("{leader} leads, {dead:?} die after {after} ms, {back:?} come back");
    let mut script = Script::uneven();
    if leader == B {
        assert_eq!(script.hand_over(A, "lic-b", "n1"), Reply::Done);
        script.run(100);
    }
    let ana = script.checkout(leader, "ana", "u1").expect("a seat");
    script.run(600);
    script.disk_ms = [3, 4];
    for at in [A, B] {
        script.ask_commit(at, swapped(), 2);
    }
    script.run(after);
    let serving = script.one_serves_after(dead, back, &scene);
    // Whatever is in effect, it serves with the licenses of its role alone.
    let capacity = if script.role(serving) == Role::Primary { 3 } else { 2 };
    assert_eq!(script.capacity(serving), capacity, "{scene}");
    let renewed = script.renew(serving, &ana);
    assert!(renewed.is_ok(), "{scene}: {renewed:?}");
    if script.both_run() {
        script.run(100);
        // Both wrote the bundle, or neither did, or the one that did brought it to the other.
        assert_eq!(script.pair(A).generation(), script.pair(B).generation(), "{scene}");
        match script.pair(A).generation() {
            Generation(2) => script.expect_primary(B),
            _ => script.expect_lead(serving),
        }
    }
}

#[test]
fn whoever_dies_at_any_step_of_a_swap_one_serves_in_the_end() {
    for leader in [A, B] {
        for after in 0..24 {
            for (dead, back) in DEATHS {
                crash(leader, dead, back, after);
            }
        }
    }
}

#[test]
fn a_new_machine_after_a_swap_takes_the_epochs_that_its_peer_does_not_make() {
    for alone_first in [false, true] {
        let mut script = Script::uneven();
        script.commit(A, swapped(), 2);
        script.commit(B, swapped(), 2);
        script.run(600);
        script.expect_primary(B);
        let ana = script.checkout(B, "ana", "u1").expect("a seat");
        script.run(600);
        // The new primary's machine is replaced by an empty one of another name.
        script.kill(B);
        script.run(FAILOVER + 100);
        script.names[B] = "lic-c";
        script.machines[B].disk = Durable::default();
        let next = || uneven(["lic-c", "lic-a"]);
        script.cut = alone_first;
        script.start(B);
        script.commit(A, next(), 3);
        script.commit(B, next(), 3);
        if alone_first {
            // It serves before it has met its peer: in grace, then for somebody.
            script.run(TTL + 2 * FAILOVER);
            assert!(script.checkout(B, "bo", "u2").is_ok());
            script.run(600);
            script.cut = false;
        }
        script.run(1_000);
        assert_eq!((script.role(A), script.role(B)), (Role::Secondary, Role::Primary));
        assert_eq!(script.states(), (State::Standby, State::Active));
        assert_eq!(script.leases(A), script.leases(B));
        assert_ne!(script.pair(A).is_odd(), script.pair(B).is_odd());
        if alone_first {
            assert!(seen::take().has(Mark::ParityChanged));
        } else {
            assert!(script.renew(B, &ana).is_ok());
        }
        script.kill(B);
        script.run(FAILOVER + 100);
        assert!(script.checkout(A, "cy", "u3").is_ok());
        script.start(B);
        script.run(1_000);
        assert_eq!(script.states(), (State::Standby, State::Active));
        assert_eq!(script.leases(A), script.leases(B));
    }
}

#[test]
fn a_role_is_not_changed_beside_another_server_than_before() {
    let mut script = Script::uneven();
    let base = script.pair(B).generation();
    let ticket = script.ask_commit(B, uneven(["lic-b", "lic-c"]), 2);
    let refused = Some(Reply::Refused(Refusal::GenerationConflict));
    assert_eq!(script.answer(ticket, 20), refused);
    assert_eq!(script.pair(B).generation(), base);
}
