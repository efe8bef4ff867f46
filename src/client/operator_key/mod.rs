//! The operator's key: the SSH key that signs their commits, from a file or from an ssh-agent.
//!
//! It finds the key and signs with it; what is signed is `statement`'s. Passwords are asked for by whoever calls, so
//! that nothing here knows of terminals. No key is ever written or logged.

mod agent;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::VerifyingKey;
use ssh_key::{LineEnding, PrivateKey, PublicKey};
use zeroize::Zeroizing;

pub use agent::AgentError;

use crate::manifest::types::SshPublicKey;
use crate::seam::files;
use crate::statement::{
    MemoryKey, Namespace, OperatorKey, OperatorKeyError, SignError, Signs, assemble, signed_data,
};

/// The largest key file that is read.
const KEY_BYTES_MAX: u64 = 64 * 1024;

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the operator's key `{path}`: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file is no key.
    #[error("`{path}` is not an OpenSSH key: `ssh-keygen -t ed25519 -f {path}` makes one")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The key is none that operators sign with.
    #[error("the key in `{path}` {error}")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: OperatorKeyError,
    },
    /// The key is encrypted and nobody is there to say its password.
    #[error(
        "the key in `{path}` is encrypted and there is no terminal to ask for its password: add it to an \
         ssh-agent with `ssh-add {path}`"
    )]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// The password is wrong.
    #[error("that is not the password of the key in `{path}`")]
    Password {
        /// The file.
        path: PathBuf,
    },
    /// Only a public key was named and no agent has its private half.
    #[error(
        "`{path}` is a public key and the ssh-agent does not hold its private half: `ssh-add` it"
    )]
    OnlyPublic {
        /// The file.
        path: PathBuf,
    },
    /// Nothing was named, and the agent holds no key of an operator.
    #[error(
        "no operator's key: name one with `--key FILE` or `TANDEM_OPERATOR_KEY`, or add one that the manifest lists \
         in `trust.operators` to the ssh-agent ({found})"
    )]
    NoneFits {
        /// What the agent does hold.
        found: String,
    },
    /// Nothing was named, and there is no agent.
    #[error("no operator's key: name one with `--key FILE` or `TANDEM_OPERATOR_KEY`; {0}")]
    NoAgent(AgentError),
}

/// A key to sign with, whoever holds its private half.
pub struct HeldKey {
    public: OperatorKey,
    holder: Holder,
}

/// Who holds the private half.
enum Holder {
    Memory(MemoryKey),
    Agent { socket: Option<OsString>, key: PublicKey },
}

impl std::fmt::Debug for HeldKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HeldKey").field(&self.public).finish()
    }
}

impl Signs for HeldKey {
    fn public(&self) -> &OperatorKey {
        &self.public
    }

    fn sign(&self, namespace: Namespace, message: &[u8]) -> Result<String, SignError> {
        match &self.holder {
            Holder::Memory(key) => key.sign(namespace, message),
            Holder::Agent { socket, key } => {
                let failed = |problem: String| {
                    let fingerprint = self.public.fingerprint();
                    SignError { fingerprint, problem }
                };
                let data = signed_data(namespace, message);
                let signature = agent::connect(socket.as_deref())
                    .and_then(|mut stream| agent::sign(&mut *stream, key, &data))
                    .map_err(|error| failed(error.to_string()))?;
                // An agent that signs something else is found out here and not by a server.
                let verified = VerifyingKey::from_bytes(self.public.bytes()).and_then(|public| {
                    public.verify_strict(&data, &ed25519_dalek::Signature::from_bytes(&signature))
                });
                verified.map_err(|_| failed("the ssh-agent gave a wrong signature".to_owned()))?;
                Ok(assemble(*self.public.bytes(), namespace, signature))
            }
        }
    }
}

/// A key that was found, and what its owner should know about it.
#[derive(Debug)]
pub struct Found {
    /// The key.
    pub key: HeldKey,
    /// That others can read its file, and how to mend that.
    pub warning: Option<String>,
}

/// Where to look for the key.
pub struct Search<'a> {
    /// The file that was named (`--key`, else `TANDEM_OPERATOR_KEY`): a private key, or the public half of one that
    /// the agent holds. Absent: the agent alone.
    pub file: Option<&'a Path>,
    /// The agent's socket (`SSH_AUTH_SOCK`).
    pub agent: Option<OsString>,
    /// The operators of the manifest: of an agent's keys only these are taken. Empty: the agent's first.
    pub operators: &'a [SshPublicKey],
    /// Asks for the password of an encrypted key file; `None` where nobody can be asked.
    pub password: &'a mut dyn FnMut(&Path) -> Option<Zeroizing<String>>,
}

/// Finds the operator's key.
///
/// # Errors
/// There is none, or it cannot be used; the message says what to do.
pub fn find(search: &mut Search<'_>) -> Result<Found, KeyError> {
    match search.file {
        Some(path) => from_file(path, search),
        None => from_agent(search),
    }
}

fn from_file(path: &Path, search: &mut Search<'_>) -> Result<Found, KeyError> {
    let text = read(path)?;
    let no_key = || KeyError::NoKey { path: path.to_owned() };
    let text = std::str::from_utf8(&text).map_err(|_| no_key())?;
    if let Ok(key) = PublicKey::from_openssh(text.trim()) {
        let held = held_by_agent(path, key, search)?;
        let only_public = || KeyError::OnlyPublic { path: path.to_owned() };
        return Ok(Found { key: held.ok_or_else(only_public)?, warning: None });
    }
    let private = PrivateKey::from_openssh(text).map_err(|_| no_key())?;
    let warning = files::warning_of_open(path);
    if !private.is_encrypted() {
        return Ok(Found { key: in_memory(path, text)?, warning });
    }
    if let Some(key) = held_by_agent(path, private.public_key().clone(), search)? {
        return Ok(Found { key, warning });
    }
    let password =
        (search.password)(path).ok_or_else(|| KeyError::Encrypted { path: path.to_owned() })?;
    let open = private
        .decrypt(password.as_bytes())
        .and_then(|open| open.to_openssh(LineEnding::LF))
        .map_err(|_| KeyError::Password { path: path.to_owned() })?;
    Ok(Found { key: in_memory(path, &open)?, warning })
}

fn in_memory(path: &Path, text: &str) -> Result<HeldKey, KeyError> {
    let key = MemoryKey::from_openssh(text).map_err(|error| unfit(path, error))?;
    Ok(HeldKey { public: key.public().clone(), holder: Holder::Memory(key) })
}

/// The key of a file as one to sign with through the agent; none where the agent does not hold it, or cannot be
/// reached.
fn held_by_agent(
    path: &Path,
    key: PublicKey,
    search: &Search<'_>,
) -> Result<Option<HeldKey>, KeyError> {
    let line = key.to_openssh().map_err(|_| KeyError::NoKey { path: path.to_owned() })?;
    let public = OperatorKey::parse(&line).map_err(|error| unfit(path, error))?;
    let holds = agent::connect(search.agent.as_deref())
        .and_then(|mut stream| agent::keys(&mut *stream))
        .is_ok_and(|keys| keys.iter().any(|held| held.key_data() == key.key_data()));
    let holder = Holder::Agent { socket: search.agent.clone(), key };
    Ok(holds.then_some(HeldKey { public, holder }))
}

fn unfit(path: &Path, error: OperatorKeyError) -> KeyError {
    KeyError::Unfit { path: path.to_owned(), error }
}

fn from_agent(search: &Search<'_>) -> Result<Found, KeyError> {
    let held = agent::connect(search.agent.as_deref())
        .and_then(|mut stream| agent::keys(&mut *stream))
        .map_err(KeyError::NoAgent)?;
    let wanted: Vec<_> =
        search.operators.iter().filter_map(|key| OperatorKey::parse(&key.0).ok()).collect();
    let number = held.len();
    let mut fitting = held.into_iter().filter_map(|key| {
        let public = OperatorKey::parse(&key.to_openssh().ok()?).ok()?;
        let fits = search.operators.is_empty() || wanted.contains(&public);
        fits.then(|| {
            let holder = Holder::Agent { socket: search.agent.clone(), key };
            Found { key: HeldKey { public, holder }, warning: None }
        })
    });
    fitting.next().ok_or_else(|| {
        let found = match number {
            0 => "it holds no `ssh-ed25519` key".to_owned(),
            1 => "it holds one, of somebody else".to_owned(),
            many => format!("it holds {many}, of others"),
        };
        KeyError::NoneFits { found }
    })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    use std::io::Read as _;
    let unreadable = |error| KeyError::Unreadable { path: path.to_owned(), error };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = Zeroizing::new(Vec::new());
    file.take(KEY_BYTES_MAX).read_to_end(&mut text).map_err(unreadable)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"what is signed";

    fn nobody(_: &Path) -> Option<Zeroizing<String>> {
        None
    }

    fn search<'a>(
        file: Option<&'a Path>,
        password: &'a mut dyn FnMut(&Path) -> Option<Zeroizing<String>>,
    ) -> Search<'a> {
        Search { file, agent: None, operators: &[], password }
    }

    fn private(seed: u8) -> PrivateKey {
        let pair = ssh_key::private::Ed25519Keypair::from_seed(&[seed; 32]);
        PrivateKey::new(pair.into(), "ana").expect("a valid key")
    }

    fn verifies(key: &PrivateKey, namespace: &str, armored: &str) -> bool {
        let signature = ssh_key::SshSig::from_pem(armored).expect("a signature");
        key.public_key().verify(namespace, MESSAGE, &signature).is_ok()
    }

    fn written(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        (folder, path)
    }

    #[test]
    fn a_key_file_signs_what_its_public_half_verifies() {
        let key = private(7);
        let (_folder, path) = written("operator", &key.to_openssh(LineEnding::LF).expect("text"));
        let found = find(&mut search(Some(&path), &mut nobody)).expect("a key");
        let signature = found.key.sign(Namespace::Apply, MESSAGE).expect("signs");
        assert!(verifies(&key, "tandem-apply", &signature));
        assert!(!verifies(&key, "tandem-request", &signature));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_warned_of() {
        use std::os::unix::fs::PermissionsExt as _;
        let text = private(7).to_openssh(LineEnding::LF).expect("text");
        let (_folder, path) = written("operator", &text);
        for (mode, warned) in [(0o600, false), (0o640, true), (0o604, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
            let found = find(&mut search(Some(&path), &mut nobody)).expect("a key");
            assert_eq!(found.warning.is_some(), warned, "{mode:o}");
        }
    }

    #[test]
    fn an_encrypted_key_asks_and_without_a_terminal_says_what_to_do() {
        let text = include_str!("../../../tests/data/operator.encrypted");
        let (_folder, path) = written("operator", text);
        let found = find(&mut search(Some(&path), &mut nobody));
        assert!(matches!(found, Err(KeyError::Encrypted { .. })), "{found:?}");
        let mut wrong = |_: &Path| Some(Zeroizing::new("wrong".to_owned()));
        let found = find(&mut search(Some(&path), &mut wrong));
        assert!(matches!(found, Err(KeyError::Password { .. })), "{found:?}");
        let mut right = |_: &Path| Some(Zeroizing::new("open sesame".to_owned()));
        let found = find(&mut search(Some(&path), &mut right)).expect("a key");
        assert!(found.key.sign(Namespace::Apply, MESSAGE).is_ok());
    }

    #[test]
    fn what_is_no_key_of_ours_is_named() {
        let (_folder, path) = written("operator", "hello");
        let found = find(&mut search(Some(&path), &mut nobody));
        assert!(matches!(found, Err(KeyError::NoKey { .. })), "{found:?}");
        let public = private(7).public_key().to_openssh().expect("text");
        let (_folder, path) = written("operator.pub", &public);
        let found = find(&mut search(Some(&path), &mut nobody));
        assert!(matches!(found, Err(KeyError::OnlyPublic { .. })), "{found:?}");
        let found = find(&mut search(None, &mut nobody));
        assert!(matches!(found, Err(KeyError::NoAgent(_))), "{found:?}");
    }

    /// Runs with OpenSSH's own agent where it is installed; elsewhere there is nothing to check.
    #[cfg(unix)]
    #[test]
    fn openssh_agent_signs_with_the_operators_key() {
        use std::process::{Command, Stdio};
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("agent");
        let agent = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn();
        let Ok(mut agent) = agent else { return };
        while !socket.exists() {
            std::thread::yield_now();
        }
        for seed in [1, 7] {
            let path = folder.path().join(seed.to_string());
            private(seed).write_openssh_file(&path, LineEnding::LF).expect("written");
            let added = Command::new("ssh-add")
                .args(["-q".as_ref(), path.as_os_str()])
                .env("SSH_AUTH_SOCK", &socket)
                .stderr(Stdio::null())
                .status();
            assert!(added.is_ok_and(|status| status.success()));
        }
        let operators = [SshPublicKey(private(7).public_key().to_openssh().expect("text"))];
        let agent_socket = Some(socket.into_os_string());
        let found = find(&mut Search {
            file: None,
            agent: agent_socket.clone(),
            operators: &operators,
            password: &mut nobody,
        });
        let others = find(&mut Search {
            file: None,
            agent: agent_socket,
            operators: &[SshPublicKey(private(9).public_key().to_openssh().expect("text"))],
            password: &mut nobody,
        });
        let signed = found.as_ref().map(|found| found.key.sign(Namespace::Apply, MESSAGE));
        agent.kill().expect("ends");
        agent.wait().expect("ended");
        assert!(matches!(others, Err(KeyError::NoneFits { .. })), "{others:?}");
        let signature = signed.expect("a key").expect("a signature");
        assert!(verifies(&private(7), "tandem-apply", &signature));
    }
}
