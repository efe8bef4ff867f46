//! The core world: the real `Pair`, `Ledger` and `Failover` on a queue of events with a simulated network, disks and
//! clocks, with no sockets, no runtime and no tick. Thousands of runs a second.
//!
//! Every decision of a run comes from one stream of choices: [`run`] draws it from a seed, [`replay`] takes a recorded
//! one and gives the identical run.

mod clock;
mod connection;
mod disk;
mod ground;
mod log;
mod machine;
mod message;
mod network;
mod person;
mod queue;
mod reconciler;
mod stage;
mod states;
mod wild;

use crate::run::{Run, caught, on_fresh_thread};
use crate::seed::{Choice, Choices};
use crate::world::leak_net;
use crate::world::setup::Setup;

use connection::Item;
pub(crate) use ground::Ground;
use message::{Answer, Request};
use queue::Micros;
use stage::Stage;
pub use states::States;

/// A node of the network: the two servers are 0 and 1.
type Node = usize;

/// Something that is to happen.
#[derive(Debug)]
enum Event {
    /// Something arrives on a connection of the servers.
    Arrives { id: usize, from: Node, item: Item },
    /// A request arrives at a server.
    Request { to: Node, request: Box<Request> },
    /// An answer arrives.
    Answer(Box<Answer>),
    /// A client's alarm comes.
    Client { person: usize, due: Micros },
    /// A client's computer wakes.
    Awake { person: usize },
    /// The reconciler's alarm comes.
    Reconciler { until: Micros },
    /// A server's alarm comes.
    Alarm { at: Node, era: u32, due: Micros },
    /// A write is done.
    Written { at: Node, era: u32 },
    /// A process opens its disk.
    Open { at: Node, era: u32 },
    /// An attempt to connect has ended, at a process of that era where it went well.
    Dialed { at: Node, era: u32, reached: Option<u32> },
    /// A process may try to connect again.
    Redial { at: Node, era: u32, wait: u32 },
    /// A client closes the connection of a request that a server holds.
    HangUp { to: Node, number: u64 },
    /// What one node sends another does not wait any longer.
    Unclogged { from: Node, to: Node },
}

impl Event {
    /// The server that it happens to.
    fn machine(&self) -> Option<Node> {
        match self {
            Self::Arrives { from, .. } => Some(1 - from),
            Self::Request { to, .. } | Self::HangUp { to, .. } => Some(*to),
            Self::Alarm { at, .. }
            | Self::Written { at, .. }
            | Self::Open { at, .. }
            | Self::Dialed { at, .. }
            | Self::Redial { at, .. } => Some(*at),
            _ => None,
        }
    }

    /// The same message again, where it is one on its own.
    fn again(&self) -> Option<Self> {
        match self {
            Self::Request { to, request } => {
                Some(Self::Request { to: *to, request: request.clone() })
            }
            Self::Answer(answer) => Some(Self::Answer(answer.clone())),
            _ => None,
        }
    }
}

/// The kinds of things in a trace.
mod kind {
    pub(super) const HELLO: u8 = 1;
    pub(super) const HEARTBEAT: u8 = 2;
    pub(super) const RECORDS: u8 = 3;
    pub(super) const DURABLE: u8 = 4;
    pub(super) const HAND_OVER: u8 = 5;
    pub(super) const HANDED_OVER: u8 = 6;
    pub(super) const CATCH_UP: u8 = 7;
    pub(super) const CAUGHT_UP: u8 = 8;
    pub(super) const BUNDLE: u8 = 9;
    pub(super) const GOODBYE: u8 = 10;
    pub(super) const DEADLINE: u8 = 11;
    pub(super) const WRITTEN: u8 = 12;
    pub(super) const OPENED: u8 = 13;
    pub(super) const REQUEST: u8 = 14;
    pub(super) const ANSWER: u8 = 15;
    pub(super) const HEARD: u8 = 16;
    pub(super) const STATE: u8 = 17;
}

/// Runs a seed.
#[must_use]
pub fn run(setup: &Setup, seed: u64) -> Run {
    play(setup, Choices::from_seed(seed)).0
}

/// Runs recorded choices again. Where they end or do not fit any more, `seed` goes on.
#[must_use]
pub fn replay(setup: &Setup, seed: u64, recorded: Vec<Choice>) -> Run {
    play(setup, Choices::replay(seed, recorded)).0
}

/// Runs recorded choices, and whatever is simplest where they end; gives the choices that were made.
#[must_use]
pub fn replay_exactly(setup: &Setup, seed: u64, recorded: Vec<Choice>) -> (Run, Vec<Choice>) {
    let (run, choices) = play(setup, Choices::exactly(seed, recorded));
    (run, choices.into_made())
}

/// Runs a seed, and gives the choices that were made.
#[must_use]
pub fn run_recorded(setup: &Setup, seed: u64) -> (Run, Vec<Choice>) {
    let (run, choices) = play(setup, Choices::from_seed(seed));
    (run, choices.into_made())
}

/// Runs a seed; a panic is the simulator's failure.
#[must_use]
pub fn run_caught(setup: &Setup, seed: u64) -> Run {
    caught(seed, || run(setup, seed))
}

/// How many runs of a hundred have the real store on their disks.
const REAL_DISKS: u64 = 5;

/// Runs choices, and gives those that were made.
fn play(setup: &Setup, mut choices: Choices) -> (Run, Choices) {
    let seed = choices.seed();
    let is_real = choices.choose("disk", 100) >= 100 - REAL_DISKS;
    let (run, choices) = if is_real {
        // The store asks the standard library for the keys of its hash maps: they must belong to the run.
        let mut after = None;
        let run = on_fresh_thread(seed, || {
            let _inside = leak_net::enter(seed, setup.subject.start);
            let (run, choices) = perform(setup, choices, is_real);
            after = Some(choices);
            run
        });
        (run, after.unwrap_or_else(|| Choices::from_seed(seed)))
    } else {
        perform(setup, choices, is_real)
    };
    let kept = if setup.keeps_history { run.entries.clone() } else { Vec::new() };
    let mut run = run.judged(&setup.plan);
    if setup.keeps_history {
        run.entries = kept;
    }
    (run, choices)
}

fn perform(setup: &Setup, choices: Choices, is_real: bool) -> (Run, Choices) {
    let seed = choices.seed();
    match Stage::set(setup, choices, is_real) {
        Ok(stage) => stage.play(),
        Err(reason) => (Run::failed(seed, reason), Choices::from_seed(seed)),
    }
}
