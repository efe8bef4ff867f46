//! The handshake of the pair's connection: each side proves who it is, over both sides' nonces and names.
//!
//! It tells who is there and with which key. Whether that key is accepted is the caller's word, asked before
//! anything is proved to a stranger. docs/reference/peer.md has the messages.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::wire::{self, HANDSHAKE_MAX, WireError};
use crate::name::{PublicKey, ServerName};
use crate::seam::entropy::{Entropy, Identity};
use crate::seam::net::Stream;
use crate::text::hex;

/// The versions of the protocol that this program speaks.
const VERSIONS: [u32; 1] = [1];
/// The most versions that a peer may name.
const VERSIONS_MAX: usize = 64;

/// A server as it introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Introduction {
    name: ServerName,
    key: PublicKey,
    /// 128 fresh random bits in hexadecimal.
    nonce: String,
}

/// The messages of the handshake, in the order in which they are sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Message {
    /// The one who connects says who it is and what it speaks.
    Offer {
        versions: Vec<u32>,
        #[serde(flatten)]
        me: Introduction,
    },
    /// The other one chooses the version, says who it is, and proves it.
    Proof {
        version: u32,
        #[serde(flatten)]
        me: Introduction,
        signature: String,
    },
    /// The one who connects proves who it is.
    Answer { signature: String },
    /// The other one is content: frames follow.
    Welcome {},
    /// The sender closes the connection.
    Refused { code: String, detail: String },
}

/// What is signed: which side signs, and everything both have said.
#[derive(Serialize)]
struct Transcript<'a> {
    protocol: &'static str,
    side: &'static str,
    version: u32,
    connects: &'a Introduction,
    accepts: &'a Introduction,
}

/// Who is at the other end, proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proved {
    /// Its name.
    pub(super) name: ServerName,
    /// Its identity key.
    pub(super) key: PublicKey,
}

/// Why a key or a name is not accepted: a word for programs, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(super) struct NotAccepted {
    /// For example `peer-key-changed`.
    pub(super) code: &'static str,
    /// What is wrong and what to do.
    pub(super) detail: String,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// Nothing came, or something else than was due.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The other side is not accepted here.
    #[error(transparent)]
    NotAccepted(#[from] NotAccepted),
    /// This side is not accepted there.
    #[error("the peer refused this server: {detail} ({code})")]
    Refused {
        /// The peer's word.
        code: String,
        /// The peer's sentence.
        detail: String,
    },
    /// A message came out of its order.
    #[error("the peer does not keep to the handshake")]
    OutOfOrder,
}

/// Who this server is.
#[derive(Clone, Copy)]
pub(super) struct Me<'a> {
    pub(super) name: &'a ServerName,
    pub(super) identity: &'a dyn Identity,
    pub(super) entropy: &'a dyn Entropy,
}

impl Me<'_> {
    fn introduction(&self) -> Introduction {
        let nonce = self.entropy.bytes16();
        Introduction { name: self.name.clone(), key: self.identity.public(), nonce: hex(&nonce) }
    }
}

/// The side that has connected.
pub(super) async fn connect(
    stream: &mut dyn Stream,
    me: Me<'_>,
    accepts: impl Fn(&ServerName, &PublicKey) -> Result<(), NotAccepted>,
) -> Result<Proved, HandshakeError> {
    let mine = me.introduction();
    send(stream, &Message::Offer { versions: VERSIONS.to_vec(), me: mine.clone() }).await?;
    let (version, theirs, signature) = match receive(stream).await? {
        Message::Proof { version, me, signature } => (version, me, signature),
        _ => return Err(HandshakeError::OutOfOrder),
    };
    if !VERSIONS.contains(&version) || !is_nonce(&theirs.nonce) {
        return Err(HandshakeError::OutOfOrder);
    }
    let transcript = |side| transcript(side, version, &mine, &theirs);
    let accepted = accepts(&theirs.name, &theirs.key)
        .and_then(|()| check(me.identity, &theirs, &transcript("accepts"), &signature));
    if let Err(not) = accepted {
        return refuse(stream, not).await;
    }
    let signature = hex(&me.identity.sign(&transcript("connects")));
    send(stream, &Message::Answer { signature }).await?;
    match receive(stream).await? {
        Message::Welcome {} => Ok(Proved { name: theirs.name, key: theirs.key }),
        _ => Err(HandshakeError::OutOfOrder),
    }
}

/// The side that was connected to.
pub(super) async fn accept(
    stream: &mut dyn Stream,
    me: Me<'_>,
    accepts: impl Fn(&ServerName, &PublicKey) -> Result<(), NotAccepted>,
) -> Result<Proved, HandshakeError> {
    let (versions, theirs) = match receive(stream).await? {
        Message::Offer { versions, me } => (versions, me),
        _ => return Err(HandshakeError::OutOfOrder),
    };
    if versions.len() > VERSIONS_MAX || !is_nonce(&theirs.nonce) {
        return Err(HandshakeError::OutOfOrder);
    }
    let Some(version) = VERSIONS.into_iter().filter(|version| versions.contains(version)).max()
    else {
        let detail = format!(
            "the peer speaks the versions {versions:?} of the protocol, this server {VERSIONS:?}: \
             upgrade the older one"
        );
        return refuse(stream, NotAccepted { code: "version", detail }).await;
    };
    if let Err(not) = accepts(&theirs.name, &theirs.key) {
        return refuse(stream, not).await;
    }
    let mine = me.introduction();
    let transcript = |side| transcript(side, version, &theirs, &mine);
    let signature = hex(&me.identity.sign(&transcript("accepts")));
    send(stream, &Message::Proof { version, me: mine.clone(), signature }).await?;
    let signature = match receive(stream).await? {
        Message::Answer { signature } => signature,
        _ => return Err(HandshakeError::OutOfOrder),
    };
    if let Err(not) = check(me.identity, &theirs, &transcript("connects"), &signature) {
        return refuse(stream, not).await;
    }
    send(stream, &Message::Welcome {}).await?;
    Ok(Proved { name: theirs.name, key: theirs.key })
}

fn transcript(
    side: &'static str,
    version: u32,
    connects: &Introduction,
    accepts: &Introduction,
) -> Vec<u8> {
    let transcript = Transcript { protocol: "tandem peer v1", side, version, connects, accepts };
    // Texts and numbers alone: serializing them cannot fail.
    serde_json::to_vec(&transcript).unwrap_or_default()
}

fn check(
    identity: &dyn Identity,
    theirs: &Introduction,
    transcript: &[u8],
    signature: &str,
) -> Result<(), NotAccepted> {
    let proved = unhex::<64>(signature)
        .is_some_and(|signature| identity.verify(&theirs.key, transcript, &signature));
    if proved {
        return Ok(());
    }
    let detail = format!("`{}` did not prove that it has its key", theirs.name);
    Err(NotAccepted { code: "not-proved", detail })
}

async fn send(stream: &mut dyn Stream, message: &Message) -> Result<(), HandshakeError> {
    let mut bytes = Vec::new();
    wire::append(&mut bytes, message, HANDSHAKE_MAX)?;
    write(stream, &bytes).await.map_err(WireError::Io)?;
    Ok(())
}

async fn write(stream: &mut (dyn AsyncWrite + Send + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

async fn receive(stream: &mut dyn Stream) -> Result<Message, HandshakeError> {
    // A reference to the trait object is a stream of its own.
    let mut stream = stream;
    match wire::read(&mut stream, HANDSHAKE_MAX).await? {
        Message::Refused { code, detail } => {
            let short = |text: String| text.chars().take(500).collect();
            Err(HandshakeError::Refused { code: short(code), detail: short(detail) })
        }
        message => Ok(message),
    }
}

/// Says why, and ends.
async fn refuse<T>(stream: &mut dyn Stream, not: NotAccepted) -> Result<T, HandshakeError> {
    let refused = Message::Refused { code: not.code.to_owned(), detail: not.detail.clone() };
    // Whether it can still be told changes nothing.
    let _told = send(stream, &refused).await;
    Err(not.into())
}

fn is_nonce(text: &str) -> bool {
    unhex::<16>(text).is_some()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::entropy::{Ed25519Identity, OsEntropy};

    struct Side {
        name: ServerName,
        identity: Ed25519Identity,
    }

    impl Side {
        fn new(name: &str, seed: u8) -> Self {
            let identity = Ed25519Identity::from_seed(&[seed; 32]);
            Self { name: name.parse().expect("a name"), identity }
        }

        fn me(&self) -> Me<'_> {
            Me { name: &self.name, identity: &self.identity, entropy: &OsEntropy }
        }
    }

    fn anybody(_: &ServerName, _: &PublicKey) -> Result<(), NotAccepted> {
        Ok(())
    }

    fn nobody(_: &ServerName, _: &PublicKey) -> Result<(), NotAccepted> {
        Err(NotAccepted { code: "peer-key-changed", detail: "another key".to_owned() })
    }

    #[tokio::test]
    async fn two_servers_prove_who_they_are() {
        let (a, b) = (Side::new("lic-a", 1), Side::new("lic-b", 2));
        let (mut one, mut other) = tokio::io::duplex(1 << 16);
        let (of_b, of_a) =
            tokio::join!(connect(&mut one, a.me(), anybody), accept(&mut other, b.me(), anybody));
        assert_eq!(
            of_b.expect("proved"),
            Proved { name: b.name.clone(), key: b.identity.public() }
        );
        assert_eq!(
            of_a.expect("proved"),
            Proved { name: a.name.clone(), key: a.identity.public() }
        );
    }

    #[tokio::test]
    async fn who_is_not_accepted_is_told_why() {
        let (a, b) = (Side::new("lic-a", 1), Side::new("lic-b", 2));
        let (mut one, mut other) = tokio::io::duplex(1 << 16);
        let (of_b, of_a) =
            tokio::join!(connect(&mut one, a.me(), anybody), accept(&mut other, b.me(), nobody));
        assert!(
            matches!(of_b, Err(HandshakeError::Refused { code, .. }) if code == "peer-key-changed")
        );
        assert!(matches!(of_a, Err(HandshakeError::NotAccepted(_))));
        let (mut one, mut other) = tokio::io::duplex(1 << 16);
        let (of_b, of_a) =
            tokio::join!(connect(&mut one, a.me(), nobody), accept(&mut other, b.me(), anybody));
        assert!(matches!(of_b, Err(HandshakeError::NotAccepted(_))));
        assert!(matches!(of_a, Err(HandshakeError::Refused { .. })));
    }

    #[tokio::test]
    async fn a_key_that_is_not_the_senders_proves_nothing() {
        struct Liar(Ed25519Identity, Ed25519Identity);
        impl Identity for Liar {
            fn public(&self) -> PublicKey {
                self.0.public()
            }
            fn sign(&self, message: &[u8]) -> [u8; 64] {
                self.1.sign(message)
            }
            fn verify(&self, key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool {
                self.1.verify(key, message, signature)
            }
        }
        let (a, b) = (Side::new("lic-a", 1), Side::new("lic-b", 2));
        let liar = Liar(Ed25519Identity::from_seed(&[1; 32]), Ed25519Identity::from_seed(&[3; 32]));
        let me = Me { name: &a.name, identity: &liar, entropy: &OsEntropy };
        let (mut one, mut other) = tokio::io::duplex(1 << 16);
        let (_, of_a) =
            tokio::join!(connect(&mut one, me, anybody), accept(&mut other, b.me(), anybody));
        assert!(matches!(
            of_a,
            Err(HandshakeError::NotAccepted(NotAccepted { code: "not-proved", .. }))
        ));
    }
}
