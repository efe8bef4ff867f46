//! The connection to the peer: who is accepted, who connects when, and frames in both directions.
//!
//! Both servers connect whenever there is no connection. What a frame means is the pair's business; which of two
//! connections stays, the driver's.

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt as _, BufReader, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::handshake::{self, HandshakeError, Me, NotAccepted, Proved};
use super::view::View;
use super::wire::{self, FRAME_MAX, WireError};
use crate::manifest::types::Server;
use crate::measure::{Moment, Span};
use crate::name::{PublicKey, ServerName};
use crate::pair::{Dialing, Frame, SHAKEN_WITHIN, YOUNG};
use crate::seam::World;
use crate::seam::entropy::Identity;
use crate::seam::net::Stream;

/// What the connection is called in `Upgrade`.
pub(super) const PROTOCOL: &str = "tandem-peer/1";
/// How many frames may wait to be sent.
const OUTGOING_MAX: usize = 4096;
/// How much is put into one write.
const WRITE_MAX: usize = 256 * 1024;
/// How long one write may take, beside a second for each megabyte.
const WRITE_WITHIN: Span = Span::from_secs(10);

/// What happens to connections.
pub(super) enum LinkEvent {
    /// Somebody has proved who it is.
    Up(Box<NewLink>),
    /// A frame came.
    Frame(u64, Box<Frame>),
    /// A connection is gone, and why.
    Down(u64, String),
    /// The peer does not accept this server's identity.
    RefusedThere,
    /// Somebody is not accepted.
    Refused {
        /// The word for it.
        code: &'static str,
        /// What is wrong.
        detail: String,
    },
}

/// A connection whose other side has proved who it is.
pub(super) struct NewLink {
    pub(super) name: ServerName,
    pub(super) key: PublicKey,
    pub(super) opened_here: bool,
    pub(super) stream: Box<dyn Stream>,
}

/// The connection to the peer. Dropped, it sends what waits and closes.
pub(super) struct Link {
    pub(super) id: u64,
    pub(super) name: ServerName,
    pub(super) key: PublicKey,
    pub(super) opened_here: bool,
    since: Moment,
    outgoing: Option<mpsc::Sender<Box<Frame>>>,
    reader: JoinHandle<()>,
    writer: Option<JoinHandle<()>>,
}

impl Link {
    /// Starts to read and write.
    pub(super) fn start(
        id: u64,
        new: NewLink,
        now: Moment,
        events: mpsc::Sender<LinkEvent>,
    ) -> Self {
        let NewLink { name, key, opened_here, stream } = new;
        let (incoming, out) = tokio::io::split(stream);
        let (outgoing, frames) = mpsc::channel(OUTGOING_MAX);
        let reader = tokio::spawn(read(id, incoming, events.clone()));
        let writer = tokio::spawn(write(id, out, frames, events));
        let (outgoing, writer) = (Some(outgoing), Some(writer));
        Self { id, name, key, opened_here, since: now, outgoing, reader, writer }
    }

    /// Sends a frame. False when too many wait already: the peer does not read.
    pub(super) fn send(&self, frame: Box<Frame>) -> bool {
        self.outgoing.as_ref().is_some_and(|outgoing| outgoing.try_send(frame).is_ok())
    }

    /// Whether it was opened only just now.
    pub(super) fn is_young(&self, now: Moment) -> bool {
        now.since(self.since) < YOUNG
    }

    /// Sends what waits, for so long at most.
    pub(super) async fn finish(mut self, within: Span) {
        self.outgoing = None;
        if let Some(mut writer) = self.writer.take()
            && tokio::time::timeout(within.to_std(), &mut writer).await.is_err()
        {
            writer.abort();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The writer ends by itself: its queue is closed, and each of its writes has a deadline.
        self.reader.abort();
    }
}

async fn read(id: u64, stream: ReadHalf<Box<dyn Stream>>, events: mpsc::Sender<LinkEvent>) {
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    let why = loop {
        match wire::read::<Box<Frame>>(&mut stream, FRAME_MAX).await {
            Ok(frame) => {
                if events.send(LinkEvent::Frame(id, frame)).await.is_err() {
                    return;
                }
            }
            Err(error) => break error.to_string(),
        }
    };
    // A driver that is gone needs no word.
    let _gone = events.send(LinkEvent::Down(id, why)).await;
}

async fn write(
    id: u64,
    mut stream: WriteHalf<Box<dyn Stream>>,
    mut frames: mpsc::Receiver<Box<Frame>>,
    events: mpsc::Sender<LinkEvent>,
) {
    let mut buffer = Vec::new();
    while let Some(frame) = frames.recv().await {
        buffer.clear();
        let mut next = Some(frame);
        let mut appended = Ok(());
        while let Some(frame) = next.take() {
            appended = wire::append(&mut buffer, &frame, FRAME_MAX);
            if appended.is_ok() && buffer.len() < WRITE_MAX {
                next = frames.try_recv().ok();
            }
        }
        let size = u64::try_from(buffer.len()).unwrap_or(u64::MAX);
        let sending = async {
            appended?;
            stream.write_all(&buffer).await?;
            stream.flush().await?;
            Ok::<_, WireError>(())
        };
        let within = WRITE_WITHIN + Span::from_ms(size / 1000);
        let why = match tokio::time::timeout(within.to_std(), sending).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the peer read nothing for {within}"),
        };
        // A driver that is gone needs no word.
        let _gone = events.send(LinkEvent::Down(id, why)).await;
        return;
    }
    // A peer that is gone needs no ending.
    let _gone = tokio::time::timeout(WRITE_WITHIN.to_std(), stream.shutdown()).await;
}

/// Why the peer is not accepted: for status.
#[derive(Clone, Default)]
pub(super) struct PeerProblem(Arc<Mutex<Option<&'static str>>>);

impl PeerProblem {
    pub(super) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(str::to_owned)
    }

    /// Whether this is new.
    pub(super) fn set(&self, problem: Option<&'static str>) -> bool {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, problem) != problem
    }
}

/// Whether this name with this key is the peer.
///
/// A manifest that pins a key accepts no other. Without a pin, which is for loopback only, the first key that the
/// peer proved is kept, and another one is refused until the manifest pins it. A server with no bundle has nobody to
/// expect: on loopback it listens to anybody, and takes nothing but a bundle that its `--trust` keys lead to.
pub(super) fn judge_peer(
    view: &View,
    me: &ServerName,
    is_trusted_network: bool,
    name: &ServerName,
    key: &PublicKey,
) -> Result<(), NotAccepted> {
    let not = |code, detail| Err(NotAccepted { code, detail });
    if name == me {
        let detail = format!(
            "`{name}` answers there too: it is this server itself (are its `--listen` and the manifest's ports right?) or \
             one that was given the same name"
        );
        return not("own-name", detail);
    }
    let Some(peer) = &view.peer else { return Ok(()) };
    if peer.name != *name {
        let detail = format!("`{name}` is not the other server of this pair, `{}` is", peer.name);
        return not("unknown-peer", detail);
    }
    if peer.key.is_none() && !is_trusted_network && !is_loopback(&peer.address) {
        let detail = format!("the manifest pins no key of `{name}`, which is not on loopback");
        return not("not-pinned", detail);
    }
    match &view.peer_key {
        Some((_, known)) if known != key => {
            let detail = format!(
                "`{name}` has the key {key}, expected was {known}: if that is right, pin it as `servers[].key`"
            );
            not("peer-key-changed", detail)
        }
        _ => Ok(()),
    }
}

/// Whether an address of a manifest means this machine.
pub(super) fn is_loopback(address: &str) -> bool {
    address.eq_ignore_ascii_case("localhost")
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// What connecting takes.
#[derive(Clone)]
pub(super) struct Peering {
    pub(super) world: World,
    pub(super) identity: Arc<dyn Identity>,
    pub(super) me: ServerName,
    pub(super) is_trusted_network: bool,
    pub(super) views: watch::Receiver<Arc<View>>,
    pub(super) events: mpsc::Sender<LinkEvent>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("the peer answers {0} instead of upgrading the connection")]
    NotUpgraded(StatusCode),
    #[error("the peer's address is not one: {0}")]
    Request(#[from] http::Error),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("the peer did not answer within {0}")]
    TimedOut(Span),
}

impl Peering {
    /// Connects whenever there is no connection, until the driver is gone.
    pub(super) async fn run(mut self) {
        let mut tries = 0_u64;
        loop {
            let view = Arc::clone(&self.views.borrow_and_update());
            let wanted = view.peer.clone().filter(|_| view.takes_link && !view.is_connected);
            let Some(peer) = wanted else {
                tries = 0;
                if self.views.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let begun = self.world.clock.now().moment;
            let dialing = Dialing::of(view.standing.role, view.config.as_deref());
            let connecting = self.connect(&peer, dialing.opened_within());
            let connected = match tokio::time::timeout(SHAKEN_WITHIN.to_std(), connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(ConnectError::TimedOut(SHAKEN_WITHIN)),
            };
            if let Err(error) = connected {
                tracing::debug!(peer = %peer.name, %error, "cannot connect to the peer");
            }
            tries += 1;
            let ended = self.world.clock.now().moment;
            let next = (begun + dialing.apart(tries)).max(ended + dialing.rest());
            tokio::select! {
                biased;
                changed = self.views.changed() => match changed {
                    Ok(()) => tries = 0,
                    Err(_) => return,
                },
                () = self.world.clock.sleep(next.since(ended)) => {}
            }
            if self.events.is_closed() {
                return;
            }
        }
    }

    async fn connect(&self, peer: &Server, within: Span) -> Result<(), ConnectError> {
        let opening = self.world.net.connect(&peer.address, peer.port);
        let stream = tokio::time::timeout(within.to_std(), opening)
            .await
            .map_err(|_| ConnectError::TimedOut(within))??;
        let mut stream = upgrade(stream, peer).await?;
        let (name, key) = self.shake(&mut *stream, true, Some(&peer.name)).await?;
        self.up(NewLink { name, key, opened_here: true, stream }).await;
        Ok(())
    }

    /// Takes a connection that somebody opened and upgraded.
    pub(super) async fn accept(&self, mut stream: Box<dyn Stream>) {
        if !self.views.borrow().takes_link {
            return tracing::debug!("no connection is taken while this server cannot work");
        }
        let shaken =
            tokio::time::timeout(SHAKEN_WITHIN.to_std(), self.shake(&mut *stream, false, None));
        match shaken.await {
            Ok(Ok((name, key))) => {
                self.up(NewLink { name, key, opened_here: false, stream }).await;
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "a connection to this server's peer port failed")
            }
            Err(_) => tracing::debug!("a connection to this server's peer port said nothing"),
        }
    }

    async fn shake(
        &self,
        stream: &mut dyn Stream,
        opened_here: bool,
        expected: Option<&ServerName>,
    ) -> Result<(ServerName, PublicKey), HandshakeError> {
        let me = Me { name: &self.me, identity: &*self.identity, entropy: &*self.world.entropy };
        let accepts = |name: &ServerName, key: &PublicKey| {
            if let Some(expected) = expected
                && expected != name
            {
                let detail = format!("`{name}` answers where `{expected}` should");
                return Err(NotAccepted { code: "unknown-peer", detail });
            }
            judge_peer(&self.views.borrow(), &self.me, self.is_trusted_network, name, key)
        };
        let shaken = if opened_here {
            handshake::connect(stream, me, accepts).await
        } else {
            handshake::accept(stream, me, accepts).await
        };
        match shaken {
            Ok(Proved { name, key }) => Ok((name, key)),
            Err(HandshakeError::NotAccepted(not)) => {
                let NotAccepted { code, detail } = not.clone();
                // A stranger's attempt is no trouble of the peer's.
                if matches!(code, "peer-key-changed" | "not-pinned" | "own-name") || opened_here {
                    let refused = LinkEvent::Refused { code, detail };
                    // A driver that is gone needs no word.
                    let _gone = self.events.send(refused).await;
                }
                Err(not.into())
            }
            Err(error) => {
                if let HandshakeError::Refused { code, .. } = &error
                    && matches!(code.as_str(), "peer-key-changed" | "not-pinned")
                {
                    let _gone = self.events.send(LinkEvent::RefusedThere).await;
                }
                Err(error)
            }
        }
    }

    async fn up(&self, new: NewLink) {
        // A driver that is gone needs no connection.
        let _gone = self.events.send(LinkEvent::Up(Box::new(new))).await;
    }
}

/// Asks for the upgrade of a fresh connection.
async fn upgrade(stream: Box<dyn Stream>, peer: &Server) -> Result<Box<dyn Stream>, ConnectError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection.with_upgrades());
    let host = match peer.address.contains(':') {
        true => format!("[{}]:{}", peer.address, peer.port),
        false => format!("{}:{}", peer.address, peer.port),
    };
    let request = Request::builder()
        .method(Method::GET)
        .uri("/v1/peer")
        .header(header::HOST, host)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, PROTOCOL)
        .body(http_body_util::Empty::<bytes::Bytes>::new())?;
    let mut response = sender.send_request(request).await?;
    let upgrades =
        response.headers().get(header::UPGRADE) == Some(&HeaderValue::from_static(PROTOCOL));
    if response.status() != StatusCode::SWITCHING_PROTOCOLS || !upgrades {
        connection.abort();
        return Err(ConnectError::NotUpgraded(response.status()));
    }
    let upgraded = hyper::upgrade::on(&mut response).await?;
    Ok(Box::new(TokioIo::new(upgraded)))
}
