//! The pair as one server sees it: a state machine with no sockets, no clock, no disk.
//!
//! It is told what has happened ([`Input`]) and at what time, and gives out what is to be done ([`Effect`]) and one
//! next deadline. `server/driver.rs` and the simulation drive the same code. The promises and the protocol are in
//! docs/concepts/pair.md; rules named here by number are its rules.

mod active;
mod borrow;
mod command;
mod config;
mod conflict;
mod dialing;
mod digest;
mod escrow;
mod frame;
mod half_dead;
mod heal;
mod io;
mod lead;
mod phase;
mod queue;
mod reopen;
mod roles;
mod standby;
mod status;
mod tell;
mod timer;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use command::{Command, Commit, Held, Nonce, Queued, Refusal, Reply, Wait};
pub use conflict::HeldBundle;
pub use dialing::{Dialing, SHAKEN_WITHIN, YOUNG};
pub use frame::{Frame, Heartbeat, Hello, State};
pub use io::{Committed, Durable, Effect, Event, Facts, Input, Standing, Ticket, Write, WriteId};
pub use lead::Lead;
pub use reopen::{REOPEN_AFTER, Reopening};
pub use status::{PairStatus, PeerStatus, ProductStatus};
pub use tell::{Details, Given};

use phase::{Committing, Link, Next, Peering, Phase, Waiting};
use queue::Asking;

use crate::bundle::Config;
pub use crate::ledger::{Checkout, Token};
use crate::ledger::{Ledger, Position, Terms};
use crate::manifest::types::{Redundancy, Role, Server};
use crate::measure::{Epoch, Generation, Moment, Now, Span};
use crate::name::{LeaseId, ProductName, PublicKey, ServerName, UseId};
use crate::statement::{Keyring, SignedStatement};

/// One server of a pair.
#[derive(Clone, Debug)]
pub struct Pair {
    me: ServerName,
    trust: Keyring,
    facts: Facts,
    committed: Option<Committed>,
    config: Option<Arc<Config>>,
    ledger: Ledger,
    phase: Phase,
    link: Option<Link>,
    /// Counts connections: what was begun on an earlier one is void.
    link_count: u64,
    /// The last write that was ordered.
    written: WriteId,
    /// The last write that is known to be durable.
    durable: WriteId,
    /// The writes that are not durable yet, each with when it was ordered.
    writing: VecDeque<(WriteId, Moment)>,
    next: VecDeque<(WriteId, Next)>,
    waiting: VecDeque<Waiting>,
    /// The clients who wait for seats and ask now, by use.
    asking: BTreeMap<UseId, Asking>,
    /// Before when nobody who waits is served: holders of places return to a server that has just begun to serve.
    queue_opens: Option<Moment>,
    /// The last record of this epoch that the peer has made durable.
    durable_at_peer: u64,
    /// The writes that carry records and are not known to be durable, with the position of the record.
    recorded: VecDeque<(WriteId, Position)>,
    /// The last record that is durable here.
    durable_here: Position,
    /// Escrow: the last record of the steps that move slots; 0 where none is under way.
    settling: u64,
    /// Escrow: when what a server granted whose slots are void has come or has run out.
    void_until: Option<Moment>,
    /// A bundle that is being made durable: no other is taken meanwhile.
    committing: Option<Committing>,
    /// What the peer may hear of who leads: durable here, or heard from it.
    lead_told: Option<Lead>,
    /// The write that makes durable who leads.
    lead_write: WriteId,
    /// The command that moves service to the peer, until that serves.
    handover: Option<Ticket>,
    last_beat: Moment,
    /// When the facts were last written down for the time that has passed.
    time_written: Now,
    renewed: BTreeSet<LeaseId>,
    /// The products that this secondary has served without its primary for as long as their vendor allows.
    lapsed: BTreeSet<ProductName>,
    now: Now,
}

/// Why a server cannot start with what its disk holds.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The disk is another server's: with its ledger and its role this one would speak for both.
    #[error(
        "the data directory is `{owner}`'s: start it as `{owner}`, or give `{name}` a directory of its own"
    )]
    Foreign {
        /// The name that this server was started with.
        name: ServerName,
        /// The server whose disk it is.
        owner: ServerName,
    },
    /// The bundle on the disk is about other servers.
    #[error("the bundle on the disk has no server `{name}`: start it with the name that it had")]
    Renamed {
        /// The name that this server was started with.
        name: ServerName,
    },
}

impl Pair {
    /// A server that starts with what its disk holds. `trust` are the keys it was given beside its bundle's.
    ///
    /// # Errors
    /// What the disk holds is not of this server.
    pub fn new(
        now: Now,
        me: ServerName,
        trust: Keyring,
        durable: Durable,
        accept_clock: bool,
    ) -> Result<Self, StartError> {
        let mut facts = durable.facts;
        let owner = facts.name.get_or_insert_with(|| me.clone());
        if *owner != me {
            return Err(StartError::Foreign { name: me, owner: owner.clone() });
        }
        facts.wall = if accept_clock { now.wall } else { facts.wall.max(now.wall) };
        let now = Now { wall: facts.wall, ..now };
        // One of a version that did not count counts from here on.
        facts.heard = facts.heard.or(Some(now.wall));
        let config = durable
            .committed
            .as_ref()
            .map(|committed| Arc::clone(committed.before.as_ref().unwrap_or(&committed.config)));
        if facts.odd.is_none() {
            let role = config.as_ref().and_then(|config| config.role_of(&me));
            facts.odd = role.map(|role| role == Role::Primary);
        }
        let phase = match &config {
            None => Phase::Unconfigured,
            Some(config) => {
                config.role_of(&me).ok_or(StartError::Renamed { name: me.clone() })?;
                Phase::Starting { writing: false }
            }
        };
        let terms = config.as_deref().and_then(|config| terms(config, &me, &facts, now));
        let mut contents = durable.ledger;
        contents.age(now.wall);
        let ledger = Ledger::load(contents, terms.as_ref(), now);
        Ok(Self {
            me,
            trust,
            lead_told: facts.lead.clone(),
            lead_write: WriteId(0),
            handover: None,
            facts,
            committed: durable.committed,
            config,
            ledger,
            phase,
            link: None,
            link_count: 0,
            written: WriteId(0),
            durable: WriteId(0),
            writing: VecDeque::new(),
            next: VecDeque::new(),
            waiting: VecDeque::new(),
            asking: BTreeMap::new(),
            queue_opens: None,
            durable_at_peer: 0,
            recorded: VecDeque::new(),
            durable_here: Position::default(),
            settling: 0,
            void_until: None,
            committing: None,
            last_beat: now.moment,
            time_written: now,
            renewed: BTreeSet::new(),
            lapsed: BTreeSet::new(),
            now,
        })
    }

    /// Takes in what has happened, and gives out what is to be done, in order.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Stopped) {
            return;
        }
        self.tell_time(now);
        self.prove_disk(out);
        if self.notice_pause(out) {
            return;
        }
        self.ledger.set_reach(self.reach());
        match input {
            Input::Connected => self.on_connected(out),
            Input::Disconnected => self.on_disconnected(out),
            Input::Frame(frame) => self.on_frame(*frame, out),
            Input::Command(ticket, command) => self.on_command(ticket, *command, out),
            Input::HungUp(ticket) => self.on_hung_up(ticket),
            Input::Persisted(write) => self.on_persisted(write, out),
            Input::Deadline => self.on_deadline(out),
            Input::PeerKey(key) => self.on_peer_key(key, out),
            Input::Refused => self.on_refused(),
            Input::Stop => self.on_stop(out),
        }
        self.serve_queue(out);
        self.release_waiting(out);
    }

    /// What this server is configured to be, and what it does.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing { role: self.role(), state: self.phase.state() }
    }

    /// Whether it does what it is for: it serves, or it is a standby in step with the active server.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        match &self.phase {
            Phase::Active(_) => true,
            Phase::Standby(standby) => standby.in_step,
            _ => false,
        }
    }

    /// The compiled bundle that is in effect: the one before the committed one, while that waits to change the roles.
    #[must_use]
    pub fn config(&self) -> Option<&Arc<Config>> {
        self.config.as_ref()
    }

    /// The number of the bundle that runs; 0 for none.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.committed.as_ref().map(|committed| committed.generation).unwrap_or_default()
    }

    /// The bundle that runs, with every statement that ever was.
    #[must_use]
    pub fn committed(&self) -> Option<&Committed> {
        self.committed.as_ref()
    }

    /// Every statement that operators signed, oldest first.
    #[must_use]
    pub fn statements(&self) -> &[SignedStatement] {
        self.committed.as_ref().map_or(&[], |committed| &committed.statements)
    }

    /// The keys that this server was given beside its bundle's operators.
    #[must_use]
    pub fn trust(&self) -> &Keyring {
        &self.trust
    }

    /// The durable facts.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The ledger, to read.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The other server of the bundle.
    #[must_use]
    pub fn peer(&self) -> Option<&Server> {
        self.committed.as_ref().and_then(|committed| committed.config.peer_of(&self.me))
    }

    /// Keeps the identity key that the peer proved.
    fn on_peer_key(&mut self, key: PublicKey, out: &mut Vec<Effect>) {
        if self.facts.peer_key != Some(key) {
            self.facts.peer_key = Some(key);
            self.persist(vec![Write::Facts(self.facts.clone())], out);
        }
    }

    fn role(&self) -> Option<Role> {
        self.config.as_ref().and_then(|config| config.role_of(&self.me))
    }

    fn redundancy(&self) -> Redundancy {
        self.config.as_ref().map(|config| config.redundancy.clone()).unwrap_or_default()
    }

    /// The next epoch of this server's own: one server makes the odd ones, the other the even ones.
    fn next_epoch(&self) -> Epoch {
        let next = self.facts.epoch.0 + 1;
        Epoch(if (next % 2 == 1) == self.is_odd() { next } else { next + 1 })
    }

    fn tell_time(&mut self, now: Now) {
        let passed = now.moment.since(self.now.moment);
        let shown = now.wall.since(self.facts.wall);
        // Where the wall clock was set back it stands still here, and silence goes on.
        self.facts.heard = self.facts.heard.map(|heard| heard - passed.less(shown));
        self.facts.wall = self.facts.wall.max(now.wall);
        self.now = Now { moment: now.moment.max(self.now.moment), wall: self.facts.wall };
    }

    /// Orders a write; whatever depends on it waits for its number.
    fn persist(&mut self, writes: Vec<Write>, out: &mut Vec<Effect>) -> WriteId {
        self.written = WriteId(self.written.0 + 1);
        self.writing.push_back((self.written, self.now.moment));
        out.push(Effect::Persist(self.written, writes));
        self.written
    }

    /// Orders a write and says what follows once it is durable.
    fn persist_then(&mut self, writes: Vec<Write>, next: Next, out: &mut Vec<Effect>) {
        let write = self.persist(writes, out);
        self.next.push_back((write, next));
    }

    fn send(&mut self, frame: Frame, out: &mut Vec<Effect>) {
        // A server whose disk has not taken a write yet has nothing to say.
        if matches!(self.phase, Phase::Starting { .. }) {
            return;
        }
        if let Some(link) = &mut self.link {
            link.count_sent(self.now.moment);
            out.push(Effect::Send(Box::new(frame)));
        }
    }

    fn disconnect(&mut self, out: &mut Vec<Effect>) {
        if self.link.take().is_some() {
            self.link_count += 1;
            out.push(Effect::Disconnect);
        }
    }

    fn on_persisted(&mut self, write: WriteId, out: &mut Vec<Effect>) {
        self.durable = self.durable.max(write);
        while self.writing.front().is_some_and(|(write, _)| *write <= self.durable) {
            self.writing.pop_front();
        }
        if matches!(self.phase, Phase::Stuck) {
            // Its peer may have served meanwhile: what is remembered here is not trusted.
            return self.restart("its disk hung", out);
        }
        self.note_durable_here();
        // Of several words about what is durable the last says it all.
        let mut tell = None;
        while self.next.front().is_some_and(|(write, _)| *write <= self.durable) {
            let Some((_, next)) = self.next.pop_front() else { break };
            match next {
                Next::TellDurable { link, position } => tell = Some((link, position)),
                next => self.follow(next, out),
            }
        }
        self.tell_lead_when_durable(out);
        if let Some((link, position)) = tell
            && link == self.link_count
        {
            self.send(Frame::Durable { position }, out);
        }
        self.settle_on(out);
    }

    fn follow(&mut self, next: Next, out: &mut Vec<Effect>) {
        match next {
            Next::TellDurable { .. } => {}
            Next::Begin => self.begin(out),
            Next::TellCaughtUp { link, position } => self.tell_caught_up(link, position, out),
            Next::Serve { epoch, grace, alone } => self.serve(epoch, grace, alone, out),
            Next::Alone { epoch } => self.be_alone(epoch, out),
            Next::Pair { link } => self.be_paired(link, out),
            Next::Install { ticket, commit } => self.install(ticket, *commit, out),
        }
    }

    fn on_stop(&mut self, out: &mut Vec<Effect>) {
        self.refuse_waiting(&Refusal::Recovering, out);
        self.fail_handover(out);
        self.send(Frame::Goodbye, out);
        self.event("stopped", serde_json::Map::new(), out);
        self.phase = Phase::Stopped;
    }

    /// Drops everything: what is known is only what the disk holds (rules 6 and 11).
    fn restart(&mut self, reason: &'static str, out: &mut Vec<Effect>) {
        self.refuse_waiting(&Refusal::Recovering, out);
        self.fail_handover(out);
        self.disconnect(out);
        self.next.clear();
        out.push(Effect::Restart { reason });
        self.phase = Phase::Stopped;
    }

    fn event(
        &self,
        kind: &'static str,
        details: serde_json::Map<String, serde_json::Value>,
        out: &mut Vec<Effect>,
    ) {
        out.push(Effect::Event(Event { kind, details: Details::Told(details) }));
    }

    /// Tells that the state changed.
    fn tell_state(&self, out: &mut Vec<Effect>) {
        let mut details = serde_json::Map::new();
        details.insert("role".into(), self.role().map_or("none", Role::as_str).into());
        details.insert("state".into(), self.phase.state().as_str().into());
        details.insert("epoch".into(), self.facts.epoch.0.into());
        details.insert("paired".into(), self.is_paired().into());
        self.event("state", details, out);
    }

    /// Whether the two servers count on each other now.
    #[must_use]
    pub fn is_paired(&self) -> bool {
        match &self.phase {
            Phase::Active(active) => matches!(active.peering, Peering::Paired),
            Phase::Standby(standby) => standby.in_step,
            _ => false,
        }
    }

    /// How long this server, where it does not know every lease, grants nothing (rule 4).
    fn grace_span(&self) -> Span {
        let own = self.config.as_ref().map(|config| config.ttl_max()).unwrap_or_default();
        let longest = self.committed.as_ref().map(|c| c.ttl_longest).unwrap_or_default();
        own.max(longest).with_drift()
    }
}

/// Under what the ledger of `me` decides; `None` where the bundle has no such server.
fn terms<'a>(config: &'a Config, me: &'a ServerName, facts: &Facts, now: Now) -> Option<Terms<'a>> {
    let role = config.role_of(me)?;
    let unheard = match role {
        Role::Primary => Span::ZERO,
        Role::Secondary => facts.heard.map(|heard| now.wall.since(heard)).unwrap_or_default(),
    };
    Some(Terms { config, me, role, unheard, now })
}
