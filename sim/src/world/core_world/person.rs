//! Somebody who wants a seat: what the client library's shell does around `Failover`, and what people do with a seat.
//! They take one, keep it, give it back, and begin again.

use std::collections::VecDeque;
use std::sync::Arc;

use tandem::failover::{Ask, AskId, Effect, Failover, Input, Timing};
use tandem::measure::{Moment, Span};
use tandem::name::{QueueTicket, UseId};

use super::clock::Clock;
use super::message::{Answer, Party, Proof, Request, Said, Want};
use super::network::CLIENTS;
use super::queue::{MS, Micros};
use super::stage::Stage;
use super::{Event, Node, kind};
use crate::history::{self, Answered};
use crate::scenario::SpanRange;
use crate::seed::Stream;

/// Within how long everybody has come to work.
const ARRIVAL: Micros = 5_000 * MS;
/// How long somebody waits before they try again, after a refusal.
const PATIENCE: Micros = 2_000 * MS;
/// One of so many who wait has its application ended meanwhile.
const ENDED_ONE_IN: u64 = 8;
/// How long an answer about the pair's times is waited for.
const LEARNED_WITHIN: Micros = 5_000 * MS;
/// How many different times somebody may hold a seat, wait for one, or borrow it.
const SPANS: u64 = 1 << 16;

/// Somebody who wants a seat.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) clock: Clock,
    /// The servers in the order of their list.
    list: [Node; 2],
    mode: Mode,
    failover: Option<Failover>,
    uses: u64,
    use_id: Option<(u64, UseId)>,
    /// Until when it waits for a seat, by its own clock, and the place that its use of a number has.
    waits_until: Option<Moment>,
    ticket: Option<(u64, QueueTicket)>,
    /// For how long it borrows the seat that it wants.
    borrows: Option<Span>,
    proof: Option<Proof>,
    current: usize,
    timing: Timing,
    has_learned: bool,
    /// Whether it wants a seat since it last gave one back.
    is_wanting: bool,
    is_learning: bool,
    open: Vec<Open>,
    alarm: Micros,
    /// Its computer sleeps.
    pub(super) is_asleep: bool,
    missed: VecDeque<Answer>,
}

/// A request without an answer so far.
#[derive(Clone, Copy, Debug)]
struct Open {
    number: u64,
    /// Absent: it asks for the pair's times.
    ask: Option<AskId>,
    /// The server that may hold it.
    held_by: Option<Node>,
    until: Micros,
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    /// Wants nothing until then.
    Away(Micros),
    /// Asks for a seat, until somebody ends its application at last.
    Asking(Option<Micros>),
    /// Has one, until then.
    Holding(Option<Micros>),
    /// Gives it back.
    Leaving,
}

impl Client {
    /// Somebody who comes to work; every other one has the secondary first in their list.
    pub(super) fn new(place: usize, clock: Clock) -> Self {
        Self {
            clock,
            list: if place.is_multiple_of(2) { [0, 1] } else { [1, 0] },
            mode: Mode::Away(0),
            failover: None,
            uses: 0,
            use_id: None,
            waits_until: None,
            ticket: None,
            borrows: None,
            proof: None,
            current: 0,
            timing: Timing::default(),
            has_learned: false,
            is_wanting: false,
            is_learning: false,
            open: Vec::new(),
            alarm: Micros::MAX,
            is_asleep: false,
            missed: VecDeque::new(),
        }
    }

    /// When it has something to do, whatever arrives.
    fn next(&self, now: Micros) -> Option<Micros> {
        let own = match self.mode {
            Mode::Away(until) => Some(until),
            Mode::Asking(until) | Mode::Holding(until) => until,
            Mode::Leaving => None,
        };
        let deadline = self.failover.as_ref().and_then(Failover::deadline);
        let deadline = deadline.map(|deadline| self.clock.reaches(deadline, now));
        own.into_iter().chain(deadline).chain(self.open.iter().map(|open| open.until)).min()
    }
}

impl Stage<'_> {
    /// Everybody sets out for work.
    pub(super) fn people_come(&mut self) {
        for person in 0..self.clients.len() {
            let until = self.choices.choose("arrives", ARRIVAL);
            self.clients[person].mode = Mode::Away(until);
            self.look_ahead(person);
        }
    }

    fn look_ahead(&mut self, person: usize) {
        let now = self.log.now;
        let client = &mut self.clients[person];
        let Some(due) = client.next(now) else { return };
        if due < client.alarm {
            client.alarm = due;
            self.queue.push(due, Event::Client { person, due });
        }
    }

    /// A client's alarm has come.
    pub(super) fn client_wakes(&mut self, person: usize, due: Micros) {
        let client = &mut self.clients[person];
        if client.alarm != due {
            return;
        }
        client.alarm = Micros::MAX;
        if !client.is_asleep {
            self.client_acts(person);
        }
    }

    /// A computer goes on after a sleep: what arrived meanwhile comes first.
    pub(super) fn client_goes_on(&mut self, person: usize) {
        let client = &mut self.clients[person];
        if !std::mem::replace(&mut client.is_asleep, false) {
            return;
        }
        for answer in std::mem::take(&mut client.missed) {
            self.client_hears(person, answer);
        }
        self.client_acts(person);
    }

    /// Does whatever is due.
    fn client_acts(&mut self, person: usize) {
        let now = self.log.now;
        while let Some(place) = self.clients[person].open.iter().position(|open| open.until <= now)
        {
            let open = self.clients[person].open.swap_remove(place);
            self.gone(person, open);
        }
        match self.clients[person].mode {
            Mode::Away(until) if until <= now => self.wants(person),
            Mode::Asking(Some(until)) if until <= now => self.ends(person),
            Mode::Holding(Some(until)) if until <= now => {
                let product = self.ground.people[person].product.as_str().to_owned();
                self.log.note(
                    Arc::clone(&self.ground.names[person]),
                    history::Event::Leaves { product },
                );
                self.clients[person].mode = Mode::Leaving;
                self.advise(person, Input::Release, None);
            }
            _ => {}
        }
        let client = &self.clients[person];
        let moment = client.clock.now(now).moment;
        let due = client.failover.as_ref().and_then(Failover::deadline);
        if due.is_some_and(|due| due <= moment) {
            self.advise(person, Input::Deadline, None);
        }
        self.look_ahead(person);
    }

    fn wants(&mut self, person: usize) {
        if !matches!(self.clients[person].mode, Mode::Away(_)) {
            return;
        }
        let ground = Arc::clone(&self.ground);
        if !self.clients[person].is_wanting {
            let product = ground.people[person].product.as_str().to_owned();
            self.log.note(Arc::clone(&ground.names[person]), history::Event::Wants { product });
        }
        let borrows = self.plan.borrow.filter(|_| self.choices.choose("borrows", 3) == 2);
        let borrows = borrows.map(|range| self.drawn("borrows-for", range));
        let wait = self.plan.wait.filter(|_| borrows.is_none());
        let wait = wait.map(|range| self.drawn("waits", range));
        let ends = wait.filter(|_| self.choices.choose("is-ended", ENDED_ONE_IN) == 1);
        let ends = ends.map(|wait| self.choices.choose("ends", wait.ms().max(1) * MS));
        let ends = ends.map(|after| self.log.now + after);
        let client = &mut self.clients[person];
        client.is_wanting = true;
        client.ticket = None;
        client.borrows = borrows;
        client.mode = Mode::Asking(ends);
        client.uses += 1;
        client.use_id = None;
        client.proof = None;
        client.is_learning = false;
        let moment = client.clock.now(self.log.now).moment;
        let mut effects = Vec::new();
        let mut failover =
            Failover::start_at(moment, 2, client.current, client.timing, &mut effects);
        client.waits_until = wait.map(|wait| moment + wait);
        if let Some(wait) = wait {
            failover = failover.waiting(moment, wait);
        }
        client.failover = Some(failover);
        self.obey(person, &mut effects, None);
    }

    /// Its application ends: nobody is told but by its connections.
    fn ends(&mut self, person: usize) {
        let late = self.choices.choose("tries-again", PATIENCE / 2);
        let client = &mut self.clients[person];
        client.mode = Mode::Away(self.log.now + PATIENCE / 2 + late);
        client.failover = None;
        for open in std::mem::take(&mut self.clients[person].open) {
            self.lose_track(person, open);
        }
    }

    /// Tells the client's state machine, and does what it wants.
    fn advise(&mut self, person: usize, input: Input, answer: Option<(Node, Proof)>) {
        let client = &mut self.clients[person];
        let moment = client.clock.now(self.log.now).moment;
        let Some(failover) = client.failover.as_mut() else { return };
        let mut effects = Vec::new();
        failover.handle(moment, input, &mut effects);
        self.obey(person, &mut effects, answer);
    }

    fn obey(
        &mut self,
        person: usize,
        effects: &mut Vec<Effect>,
        mut answer: Option<(Node, Proof)>,
    ) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Ask { id, server, ask, within } => {
                    self.client_asks(person, id, server, ask, within);
                }
                Effect::Held { .. } => {
                    let Some((server, proof)) = answer.take() else { continue };
                    let hold = self.plan.hold;
                    let client = &self.clients[person];
                    let place = client.list.iter().position(|one| *one == server);
                    let is_new = matches!(client.mode, Mode::Asking(_));
                    let until = if is_new { hold.map(|hold| self.holds(hold)) } else { None };
                    let client = &mut self.clients[person];
                    client.current = place.unwrap_or(0);
                    client.proof = Some(proof);
                    if is_new {
                        client.is_wanting = true;
                        client.mode = Mode::Holding(until);
                    }
                }
                Effect::Lost(_) => {}
                Effect::Ended(_) => {
                    let client = &mut self.clients[person];
                    if matches!(client.mode, Mode::Leaving) {
                        client.is_wanting = false;
                    }
                    self.ends(person);
                }
            }
        }
    }

    /// How long somebody does something.
    fn drawn(&mut self, what: &'static str, range: SpanRange) -> Span {
        let drawn = self.choices.choose(what, SPANS);
        range.draw(&mut Stream::named(drawn, what))
    }

    /// Until when somebody keeps their seat.
    fn holds(&mut self, range: SpanRange) -> Micros {
        self.log.now + self.drawn("holds", range).ms() * MS
    }

    fn client_asks(&mut self, person: usize, id: AskId, server: usize, ask: Ask, within: Span) {
        let client = &mut self.clients[person];
        let to = client.list[server % 2];
        let (want, ask) = match (ask, &client.proof) {
            (Ask::Checkout(number), _) => {
                if client.use_id.as_ref().is_none_or(|(known, _)| *known != number) {
                    let text = format!("use-{person}-{}-{number}", client.uses);
                    client.use_id = UseId::new(&text).ok().map(|use_id| (number, use_id));
                }
                let Some((_, use_id)) = client.use_id.clone() else { return };
                // One that has lost its seat waits as long as a server holds a request.
                let moment = client.clock.now(self.log.now).moment;
                let left = client.waits_until.map(|until| until.since(moment));
                let regains = client.waits_until.filter(|_| client.proof.is_some());
                let wait = regains.map(|_| Span::from_secs(30)).or(left);
                let ticket = client.ticket.as_ref().filter(|(known, _)| *known == number);
                let ticket = ticket.map(|(_, ticket)| ticket.clone());
                // What is lost is not borrowed again.
                let borrow = client.borrows.filter(|_| client.proof.is_none());
                let who = &self.ground.people[person];
                let ask = history::Ask::Checkout {
                    product: who.product.as_str().to_owned(),
                    user: who.user.as_str().to_owned(),
                    host: who.host.as_str().to_owned(),
                    usage: Some(use_id.as_str().to_owned()),
                    seats: 1,
                    wait_ms: wait.map(Span::ms),
                    borrow: borrow.is_some(),
                };
                (Want::Checkout { person, use_id, wait, borrow, ticket }, ask)
            }
            (Ask::Renew, Some(proof)) => {
                let (lease, usage) = named(proof);
                (Want::Renew(Box::new(proof.clone())), history::Ask::Renew { lease, usage })
            }
            (Ask::Release, Some(proof)) => {
                let (lease, usage) = named(proof);
                (Want::Release(Box::new(proof.clone())), history::Ask::Release { lease, usage })
            }
            (Ask::Renew | Ask::Release, None) => return,
        };
        self.send_request(person, to, Some(id), within.ms() * MS, want, ask);
    }

    fn send_request(
        &mut self,
        person: usize,
        to: Node,
        ask_id: Option<AskId>,
        within: Micros,
        want: Want,
        ask: history::Ask,
    ) {
        let number = self.log.asked(
            Arc::clone(&self.ground.names[person]),
            self.ground.servers[to].as_str(),
            ask,
        );
        let until = self.log.now + within;
        let is_held = matches!(&want, Want::Checkout { wait: Some(_), .. });
        let held_by = is_held.then_some(to);
        self.clients[person].open.push(Open { number, ask: ask_id, held_by, until });
        let request = Request { number, from: Party::Person(person), want };
        self.post(CLIENTS, to, Event::Request { to, request: Box::new(request) });
    }

    /// There will be no answer to a request.
    fn gone(&mut self, person: usize, open: Open) {
        self.lose_track(person, open);
        match open.ask {
            Some(id) => self.advise(person, Input::Unanswered(id), None),
            None => self.clients[person].is_learning = false,
        }
    }

    fn lose_track(&mut self, person: usize, open: Open) {
        let request = open.number;
        if let Some(to) = open.held_by {
            self.post(CLIENTS, to, Event::HangUp { to, number: request });
        }
        self.log.note(Arc::clone(&self.ground.names[person]), history::Event::Lost { request });
    }

    /// An answer has arrived.
    pub(super) fn client_hears(&mut self, person: usize, answer: Answer) {
        let client = &mut self.clients[person];
        if client.is_asleep {
            client.missed.push_back(answer);
            return;
        }
        // One that nobody waits for any more finds its connection closed.
        let place = client.open.iter().position(|open| open.number == answer.number);
        let Some(open) = place.map(|place| client.open.swap_remove(place)) else { return };
        self.log.trace(kind::HEARD, person as u64, answer.number);
        let Answer { number, from, said, .. } = answer;
        if matches!(said, Said::Gone) {
            self.gone(person, open);
            return self.look_ahead(person);
        }
        self.log.note(
            Arc::clone(&self.ground.names[person]),
            answered(&self.ground.servers, number, &said),
        );
        let client = &mut self.clients[person];
        let Some(id) = open.ask else {
            client.is_learning = false;
            if let Said::Timing(timing) = said {
                client.timing = timing;
                client.has_learned = true;
                self.advise(person, Input::Learned(timing), None);
            }
            return self.look_ahead(person);
        };
        let place = client.list.iter().position(|one| *one == from).unwrap_or(0);
        let meaning = said.meaning(1 - place);
        let is_unserved = matches!(&said, Said::Problem(problem) if problem.status == 503);
        if is_unserved && client.proof.is_none() && !client.is_learning && !client.has_learned {
            client.is_learning = true;
            let ask = history::Ask::Other { what: "GET /v1/config".into() };
            self.send_request(person, from, None, LEARNED_WITHIN, Want::Timing, ask);
        }
        let client = &mut self.clients[person];
        if let (Said::Queued(queued), Some((number, _))) = (&said, &client.use_id) {
            client.ticket = Some((*number, queued.ticket.clone()));
        }
        let given = match said {
            Said::Lease(given) => Some((from, given.proof())),
            _ => None,
        };
        self.advise(person, Input::Answered(id, meaning), given);
        self.look_ahead(person);
    }
}

fn named(proof: &Proof) -> (String, Option<String>) {
    (proof.token.lease.as_str().to_owned(), Some(proof.token.use_id.as_str().to_owned()))
}

/// An answer as a history has it.
pub(super) fn answered(
    servers: &[tandem::name::ServerName; 2],
    request: u64,
    said: &Said,
) -> history::Event {
    let lease = match said {
        Said::Lease(given) => {
            let held = &given.held;
            Some(Box::new(history::Lease {
                id: held.lease.id.as_str().to_owned(),
                usage: held.use_id.as_str().to_owned(),
                product: held.lease.product.as_str().to_owned(),
                seats: held.lease.seats().0,
                server: servers.get(given.server).map(ToString::to_string).unwrap_or_default(),
                epoch: held.epoch.0,
                ttl_ms: held.ttl.ms(),
                licenses: given.licenses.clone(),
                borrowed: held.borrowed_until.is_some(),
            }))
        }
        _ => None,
    };
    let code = match said {
        Said::Problem(problem) => Some(problem.code.as_str().to_owned()),
        _ => None,
    };
    history::Event::Answered(Answered { request, status: said.status(), code, lease, server: None })
}
