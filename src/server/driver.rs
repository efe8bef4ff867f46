//! The driver: one task that owns the pair, and one loop of four steps: wait for what has happened, tell the pair,
//! carry out what it orders, look when it wants to be told the time.
//!
//! It decides nothing about leases or bundles. It must not wait for anything but inputs: disk, sockets and answers
//! are other tasks' work.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::events::{Events, Observer};
use super::peer::{Link, LinkEvent, NewLink, PeerProblem, judge_peer};
use super::view::View;
use crate::bundle::Config;
use crate::manifest::types::Role;
use crate::measure::{Moment, Now, Span, Timestamp};
use crate::name::ServerName;
use crate::pair::{
    Command, Durable, Effect, Input, Pair, REOPEN_AFTER, Refusal, Reopening, Reply, StartError,
    Ticket,
};
use crate::seam::World;
use crate::seam::disk::Disk;
use crate::statement::Keyring;
use crate::store::{Completions, StoreError, Writer, WriterKind};

/// How many requests may wait to be taken in.
const MESSAGES_MAX: usize = 1024;
/// How many events of the peer's connection may wait.
const LINK_EVENTS_MAX: usize = 256;
/// How many inputs go before a deadline that has come: what arrived while the machine slept is older than it.
const INPUTS_BEFORE_DEADLINE: u32 = 64;
/// The longest sleep at once: the runtime's timer may not count a suspend, the clock does.
const SLEEP_MAX: Span = Span::from_secs(1);
/// Why a server starts again whose disk took no write.
const WRITE_FAILED: &str = "a write failed";
/// How long a stop waits for the last frame to leave.
const GOODBYE_MAX: Span = Span::from_secs(1);

/// Something to do with the pair between two inputs.
type Query = Box<dyn FnOnce(&Pair, Now) + Send>;

/// What the driver is asked.
enum Message {
    Command(Box<Command>, oneshot::Sender<Answer>),
    /// Somebody who waited for an answer has gone.
    HungUp,
    Query(Query),
    Stop,
}

/// What the pair answered, with what the answer was made under.
#[derive(Debug)]
pub(super) struct Answer {
    /// The pair's reply.
    pub(super) reply: Reply,
    /// The bundle that ran.
    pub(super) config: Option<Arc<Config>>,
    /// What the server was configured to be.
    pub(super) role: Option<Role>,
    /// The wall clock.
    pub(super) wall: Timestamp,
}

/// Asks the driver. Cheap to clone.
#[derive(Clone)]
pub(super) struct Handle {
    messages: mpsc::Sender<Message>,
    view: watch::Receiver<Arc<View>>,
    problem: PeerProblem,
}

/// Dropped before it is disarmed, it tells the driver that somebody who waited has gone.
struct HangUp<'a>(Option<&'a mpsc::Sender<Message>>);

impl Drop for HangUp<'_> {
    fn drop(&mut self) {
        // With so many messages waiting, the next who goes tells of all before.
        let _full = self.0.map(|messages| messages.try_send(Message::HungUp));
    }
}

/// The driver is between two starts, or has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unavailable;

impl Handle {
    /// Has a command carried out, and waits for the answer.
    pub(super) async fn command(&self, command: Command) -> Result<Answer, Unavailable> {
        let (sender, receiver) = oneshot::channel();
        let waits = matches!(command, Command::Wait(_));
        let message = Message::Command(Box::new(command), sender);
        self.messages.send(message).await.map_err(|_| Unavailable)?;
        let mut hang_up = HangUp(waits.then_some(&self.messages));
        let answer = receiver.await;
        hang_up.0 = None;
        answer.map_err(|_| Unavailable)
    }

    /// Reads something of the pair.
    pub(super) async fn query<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Pair, Now) -> T + Send + 'static,
    ) -> Result<T, Unavailable> {
        let (sender, receiver) = oneshot::channel();
        let query: Query = Box::new(move |pair, now| {
            // Who asked may have gone.
            let _gone = sender.send(read(pair, now));
        });
        self.messages.send(Message::Query(query)).await.map_err(|_| Unavailable)?;
        receiver.await.map_err(|_| Unavailable)
    }

    /// Asks for a graceful stop.
    pub(super) async fn stop(&self) {
        // A driver that is gone has stopped.
        let _gone = self.messages.send(Message::Stop).await;
    }

    /// The pair as it was when it last changed.
    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.borrow())
    }

    /// The same, to wait for changes.
    pub(super) fn views(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Why the peer is not accepted, where it is not.
    pub(super) fn peer_problem(&self) -> Option<String> {
        self.problem.get()
    }
}

/// What a driver is made of.
pub(super) struct Setup {
    pub(super) world: World,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) name: ServerName,
    pub(super) trust: Keyring,
    pub(super) accept_clock: bool,
    pub(super) writer: WriterKind,
    pub(super) is_trusted_network: bool,
    pub(super) events: Events,
    pub(super) problem: PeerProblem,
}

/// Why a driver cannot start.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Start(#[from] StartError),
}

/// A driver that has opened its disk and can run.
pub(super) struct Driver {
    setup: Setup,
    running: Running,
    view: watch::Sender<Arc<View>>,
    messages: mpsc::Receiver<Message>,
    link_events: mpsc::Receiver<LinkEvent>,
    link_sender: mpsc::Sender<LinkEvent>,
    link: Option<Link>,
    links: u64,
    pending: BTreeMap<Ticket, oneshot::Sender<Answer>>,
    tickets: u64,
    /// What the effects of an input bring about at once.
    follow: VecDeque<Input>,
    alarm: Option<Alarm>,
    reopening: Reopening,
}

/// The pair with its open disk.
struct Running {
    pair: Pair,
    writer: Writer,
    completions: Completions,
}

/// A running timer.
struct Alarm {
    at: Moment,
    sleep: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Why the loop ended.
enum Exit {
    Stopped,
    Restart(&'static str),
}

/// What the loop was woken by.
enum Woken {
    Durable(Result<crate::pair::WriteId, StoreError>),
    Link(LinkEvent),
    Message(Message),
    Timer,
    Closed,
}

impl Driver {
    /// Opens the disk and begins with what it holds.
    pub(super) async fn open(
        mut setup: Setup,
    ) -> Result<(Self, Handle, mpsc::Sender<LinkEvent>), OpenError> {
        let running = Running::begin(&Origin::of(&setup), setup.accept_clock).await?;
        let (message_sender, messages) = mpsc::channel(MESSAGES_MAX);
        let (link_sender, link_events) = mpsc::channel(LINK_EVENTS_MAX);
        let (view, views) = watch::channel(Arc::new(View::of(&running.pair, false)));
        let handle =
            Handle { messages: message_sender, view: views, problem: setup.problem.clone() };
        let opening = running.pair.opening(None);
        setup.events.tell(setup.world.clock.now().wall, opening);
        let driver = Self {
            setup,
            running,
            view,
            messages,
            link_events,
            link_sender: link_sender.clone(),
            link: None,
            links: 0,
            pending: BTreeMap::new(),
            tickets: 0,
            follow: VecDeque::new(),
            alarm: None,
            reopening: Reopening::default(),
        };
        Ok((driver, handle, link_sender))
    }

    /// Runs until it is asked to stop.
    pub(super) async fn run(mut self) {
        loop {
            match self.serve().await {
                Exit::Stopped => return self.finish().await,
                Exit::Restart(reason) => {
                    tracing::warn!(reason, "starting again from the disk");
                    if !self.reopen(reason == WRITE_FAILED).await {
                        return;
                    }
                    let opening = self.running.pair.opening(Some(reason));
                    self.setup.events.tell(self.setup.world.clock.now().wall, opening);
                }
            }
        }
    }

    async fn serve(&mut self) -> Exit {
        let mut inputs_left = INPUTS_BEFORE_DEADLINE;
        loop {
            if let Some(exit) = self.publish() {
                return exit;
            }
            let now = self.setup.world.clock.now();
            let deadline = self.running.pair.deadline();
            let is_due = deadline.is_some_and(|deadline| deadline <= now.moment);
            if !is_due {
                inputs_left = INPUTS_BEFORE_DEADLINE;
            } else if inputs_left == 0 {
                inputs_left = INPUTS_BEFORE_DEADLINE;
                if let Some(exit) = self.step(Input::Deadline) {
                    return exit;
                }
                continue;
            } else {
                inputs_left -= 1;
            }
            let exit = match self.wake(deadline, now.moment).await {
                Woken::Durable(Ok(write)) => self.step(Input::Persisted(write)),
                Woken::Durable(Err(error)) => {
                    tracing::error!(%error, "a write failed: what the disk holds is not known");
                    Some(Exit::Restart(WRITE_FAILED))
                }
                Woken::Link(event) => self.on_link(event),
                Woken::Message(message) => self.on_message(message),
                Woken::Timer => match self.running.pair.deadline() {
                    Some(deadline) if deadline <= self.setup.world.clock.now().moment => {
                        self.step(Input::Deadline)
                    }
                    _ => None,
                },
                Woken::Closed => return Exit::Stopped,
            };
            if let Some(exit) = exit {
                return exit;
            }
        }
    }

    /// Waits for the next thing that happens: what the disk and the peer say goes before what clients ask.
    async fn wake(&mut self, deadline: Option<Moment>, now: Moment) -> Woken {
        let alarm = match deadline {
            Some(at) => {
                if self.alarm.as_ref().is_none_or(|alarm| alarm.at != at) {
                    let span = at.since(now).min(SLEEP_MAX);
                    let sleep = self.setup.world.clock.sleep(span);
                    self.alarm = Some(Alarm { at, sleep });
                }
                self.alarm.as_mut()
            }
            None => None,
        };
        let timer = async {
            match alarm {
                Some(alarm) => alarm.sleep.as_mut().await,
                None => std::future::pending().await,
            }
        };
        let woken = tokio::select! {
            biased;
            outcome = self.running.completions.next() => Woken::Durable(outcome),
            event = self.link_events.recv() => event.map_or(Woken::Closed, Woken::Link),
            message = self.messages.recv() => message.map_or(Woken::Closed, Woken::Message),
            () = timer => Woken::Timer,
        };
        if matches!(woken, Woken::Timer) {
            self.alarm = None;
        }
        woken
    }

    fn on_message(&mut self, message: Message) -> Option<Exit> {
        match message {
            Message::Command(command, answer) => {
                self.tickets += 1;
                let ticket = Ticket(self.tickets);
                self.pending.insert(ticket, answer);
                self.step(Input::Command(ticket, command))
            }
            Message::HungUp => self.hang_up(),
            Message::Query(query) => {
                query(&self.running.pair, self.setup.world.clock.now());
                None
            }
            Message::Stop => {
                let exit = self.step(Input::Stop);
                exit.or(Some(Exit::Stopped))
            }
        }
    }

    /// Tells the pair of those who went without their answers.
    fn hang_up(&mut self) -> Option<Exit> {
        let gone = self.pending.iter().filter(|(_, answer)| answer.is_closed());
        let gone: Vec<_> = gone.map(|(ticket, _)| *ticket).collect();
        gone.into_iter().find_map(|ticket| {
            self.pending.remove(&ticket);
            self.step(Input::HungUp(ticket))
        })
    }

    fn on_link(&mut self, event: LinkEvent) -> Option<Exit> {
        match event {
            LinkEvent::Up(new) => self.on_new_link(*new),
            LinkEvent::Frame(link, frame) if self.is_current(link) => {
                self.step(Input::Frame(frame))
            }
            LinkEvent::Down(link, why) if self.is_current(link) => {
                tracing::info!(%why, "the connection to the peer is gone");
                self.link = None;
                self.step(Input::Disconnected)
            }
            LinkEvent::Frame(..) | LinkEvent::Down(..) => None,
            // Where each refuses the other, neither knows better.
            LinkEvent::RefusedThere if self.setup.problem.get().is_none() => {
                self.step(Input::Refused)
            }
            LinkEvent::RefusedThere => None,
            LinkEvent::Refused { code, detail } => {
                if self.setup.problem.set(Some(code)) {
                    tracing::warn!(code, %detail, "the peer is not accepted");
                    let mut details = serde_json::Map::new();
                    details.insert("code".into(), code.into());
                    details.insert("detail".into(), detail.into());
                    let details = crate::pair::Details::Told(details);
                    let event = crate::pair::Event { kind: "peer-refused", details };
                    let at = self.setup.world.clock.now().wall;
                    self.setup.events.tell(at, event);
                }
                None
            }
        }
    }

    fn is_current(&self, link: u64) -> bool {
        self.link.as_ref().is_some_and(|current| current.id == link)
    }

    /// A connection whose other side has proved who it is: it replaces the one before, unless both were opened at
    /// once; then the one stays that was opened by whoever makes the odd epochs: that is never both.
    fn on_new_link(&mut self, new: NewLink) -> Option<Exit> {
        let now = self.setup.world.clock.now();
        let trusted = self.setup.is_trusted_network;
        let view = View::of(&self.running.pair, self.link.is_some());
        if let Err(not) = judge_peer(&view, &self.setup.name, trusted, &new.name, &new.key) {
            // The bundle changed while they shook hands.
            return self.on_link(LinkEvent::Refused { code: not.code, detail: not.detail });
        }
        if let Some(current) = &self.link
            && current.is_young(now.moment)
            && current.opened_here != new.opened_here
            && current.opened_here == self.running.pair.is_odd()
        {
            tracing::debug!("two connections to the peer: the earlier one stays");
            return None;
        }
        if self.link.take().is_some()
            && let Some(exit) = self.step(Input::Disconnected)
        {
            return Some(exit);
        }
        self.setup.problem.set(None);
        self.links += 1;
        let (name, key) = (new.name.clone(), new.key);
        tracing::info!(peer = %name, opened_here = new.opened_here, "connected to the peer");
        self.link = Some(Link::start(self.links, new, now.moment, self.link_sender.clone()));
        if let Some(exit) = self.learn_key(&name, key) {
            return Some(exit);
        }
        self.step(Input::Connected)
    }

    /// Keeps the key that the peer proved, also where the manifest pins it: it stays known when the pin goes.
    fn learn_key(&mut self, name: &ServerName, key: crate::name::PublicKey) -> Option<Exit> {
        let pair = &self.running.pair;
        if pair.peer()?.name != *name || pair.facts().peer_key == Some(key) {
            return None;
        }
        self.step(Input::PeerKey(key))
    }

    /// Tells the pair, and everything that comes of it at once.
    fn step(&mut self, input: Input) -> Option<Exit> {
        self.follow.push_back(input);
        while let Some(input) = self.follow.pop_front() {
            let now = self.setup.world.clock.now();
            if let Some(observer) = self.setup.events.observer() {
                observer.input(now, &input);
            }
            let mut effects = Vec::new();
            self.running.pair.handle(now, input, &mut effects);
            if let Some(exit) = self.carry_out(effects) {
                self.follow.clear();
                return Some(exit);
            }
        }
        None
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> Option<Exit> {
        if let Some(observer) = self.setup.events.observer() {
            observer.effects(&effects);
        }
        let mut exit = None;
        for effect in effects {
            match effect {
                Effect::Persist(write, writes) => self.running.writer.submit(write, writes),
                Effect::Send(frame) => {
                    let is_lost = self.link.as_ref().is_some_and(|link| !link.send(frame));
                    if is_lost {
                        tracing::warn!("the peer takes nothing in: closing the connection to it");
                        self.link = None;
                        self.follow.push_back(Input::Disconnected);
                    }
                }
                Effect::Disconnect => self.link = None,
                Effect::Reply(ticket, reply) => self.reply(ticket, *reply),
                Effect::Event(event) => {
                    self.setup.events.tell(self.setup.world.clock.now().wall, event);
                }
                Effect::Restart { reason } => exit = Some(Exit::Restart(reason)),
            }
        }
        exit
    }

    fn reply(&mut self, ticket: Ticket, reply: Reply) {
        if let Some(answer) = self.pending.remove(&ticket) {
            let pair = &self.running.pair;
            let config = pair.config().cloned();
            let wall = self.setup.world.clock.now().wall;
            let role = pair.standing().role;
            // A client that has gone repeats its request.
            let _gone = answer.send(Answer { reply, config, role, wall });
        }
    }

    /// Shows what has changed to those who do not ask the pair.
    fn publish(&mut self) -> Option<Exit> {
        let connected = self.link.is_some();
        let pair = &self.running.pair;
        if self.view.borrow().is_of(pair, connected) {
            return None;
        }
        let view = View::of(pair, connected);
        let config_changed = self.view.borrow().generation != view.generation;
        self.view.send_replace(Arc::new(view));
        if config_changed { self.recheck_link() } else { None }
    }

    /// Holds the connection against a bundle that has just started.
    fn recheck_link(&mut self) -> Option<Exit> {
        let link = self.link.as_ref()?;
        let (name, key) = (link.name.clone(), link.key);
        let trusted = self.setup.is_trusted_network;
        let judged = judge_peer(&self.view.borrow(), &self.setup.name, trusted, &name, &key);
        match judged {
            Ok(()) => self.learn_key(&name, key),
            Err(not) => {
                self.link = None;
                let refused = LinkEvent::Refused { code: not.code, detail: not.detail };
                self.on_link(refused).or_else(|| self.step(Input::Disconnected))
            }
        }
    }

    /// Drops everything and opens the disk again. False when asked to stop meanwhile.
    async fn reopen(&mut self, failed: bool) -> bool {
        self.refuse_pending();
        self.link = None;
        self.alarm = None;
        self.view.send_replace(Arc::new(View::recovering()));
        // The old store lets go of the disk before the new one is opened.
        let old = std::mem::replace(&mut self.running.completions, Completions::none());
        self.running.writer = Writer::stopped();
        let origin = Origin::of(&self.setup);
        let pause = self.reopening.pause(self.setup.world.clock.now().moment, failed);
        let mut opening: Pin<Box<dyn Future<Output = Running> + Send>> = Box::pin(async move {
            old.closed().await;
            if pause > Span::ZERO {
                origin.world.clock.sleep(pause).await;
            }
            loop {
                match Running::begin(&origin, false).await {
                    Ok(running) => return running,
                    Err(error) => tracing::error!(%error, "the disk cannot be opened again"),
                }
                origin.world.clock.sleep(REOPEN_AFTER).await;
            }
        });
        loop {
            tokio::select! {
                biased;
                running = &mut opening => {
                    self.running = running;
                    return true;
                }
                event = self.link_events.recv() => drop(event),
                message = self.messages.recv() => match message {
                    None | Some(Message::Stop) => return false,
                    Some(Message::Command(_, answer)) => refuse(answer),
                    // Dropped, a query answers that the server is unavailable.
                    Some(Message::Query(_) | Message::HungUp) => {}
                },
            }
        }
    }

    fn refuse_pending(&mut self) {
        for (_, answer) in std::mem::take(&mut self.pending) {
            refuse(answer);
        }
    }

    /// Lets the last frame leave and the last write reach the disk.
    async fn finish(mut self) {
        self.refuse_pending();
        if let Some(link) = self.link.take() {
            link.finish(GOODBYE_MAX).await;
        }
        let Running { writer, completions, .. } = self.running;
        drop(writer);
        completions.closed().await;
    }
}

fn refuse(answer: oneshot::Sender<Answer>) {
    let reply = Reply::Refused(Refusal::Recovering);
    let wall = Timestamp::default();
    // Who asked may have gone.
    let _gone = answer.send(Answer { reply, config: None, role: None, wall });
}

/// What a pair begins from, as often as it does.
struct Origin {
    world: World,
    disk: Arc<dyn Disk>,
    writer: WriterKind,
    name: ServerName,
    trust: Keyring,
    observer: Option<Arc<dyn Observer>>,
}

impl Origin {
    fn of(setup: &Setup) -> Self {
        Self {
            world: setup.world.clone(),
            disk: Arc::clone(&setup.disk),
            writer: setup.writer,
            name: setup.name.clone(),
            trust: setup.trust.clone(),
            observer: setup.events.observer().cloned(),
        }
    }
}

impl Running {
    async fn begin(origin: &Origin, accept_clock: bool) -> Result<Self, OpenError> {
        let (writer, completions, durable): (Writer, Completions, Durable) =
            Writer::open(Arc::clone(&origin.disk), origin.writer).await?;
        let now = origin.world.clock.now();
        if let Some(observer) = &origin.observer {
            observer.begin(now, accept_clock, &durable);
        }
        let (name, trust) = (origin.name.clone(), origin.trust.clone());
        let pair = Pair::new(now, name, trust, durable, accept_clock)?;
        Ok(Self { pair, writer, completions })
    }
}
