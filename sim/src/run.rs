//! One run and many: what came of a seed, and all seeds of a campaign, each on a thread of its own.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tandem::measure::Span;
use tandem::mutant;
use tandem::seen::{self, Marks};

use crate::history::{Entry, Event};
use crate::numbers::Numbers;
use crate::oracle::{View, Violation};
use crate::scenario::Plan;
use crate::world::core_world::States;

/// Stack of a run's thread, in bytes: debug builds of whole servers need more than the default.
const STACK: usize = 16 * 1024 * 1024;

/// Something that a scenario expected of the servers and that was not so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// When, in milliseconds since the run began.
    pub at: u64,
    /// What was expected and what was seen.
    pub what: String,
}

/// In which world a seed was run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum World {
    /// The state machines alone, on a queue of events.
    #[default]
    Core,
    /// Whole servers and clients, on simulated TCP.
    Turmoil,
}

impl World {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Turmoil => "turmoil",
        }
    }
}

/// What came of one seed.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// Where it was run.
    pub world: World,
    /// The hash of the trace.
    pub trace: String,
    /// What was seen from outside. Emptied where all is well.
    pub entries: Vec<Entry>,
    /// What it did to the people who hold seats.
    pub numbers: Numbers,
    /// Promises that were broken.
    pub violations: Vec<Violation>,
    /// Expectations of the scenario that were not met.
    pub unmet: Vec<Unmet>,
    /// When the disks of both servers were expected to have the same leases, in milliseconds since it began.
    pub equal_at: Vec<u64>,
    /// Why the pair did not come to rest after everything was mended, where it did not.
    pub unsettled: Option<String>,
    /// Why the simulator itself failed, where it did.
    pub failure: Option<String>,
    /// How long the run was, in simulated milliseconds.
    pub simulated_ms: u64,
    /// The marks in the product's code that it came to.
    pub seen: Marks,
    /// Whether it came to the line that a mutant breaks.
    pub reached: bool,
    /// In which states the two servers were together.
    pub states: States,
}

/// How a run or a campaign ended, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Every promise was kept and every expectation met.
    Held,
    /// Somebody ended it before everything was run.
    Interrupted,
    /// All was kept, but the pair did not come to rest in time.
    Unsettled,
    /// A promise was broken, or an expectation not met.
    Violated,
    /// The simulator itself failed: it proves nothing.
    Failed,
}

impl Verdict {
    /// The exit code of the process.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Held => 0,
            // 128 and the number of SIGINT.
            Self::Interrupted => 130,
            Self::Violated => 1,
            Self::Unsettled => 3,
            Self::Failed => 4,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Interrupted => "interrupted",
            Self::Violated => "violated",
            Self::Unsettled => "did not converge",
            Self::Failed => "the simulator failed",
        }
    }
}

impl Run {
    /// How it ended.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.failure.is_some() {
            Verdict::Failed
        } else if !self.violations.is_empty() || !self.unmet.is_empty() {
            Verdict::Violated
        } else if self.unsettled.is_some() {
            Verdict::Unsettled
        } else {
            Verdict::Held
        }
    }

    /// The first thing that went wrong: a promise, `expect`, `converge` or `simulator`; when, and what.
    #[must_use]
    pub fn failed_oracle(&self) -> Option<(&'static str, u64, &str)> {
        let end = self.simulated_ms;
        if let Some(reason) = &self.failure {
            return Some(("simulator", end, reason));
        }
        if let Some(one) = self.violations.first() {
            return Some((one.promise.as_str(), one.at, &one.what));
        }
        if let Some(one) = self.unmet.first() {
            return Some(("expect", one.at, &one.what));
        }
        self.unsettled.as_ref().map(|what| ("converge", end, what.as_str()))
    }

    /// A run that could not be made.
    #[must_use]
    pub fn failed(seed: u64, reason: String) -> Self {
        Self { seed, failure: Some(reason), ..Self::default() }
    }

    /// Judges a history: the promises that were chosen, and the limits of time without a seat and of seats lost.
    #[must_use]
    pub fn judged(mut self, plan: &Plan) -> Self {
        let view = View::of(&self.entries);
        let gaps = crate::numbers::gaps(&self.entries);
        self.numbers = Numbers::of_view(&view, &gaps);
        self.violations = plan.promises.iter().flat_map(|one| one.judge_view(&view)).collect();
        self.violations.sort_by_key(|one| (one.at, one.promise));
        for &at in &self.equal_at {
            let difference = crate::oracle::convergence::difference(&view, at);
            self.unmet.extend(difference.map(|what| Unmet { at, what }));
        }
        if let Some(limit) = plan.gap.map(Span::ms) {
            for gap in &gaps {
                if gap.ms >= limit {
                    let (client, ms) = (&gap.client, gap.ms);
                    let at = gap.from.saturating_add(gap.ms);
                    let what = format!(
                        "{client} was without a seat for {ms}ms; less than {limit}ms were expected"
                    );
                    self.unmet.push(Unmet { at, what });
                }
            }
        }
        if plan.lost.is_some_and(|limit| self.numbers.lost > limit)
            && let Some(gap) = gaps.iter().find(|gap| gap.lost)
        {
            let (client, count, limit) = (&gap.client, self.numbers.lost, plan.lost.unwrap_or(0));
            let what = format!(
                "{client} lost a seat that it held, {count} in all; at most {limit} were expected to"
            );
            self.unmet.push(Unmet { at: gap.from, what });
        }
        if self.verdict() == Verdict::Held {
            self.entries = Vec::new();
        }
        self
    }
}

/// Which seeds of a range are run where, by seed: every one in the core world, and in turmoil too those that the share
/// divides, and the first.
#[must_use]
pub fn both_worlds(seeds: std::ops::Range<u64>, one_in: u64) -> Vec<(u64, World)> {
    let first = seeds.start;
    let mut jobs = Vec::new();
    for seed in seeds {
        jobs.push((seed, World::Core));
        if seed == first || seed.is_multiple_of(one_in.max(1)) {
            jobs.push((seed, World::Turmoil));
        }
    }
    jobs
}

/// Runs every seed where it is to be run, so many at once, for as long as `done` says to go on. The results are in the order
/// of seed and world.
pub fn campaign(
    seeds: &[(u64, World)],
    jobs: usize,
    run: &(dyn Fn(u64, World) -> Run + Sync),
    done: &(dyn Fn(&Run) -> bool + Sync),
) -> Vec<Run> {
    let next = AtomicUsize::new(0);
    let runs = Mutex::new(Vec::with_capacity(seeds.len()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, seeds.len().max(1)) {
            scope.spawn(|| {
                while let Some((seed, world)) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = match world {
                        World::Turmoil => on_fresh_thread(*seed, || run(*seed, *world)),
                        World::Core => caught(*seed, || run(*seed, *world)),
                    };
                    let result = Run { world: *world, ..result };
                    if !done(&result) {
                        next.store(seeds.len(), Ordering::Relaxed);
                    }
                    runs.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                }
            });
        }
    });
    let mut runs = runs.into_inner().unwrap_or_else(PoisonError::into_inner);
    runs.sort_by_key(|run| (run.seed, run.world));
    runs
}

/// Runs on a thread of its own: what the standard library keeps for a thread (the keys of hash maps) then begins with
/// the run.
pub(crate) fn on_fresh_thread(seed: u64, run: impl FnOnce() -> Run + Send) -> Run {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name(format!("seed-{seed}"))
            .stack_size(STACK)
            .spawn_scoped(scope, || caught(seed, run));
        match thread {
            Ok(thread) => thread
                .join()
                .unwrap_or_else(|panic| Run::failed(seed, format!("panicked: {}", said(&*panic)))),
            Err(error) => Run::failed(seed, format!("no thread for the run: {error}")),
        }
    })
}

/// A panic ends one run alone: the simulator failed. What the run came to in the product's code is noted.
pub(crate) fn caught(seed: u64, run: impl FnOnce() -> Run) -> Run {
    // What was come to before on this thread is not this run's.
    let _before = (seen::take(), mutant::take_reached());
    let mut run = std::panic::catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|panic| Run::failed(seed, format!("panicked: {}", said(&*panic))));
    // A run may have had a thread of its own.
    run.seen = run.seen.union(seen::take());
    run.reached |= mutant::take_reached();
    run
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// The transitions of a run until a moment: faults, and what servers said that they are, each when it changed.
#[must_use]
pub fn transitions(entries: &[Entry], until: u64) -> Vec<(u64, String, String)> {
    use crate::history::{Answered, Fault};
    let mut asked = std::collections::BTreeMap::new();
    let mut states = std::collections::BTreeMap::new();
    let mut found = Vec::new();
    for entry in entries.iter().take_while(|entry| entry.at <= until) {
        let (server, what) = match &entry.event {
            Event::Asked { request, to, .. } => {
                asked.insert(*request, to.clone());
                continue;
            }
            Event::Answered(Answered { request, server: Some(said), .. }) => {
                let Some(server) = asked.get(request) else { continue };
                let paired = if said.paired { ", paired" } else { "" };
                let what = format!("{} (generation {}{paired})", said.state, said.generation);
                if states.insert(server.clone(), what.clone()) == Some(what.clone()) {
                    continue;
                }
                (server.clone(), what)
            }
            Event::Fault(fault) => match fault {
                Fault::Crash { server } => (server.clone(), "loses power".to_owned()),
                Fault::Kill { server } => (server.clone(), "is killed".to_owned()),
                Fault::Stop { server } => (server.clone(), "is asked to stop".to_owned()),
                Fault::Start { server, empty: false } => (server.clone(), "starts".to_owned()),
                Fault::Start { server, empty: true } => {
                    (server.clone(), "starts with an empty disk".to_owned())
                }
                Fault::Cut { from, to } => (from.clone(), format!("is cut off towards {to}")),
                Fault::Heal { from, to } => (from.clone(), format!("reaches {to} again")),
                Fault::Disk { server, what } => (server.clone(), format!("disk: {what}")),
                Fault::Pause { server } => (server.clone(), "stands still".to_owned()),
                Fault::Resume { server } => (server.clone(), "goes on".to_owned()),
                Fault::Handover { to } => (to.clone(), "is handed over to".to_owned()),
                Fault::Fence { server } => (server.clone(), "is fenced".to_owned()),
                Fault::Clock { server, ms } => {
                    let way = if *ms < 0 { "back" } else { "ahead" };
                    let by = Span::from_ms(ms.unsigned_abs());
                    (server.clone(), format!("clock: set {way} by {by}"))
                }
            },
            _ => continue,
        };
        found.push((entry.at, server, what));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Promise;

    #[test]
    fn results_are_in_the_order_of_the_seeds_whoever_is_first() {
        let run = |seed, _| Run { seed, trace: format!("t{seed}"), ..Run::default() };
        let jobs = [(3, World::Core), (1, World::Turmoil), (2, World::Core), (1, World::Core)];
        let runs = campaign(&jobs, 2, &run, &|_| true);
        let order: Vec<_> = runs.iter().map(|run| (run.seed, run.world.as_str())).collect();
        assert_eq!(order, [(1, "core"), (1, "turmoil"), (2, "core"), (3, "core")]);
        assert!(runs.iter().all(|run| run.verdict() == Verdict::Held));
    }

    #[test]
    fn a_panic_is_the_simulators_failure_and_ends_one_seed_alone() {
        let run = |seed, _| {
            assert!(seed != 2, "two is too many");
            Run { seed, ..Run::default() }
        };
        let runs = campaign(&[1, 2, 3].map(|seed| (seed, World::Core)), 2, &run, &|_| true);
        let verdicts: Vec<_> = runs.iter().map(Run::verdict).collect();
        assert_eq!(verdicts, [Verdict::Held, Verdict::Failed, Verdict::Held]);
        assert_eq!(runs[1].failure.as_deref(), Some("panicked: two is too many"));
    }

    #[test]
    fn whoever_ends_a_campaign_keeps_what_was_run() {
        let run = |seed, _| Run { seed, ..Run::default() };
        let seeds = [1, 2, 3].map(|seed| (seed, World::Core));
        let runs = campaign(&seeds, 1, &run, &|run| run.seed < 2);
        assert_eq!(runs.iter().map(|run| run.seed).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_share_of_the_seeds_and_the_first_are_run_in_both_worlds() {
        let turmoil = |range| {
            let jobs = both_worlds(range, 20).into_iter();
            jobs.filter(|job| job.1 == World::Turmoil).map(|job| job.0).collect::<Vec<_>>()
        };
        assert_eq!(turmoil(0..100), [0, 20, 40, 60, 80]);
        assert_eq!(turmoil(7..45), [7, 20, 40]);
        assert_eq!(both_worlds(7..9, 20).len(), 3);
    }

    #[test]
    fn what_is_worse_counts() {
        let violation = Violation { promise: Promise::Capacity, at: 1, what: String::new() };
        let mut run = Run { unsettled: Some(String::new()), ..Run::default() };
        assert_eq!(run.verdict().exit_code(), 3);
        run.violations.push(violation);
        assert_eq!(run.verdict().exit_code(), 1);
        run.failure = Some(String::new());
        assert_eq!(run.verdict().exit_code(), 4);
    }
}
