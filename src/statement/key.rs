//! Keys of operators and users: public ones to verify with, and what a private one must do.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ed25519_dalek::VerifyingKey;
use sha2::Digest as _;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::public::{Ed25519PublicKey, KeyData};
use ssh_key::{HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};
use zeroize::Zeroizing;

use crate::manifest::types::SshPublicKey;

use super::Namespace;

/// The public key of an operator, or of a user whose requests are signed: an `ssh-ed25519` key.
///
/// Two are equal when the keys are, whatever their comments.
#[derive(Clone)]
pub struct OperatorKey {
    bytes: [u8; 32],
    comment: Box<str>,
}

/// Why a text is not a key to verify with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperatorKeyError {
    /// It is not a line of an `.pub` file.
    #[error(
        "is not an SSH public key: write `ssh-ed25519 BASE64 comment`, as a `.pub` file has it"
    )]
    Malformed,
    /// It is a key of another kind.
    #[error("is a key of the kind `{kind}`: operators sign with `ssh-ed25519`")]
    Kind {
        /// The kind, as OpenSSH calls it.
        kind: String,
    },
    /// The bytes are no key that could sign.
    #[error("is no key that could sign: make one with `ssh-keygen -t ed25519`")]
    Weak,
}

impl OperatorKey {
    /// Reads a key as a `.pub` file or `authorized_keys` has it.
    ///
    /// # Errors
    /// The text is no such key, of another kind, or one that verifies anything.
    pub fn parse(text: &str) -> Result<Self, OperatorKeyError> {
        let text = text.trim();
        if text.chars().any(char::is_control) {
            return Err(OperatorKeyError::Malformed);
        }
        let public = PublicKey::from_openssh(text).map_err(|_| OperatorKeyError::Malformed)?;
        let KeyData::Ed25519(Ed25519PublicKey(bytes)) = public.key_data() else {
            return Err(OperatorKeyError::Kind { kind: public.algorithm().to_string() });
        };
        match VerifyingKey::from_bytes(bytes) {
            Ok(key) if !key.is_weak() => {
                Ok(Self { bytes: *bytes, comment: public.comment().into() })
            }
            _ => Err(OperatorKeyError::Weak),
        }
    }

    /// Reads the keys of a file: one a line, `#` begins a comment line.
    ///
    /// # Errors
    /// The number of the first line that is no key, from 1, and why.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, (usize, OperatorKeyError)> {
        let lines = (1..).zip(text.lines()).map(|(number, line)| (number, line.trim()));
        lines
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(number, line)| Self::parse(line).map_err(|error| (number, error)))
            .collect()
    }

    /// The key's 32 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// What the key's line says after the key, often whose it is.
    #[must_use]
    pub const fn comment(&self) -> &str {
        &self.comment
    }

    /// The fingerprint as `ssh-keygen -l` shows it: `SHA256:` and base64.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(self.bytes)
    }

    pub(super) fn proven(bytes: [u8; 32]) -> Self {
        Self { bytes, comment: "".into() }
    }
}

/// The fingerprint of an Ed25519 key, as OpenSSH makes it: how keys of servers and vendors are shown, too.
#[must_use]
pub fn fingerprint(bytes: [u8; 32]) -> String {
    let mut blob = Vec::with_capacity(51);
    for part in [b"ssh-ed25519".as_slice(), &bytes] {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        blob.extend_from_slice(&length.to_be_bytes());
        blob.extend_from_slice(part);
    }
    format!("SHA256:{}", STANDARD_NO_PAD.encode(sha2::Sha256::digest(blob)))
}

impl PartialEq for OperatorKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for OperatorKey {}

/// As a `.pub` file has it.
impl std::fmt::Display for OperatorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = KeyData::Ed25519(Ed25519PublicKey(self.bytes));
        let line = PublicKey::new(key, &*self.comment).to_openssh().map_err(|_| std::fmt::Error)?;
        f.write_str(line.trim_end())
    }
}

impl std::fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OperatorKey({} {})", self.fingerprint(), self.comment)
    }
}

/// Whose signatures are accepted now: the operators of the bundle that runs, and the `--trust` keys beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring {
    operators: Vec<OperatorKey>,
    trust: Vec<OperatorKey>,
}

impl Keyring {
    /// The keyring of a server. A text among `operators` that is no key belongs to nobody.
    #[must_use]
    pub fn new(operators: &[SshPublicKey], trust: &[OperatorKey]) -> Self {
        Self { operators: Vec::new(), trust: trust.to_vec() }.with_operators(operators)
    }

    /// The same `--trust` keys beside the operators of another bundle.
    #[must_use]
    pub fn with_operators(&self, operators: &[SshPublicKey]) -> Self {
        let operators = operators.iter().filter_map(|key| OperatorKey::parse(&key.0).ok());
        Self { operators: operators.collect(), trust: self.trust.clone() }
    }

    /// Whether nobody at all can sign.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operators.is_empty() && self.trust.is_empty()
    }

    /// The `--trust` keys.
    #[must_use]
    pub fn trust(&self) -> &[OperatorKey] {
        &self.trust
    }

    /// The operators of the bundle.
    #[must_use]
    pub fn operators(&self) -> &[OperatorKey] {
        &self.operators
    }

    /// The key as the keyring knows it, with its comment, where its signatures are accepted.
    #[must_use]
    pub fn find(&self, key: &OperatorKey) -> Option<&OperatorKey> {
        self.operators.iter().chain(&self.trust).find(|known| *known == key)
    }

    /// Whether it is one of the `--trust` keys.
    #[must_use]
    pub fn is_trust_key(&self, key: &OperatorKey) -> bool {
        self.trust.contains(key)
    }
}

/// A private key, wherever it is kept: in memory, in an ssh-agent.
pub trait Signs {
    /// The public half.
    fn public(&self) -> &OperatorKey;

    /// An armored SSHSIG over exactly this message.
    ///
    /// # Errors
    /// Whoever keeps the key did not sign.
    fn sign(&self, namespace: Namespace, message: &[u8]) -> Result<String, SignError>;
}

/// Why a signature could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key {fingerprint} did not sign: {problem}")]
pub struct SignError {
    /// The fingerprint of the key.
    pub fingerprint: String,
    /// What went wrong.
    pub problem: String,
}

/// A private key in memory.
pub struct MemoryKey {
    private: PrivateKey,
    public: OperatorKey,
}

impl MemoryKey {
    /// The key of a seed of 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: [u8; 32], comment: &str) -> Self {
        let seed = Zeroizing::new(seed);
        let pair = Ed25519Keypair::from_seed(&seed);
        let public = OperatorKey { bytes: pair.public.0, comment: comment.into() };
        #[expect(clippy::expect_used, reason = "the key is not encrypted")]
        let private =
            PrivateKey::new(KeypairData::Ed25519(pair), comment).expect("an open key is a key");
        Self { private, public }
    }

    /// A private key as OpenSSH writes it, opened: not encrypted.
    ///
    /// # Errors
    /// The text is no private key, is encrypted, or of another kind.
    pub fn from_openssh(text: &str) -> Result<Self, OperatorKeyError> {
        let private = PrivateKey::from_openssh(text).map_err(|_| OperatorKeyError::Malformed)?;
        let KeypairData::Ed25519(pair) = private.key_data() else {
            let kind = if private.is_encrypted() {
                "encrypted".to_owned()
            } else {
                private.algorithm().to_string()
            };
            return Err(OperatorKeyError::Kind { kind });
        };
        let public = OperatorKey { bytes: pair.public.0, comment: private.comment().into() };
        Ok(Self { private, public })
    }

    /// The private key as OpenSSH writes it. Keep it secret.
    #[must_use]
    pub fn to_openssh(&self) -> Zeroizing<String> {
        #[expect(clippy::expect_used, reason = "an open key always encodes")]
        self.private.to_openssh(LineEnding::LF).expect("a key encodes")
    }
}

impl std::fmt::Debug for MemoryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("MemoryKey").field(&self.public).finish()
    }
}

impl Signs for MemoryKey {
    fn public(&self) -> &OperatorKey {
        &self.public
    }

    fn sign(&self, namespace: Namespace, message: &[u8]) -> Result<String, SignError> {
        SshSig::sign(&self.private, namespace.as_str(), HashAlg::Sha512, message)
            .and_then(|signature| signature.to_pem(LineEnding::LF))
            .map_err(|error| SignError {
                fingerprint: self.public.fingerprint(),
                problem: error.to_string(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_as_it_is_written() {
        let key = MemoryKey::from_seed([7; 32], "ana@studio west");
        let line = key.public().to_string();
        insta::assert_snapshot!(line, @"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs ana@studio west");
        insta::assert_snapshot!(key.public().fingerprint(), @"SHA256:z/fSv0Z0RZS+Lccbc6ZoOWwt/fbj1VFJGSBKQbo4icE");
        let read = OperatorKey::parse(&format!(" {line}\n")).expect("a key");
        assert_eq!((&read, read.comment()), (key.public(), "ana@studio west"));
        let secret = MemoryKey::from_openssh(&key.to_openssh()).expect("a key");
        assert_eq!(secret.public(), key.public());
    }

    #[test]
    fn the_fingerprint_is_openssh_s() {
        let key = MemoryKey::from_seed([7; 32], "ana");
        let theirs = key.private.fingerprint(HashAlg::Sha256).to_string();
        assert_eq!(key.public().fingerprint(), theirs);
    }

    #[test]
    fn what_is_no_ed25519_key_is_refused() {
        for text in ["", "ana", "ssh-ed25519", "ssh-ed25519 AAAA", "restrict ssh-ed25519 AAAA"] {
            assert_eq!(OperatorKey::parse(text), Err(OperatorKeyError::Malformed), "{text}");
        }
        // The neutral element as a key verifies a signature over anything.
        let mut weak = [0; 32];
        weak[0] = 1;
        let weak = OperatorKey::proven(weak).to_string();
        assert_eq!(OperatorKey::parse(&weak), Err(OperatorKeyError::Weak));
        let key = MemoryKey::from_seed([7; 32], "ana").public().to_string();
        assert!(OperatorKey::parse(&format!("{key}\n{key}")).is_err());
    }

    #[test]
    fn a_list_of_keys_names_the_line_that_is_none() {
        let key = MemoryKey::from_seed([7; 32], "ana").public().clone();
        let list = OperatorKey::parse_list(&format!("# operators\n\n{key}\n{key}\r\n"));
        assert_eq!(list, Ok(vec![key.clone(), key.clone()]));
        let broken = OperatorKey::parse_list(&format!("{key}\nbo\n"));
        assert_eq!(broken, Err((2, OperatorKeyError::Malformed)));
    }

    #[test]
    fn a_keyring_knows_operators_and_trust_keys_apart() {
        let [ana, bo, eve] = [1, 2, 3].map(|seed| MemoryKey::from_seed([seed; 32], "x"));
        let operators = [SshPublicKey(ana.public().to_string()), SshPublicKey("bad".to_owned())];
        let ring = Keyring::new(&operators, &[bo.public().clone()]);
        assert!(ring.find(ana.public()).is_some() && ring.find(bo.public()).is_some());
        assert!(ring.find(eve.public()).is_none());
        assert!(ring.is_trust_key(bo.public()) && !ring.is_trust_key(ana.public()));
        let next = ring.with_operators(&[]);
        assert!(next.find(ana.public()).is_none() && next.find(bo.public()).is_some());
    }
}
