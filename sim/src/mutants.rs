//! Mutants through the built-in scenarios: each line that is wrong on purpose must be reached, and its promise be seen
//! broken. What an oracle does not catch it does not prove.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tandem::mutant::{self, Mutant};

use crate::oracle::Promise;
use crate::run::Run;
use crate::scenario::{Action, Builtin, Scenario, ScenarioError};
use crate::subject::{Subject, SubjectError};
use crate::world::setup::Setup;
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
        error: ScenarioError,
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
    let loaded: Result<Vec<_>, MutantsError> = Builtin::all().iter().map(loaded).collect();
    let loaded = loaded?;
    mutant::choose(mutant);
    let setups: Result<Vec<_>, MutantsError> = loaded.into_iter().map(setup).collect();
    let outcome = setups.map(|setups| hunt_in(mutant, &setups, runs_max, jobs));
    mutant::choose_none();
    outcome
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
        let seeds = (from..from + BATCH)
            .flat_map(|seed| setups.iter().map(move |(name, setup)| (*name, setup, seed)));
        let mut runs = at_once(&seeds.collect::<Vec<_>>(), jobs);
        runs.sort_by_key(|(name, run, _)| (run.seed, *name));
        for (name, run, reached) in runs {
            outcome.runs += 1;
            outcome.reached += u64::from(reached);
            let by: BTreeSet<String> = seen_by(&run);
            if !by.is_empty() {
                outcome.caught += 1;
                outcome.first.get_or_insert_with(|| (name.to_owned(), run.seed));
            }
            outcome.by.extend(by);
        }
        from += BATCH;
    }
    outcome
}

/// What saw that something is wrong.
fn seen_by(run: &Run) -> BTreeSet<String> {
    let oracles = run.violations.iter().map(|one| one.promise.as_str().to_owned());
    let unmet = (!run.unmet.is_empty()).then(|| "expect".to_owned());
    let unsettled = run.unsettled.as_ref().map(|_| "converge".to_owned());
    oracles.chain(unmet).chain(unsettled).collect()
}

type Seed<'a> = (&'static str, &'a Setup, u64);

/// Each run with whether the mutant's line was come to.
fn at_once(seeds: &[Seed<'_>], jobs: usize) -> Vec<(&'static str, Run, bool)> {
    let next = AtomicUsize::new(0);
    let runs = Mutex::new(Vec::with_capacity(seeds.len()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some((name, setup, seed)) =
                    seeds.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let _before = mutant::take_reached();
                    // What only whole servers do, as to verify what is staged, only they get wrong.
                    let run = if *seed == 0 && setup.plan.needs_core().is_none() {
                        turmoil_world::run(setup, *seed)
                    } else {
                        core_world::run(setup, *seed)
                    };
                    let reached = mutant::take_reached();
                    runs.lock().unwrap_or_else(PoisonError::into_inner).push((*name, run, reached));
                }
            });
        }
    });
    runs.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A built-in scenario and the example, as its vendor signed it.
fn loaded(builtin: &Builtin) -> Result<(&'static str, Scenario, Subject), MutantsError> {
    let name = builtin.name;
    let scenario =
        Scenario::parse(builtin.text).map_err(|error| MutantsError::Scenario { name, error })?;
    let subject = Subject::example(scenario.date)?;
    Ok((name, scenario, subject))
}

/// The scenario on the example signed anew: a mutant that changes what a signature is about takes none of before.
fn setup(
    (name, scenario, subject): (&'static str, Scenario, Subject),
) -> Result<(&'static str, Setup), MutantsError> {
    let subject = subject.reissued()?;
    let plan =
        scenario.plan(&subject.manifest).map_err(|error| MutantsError::Scenario { name, error })?;
    let reloads = plan.actions.iter().filter_map(|(_, action)| match action {
        Action::Reload(reload) => Some(subject.reloaded(reload)),
        _ => None,
    });
    let reloads: Result<Vec<_>, SubjectError> = reloads.collect();
    Ok((name, Setup::new(subject, plan, reloads?)))
}
