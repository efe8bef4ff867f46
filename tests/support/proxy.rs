//! A cable between two servers that can be cut, slowed and pulled: it passes on what the one that connects and the one
//! that listens say to each other, and reads along which heartbeats arrive.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// How often a pump looks whether it may go on.
const LOOK: Duration = Duration::from_millis(2);

/// What may pass in one direction.
#[derive(Debug, Default)]
pub(crate) struct Way {
    /// Nothing passes; what was sent waits.
    pub(crate) held: AtomicBool,
    /// How long each piece takes, in milliseconds.
    pub(crate) delay_ms: AtomicU64,
}

/// Called with what was heard on a way: whether the sender is active, whether it said *paired*.
type Hears = Arc<dyn Fn(bool, bool) + Send + Sync>;

/// The cable to one server. The other one connects to it.
pub(crate) struct Cable {
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cable {
    /// A cable from a listener to a port: `there` is towards that port, `back` from it.
    pub(crate) fn new(
        listener: TcpListener,
        port: u16,
        [there, back]: [Arc<Way>; 2],
        [hears_there, hears_back]: [Hears; 2],
    ) -> Self {
        let connections: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let kept = Arc::clone(&connections);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else {
                    let _ = near.shutdown(Shutdown::Both);
                    continue;
                };
                let both = [near.try_clone(), far.try_clone()];
                kept.lock().expect("no pump panicked").extend(both.into_iter().flatten());
                pump(&near, &far, &there, &hears_there);
                pump(&far, &near, &back, &hears_back);
            }
        });
        Self { connections }
    }

    /// Breaks every connection that is open.
    pub(crate) fn reset(&self) {
        for connection in self.connections.lock().expect("no pump panicked").drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn pump(from: &TcpStream, to: &TcpStream, way: &Arc<Way>, hears: &Hears) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
    let (way, hears) = (Arc::clone(way), Arc::clone(hears));
    std::thread::spawn(move || {
        let mut tap = Tap::default();
        let mut piece = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            std::thread::sleep(Duration::from_millis(way.delay_ms.load(Ordering::Relaxed)));
            while way.held.load(Ordering::Relaxed) {
                std::thread::sleep(LOOK);
            }
            let bytes = piece.get(..length).expect("no more than was read");
            // Whoever has hung up meanwhile hears nothing: its system says that nobody reads.
            if to.write_all(bytes).is_err() || !matches!(to.take_error(), Ok(None)) {
                break;
            }
            for (active, paired) in tap.read(bytes) {
                hears(active, paired);
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// The frames of one direction: after the head of an upgraded request, each has its length in front.
#[derive(Default)]
struct Tap {
    buffer: Vec<u8>,
    has_head: bool,
}

impl Tap {
    fn read(&mut self, bytes: &[u8]) -> Vec<(bool, bool)> {
        self.buffer.extend_from_slice(bytes);
        if !self.has_head {
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = end else { return Vec::new() };
            self.buffer.drain(..end + 4);
            self.has_head = true;
        }
        let mut heard = Vec::new();
        while let Some((length, rest)) = self.buffer.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*length)).expect("it fits");
            let Some(frame) = rest.get(..length) else { break };
            let frame: Value = serde_json::from_slice(frame).unwrap_or_default();
            if let Some(beat) = frame.get("heartbeat") {
                heard.push((beat["state"] == "active", beat["paired"] == true));
            }
            self.buffer.drain(..4 + length);
        }
        heard
    }
}
