//! Sockets over the simulated network: by the addresses of a manifest, with what passes written down.
//!
//! A manifest may put both servers on one address, and all clients of a site share one simulated machine (an idle
//! one costs time every tick): [`Wiring`] says which machine answers at an address and which address a server sees.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tandem::seam::net::{Listener, Net, Pending, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::history::{Answered, Event};
use crate::record::Recorder;
use crate::world::peer_tap::{Heard, PeerTap};
use crate::world::tap::Tap;

/// The first port that connections go out from; those below are for listeners.
pub const FIRST_PORT: u16 = 10_000;

/// How long a machine takes to say that nothing listens.
const REFUSAL: Duration = Duration::from_millis(2);

/// Who is where on the simulated network. Clones are the same wiring.
#[derive(Clone, Debug, Default)]
pub struct Wiring(Arc<Mutex<Places>>);

#[derive(Debug, Default)]
struct Places {
    /// The server's name by the address and port that a manifest gives; its machine has the same name.
    servers: BTreeMap<(String, u16), String>,
    /// What others see as a machine's address, by its real one on the network.
    addresses: BTreeMap<IpAddr, IpAddr>,
    /// Machines that run, with no process on them.
    dead: BTreeSet<String>,
    /// The address behind each port of a machine that stands for many.
    sources: BTreeMap<(String, u16), IpAddr>,
    next_port: BTreeMap<String, u16>,
    real: BTreeMap<IpAddr, String>,
}

impl Wiring {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a server at an address of the manifest.
    pub fn server(&self, name: &str, address: &str, port: u16) {
        self.places().servers.insert((address.to_lowercase(), port), name.to_owned());
    }

    /// Says which real address a machine has, and which one others see.
    pub fn machine(&self, node: &str, real: IpAddr, seen: IpAddr) {
        let mut places = self.places();
        places.addresses.insert(real, seen);
        places.real.insert(real, node.to_owned());
    }

    /// Says whether a machine runs with no process on it: connections to it are refused at once.
    pub fn set_dead(&self, node: &str, dead: bool) {
        let mut places = self.places();
        if dead {
            places.dead.insert(node.to_owned());
        } else {
            places.dead.remove(node);
        }
    }

    fn at(&self, host: &str, port: u16) -> Option<(String, bool)> {
        let places = self.places();
        let node = places.servers.get(&(host.to_lowercase(), port))?;
        Some((node.clone(), places.dead.contains(node)))
    }

    /// The port that the next connection of a machine goes out from, noted with the address it stands for.
    fn outgoing(&self, node: &str, address: IpAddr) -> u16 {
        let mut places = self.places();
        let next = places.next_port.entry(node.to_owned()).or_insert(FIRST_PORT);
        let port = *next;
        *next = next.checked_add(1).unwrap_or(FIRST_PORT);
        places.sources.insert((node.to_owned(), port), address);
        port
    }

    /// The machine of a real address.
    fn node(&self, real: IpAddr) -> String {
        self.places().real.get(&real).cloned().unwrap_or_default()
    }

    fn seen(&self, origin: SocketAddr) -> SocketAddr {
        let node = self.node(origin.ip());
        let places = self.places();
        let address = places
            .sources
            .get(&(node, origin.port()))
            .or_else(|| places.addresses.get(&origin.ip()))
            .copied()
            .unwrap_or(origin.ip());
        SocketAddr::new(address, origin.port())
    }
}

/// The sockets of one server, or of one client among many on a machine.
#[derive(Clone, Debug)]
pub struct SimNet {
    node: String,
    who: String,
    /// Where a client seems to be; a server is where its machine is.
    address: Option<IpAddr>,
    wiring: Wiring,
    recorder: Recorder,
}

impl SimNet {
    /// The sockets of a server, on a machine of its name.
    #[must_use]
    pub fn server(name: &str, wiring: Wiring, recorder: Recorder) -> Self {
        Self { node: name.to_owned(), who: name.to_owned(), address: None, wiring, recorder }
    }

    /// The sockets of a client on a machine that it shares; servers see it at `address`.
    #[must_use]
    pub fn client(
        node: &str,
        who: &str,
        address: IpAddr,
        wiring: Wiring,
        recorder: Recorder,
    ) -> Self {
        Self {
            node: node.to_owned(),
            who: who.to_owned(),
            address: Some(address),
            wiring,
            recorder,
        }
    }
}

impl Net for SimNet {
    fn listen(&self, address: SocketAddr) -> Pending<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
            let inner = turmoil::net::TcpListener::bind(any).await?;
            let port = inner.local_addr()?.port();
            let address = SocketAddr::new(address.ip(), port);
            let net = self.clone();
            Ok(Box::new(SimListener { inner, address, net }) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Pending<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let Some((node, dead)) = self.wiring.at(host, port) else {
                tokio::time::sleep(REFUSAL).await;
                return Err(io::ErrorKind::ConnectionRefused.into());
            };
            self.recorder.trace(&self.who, "connect", node.as_bytes());
            if dead {
                tokio::time::sleep(REFUSAL).await;
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let expected = self.address.map(|address| self.wiring.outgoing(&self.node, address));
            // The port is taken in the first poll, before any other task of this machine runs.
            let inner = turmoil::net::TcpStream::connect((node.as_str(), port)).await?;
            if expected.is_some_and(|port| inner.local_addr().is_ok_and(|at| at.port() != port)) {
                self.recorder
                    .broken("a connection went out from another port than foreseen".into());
            }
            let tap = match self.address {
                Some(_) => Tapped::Client(Conversation::new(node)),
                None => Tapped::Server { from: node, tap: PeerTap::default() },
            };
            Ok(Box::new(self.stream(inner, tap)) as Box<dyn Stream>)
        })
    }
}

impl SimNet {
    fn stream(&self, inner: turmoil::net::TcpStream, tap: Tapped) -> SimStream {
        SimStream { inner, who: self.who.clone(), recorder: self.recorder.clone(), tap }
    }
}

/// A listening socket.
struct SimListener {
    inner: turmoil::net::TcpListener,
    address: SocketAddr,
    net: SimNet,
}

impl Listener for SimListener {
    fn accept(&self) -> Pending<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async move {
            let (inner, origin) = self.inner.accept().await?;
            let peer = self.net.wiring.seen(origin);
            let from = self.net.wiring.node(origin.ip());
            let tap = Tapped::Server { from, tap: PeerTap::default() };
            Ok((Box::new(self.net.stream(inner, tap)) as Box<dyn Stream>, peer))
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// The requests of a client's connection and which of them wait for an answer.
#[derive(Debug)]
struct Conversation {
    server: String,
    tap: Tap,
    open: std::collections::VecDeque<u64>,
}

impl Conversation {
    fn new(server: String) -> Self {
        Self { server, tap: Tap::default(), open: std::collections::VecDeque::new() }
    }
}

/// What is read along on one end of a connection.
enum Tapped {
    /// A client's requests and their answers.
    Client(Conversation),
    /// A server's: the heartbeats that it reads, where the other end is its peer.
    Server { from: String, tap: PeerTap },
}

/// A connection, one end of it.
struct SimStream {
    inner: turmoil::net::TcpStream,
    who: String,
    recorder: Recorder,
    tap: Tapped,
}

impl AsyncRead for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        this.recorder.trace(&this.who, "read", bytes);
        match &mut this.tap {
            Tapped::Client(talk) => {
                for answer in talk.tap.received(bytes) {
                    let Some(request) = talk.open.pop_front() else { continue };
                    let (status, code) = (answer.status, answer.code);
                    let lease = answer.lease.map(Box::new);
                    let server = answer.server.map(Box::new);
                    let event = Event::Answered(Answered { request, status, code, lease, server });
                    this.recorder.note(&this.who, event);
                }
            }
            Tapped::Server { from, tap } => {
                for Heard { active, paired } in tap.read(bytes) {
                    let event = Event::Heard { from: from.as_str().into(), active, paired };
                    this.recorder.note(&this.who, event);
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count = ready!(Pin::new(&mut this.inner).poll_write(context, bytes))?;
        let bytes = bytes.get(..count).unwrap_or_default();
        this.recorder.trace(&this.who, "write", bytes);
        if let Tapped::Client(talk) = &mut this.tap {
            for ask in talk.tap.sent(bytes) {
                talk.open.push_back(this.recorder.asked(&this.who, &talk.server, ask));
            }
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let Tapped::Client(talk) = &mut self.tap else { return };
        for request in std::mem::take(&mut talk.open) {
            self.recorder.note(&self.who, Event::Lost { request });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Ask, Entry};
    use crate::world::entropy::SimEntropy;
    use tandem::seam::entropy::Entropy as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const ANSWER: &str = "HTTP/1.1 503 X\r\nContent-Length: 18\r\n\r\n{\"code\":\"standby\"}";

    /// A server that answers every request with a refusal, and two clients of one machine.
    fn run(seed: u64) -> (Vec<Entry>, String, Vec<IpAddr>) {
        let mut builder = turmoil::Builder::new();
        builder.rng_seed(seed).enable_random_order().ephemeral_ports(FIRST_PORT..=u16::MAX);
        let epoch = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let mut sim = builder.epoch(epoch).build();
        let (wiring, recorder) = (Wiring::default(), Recorder::default());
        let peers = Arc::new(Mutex::new(Vec::new()));
        wiring.server("lic-a", "127.0.0.1", 4820);
        let (net, seen) =
            (SimNet::server("lic-a", wiring.clone(), recorder.clone()), peers.clone());
        sim.host("lic-a", move || {
            let (net, seen) = (net.clone(), seen.clone());
            async move {
                let listener = net.listen("127.0.0.1:4820".parse()?).await?;
                loop {
                    let (mut stream, peer) = listener.accept().await?;
                    seen.lock().map_err(|_| "poisoned")?.push(peer.ip());
                    tokio::spawn(async move {
                        let mut bytes = [0; 500];
                        if stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {
                            let _ = stream.write_all(ANSWER.as_bytes()).await;
                        }
                    });
                }
            }
        });
        let (places, records) = (wiring.clone(), recorder.clone());
        sim.client("clients", async move {
            let mut tasks = Vec::new();
            for n in 1..=2 {
                let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, n));
                let who = format!("client-{n}");
                let net = SimNet::client("clients", &who, address, places.clone(), records.clone());
                let entropy = SimEntropy::new(seed, &who);
                tasks.push(tokio::spawn(async move {
                    let mut wait = [0];
                    entropy.fill(&mut wait);
                    tokio::time::sleep(Duration::from_millis(wait[0].into())).await;
                    let mut stream = net.connect("127.0.0.1", 4820).await?;
                    stream.write_all(b"GET /v1/status HTTP/1.1\r\n\r\n").await?;
                    let mut answer = Vec::new();
                    stream.read_to_end(&mut answer).await?;
                    assert_eq!(answer, ANSWER.as_bytes());
                    assert!(net.connect("127.0.0.1", 1).await.is_err());
                    io::Result::Ok(())
                }));
            }
            for task in tasks {
                task.await??;
            }
            Ok(())
        });
        wiring.machine("lic-a", sim.lookup("lic-a"), IpAddr::V4(Ipv4Addr::LOCALHOST));
        wiring.machine("clients", sim.lookup("clients"), IpAddr::V4(Ipv4Addr::LOCALHOST));
        for at in 0.. {
            recorder.set_now(at);
            if sim.step().expect("the run goes well") {
                break;
            }
        }
        assert_eq!(recorder.failure(), None);
        let (entries, hash) = recorder.finish();
        let mut peers = peers.lock().expect("not poisoned").clone();
        peers.sort();
        (entries, hash, peers)
    }

    #[test]
    fn what_passes_is_written_down_and_addresses_are_those_of_the_clients() {
        let (entries, _, peers) = run(1);
        assert_eq!(peers, [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)]);
        let asked = entries
            .iter()
            .filter(|entry| {
                let what = Ask::Other { what: "GET /v1/status".into() };
                matches!(&entry.event, Event::Asked { to, ask, .. } if to == "lic-a" && **ask == what)
            })
            .count();
        let answered = entries
            .iter()
            .filter(|entry| {
                matches!(&entry.event, Event::Answered(Answered { status: 503, code: Some(code), .. }) if code == "standby")
            })
            .count();
        assert_eq!((asked, answered), (2, 2));
    }

    #[test]
    fn one_seed_is_one_run() {
        assert_eq!(run(3).1, run(3).1);
        assert_ne!(run(3).1, run(4).1);
    }
}
