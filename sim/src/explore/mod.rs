//! Exhaustive search: every schedule of a small pair with few faults, as far as two schedules can be told apart.
//!
//! The servers are real ones (`Pair` and `Ledger`); machines, disks, network and clients are choices, and time passes a
//! heartbeat at once. A schedule that breaks a promise is shrunk, shown and recorded. It knows no seeds.

mod canon;
mod choice;
mod client;
mod converge;
mod judge;
mod schedule;
mod search;
mod setup;
mod space;
mod verb;
mod world;

#[cfg(test)]
mod tests;

use std::str::FromStr as _;

use tandem::manifest::types::Mode;
use tandem::mutant::{self, Mutant};
use tandem::pair::{Pair, StartError, State};
use tandem::seen::Marks;

use choice::{At, Choice, ChoiceError};
use client::What;
use schedule::{Recording, play, shrunk};
use search::search;
use setup::Setup;
use space::{Faults, From, Space};
use world::World;

use crate::oracle::Promise;

pub use search::Bounds;
pub use setup::SetupError;
pub use verb::{Args, Failure, run};

/// What a search of one space found.
#[derive(Clone, Debug)]
pub struct Explored {
    /// The space.
    pub space: &'static str,
    /// How many states were seen.
    pub states: u64,
    /// The longest way, in transitions.
    pub depth: u64,
    /// Whether there are no other states.
    pub exhausted: bool,
    /// In how many of the states a heartbeat has just passed.
    pub beats: u64,
    /// What the servers came to.
    pub seen: Marks,
    /// Whether the line of the mutant that was on was come to; `None` where none was.
    pub reached: Option<bool>,
    /// The promise that was broken.
    pub violated: Option<Violated>,
}

/// A promise that was broken, and how it came to that.
#[derive(Clone, Debug)]
pub struct Violated {
    /// The promise.
    pub promise: Promise,
    /// How it is broken.
    pub what: String,
    /// The schedule, a transition a line.
    pub schedule: Vec<String>,
    /// The choices, for [`replay`].
    pub recording: String,
}

/// Why nothing was searched.
#[derive(Debug, thiserror::Error)]
pub enum ExploreError {
    /// A space of that name is not known.
    #[error("there is no space `{0}`, but {all}", all = names().join(", "))]
    NoSpace(String),
    /// The pair cannot be made.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A server does not start.
    #[error("a server of the search does not start: {0}")]
    Start(#[from] StartError),
    /// The pair does not come to the state from which the space is searched.
    #[error("the search cannot begin: {0}")]
    Begin(String),
    /// A file is no recording.
    #[error("this is no recording of a search: {0}")]
    Recording(#[from] serde_json::Error),
    /// A recording holds what cannot happen.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// A recording was made with a mutant that is not there.
    #[error("the recording was made with the mutant `{0}`, which this program does not have")]
    NoMutant(String),
}

impl std::convert::From<world::Broken> for ExploreError {
    fn from(broken: world::Broken) -> Self {
        Self::Begin(broken.what)
    }
}

/// The names of the spaces.
#[must_use]
pub fn names() -> Vec<&'static str> {
    space::SPACES.iter().map(|space| space.name).collect()
}

/// What each space is about.
pub fn about() -> impl Iterator<Item = (&'static str, &'static str)> {
    space::SPACES.iter().map(|space| (space.name, space.about))
}

/// The names of the spaces of a mode that are searched whole.
#[must_use]
pub fn whole(mode: Mode) -> Vec<&'static str> {
    let spaces = space::SPACES.iter().filter(|space| space.whole && space.mode == mode);
    spaces.map(|space| space.name).collect()
}

/// Searches a space. `progress` is told now and then how many states were seen, and says whether to go on.
///
/// # Errors
/// There is no such space, or no pair to search.
pub fn explore(
    name: &str,
    bounds: Bounds,
    mutant: Option<Mutant>,
    progress: &(dyn Fn(u64) -> bool + Sync),
) -> Result<Explored, ExploreError> {
    let space = Space::named(name).ok_or_else(|| ExploreError::NoSpace(name.to_owned()))?;
    let setup = Setup::new(space)?;
    let first = first(&setup, space)?;
    if let Some(mutant) = mutant {
        mutant::choose(mutant);
    }
    // One way to break a promise is enough.
    let searched = Space { wanders: mutant.is_some(), ..*space };
    let outcome = search(&setup, &searched, first.clone(), bounds, progress);
    let violated = outcome.broken.map(|(way, broken)| {
        let way = shrunk(&setup, space, &first, way, &broken);
        let played = play(&setup, space, &first, &way);
        let recording = Recording {
            schema: 1,
            space: space.name.to_owned(),
            mutant: mutant.map(|mutant| mutant.name().to_owned()),
            promise: broken.promise.as_str().to_owned(),
            choices: played.choices,
        };
        let broken = played.broken.unwrap_or(broken);
        Violated {
            promise: broken.promise,
            what: broken.what,
            schedule: played.lines,
            // Texts and numbers always have a text.
            recording: serde_json::to_string_pretty(&recording).unwrap_or_default() + "\n",
        }
    });
    if mutant.is_some() {
        mutant::choose_none();
    }
    let (states, depth, exhausted) = (outcome.states, outcome.depth, outcome.exhausted);
    let (beats, seen) = (outcome.beats, outcome.seen);
    let reached = mutant.map(|_| outcome.reached);
    Ok(Explored { space: space.name, states, depth, exhausted, beats, seen, reached, violated })
}

/// A schedule, a line a transition, and what it breaks.
pub type Played = (Vec<String>, Option<(Promise, String)>);

/// Plays a recording again: what it breaks, if it still does.
///
/// # Errors
/// It is no recording, or one of a space or mutant that is not there.
pub fn replay(recording: &str) -> Result<Played, ExploreError> {
    let recorded: Recording = serde_json::from_str(recording)?;
    let space = Space::named(&recorded.space)
        .ok_or_else(|| ExploreError::NoSpace(recorded.space.clone()))?;
    let choices = recorded.choices.iter().map(|one| Choice::from_str(&one.label));
    let choices = choices.collect::<Result<Vec<_>, _>>()?;
    let setup = Setup::new(space)?;
    let first = first(&setup, space)?;
    if let Some(name) = &recorded.mutant {
        let known = Mutant::from_name(name).filter(|_| cfg!(feature = "mutants"));
        mutant::choose(known.ok_or_else(|| ExploreError::NoMutant(name.clone()))?);
    }
    let played = play(&setup, space, &first, &choices);
    mutant::choose_none();
    Ok((played.lines, played.broken.map(|broken| (broken.promise, broken.what))))
}

/// The state from which a space is searched.
fn first(setup: &Setup, space: &Space) -> Result<World, ExploreError> {
    let mut world = World::begin(setup, space.uses)?;
    let mut beats = 0;
    loop {
        converge::settle(setup, &mut world)?;
        if converge::is_together(setup, &world) {
            break;
        }
        beats += 1;
        if beats > 20 {
            return Err(ExploreError::Begin("the two do not come together".to_owned()));
        }
        world.apply(setup, Choice::Tick)?;
    }
    match space.from {
        From::Paired => {}
        From::Returning => {
            world.faults = Faults { crashes: [1, 0], ..Faults::default() };
            world.apply(setup, Choice::Kill(0, 0))?;
            // The client's seat is given as soon as the secondary serves.
            seat_at(setup, &mut world, 1)?;
        }
        From::Fenced => {
            world.faults = Faults { crashes: [0, 1], fences: [1, 0], ..Faults::default() };
            world.apply(setup, Choice::Kill(1, 0))?;
            fence_at(setup, &mut world, 0)?;
            seat_at(setup, &mut world, 0)?;
        }
        From::FencedAndFree => {
            world.faults = Faults { crashes: [0, 1], fences: [1, 0], ..Faults::default() };
            world.apply(setup, Choice::Kill(1, 0))?;
            fence_at(setup, &mut world, 0)?;
        }
        From::Missed => {
            world.faults = Faults { crashes: [0, 1], ..Faults::default() };
            seat_at(setup, &mut world, 0)?;
            world.apply(setup, Choice::Kill(1, 0))?;
            alone_at(setup, &mut world, 0)?;
        }
        From::DiskLost => {
            world.faults = Faults { crashes: [1, 1], ..Faults::default() };
            world.apply(setup, Choice::Kill(0, 0))?;
            seat_at(setup, &mut world, 1)?;
            world.apply(setup, Choice::Burn(1, 0))?;
            world.lose_disk(1);
        }
        From::HeldByThird => {
            world.faults = Faults { crashes: [1, 0], ..Faults::default() };
            world.apply(setup, Choice::Kill(0, 0))?;
            alone_at(setup, &mut world, 1)?;
            world.seat_third(setup, 1)?;
            converge::settle(setup, &mut world)?;
            world.apply(setup, Choice::Start(0))?;
        }
    }
    world.planned = false;
    Ok(world)
}

/// Time passes until this server, which is alone, has given the first client its seat.
fn seat_at(setup: &Setup, world: &mut World, at: At) -> Result<(), ExploreError> {
    for _ in 0..10 {
        converge::settle(setup, world)?;
        world.apply(setup, Choice::Ask(0, at))?;
        converge::settle(setup, world)?;
        if world.clients[0].believes(world.now) {
            return Ok(());
        }
        world.clients[0].lose();
        world.apply(setup, Choice::Tick)?;
    }
    Err(ExploreError::Begin(format!("`{}` gives nobody a seat", setup.names[at])))
}

/// Time passes until this server, whose peer is dead, serves alone; who has a seat renews it.
fn alone_at(setup: &Setup, world: &mut World, at: At) -> Result<(), ExploreError> {
    for _ in 0..15 {
        converge::settle(setup, world)?;
        if world.clients[0].may(What::Renewal, at, world.now) {
            world.apply(setup, Choice::Renew(0, at))?;
        }
        let goes_alone =
            |pair: &Pair| pair.standing().state == State::Active && pair.facts().served;
        if world.machines[at].pair().is_some_and(goes_alone) {
            return Ok(());
        }
        world.apply(setup, Choice::Tick)?;
    }
    Err(ExploreError::Begin(format!("`{}` does not go on alone", setup.names[at])))
}

/// Time passes until this server has fenced the other one, which is dead, and has every slot.
fn fence_at(setup: &Setup, world: &mut World, at: At) -> Result<(), ExploreError> {
    for _ in 0..30 {
        converge::settle(setup, world)?;
        if world.may_fence(at) {
            world.apply(setup, Choice::Fence(at))?;
            converge::settle(setup, world)?;
        }
        let has_fenced = world.faults.fences[at] == 0;
        if has_fenced && world.machines[at].pair().is_some_and(|pair| setup.has_all_slots(pair)) {
            return Ok(());
        }
        world.apply(setup, Choice::Tick)?;
    }
    Err(ExploreError::Begin(format!("`{}` does not get the slots of the other", setup.names[at])))
}
