//! Which server a client asks next, and when: one seat's life as a state machine with no sockets and no clock.
//!
//! It knows servers by their place in the client's list, and answers by what they mean. Tokens, use ids and HTTP
//! are the shell's (`client`). Promise: a client believes in a lease ttl from when it *sent* the request, and in
//! nothing longer (pair.md, clock rules).

use std::collections::BTreeMap;

use crate::api::ProblemCode;
use crate::measure::{Moment, Span};

/// How long a server may hold a checkout before it answers (pair.md, rule 2), and some time for the way.
const HELD_MAX: Span = Span::from_secs(31);
/// Heartbeats without an answer after which the other servers are asked too.
const ANSWER_HEARTBEATS: u64 = 4;
/// Of a seat that was waited for, this part of its time must be left when it comes.
const LATE_PART: u64 = 3;
/// How long a lost seat that was refused waits before it is asked for again, at most.
const REGAIN_MAX: Span = Span::from_secs(30);

/// The pair's times, as far as a client goes by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Once a request failed, every server is asked once in this time.
    pub heartbeat: Span,
    /// How long a checkout is repeated while servers answer 503: twice `aloneAfter`.
    pub patience: Span,
}

impl Timing {
    /// The times of a pair with this heartbeat and this `aloneAfter` (pair.md, rule 2).
    #[must_use]
    pub const fn of_pair(heartbeat: Span, alone_after: Span) -> Self {
        Self { heartbeat, patience: alone_after.times(2) }
    }

    /// How long a server may take to answer what it answers at once.
    #[must_use]
    pub const fn answer_within(&self) -> Span {
        self.heartbeat.times(ANSWER_HEARTBEATS)
    }
}

impl Default for Timing {
    /// The times of a pair whose manifest says nothing of them.
    fn default() -> Self {
        Self::of_pair(Span::from_ms(500), Span::from_secs(3).times(2).with_drift())
    }
}

/// The number of a request: each is answered, or not, by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// What a server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Seats, for the client's use of this number: the same number is the same `use` id.
    Checkout(u64),
    /// To keep the lease, by its token.
    Renew,
    /// To end this use of the lease, by its token.
    Release,
}

/// What an answer means for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The lease is given, or given again, for so long from when the request was sent.
    Lease {
        /// The lease's ttl.
        ttl: Span,
    },
    /// No seat is free yet, and the client has a place in the queue: to ask again after so long.
    Queued {
        /// After how long.
        retry_after: Span,
    },
    /// The use has ended.
    Released,
    /// The server does not serve now; where it knows which one does, that one's place in the list.
    NotNow {
        /// The server that it names.
        ask: Option<usize>,
    },
    /// The use, or the lease, has ended.
    UnknownLease,
    /// The server judged and said no.
    Refused,
}

impl Answer {
    /// What a problem means, by its status and code; `ask` is the server that a standby named.
    #[must_use]
    pub const fn of_problem(status: u16, code: ProblemCode, ask: Option<usize>) -> Self {
        match (code, status) {
            (ProblemCode::UnknownLease, _) => Self::UnknownLease,
            // A token that this server cannot prove may be good at the other one.
            (
                ProblemCode::Unauthenticated
                | ProblemCode::TooManyRequests
                | ProblemCode::TooManyWaiting,
                _,
            )
            | (_, 500..) => Self::NotNow { ask },
            _ => Self::Refused,
        }
    }
}

/// What a client is told. Each variant has already happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A server answered.
    Answered(AskId, Answer),
    /// No connection, a broken one, or no answer in time.
    Unanswered(AskId),
    /// The seat is needed no more.
    Release,
    /// The pair's times were learned.
    Learned(Timing),
    /// The moment of [`Failover::deadline`] has come.
    Deadline,
}

/// What a client wants done, in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a request; tell [`Input::Unanswered`] when there is no answer in time.
    Ask {
        /// The request's number.
        id: AskId,
        /// The server's place in the list.
        server: usize,
        /// What to ask for.
        ask: Ask,
        /// How long to wait for the answer.
        within: Span,
    },
    /// The answer just told gives the lease: its token is the one to present from now on.
    Held {
        /// Until when the client believes in it.
        until: Moment,
    },
    /// The seat is held no more. It is asked for again.
    Lost(Loss),
    /// It is over; nothing more is asked.
    Ended(Outcome),
}

/// How a seat was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// No server renewed it in time.
    Expired,
    /// A server refused to renew it, in the answer just told.
    Refused,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The use was released.
    Released,
    /// No server could be told of the release: the lease lives on until its time runs out.
    NotReleased,
    /// The checkout was refused, in the answer just told.
    Refused,
    /// No seat became free in the time that the client waits.
    Waited,
    /// Servers answered, but none served in time.
    Unserved,
    /// No server could be reached.
    Unreachable,
}

/// One seat, from wanting it to having given it back.
#[derive(Clone, Debug)]
pub struct Failover {
    timing: Timing,
    servers: usize,
    /// The server that answered last.
    current: usize,
    phase: Phase,
    /// The use that is asked for: the next one when a use has ended.
    use_number: u64,
    asks: BTreeMap<AskId, Sent>,
    next_id: u64,
    /// Whose turn it is to be asked next, and when.
    turn: Option<Turn>,
    /// Until when it waits for a seat where none is free; nothing where it does not wait.
    waits_until: Option<Moment>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Wanting(Wanting),
    Holding(Holding),
    /// It is not wanted any more, and a server may give it yet: that is given back too.
    Leaving {
        until: Moment,
    },
    Releasing {
        until: Moment,
    },
    Ended,
}

#[derive(Clone, Copy, Debug)]
struct Wanting {
    since: Moment,
    /// Whether the seat was held before: then it is wanted until it is released.
    is_regaining: bool,
    has_answer: bool,
    /// Whether the last answer gave a place in the queue.
    is_queued: bool,
    /// How many requests had no answer.
    unanswered: u64,
}

#[derive(Clone, Copy, Debug)]
struct Holding {
    sent: Moment,
    until: Moment,
    /// Nothing once this renewal was sent.
    renew_at: Option<Moment>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    server: usize,
    ask: Ask,
    at: Moment,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    at: Moment,
    server: usize,
    /// Whether a request failed: before, this is only for when the one that is asked stays silent.
    is_begun: bool,
}

impl Failover {
    /// A client that wants a seat from one of `servers` (at least one), and its first request.
    #[must_use]
    pub fn start(now: Moment, servers: usize, timing: Timing, effects: &mut Vec<Effect>) -> Self {
        Self::start_at(now, servers, 0, timing, effects)
    }

    /// The same, beginning with the server that answered last time.
    #[must_use]
    pub fn start_at(
        now: Moment,
        servers: usize,
        first: usize,
        timing: Timing,
        effects: &mut Vec<Effect>,
    ) -> Self {
        let servers = servers.max(1);
        let wanting = Wanting {
            since: now,
            is_regaining: false,
            has_answer: false,
            is_queued: false,
            unanswered: 0,
        };
        let mut this = Self {
            timing,
            servers,
            current: first % servers,
            phase: Phase::Wanting(wanting),
            use_number: 0,
            asks: BTreeMap::new(),
            next_id: 0,
            turn: None,
            waits_until: None,
        };
        this.ask_current(now, effects);
        this
    }

    /// The same, waiting so long for a seat where none is free. Its requests are held by the server that serves.
    #[must_use]
    pub fn waiting(mut self, now: Moment, wait: Span) -> Self {
        self.waits_until = Some(now + wait);
        self
    }

    /// A client that gives back a seat that it holds until then, and its first request.
    #[must_use]
    pub fn release(
        now: Moment,
        servers: usize,
        until: Moment,
        timing: Timing,
        effects: &mut Vec<Effect>,
    ) -> Self {
        let mut this = Self::start(now, servers, timing, &mut Vec::new());
        this.asks.clear();
        this.turn = None;
        this.phase = Phase::Releasing { until: until.min(now + timing.patience) };
        this.ask_current(now, effects);
        this
    }

    /// The server that is asked first: the one that answered last.
    #[must_use]
    pub const fn current(&self) -> usize {
        self.current
    }

    /// Until when the client believes that it holds the seat; nothing when it does not.
    #[must_use]
    pub const fn held_until(&self) -> Option<Moment> {
        match self.phase {
            Phase::Holding(Holding { until, .. }) => Some(until),
            _ => None,
        }
    }

    /// Whether nothing more will be asked.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// When to tell [`Input::Deadline`] next.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let own = match self.phase {
            Phase::Wanting(wanting) => self.give_up_at(&wanting).filter(|_| self.asks.is_empty()),
            Phase::Holding(holding) => {
                Some(holding.renew_at.map_or(holding.until, |at| at.min(holding.until)))
            }
            Phase::Leaving { until } | Phase::Releasing { until } => Some(until),
            Phase::Ended => return None,
        };
        own.into_iter().chain(self.turn.map(|turn| turn.at)).min()
    }

    /// Takes what happened, and orders what to do.
    pub fn handle(&mut self, now: Moment, input: Input, effects: &mut Vec<Effect>) {
        self.run_out(now, effects);
        match input {
            Input::Answered(id, answer) => {
                if let Some(sent) = self.asks.remove(&id) {
                    self.answered(now, sent, answer, effects);
                }
            }
            Input::Unanswered(id) => {
                if let Some(sent) = self.asks.remove(&id) {
                    if let Phase::Wanting(wanting) = &mut self.phase {
                        wanting.unanswered += 1;
                    }
                    self.failed(now, sent, None, effects);
                }
            }
            Input::Release => self.give_back(now, effects),
            Input::Learned(timing) => self.timing = timing,
            Input::Deadline => {}
        }
        self.due(now, effects);
    }

    /// Ends what has run out, before anything that comes later can revive it.
    fn run_out(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Holding(holding) if now >= holding.until => {
                self.lose(now, Loss::Expired, effects);
            }
            Phase::Leaving { until } | Phase::Releasing { until } if now >= until => {
                self.end(Outcome::NotReleased, effects);
            }
            _ => {}
        }
    }

    fn answered(&mut self, now: Moment, sent: Sent, answer: Answer, effects: &mut Vec<Effect>) {
        if let Phase::Wanting(wanting) = &mut self.phase {
            wanting.has_answer = true;
        }
        match (sent.ask, answer) {
            (Ask::Checkout(number), Answer::Queued { retry_after }) => {
                self.queued(now, sent, number, retry_after);
            }
            (_, Answer::NotNow { ask }) => self.failed(now, sent, ask, effects),
            (Ask::Release, Answer::Released | Answer::UnknownLease) => {
                self.current = sent.server;
                if matches!(self.phase, Phase::Releasing { .. }) {
                    self.end(Outcome::Released, effects);
                }
            }
            (Ask::Checkout(_) | Ask::Renew, Answer::Lease { ttl }) => {
                self.current = sent.server;
                self.given(now, sent, ttl, effects);
            }
            (Ask::Checkout(number), Answer::UnknownLease) => {
                self.current = sent.server;
                if number == self.use_number && matches!(self.phase, Phase::Wanting(_)) {
                    self.use_number += 1;
                    let at = now + self.pace();
                    self.turn = Some(Turn { at, server: sent.server, is_begun: true });
                }
            }
            (Ask::Checkout(_), Answer::Refused) => self.refused(now, sent, effects),
            (Ask::Renew, Answer::UnknownLease | Answer::Refused) => {
                if matches!(self.phase, Phase::Holding(holding) if sent.at >= holding.sent) {
                    self.current = sent.server;
                    self.use_number += 1;
                    self.lose(now, Loss::Refused, effects);
                }
            }
            // A release that is refused, or an answer to another question.
            _ => self.failed(now, sent, None, effects),
        }
    }

    /// A lease was given: believed in from when it was asked for, if that is not over.
    fn given(&mut self, now: Moment, sent: Sent, ttl: Span, effects: &mut Vec<Effect>) {
        let until = sent.at + ttl;
        let is_wanted = match (self.phase, sent.ask) {
            (Phase::Wanting(_) | Phase::Leaving { .. }, Ask::Checkout(number)) => {
                number == self.use_number
            }
            (Phase::Holding(holding), Ask::Checkout(number)) => {
                number == self.use_number && sent.at >= holding.sent
            }
            (Phase::Holding(holding), Ask::Renew) => sent.at >= holding.sent,
            _ => false,
        };
        if !is_wanted {
            return;
        }
        // One whose request was held for long is nearly over for this client: asked for again, it begins anew.
        let is_late = self.waits_until.is_some() && until.since(now) < ttl.part(LATE_PART);
        if is_late && matches!(self.phase, Phase::Wanting(_)) {
            return self.ask_current(now, effects);
        }
        if now >= until {
            return self.failed(now, sent, None, effects);
        }
        let is_left = matches!(self.phase, Phase::Leaving { .. });
        let renew_at = Some((sent.at + ttl.part(3)).max(now + self.pace()));
        self.phase = Phase::Holding(Holding { sent: sent.at, until, renew_at });
        self.turn = None;
        effects.push(Effect::Held { until });
        if is_left {
            self.give_back(now, effects);
        }
    }

    /// A place in the queue was given, or kept: the same server is asked again.
    fn queued(&mut self, now: Moment, sent: Sent, number: u64, retry_after: Span) {
        if let Phase::Wanting(wanting) = &mut self.phase
            && number == self.use_number
        {
            wanting.is_queued = true;
            self.current = sent.server;
            let at = now + retry_after.max(Span::from_ms(1));
            self.turn = Some(Turn { at, server: sent.server, is_begun: true });
        }
    }

    fn refused(&mut self, now: Moment, sent: Sent, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Wanting(wanting) if wanting.is_regaining => {
                self.current = sent.server;
                let at = now + REGAIN_MAX.min(self.timing.patience);
                self.turn = Some(Turn { at, server: sent.server, is_begun: true });
            }
            Phase::Wanting(_) => {
                self.current = sent.server;
                self.end(Outcome::Refused, effects);
            }
            _ => {}
        }
    }

    fn lose(&mut self, now: Moment, loss: Loss, effects: &mut Vec<Effect>) {
        let wanting = Wanting {
            since: now,
            is_regaining: true,
            has_answer: true,
            is_queued: false,
            unanswered: 0,
        };
        self.phase = Phase::Wanting(wanting);
        effects.push(Effect::Lost(loss));
        self.ask_current(now, effects);
    }

    fn give_back(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Holding(holding) => {
                let until = holding.until.min(now + self.timing.patience);
                self.phase = Phase::Releasing { until };
                self.turn = None;
                self.ask_current(now, effects);
            }
            Phase::Wanting(_) => {
                self.phase = Phase::Leaving { until: now + self.timing.answer_within() };
                self.turn = None;
            }
            Phase::Leaving { .. } | Phase::Releasing { .. } | Phase::Ended => {}
        }
    }

    fn end(&mut self, outcome: Outcome, effects: &mut Vec<Effect>) {
        self.phase = Phase::Ended;
        self.asks.clear();
        self.turn = None;
        effects.push(Effect::Ended(outcome));
    }

    /// A server did not give what it was asked for: the others are asked, in turn. One that it names is asked at
    /// once, but only the first time, or two servers that name each other would be asked without pause.
    fn failed(&mut self, now: Moment, sent: Sent, named: Option<usize>, effects: &mut Vec<Effect>) {
        let is_begun = self.turn.is_some_and(|turn| turn.is_begun);
        if is_begun || self.question() != Some(sent.ask) {
            return;
        }
        if let Some(server) = named.filter(|&server| server < self.servers && server != sent.server)
        {
            self.ask(now, server, effects);
        }
        let server = self.after(sent.server);
        let is_asked = self.is_asked(server) || server == sent.server;
        let wait = if is_asked { self.round() } else { Span::ZERO };
        self.turn = Some(Turn { at: now + wait, server, is_begun: true });
    }

    /// Does what is due by now.
    fn due(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if let Phase::Holding(holding) = &mut self.phase
            && holding.renew_at.is_some_and(|at| now >= at)
        {
            holding.renew_at = None;
            self.ask_current(now, effects);
        }
        if let Phase::Wanting(wanting) = self.phase
            && self.give_up_at(&wanting).is_some_and(|at| now >= at)
        {
            // A server that holds the request may yet answer; nobody new is asked.
            self.turn = None;
            if self.asks.is_empty() {
                let outcome = match wanting {
                    Wanting { is_queued: true, .. } => Outcome::Waited,
                    Wanting { has_answer: true, .. } => Outcome::Unserved,
                    _ => Outcome::Unreachable,
                };
                self.end(outcome, effects);
            }
        }
        if matches!(self.phase, Phase::Leaving { .. }) {
            let asked = Ask::Checkout(self.use_number);
            if self.asks.values().all(|sent| sent.ask != asked) {
                self.end(Outcome::NotReleased, effects);
            }
        }
        if let Some(turn) = self.turn.filter(|turn| now >= turn.at) {
            self.ask(now, turn.server, effects);
            let server = self.after(turn.server);
            self.turn = Some(Turn { at: now + self.round(), server, is_begun: true });
        }
    }

    /// When a checkout is given up: at once after some rounds where nobody answers, late where somebody does.
    fn give_up_at(&self, wanting: &Wanting) -> Option<Moment> {
        let rounds = ANSWER_HEARTBEATS * u64::try_from(self.servers).unwrap_or(u64::MAX);
        let is_silent = !wanting.has_answer && wanting.unanswered >= rounds;
        let patience = if is_silent { Span::ZERO } else { self.timing.patience };
        let at = wanting.since + patience;
        // A place in the queue, or the hope for one, is worth the whole wait.
        let waits = self.waits_until.filter(|_| !is_silent).map_or(at, |until| until.max(at));
        let at = if wanting.is_queued { self.waits_until.unwrap_or(at) } else { waits };
        (!wanting.is_regaining).then_some(at)
    }

    /// What is asked for in this phase.
    const fn question(&self) -> Option<Ask> {
        match self.phase {
            Phase::Wanting(_) => Some(Ask::Checkout(self.use_number)),
            Phase::Holding(_) => Some(Ask::Renew),
            Phase::Releasing { .. } => Some(Ask::Release),
            Phase::Leaving { .. } | Phase::Ended => None,
        }
    }

    /// Asks the server that answered last, and prepares to ask the others if it stays silent.
    fn ask_current(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        self.ask(now, self.current, effects);
        if self.turn.is_none_or(|turn| !turn.is_begun) {
            let at = now + self.timing.answer_within();
            self.turn = Some(Turn { at, server: self.after(self.current), is_begun: false });
        }
    }

    fn ask(&mut self, now: Moment, server: usize, effects: &mut Vec<Effect>) {
        let Some(ask) = self.question().filter(|_| !self.is_asked(server)) else { return };
        let within = match ask {
            Ask::Checkout(_) => HELD_MAX,
            Ask::Renew | Ask::Release => self.timing.answer_within(),
        };
        let id = AskId(self.next_id);
        self.next_id += 1;
        self.asks.insert(id, Sent { server, ask, at: now });
        effects.push(Effect::Ask { id, server, ask, within });
    }

    /// Whether this server still owes an answer to the present question.
    fn is_asked(&self, server: usize) -> bool {
        let question = self.question();
        self.asks.values().any(|sent| sent.server == server && question == Some(sent.ask))
    }

    const fn after(&self, server: usize) -> usize {
        (server + 1) % self.servers
    }

    /// The same for a client whose request is held on purpose: the others are asked seldom, to notice in time that
    /// one of them serves now.
    fn round(&self) -> Span {
        match self.phase {
            Phase::Wanting(_) if self.waits_until.is_some() => self.timing.heartbeat.times(2),
            _ => self.pace(),
        }
    }

    /// The time from one server's turn to the next one's: each is asked once a heartbeat.
    fn pace(&self) -> Span {
        self.timing.heartbeat.part(u64::try_from(self.servers).unwrap_or(1)).max(Span::from_ms(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A client and its servers as a script: what happens to it is called, what it does is written down.
    struct Script {
        client: Failover,
        now: Moment,
        open: Vec<(AskId, usize, Ask)>,
        log: Vec<String>,
    }

    const TTL: Span = Span::from_secs(300);

    impl Script {
        fn start(servers: usize) -> Self {
            let mut effects = Vec::new();
            let now = Moment::from_ms(0);
            let client = Failover::start(now, servers, Timing::default(), &mut effects);
            let mut this = Self { client, now, open: Vec::new(), log: Vec::new() };
            this.note(effects);
            this
        }

        fn note(&mut self, effects: Vec<Effect>) {
            for effect in effects {
                let said = match effect {
                    Effect::Ask { id, server, ask, .. } => {
                        self.open.push((id, server, ask));
                        format!("ask {server} {ask:?}")
                    }
                    Effect::Held { until } => format!("held until {}ms", until.ms()),
                    Effect::Lost(loss) => format!("lost: {loss:?}"),
                    Effect::Ended(outcome) => format!("ended: {outcome:?}"),
                };
                self.log.push(format!("{}ms {said}", self.now.ms()));
            }
        }

        fn tell(&mut self, input: Input) -> &mut Self {
            let mut effects = Vec::new();
            self.client.handle(self.now, input, &mut effects);
            self.note(effects);
            self
        }

        /// The oldest open request at a server.
        fn asked(&mut self, server: usize) -> AskId {
            let at = self.open.iter().position(|one| one.1 == server).expect("an open request");
            self.open.remove(at).0
        }

        fn answers(&mut self, server: usize, answer: Answer) -> &mut Self {
            let id = self.asked(server);
            self.tell(Input::Answered(id, answer))
        }

        fn gives(&mut self, server: usize) -> &mut Self {
            self.answers(server, Answer::Lease { ttl: TTL })
        }

        fn stands_by(&mut self, server: usize, named: usize) -> &mut Self {
            self.answers(server, Answer::NotNow { ask: Some(named) })
        }

        fn is_gone(&mut self, server: usize) -> &mut Self {
            let id = self.asked(server);
            self.tell(Input::Unanswered(id))
        }

        /// Lets time pass; the servers in `dead` refuse every connection, the others stay silent.
        fn wait(&mut self, span: Span, dead: &[usize]) -> &mut Self {
            let end = self.now + span;
            loop {
                while let Some(server) =
                    dead.iter().copied().find(|server| self.open.iter().any(|one| one.1 == *server))
                {
                    self.is_gone(server);
                }
                match self.client.deadline() {
                    Some(at) if at <= end => {
                        self.now = at.max(self.now);
                        self.tell(Input::Deadline);
                    }
                    _ => break,
                }
            }
            self.now = end;
            self
        }

        fn log(&mut self) -> String {
            std::mem::take(&mut self.log).join("\n")
        }
    }

    #[test]
    fn the_server_that_answered_last_is_asked_to_renew_after_a_third_of_the_ttl() {
        let mut script = Script::start(2);
        script.stands_by(0, 1).gives(1).wait(Span::from_secs(100), &[]).gives(1);
        insta::assert_snapshot!(script.log(), @r"
        0ms ask 0 Checkout(0)
        0ms ask 1 Checkout(0)
        0ms held until 300000ms
        100000ms ask 1 Renew
        100000ms held until 400000ms
        ");
    }

    #[test]
    fn a_renewal_that_failed_is_tried_at_both_in_turn_every_heartbeat() {
        let mut script = Script::start(2);
        script.gives(0).wait(Span::from_secs(100), &[]).log();
        script.is_gone(0).stands_by(1, 0);
        script.wait(Span::from_ms(1100), &[0]).stands_by(1, 0).wait(Span::from_ms(900), &[0]);
        script.gives(1);
        insta::assert_snapshot!(script.log(), @r"
        100000ms ask 1 Renew
        100250ms ask 0 Renew
        100500ms ask 1 Renew
        100750ms ask 0 Renew
        101250ms ask 0 Renew
        101500ms ask 1 Renew
        101750ms ask 0 Renew
        102000ms held until 401500ms
        ");
    }

    #[test]
    fn a_lease_is_believed_in_ttl_from_when_it_was_asked_for_and_no_reply_revives_it() {
        let mut script = Script::start(2);
        script.wait(Span::from_ms(700), &[]).gives(0);
        assert_eq!(script.client.held_until(), Some(Moment::from_ms(300_000)));
        script.wait(Span::from_secs(299), &[1]);
        let late = script.open.iter().find(|one| one.2 == Ask::Renew).expect("a renewal").0;
        script.wait(Span::from_secs(2), &[1]).log();
        script.tell(Input::Answered(late, Answer::Lease { ttl: TTL }));
        assert_eq!(script.client.held_until(), None);
        assert_eq!(script.log(), "");
    }

    #[test]
    fn an_answer_that_comes_after_the_end_of_its_own_lease_gives_nothing() {
        let mut script = Script::start(1);
        script.now = Moment::from_ms(300_000);
        script.gives(0);
        assert_eq!(script.client.held_until(), None);
    }

    #[test]
    fn a_lost_seat_is_asked_for_again_with_the_same_use_until_a_server_says_that_it_ended() {
        let mut script = Script::start(2);
        script.gives(0).wait(Span::from_secs(100), &[]).is_gone(0).is_gone(1);
        script.wait(Span::from_ms(199_900), &[0, 1]).log();
        script.wait(Span::from_ms(200), &[]);
        script.answers(0, Answer::UnknownLease).wait(Span::from_ms(300), &[]).gives(0);
        insta::assert_snapshot!(script.log(), @r"
        300000ms lost: Expired
        300000ms ask 0 Checkout(0)
        300000ms ask 1 Checkout(0)
        300350ms ask 0 Checkout(1)
        300400ms held until 600350ms
        ");
    }

    #[test]
    fn a_revoked_seat_is_lost_at_once_and_asked_for_again_with_patience() {
        let mut script = Script::start(2);
        script.gives(0).wait(Span::from_secs(100), &[]).log();
        script.answers(0, Answer::Refused).answers(0, Answer::Refused);
        script.wait(Span::from_secs(13), &[]).gives(0);
        insta::assert_snapshot!(script.log(), @r"
        100000ms lost: Refused
        100000ms ask 0 Checkout(1)
        112360ms ask 0 Checkout(1)
        112610ms ask 1 Checkout(1)
        113000ms held until 412360ms
        ");
    }

    #[test]
    fn a_checkout_waits_twice_alone_after_for_a_server_that_serves() {
        let mut script = Script::start(2);
        for _ in 0..100 {
            if script.client.is_ended() {
                break;
            }
            script.wait(Span::from_ms(250), &[0]);
            if script.open.iter().any(|one| one.1 == 1) {
                script.stands_by(1, 0);
            }
        }
        let log = script.log();
        assert_eq!(log.lines().last(), Some("12360ms ended: Unserved"), "{log}");
    }

    #[test]
    fn servers_that_nobody_can_reach_are_not_waited_for_long() {
        let mut script = Script::start(2);
        script.wait(Span::from_secs(60), &[0, 1]);
        let log = script.log();
        assert_eq!(log.lines().last(), Some("1500ms ended: Unreachable"), "{log}");
    }

    #[test]
    fn a_refusal_ends_a_checkout_at_once() {
        let mut script = Script::start(2);
        script.answers(0, Answer::Refused);
        assert_eq!(script.log(), "0ms ask 0 Checkout(0)\n0ms ended: Refused");
    }

    #[test]
    fn a_server_that_holds_the_request_is_waited_for_while_the_other_is_asked() {
        let mut script = Script::start(2);
        script.wait(Span::from_secs(2), &[]).stands_by(1, 0).wait(Span::from_secs(20), &[1]);
        script.gives(0);
        let log = script.log();
        assert_eq!(log.lines().last(), Some("22000ms held until 300000ms"), "{log}");
    }

    #[test]
    fn a_release_is_tried_at_both_and_given_up_after_a_while() {
        let mut script = Script::start(2);
        script.gives(0).tell(Input::Release).is_gone(0).answers(1, Answer::Released);
        insta::assert_snapshot!(script.log(), @r"
        0ms ask 0 Checkout(0)
        0ms held until 300000ms
        0ms ask 0 Release
        0ms ask 1 Release
        0ms ended: Released
        ");
        let mut script = Script::start(2);
        script.gives(0).tell(Input::Release).wait(Span::from_secs(60), &[0, 1]);
        let log = script.log();
        assert_eq!(log.lines().last(), Some("12360ms ended: NotReleased"), "{log}");
    }

    #[test]
    fn a_seat_that_is_given_to_who_wants_it_no_more_is_given_back() {
        let mut script = Script::start(2);
        script.gives(0).wait(Span::from_secs(100), &[]).answers(0, Answer::Refused);
        script.tell(Input::Release).gives(0).answers(0, Answer::Released);
        insta::assert_snapshot!(script.log(), @r"
        0ms ask 0 Checkout(0)
        0ms held until 300000ms
        100000ms ask 0 Renew
        100000ms lost: Refused
        100000ms ask 0 Checkout(1)
        100000ms held until 400000ms
        100000ms ask 0 Release
        100000ms ended: Released
        ");
        let mut script = Script::start(2);
        script.tell(Input::Release).is_gone(0);
        assert_eq!(script.log(), "0ms ask 0 Checkout(0)\n0ms ended: NotReleased");
        let mut script = Script::start(2);
        script.tell(Input::Release).wait(Span::from_secs(60), &[]);
        let log = script.log();
        assert_eq!(log.lines().last(), Some("2000ms ended: NotReleased"), "{log}");
    }

    impl Script {
        /// A client that waits so long for its seat.
        fn waiting(servers: usize, wait: Span) -> Self {
            let mut this = Self::start(servers);
            this.client = this.client.clone().waiting(this.now, wait);
            this
        }

        fn queues(&mut self, server: usize) -> &mut Self {
            self.answers(server, Answer::Queued { retry_after: Span::from_ms(500) })
        }
    }

    #[test]
    fn who_has_a_place_asks_the_same_server_again_until_it_is_served() {
        let mut script = Script::waiting(2, Span::from_secs(600));
        // The first request is held; the other server is asked now and then, and stands by.
        script.wait(Span::from_secs(3), &[]).stands_by(1, 0).wait(Span::from_secs(27), &[1]);
        script.log();
        script.queues(0).wait(Span::from_ms(600), &[1]).gives(0);
        insta::assert_snapshot!(script.log(), @r"
        30500ms ask 0 Checkout(0)
        30600ms held until 330500ms
        ");
    }

    #[test]
    fn a_seat_that_comes_late_is_asked_for_again_before_it_is_used() {
        let mut script = Script::waiting(1, Span::from_secs(600));
        script.wait(Span::from_secs(250), &[]).gives(0).wait(Span::from_ms(10), &[]).gives(0);
        insta::assert_snapshot!(script.log(), @r"
        0ms ask 0 Checkout(0)
        250000ms ask 0 Checkout(0)
        250010ms held until 550000ms
        ");
    }

    #[test]
    fn a_wait_that_is_over_ends_with_the_place() {
        let mut script = Script::waiting(1, Span::from_secs(20));
        script.wait(Span::from_secs(20), &[]).queues(0);
        let log = script.log();
        assert_eq!(log.lines().last(), Some("20000ms ended: Waited"), "{log}");
    }

    #[test]
    fn who_waits_comes_to_the_other_server_soon_after_it_serves() {
        let mut script = Script::waiting(2, Span::from_secs(600));
        script.queues(0).wait(Span::from_secs(5), &[]);
        script.log();
        // The server is silent from now on; the other one is asked within two seconds.
        script.wait(Span::from_secs(2), &[]);
        let asked = script.open.iter().filter(|one| one.1 == 1).count();
        assert_eq!(asked, 1);
        script.queues(1).wait(Span::from_secs(1), &[]).gives(1);
        assert!(script.client.held_until().is_some());
    }

    #[test]
    fn two_standbys_that_name_each_other_are_not_asked_without_pause() {
        let mut script = Script::start(2);
        for _ in 0..1000 {
            while let Some(&(_, server, _)) = script.open.first() {
                script.stands_by(server, 1 - server);
            }
            script.wait(Span::from_ms(10), &[]);
        }
        // In ten seconds: each once a heartbeat.
        let count = script.log().lines().count();
        assert!(count <= 2 * 20 + 4, "{count}");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wait(u64),
        Answer(usize, u64),
        NotNow(usize, Option<usize>),
        Unknown(usize),
        Refused(usize),
        Gone(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1_u64..4_000).prop_map(Step::Wait),
            1 => (10_000_u64..200_000).prop_map(Step::Wait),
            3 => (0_usize..8, 1_u64..400_000).prop_map(|(at, ttl)| Step::Answer(at, ttl)),
            2 => (0_usize..8, prop::option::of(0_usize..3)).prop_map(|(at, to)| Step::NotNow(at, to)),
            1 => (0_usize..8).prop_map(Step::Unknown),
            1 => (0_usize..8).prop_map(Step::Refused),
            3 => (0_usize..8).prop_map(Step::Gone),
        ]
    }

    proptest! {
        #[test]
        fn the_client_never_believes_longer_than_ttl_from_sending(
            steps in prop::collection::vec(step(), 1..200), servers in 1_usize..4,
        ) {
            let mut script = Script::start(servers);
            let mut sent: BTreeMap<AskId, (usize, Ask, Moment)> = BTreeMap::new();
            // The ends of the leases that were given in answers, counted from their requests.
            let mut given: Vec<Moment> = Vec::new();
            for step in steps {
                for (id, server, ask) in &script.open {
                    sent.entry(*id).or_insert((*server, *ask, script.now));
                }
                let nth = |at: usize, script: &Script| {
                    (!script.open.is_empty()).then(|| at % script.open.len())
                };
                let (at, input) = match step {
                    Step::Wait(ms) => {
                        script.now = script.now + Span::from_ms(ms);
                        (None, Some(Input::Deadline))
                    }
                    Step::Answer(at, ttl) => {
                        let at = nth(at, &script);
                        let open = at.and_then(|at| script.open.get(at));
                        let input = open.map(|(id, _, ask)| match ask {
                            Ask::Release => Input::Answered(*id, Answer::Released),
                            _ => {
                                given.push(sent[id].2 + Span::from_ms(ttl));
                                Input::Answered(*id, Answer::Lease { ttl: Span::from_ms(ttl) })
                            }
                        });
                        (at, input)
                    }
                    Step::NotNow(at, ask) => {
                        let at = nth(at, &script);
                        (at, at.map(|at| Input::Answered(script.open[at].0, Answer::NotNow { ask })))
                    }
                    Step::Unknown(at) => {
                        let at = nth(at, &script);
                        (at, at.map(|at| Input::Answered(script.open[at].0, Answer::UnknownLease)))
                    }
                    Step::Refused(at) => {
                        let at = nth(at, &script);
                        (at, at.map(|at| Input::Answered(script.open[at].0, Answer::Refused)))
                    }
                    Step::Gone(at) => {
                        let at = nth(at, &script);
                        (at, at.map(|at| Input::Unanswered(script.open[at].0)))
                    }
                };
                if let Some(at) = at {
                    script.open.remove(at);
                }
                let Some(input) = input else { continue };
                let before = script.open.len();
                script.tell(input);
                let now = script.now;
                if let Some(until) = script.client.held_until() {
                    prop_assert!(until > now);
                    prop_assert!(given.contains(&until), "believes until {until:?} of {given:?}");
                }
                for (_, _, ask) in script.open.iter().skip(before) {
                    // What has ended is not renewed.
                    prop_assert!(*ask != Ask::Renew || script.client.held_until().is_some());
                }
                for (at, one) in script.open.iter().enumerate() {
                    let twice = script.open.iter().skip(at + 1).any(|two| (one.1, one.2) == (two.1, two.2));
                    prop_assert!(!twice, "asked twice: {one:?}");
                }
                if script.client.is_ended() {
                    break;
                }
                prop_assert!(script.client.deadline().is_some() || !script.open.is_empty());
            }
        }

        #[test]
        fn after_a_failed_renewal_every_server_is_asked_within_one_heartbeat(
            servers in 1_usize..5, failing in prop::collection::vec(0_usize..3, 1..40),
        ) {
            let mut script = Script::start(servers);
            script.gives(0).wait(Span::from_secs(100), &[]);
            let heartbeat = Timing::default().heartbeat;
            for how in failing {
                let Some(&(_, server, _)) = script.open.first() else { break };
                script.log();
                match how {
                    0 => script.is_gone(server),
                    1 => script.answers(server, Answer::NotNow { ask: None }),
                    _ => script.stands_by(server, (server + 1) % servers),
                };
                script.wait(heartbeat, &[]);
                for server in 0..servers {
                    prop_assert!(script.open.iter().any(|one| one.1 == server), "{server}: {}", script.log());
                }
            }
        }
    }
}
