//! Reads along on a server's side of the pair's connection: which heartbeats its process took from the socket.
//!
//! It knows how the connection begins (an upgraded HTTP request) and how frames are delimited, and of the frames the
//! heartbeat alone. Any other connection ends it at once.

use serde_json::Value;

/// How a heartbeat begins on the wire.
const HEARTBEAT: &[u8] = b"{\"heartbeat\"";

/// What is read along on one connection of a server.
#[derive(Debug, Default)]
pub struct PeerTap {
    buffer: Vec<u8>,
    state: State,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// The head of the request that asks for the upgrade, or of the answer that grants it.
    #[default]
    Head,
    Frames,
    /// Not the pair's connection.
    Done,
}

/// A heartbeat that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Whether its sender said that it is active.
    pub active: bool,
    /// Whether it said *paired*.
    pub paired: bool,
}

impl PeerTap {
    /// Takes bytes that the server read; gives the heartbeats in them.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<Heard> {
        if self.state == State::Done {
            return Vec::new();
        }
        self.buffer.extend_from_slice(bytes);
        if self.state == State::Head {
            let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
                return Vec::new();
            };
            let ours = self.buffer.starts_with(b"GET /v1/peer ")
                || self.buffer.starts_with(b"HTTP/1.1 101");
            if !ours {
                *self = Self { buffer: Vec::new(), state: State::Done };
                return Vec::new();
            }
            self.buffer.drain(..end + 4);
            self.state = State::Frames;
        }
        let mut heard = Vec::new();
        while let Some(frame) = self.frame() {
            heard.extend(heartbeat(&frame));
        }
        heard
    }

    fn frame(&mut self) -> Option<Vec<u8>> {
        let (length, _) = self.buffer.split_first_chunk::<4>()?;
        let end = 4 + usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let frame = self.buffer.get(4..end)?.to_vec();
        self.buffer.drain(..end);
        Some(frame)
    }
}

fn heartbeat(frame: &[u8]) -> Option<Heard> {
    if !frame.starts_with(HEARTBEAT) {
        return None;
    }
    let value: Value = serde_json::from_slice(frame).ok()?;
    let active = value.pointer("/heartbeat/state")?.as_str()? == "active";
    Some(Heard { active, paired: value.pointer("/heartbeat/paired")?.as_bool()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem::measure::Generation;
    use tandem::pair::{Frame, Heartbeat, State as Doing};

    fn framed(text: &str) -> Vec<u8> {
        let mut bytes = u32::try_from(text.len()).expect("a short text").to_be_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    #[test]
    fn heartbeats_are_read_whatever_the_pieces() {
        let beat = Frame::Heartbeat(Heartbeat {
            state: Doing::Active,
            paired: true,
            grace: false,
            received: 7,
            generation: Generation(1),
            renewed: Vec::new(),
        });
        let beat = serde_json::to_string(&beat).expect("a frame is JSON");
        let mut bytes =
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: tandem-peer/1\r\n\r\n".to_vec();
        bytes.extend(framed("{\"hello\":{}}"));
        bytes.extend(framed(&beat));
        bytes.extend(framed("\"goodbye\""));
        for piece in [1, 9, 1000] {
            let mut tap = PeerTap::default();
            let heard: Vec<_> = bytes.chunks(piece).flat_map(|bytes| tap.read(bytes)).collect();
            assert_eq!(heard, [Heard { active: true, paired: true }]);
        }
    }

    #[test]
    fn a_clients_connection_is_none_of_its_business() {
        let mut tap = PeerTap::default();
        assert_eq!(tap.read(b"GET /v1/status HTTP/1.1\r\n\r\n"), []);
        assert_eq!(tap.read(&framed("{\"heartbeat\":{\"state\":\"active\",\"paired\":true}}")), []);
    }
}
