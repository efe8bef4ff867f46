//! Mutants through the built-in scenarios: each line that is wrong on purpose must be reached, and its promise be seen
//! broken. What an oracle does not catch it does not prove.

use std::collections::BTreeSet;
use std::path::Path;

use tandem::mutant::{self, Mutant};

use crate::oracle::Promise;
use crate::run::{Run, World, campaign};
use crate::scenario::{Builtin, Scenario};
use crate::subject::{Subject, SubjectError};
use crate::world::setup::{Setup, SetupError};
use crate::world::{core_world, turmoil_world};

/// How many seeds of every scenario are run before it is asked whether the mutant was caught.
const BATCH: u64 = 5;

/// What came of one mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The mutant.
    pub mutant: Mutant,
    /// The promise that it breaks.
    pub promise: Promise,
    /// In how many runs its line was come to.
    pub reached: u64,
    /// In how many runs something was seen broken.
    pub caught: u64,
    /// How many runs there were.
    pub runs: u64,
    /// What saw it: oracles, `expect` or `converge`.
    pub by: BTreeSet<String>,
    /// The first scenario and seed that caught it.
    pub first: Option<(String, u64)>,
}

impl Outcome {
    /// Whether the oracles proved their worth on it.
    #[must_use]
    pub fn is_caught(&self) -> bool {
        self.reached > 0 && self.caught > 0
    }
}

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum MutantsError {
    /// A built-in scenario cannot be run.
    #[error("{name}: {error}")]
    Scenario {
        /// The scenario.
        name: &'static str,
        /// Why.
        error: SetupError,
    },
    /// The example cannot be simulated.
    #[error(transparent)]
    Subject(#[from] SubjectError),
}

/// The promise that a mutant breaks.
#[must_use]
pub const fn promise(mutant: Mutant) -> Promise {
    match mutant {
        Mutant::RoleNotInSignature => Promise::RoleEncoding,
        Mutant::SecondaryIgnoresHeartbeats => Promise::OneVoice,
        Mutant::AckBeforeSync | Mutant::CatchUpOverwrites => Promise::Durability,
        Mutant::TakesOverWithoutLead | Mutant::HungDiskUnnoticed | Mutant::ServesUnlicensed => {
            Promise::Failover
        }
        Mutant::SpeaksBeforeWriting => Promise::Failback,
        _ => Promise::Capacity,
    }
}

/// Runs a mutant until it was caught, at most this many times, as many at once as there are jobs.
///
/// # Errors
/// A built-in scenario cannot be run.
pub fn hunt(mutant: Mutant, runs_max: u64, jobs: usize) -> Result<Outcome, MutantsError> {
    let setups: Result<Vec<_>, MutantsError> = Builtin::all().iter().map(setup).collect();
    let setups = setups?;
    mutant::choose(mutant);
    let reissued = setups.iter().map(|(name, setup)| Ok((*name, setup.reissued()?)));
    let reissued: Result<Vec<_>, SubjectError> = reissued.collect();
    let outcome = reissued.map(|setups| hunt_in(mutant, &setups, runs_max, jobs));
    mutant::choose_none();
    Ok(outcome?)
}

/// A built-in scenario on the example, as its vendor signed it.
fn setup(builtin: &Builtin) -> Result<(&'static str, Setup), MutantsError> {
    let name = builtin.name;
    let wrong = |error| MutantsError::Scenario { name, error };
    let scenario = Scenario::parse(builtin.text).map_err(|error| wrong(error.into()))?;
    let subject = Subject::example(scenario.date)?;
    Ok((name, Setup::of(&scenario, subject, Path::new("")).map_err(wrong)?))
}

fn hunt_in(
    mutant: Mutant,
    setups: &[(&'static str, Setup)],
    runs_max: u64,
    jobs: usize,
) -> Outcome {
    let mut outcome = Outcome {
        mutant,
        promise: promise(mutant),
        reached: 0,
        caught: 0,
        runs: 0,
        by: BTreeSet::new(),
        first: None,
    };
    let mut from = 0;
    while !outcome.is_caught() && outcome.runs < runs_max {
        for (name, setup) in setups {
            let run = |seed, world| match world {
                World::Core => core_world::run(setup, seed),
                World::Turmoil => turmoil_world::run(setup, seed),
            };
            // What only whole servers do, as to verify what is staged, only they get wrong.
            let whole = |seed| seed == 0 && setup.plan.needs_core().is_none();
            let world = |seed| if whole(seed) { World::Turmoil } else { World::Core };
            let seeds: Vec<_> = (from..from + BATCH).map(|seed| (seed, world(seed))).collect();
            for run in campaign(&seeds, jobs, &run, &|_| {}) {
                outcome.take(name, &run);
            }
        }
        from += BATCH;
    }
    outcome
}

impl Outcome {
    fn take(&mut self, scenario: &str, run: &Run) {
        self.runs += 1;
        self.reached += u64::from(run.reached);
        let by = seen_by(run);
        if !by.is_empty() {
            self.caught += 1;
            self.first.get_or_insert_with(|| (scenario.to_owned(), run.seed));
        }
        self.by.extend(by);
    }
}

/// What saw that something is wrong.
fn seen_by(run: &Run) -> BTreeSet<String> {
    let oracles = run.violations.iter().map(|one| one.promise.as_str().to_owned());
    let unmet = (!run.unmet.is_empty()).then(|| "expect".to_owned());
    let unsettled = run.unsettled.as_ref().map(|_| "converge".to_owned());
    oracles.chain(unmet).chain(unsettled).collect()
}
