//! The connection between the two servers: who opens it, which of two stays, and the frames on it.
//!
//! It is TCP: frames arrive in order or not at all. A loss is a retransmission, seldom a reset; what is sent into a cut
//! waits, and arrives late or finds the connection reset. Attempts are those of `server/peer.rs`.

use std::collections::VecDeque;
use std::sync::Arc;

use tandem::manifest::types::Role;
use tandem::measure::Moment;
use tandem::pair::{Dialing, Frame, Input, SHAKEN_WITHIN, YOUNG};

use super::log::Log;
use super::machine::Process;
use super::queue::{MS, Micros};
use super::stage::Stage;
use super::{Event, Node, kind};
use crate::history;

/// How long a sender waits before it sends again what was lost, at first.
const RETRANSMITTED_AFTER: Micros = 200 * MS;
/// Before when no loss resets a connection: that takes many in a row. So losses alone keep no two servers apart.
const RESET_AFTER: Micros = 3_000 * MS;
/// How long it may take until a sender notices that a cut is over.
const NOTICED_WITHIN: Micros = 3_000 * MS;

/// A connection that was opened.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) opener: Node,
    /// When it was opened.
    since: Micros,
    /// The process at each end, and whether it still has it open.
    ends: [(u32, bool); 2],
    /// What each end sends.
    streams: [OneWay; 2],
}

/// One direction of a connection.
#[derive(Debug, Default)]
struct OneWay {
    /// Before when nothing more arrives: order is kept.
    last: Micros,
    /// What was sent into a cut.
    waiting: VecDeque<Item>,
    is_reset: bool,
}

/// What is sent on a connection.
#[derive(Debug)]
pub(super) enum Item {
    /// The last message of the handshake: the one who accepted knows now who it is.
    Proof,
    /// A frame.
    Frame(Box<Frame>),
    /// The other side has closed it, or it was reset.
    End,
}

/// The attempts of one process to connect.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dial {
    tries: u64,
    /// Whether an attempt is under way.
    is_busy: bool,
    /// When the latest began.
    begun: Micros,
    /// Which view of its pair the attempt went by.
    seen: u64,
    /// Counts waits: one that was cut short is void.
    pub(super) wait: u32,
}

impl Stage<'_> {
    /// The process looks whether it wants a connection: something about it has changed.
    pub(super) fn consider_dialing(&mut self, at: Node) {
        let Some(process) = self.process(at) else { return };
        let (view, wanted) = (process.version, process.wants_peer());
        let dial = &mut process.dial;
        if dial.is_busy || (dial.seen == view && dial.tries > 0) {
            return;
        }
        dial.tries = 0;
        dial.wait += 1;
        dial.seen = view;
        if wanted {
            self.dial(at);
        }
    }

    /// A wait between two attempts is over.
    pub(super) fn redial(&mut self, at: Node, wait: u32) {
        let Some(process) = self.process(at) else { return };
        let wanted = process.wants_peer();
        if process.dial.is_busy || process.dial.wait != wait {
            return;
        }
        process.dial.seen = process.version;
        if wanted {
            self.dial(at);
        } else {
            process.dial.tries = 0;
        }
    }

    /// Starts an attempt.
    fn dial(&mut self, at: Node) {
        let to = 1 - at;
        let era = self.machines[at].era;
        let now = self.log.now;
        let Some(process) = self.process(at) else { return };
        process.dial.is_busy = true;
        process.dial.begun = now;
        let within = process.dialing().opened_within().ms() * MS;
        let shaken_within = SHAKEN_WITHIN.ms() * MS;
        let passes = self.network.link(at, to).passes() && self.network.link(to, at).passes();
        let other = &self.machines[to];
        let (after, reached) = if !passes || !other.is_powered || other.is_paused {
            (within, false)
        } else if !other.is_running() {
            (self.latency(at, to) + self.latency(to, at), false)
        } else {
            // Connecting, the upgrade, and the first half of the handshake.
            let legs = [(at, to), (to, at), (at, to), (to, at), (at, to), (to, at)];
            let legs = legs.map(|(from, to)| self.latency(from, to));
            let [there, back, ..] = legs;
            let way: Micros = legs.iter().sum();
            match (there + back < within, way < shaken_within) {
                (true, true) => (way, true),
                (true, false) => (shaken_within, false),
                (false, _) => (within, false),
            }
        };
        let other = self.machines[to].era;
        let reached = reached.then_some(other);
        self.queue.push(now + after, Event::Dialed { at, era, reached });
    }

    /// An attempt has ended; where it went well, the opener knows who is there and proves itself last.
    pub(super) fn dialed(&mut self, at: Node, reached: Option<u32>) {
        let to = 1 - at;
        let passes = self.network.link(at, to).passes() && self.network.link(to, at).passes();
        let other = &self.machines[to];
        let stands = passes && other.is_running() && Some(other.era) == reached;
        // It has ended as well where the process has dropped its pair meanwhile and opens its disk.
        let Some(process) = self.machines[at].process.as_mut() else { return };
        process.dial.is_busy = false;
        process.dial.tries += 1;
        let Some(process) = self.process(at) else { return };
        if stands && process.config().is_some() {
            let ends = [self.machines[0].era, self.machines[1].era].map(|era| (era, true));
            let (id, since) = (self.connections.len(), self.log.now);
            let streams = Default::default();
            self.connections.push(Connection { opener: at, since, ends, streams });
            self.put(id, at, Item::Proof);
            self.connected(at, id);
        }
        let now = self.log.now;
        let Some(process) = self.process(at) else { return };
        if process.dial.is_busy {
            return;
        }
        if process.dial.seen != process.version {
            return self.consider_dialing(at);
        }
        let dialing = process.dialing();
        let apart = process.dial.begun + dialing.apart(process.dial.tries).ms() * MS;
        let next = apart.max(now + dialing.rest().ms() * MS);
        process.dial.wait += 1;
        let wait = process.dial.wait;
        let era = self.machines[at].era;
        self.queue.push(next, Event::Redial { at, era, wait });
    }

    /// A connection whose other side has proved who it is: it replaces the one before, unless both were opened at
    /// once; then the one that the primary opened stays.
    fn connected(&mut self, at: Node, id: usize) {
        let moment = self.machines[at].clock.now(self.log.now).moment;
        let opened_here = self.connections.get(id).is_some_and(|one| one.opener == at);
        let Some(process) = self.process(at) else { return self.close(id, at) };
        if let Some(current) = process.link
            && moment.since(current.since) < YOUNG
            && current.opened_here != opened_here
            && let Some(role) = process.role()
            && current.opened_here == (role == Role::Primary)
        {
            return self.close(id, at);
        }
        if let Some(before) = process.link.take() {
            // Nobody connects anew for the moment between the two.
            let was_busy = std::mem::replace(&mut process.dial.is_busy, true);
            self.close(before.id, at);
            self.tell(at, Input::Disconnected);
            let Some(process) = self.process(at) else { return self.close(id, at) };
            process.dial.is_busy = was_busy;
        }
        let Some(process) = self.process(at) else { return self.close(id, at) };
        process.link = Some(Current { id, opened_here, since: moment });
        self.learn_key(at);
        self.tell(at, Input::Connected);
    }

    /// Sends something on a connection.
    pub(super) fn put(&mut self, id: usize, from: Node, item: Item) {
        let to = 1 - from;
        let link = self.network.link(from, to);
        let lost = link.loss > 0 && self.chance("lost", link.loss);
        let mut late = self.latency(from, to);
        if lost {
            let opened = self.connections.get(id).map_or(0, |connection| connection.since);
            let is_young = self.log.now.saturating_sub(opened) < RESET_AFTER;
            if self.choices.choose("lost-how", 4) == 3 && !is_young {
                return self.reset(id);
            }
            late += RETRANSMITTED_AFTER << self.choices.choose("lost-again", 3);
        }
        let now = self.log.now;
        let Some(connection) = self.connections.get_mut(id) else { return };
        let stream = &mut connection.streams[from];
        if stream.is_reset {
            return;
        }
        if !link.passes() || !stream.waiting.is_empty() {
            stream.waiting.push_back(item);
            return;
        }
        stream.last = stream.last.max(now + late);
        self.queue.push(stream.last, Event::Arrives { id, from, item });
    }

    /// A link passes again: what was sent into the cut arrives, or finds the connection reset.
    pub(super) fn resume_streams(&mut self, from: Node, to: Node) {
        if from > 1 || to > 1 || from == to || !self.network.link(from, to).passes() {
            return;
        }
        for id in 0..self.connections.len() {
            let waits =
                self.connections.get(id).is_some_and(|one| !one.streams[from].waiting.is_empty());
            if !waits {
                continue;
            }
            if self.choices.choose("after-cut", 3) == 2 {
                self.reset(id);
                continue;
            }
            let late = self.latency(from, to) + self.choices.choose("noticed", NOTICED_WITHIN);
            let now = self.log.now;
            let Some(connection) = self.connections.get_mut(id) else { continue };
            let stream = &mut connection.streams[from];
            stream.last = stream.last.max(now + late);
            let (last, waiting) = (stream.last, std::mem::take(&mut stream.waiting));
            for item in waiting {
                self.queue.push(last, Event::Arrives { id, from, item });
            }
        }
    }

    /// Something has arrived at the other end.
    pub(super) fn arrives(&mut self, id: usize, from: Node, item: Item) {
        let to = 1 - from;
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.streams[from].is_reset && !matches!(item, Item::End) {
            return;
        }
        let (era, open) = connection.ends[to];
        let machine = &self.machines[to];
        if !machine.is_powered {
            return;
        }
        if !open || era != machine.era || !machine.is_running() {
            // The kernel of a process that is gone answers with a reset.
            connection.ends[to].1 = false;
            if !matches!(item, Item::End) && connection.ends[from].1 {
                self.put(id, to, Item::End);
            }
            return;
        }
        let is_current = self
            .process(to)
            .is_some_and(|process| process.link.is_some_and(|current| current.id == id));
        match item {
            Item::Proof => self.connected(to, id),
            Item::Frame(frame) if is_current => {
                self.hear(to, from, &frame);
                self.tell(to, Input::Frame(frame));
            }
            Item::End => {
                if let Some(connection) = self.connections.get_mut(id) {
                    connection.ends[to].1 = false;
                }
                if is_current {
                    if let Some(process) = self.process(to) {
                        process.link = None;
                    }
                    self.tell(to, Input::Disconnected);
                }
            }
            Item::Frame(_) => {}
        }
    }

    /// A process reads a frame from its socket.
    fn hear(&mut self, to: Node, from: Node, frame: &Frame) {
        trace_frame(&mut self.log, to, frame);
        if let Frame::Heartbeat(beat) = frame {
            let active = beat.state == tandem::pair::State::Active;
            let [from, host] = [from, to].map(|at| Arc::clone(&self.ground.hosts[at]));
            let paired = beat.paired;
            self.log.note(host, history::Event::Heard { from, active, paired });
        }
    }

    /// One end closes a connection: what it sent before still arrives.
    pub(super) fn close(&mut self, id: usize, at: Node) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if std::mem::replace(&mut connection.ends[at].1, false) {
            self.put(id, at, Item::End);
        }
    }

    /// A connection is reset: both ends hear of it, and nothing that was on its way arrives.
    pub(super) fn reset(&mut self, id: usize) {
        let now = self.log.now;
        for from in [0, 1] {
            let late = self.latency(from, 1 - from);
            let Some(connection) = self.connections.get_mut(id) else { return };
            let stream = &mut connection.streams[from];
            stream.waiting.clear();
            if !std::mem::replace(&mut stream.is_reset, true) {
                self.queue.push(now + late, Event::Arrives { id, from, item: Item::End });
            }
        }
    }
}

impl Process {
    fn dialing(&self) -> Dialing {
        Dialing::of(self.role(), self.config().map(|config| &**config))
    }
}

/// The connection that a process uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Current {
    pub(super) id: usize,
    pub(super) opened_here: bool,
    pub(super) since: Moment,
}

fn trace_frame(log: &mut Log, to: Node, frame: &Frame) {
    let to = to as u64;
    match frame {
        Frame::Hello(hello) => {
            log.trace(kind::HELLO, to ^ (hello.epoch.0 << 1), hello.position.seq);
        }
        Frame::Heartbeat(beat) => {
            let said = u64::from(beat.paired) | (beat.state as u64) << 1;
            log.trace(kind::HEARTBEAT, to ^ (said << 1), beat.received);
        }
        Frame::Records { first, records } => {
            log.trace(kind::RECORDS, to ^ (first.seq << 1), records.len() as u64);
        }
        Frame::Durable { position } => log.trace(kind::DURABLE, to, position.seq),
        Frame::HandOver => log.trace(kind::HAND_OVER, to, 0),
        Frame::HandedOver { contents, .. } => {
            log.trace(kind::HANDED_OVER, to, contents.leases.len() as u64);
        }
        Frame::CatchUp { contents, .. } => {
            log.trace(kind::CATCH_UP, to, contents.leases.len() as u64);
        }
        Frame::CaughtUp { position } => log.trace(kind::CAUGHT_UP, to, position.seq),
        Frame::Bundle { chain, .. } => log.trace(kind::BUNDLE, to, chain.len() as u64),
        Frame::Goodbye => log.trace(kind::GOODBYE, to, 0),
    }
}
