//! The reconciler: observes both servers, stages on both, commits on both, and tries again until both run what is
//! wanted. It also offers what no server may take.

use std::collections::VecDeque;

use tandem::measure::Generation;
use tandem::name::BundleHash;

use super::message::{Answer, Party, Request, Said, Want};
use super::network::RECONCILER;
use super::person::answered;
use super::queue::{MS, Micros};
use super::stage::Stage;
use super::{Event, Node};
use crate::history::{Ask, Event as Seen};
use crate::scenario::Forgery;

/// How long an answer is waited for.
const ANSWER_WITHIN: Micros = 5_000 * MS;
/// How long it waits before it tries again.
const AGAIN: Micros = 1_000 * MS;
/// What it is called in a history.
const NAME: &str = "reconciler";

/// What the reconciler is at.
#[derive(Debug, Default)]
pub(super) struct Reconciler {
    /// The bundle that is wanted and does not run everywhere yet, and whether one server is enough.
    wanted: Option<(usize, bool)>,
    /// The bundle that was staged last: another may be wanted since.
    staged: usize,
    offers: VecDeque<Forgery>,
    step: Step,
    open: [Option<u64>; 2],
    until: Micros,
    /// What each said that it runs, where it answered.
    runs: [Option<(Generation, Option<BundleHash>)>; 2],
    accepted: [bool; 2],
    generation: Generation,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Idle,
    Observing,
    Offering,
    Staging,
    Committing,
}

impl Stage<'_> {
    /// A bundle is to be applied; `degraded` where one server is enough.
    pub(super) fn apply(&mut self, bundle: usize, degraded: bool) {
        self.reconciler.wanted = Some((bundle, degraded));
        self.reconciler_goes_on();
    }

    /// The first bundle is to be applied, at this time.
    pub(super) fn apply_first(&mut self, at: Micros) {
        self.reconciler.wanted = Some((0, false));
        self.rest(at);
    }

    /// A bundle that no server may take is offered to both.
    pub(super) fn offer(&mut self, forgery: Forgery) {
        self.reconciler.offers.push_back(forgery);
        self.reconciler_goes_on();
    }

    /// Begins with what is next, where nothing is under way.
    pub(super) fn reconciler_goes_on(&mut self) {
        if self.reconciler.step != Step::Idle {
            return;
        }
        if let Some(forgery) = self.reconciler.offers.pop_front() {
            let Some(hash) = self.ground.forged.get(&forgery).map(|one| one.hash.clone()) else {
                return;
            };
            self.both(Step::Offering, |_| {
                Some((Want::Offer(forgery), Ask::Stage { bundle: hash.clone() }))
            });
        } else if self.reconciler.wanted.is_some() {
            self.reconciler.runs = [None, None];
            self.both(Step::Observing, |_| {
                Some((Want::Status, Ask::Other { what: "GET /v1/status".into() }))
            });
        }
    }

    /// Asks those servers of which `want` says what.
    fn both(&mut self, step: Step, want: impl Fn(Node) -> Option<(Want, Ask)>) {
        self.reconciler.step = step;
        self.reconciler.accepted = [false, false];
        let until = self.log.now + ANSWER_WITHIN;
        self.reconciler.until = until;
        self.queue.push(until, Event::Reconciler { until });
        for to in [0, 1] {
            let Some((want, ask)) = want(to) else { continue };
            let number = self.log.asked(NAME, self.ground.servers[to].as_str(), ask);
            self.reconciler.open[to] = Some(number);
            let request = Request { number, from: Party::Reconciler, want };
            self.post(RECONCILER, to, Event::Request { to, request: Box::new(request) });
        }
    }

    /// An answer has arrived.
    pub(super) fn reconciler_hears(&mut self, answer: Answer) {
        let Answer { number, from, said, .. } = answer;
        if self.reconciler.open[from] != Some(number) {
            return;
        }
        self.reconciler.open[from] = None;
        if matches!(said, Said::Gone) {
            self.log.note(NAME, Seen::Lost { request: number });
        } else {
            self.log.note(NAME, answered(&self.ground.servers, number, &said));
        }
        match said {
            Said::Status { generation, bundle } => {
                self.reconciler.runs[from] = Some((generation, bundle));
                self.reconciler.accepted[from] = true;
            }
            Said::Staged | Said::Committed => self.reconciler.accepted[from] = true,
            _ => {}
        }
        if self.reconciler.open == [None, None] {
            self.reconciler_decides();
        }
    }

    /// A time that was set has come: what has no answer by now has none.
    pub(super) fn reconciler_wakes(&mut self, until: Micros) {
        if self.reconciler.until != until {
            return;
        }
        if self.reconciler.step == Step::Idle {
            return self.reconciler_goes_on();
        }
        for to in [0, 1] {
            if let Some(request) = self.reconciler.open[to].take() {
                self.log.note(NAME, Seen::Lost { request });
            }
        }
        self.reconciler_decides();
    }

    fn reconciler_decides(&mut self) {
        let step = std::mem::take(&mut self.reconciler.step);
        let accepted = self.reconciler.accepted;
        let Some((bundle, degraded)) = self.reconciler.wanted else { return self.rest(0) };
        let reached = self.reconciler.runs.map(|one| one.is_some());
        let enough = accepted == [true, true]
            || (degraded && accepted == reached && accepted != [false, false]);
        match step {
            Step::Idle => {}
            Step::Offering => self.rest(0),
            Step::Observing if enough => self.stage_on_both(bundle),
            Step::Staging if enough && bundle == self.reconciler.staged => {
                self.commit_on_both(bundle);
            }
            Step::Committing if enough => {
                if bundle == self.reconciler.staged {
                    self.reconciler.wanted = None;
                }
                self.rest(0);
            }
            Step::Observing | Step::Staging | Step::Committing => self.rest(AGAIN),
        }
    }

    fn rest(&mut self, span: Micros) {
        let until = self.log.now + span;
        self.reconciler.until = until;
        self.queue.push(until, Event::Reconciler { until });
    }

    fn stage_on_both(&mut self, bundle: usize) {
        let ground = std::sync::Arc::clone(&self.ground);
        let Some(applied) = ground.bundles.get(bundle) else { return };
        let runs = self.reconciler.runs;
        let hash = applied.config.bundle.hash();
        if runs.iter().flatten().all(|(_, running)| *running == Some(hash)) {
            self.reconciler.wanted = None;
            return self.rest(0);
        }
        let base = runs.map(|one| one.map(|(generation, _)| generation));
        let generation = Generation(base.iter().flatten().max().map_or(0, |base| base.0) + 1);
        let Some(statement) = ground.statement(bundle, generation, base) else { return };
        self.reconciler.generation = generation;
        self.reconciler.staged = bundle;
        self.both(Step::Staging, |to| {
            let base = base[to]?;
            let want = Want::Stage { bundle, statement: statement.clone(), generation, base };
            Some((want, Ask::Stage { bundle: applied.hash.clone() }))
        });
    }

    fn commit_on_both(&mut self, bundle: usize) {
        let ground = std::sync::Arc::clone(&self.ground);
        let Some(applied) = ground.bundles.get(bundle) else { return };
        let (generation, runs) = (self.reconciler.generation, self.reconciler.runs);
        let hash = applied.config.bundle.hash();
        self.both(Step::Committing, |to| {
            runs[to]?;
            let ask = Ask::Commit { bundle: applied.hash.clone(), generation: generation.0 };
            Some((Want::Commit { generation, bundle: hash }, ask))
        });
    }
}
