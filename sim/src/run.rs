//! One run and many: what came of a seed, and all seeds of a campaign, each on a thread of its own.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::history::{Entry, Event};
use crate::numbers::Numbers;
use crate::oracle::{Promise, Violation};

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

/// What came of one seed.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The seed.
    pub seed: u64,
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
    /// Why the pair did not come to rest after everything was mended, where it did not.
    pub unsettled: Option<String>,
    /// Why the simulator itself failed, where it did.
    pub failure: Option<String>,
    /// How long the run was, in simulated milliseconds.
    pub simulated_ms: u64,
}

/// How a run or a campaign ended, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Every promise was kept and every expectation met.
    Held,
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

    /// A run that could not be made.
    #[must_use]
    pub fn failed(seed: u64, reason: String) -> Self {
        Self { seed, failure: Some(reason), ..Self::default() }
    }

    /// Judges a history: the promises that were chosen, and the limit of time without a seat.
    #[must_use]
    pub fn judged(mut self, promises: &[Promise], gap_ms: Option<u64>) -> Self {
        self.numbers = Numbers::of(&self.entries);
        self.violations = promises.iter().flat_map(|one| one.judge(&self.entries)).collect();
        self.violations.sort_by_key(|one| (one.at, one.promise));
        if let Some(limit) = gap_ms {
            for gap in crate::numbers::gaps(&self.entries) {
                if gap.ms >= limit {
                    let (client, ms) = (gap.client, gap.ms);
                    let at = gap.from.saturating_add(gap.ms);
                    let what = format!(
                        "{client} was without a seat for {ms}ms; less than {limit}ms were expected"
                    );
                    self.unmet.push(Unmet { at, what });
                }
            }
        }
        if self.verdict() == Verdict::Held {
            self.entries = Vec::new();
        }
        self
    }
}

/// Runs every seed, at most `jobs` at once, each on a fresh thread: what the standard library keeps for a thread (the
/// keys of hash maps) then begins with the run. The results are in the order of the seeds.
pub fn campaign(
    seeds: &[u64],
    jobs: usize,
    run: &(dyn Fn(u64) -> Run + Sync),
    done: &(dyn Fn(&Run) + Sync),
) -> Vec<Run> {
    let next = AtomicUsize::new(0);
    let runs = Mutex::new(Vec::with_capacity(seeds.len()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, seeds.len().max(1)) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = on_fresh_thread(*seed, run);
                    done(&result);
                    runs.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                }
            });
        }
    });
    let mut runs = runs.into_inner().unwrap_or_else(PoisonError::into_inner);
    runs.sort_by_key(|run| run.seed);
    runs
}

fn on_fresh_thread(seed: u64, run: &(dyn Fn(u64) -> Run + Sync)) -> Run {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name(format!("seed-{seed}"))
            .stack_size(STACK)
            .spawn_scoped(scope, || std::panic::catch_unwind(AssertUnwindSafe(|| run(seed))));
        let joined = match thread {
            Ok(thread) => thread.join(),
            Err(error) => return Run::failed(seed, format!("no thread for the run: {error}")),
        };
        match joined {
            Ok(Ok(run)) => run,
            Ok(Err(panic)) | Err(panic) => {
                Run::failed(seed, format!("panicked: {}", said(&*panic)))
            }
        }
    })
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

    #[test]
    fn results_are_in_the_order_of_the_seeds_whoever_is_first() {
        let run = |seed| Run { seed, trace: format!("t{seed}"), ..Run::default() };
        let runs = campaign(&[3, 1, 2], 2, &run, &|_| {});
        assert_eq!(runs.iter().map(|run| run.seed).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(runs.iter().all(|run| run.verdict() == Verdict::Held));
    }

    #[test]
    fn a_panic_is_the_simulators_failure_and_ends_one_seed_alone() {
        let run = |seed| {
            assert!(seed != 2, "two is too many");
            Run { seed, ..Run::default() }
        };
        let runs = campaign(&[1, 2, 3], 2, &run, &|_| {});
        let verdicts: Vec<_> = runs.iter().map(Run::verdict).collect();
        assert_eq!(verdicts, [Verdict::Held, Verdict::Failed, Verdict::Held]);
        assert_eq!(runs[1].failure.as_deref(), Some("panicked: two is too many"));
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
