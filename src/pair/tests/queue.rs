//! Scenes of those who wait: places are durable, keep their order whatever server serves, and are given up in time.

use serde_json::json;

use super::*;
use crate::name::QueueTicket;

const HELD: u64 = 30_000;

impl Script {
    /// Asks for a seat and waits up to `hold`; the number of the request.
    pub(super) fn ask_waiting(&mut self, at: usize, user: &str, use_id: &str, hold: u64) -> u64 {
        self.ask_waiting_for(at, user, use_id, hold, 1)
    }

    fn ask_waiting_for(
        &mut self,
        at: usize,
        user: &str,
        use_id: &str,
        hold: u64,
        seats: u32,
    ) -> u64 {
        let request = Checkout { seats: Seats(seats), ..self.one_seat(user, use_id) };
        let fresh = QueueTicket::new(&format!("ticket-{}", self.granted)).expect("a ticket");
        let hold = Span::from_ms(hold);
        let wait = crate::pair::Wait { request, ticket: None, fresh, hold };
        self.command(at, Command::Wait(Box::new(wait)))
    }

    /// Asks and gets a place: the answer is not waited for longer than it takes to be durable.
    pub(super) fn queue(&mut self, at: usize, user: &str, use_id: &str) -> u32 {
        let ticket = self.ask_waiting(at, user, use_id, 0);
        match self.answer(ticket, 200) {
            Some(Reply::Queued(queued)) => queued.position,
            other => panic!("not a place: {other:?}"),
        }
    }

    fn holder(&mut self, ticket: u64, within: u64) -> String {
        match self.answer(ticket, within) {
            Some(Reply::Lease(held)) => held.lease.user.to_string(),
            other => format!("{other:?}"),
        }
    }

    fn give_back(&mut self, at: usize, held: &Held) {
        let token = self.token(held);
        let ticket = self.command(at, Command::Release(token));
        assert_eq!(self.answer(ticket, 200), Some(Reply::Released));
    }

    fn waiting(&self, at: usize) -> usize {
        self.pair(at).ledger().waiting(&ProductName::new("designer").expect("a name"))
    }
}

/// One seat, which ana holds: bo waits for it, and then cy.
fn two_waiting() -> (Script, Held) {
    let mut script = Script::paired(1);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.queue(A, "bo", "u2");
    script.queue(A, "cy", "u3");
    (script, ana)
}

/// The same, and the requests of both are held.
fn two_asking() -> (Script, Held, [u64; 2]) {
    let mut script = Script::paired(1);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    let asked =
        [("bo", "u2"), ("cy", "u3")].map(|(user, id)| script.ask_waiting(A, user, id, HELD));
    (script, ana, asked)
}

#[test]
fn a_freed_seat_goes_to_who_waits_and_the_place_was_durable_on_both() {
    let mut script = Script::paired(1);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    let bo = script.ask_waiting(A, "bo", "u2", HELD);
    script.run(1_000);
    assert_eq!(script.replies.get(&bo), None, "the request is held");
    for at in [A, B] {
        assert_eq!(script.machines[at].disk.ledger.waiters.len(), 1, "server {at}");
    }
    script.give_back(A, &ana);
    assert_eq!(script.holder(bo, 100), "bo");
    assert_eq!((script.waiting(A), script.waiting(B)), (0, 0));
    for at in [A, B] {
        assert_eq!(script.machines[at].disk.ledger.waiters.len(), 0, "server {at}");
    }
}

#[test]
fn a_place_is_told_once_it_is_durable_on_both_and_the_request_was_held() {
    let mut script = Script::paired(1);
    script.checkout(A, "ana", "u1").expect("a seat");
    script.disk_ms = [50; 2];
    let bo = script.ask_waiting(A, "bo", "u2", 0);
    script.run(40);
    assert_eq!(script.replies.get(&bo), None);
    assert!(matches!(script.answer(bo, 100), Some(Reply::Queued(_))));
    let cy = script.ask_waiting(A, "cy", "u3", 60_000);
    script.run(29_900);
    assert_eq!(script.replies.get(&cy), None);
    assert!(matches!(script.answer(cy, 400), Some(Reply::Queued(queued)) if queued.position == 2));
}

#[test]
fn a_use_waits_once_and_what_it_held_is_returned() {
    let mut script = Script::paired(1);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    assert_eq!(script.queue(A, "bo", "u2"), 1);
    assert_eq!(script.queue(A, "bo", "u2"), 1);
    assert!(matches!(script.checkout(A, "bo", "u2"), Err(Refusal::NoSeatFree { .. })));
    assert_eq!(script.waiting(A), 1);
    let other = script.ask_waiting(A, "cy", "u2", 0);
    assert_eq!(script.answer(other, 100), Some(Reply::Refused(Refusal::UseTaken)));
    // The second of two requests of one place is held; the first is answered.
    let first = script.ask_waiting(A, "bo", "u2", HELD);
    let second = script.ask_waiting(A, "bo", "u2", HELD);
    assert!(matches!(script.answer(first, 100), Some(Reply::Queued(_))));
    script.give_back(A, &ana);
    assert_eq!(script.holder(second, 100), "bo");
    let again = script.ask_waiting(A, "bo", "u2", HELD);
    assert_eq!(script.holder(again, 100), "bo");
}

#[test]
fn a_newcomer_does_not_pass_who_waits_and_is_just_not_asking() {
    let mut script = Script::paired(1);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.queue(A, "bo", "u2");
    script.give_back(A, &ana);
    script.run(1_000);
    let refused = script.checkout(A, "cy", "u3");
    let Err(Refusal::NoSeatFree { why, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(why, "one waits for the seats that are free");
    let cy = script.ask_waiting(A, "cy", "u4", HELD);
    script.run(1_000);
    let bo = script.ask_waiting(A, "bo", "u2", HELD);
    assert_eq!(script.holder(bo, 100), "bo");
    assert_eq!(script.replies.get(&cy), None);
}

#[test]
fn who_left_a_place_and_asks_anew_does_not_wait_behind_its_own_seat() {
    for waits in [true, false] {
        let mut script = Script::paired(1);
        let ana = script.checkout(A, "ana", "u1").expect("a seat");
        for left in ["u2", "u3"] {
            script.queue(A, "bo", left);
        }
        script.queue(A, "cy", "u4");
        script.give_back(A, &ana);
        script.run(1_000);
        if waits {
            let bo = script.ask_waiting(A, "bo", "u5", HELD);
            assert_eq!(script.holder(bo, 100), "bo");
        } else {
            script.checkout(A, "bo", "u5").expect("the seat that is kept for it");
        }
        // Nothing more is kept for the places that it left: what it has is one seat.
        let bo = script.ask_waiting(A, "bo", "u2", HELD);
        assert_eq!(script.holder(bo, 100), "bo");
        assert_eq!(script.waiting(A), 2);
    }
}

#[test]
fn who_had_its_seat_and_gives_it_back_stands_before_nobody_by_a_place_that_it_left() {
    let mut script = Script::paired(1);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.queue(A, "bo", "u2");
    let cy = script.ask_waiting(A, "cy", "u3", HELD);
    script.give_back(A, &ana);
    let bo = script.checkout(A, "bo", "u4").expect("the seat that is kept for it");
    script.give_back(A, &bo);
    assert_eq!(script.holder(cy, 100), "cy");
    // Should it come back by its first place, it stands where its last seat was given.
    assert_eq!(script.queue(A, "bo", "u2"), 1);
    let seen = crate::seen::take();
    assert!(seen.has(crate::seen::Mark::KeptSeatTaken) && seen.has(crate::seen::Mark::TurnEnded));
}

#[test]
fn who_asks_for_more_seats_than_there_are_waits_for_nothing_and_stops_nobody() {
    let mut script = Script::paired(2);
    let three = script.ask_waiting_for(A, "bo", "u2", HELD, 3);
    let Some(Reply::Refused(Refusal::NoSeatFree { why, .. })) = script.answer(three, 100) else {
        panic!("three of two seats are waited for");
    };
    assert_eq!(why, "3 seats were asked for, and there are 2");
    // Two are taken, so somebody waits for both; then there is only one.
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    let both = script.ask_waiting_for(A, "bo", "u3", HELD, 2);
    script.commit(A, config_of(1, &json!([{"everyone": true}])), 2);
    script.commit(B, config_of(1, &json!([{"everyone": true}])), 2);
    script.give_back(A, &ana);
    script.checkout(A, "cy", "u4").expect("a seat that nobody can be kept waiting for");
    assert_eq!(script.replies.get(&both), None);
}

#[test]
fn another_window_of_a_holder_joins_its_seat_whoever_waits_before_it() {
    let (mut script, ana, [bo, cy]) = two_asking();
    let window = script.ask_waiting(A, "bo", "u4", HELD);
    script.give_back(A, &ana);
    assert_eq!(script.holder(bo, 100), "bo");
    assert_eq!(script.holder(window, 100), "bo");
    assert_eq!(script.replies.get(&cy), None);
}

#[test]
fn who_has_gone_is_not_given_the_seat_that_it_waited_for() {
    let (mut script, ana, [bo, cy]) = two_asking();
    script.tell(A, Input::HungUp(Ticket(bo)));
    script.give_back(A, &ana);
    script.run(1_000);
    assert_eq!((script.replies.get(&bo), script.replies.get(&cy)), (None, None));
    // Its place lasts a minute from when it asked, in case it comes back; then the next one's turn comes.
    for _ in 0..6 {
        script.run(10_000);
    }
    assert!(crate::seen::take().has(crate::seen::Mark::WaiterHungUp));
    assert_eq!(script.waiting(A), 1);
}

#[test]
fn who_is_not_asked_for_in_a_minute_is_dropped() {
    let mut script = Script::paired(1);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.queue(A, "bo", "u2");
    for _ in 0..11 {
        script.run(5_000);
        assert!(script.renew(A, &ana).is_ok());
    }
    assert_eq!((script.waiting(A), script.waiting(B)), (1, 1));
    script.run(5_100);
    assert_eq!((script.waiting(A), script.waiting(B)), (0, 0));
    assert!(crate::seen::take().has(crate::seen::Mark::WaiterDropped));
    script.give_back(A, &ana);
    assert!(script.checkout(A, "cy", "u3").is_ok());
}

#[test]
fn the_order_of_those_who_wait_survives_a_failover_and_the_return() {
    let mut script = Script::paired(2);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    let ann = script.checkout(A, "ann", "u0").expect("a seat");
    assert_eq!(script.queue(A, "bo", "u2"), 1);
    assert_eq!(script.queue(A, "cy", "u3"), 2);
    assert_eq!(script.queue(A, "di", "u4"), 3);
    script.kill(A);
    script.run(FAILOVER + 100);
    // They come to the secondary in another order; it waits for all before it serves one.
    let di = script.ask_waiting(B, "di", "u4", HELD);
    let cy = script.ask_waiting(B, "cy", "u3", HELD);
    script.give_back(B, &ana);
    script.run(1_000);
    let bo = script.ask_waiting(B, "bo", "u2", HELD);
    assert_eq!(script.replies.get(&bo), None);
    assert_eq!(script.holder(bo, FAILOVER), "bo");
    assert_eq!((script.replies.get(&cy), script.replies.get(&di)), (None, None));
    // The primary returns: who is asking is sent away, and keeps its place.
    script.start(A);
    script.run(1_000);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert_eq!(script.replies.get(&cy), Some(&Reply::Refused(Refusal::Recovering)));
    let di = script.ask_waiting(A, "di", "u4", HELD);
    let cy = script.ask_waiting(A, "cy", "u3", HELD);
    script.run(FAILOVER);
    script.give_back(A, &ann);
    assert_eq!(script.holder(cy, 100), "cy");
    assert_eq!(script.replies.get(&di), None);
    assert!(crate::seen::take().has(crate::seen::Mark::WaiterServed));
}

#[test]
fn places_survive_a_restart_of_both() {
    let (mut script, ana) = two_waiting();
    script.kill(A);
    script.kill(B);
    script.run(2_000);
    script.start(A);
    script.start(B);
    script.run(500);
    let cy = script.ask_waiting(A, "cy", "u3", HELD);
    script.run(FAILOVER);
    script.give_back(A, &ana);
    script.run(500);
    assert_eq!(script.replies.get(&cy), None, "the seat is bo's");
    let bo = script.ask_waiting(A, "bo", "u2", HELD);
    assert_eq!(script.holder(bo, 100), "bo");
}

#[test]
fn who_waits_in_grace_is_served_when_it_is_over() {
    let mut script = Script::paired(2);
    script.kill(A);
    script.kill(B);
    script.start(A);
    script.run(FAILOVER + 100);
    assert!(matches!(script.checkout(A, "cy", "u9"), Err(Refusal::Grace { .. })));
    let bo = script.ask_waiting(A, "bo", "u2", HELD);
    script.run(TTL / 2);
    assert_eq!(script.replies.get(&bo), None);
    assert_eq!(script.holder(bo, TTL), "bo");
}

#[test]
fn who_is_not_entitled_any_more_leaves_the_queue_when_it_asks() {
    let (mut script, _) = two_waiting();
    let held = script.ask_waiting(A, "cy", "u3", HELD);
    let assign = json!([{"user": "ana*"}]);
    script.commit(A, config_of(1, &assign), 2);
    assert_eq!(script.answer(held, 100), Some(Reply::Refused(Refusal::NotEntitled)));
    script.commit(B, config_of(1, &assign), 2);
    assert_eq!(script.waiting(A), 1);
    let bo = script.ask_waiting(A, "bo", "u2", HELD);
    assert_eq!(script.answer(bo, 100), Some(Reply::Refused(Refusal::NotEntitled)));
    assert_eq!(script.waiting(A), 0);
    assert!(crate::seen::take().has(crate::seen::Mark::WaiterUnentitled));
}

#[test]
fn a_new_priority_changes_the_order_of_those_who_wait() {
    let (mut script, ana) = two_waiting();
    let assign = json!([{"user": "cy*", "priority": 5}, {"everyone": true}]);
    for at in [A, B] {
        script.commit(at, config_of(1, &assign), 2);
    }
    let bo = script.ask_waiting(A, "bo", "u2", HELD);
    let cy = script.ask_waiting(A, "cy", "u3", HELD);
    script.give_back(A, &ana);
    assert_eq!(script.holder(cy, 100), "cy");
    assert_eq!(script.replies.get(&bo), None);
}

#[test]
fn after_a_split_those_who_wait_stand_in_the_order_of_their_arrivals() {
    let mut script = Script::paired(1);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.queue(A, "bo", "u2");
    script.cut = true;
    script.run(2 * FAILOVER + 1_000);
    assert_eq!(script.states(), (State::Active, State::Active));
    assert!(script.renew(A, &ana).is_ok());
    // Epoch 3 at the primary, epoch 2 at the secondary; bo came in epoch 1, and asks at both.
    assert_eq!(script.queue(A, "di", "u4"), 2);
    assert_eq!(script.queue(B, "cy", "u3"), 2);
    assert_eq!(script.queue(B, "bo", "u2"), 1);
    script.cut = false;
    script.hang_up();
    script.run(1_000);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert_eq!((script.waiting(A), script.waiting(B)), (3, 3));
    assert_eq!(script.queue(A, "di", "u4"), 3);
    assert_eq!(script.queue(A, "cy", "u3"), 2);
    assert_eq!(script.queue(A, "bo", "u2"), 1);
}

#[test]
fn a_place_that_ended_while_the_primary_was_down_does_not_come_back_with_it() {
    let (mut script, ana) = two_waiting();
    script.kill(A);
    script.run(FAILOVER + 100);
    for _ in 0..13 {
        script.run(5_000);
        assert!(script.renew(B, &ana).is_ok());
        script.queue(B, "cy", "u3");
    }
    assert_eq!(script.waiting(B), 1, "nobody asked by the place of bo");
    script.start(A);
    script.run(1_000);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert_eq!((script.waiting(A), script.waiting(B)), (1, 1));
    assert_eq!(script.queue(A, "cy", "u3"), 1);
    assert!(crate::seen::take().has(crate::seen::Mark::PlaceEnded));
}

#[test]
fn a_seat_that_was_given_and_not_acknowledged_before_a_merge_leaves_its_waiter_in_its_place() {
    let mut script = Script::paired(1);
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    script.queue(A, "cy", "u3");
    script.queue(A, "bo", "u2");
    let cy = script.ask_waiting(A, "cy", "u3", HELD);
    let token = script.token(&ana);
    script.run(1_000);
    // The seat is freed and given just when the cable is cut: the peer hears of neither.
    script.cut = true;
    script.command(A, Command::Release(token));
    script.run(FAILOVER + 100);
    assert_eq!(script.replies.get(&cy), None);
    assert_eq!(script.pair(B).standing().state, State::Active);
    script.cut = false;
    script.hang_up();
    script.run(1_000);
    assert_eq!(script.states(), (State::Active, State::Standby));
    let bo = script.ask_waiting(A, "bo", "u2", HELD);
    let cy = script.ask_waiting(A, "cy", "u3", HELD);
    script.run(FAILOVER);
    script.give_back(A, &ana);
    assert_eq!(script.holder(cy, 100), "cy");
    assert_eq!(script.replies.get(&bo), None);
}
