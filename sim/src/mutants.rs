//! Mutants through the built-in scenarios: each line that is wrong on purpose must be reached, and its promise be seen
//! broken. What an oracle does not catch it does not prove.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tandem::mutant::{self, Mutant};

use crate::oracle::Promise;
use crate::run::{Run, World, campaign};
use crate::scenario::{Builtin, Scenario};
use crate::subject::{Subject, SubjectError};
use crate::world::setup::{Setup, SetupError};
use crate::world::{core_world, turmoil_world};

/// How many seeds of a scenario are run before it is asked whether the mutant was caught.
const BATCH: u64 = 2;
/// How many seeds of the scenario that is known to catch it are run before all of them are.
const KNOWN: u64 = 100;

/// Where a mutant is known to be caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// The promise that it breaks.
    pub promise: Promise,
    /// The built-in scenario that shows it.
    pub scenario: &'static str,
}

/// Where a mutant is known to be caught: there it is looked for first.
#[must_use]
pub const fn scene(mutant: Mutant) -> Scene {
    use Mutant as M;
    use Promise as P;
    let (promise, scenario) = match mutant {
        M::RoleNotInSignature => (P::RoleEncoding, "role-encoding"),
        M::ServesOutOfDate => (P::RoleEncoding, "license-ends-in-split"),
        M::RolesAtOnce => (P::RoleEncoding, "swapped-roles"),
        M::StandsAloneForever => (P::RoleEncoding, "standalone-ends"),
        M::SecondaryIgnoresHeartbeats | M::TakesOverEarly => (P::OneVoice, "failover"),
        M::AloneAtOnce | M::AnswersAtPeerLost | M::EqualEpochs => (P::Capacity, "lossy-link"),
        M::NoGrace => (P::Capacity, "stale-takeover"),
        M::InStepByOwnView => (P::Capacity, "unlearned-secondary"),
        M::WakesServing => (P::Capacity, "paused-primary"),
        M::AckBeforeSync | M::DiskIgnoresSync => (P::Durability, "failing-disk"),
        M::AckBeforePeer => (P::Durability, "slow-link"),
        M::BorrowAlone => (P::Durability, "borrowed-seats"),
        M::HeldFromMemory => (P::Durability, "repeated-requests"),
        M::AdoptedFromMemory => (P::Durability, "stale-takeover"),
        M::OffersTheEndAlone => (P::SameConfig, "conflicting-bundles"),
        M::BundleNotSaved => (P::SameConfig, "reload-during-failover"),
        M::KeepsBundle => (P::SameConfig, "degraded-apply"),
        M::BorrowDropped | M::RenewsUnentitled => (P::Entitlement, "dismissed-users"),
        M::NewcomerPasses | M::MergeLosesOrder | M::EndedPlacesReturn | M::TurnNeverEnds => {
            (P::FairQueue, "waiting-clients")
        }
        M::TakesOverNothing | M::FirstPartOnly => (P::Fencing, "failback"),
        M::GraceThoughInStep => (P::Failover, "failover"),
        M::TakesOverWithoutLead => (P::Failover, "dead-leader"),
        M::HungDiskUnnoticed => (P::Failover, "disk-stall"),
        M::ServesUnlicensed => (P::Failover, "unlicensed-primary"),
        M::GhostReturns => (P::Failover, "suspended-clients"),
        M::SpeaksBeforeWriting => (P::Failback, "late-disk"),
        M::HandOverIgnored | M::CatchUpOverwrites => (P::Failback, "failback"),
        M::HandsOverServing => (P::Failback, "planned-handover"),
        M::GraceRenewsNothing => (P::Outage, "lone-survivor"),
        M::NoTimeAtStart => (P::Outage, "total-outage"),
        M::CatchUpNotSaved => (P::Convergence, "graceful-stop"),
        M::DrainsInsteadOfRevoking => (P::Convergence, "revoked-after-split"),
        M::EscrowGrantsWhole
        | M::EscrowReusesExpired
        | M::EscrowReturnsUncovered
        | M::EscrowFreesUnheard => (P::Capacity, "split-escrow"),
        M::EscrowShiftsAtOnce => (P::Capacity, "escrow-handover"),
        M::EscrowAnswersUncovered => (P::Capacity, "escrow-rush-hour"),
        M::CreditedBeforeDebitDurable => (P::Capacity, "escrow-swapped-roles"),
        M::ClocksDriftFar => (P::Capacity, "escrow-clock-drift"),
        M::CreditedAgainAfterFence => (P::Capacity, "escrow-lost-disk"),
        M::FenceAtOnce => (P::Capacity, "escrow-stale-fence"),
    };
    Scene { promise, scenario }
}

/// What came of one mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The mutant.
    pub mutant: Mutant,
    /// The promise that it breaks.
    pub promise: Promise,
    /// In how many runs its line was come to.
    pub reached: u64,
    /// In how many runs it was caught: its promise seen broken, or an expectation of the scenario not met.
    pub caught: u64,
    /// In how many of those by the oracle of its promise.
    pub by_oracle: u64,
    /// How many runs there were.
    pub runs: u64,
    /// Everything that saw something: oracles, `expect` or `converge`.
    pub by: BTreeSet<String>,
    /// The scenarios that caught it, each with its first such seed.
    pub places: BTreeMap<String, u64>,
}

impl Outcome {
    fn new(mutant: Mutant) -> Self {
        Self {
            mutant,
            promise: scene(mutant).promise,
            reached: 0,
            caught: 0,
            by_oracle: 0,
            runs: 0,
            by: BTreeSet::new(),
            places: BTreeMap::new(),
        }
    }

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

/// How long a mutant is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// The most runs.
    pub runs_max: u64,
    /// How many runs must catch it: then it is enough.
    pub enough: u64,
    /// How many at once.
    pub jobs: usize,
}

/// Where mutants are looked for: built-in scenarios on the example, as its vendor signed it.
#[derive(Debug)]
pub struct Ground {
    setups: Vec<(&'static str, Setup)>,
}

impl Ground {
    /// These built-in scenarios, or all of them where none is named.
    ///
    /// # Errors
    /// One of them cannot be run.
    pub fn of(names: &[String]) -> Result<Self, MutantsError> {
        let wanted = |one: &&Builtin| names.is_empty() || names.iter().any(|name| name == one.name);
        let setups = Builtin::all().iter().filter(wanted).map(setup);
        Ok(Self { setups: setups.collect::<Result<_, _>>()? })
    }

    /// Runs a mutant where it is known to be caught, then everywhere, until it was caught often enough.
    ///
    /// # Errors
    /// A scenario cannot be run.
    pub fn hunt(
        &self,
        mutant: Mutant,
        effort: Effort,
        told: &dyn Fn(&Outcome),
    ) -> Result<Outcome, MutantsError> {
        mutant::choose(mutant);
        let outcome = match mutant {
            // What was signed before is worth nothing to it.
            Mutant::RoleNotInSignature => {
                let again = self.setups.iter().map(|(name, setup)| Ok((*name, setup.reissued()?)));
                let again: Result<Vec<_>, SubjectError> = again.collect();
                again.map(|setups| hunt_in(mutant, &setups, effort, told))
            }
            _ => Ok(hunt_in(mutant, &self.setups, effort, told)),
        };
        mutant::choose_none();
        Ok(outcome?)
    }
}

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
    effort: Effort,
    told: &dyn Fn(&Outcome),
) -> Outcome {
    let mut outcome = Outcome::new(mutant);
    let known = scene(mutant).scenario;
    let known: Vec<_> = setups.iter().filter(|(name, _)| *name == known).collect();
    let known_seeds = if known.is_empty() { 0 } else { KNOWN.min(effort.runs_max) };
    let mut from = 0;
    while outcome.caught < effort.enough && outcome.runs < effort.runs_max {
        let everywhere: Vec<_> = setups.iter().collect();
        let places = if from < known_seeds { &known } else { &everywhere };
        for (name, setup) in places {
            let run = |seed, world| match world {
                World::Core => core_world::run(setup, seed),
                World::Turmoil => turmoil_world::run(setup, seed),
            };
            // What only whole servers do, as to verify what is staged, only they get wrong.
            let by_whole =
                mutant == Mutant::RoleNotInSignature && setup.plan.needs_core().is_none();
            let whole = |seed: u64| by_whole && seed.is_multiple_of(BATCH);
            let world = |seed| if whole(seed) { World::Turmoil } else { World::Core };
            let seeds: Vec<_> = (from..from + BATCH).map(|seed| (seed, world(seed))).collect();
            for mutated in campaign(&seeds, effort.jobs, &run, &|_| true) {
                let seed = mutated.seed;
                let mut by = seen_by(&mutated);
                if !by.is_empty() && mutant != Mutant::RoleNotInSignature {
                    // What is seen without the mutant too is not its doing.
                    mutant::choose_none();
                    let without = seen_by(&run(seed, world(seed)));
                    mutant::choose(mutant);
                    by.retain(|of| !without.contains(of));
                }
                outcome.take(name, &mutated, by);
            }
            told(&outcome);
            if outcome.caught >= effort.enough {
                break;
            }
        }
        from += BATCH;
    }
    outcome
}

impl Outcome {
    fn take(&mut self, scenario: &str, run: &Run, by: BTreeSet<String>) {
        self.runs += 1;
        self.reached += u64::from(run.reached);
        let by_oracle = by.contains(self.promise.as_str());
        self.by_oracle += u64::from(by_oracle);
        if by_oracle || by.contains("expect") || by.contains("converge") {
            self.caught += 1;
            self.places.entry(scenario.to_owned()).or_insert(run.seed);
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
