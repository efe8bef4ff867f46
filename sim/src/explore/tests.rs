//! The search itself: what it leaves out leads nowhere else.

use std::collections::{BTreeMap, VecDeque};

use tandem::measure::{Moment, Span};
use tandem::name::LeaseId;
use tandem::pair::{Refusal, Reply, Ticket};
use tandem::seen::Mark;

use super::canon::Canon;
use super::choice::Choice;
use super::client::{Client, Heard, Stage, What};
use super::search::{Bounds, Outcome, search};
use super::setup::{RENEW_AFTER, Setup, TTL};
use super::space::{Faults, NONE, Space};
use super::{explore, first, replay};

const BOUNDS: Bounds = Bounds { jobs: 1, states: u64::MAX, depth: u64::MAX };

fn searched(space: &Space) -> Outcome {
    let setup = Setup::new(space).expect("a pair");
    let first = first(&setup, space).expect("a beginning");
    search(&setup, space, first, BOUNDS, &|_| true)
}

#[test]
fn orders_that_are_left_out_end_where_others_end() {
    let named = |name| *Space::named(name).expect("a space");
    let one = named("one-client");
    let smallest = [
        Space { plans: &[Faults { crashes: [1, 0], ..NONE }], ..one },
        Space { plans: &[Faults { crashes: [0, 1], ..NONE }], ..one },
        Space { plans: &[Faults { sticks: [1, 0], ..NONE }], ..one },
        Space { plans: &[Faults { handovers: [1, 0], ..NONE }], ..one },
        Space { plans: &[Faults { commits: [1, 1], ..NONE }], ..one },
        Space { plans: &[NONE], uses: [1, 1], ..one },
        Space { plans: &[NONE], ..named("escrow-two-seats") },
        Space { plans: &[NONE], uses: [1, 0], ..named("hand-over-crash") },
        Space { plans: &[NONE], uses: [1, 0], ..named("lost-disk") },
        Space { plans: &[NONE], uses: [1, 0], ..named("catch-up-and-crash") },
    ];
    for reduced in smallest {
        let whole = searched(&Space { reduce: false, ..reduced });
        let plans = reduced.plans;
        let reduced = searched(&reduced);
        assert!(whole.exhausted && reduced.exhausted, "{plans:?}");
        assert!(reduced.states < whole.states, "{plans:?}");
        // The states in which time passes are the same.
        assert_eq!(reduced.beats, whole.beats, "{plans:?}");
    }
}

/// How many states of a space are looked at, a choice further from each.
const LOOKED_AT: usize = 4_000;

#[test]
fn states_of_one_name_lead_to_states_of_one_name() {
    let named = |name| *Space::named(name).expect("a space");
    for space in [
        "one-client",
        "crash-and-pause",
        "cut",
        "escrow-two-seats",
        "escrow-transfers",
        "escrow-slot-and-fence",
        "escrow-third-moves",
        "lost-disk",
    ] {
        let space = Space { reduce: false, ..named(space) };
        let setup = Setup::new(&space).expect("a pair");
        let (mut canon, mut choices) = (Canon::default(), Vec::new());
        // Where each name leads, and what leads there.
        let mut leads: BTreeMap<u128, (Vec<(String, u128)>, String)> = BTreeMap::new();
        let begin = first(&setup, &space).expect("a beginning");
        let mut worlds = VecDeque::from([(begin, true, String::new())]);
        let mut looked_at = 0;
        // Far and wide.
        while let Some((mut world, has_passed, way)) =
            if looked_at % 2 == 0 { worlds.pop_front() } else { worlds.pop_back() }
        {
            looked_at += 1;
            if looked_at > LOOKED_AT {
                break;
            }
            let name = canon.name_with_faults(&world, has_passed);
            if canon.drops() {
                world.forget(&canon);
            }
            world.choices(&space, &mut choices);
            let mut to = Vec::new();
            let mut after = Vec::new();
            for choice in &choices {
                let mut next = world.clone();
                next.apply(&setup, *choice).expect("every promise holds");
                let has_passed = *choice == Choice::Tick;
                let name = canon.name_with_faults(&next, has_passed);
                to.push((choice.to_string(), name));
                after.push((next, has_passed, format!("{way}, {choice}")));
            }
            match leads.get(&name) {
                Some((known, other)) => {
                    let differ = known.iter().zip(&to).find(|(a, b)| a != b);
                    let differ = differ.map(|(one, _)| &one.0);
                    assert!(*known == to, "{}:\n{way}\n{other}\n{differ:?}", space.name);
                }
                None => {
                    leads.insert(name, (to, way));
                    worlds.extend(after);
                }
            }
        }
        assert!(leads.len() < looked_at, "{}: no two states have one name", space.name);
    }
}

#[test]
fn slots_move_in_the_spaces_that_say_so() {
    let reaches = |name, plans, marks: &[Mark]| {
        let space = Space { plans, ..*Space::named(name).expect("a space") };
        let seen = searched(&space).seen;
        for mark in marks {
            assert!(seen.has(*mark), "{name}: {}", mark.name());
        }
    };
    reaches("escrow-transfers", &[NONE], &[Mark::Shifted, Mark::QuotasMoved]);
    let secondary_serves = &[Faults { crashes: [1, 0], ..NONE }];
    reaches("escrow-slot-to-slot", secondary_serves, &[Mark::Shifted]);
    reaches("escrow-free-slot-moves", &[NONE], &[Mark::QuotasMoved]);
    reaches("escrow-third-moves", &[NONE], &[Mark::Shifted]);
    reaches("escrow-lost-disk", &[NONE], &[Mark::SlotsLost]);
}

#[test]
fn a_calm_pair_is_searched_whole_by_one_thread_or_two() {
    let bounds = |jobs| Bounds { jobs, ..BOUNDS };
    let one = explore("calm", bounds(1), None, &|_| true);
    let two = explore("calm", bounds(2), None, &|_| true);
    let (one, two) = (one.expect("a search"), two.expect("a search"));
    assert!(one.exhausted && two.exhausted);
    assert!(one.violated.is_none() && two.violated.is_none());
    let short = explore("calm", Bounds { depth: 40, ..BOUNDS }, None, &|_| true).expect("a search");
    assert!(!short.exhausted);
    let ended = explore("calm", bounds(1), None, &|_| false).expect("a search");
    assert!(!ended.exhausted && ended.states < one.states);
}

#[test]
fn a_recording_of_nothing_is_played_to_its_end() {
    let recording = r#"{"schema": 1, "space": "calm", "promise": "capacity", "choices": []}"#;
    let (lines, broken) = replay(recording).expect("a recording");
    assert_eq!((lines.len(), broken), (1, None));
}

/// The lines and the verdict of a schedule that is written down here.
fn played(space: &str, labels: &str) -> (usize, Option<String>) {
    let choices: Vec<String> = labels
        .split(',')
        .map(|label| format!(r#"{{"label": "{}", "of": 1, "chosen": 0}}"#, label.trim()))
        .collect();
    let choices = choices.join(",");
    let recording = format!(
        r#"{{"schema": 1, "space": "{space}", "promise": "durability", "choices": [{choices}]}}"#
    );
    let (lines, broken) = replay(&recording).expect("a recording");
    (lines.len() - 1, broken.map(|(_, what)| what))
}

#[test]
fn a_server_that_need_not_know_a_lease_may_have_no_seat_for_it() {
    // It comes back with a lease that nobody was told of, and has never heard of the one that its peer gave.
    let labels = "plan 0, tick, ask 0 a, burn a 1, tick, tick, tick, start a, write a, \
                  write b, ask 1 b, write b, hear 1, kill b 0, tick, tick, tick, tick, \
                  write a, renew 1 a";
    assert_eq!(played("crash-each", labels), (labels.split(',').count(), None));
}

#[test]
fn a_server_that_gave_a_lease_or_heard_that_it_is_paired_must_have_a_seat_for_it() {
    let setup = Setup::new(Space::named("calm").expect("a space")).expect("a pair");
    let now = Moment::from_ms(1_000_000);
    let lost = |asked_at: usize, told: bool| {
        let mut client = Client::new(0, 1);
        let until = now + TTL;
        let lease = LeaseId::new("c0u0-001").expect("an id");
        client.stage = Stage::Holds { lease, until, split: false, known: [true, false] };
        if told {
            client.note_paired(1);
        }
        let now = now + RENEW_AFTER;
        client.ask(What::Renewal, asked_at, (Ticket(1), now, false), &setup);
        let (why, holders, retry_after) = (String::new(), Vec::new(), Span::ZERO);
        let refusal = Refusal::NoSeatFree { why, holders, retry_after };
        matches!(client.answered(&Reply::Refused(refusal), now), Heard::Lost(_))
    };
    assert_eq!([lost(0, false), lost(1, false), lost(1, true)], [true, false, true]);
}
