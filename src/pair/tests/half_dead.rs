//! Scenes of rule 9: servers that run and cannot do their work.

use super::*;

/// A disk that takes no write for an hour.
const HUNG: u64 = 3_600_000;

#[test]
fn a_primary_whose_disk_hangs_makes_room_for_its_secondary() {
    let mut script = Script::paired(3);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.disk_ms[A] = HUNG;
    let asked = script.ask(A, "bo", "u2");
    script.run(FAILOVER / 2);
    assert_eq!(script.pair(A).standing().state, State::Recovering);
    assert_eq!(script.replies.get(&asked), Some(&Reply::Refused(Refusal::Recovering)));
    script.run(FAILOVER + HEARTBEAT);
    assert_eq!(script.states(), (State::Recovering, State::Active));
    assert!(script.renew(B, &ana).is_ok());
    // Without a grace: the primary did not grant what its secondary does not know.
    assert!(script.checkout(B, "bo", "u2").is_ok());
    assert!(script.checkout(B, "cy", "u3").is_ok());
    assert!(matches!(script.checkout(B, "di", "u4"), Err(Refusal::NoSeatFree { .. })));
    assert_eq!(script.checkout(A, "ed", "u5"), Err(Refusal::Recovering));
    assert!(crate::seen::take().has(crate::seen::Mark::DiskHung));

    // The write finishes at last: it starts anew, with what was granted meanwhile.
    script.finish_writes(A);
    script.run(1_000);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert!(script.pair(A).facts().paired);
    assert_eq!(script.leases(A).len(), 3);
    assert!(script.renew(A, &ana).is_ok());
}

#[test]
fn a_primary_goes_on_alone_when_its_secondarys_disk_hangs() {
    let mut script = Script::paired(3);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.disk_ms[B] = HUNG;
    let asked = script.ask(A, "bo", "u2");
    script.run(FAILOVER / 2 + 10);
    assert_eq!(script.states(), (State::Active, State::Recovering));
    assert!(script.renew(A, &ana).is_ok());
    let answer = script.answer(asked, 2 * FAILOVER + HEARTBEAT);
    assert!(matches!(answer, Some(Reply::Lease(_))), "{answer:?}");
    assert!(script.checkout(A, "cy", "u3").is_ok());

    script.finish_writes(B);
    script.run(1_000);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert_eq!(script.leases(A), script.leases(B));
    assert!(script.pair(B).is_ready());
}

#[test]
fn a_server_without_a_bundle_whose_disk_hangs_waits_for_it() {
    let mut script = Script::begin();
    script.disk_ms[A] = HUNG;
    let asked = script.ask_commit(A, config(3), 1);
    script.run(2 * FAILOVER);
    assert_eq!(script.pair(A).standing().state, State::Unconfigured);
    script.finish_writes(A);
    assert!(matches!(script.answer(asked, 100), Some(Reply::Committed { .. })));
}

#[test]
fn a_later_epoch_heard_while_one_is_written_slowly_keeps_nobody_from_serving() {
    // The primary comes back, or has lost its secondary; that has taken over twice and is heard again.
    for dies in [true, false] {
        for healed in (6_000..8_000).step_by(100) {
            let mut script = Script::paired(3);
            script.cut = true;
            if dies {
                script.kill(A);
            }
            script.run(FAILOVER + 20);
            script.kill(B);
            script.start(B);
            if dies {
                script.start(A);
            }
            script.run(FAILOVER - 10);
            script.disk_ms[A] = FAILOVER / 2 - 200;
            script.run(healed - 2 * FAILOVER);
            script.cut = false;
            script.hang_up();
            script.run(4 * FAILOVER);
            let scene = format!("the primary dies: {dies}, healed after {healed} ms");
            assert_eq!(script.states(), (State::Active, State::Standby), "{scene}");
            assert!(script.pair(A).facts().paired, "{scene}");
        }
    }
}

#[test]
fn a_merge_that_is_written_slowly_is_waited_for() {
    // The secondary serves, and the primary is about to go on alone.
    for healed in (FAILOVER + 300..2 * FAILOVER + 600).step_by(100) {
        let mut script = Script::paired(3);
        script.cut = true;
        script.run(healed);
        script.disk_ms[A] = FAILOVER / 2 - 200;
        script.cut = false;
        script.hang_up();
        script.run(4 * FAILOVER);
        assert_eq!(script.states(), (State::Active, State::Standby), "healed after {healed} ms");
    }
}

#[test]
fn a_disk_that_is_slow_and_writes_is_no_disk_that_hangs() {
    let mut script = Script::paired(3);
    script.disk_ms = [FAILOVER / 2 - 200; 2];
    for (user, use_id) in [("ana", "u1"), ("bo", "u2"), ("cy", "u3")] {
        let ticket = script.ask(A, user, use_id);
        assert!(matches!(script.answer(ticket, FAILOVER), Some(Reply::Lease(_))));
    }
    script.run(10_000);
    assert!(script.pair(A).is_ready() && script.pair(B).is_ready());
    assert_eq!(script.pair(A).facts().epoch, Epoch(1));
}

#[test]
fn a_bundle_that_a_hung_disk_does_not_take_is_refused_and_not_forgotten_half_way() {
    let mut script = Script::paired(3);
    script.disk_ms[A] = HUNG;
    let ticket = script.ask_commit(A, config(5), 2);
    assert_eq!(script.answer(ticket, FAILOVER / 2 + 1), Some(Reply::Refused(Refusal::Recovering)));
    let again = script.ask_commit(A, config(5), 2);
    assert_eq!(script.answer(again, 1), Some(Reply::Refused(Refusal::Recovering)));
    // The disk had it all the same: both end with it.
    script.finish_writes(A);
    script.run(FAILOVER + 2_000);
    assert_eq!(script.pair(A).generation(), Generation(2));
    assert_eq!(script.pair(B).generation(), Generation(2));
}

#[test]
fn a_primary_whose_disk_takes_nothing_does_not_take_the_service_from_its_secondary() {
    let mut script = Script::paired(3);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.kill(A);
    script.run(FAILOVER + 100);
    assert_eq!(script.pair(B).standing().state, State::Active);
    script.full[A] = true;
    script.start(A);
    for second in 0..20 {
        script.run(1_000);
        assert_eq!(script.states(), (State::Recovering, State::Active), "after {second} s");
        assert!(script.renew(B, &ana).is_ok());
    }
    script.full[A] = false;
    script.run(1_000);
    assert_eq!(script.states(), (State::Active, State::Standby));
}

#[test]
fn a_secondary_whose_disk_takes_nothing_does_not_keep_its_primary_waiting() {
    let mut script = Script::paired(3);
    script.full[B] = true;
    let asked = script.ask(A, "ana", "u1");
    assert!(matches!(script.answer(asked, 2 * FAILOVER + 500), Some(Reply::Lease(_))));
    // From then on nobody waits for it any more.
    for (user, use_id) in [("bo", "u2"), ("cy", "u3")] {
        script.run(5_000);
        assert!(script.checkout(A, user, use_id).is_ok());
    }
}

/// The configuration of three seats whose licenses end as said, in seconds after the script began.
fn ending(primary: Option<i64>, secondary: Option<i64>) -> Config {
    let at =
        |secs: Option<i64>| secs.map(|secs| Timestamp::from_ms(1_700_000_000_000 + secs * 1_000));
    config_with(3, |license| {
        license.expires = at(if license.role == Role::Primary { primary } else { secondary });
    })
}

fn licensed(primary: Option<i64>, secondary: Option<i64>) -> Script {
    let mut script = Script::begin();
    script.commit(A, ending(primary, secondary), 1);
    script.commit(B, ending(primary, secondary), 1);
    script.run(300);
    assert_eq!(script.states(), (State::Active, State::Standby));
    script
}

#[test]
fn a_primary_with_no_valid_license_steps_aside_until_it_has_one() {
    let mut script = licensed(Some(20), None);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.run(19_000);
    assert_eq!(script.pair(A).standing().state, State::Recovering);
    script.run(FAILOVER + HEARTBEAT);
    assert_eq!(script.states(), (State::Recovering, State::Active));
    assert!(script.renew(B, &ana).is_ok());
    assert!(script.checkout(B, "bo", "u2").is_ok(), "it was in step, so it has no grace");
    assert!(!script.pair(A).is_ready());
    script.run(10_000);
    assert_eq!(script.states(), (State::Recovering, State::Active));

    // A renewed license reaches it by its peer, and it serves again.
    script.commit(B, ending(Some(10_000), None), 2);
    script.run(4 * HEARTBEAT + 1_000);
    assert_eq!(script.pair(A).generation(), Generation(2));
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert!(script.renew(A, &ana).is_ok());
    let seen = crate::seen::take();
    assert!(seen.has(crate::seen::Mark::Unlicensed) && seen.has(crate::seen::Mark::LicensedAgain));
}

#[test]
fn a_primary_with_no_valid_license_takes_one_from_an_operator() {
    let mut script = licensed(Some(5), None);
    script.run(10_000);
    assert_eq!(script.states(), (State::Recovering, State::Active));
    script.commit(A, ending(None, None), 2);
    script.run(1_000);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert_eq!(script.pair(B).generation(), Generation(2));
}

#[test]
fn a_primary_whose_secondary_has_no_valid_license_either_renews_its_holders() {
    let mut script = licensed(Some(5), Some(5));
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.run(10_000);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert!(script.renew(A, &ana).is_ok());
    assert!(matches!(script.checkout(A, "bo", "u2"), Err(Refusal::NoSeatFree { .. })));
}

#[test]
fn a_primary_that_starts_with_no_valid_license_leaves_its_secondary_alone() {
    let mut script = licensed(Some(10), None);
    script.run(2_000);
    script.kill(A);
    script.run(10_000);
    script.start(A);
    script.run(10_000);
    assert_eq!(script.states(), (State::Recovering, State::Active));
    assert!(script.checkout(B, "ana", "u1").is_ok());
}

#[test]
fn an_empty_primary_with_no_valid_license_follows_the_secondary_that_leads() {
    for after in 0..80 {
        let mut script = licensed(Some(10), None);
        let ana = script.checkout(A, "ana", "u1").expect("a seat");
        assert_eq!(script.hand_over(A, "lic-b", "n1"), Reply::Done);
        script.run(300);
        script.kill(A);
        script.machines[A].disk = Durable::default();
        script.run(12_000);
        script.start(A);
        // Its peer brings the bundle, by which it would lead, and the word that it does not; it dies with one of them.
        script.run(after);
        script.kill(A);
        script.start(A);
        script.run(2_000);
        assert_eq!(script.states(), (State::Standby, State::Active), "after {after} ms");
        assert!(script.renew(B, &ana).is_ok());
        assert_eq!(script.leases(A), script.leases(B));
    }
}

/// Like `Script::paired`, with licenses that let the secondary stand alone for that long.
fn standing_alone(limit: u64) -> Script {
    let of = || config_with(3, |license| license.standalone = Some(Span::from_ms(limit)));
    let mut script = Script::begin();
    script.commit(A, of(), 1);
    script.commit(B, of(), 1);
    script.run(300);
    script
}

#[test]
fn a_secondary_gives_nothing_new_once_it_has_stood_alone_for_as_long_as_it_may() {
    let mut script = standing_alone(30_000);
    script.run(60_000);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.kill(A);
    script.run(FAILOVER + 100);
    assert!(script.checkout(B, "bo", "u2").is_ok());
    let left = script.pair(B).status(script.time()).products[0].standalone_ends_in;
    assert!(left.is_some_and(|left| left > Span::from_secs(26) && left < Span::from_secs(27)));
    for _ in 0..3 {
        script.run(10_000);
        assert!(script.renew(B, &ana).is_ok());
    }
    let full = script.checkout(B, "cy", "u3");
    assert!(matches!(full, Err(Refusal::NoSeatFree { .. })), "{full:?}");
    let status = script.pair(B).status(script.time()).products[0].clone();
    assert_eq!((status.capacity, status.standalone_ends_in), (Seats(0), Some(Span::ZERO)));
    assert!(crate::seen::take().has(crate::seen::Mark::StoodAloneTooLong));

    // It counts on across its restart.
    script.kill(B);
    script.start(B);
    script.run(FAILOVER + TTL + 2_000);
    assert_eq!(script.pair(B).standing().state, State::Active);
    assert!(matches!(script.checkout(B, "di", "u4"), Err(Refusal::NoSeatFree { .. })));

    // Its primary is heard again, and dies again: the time begins anew.
    script.start(A);
    script.run(1_000);
    assert!(script.checkout(A, "ed", "u5").is_ok());
    script.kill(A);
    script.run(FAILOVER + 100);
    assert!(script.checkout(B, "fay", "u6").is_ok());
}

#[test]
fn a_clock_that_is_set_back_does_not_let_a_secondary_stand_alone_for_longer() {
    let mut script = standing_alone(30_000);
    script.wall_shift_of[B] = -3_600_000;
    script.run(10_000);
    script.kill(A);
    script.run(FAILOVER + 100);
    assert!(script.checkout(B, "ana", "u1").is_ok());
    script.run(30_000);
    assert!(matches!(script.checkout(B, "bo", "u2"), Err(Refusal::NoSeatFree { .. })));

    // It counts on across its restart, but for the last minute, though by its clock no time has passed.
    script.run(90_000);
    script.kill(B);
    script.start(B);
    script.run(FAILOVER + TTL + 2_000);
    assert_eq!(script.pair(B).standing().state, State::Active);
    assert!(matches!(script.checkout(B, "cy", "u3"), Err(Refusal::NoSeatFree { .. })));
}

#[test]
fn a_primary_may_stand_alone_without_end() {
    let mut script = standing_alone(10_000);
    script.kill(B);
    script.run(60_000);
    assert!(script.checkout(A, "ana", "u1").is_ok());
    assert_eq!(script.pair(A).status(script.time()).products[0].standalone_ends_in, None);
}

/// A split in which each server gives seats, with a manifest that says `revoke`; then it heals.
fn healed(seats: u32, at_primary: &[&str], at_secondary: &[&str]) -> (Script, Vec<(String, Held)>) {
    let of = || {
        compile(
            seats,
            &serde_json::json!([{"everyone": true}]),
            &serde_json::json!({"onOverGrant": "revoke"}),
            |_| {},
        )
    };
    let mut script = Script::begin();
    script.commit(A, of(), 1);
    script.commit(B, of(), 1);
    script.run(1_000);
    script.cut = true;
    script.run(2 * FAILOVER + 1_000);
    let mut held = Vec::new();
    for (at, users) in [(A, at_primary), (B, at_secondary)] {
        for user in users {
            let lease = script.checkout(at, user, &format!("use-of-{user}")).expect("a seat");
            held.push(((*user).to_owned(), lease));
            script.run(100);
        }
    }
    script.cut = false;
    script.hang_up();
    script.run(600);
    assert_eq!(script.states(), (State::Active, State::Standby));
    (script, held)
}

#[test]
fn the_newest_of_what_two_servers_gave_too_much_end_at_their_renewal() {
    let (mut script, held) = healed(2, &["ana", "bo"], &["cy"]);
    assert_eq!(script.pair(A).status(script.time()).products[0].over_grant, Seats(1));
    for (user, lease) in &held {
        let renewed = script.renew(A, lease);
        let revoked =
            matches!(&renewed, Err(Refusal::Revoked { reason }) if reason.contains("two servers"));
        assert_eq!(revoked, user == "cy", "{user}: {renewed:?}");
    }
    assert!(crate::seen::take().has(crate::seen::Mark::SurplusRevoked));
    // Both know of it.
    script.kill(A);
    script.run(FAILOVER + 500);
    assert!(matches!(script.renew(B, &held[2].1), Err(Refusal::Revoked { .. })));
    script.run(TTL / 2);
    assert!(script.renew(B, &held[0].1).is_ok() && script.renew(B, &held[1].1).is_ok());
    script.run(TTL / 2 + 1_000);
    assert_eq!(script.leases(B).len(), 2);
}

#[test]
fn what_both_gave_within_the_capacity_is_not_revoked() {
    let (mut script, held) = healed(3, &["ana"], &["bo", "cy"]);
    for (user, lease) in &held {
        assert!(script.renew(A, lease).is_ok(), "{user}");
    }
}

#[test]
fn a_peer_that_is_heard_again_shortly_before_its_wait_ends_is_tried_again_at_once() {
    let mut script = Script::paired(1);
    script.disk_ms[B] = 1_500;
    for (silence, heard) in [(2_500, 1), (2_400, 1_400)] {
        script.cut = true;
        script.run(silence);
        script.cut = false;
        script.run(heard);
    }
    assert!(!script.pair(A).is_paired());
    script.finish_writes(B);
    script.disk_ms[B] = 1;
    script.run(2 * FAILOVER);
    assert!(script.pair(A).is_paired());
}
