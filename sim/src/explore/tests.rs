//! The search itself: what it leaves out leads nowhere else.

use super::search::{Bounds, Outcome, search};
use super::setup::Setup;
use super::space::Space;
use super::{explore, first, replay};

const BOUNDS: Bounds = Bounds { jobs: 1, states: u64::MAX, depth: u64::MAX };

fn searched(space: &Space) -> Outcome {
    let setup = Setup::new(space).expect("a pair");
    let first = first(&setup, space).expect("a beginning");
    search(&setup, space, first, BOUNDS, &|_| {})
}

#[test]
fn orders_that_are_left_out_end_where_others_end() {
    let one = Space::named("one-client").expect("a space");
    // One client and one crash of the secondary.
    let reduced = Space { plans: &one.plans[1..], ..*one };
    let whole = searched(&Space { reduce: false, ..reduced });
    let reduced = searched(&reduced);
    assert!(whole.exhausted && reduced.exhausted);
    assert!(reduced.states < whole.states, "{} of {}", reduced.states, whole.states);
    // Time passes in as many states: but for those that stand for others which remember an end for longer.
    let apart = reduced.beats.abs_diff(whole.beats);
    assert!(apart * 100 < whole.beats, "{} and {}", reduced.beats, whole.beats);
}

#[test]
fn a_calm_pair_is_searched_whole_by_one_thread_or_two() {
    let bounds = |jobs| Bounds { jobs, ..BOUNDS };
    let one = explore("calm", bounds(1), None, &|_| {});
    let two = explore("calm", bounds(2), None, &|_| {});
    let (one, two) = (one.expect("a search"), two.expect("a search"));
    assert!(one.exhausted && two.exhausted);
    assert!(one.violated.is_none() && two.violated.is_none());
    let short = explore("calm", Bounds { depth: 40, ..BOUNDS }, None, &|_| {}).expect("a search");
    assert!(!short.exhausted);
}

#[test]
fn a_recording_of_nothing_is_played_to_its_end() {
    let recording = r#"{"schema": 1, "space": "calm", "promise": "capacity", "choices": []}"#;
    let (lines, broken) = replay(recording).expect("a recording");
    assert_eq!((lines.len(), broken), (1, None));
}
