//! The ssh-agent's protocol, as far as an operator needs it: which keys it holds, and a signature by one of them.
//!
//! Two requests of draft-miller-ssh-agent over a stream. It knows nothing of what is signed. Whatever the agent
//! answers is bounded and read without trust.

use std::ffi::OsStr;
use std::io;

use ssh_key::{Algorithm, PublicKey, Signature};

use crate::seam::agent::Talk;

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const FAILURE: u8 = 5;

/// The longest message that OpenSSH's agent sends or takes.
const MESSAGE_MAX: usize = 256 * 1024;

/// Why the agent gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No agent is named, or it cannot be reached.
    #[error("no ssh-agent can be reached ({0}): start one and add the key with `ssh-add`")]
    Unreachable(String),
    /// The connection broke, or the agent did not answer in time.
    #[error("the ssh-agent did not answer: {0}")]
    Broken(#[from] io::Error),
    /// The agent refused.
    #[error("the ssh-agent refused: it may be locked, or the signature was not confirmed")]
    Refused,
    /// What the agent sent is no answer to the request.
    #[error("the ssh-agent's answer cannot be read")]
    Malformed,
}

/// Connects to the agent at this socket, or to the system's own where there is one.
pub(super) fn connect(socket: Option<&OsStr>) -> Result<Box<dyn Talk>, AgentError> {
    crate::seam::agent::connect(socket).map_err(|error| AgentError::Unreachable(error.to_string()))
}

/// The Ed25519 keys that the agent holds, in its order; others are passed over.
pub(super) fn keys(stream: &mut dyn Talk) -> Result<Vec<PublicKey>, AgentError> {
    let answer = ask(stream, REQUEST_IDENTITIES, &[], IDENTITIES_ANSWER)?;
    let rest = &mut answer.as_slice();
    let count = number(rest).ok_or(AgentError::Malformed)?;
    let mut keys = Vec::new();
    for _ in 0..count {
        let blob = text(rest).ok_or(AgentError::Malformed)?;
        let comment = text(rest).ok_or(AgentError::Malformed)?;
        // A key of a kind that we do not know is no reason to miss the others.
        if let Ok(mut key) = PublicKey::from_bytes(blob)
            && key.key_data().is_ed25519()
        {
            key.set_comment(String::from_utf8_lossy(comment));
            keys.push(key);
        }
    }
    Ok(keys)
}

/// The signature of one of the agent's keys over these bytes.
pub(super) fn sign(
    stream: &mut dyn Talk,
    key: &PublicKey,
    bytes: &[u8],
) -> Result<[u8; 64], AgentError> {
    let blob = key.to_bytes().map_err(|_| AgentError::Malformed)?;
    let mut body = Vec::new();
    put(&mut body, &blob)?;
    put(&mut body, bytes)?;
    body.extend_from_slice(&[0; 4]);
    let answer = ask(stream, SIGN_REQUEST, &body, SIGN_RESPONSE)?;
    let blob = text(&mut answer.as_slice()).ok_or(AgentError::Malformed)?;
    let signature = Signature::try_from(blob).map_err(|_| AgentError::Malformed)?;
    if signature.algorithm() != Algorithm::Ed25519 {
        return Err(AgentError::Malformed);
    }
    signature.as_bytes().try_into().map_err(|_| AgentError::Malformed)
}

/// Takes a number off the front.
fn number(rest: &mut &[u8]) -> Option<u32> {
    let (bytes, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_be_bytes(*bytes))
}

/// Takes a text with its length off the front.
fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(number(rest)?).ok()?;
    let (bytes, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(bytes)
}

/// Appends a text with its length.
fn put(body: &mut Vec<u8>, bytes: &[u8]) -> Result<(), AgentError> {
    let len = u32::try_from(bytes.len()).map_err(|_| AgentError::Malformed)?;
    body.extend_from_slice(&len.to_be_bytes());
    body.extend_from_slice(bytes);
    Ok(())
}

/// One request and its answer, without the byte that says which it is.
fn ask(
    stream: &mut dyn Talk,
    request: u8,
    body: &[u8],
    expected: u8,
) -> Result<Vec<u8>, AgentError> {
    let len = u32::try_from(body.len() + 1).map_err(|_| AgentError::Malformed)?;
    let mut message = Vec::with_capacity(body.len() + 5);
    message.extend_from_slice(&len.to_be_bytes());
    message.push(request);
    message.extend_from_slice(body);
    stream.write_all(&message)?;
    stream.flush()?;

    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let len = usize::try_from(u32::from_be_bytes(len)).map_err(|_| AgentError::Malformed)?;
    if len == 0 || len > MESSAGE_MAX {
        return Err(AgentError::Malformed);
    }
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    let mut answer = vec![0; len - 1];
    stream.read_exact(&mut answer)?;
    match kind {
        [kind] if kind == expected => Ok(answer),
        [FAILURE] => Err(AgentError::Refused),
        _ => Err(AgentError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// An agent that says what it is told to, whatever is asked.
    struct Script(io::Cursor<Vec<u8>>);

    impl Script {
        fn answering(kind: u8, body: &[u8]) -> Self {
            let len = u32::try_from(body.len() + 1).expect("a short body");
            let mut bytes = len.to_be_bytes().to_vec();
            bytes.push(kind);
            bytes.extend_from_slice(body);
            Self(io::Cursor::new(bytes))
        }
    }
    impl Read for Script {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            self.0.read(bytes)
        }
    }
    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti ana";

    #[test]
    fn keys_of_other_kinds_are_passed_over() {
        let key = PublicKey::from_openssh(KEY).expect("a valid key");
        let mut body = 2_u32.to_be_bytes().to_vec();
        let blob = key.to_bytes().expect("encodes");
        for (blob, comment) in [(b"\0\0\0\x05other".as_slice(), "x"), (&blob, "ana")] {
            put(&mut body, blob).expect("short");
            put(&mut body, comment.as_bytes()).expect("short");
        }
        let found = keys(&mut Script::answering(IDENTITIES_ANSWER, &body)).expect("an answer");
        assert_eq!(found, [key]);
    }

    #[test]
    fn an_answer_that_lies_about_its_length_is_refused() {
        let huge = [0xff, 0xff, 0xff, 0xff, IDENTITIES_ANSWER];
        let answer = keys(&mut Script(io::Cursor::new(huge.to_vec())));
        assert!(matches!(answer, Err(AgentError::Malformed)), "{answer:?}");
        let many = keys(&mut Script::answering(IDENTITIES_ANSWER, &[0xff; 4]));
        assert!(matches!(many, Err(AgentError::Malformed)), "{many:?}");
    }

    #[test]
    fn a_failure_is_a_refusal() {
        let answer = keys(&mut Script::answering(FAILURE, &[]));
        assert!(matches!(answer, Err(AgentError::Refused)), "{answer:?}");
    }
}
