//! The queue held against a model that knows only the words of the rule: who is first by (priority, arrival) of those
//! for whom an assignment has room, where limits and reserves pass somebody over and too few seats do not.

use super::*;
use crate::name::QueueTicket;

impl Play {
    /// Keeps a seat for each whose turn has come, as the pair does after whatever happens; tells for whom.
    pub(super) fn keep_turns(&mut self, terms: &Terms<'_>) -> Vec<UseId> {
        let designer = ProductName::new("designer").expect("a name");
        self.ledger.forget_kept();
        let _ = self.ledger.next_in_line(&designer, &|_| false, None, terms);
        self.model(terms).turns()
    }

    /// Whether there are seats for this one, were nobody before it: what was reserved for a newcomer may have been all
    /// that kept one before it from its turn, and who now stands behind that one was not passed by the newcomer.
    pub(super) fn has_room_for(&self, use_id: &UseId, terms: &Terms<'_>) -> bool {
        let mut model = self.model(terms);
        model.waiters.retain(|(_, waiter)| waiter.use_id == *use_id);
        model.first().is_some()
    }

    pub(super) fn play_queue(&mut self, step: &Step, terms: &Terms<'_>) {
        match *step {
            Step::Queue { user, host, use_id, seats } => {
                let request = self.request(user, host, use_id, seats);
                let known = self.ledger.knows_use(&request.use_id)
                    || self.ledger.waiter(&request.use_id, None).is_some();
                if known {
                    return;
                }
                let ticket = QueueTicket::new(&format!("ticket-{}", self.made)).expect("a ticket");
                if let Ok(record) = self.ledger.enqueue(&request, ticket, terms) {
                    self.record(self.ledger.position(), record);
                }
            }
            Step::Leave { nth } => {
                let waiters = self.ledger.contents().waiters;
                let Some(waiter) = waiters.get(usize::from(nth) % waiters.len().max(1)) else {
                    return;
                };
                if let Some(record) = self.ledger.leave(&waiter.use_id, terms) {
                    self.record(self.ledger.position(), record);
                }
            }
            _ => self.turns(terms),
        }
    }

    /// Everybody asks, until nobody's turn is left: each turn is the model's first.
    fn turns(&mut self, terms: &Terms<'_>) {
        let designer = ProductName::new("designer").expect("a name");
        self.ledger.forget_kept();
        loop {
            let holders: Vec<_> = self
                .ledger
                .leases(self.now.moment)
                .map(|view| (view.lease.user.clone(), view.lease.host.clone()))
                .collect();
            if holders.iter().collect::<std::collections::BTreeSet<_>>().len() < holders.len() {
                // A revoked lease that a bundle brought back beside a newer one: which is joined is not the rule's.
                return;
            }
            let expected = self.model(terms).first();
            let line = self.ledger.next_in_line(&designer, &|_| true, None, terms);
            let Line::Waiter(use_id, room) = line else {
                assert_eq!(expected, None);
                return;
            };
            assert_eq!(Some(&use_id), expected.as_ref());
            let waiter = self.ledger.waiter(&use_id, None).cloned().expect("a waiter");
            let granted = self.ledger.serve_waiter(&use_id, room, terms).expect("there is room");
            let lease = granted.lease;
            self.tokens.push(Token {
                lease: lease.clone(),
                use_id,
                product: waiter.product,
                user: waiter.user,
                host: waiter.host,
                seats: waiter.seats,
                issued: self.now.wall,
                address: waiter.address,
            });
            if let Some(record) = granted.record {
                self.record(self.ledger.position(), record);
            }
            if granted.is_new {
                self.end_turn(&lease, terms);
            }
        }
    }

    /// As the pair does after a seat was given.
    pub(super) fn end_turn(&mut self, lease: &LeaseId, terms: &Terms<'_>) {
        let records = self.ledger.end_turn(lease, terms);
        for (position, record) in self.ledger.placed(records) {
            self.record(position, record);
        }
    }

    fn model(&self, terms: &Terms<'_>) -> Model {
        let designer = ProductName::new("designer").expect("a name");
        let assignments = if self.narrower {
            vec![(0, None, None, 0), (0, Some(1), None, 0)]
        } else {
            vec![(2, Some(5), Some(3), 5), (0, Some(6), None, 0)]
        };
        let moment = self.now.moment;
        let matches = |assignment: u32, user: &UserName| match (self.narrower, assignment) {
            (false, 0) => ["user-0", "user-1"].contains(&user.as_str()),
            (false, _) => user.as_str() != "user-4",
            (true, 0) => user.as_str() == "user-0",
            (true, _) => user.as_str() == "user-3",
        };
        let mut waiters = self.ledger.contents().waiters;
        waiters.sort_by_key(|waiter| waiter.arrived);
        let held = self.ledger.leases(moment).map(|view| Seat {
            assignment: view.revoked.is_none().then_some(view.lease.assignment),
            user: view.lease.user.clone(),
            host: view.lease.host.clone(),
            seats: view.lease.seats().0,
        });
        Model {
            capacity: terms.capacity(&designer).0,
            assignments,
            held: held.collect(),
            waiters: waiters
                .into_iter()
                .map(|waiter| {
                    let may = (0..2).filter(|at| {
                        matches(*at, &waiter.user) && waiter.user.as_str() != "user-4"
                    });
                    (may.collect(), waiter)
                })
                .collect(),
        }
    }
}

#[derive(Clone)]
struct Seat {
    /// None for one that no assignment matches any more.
    assignment: Option<u32>,
    user: UserName,
    host: HostName,
    seats: u32,
}

/// What is held and who waits, with the assignments that match each: (reserve, max, max per user, priority).
#[derive(Clone)]
struct Model {
    capacity: u32,
    assignments: Vec<(u32, Option<u32>, Option<u32>, i8)>,
    held: Vec<Seat>,
    waiters: Vec<(Vec<u32>, Waiter)>,
}

enum Stopped {
    No,
    ByCapacity,
    ByRule,
}

impl Model {
    fn used(&self, of: impl Fn(&Seat) -> bool) -> u32 {
        self.held.iter().filter(|seat| of(seat)).map(|seat| seat.seats).sum()
    }

    fn stopped(&self, assignment: u32, waiter: &Waiter) -> Stopped {
        let (_, max, per_user, _) = self.assignments[assignment as usize];
        let n = waiter.seats.0;
        let used = self.used(|seat| seat.assignment == Some(assignment));
        let of_user =
            self.used(|seat| seat.assignment == Some(assignment) && seat.user == waiter.user);
        if max.is_some_and(|max| used + n > max) || per_user.is_some_and(|max| of_user + n > max) {
            return Stopped::ByRule;
        }
        let others: u32 = (0..).zip(&self.assignments).filter(|(at, _)| *at != assignment).fold(
            0,
            |sum, (at, (reserve, ..))| {
                sum + reserve.saturating_sub(self.used(|seat| seat.assignment == Some(at)))
            },
        );
        if n > self.capacity {
            return Stopped::ByRule;
        }
        let live = self.used(|_| true);
        match live + n + others <= self.capacity {
            true => Stopped::No,
            false if others == 0 => Stopped::ByCapacity,
            false => Stopped::ByRule,
        }
    }

    /// Whether a lease of the same user and host has the seats already.
    fn shares(&self, waiter: &Waiter) -> bool {
        self.used(|_| true) <= self.capacity
            && self.held.iter().any(|seat| {
                seat.assignment.is_some()
                    && seat.user == waiter.user
                    && seat.host == waiter.host
                    && seat.seats >= waiter.seats.0
            })
    }

    /// Whose turn it is.
    fn first(&self) -> Option<UseId> {
        let joins = |(may, waiter): &&(Vec<u32>, Waiter)| !may.is_empty() && self.shares(waiter);
        if let Some((_, waiter)) = self.waiters.iter().find(joins) {
            return Some(waiter.use_id.clone());
        }
        let mut priorities: Vec<i8> = self.assignments.iter().map(|one| one.3).collect();
        priorities.sort_by_key(|priority| std::cmp::Reverse(*priority));
        priorities.dedup();
        for priority in priorities {
            for (may, waiter) in &self.waiters {
                let of = |at: &&u32| self.assignments[**at as usize].3 == priority;
                let stopped: Vec<Stopped> =
                    may.iter().filter(of).map(|at| self.stopped(*at, waiter)).collect();
                if stopped.iter().any(|one| matches!(one, Stopped::No)) {
                    return Some(waiter.use_id.clone());
                }
                if stopped.iter().any(|one| matches!(one, Stopped::ByCapacity)) {
                    return None;
                }
            }
        }
        None
    }

    /// All whose turn comes with the seats that are free now, by use.
    fn turns(mut self) -> Vec<UseId> {
        let mut turns = Vec::new();
        while let Some(use_id) = self.first() {
            let at = self.waiters.iter().position(|(_, waiter)| waiter.use_id == use_id);
            let (may, waiter) = self.waiters.remove(at.expect("a waiter"));
            if !self.shares(&waiter) {
                let free = |at: &&u32| matches!(self.stopped(**at, &waiter), Stopped::No);
                let assignment = may.iter().find(free).copied();
                let (user, host) = (waiter.user.clone(), waiter.host.clone());
                self.held.push(Seat { assignment, user, host, seats: waiter.seats.0 });
            }
            turns.push(use_id);
        }
        turns.sort();
        turns
    }
}

fn queue(user: u8, use_id: u8, seats: u8) -> Step {
    Step::Queue { user, host: use_id, use_id, seats }
}

fn waiting(play: &Play) -> Vec<String> {
    let mut waiters = play.ledger.contents().waiters;
    waiters.sort_by_key(|waiter| waiter.arrived);
    waiters.into_iter().map(|waiter| waiter.use_id.to_string()).collect()
}

/// All ten seats of the primary, by three leases: of user-0 by `inner`, of user-2 and user-3 by `everyone`.
fn full() -> Play {
    let mut play = Play::new();
    for (user, use_id, seats) in [(0, 30, 3), (1, 31, 1), (2, 32, 3), (3, 33, 3)] {
        play.play(Step::Checkout { user, host: use_id, use_id, seats });
    }
    let designer = ProductName::new("designer").expect("a name");
    assert_eq!(play.ledger.live(&designer), Seats(10));
    play
}

#[test]
fn a_place_is_counted_by_priority_and_then_by_arrival() {
    let mut play = full();
    for (user, use_id) in [(2, 1), (3, 2), (1, 3)] {
        play.play(queue(user, use_id, 1));
    }
    let place = |use_id: u8| {
        let use_id = UseId::new(&format!("use-{use_id}")).expect("a use");
        play.ledger.place_in_line(&use_id)
    };
    assert_eq!([place(1), place(2), place(3), place(9)], [Some(2), Some(3), Some(1), None]);
}

#[test]
fn one_use_waits_once_and_a_lease_ends_its_waiting() {
    let mut play = full();
    play.play(queue(3, 1, 1));
    play.play(queue(3, 1, 1));
    assert_eq!(waiting(&play), ["use-1"]);
    play.play(Step::Release { nth: 2 });
    play.play(Step::Turns);
    assert_eq!(waiting(&play), [] as [&str; 0]);
}

#[test]
fn one_that_needs_more_seats_than_are_free_is_not_passed() {
    let mut play = full();
    play.play(queue(3, 1, 3));
    play.play(queue(2, 2, 1));
    // The seat of user-1: two more are needed by the first in line.
    play.play(Step::Release { nth: 1 });
    play.play(Step::Turns);
    assert_eq!(waiting(&play), ["use-1", "use-2"]);
}

#[test]
fn who_is_not_entitled_any_more_has_no_turn() {
    let mut play = full();
    play.play(queue(2, 1, 1));
    play.play(Step::Reload { narrower: true });
    play.play(Step::Release { nth: 0 });
    play.play(Step::Turns);
    assert_eq!(waiting(&play), ["use-1"]);
    assert!(!play.ledger.may_wait(&UseId::new("use-1").expect("a use")));
}

#[test]
fn a_merge_puts_the_waiters_of_both_in_the_order_of_their_arrivals() {
    let mut play = full();
    play.play(queue(2, 1, 1));
    let mut theirs = play.ledger.contents();
    play.play(queue(3, 2, 1));
    let first = theirs.waiters.first().cloned().expect("a waiter");
    let other = Waiter {
        use_id: UseId::new("use-3").expect("a use"),
        ticket: QueueTicket::new("t-3").expect("a ticket"),
        arrived: Position { epoch: Epoch(2), seq: 1 },
        ..first.clone()
    };
    theirs.waiters.push(other);
    // The same use came to the other server too, later: it keeps its first place and that ticket.
    theirs.waiters[0].arrived = Position { epoch: Epoch(2), seq: 0 };
    theirs.waiters[0].ticket = QueueTicket::new("t-1").expect("a ticket");
    // Each served while it knew nothing of the other.
    theirs.position = Position { epoch: Epoch(2), seq: 1 };
    let config = play.configs[0].clone();
    let terms = Terms {
        config: &config,
        me: &play.me,
        role: Role::Primary,
        unheard: Span::ZERO,
        now: play.now,
    };
    play.ledger.merge(theirs, Epoch(3), &terms);
    assert_eq!(waiting(&play), ["use-1", "use-2", "use-3"]);
    let kept = play.ledger.waiter(&first.use_id, None).map(|waiter| waiter.ticket.clone());
    assert_eq!(kept, Some(first.ticket));
}

#[test]
fn a_queue_takes_ten_thousand() {
    let mut play = full();
    let config = play.configs[0].clone();
    let me = play.me.clone();
    let terms =
        Terms { config: &config, me: &me, role: Role::Primary, unheard: Span::ZERO, now: play.now };
    for nth in 0..=WAITERS_MAX {
        let mut request = play.request(2, 1, 0, 1);
        request.use_id = UseId::new(&format!("w-{nth}")).expect("a use");
        let ticket = QueueTicket::new(&format!("t-{nth}")).expect("a ticket");
        let took = play.ledger.enqueue(&request, ticket, &terms);
        assert_eq!(took.is_ok(), nth < WAITERS_MAX, "{nth}");
        if nth == WAITERS_MAX {
            assert_eq!(took, Err(No::TooManyWaiting));
        }
    }
}
