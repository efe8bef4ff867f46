//! What `watch` does next, given what is wanted and what both servers run.
//!
//! Pure. It decides *whether* to apply; how is `apply`'s. It never sees a file and never asks the servers. A person's
//! decisions (which server is active) are no part of a [`Sight`], so they are never taken for drift.

use super::super::decide::{Running, Sight};
use crate::measure::{Moment, Span};
use crate::name::{BundleHash, ServerName};

/// What to do about servers that run something else than what was applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repair {
    /// Only report it.
    Never,
    /// Apply again when a server runs another bundle.
    #[default]
    Config,
    /// Also while one server cannot be reached (`--degraded`).
    Always,
}

/// What is wanted: a bundle and where it came from, as far as a server may judge it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The bundle.
    pub bundle: BundleHash,
    /// A text that changes when the same bundle comes from elsewhere: another commit, no uncommitted edits any more.
    pub source: String,
}

/// How things stand when there is nothing to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resting {
    /// No valid content has been seen yet.
    Idle,
    /// Both servers run what is wanted.
    InSync,
    /// Those that answer run it; the others take it from their peer when they return.
    Alone {
        /// Those that did not answer.
        absent: Vec<ServerName>,
    },
    /// It is to be applied, but a server is missing and degraded applies were not asked for.
    Waiting {
        /// Those that did not answer.
        absent: Vec<ServerName>,
    },
    /// Servers run something else than what was applied, and repairing was not asked for.
    Drifted {
        /// Those that run something else.
        servers: Vec<ServerName>,
    },
    /// It was tried in just this state and refused: it waits until something changes.
    Refused,
    /// It failed for a reason that may go away: tried again then.
    Failed {
        /// When to try again.
        retry: Moment,
    },
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until a file changes or it is time to look again.
    Rest(Resting),
    /// Look again soon: servers run something else than what was applied, which may mend itself.
    Recheck {
        /// After how long.
        after: Span,
        /// Those that run something else.
        servers: Vec<ServerName>,
    },
    /// Apply what is wanted.
    Apply {
        /// To the servers that answer, although one does not.
        degraded: bool,
    },
}

/// How an apply ended, as far as trying again goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The servers run it.
    Done,
    /// A server refused it, and will again as long as nothing changes.
    Refused,
    /// An answer was missing, or the pair moved on meanwhile.
    Failed,
}

/// How soon drift is looked at again before it is repaired: two servers converge by themselves.
const RECHECK: Span = Span::from_secs(1);
const RETRY_MIN: Span = Span::from_secs(1);
const RETRY_MAX: Span = Span::from_secs(60);

/// Decides what `watch` does next.
#[derive(Debug)]
pub struct Steer {
    repair: Repair,
    /// What was brought about last; anything else that runs is drift.
    applied: Option<BundleHash>,
    /// Drift as it was seen last time.
    drift: Option<Sight>,
    /// What was tried, in which state, and when to try it again; `None`: not before something changes.
    tried: Option<(Wanted, Sight, Option<Moment>)>,
    /// How long to wait after the next failure.
    retry: Span,
}

impl Steer {
    /// Nothing seen, nothing tried.
    #[must_use]
    pub const fn new(repair: Repair) -> Self {
        Self { repair, applied: None, drift: None, tried: None, retry: RETRY_MIN }
    }

    /// What to do now.
    pub fn step(&mut self, now: Moment, wanted: Option<&Wanted>, sight: &Sight) -> Step {
        let Some(wanted) = wanted else { return Step::Rest(Resting::Idle) };
        let absent: Vec<_> = names(sight, |running| running.is_none());
        let other: Vec<_> = names(
            sight,
            |running| matches!(running, Some(runs) if runs.bundle != Some(wanted.bundle)),
        );
        if absent.len() < sight.len() && other.is_empty() {
            self.applied = Some(wanted.bundle);
            (self.drift, self.tried, self.retry) = (None, None, RETRY_MIN);
            let resting =
                if absent.is_empty() { Resting::InSync } else { Resting::Alone { absent } };
            return Step::Rest(resting);
        }
        if absent.len() == sight.len() || (!absent.is_empty() && self.repair != Repair::Always) {
            self.drift = None;
            return Step::Rest(Resting::Waiting { absent });
        }
        if self.applied == Some(wanted.bundle) {
            if self.repair == Repair::Never {
                return Step::Rest(Resting::Drifted { servers: other });
            }
            if self.drift.as_ref() != Some(sight) {
                self.drift = Some(sight.clone());
                return Step::Recheck { after: RECHECK, servers: other };
            }
        }
        match &self.tried {
            Some((what, state, retry)) if what == wanted && state == sight => match retry {
                None => return Step::Rest(Resting::Refused),
                Some(retry) if now < *retry => {
                    return Step::Rest(Resting::Failed { retry: *retry });
                }
                Some(_) => {}
            },
            _ => {}
        }
        Step::Apply { degraded: !absent.is_empty() }
    }

    /// An apply that [`Steer::step`] asked for, in the state given there, has ended. Returns after how long it is
    /// tried again in this state.
    pub fn ended(
        &mut self,
        now: Moment,
        wanted: &Wanted,
        sight: &Sight,
        ending: Ending,
    ) -> Option<Span> {
        let wait = match ending {
            Ending::Done => {
                self.applied = Some(wanted.bundle);
                (self.drift, self.tried, self.retry) = (None, None, RETRY_MIN);
                return None;
            }
            Ending::Refused => None,
            Ending::Failed => {
                let wait = self.retry;
                self.retry = wait.times(2).min(RETRY_MAX);
                Some(wait)
            }
        };
        self.tried = Some((wanted.clone(), sight.clone(), wait.map(|wait| now + wait)));
        wait
    }
}

fn names(sight: &Sight, which: impl Fn(&Option<Running>) -> bool) -> Vec<ServerName> {
    sight.iter().filter(|(_, running)| which(running)).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Generation;

    fn name(text: &str) -> ServerName {
        ServerName::new(text).expect("a valid name")
    }

    fn hash(number: u8) -> BundleHash {
        BundleHash([number; 32])
    }

    fn wanted(number: u8) -> Wanted {
        Wanted { bundle: hash(number), source: String::new() }
    }

    /// Both servers by (generation, bundle's number); a generation of 0 is an unconfigured server.
    fn sight(servers: [Option<(u64, u8)>; 2]) -> Sight {
        let running = |(generation, number)| Running {
            generation: Generation(generation),
            bundle: (generation > 0).then(|| hash(number)),
        };
        ["lic-a", "lic-b"].map(name).into_iter().zip(servers.map(|one| one.map(running))).collect()
    }

    const START: Moment = Moment::from_ms(1_000_000);

    fn step(steer: &mut Steer, number: u8, servers: [Option<(u64, u8)>; 2]) -> Step {
        steer.step(START, Some(&wanted(number)), &sight(servers))
    }

    #[test]
    fn what_runs_everywhere_is_left_alone() {
        let mut steer = Steer::new(Repair::Always);
        let runs = Some((3, 1));
        assert_eq!(step(&mut steer, 1, [runs, runs]), Step::Rest(Resting::InSync));
        assert_eq!(
            step(&mut steer, 1, [runs, None]),
            Step::Rest(Resting::Alone { absent: vec![name("lic-b")] })
        );
        assert_eq!(steer.step(START, None, &sight([runs, runs])), Step::Rest(Resting::Idle));
    }

    #[test]
    fn an_edit_is_applied_at_once() {
        for repair in [Repair::Never, Repair::Config, Repair::Always] {
            let mut steer = Steer::new(repair);
            step(&mut steer, 1, [Some((3, 1)), Some((3, 1))]);
            assert_eq!(
                step(&mut steer, 2, [Some((3, 1)), Some((3, 1))]),
                Step::Apply { degraded: false }
            );
        }
    }

    #[test]
    fn with_a_server_down_only_always_goes_on() {
        let state = [Some((3, 1)), None];
        let absent = vec![name("lic-b")];
        for repair in [Repair::Never, Repair::Config] {
            let step = step(&mut Steer::new(repair), 2, state);
            assert_eq!(step, Step::Rest(Resting::Waiting { absent: absent.clone() }));
        }
        assert_eq!(step(&mut Steer::new(Repair::Always), 2, state), Step::Apply { degraded: true });
        assert!(matches!(
            step(&mut Steer::new(Repair::Always), 2, [None, None]),
            Step::Rest(Resting::Waiting { .. })
        ));
    }

    #[test]
    fn drift_is_repaired_once_it_did_not_mend_itself() {
        let mut steer = Steer::new(Repair::Config);
        step(&mut steer, 1, [Some((3, 1)), Some((3, 1))]);
        let recheck = |servers: &[&str]| {
            let servers = servers.iter().map(|one| name(one)).collect();
            Step::Recheck { after: RECHECK, servers }
        };
        assert_eq!(step(&mut steer, 1, [Some((4, 2)), Some((3, 1))]), recheck(&["lic-a"]));
        assert_eq!(step(&mut steer, 1, [Some((4, 2)), Some((4, 2))]), recheck(&["lic-a", "lic-b"]));
        assert_eq!(
            step(&mut steer, 1, [Some((4, 2)), Some((4, 2))]),
            Step::Apply { degraded: false }
        );
    }

    #[test]
    fn drift_is_only_reported_where_nobody_asked_to_repair() {
        let mut steer = Steer::new(Repair::Never);
        step(&mut steer, 1, [Some((3, 1)), Some((3, 1))]);
        for _ in 0..3 {
            assert_eq!(
                step(&mut steer, 1, [Some((4, 2)), Some((3, 1))]),
                Step::Rest(Resting::Drifted { servers: vec![name("lic-a")] })
            );
        }
    }

    #[test]
    fn a_refused_bundle_is_tried_once_in_a_state() {
        let mut steer = Steer::new(Repair::Config);
        let state = [Some((3, 1)), Some((3, 1))];
        assert_eq!(step(&mut steer, 2, state), Step::Apply { degraded: false });
        steer.ended(START, &wanted(2), &sight(state), Ending::Refused);
        assert_eq!(step(&mut steer, 2, state), Step::Rest(Resting::Refused));
        // Another state, other content or another source: tried again.
        assert_eq!(
            step(&mut steer, 2, [Some((4, 3)), Some((4, 3))]),
            Step::Apply { degraded: false }
        );
        assert_eq!(step(&mut steer, 4, state), Step::Apply { degraded: false });
        let committed = Wanted { source: "committed".to_owned(), ..wanted(2) };
        assert_eq!(
            steer.step(START, Some(&committed), &sight(state)),
            Step::Apply { degraded: false }
        );
    }

    #[test]
    fn a_revert_to_what_runs_needs_no_apply() {
        let mut steer = Steer::new(Repair::Config);
        let state = [Some((3, 1)), Some((3, 1))];
        step(&mut steer, 2, state);
        steer.ended(START, &wanted(2), &sight(state), Ending::Refused);
        assert_eq!(step(&mut steer, 1, state), Step::Rest(Resting::InSync));
    }

    #[test]
    fn failures_are_tried_again_ever_later() {
        let mut steer = Steer::new(Repair::Config);
        let state = sight([Some((3, 1)), Some((3, 1))]);
        let mut now = START;
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(steer.step(now, Some(&wanted(2)), &state), Step::Apply { degraded: false });
            let wait = Span::from_secs(wait);
            assert_eq!(steer.ended(now, &wanted(2), &state, Ending::Failed), Some(wait));
            let retry = now + wait;
            assert_eq!(
                steer.step(now, Some(&wanted(2)), &state),
                Step::Rest(Resting::Failed { retry })
            );
            now = retry;
        }
    }
}
