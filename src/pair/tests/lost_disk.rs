//! Disks that are lost, and with them what their servers gave: nothing new is granted before that has run out.

use super::*;

impl Script {
    /// The machine is replaced by one with an empty disk.
    fn replace(&mut self, at: usize) {
        self.kill(at);
        self.machines[at].disk = Durable::default();
        self.start(at);
    }

    fn is_in_grace(&mut self, at: usize, use_id: &str) -> bool {
        matches!(self.checkout(at, "bo", use_id), Err(Refusal::Grace { .. }))
    }
}

#[test]
fn a_new_disk_beside_a_standby_that_missed_grants_begins_with_a_grace() {
    let mut script = Script::paired(1);
    script.kill(B);
    script.run(3 * FAILOVER);
    script.checkout(A, "ana", "u1").expect("a seat");
    script.kill(A);
    script.start(B);
    script.replace(A);
    script.run(FAILOVER);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert!(script.is_in_grace(A, "u2"));
    script.run(TTL);
    assert!(script.checkout(A, "bo", "u3").is_ok());
}

#[test]
fn a_new_disk_beside_a_server_that_serves_and_knows_all_needs_no_grace() {
    let mut script = Script::paired(1);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.kill(A);
    script.run(2 * FAILOVER);
    script.renew(B, &ana).expect("a renewal");
    script.replace(A);
    script.run(FAILOVER);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert!(!script.is_in_grace(A, "u2"));
    assert!(script.renew(A, &ana).is_ok());
}

#[test]
fn two_disks_lost_one_after_the_other_begin_with_a_grace() {
    let mut script = Script::paired(1);
    script.checkout(A, "ana", "u1").expect("a seat");
    script.replace(B);
    while script.pair(B).config().is_none() {
        script.run(1);
    }
    script.replace(A);
    script.run(FAILOVER);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert!(script.is_in_grace(A, "u2"));
}

#[test]
fn a_standby_that_is_in_step_with_a_server_in_grace_takes_over_in_grace() {
    let mut script = Script::paired(1);
    script.kill(A);
    script.run(2 * FAILOVER);
    script.checkout(B, "ana", "u1").expect("a seat");
    script.replace(B);
    script.start(A);
    script.run(FAILOVER);
    assert!(script.pair(B).is_paired() && script.is_in_grace(A, "u2"));
    script.kill(A);
    script.run(2 * FAILOVER);
    assert_eq!(script.pair(B).standing().state, State::Active);
    assert!(script.is_in_grace(B, "u3"));
}

#[test]
fn two_servers_of_a_first_bundle_that_began_alone_need_no_grace_once_they_meet() {
    let mut script = Script::begin();
    script.cut = true;
    script.hang_up();
    script.commit(A, config(1), 1);
    script.commit(B, config(1), 1);
    script.run(2 * FAILOVER);
    assert_eq!(script.states(), (State::Active, State::Active));
    script.cut = false;
    script.run(FAILOVER);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert!(script.checkout(A, "ana", "u1").is_ok());
}

#[test]
fn a_peer_that_is_back_when_its_wait_ends_is_caught_up_at_once() {
    for away in (2 * FAILOVER - 500..2 * FAILOVER + 700).step_by(100) {
        let mut script = Script::paired(1);
        script.kill(B);
        script.run(away);
        script.start(B);
        script.disk_ms[B] = 300;
        script.run(2 * FAILOVER);
        assert!(script.pair(A).is_paired(), "away for {away} ms");
    }
}

/// The primary lost its disk, gets its bundle from its peer, and serves alone before a word of its peer's ledger has
/// come; then its peer is back.
fn serve_alone_with_a_new_disk(script: &mut Script) {
    script.replace(A);
    while script.pair(A).config().is_none() {
        script.run(1);
    }
    script.kill(B);
    script.run(2 * FAILOVER);
    assert_eq!(script.pair(A).standing().state, State::Active);
    script.start(B);
    script.run(FAILOVER);
    assert!(script.pair(A).is_paired());
}

#[test]
fn a_new_disk_that_served_alone_learns_what_its_peer_knows() {
    for mode in ["mirror", "escrow"] {
        let mut script = Script::paired_as(1, mode);
        let ana = script.checkout(A, "ana", "u1").expect("a seat");
        serve_alone_with_a_new_disk(&mut script);
        let leases = vec![ana.lease.id.to_string()];
        assert_eq!((script.leases(A), script.leases(B)), (leases.clone(), leases), "{mode}");
        assert!(script.checkout(A, "bo", "u2").is_err(), "{mode}");
    }
}

#[test]
fn a_new_disk_whose_peer_lives_and_refuses_its_identity_leaves_service_to_it() {
    for (new, old) in [(A, B), (B, A)] {
        let mut script = Script::paired(1);
        script.kill(new);
        script.machines[new].disk = Durable::default();
        script.cut = true;
        script.start(new);
        script.commit(new, config(1), 1);
        for _ in 0..TTL / HEARTBEAT {
            script.run(HEARTBEAT);
            script.tell(new, Input::Refused);
        }
        assert_eq!(script.pair(old).standing().state, State::Active);
        assert_ne!(script.pair(new).standing().state, State::Active);
        // The peer is gone: nobody else is left to serve.
        script.kill(old);
        script.run(2 * FAILOVER);
        assert_eq!(script.pair(new).standing().state, State::Active);
    }
}
