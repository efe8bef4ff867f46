//! Laws of the ledger: whatever clients do, the records say all of it, and what is counted is what is held.

use std::collections::BTreeMap;

use proptest::prelude::*;

mod queue;

use super::*;
use crate::bundle::fixture;

const MANIFEST: &str = "
apiVersion: tandem/v1
kind: LicensePair
metadata: {name: studio-west}
servers:
  - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820}
  - {name: lic-b, role: secondary, address: 127.0.0.1, port: 4821}
trust: {vendors: ['VENDOR']}
users: [{name: user-0}, {name: user-1}, {name: user-2}]
groups: [{name: inner, members: [user-0, user-1]}]
seats:
  - product: designer
    assign: [{group: inner, reserve: 2, max: 5, maxPerUser: 3, priority: 5}, {everyone: true, max: 6}]
    deny: [{user: 'user-4'}]
";

/// The same with the group gone and less for everyone.
const NARROWER: &str = "
apiVersion: tandem/v1
kind: LicensePair
metadata: {name: studio-west}
servers:
  - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820}
  - {name: lic-b, role: secondary, address: 127.0.0.1, port: 4821}
trust: {vendors: ['VENDOR']}
users: [{name: user-0}]
seats:
  - product: designer
    assign: [{user: 'user-0'}, {user: 'user-3', max: 1}]
";

#[derive(Clone, Debug)]
enum Step {
    Checkout {
        user: u8,
        host: u8,
        use_id: u8,
        seats: u8,
    },
    Release {
        nth: u8,
    },
    Renew {
        nth: u8,
    },
    Force {
        nth: u8,
    },
    Wait {
        secs: u16,
    },
    Reload {
        narrower: bool,
    },
    Queue {
        user: u8,
        host: u8,
        use_id: u8,
        seats: u8,
    },
    Leave {
        nth: u8,
    },
    /// Everybody who waits asks: those whose turn it is are served.
    Turns,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..5_u8, 0..2_u8, 0..40_u8, 1..4_u8)
            .prop_map(|(user, host, use_id, seats)| Step::Checkout { user, host, use_id, seats }),
        3 => any::<u8>().prop_map(|nth| Step::Release { nth }),
        2 => any::<u8>().prop_map(|nth| Step::Renew { nth }),
        1 => any::<u8>().prop_map(|nth| Step::Force { nth }),
        1 => (0..400_u16).prop_map(|secs| Step::Wait { secs }),
        1 => any::<bool>().prop_map(|narrower| Step::Reload { narrower }),
        // All windows of one holder want the same number: growing seats are judged as if they were new ones.
        3 => (0..5_u8, 0..2_u8, 0..40_u8).prop_map(|(user, host, use_id)| {
            let seats = 1 + (user + host) % 3;
            Step::Queue { user, host, use_id, seats }
        }),
        1 => any::<u8>().prop_map(|nth| Step::Leave { nth }),
        2 => Just(Step::Turns),
    ]
}

/// A server's ledger, another server's that applies its records, and the model of a disk.
struct Play {
    configs: [Config; 2],
    narrower: bool,
    now: Now,
    me: ServerName,
    ledger: Ledger,
    follower: Ledger,
    disk: Contents,
    tokens: Vec<Token>,
    made: u32,
}

impl Play {
    fn new() -> Self {
        let config = |yaml: &str| Config::compile(&fixture::bundle(yaml)).expect("it compiles");
        let wall = "2026-06-01T00:00:00Z".parse().expect("a time");
        let mut play = Self {
            configs: [config(MANIFEST), config(NARROWER)],
            narrower: false,
            now: Now { moment: Moment::from_ms(1), wall },
            me: ServerName::new("lic-a").expect("a name"),
            ledger: Ledger::default(),
            follower: Ledger::default(),
            disk: Contents::default(),
            tokens: Vec::new(),
            made: 0,
        };
        play.ledger.begin(Epoch(1));
        play.follower.begin(Epoch(1));
        play.disk = play.ledger.contents();
        play
    }

    fn record(&mut self, position: Position, record: Record) {
        let config = &self.configs[usize::from(self.narrower)];
        let terms =
            Terms { config, me: &self.me, role: Role::Primary, unheard: Span::ZERO, now: self.now };
        self.follower.apply(position, record.clone(), &terms);
        self.disk.apply(position, &record);
    }

    fn request(&mut self, user: u8, host: u8, use_id: u8, seats: u8) -> Checkout {
        self.made += 1;
        Checkout {
            product: ProductName::new("designer").expect("a name"),
            user: UserName::new(&format!("user-{user}")).expect("a name"),
            host: HostName::new(&format!("host-{host}")).expect("a name"),
            address: "10.0.0.1".parse().expect("an address"),
            use_id: UseId::new(&format!("use-{use_id}")).expect("a use"),
            seats: Seats(u32::from(seats)),
            borrow: None,
            fresh: LeaseId::new(&format!("lease-{}", self.made)).expect("an id"),
        }
    }

    fn token(&self, nth: u8) -> Option<Token> {
        let count = self.tokens.len().max(1);
        self.tokens.get(usize::from(nth) % count).cloned()
    }

    fn play(&mut self, step: Step) {
        let config = self.configs[usize::from(self.narrower)].clone();
        let me = self.me.clone();
        if let Step::Wait { secs } = step {
            let span = Span::from_secs(u64::from(secs));
            self.now = Now { moment: self.now.moment + span, wall: self.now.wall + span };
        }
        let terms = Terms {
            config: &config,
            me: &me,
            role: Role::Primary,
            unheard: Span::ZERO,
            now: self.now,
        };
        match step {
            Step::Queue { .. } | Step::Leave { .. } | Step::Turns => self.play_queue(&step, &terms),
            Step::Checkout { user, host, use_id, seats } => {
                let request = self.request(user, host, use_id, seats);
                let could = self.keep_turns(&terms);
                let before = self.ledger.live(&request.product);
                let Ok(granted) = self.ledger.checkout(&request, &terms) else { return };
                let (live, capacity) =
                    (self.ledger.live(&request.product), terms.capacity(&request.product));
                assert!(live <= capacity || live <= before, "{live} of {capacity} are held");
                let still = self.keep_turns(&terms);
                let passed = |use_id: &UseId| {
                    let is_other = *use_id != request.use_id;
                    is_other && !still.contains(use_id) && !self.has_room_for(use_id, &terms)
                };
                assert!(!could.iter().any(passed), "a newcomer passed who could be served");
                let lease = granted.lease;
                self.tokens.push(Token {
                    lease: lease.clone(),
                    use_id: request.use_id,
                    product: request.product,
                    user: request.user,
                    host: request.host,
                    seats: request.seats,
                    issued: self.now.wall,
                    address: request.address,
                });
                if let Some(record) = granted.record {
                    self.record(self.ledger.position(), record);
                }
                if granted.is_new {
                    self.end_turn(&lease, &terms);
                }
            }
            Step::Release { nth } => {
                let Some(token) = self.token(nth) else { return };
                if let Some(record) = self.ledger.release(&token, &terms) {
                    self.record(self.ledger.position(), record);
                }
                assert_eq!(self.ledger.renew(&token, &terms), Err(Some(No::UnknownLease)));
                assert_eq!(self.ledger.release(&token, &terms), None, "repeating changes nothing");
            }
            Step::Renew { nth } => {
                if let Some(token) = self.token(nth) {
                    let _ = self.ledger.renew(&token, &terms);
                }
            }
            Step::Force { nth } => {
                let Some(token) = self.token(nth) else { return };
                if let Ok(record) = self.ledger.force(&token.lease, "because", &terms) {
                    self.record(self.ledger.position(), record);
                    let renewed = self.ledger.renew(&token, &terms);
                    assert!(matches!(renewed, Err(Some(_))), "{renewed:?}");
                }
            }
            Step::Wait { .. } => {
                let mut position = self.ledger.position();
                for record in self.ledger.expire(&terms) {
                    position.seq += 1;
                    self.record(position, record);
                }
                let live = self.ledger.leases(self.now.moment).all(|v| v.remaining > Span::ZERO);
                assert!(live, "a lease outlived its time");
            }
            Step::Reload { narrower } => {
                self.narrower = narrower;
                let config = self.configs[usize::from(narrower)].clone();
                let terms = Terms { config: &config, ..terms };
                self.ledger.recharge(&terms);
                self.follower.recharge(&terms);
            }
        }
    }

    /// What is counted is what is held, and everybody who heard the records knows the same.
    fn check(&self) {
        let product = ProductName::new("designer").expect("a name");
        let held: Seats = self.ledger.leases(self.now.moment).map(|v| v.lease.seats()).sum();
        assert_eq!(self.ledger.live(&product), held);
        let ids = |contents: &Contents| -> Vec<(LeaseId, BTreeMap<UseId, Use>)> {
            let mut leases: Vec<_> =
                contents.leases.iter().map(|l| (l.id.clone(), l.uses.clone())).collect();
            leases.sort_by(|a, b| a.0.cmp(&b.0));
            leases
        };
        let mine = self.ledger.contents();
        assert_eq!(ids(&mine), ids(&self.follower.contents()));
        assert_eq!(ids(&mine), ids(&self.disk));
        let waiters = |contents: &Contents| -> BTreeMap<UseId, Waiter> {
            contents.waiters.iter().map(|w| (w.use_id.clone(), w.clone())).collect()
        };
        assert_eq!(waiters(&mine), waiters(&self.follower.contents()));
        assert_eq!(waiters(&mine), waiters(&self.disk));
        assert!(mine.waiters.iter().all(|waiter| !self.ledger.knows_use(&waiter.use_id)));
        assert_eq!(mine.position, self.disk.position);
        assert_eq!(mine.position, self.follower.position());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn records_say_everything_and_counts_are_what_is_held(
        steps in proptest::collection::vec(step(), 1..80)
    ) {
        let mut play = Play::new();
        for step in steps {
            play.play(step);
            play.check();
        }
    }

    #[test]
    fn merging_with_oneself_changes_nothing(steps in proptest::collection::vec(step(), 1..60)) {
        let mut play = Play::new();
        for step in steps {
            play.play(step);
        }
        let config = &play.configs[usize::from(play.narrower)];
        let terms = Terms { config, me: &play.me, role: Role::Primary, unheard: Span::ZERO, now: play.now };
        let before = play.ledger.contents();
        let mut merged = play.ledger.clone();
        merged.merge(before.clone(), Epoch(101), &terms);
        let after = merged.contents();
        let ids = |contents: &Contents| -> Vec<LeaseId> {
            contents.leases.iter().map(|lease| lease.id.clone()).collect()
        };
        prop_assert_eq!(ids(&after), ids(&before));
        prop_assert_eq!(after.ends.len(), before.ends.len());
        prop_assert_eq!(after.waiters, before.waiters);
    }
}

#[test]
fn a_full_assignment_passes_its_members_on_to_the_next() {
    let mut play = Play::new();
    for use_id in 0..3 {
        play.play(Step::Checkout { user: use_id % 2, host: use_id, use_id, seats: 3 });
    }
    let charged: Vec<u32> =
        play.ledger.leases(play.now.moment).map(|view| view.lease.assignment).collect();
    assert_eq!(charged, [0, 1, 1]);
}

#[test]
fn the_next_use_of_a_holder_joins_its_lease_whatever_happens_to_one_that_was_revoked() {
    let mut play = Play::new();
    let checkout = |use_id| Step::Checkout { user: 3, host: 0, use_id, seats: 1 };
    play.play(checkout(1));
    play.play(Step::Force { nth: 0 });
    play.play(checkout(2));
    // The revoked one is written anew, and ends.
    play.play(Step::Force { nth: 0 });
    play.play(Step::Release { nth: 0 });
    play.play(checkout(3));
    let designer = ProductName::new("designer").expect("a name");
    assert_eq!(play.ledger.live(&designer), Seats(1));
}
