//! Swarm testing: runs in the core world in which everything is drawn, faults too, for as long as there is time. What
//! breaks a promise is shrunk and kept as a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tandem::manifest::types::Mode;
use tandem::measure::{Seats, Span};
use tandem::name::{UserName, UserPattern};
use tandem::seen::{Mark, Marks};

use crate::oracle::Promise;
use crate::regression::Regression;
use crate::run::Run;
use crate::scenario::{Reload, Scenario};
use crate::shrink::shrink;
use crate::subject::{Subject, SubjectError};
use crate::world::core_world::{self, States};
use crate::world::setup::{Setup, Timed};

/// How many runs a failure is shrunk in: some seconds.
const SHRINK_RUNS: usize = 600;
/// How many failures of one kind are shrunk and kept.
const KEPT: usize = 1;
/// The seats of each license where no manifest is given: few, so that they are always short.
const SEATS: Seats = Seats(3);
/// The ttl where no manifest is given: short, so that leases run out.
const TTL: Span = Span::from_secs(30);

/// The promises that hold whatever happens. Those about when somebody is served again are judged by scenarios, whose
/// faults they know.
const PROMISES: [Promise; 8] = [
    Promise::RoleEncoding,
    Promise::OneVoice,
    Promise::Capacity,
    Promise::Durability,
    Promise::SameConfig,
    Promise::Entitlement,
    Promise::FairQueue,
    Promise::Convergence,
];

/// What the seeds run, in turn: a manifest in its own mode, or the example in both; or either in the mode asked for.
///
/// # Errors
/// The configuration cannot be simulated.
pub fn setups(manifest: Option<&Path>, mode: Option<Mode>) -> Result<Vec<Setup>, SubjectError> {
    let modes = match (manifest, mode) {
        (None, None) => vec![Some(Mode::Mirror), Some(Mode::Escrow)],
        _ => vec![mode],
    };
    modes.into_iter().map(|mode| setup(manifest, mode)).collect()
}

/// What is run by fuzzing: a manifest, or the example with few seats and a short ttl; in a mode, or in its own.
///
/// # Errors
/// The configuration cannot be simulated.
pub fn setup(manifest: Option<&Path>, mode: Option<Mode>) -> Result<Setup, SubjectError> {
    let subject = match manifest {
        Some(path) => Subject::load(path, None)?,
        None => small(&Subject::example(None)?)?,
    };
    let subject = mode.map_or(Ok(subject.clone()), |mode| subject.in_mode(mode))?;
    let scenario = Scenario {
        scenario: "fuzz".to_owned(),
        clients: crate::scenario::Clients {
            crowded: true,
            hold: "2s..60s".parse().ok(),
            wait: "1s..90s".parse().ok(),
            borrow: "5s..3m".parse().ok(),
            ..Default::default()
        },
        ..Scenario::default()
    };
    // A scenario without steps fits every manifest.
    let mut plan = scenario.plan(&subject.manifest).unwrap_or_default();
    plan.is_wild = true;
    plan.promises = PROMISES.to_vec();
    let mut reloads = Vec::new();
    for reload in reloads_of() {
        reloads.push(subject.reloaded(&reload)?);
    }
    let adds_operator = reloads.len() + 1;
    reloads.push(subject.reloaded(&Reload { add_operator: true, ..Reload::default() })?);
    let later = Reload { add_user: UserName::new("tandem-sim-three").ok(), ..Reload::default() };
    reloads.push(Subject { is_by_added: true, ..subject.reloaded(&later)? });
    reloads.push(subject.with_roles_swapped()?);
    let timed = Timed { adds_operator, by_added: adds_operator + 1, swapped: adds_operator + 2 };
    let mut setup = Setup::new(subject, plan, reloads);
    setup.timed = Some(timed);
    Ok(setup)
}

fn reloads_of() -> Vec<Reload> {
    let none = Reload::default;
    vec![
        Reload { add_user: UserName::new("tandem-sim-one").ok(), ..none() },
        Reload { seats_percent: Some(60), ..none() },
        Reload { deny: UserPattern::new("sim-*").ok(), ..none() },
        Reload { revoke: true, ..none() },
        Reload { primary_licenses_end: "50s".parse().ok(), ..none() },
        Reload { standalone: "20s".parse().ok(), ..none() },
        Reload { add_user: UserName::new("tandem-sim-two").ok(), ..none() },
    ]
}

fn small(subject: &Subject) -> Result<Subject, SubjectError> {
    let mut manifest = subject.manifest.clone();
    manifest.leases.ttl = TTL;
    for seats in &mut manifest.seats {
        seats.ttl = None;
    }
    crate::subject::lend(&mut manifest, 2);
    let subject =
        Subject::new("the example, small", manifest, subject.files(), Some(subject.start))?;
    subject.relicensed(|license| license.seats = license.seats.min(SEATS))
}

/// What fuzzing found.
#[derive(Debug, Default)]
pub struct Found {
    /// How many seeds were run.
    pub seeds: u64,
    /// How many of them in which mode.
    pub modes: BTreeMap<Mode, u64>,
    /// How much was simulated, in milliseconds.
    pub simulated_ms: u64,
    /// Which marks were come to.
    pub seen: Marks,
    /// In which states the two servers were together.
    pub states: States,
    /// What failed, by seed.
    pub failed: Vec<Failed>,
}

/// A run that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The seed.
    pub seed: u64,
    /// The mode that its pair ran.
    pub mode: Mode,
    /// The promise, `converge` or `simulator`.
    pub oracle: String,
    /// When, in milliseconds since the run began.
    pub at: u64,
    /// What was seen.
    pub what: String,
    /// The recorded run, shrunk, for the first of a kind.
    pub regression: Option<Box<Regression>>,
}

impl Found {
    /// The marks that no run came to, though a pair of a mode that was run can.
    pub fn unseen(&self) -> impl Iterator<Item = Mark> {
        let can = |mark: Mark| self.modes.keys().any(|mode| has_mark(*mode, mark));
        Mark::ALL.iter().copied().filter(move |mark| can(*mark) && !self.seen.has(*mark))
    }
}

/// Whether a pair of this mode can come to a mark.
const fn has_mark(mode: Mode, mark: Mark) -> bool {
    match mark {
        // Escrow needs no grace, and has no seats over the capacity to revoke.
        Mark::RefusedInGrace | Mark::SurplusRevoked => matches!(mode, Mode::Mirror),
        Mark::Parked
        | Mark::Revived
        | Mark::FreedParked
        | Mark::Shifted
        | Mark::QuotasMoved
        | Mark::TransferRepeated
        | Mark::Fenced
        | Mark::Replaced
        | Mark::FenceLifted
        | Mark::RefusedUncovered
        | Mark::SlotsLost => matches!(mode, Mode::Escrow),
        _ => true,
    }
}

/// The setup of a seed: they come in turn.
fn of_seed(setups: &[Setup], seed: u64) -> &Setup {
    let turn = usize::try_from(seed % setups.len().max(1) as u64).unwrap_or(0);
    &setups[turn]
}

/// Runs seeds from the first on, so many at once, until it is time to stop; each on the next of the setups.
///
/// # Panics
/// There is no setup.
pub fn fuzz(
    setups: &[Setup],
    manifest: Option<&str>,
    first: u64,
    jobs: usize,
    goes_on: &(dyn Fn() -> bool + Sync),
    done: &(dyn Fn(&Run) + Sync),
) -> Found {
    let next = AtomicU64::new(first);
    let stopped = AtomicBool::new(false);
    let found = Mutex::new(Found::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let late = stopped.load(Ordering::Relaxed) || !goes_on();
                    // However short the time is, the first seed is run.
                    if late && seed != first {
                        break;
                    }
                    let setup = of_seed(setups, seed);
                    let run = core_world::run_caught(setup, seed);
                    done(&run);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.take(&run, setup.subject.config.redundancy.mode);
                }
                stopped.store(true, Ordering::Relaxed);
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.failed.sort_by_key(|failed| failed.seed);
    let mut kept: BTreeMap<String, usize> = BTreeMap::new();
    for failed in &mut found.failed {
        let known = kept.entry(failed.oracle.clone()).or_default();
        *known += 1;
        if *known <= KEPT && failed.oracle != "simulator" {
            let setup = of_seed(setups, failed.seed);
            failed.regression = Some(Box::new(shrunk(setup, manifest, failed)));
        }
    }
    found
}

impl Found {
    fn take(&mut self, run: &Run, mode: Mode) {
        self.seeds += 1;
        *self.modes.entry(mode).or_default() += 1;
        self.simulated_ms += run.simulated_ms;
        self.seen = self.seen.union(run.seen);
        self.states = self.states.union(run.states);
        if let Some((oracle, at, what)) = run.failed_oracle() {
            let (oracle, what) = (oracle.to_owned(), what.to_owned());
            let seed = run.seed;
            self.failed.push(Failed { seed, mode, oracle, at, what, regression: None });
        }
    }
}

fn shrunk(setup: &Setup, manifest: Option<&str>, failed: &Failed) -> Regression {
    let (run, choices) = core_world::run_recorded(setup, failed.seed);
    let manifest = manifest.map(str::to_owned);
    let whole = Regression::of_fuzz(manifest, failed.mode, failed.seed, &run, &choices);
    whole.shrunk(setup)
}

impl Regression {
    /// The shortest that still fails in the same way; itself where it does not fail.
    #[must_use]
    pub fn shrunk(self, setup: &Setup) -> Self {
        let Some(oracle) = self.oracle.clone() else { return self };
        let seed = self.seed;
        let fails = |run: &Run| run.failed_oracle().is_some_and(|(of, _, _)| of == oracle);
        let shrunk = shrink(self.choices(), SHRINK_RUNS, &mut |choices| {
            fails(&core_world::replay_exactly(setup, seed, choices.to_vec()).0)
        });
        let (run, mut made) = core_world::replay_exactly(setup, seed, shrunk.choices);
        // What was taken out has moved the rest: each is written as what it decides now. Zeros at the end say nothing.
        while made.pop_if(|choice| choice.chosen == 0).is_some() {}
        if fails(&run) { self.with(&run, &made) } else { self }
    }
}
