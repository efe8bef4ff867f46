//! What a campaign says at its end: the user's own numbers first, then which promises held, then each failure with
//! the one command that replays it. For people, for programs, for a pull request and for a test report.

mod github;
mod human;
mod json;
mod junit;

use std::collections::BTreeSet;

use crate::numbers::median;
use crate::oracle::Promise;
use crate::run::{Run, Verdict, World};
use crate::trace::combined;

/// The seeds of one scenario, run and judged.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The scenario's name.
    pub scenario: String,
    /// What was simulated, as a person calls it.
    pub subject: String,
    /// The hash of the bundle that was simulated.
    pub bundle: String,
    /// The promises that were judged.
    pub promises: Vec<Promise>,
    /// The command that was given, without the choice of seeds.
    pub command: Command,
    /// What is to be said before anything else: licenses that give no seats at the date of the run.
    pub notes: Vec<String>,
    /// The runs, by seed.
    pub runs: Vec<Run>,
}

/// A command that runs something again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// One that takes a seed and a world.
    Seeds(String),
    /// One of a recorded run, which says all.
    Recorded(String),
}

/// A failure as reports tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    /// The seed.
    pub seed: u64,
    /// Where it was run.
    pub world: World,
    /// The promise, `expect`, `converge` or `simulator`.
    pub oracle: &'a str,
    /// When, in milliseconds since the run began.
    pub at: u64,
    /// What was broken, with its quantities.
    pub what: &'a str,
}

impl Campaign {
    /// How it ended: as its worst run.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.runs.iter().map(Run::verdict).max().unwrap_or(Verdict::Held)
    }

    /// The first failure of each kind of each run, by seed.
    #[must_use]
    pub fn failures(&self) -> Vec<Failure<'_>> {
        let mut failures: Vec<Failure<'_>> = Vec::new();
        for run in &self.runs {
            let (seed, world, end) = (run.seed, run.world, run.simulated_ms);
            let all = run
                .violations
                .iter()
                .map(|one| (one.promise.as_str(), one.at, one.what.as_str()))
                .chain(run.unmet.iter().map(|one| ("expect", one.at, one.what.as_str())))
                .chain(run.unsettled.iter().map(|what| ("converge", end, what.as_str())))
                .chain(run.failure.iter().map(|what| ("simulator", end, what.as_str())));
            for (oracle, at, what) in all {
                let known = |one: &Failure<'_>| (one.seed, one.world) == (seed, world);
                if !failures.iter().any(|one| known(one) && one.oracle == oracle) {
                    failures.push(Failure { seed, world, oracle, at, what });
                }
            }
        }
        failures
    }

    /// The hash of all traces, by seed and world.
    #[must_use]
    pub fn trace_hash(&self) -> String {
        combined(self.runs.iter().map(|run| run.trace.as_str()))
    }

    /// The command that replays a failure.
    #[must_use]
    pub fn replay(&self, failure: &Failure<'_>) -> String {
        match &self.command {
            Command::Seeds(command) => {
                format!("{command} --seed {} --world {}", failure.seed, failure.world.as_str())
            }
            Command::Recorded(command) => command.clone(),
        }
    }

    /// How many seeds were run.
    #[must_use]
    pub fn seeds(&self) -> usize {
        self.runs.iter().map(|run| run.seed).collect::<BTreeSet<_>>().len()
    }

    /// How many seeds were run in a world.
    #[must_use]
    pub fn seeds_in(&self, world: World) -> usize {
        self.runs.iter().filter(|run| run.world == world).count()
    }

    /// The longest that anybody was without a seat, and the seed of it.
    #[must_use]
    pub fn worst_gap(&self) -> (u64, u64) {
        let worst = self.runs.iter().map(|run| (run.numbers.worst(), run.seed));
        worst.max_by_key(|(ms, seed)| (*ms, std::cmp::Reverse(*seed))).unwrap_or_default()
    }

    /// The middle one of every client's longest time without a seat, over all runs.
    #[must_use]
    pub fn median_gap(&self) -> u64 {
        let all = self.runs.iter().flat_map(|run| run.numbers.worst_by_client.values().copied());
        median(all.collect())
    }

    /// How many clients lost a seat in the run in which most did, and the seed of it.
    #[must_use]
    pub fn most_lost(&self) -> (u64, u64) {
        let lost = self.runs.iter().map(|run| (run.numbers.lost, run.seed));
        lost.max_by_key(|(lost, seed)| (*lost, std::cmp::Reverse(*seed))).unwrap_or_default()
    }

    /// How many seeds ended well, in every world that they were run in.
    #[must_use]
    pub fn passed(&self) -> usize {
        let broken = self.runs.iter().filter(|run| run.verdict() != Verdict::Held);
        self.seeds() - broken.map(|run| run.seed).collect::<BTreeSet<_>>().len()
    }

    /// The seed nearest to one that ended well.
    #[must_use]
    pub fn nearest_well(&self, seed: u64) -> Option<u64> {
        let well = self.runs.iter().filter(|run| run.verdict() == Verdict::Held);
        well.map(|run| run.seed).min_by_key(|other| other.abs_diff(seed))
    }
}

/// The worst of several campaigns.
#[must_use]
pub fn verdict(campaigns: &[Campaign]) -> Verdict {
    campaigns.iter().map(Campaign::verdict).max().unwrap_or(Verdict::Held)
}

pub use github::github;
pub use human::human;
pub use json::json;
pub use junit::junit;

/// Milliseconds as a person reads them.
fn seconds(ms: u64) -> String {
    if ms < 1_000 { format!("{ms}ms") } else { format!("{}.{}s", ms / 1_000, ms % 1_000 / 100) }
}

#[cfg(test)]
pub(crate) mod sample {
    use super::*;
    use crate::history::{Entry, Event, Fault};
    use crate::numbers::Numbers;
    use crate::oracle::Violation;
    use crate::run::Unmet;

    fn run(seed: u64, worst: u64) -> Run {
        let numbers = Numbers {
            worst_by_client: [("ana@ws-1".to_owned(), worst), ("bo@ws-2".to_owned(), 40)].into(),
            ..Numbers::default()
        };
        Run {
            seed,
            world: if seed == 0 { World::Turmoil } else { World::Core },
            numbers,
            trace: format!("sha256:{seed}"),
            simulated_ms: 90_000,
            ..Run::default()
        }
    }

    pub(crate) fn well() -> Campaign {
        Campaign {
            scenario: "failover".into(),
            subject: "studio".into(),
            bundle: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                .into(),
            promises: vec![Promise::Capacity, Promise::Failover],
            command: Command::Seeds("tandem-sim run failover".into()),
            notes: Vec::new(),
            runs: vec![run(0, 3_200), run(1, 4_150), run(2, 40)],
        }
    }

    pub(crate) fn broken() -> Campaign {
        let mut campaign = well();
        campaign.runs[1].violations.push(Violation {
            promise: Promise::Capacity,
            at: 41_200,
            what: "21 seats of `designer` are held and `lic-b` granted the last one with a capacity of 20".into(),
        });
        let fault = Event::Fault(Fault::Crash { server: "lic-a".into() });
        campaign.runs[1].entries.push(Entry { at: 30_000, host: "world".into(), event: fault });
        campaign.runs[2]
            .unmet
            .push(Unmet { at: 35_000, what: "`lic-b` is standby, not active".into() });
        campaign.runs[2].numbers.lost = 1;
        campaign
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_come_with_their_seeds() {
        let campaign = sample::broken();
        assert_eq!(campaign.worst_gap(), (4_150, 1));
        assert_eq!(campaign.median_gap(), 40);
        assert_eq!(campaign.most_lost(), (1, 2));
        assert_eq!((campaign.passed(), campaign.nearest_well(2)), (1, Some(0)));
        assert_eq!(campaign.verdict(), Verdict::Violated);
        let oracles: Vec<_> =
            campaign.failures().iter().map(|one| (one.seed, one.oracle)).collect();
        assert_eq!(oracles, [(1, "capacity"), (2, "expect")]);
    }

    #[test]
    fn traces_add_up_by_seed() {
        let mut other = sample::well();
        assert_eq!(other.trace_hash(), sample::well().trace_hash());
        other.runs.reverse();
        assert_ne!(other.trace_hash(), sample::well().trace_hash());
    }
}
