//! A whole license server on a simulated machine: started, stopped, killed, cut from its power, started again.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tandem::manifest::types::Server as ServerEntry;
use tandem::measure::{Span, Timestamp};
use tandem::name::ServerName;
use tandem::seam::World;
use tandem::seam::disk::Disk;
use tandem::seam::entropy::Identity;
use tandem::server::{Server, ServerOptions};
use tandem::statement::{Keyring, OperatorKey};
use tandem::store::WriterKind;
use tokio::sync::Notify;

use crate::history::{Event, Fault};
use crate::record::Recorder;
use crate::world::clock::SimClock;
use crate::world::disk::SimDisk;
use crate::world::entropy::{SimEntropy, SimIdentity};
use crate::world::net::{SimNet, Wiring};
use crate::world::replay::{InputLog, ReplayError};

/// After how long whoever supervises a process starts it again when it ended by itself.
const SUPERVISED: Duration = Duration::from_secs(1);

/// The machine of one server, with what outlives its processes. Clones are the same machine.
#[derive(Clone)]
pub struct Machine(Arc<Parts>);

struct Parts {
    entry: ServerEntry,
    /// The disk.
    disk: SimDisk,
    seed: u64,
    start: Timestamp,
    trust: OperatorKey,
    wiring: Wiring,
    recorder: Recorder,
    /// What its cores were told.
    inputs: InputLog,
    state: Mutex<State>,
    stop: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// When the machine last got power.
    booted: Span,
    /// How many processes there were: each draws other random bytes.
    processes: u64,
}

/// What all machines of a run share.
#[derive(Clone)]
pub struct Common {
    /// The run's seed.
    pub seed: u64,
    /// The date at which it starts.
    pub start: Timestamp,
    /// The key that servers are told to trust.
    pub trust: OperatorKey,
    /// Who is where.
    pub wiring: Wiring,
    /// Where everything is noted.
    pub recorder: Recorder,
}

impl Machine {
    /// A machine for the server that a manifest describes, with an empty disk.
    #[must_use]
    pub fn new(entry: &ServerEntry, common: &Common) -> Self {
        let Common { seed, start, trust, wiring, recorder } = common.clone();
        Self(Arc::new(Parts {
            entry: entry.clone(),
            disk: SimDisk::new(),
            seed,
            start,
            trust,
            wiring,
            recorder,
            inputs: InputLog::default(),
            state: Mutex::default(),
            stop: Notify::new(),
        }))
    }

    /// The server's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.entry.name.as_str()
    }

    /// Its disk.
    #[must_use]
    pub fn disk(&self) -> &SimDisk {
        &self.0.disk
    }

    /// Tells a pair alone what this server's cores were told.
    ///
    /// # Errors
    /// It orders something else: then something that is not an input decides.
    pub fn replay(&self) -> Result<usize, ReplayError> {
        let parts = &self.0;
        let trust = Keyring::new(&[], std::slice::from_ref(&parts.trust));
        parts.inputs.replay(&parts.entry.name, &trust)
    }

    /// The machine gets power (again): its clock begins anew.
    pub fn boot(&self) {
        self.state().booted = Span::from_ms(self.0.recorder.now());
    }

    /// Asks the process that runs to stop.
    pub fn ask_to_stop(&self) {
        self.0.stop.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the server's process, until it is asked to stop. One that ends by itself is started again.
    ///
    /// # Errors
    /// None: a server that cannot start is tried again, as by whoever supervises it.
    pub async fn run(self) -> turmoil::Result {
        let name = self.name().to_owned();
        let note = |fault| self.0.recorder.note("world", Event::Fault(fault));
        let mut stopping = false;
        while !stopping {
            match self.start().await {
                Ok(mut running) => {
                    self.0.wiring.set_dead(&name, false);
                    stopping = tokio::select! {
                        biased;
                        () = self.0.stop.notified() => true,
                        () = running.wait() => false,
                    };
                    if stopping {
                        running.stop().await;
                        self.0.wiring.set_dead(&name, true);
                        return Ok(());
                    }
                }
                Err(error) => self.0.recorder.trace(&name, "start", error.to_string().as_bytes()),
            }
            self.0.disk.detach();
            self.0.wiring.set_dead(&name, true);
            note(Fault::Kill { server: name.clone() });
            tokio::time::sleep(SUPERVISED).await;
            note(Fault::Start { server: name.clone(), empty: false });
        }
        Ok(())
    }

    async fn start(&self) -> Result<tandem::server::Running, tandem::server::ServeError> {
        let parts = &self.0;
        let (booted, process) = {
            let mut state = self.state();
            state.processes += 1;
            (state.booted, state.processes)
        };
        let name: &ServerName = &parts.entry.name;
        let world = World {
            net: Arc::new(SimNet::server(
                name.as_str(),
                parts.wiring.clone(),
                parts.recorder.clone(),
            )),
            clock: Arc::new(SimClock::new(parts.start, booted, parts.recorder.clone())),
            entropy: Arc::new(SimEntropy::new(parts.seed, &format!("{name}/{process}"))),
        };
        let identity: Arc<dyn Identity> = Arc::new(identity(&parts.entry));
        let address = parts.entry.address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let listen = SocketAddr::new(address, parts.entry.port);
        let mut options = ServerOptions::new(name.clone(), listen);
        options.trust = vec![parts.trust.clone()];
        options.writer = WriterKind::Inline;
        options.is_trusted_network = true;
        options.observer = Some(Arc::new(parts.inputs.clone()));
        let disk: Arc<dyn Disk> = Arc::new(parts.disk.clone());
        Server::start(world, disk, identity, options).await
    }
}

/// The identity that a manifest pins, or one of the simulated world's own.
fn identity(entry: &ServerEntry) -> SimIdentity {
    entry.key.map_or_else(|| SimIdentity::unpinned(entry.name.as_str()), SimIdentity::new)
}
