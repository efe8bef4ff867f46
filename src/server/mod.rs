//! One license server: the driver that owns the pair, the connection to the peer, and HTTP.
//!
//! The same code runs as `tandem serve`, twice in one process for `tandem up`, and on a simulated network. It starts
//! no threads but the store's writer, and asks for time, sockets and randomness only through the seams.

mod driver;
mod events;
mod handshake;
mod http;
mod identity;
mod peer;
mod view;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::task::JoinHandle;

pub use events::Observer;
pub use identity::{IDENTITY_FILE, IdentityError, load_identity};

use crate::api::EventBody;
use crate::measure::Span;
use crate::name::{PublicKey, ServerName};
use crate::pair::{StartError, State};
use crate::seam::World;
use crate::seam::disk::Disk;
use crate::seam::entropy::Identity;
use crate::statement::{Keyring, OperatorKey};
use crate::store::{StoreError, WriterKind};
use driver::{Driver, Handle, OpenError, Setup};
use events::Events;
use peer::{PeerProblem, Peering};

/// How long a graceful stop lets requests finish before what they wait for is refused.
const FINISH_WITHIN: Span = Span::from_secs(1);

/// How long the last answers may take to leave.
const FLUSH_WITHIN: Span = Span::from_ms(250);

/// How a server is started.
pub struct ServerOptions {
    /// Its name, as manifests call it.
    pub name: ServerName,
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Keys whose statements it takes beside those of its bundle's operators.
    pub trust: Vec<OperatorKey>,
    /// Takes the wall clock as it is, though a later time was seen before.
    pub accept_clock: bool,
    /// How it writes.
    pub writer: WriterKind,
    /// The network is one that nobody else can reach, as a simulated one: plain HTTP may leave loopback.
    pub is_trusted_network: bool,
    /// Is told everything that happens.
    pub observer: Option<Arc<dyn Observer>>,
}

impl ServerOptions {
    /// A server of this name that listens here, and nothing else special.
    #[must_use]
    pub fn new(name: ServerName, listen: SocketAddr) -> Self {
        Self {
            name,
            listen,
            trust: Vec::new(),
            accept_clock: false,
            writer: WriterKind::Threaded,
            is_trusted_network: false,
            observer: None,
        }
    }
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It would speak plain HTTP on a network.
    #[error(
        "`{0}` is not a loopback address, and this version serves without TLS: listen on 127.0.0.1 or [::1]"
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the data directory holds is not this server's.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// A license server.
pub struct Server(());

impl Server {
    /// Starts a server: opens its disk, listens, and looks for its peer.
    ///
    /// # Errors
    /// It cannot listen, or cannot use its disk.
    pub async fn start(
        world: World,
        disk: Arc<dyn Disk>,
        identity: Arc<dyn Identity>,
        options: ServerOptions,
    ) -> Result<Running, ServeError> {
        let ServerOptions { name, listen, trust, accept_clock, writer, .. } = options;
        let is_trusted_network = options.is_trusted_network;
        if !is_trusted_network && !listen.ip().to_canonical().is_loopback() {
            return Err(ServeError::NotLoopback(listen));
        }
        let events = Events::new(name.clone(), options.observer);
        let listeners = events.listeners();
        let setup = Setup {
            world: world.clone(),
            disk,
            name: name.clone(),
            trust: Keyring::new(&[], &trust),
            accept_clock,
            writer,
            is_trusted_network,
            events,
            problem: PeerProblem::default(),
        };
        let (driver, handle, links) = Driver::open(setup).await.map_err(|error| match error {
            OpenError::Store(error) => ServeError::Store(error),
            OpenError::Start(error) => ServeError::Start(error),
        })?;
        let listener = world
            .net
            .listen(listen)
            .await
            .and_then(|listener| listener.local_address().map(|address| (listener, address)));
        let (listener, address) =
            listener.map_err(|error| ServeError::Listen { address: listen, error })?;
        let driver = tokio::spawn(driver.run());
        let peering = Peering {
            world: world.clone(),
            identity: Arc::clone(&identity),
            me: name.clone(),
            is_trusted_network,
            views: handle.views(),
            events: links,
        };
        let dialing = tokio::spawn(peering.clone().run());
        let app = http::App::new(http::Parts {
            world,
            name: name.clone(),
            identity: Arc::clone(&identity),
            handle: handle.clone(),
            peering,
            listeners: listeners.clone(),
            trust,
            listen: address,
            is_trusted_network,
        });
        let http = http::serve(listener, app);
        tracing::info!(server = %name, %address, "listening");
        Ok(Running { address, key: identity.public(), handle, listeners, driver, dialing, http })
    }
}

/// A server that runs. Dropped, it stops at once, as by a crash.
pub struct Running {
    address: SocketAddr,
    key: PublicKey,
    handle: Handle,
    listeners: broadcast::Sender<Arc<EventBody>>,
    driver: JoinHandle<()>,
    dialing: JoinHandle<()>,
    http: http::Serving,
}

impl Running {
    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its identity key.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// What it does now.
    #[must_use]
    pub fn state(&self) -> State {
        self.handle.view().standing.state
    }

    /// Whether it does what it is for: it serves, or it is a standby in step with the active server.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.handle.view().is_ready
    }

    /// What happens from now on. A listener that is too slow misses events, and is told so.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Arc<EventBody>> {
        self.listeners.subscribe()
    }

    /// Stops gracefully: takes no more connections, lets requests finish, says goodbye to the peer, and leaves the
    /// disk in order.
    pub async fn stop(mut self) {
        self.http.close(FINISH_WITHIN).await;
        self.handle.stop().await;
        // A driver that panicked has nothing left to put in order.
        let _panicked = (&mut self.driver).await;
        // What was refused just now still has to leave.
        self.http.close(FLUSH_WITHIN).await;
        self.http.abort();
    }

    /// Waits until the server has ended by itself, which it only does when it is broken.
    pub async fn wait(&mut self) {
        let _panicked = (&mut self.driver).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.driver.abort();
        self.dialing.abort();
        self.http.abort();
    }
}
