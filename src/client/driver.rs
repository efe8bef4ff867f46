//! Carries out what `failover` orders for one seat: sends its requests, tells it what came of them, keeps the token.
//!
//! It decides nothing. It runs wherever it is awaited: in a checkout, then in the task that keeps a seat alive.

use std::collections::VecDeque;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::http::HttpError;
use super::seat::{CheckoutRequest, Client, Lease};
use super::wire::{self, Place, Said};
use crate::api::{LeaseBody, Problem, QueuedBody};
use crate::failover::{Ask, AskId, Effect, Failover, Input, Loss, Outcome, Timing};
use crate::measure::{Moment, Span};
use crate::name::UseId;

/// The longest wait before the clock is looked at: a machine may have been asleep in between.
const NAP: Span = Span::from_secs(5);

/// What happened to the seat.
#[derive(Debug)]
pub(super) enum Event {
    /// It was given or renewed.
    Held(Box<Lease>),
    /// It was lost, and is asked for again.
    Lost(Loss),
    /// It is over.
    Ended(Outcome),
}

/// One seat and its requests.
pub(super) struct Driver {
    client: Client,
    request: CheckoutRequest,
    failover: Failover,
    running: JoinSet<Done>,
    events: VecDeque<Event>,
    use_id: (u64, UseId),
    /// Until when it waits for its first seat.
    waits_until: Option<Moment>,
    /// The place in the queue that the use of this number has.
    place: Option<(u64, QueuedBody)>,
    lease: Option<(LeaseBody, usize)>,
    /// What each server said last, where it gave nothing.
    said: Vec<Option<Trouble>>,
    problem: Option<Box<Problem>>,
    is_learning: bool,
}

/// Why a server gave nothing.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// There was no answer.
    Http(HttpError),
    /// The answer was a problem.
    Problem(Box<Problem>),
}

/// What came of something that ran.
enum Done {
    Asked(AskId, usize, Result<Said, HttpError>),
    Learned(Option<Timing>),
}

impl Driver {
    /// Asks for a seat.
    pub(super) fn checkout(client: Client, request: CheckoutRequest) -> Self {
        let mut effects = Vec::new();
        let servers = client.servers().len();
        let first = client.current();
        let timing = client.timing();
        let now = client.now();
        let mut failover = Failover::start_at(now, servers, first, timing, &mut effects);
        if let Some(wait) = request.wait {
            failover = failover.waiting(now, wait);
        }
        Self::start(client, request, failover, None, effects)
    }

    /// Gives back a seat that is held by its token until then.
    pub(super) fn release(client: Client, lease: LeaseBody, until: Moment) -> Self {
        let mut effects = Vec::new();
        let servers = client.servers().len();
        let failover =
            Failover::release(client.now(), servers, until, client.timing(), &mut effects);
        let request = CheckoutRequest {
            product: lease.product.clone(),
            user: lease.user.clone(),
            host: lease.host.clone(),
            seats: lease.seats,
            wait: None,
            borrow: None,
        };
        Self::start(client, request, failover, Some((lease, 0)), effects)
    }

    fn start(
        client: Client,
        request: CheckoutRequest,
        failover: Failover,
        lease: Option<(LeaseBody, usize)>,
        effects: Vec<Effect>,
    ) -> Self {
        let said = vec![None; client.servers().len()];
        let use_id = (0, client.fresh_use());
        let waits_until = request.wait.map(|wait| client.now() + wait);
        let mut this = Self {
            client,
            request,
            failover,
            running: JoinSet::new(),
            events: VecDeque::new(),
            use_id,
            waits_until,
            place: None,
            lease,
            said,
            problem: None,
            is_learning: false,
        };
        this.carry_out(effects, None);
        this
    }

    /// What each server said last, in the order of the list.
    pub(super) fn said(&self) -> &[Option<Trouble>] {
        &self.said
    }

    /// The problem that was told last: what refused a checkout or a renewal.
    pub(super) fn problem(&self) -> Option<Box<Problem>> {
        self.problem.clone()
    }

    /// What happens next. `release` is heard once; nothing is ever lost by dropping the future.
    pub(super) async fn next(&mut self, release: &mut Option<oneshot::Receiver<()>>) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let wait = self.failover.deadline().map_or(NAP, |at| at.since(self.client.now()));
            let clock = self.client.http().world().clock.clone();
            let done = tokio::select! {
                biased;
                () = heard(release) => {
                    *release = None;
                    self.tell(Input::Release, None);
                    continue;
                }
                Some(done) = self.running.join_next() => done,
                () = clock.sleep(wait.min(NAP)) => {
                    self.tell(Input::Deadline, None);
                    continue;
                }
            };
            match done {
                Ok(Done::Asked(id, server, result)) => self.asked(id, server, result),
                Ok(Done::Learned(timing)) => {
                    if let Some(timing) = timing {
                        self.client.learn(timing);
                        self.tell(Input::Learned(timing), None);
                    }
                }
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                // Only dropping the driver cancels what runs.
                Err(_) => {}
            }
        }
    }

    fn asked(&mut self, id: AskId, server: usize, result: Result<Said, HttpError>) {
        let trouble = match &result {
            Ok(Said::Problem(problem)) => Some(Trouble::Problem(problem.clone())),
            Ok(_) => None,
            Err(error) => Some(Trouble::Http(error.clone())),
        };
        if let Some(trouble) = &trouble {
            let server = self.client.servers().get(server).map(|one| one.short());
            tracing::debug!(server, ?trouble, "a server gave nothing");
        }
        let is_unserved =
            matches!(&trouble, Some(Trouble::Problem(problem)) if problem.status == 503);
        if let Some(Trouble::Problem(problem)) = &trouble {
            self.problem = Some(problem.clone());
        }
        if let Some(said) = self.said.get_mut(server) {
            *said = trouble;
        }
        if is_unserved && self.lease.is_none() {
            self.learn(server);
        }
        match result {
            Ok(said) => {
                let answer = said.meaning(self.client.servers());
                if let Said::Queued(queued) = &said {
                    self.place = Some((self.use_id.0, queued.clone()));
                }
                let body = match said {
                    Said::Lease(body) => Some((*body, server)),
                    _ => None,
                };
                self.tell(Input::Answered(id, answer), body);
            }
            Err(_) => self.tell(Input::Unanswered(id), None),
        }
    }

    fn tell(&mut self, input: Input, body: Option<(LeaseBody, usize)>) {
        let mut effects = Vec::new();
        self.failover.handle(self.client.now(), input, &mut effects);
        self.carry_out(effects, body);
    }

    fn carry_out(&mut self, effects: Vec<Effect>, mut body: Option<(LeaseBody, usize)>) {
        for effect in effects {
            match effect {
                Effect::Ask { id, server, ask, within } => self.ask(id, server, ask, within),
                Effect::Held { until } => {
                    let Some((body, server)) = body.take() else { continue };
                    let Some(answered_by) = self.client.servers().get(server).cloned() else {
                        continue;
                    };
                    self.client.answered(server);
                    self.lease = Some((body.clone(), server));
                    let lease = Lease { body, answered_by, until };
                    self.events.push_back(Event::Held(Box::new(lease)));
                }
                Effect::Lost(loss) => self.events.push_back(Event::Lost(loss)),
                Effect::Ended(outcome) => {
                    self.running.abort_all();
                    self.events.push_back(Event::Ended(outcome));
                }
            }
        }
    }

    fn ask(&mut self, id: AskId, server: usize, ask: Ask, within: Span) {
        let Some(to) = self.client.servers().get(server).cloned() else { return };
        let http = self.client.http().clone();
        match (ask, &self.lease) {
            (Ask::Checkout(number), _) => {
                if self.use_id.0 != number {
                    self.use_id = (number, self.client.fresh_use());
                }
                let (request, use_id) = (self.request.clone(), self.use_id.1.clone());
                let asked = wire::checkout(http, to, request, use_id, self.place(), within);
                self.running.spawn(async move { Done::Asked(id, server, asked.await) });
            }
            (Ask::Renew, Some((lease, _))) => {
                let asked = wire::renew(http, to, lease.id.clone(), lease.token.clone(), within);
                self.running.spawn(async move { Done::Asked(id, server, asked.await) });
            }
            (Ask::Release, Some((lease, _))) => {
                let asked = wire::release(http, to, lease.id.clone(), lease.token.clone(), within);
                self.running.spawn(async move { Done::Asked(id, server, asked.await) });
            }
            // A lease is renewed or released only when it was given.
            (Ask::Renew | Ask::Release, None) => {}
        }
    }

    /// How the next checkout waits: for what is left of the time, or, where a seat was lost, as long as a server holds
    /// a request.
    fn place(&self) -> Place {
        let left = self.waits_until.map(|until| until.since(self.client.now()));
        let wait = if self.lease.is_some() { self.request.wait } else { left };
        let ticket = self.place.as_ref().filter(|(number, _)| *number == self.use_id.0);
        Place { wait, ticket: ticket.map(|(_, queued)| queued.ticket.clone()) }
    }

    /// The place in the queue that was told last.
    pub(super) fn position(&self) -> Option<u32> {
        self.place.as_ref().map(|(_, queued)| queued.position)
    }

    /// Asks a server that does not serve for the pair's times, once.
    fn learn(&mut self, server: usize) {
        let Some(from) = self.client.servers().get(server).cloned() else { return };
        if self.is_learning || self.client.has_learned() {
            return;
        }
        self.is_learning = true;
        let client = self.client.clone();
        self.running.spawn(async move {
            Done::Learned(wire::config(&client, &from).await.ok().map(|config| config.timing))
        });
    }
}

/// Waits until the seat is to be given back: told so, or the seat was dropped.
async fn heard(release: &mut Option<oneshot::Receiver<()>>) {
    match release {
        Some(receiver) => {
            let _ = receiver.await;
        }
        None => std::future::pending().await,
    }
}
