//! Scenes of borrowed seats: lent only by a pair that is whole, kept until their own end whatever happens meanwhile.

use serde_json::json;

use super::*;

const DAY: u64 = 86_400_000;

/// Two seats, of which `ana*` may borrow one for a week.
fn lending(assign: &serde_json::Value) -> Config {
    config_of(2, assign)
}

fn assign() -> serde_json::Value {
    json!([{"user": "ana*", "borrow": {"longest": "7d", "max": 1}}, {"everyone": true}])
}

impl Script {
    fn lending() -> Self {
        let mut script = Self::begin();
        for at in [A, B] {
            script.commit(at, lending(&assign()), 1);
        }
        script.run(300);
        assert!(script.pair(A).is_ready() && script.pair(B).is_ready());
        script
    }

    fn ask_to_borrow(&mut self, at: usize, user: &str, use_id: &str, ms: u64) -> u64 {
        let borrow = Some(Span::from_ms(ms));
        let request = Checkout { borrow, ..self.one_seat(user, use_id) };
        self.command(at, Command::Checkout(request))
    }

    fn borrow(&mut self, at: usize, user: &str, use_id: &str, ms: u64) -> Result<Held, Refusal> {
        let ticket = self.ask_to_borrow(at, user, use_id, ms);
        match self.answer(ticket, 200).expect("an answer") {
            Reply::Lease(held) => Ok(*held),
            Reply::Refused(refusal) => Err(refusal),
            other => panic!("not an answer to a borrow: {other:?}"),
        }
    }

    /// Time passes while both machines are off.
    fn off_for(&mut self, ms: u64) {
        self.kill(A);
        self.kill(B);
        self.now += ms;
        self.start(A);
        self.start(B);
        self.run(1_000);
        assert_eq!(self.states(), (State::Active, State::Standby));
    }

    fn end(&mut self, at: usize, held: &Held) {
        let token = self.token(held);
        let ticket = self.command(at, Command::Release(token));
        assert_eq!(self.answer(ticket, 200), Some(Reply::Released));
    }
}

#[test]
fn a_borrowed_seat_needs_no_renewal_and_ends_at_its_own_end() {
    let mut script = Script::lending();
    let held = script.borrow(A, "ana", "u1", 60_000).expect("a borrowed seat");
    assert_eq!(held.ttl, Span::from_secs(60));
    assert_eq!(held.borrowed_until, Some(held.expires_at));
    script.run(2 * TTL);
    let again = script.renew(A, &held).expect("its token again");
    assert_eq!(again.borrowed_until, held.borrowed_until);
    assert!(again.ttl > Span::from_secs(19) && again.ttl < Span::from_secs(21), "{}", again.ttl);
    assert_eq!(script.pair(A).status(script.time()).products[0].borrowed, Seats(1));
    script.run(20_000);
    assert_eq!((script.leases(A).len(), script.leases(B).len()), (1, 1));
    // 3 % of a minute later.
    script.run(1_900);
    assert_eq!((script.leases(A).len(), script.leases(B).len()), (0, 0));
}

#[test]
fn a_seat_is_lent_only_while_both_servers_know_of_it() {
    let mut script = Script::lending();
    script.kill(B);
    let refused = script.borrow(A, "ana", "u1", 60_000);
    assert!(matches!(refused, Err(Refusal::Grace { .. })), "{refused:?}");
    script.run(2 * FAILOVER + 500);
    assert!(script.checkout(A, "bo", "u2").is_ok(), "the server serves");
    let refused = script.borrow(A, "ana", "u1", 60_000);
    assert!(matches!(refused, Err(Refusal::NotPaired { .. })), "{refused:?}");
    assert!(crate::seen::take().has(crate::seen::Mark::BorrowNotPaired));
    script.start(B);
    script.run(1_000);
    assert!(script.borrow(A, "ana", "u1", 60_000).is_ok());
}

#[test]
fn a_borrow_under_way_when_the_secondary_dies_is_taken_back() {
    let mut script = Script::lending();
    script.run(600);
    let ticket = script.ask_to_borrow(A, "ana", "u1", 60_000);
    script.kill(B);
    let answer = script.answer(ticket, 3 * FAILOVER);
    assert!(matches!(answer, Some(Reply::Refused(Refusal::NotPaired { .. }))), "{answer:?}");
    script.run(100);
    assert_eq!(script.leases(A).len(), 0);
    assert!(crate::seen::take().has(crate::seen::Mark::BorrowTakenBack));
}

#[test]
fn a_borrow_of_a_held_seat_under_way_when_the_secondary_dies_is_taken_back() {
    let mut script = Script::lending();
    let held = script.checkout(A, "ana", "u1").expect("a seat");
    script.run(600);
    let ticket = script.ask_to_borrow(A, "ana", "u2", 60_000);
    script.kill(B);
    let answer = script.answer(ticket, 3 * FAILOVER);
    assert!(matches!(answer, Some(Reply::Refused(Refusal::NotPaired { .. }))), "{answer:?}");
    assert!(script.renew(A, &held).is_ok(), "the seat is held as before");
}

#[test]
fn a_manifest_that_lends_less_says_what() {
    let mut script = Script::lending();
    let why = |refused: Result<Held, Refusal>| match refused {
        Err(Refusal::BorrowNotAllowed { why }) => why,
        other => panic!("{other:?}"),
    };
    let no = why(script.borrow(A, "bo", "u1", 60_000));
    assert_eq!(no, "no entry of `assign` that matches has a `borrow`");
    let no = why(script.borrow(A, "ana", "u2", 8 * DAY));
    assert_eq!(no, "`user ana*` lends for 7d at most");
    script.borrow(A, "ana", "u3", 7 * DAY).expect("a seat");
    let no = why(script.borrow(A, "ana2", "u4", 60_000));
    assert_eq!(no, "`user ana*` lends 1 at most, and 1 are lent");
    // Where no seat is free and somebody waits, too: waiting would not help.
    script.checkout(A, "bo", "u5").expect("the other seat");
    assert_eq!(script.queue(A, "cy", "u6"), 1, "the first in line");
    let no = why(script.borrow(A, "bo", "u7", 60_000));
    assert_eq!(no, "no entry of `assign` that matches has a `borrow`");
}

#[test]
fn a_license_lends_for_no_longer_than_it_says_and_lasts() {
    let mut script = Script::begin();
    let end = script.time().wall + Span::from_ms(DAY);
    let config = compile(2, &assign(), &json!({}), |license| {
        license.max_borrow = Some(Span::from_ms(3 * DAY));
        license.expires = Some(end);
    });
    for at in [A, B] {
        script.commit(at, config.clone(), 1);
    }
    script.run(300);
    let refused = script.borrow(A, "ana", "u1", 4 * DAY);
    let Err(Refusal::BorrowNotAllowed { why }) = refused else { panic!("{refused:?}") };
    assert_eq!(why, "the license allows to borrow for 3d at most");
    let held = script.borrow(A, "ana", "u1", 2 * DAY).expect("a seat");
    assert_eq!(held.borrowed_until, Some(end));
}

#[test]
fn a_borrowed_seat_is_kept_by_every_later_bundle() {
    let mut script = Script::lending();
    let held = script.borrow(A, "ana", "u1", 120_000).expect("a seat");
    let window = script.checkout(A, "ana", "u2").expect("one more window");
    assert_eq!(window.lease.id, held.lease.id);
    for at in [A, B] {
        script.commit(at, lending(&json!([{"user": "bo*"}])), 2);
    }
    assert!(script.renew(A, &held).is_ok());
    // The window that is not borrowed goes.
    assert!(matches!(script.renew(A, &window), Err(Refusal::Revoked { .. })));
    script.run(3 * TTL);
    assert_eq!(script.leases(A), script.leases(B));
    let left = script.renew(A, &held).expect("kept");
    assert_eq!(left.lease.uses.len(), 1);
    // It counts: one of two seats is free.
    assert!(script.checkout(A, "bo", "u3").is_ok());
    assert!(matches!(script.checkout(A, "bo2", "u4"), Err(Refusal::NoSeatFree { .. })));
    script.off_for(1_000);
    assert!(script.renew(A, &held).is_ok());
    script.run(60_000);
    assert_eq!(script.renew(A, &held), Err(Refusal::UnknownLease));
}

#[test]
fn a_borrowed_seat_is_returned_early_at_whichever_server_answers() {
    let mut script = Script::lending();
    let held = script.borrow(A, "ana", "u1", 7 * DAY).expect("a seat");
    script.kill(A);
    script.run(FAILOVER + 100);
    assert!(script.renew(B, &held).is_ok());
    script.end(B, &held);
    assert_eq!(script.leases(B).len(), 0);
    script.start(A);
    script.run(1_000);
    assert_eq!((script.leases(A).len(), script.leases(B).len()), (0, 0));
    assert_eq!(script.renew(A, &held), Err(Refusal::UnknownLease));
    assert!(script.borrow(A, "ana", "u2", DAY).is_ok());
}

#[test]
fn machines_that_were_off_for_a_day_know_when_a_borrowed_seat_ends() {
    let mut script = Script::lending();
    let held = script.borrow(A, "ana", "u1", 2 * DAY).expect("a seat");
    script.off_for(DAY);
    let again = script.renew(A, &held).expect("lent for one more day");
    assert!(again.ttl <= Span::from_ms(DAY), "{}", again.ttl);
    assert!(again.ttl > Span::from_ms(DAY - 60_000), "{}", again.ttl);
    // It is over for its holder; the servers keep it for 3 % of two days, whatever restarts there are meanwhile.
    script.off_for(DAY);
    assert_eq!(script.renew(A, &held), Err(Refusal::UnknownLease));
    script.off_for(DAY / 100 * 3);
    assert_eq!(script.leases(A).len(), 1);
    script.off_for(DAY / 100 * 3);
    assert_eq!((script.leases(A).len(), script.leases(B).len()), (0, 0));
}

#[test]
fn a_clock_that_is_set_does_not_end_a_borrow_and_one_set_back_does_not_prolong_it_for_good() {
    let mut script = Script::lending();
    let held = script.borrow(A, "ana", "u1", 60_000).expect("a seat");
    script.wall_shift = 30 * i64::try_from(DAY).expect("small");
    script.run(30_000);
    assert!(script.renew(A, &held).is_ok(), "monotonic time goes on");
    script.wall_shift = -30 * i64::try_from(DAY).expect("small");
    script.run(33_000);
    assert_eq!(script.renew(A, &held), Err(Refusal::UnknownLease));
}

#[test]
fn a_peer_whose_clock_is_a_day_ahead_keeps_a_borrowed_seat_as_long() {
    let mut script = Script::lending();
    let held = script.borrow(A, "ana", "u1", 120_000).expect("a seat");
    // The secondary starts anew, with a clock that is wrong, and gets the ledger of its peer.
    script.kill(B);
    script.wall_shift_of[B] = i64::try_from(DAY).expect("small");
    script.start(B);
    script.run(1_000);
    assert!(script.pair(B).is_ready());
    script.kill(A);
    script.run(FAILOVER + 100);
    assert!(script.renew(B, &held).is_ok());
    script.run(100_000);
    assert!(script.renew(B, &held).is_ok());
    script.run(25_000);
    assert_eq!(script.renew(B, &held), Err(Refusal::UnknownLease));
}

#[test]
fn who_holds_a_seat_takes_it_along() {
    let mut script = Script::lending();
    let window = script.checkout(A, "ana", "u1").expect("a seat");
    let lent = script.borrow(A, "ana", "u2", 60_000).expect("the same, borrowed");
    assert_eq!((lent.lease.id.clone(), lent.is_new), (window.lease.id.clone(), false));
    script.end(A, &window);
    script.run(2 * TTL);
    assert!(script.renew(A, &lent).is_ok());
    // A window that stays behind lives as ever when the borrow is returned.
    let window = script.checkout(A, "ana", "u3").expect("one more window");
    script.end(A, &lent);
    assert!(script.renew(A, &window).is_ok());
    script.run(TTL + 1_000);
    assert_eq!(script.leases(A).len(), 0);
}
