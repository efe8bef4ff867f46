//! Key files: Ed25519 keys in OpenSSH's formats, a secret one for its owner only, never written over another.
//!
//! Operators and vendors have such files. A server's own identity is in its data directory, not here.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::public::Ed25519PublicKey;
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use zeroize::Zeroizing;

use super::error::{Explain as _, Failure};
use super::output::quote;
use crate::name::PublicKey;
use crate::seam::entropy::Entropy;
pub use crate::seam::files::Access;
use crate::seam::files::temporary_file;

/// No key file is longer; anything longer is another kind of file.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// A secret Ed25519 key with its comment.
#[derive(Clone, Debug)]
pub struct SecretKey {
    file: PrivateKey,
    pair: Ed25519Keypair,
}

impl SecretKey {
    /// A new key. The comment says whose it is.
    ///
    /// # Errors
    /// The comment has a control character, which would break the line it stands in.
    pub fn generate(entropy: &dyn Entropy, comment: &str) -> Result<Self, Failure> {
        if comment.chars().any(char::is_control) {
            return Err(Failure::usage("a key's comment must not have control characters"));
        }
        let seed = Zeroizing::new(entropy.bytes32());
        let pair = Ed25519Keypair::from_seed(&seed);
        Ok(Self { file: PrivateKey::new(KeypairData::Ed25519(pair.clone()), comment)?, pair })
    }

    /// Reads a secret key file.
    ///
    /// # Errors
    /// The file cannot be read, is no OpenSSH private key, is not Ed25519, or needs a passphrase.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = quote(&path.display().to_string());
        let text = Zeroizing::new(read_small(path)?);
        // What the decoder says about a file of another kind helps nobody.
        let file = PrivateKey::from_openssh(text.as_bytes()).map_err(|_| {
            Failure::new(format!("{name} is not an OpenSSH private key"))
                .with_help("name the secret key file, not the one that ends in `.pub`")
        })?;
        if file.is_encrypted() {
            return Err(Failure::new(format!("{name} needs a passphrase"))
                .with_help("use a copy without one: `ssh-keygen -p -N '' -f FILE`"));
        }
        match file.key_data().ed25519().cloned() {
            Some(pair) => Ok(Self { file, pair }),
            None => {
                let kind = file.algorithm();
                Err(Failure::new(format!("{name} is a {kind} key, not an Ed25519 key"))
                    .with_help("make one with `tandem key generate` or `ssh-keygen -t ed25519`"))
            }
        }
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> OpenPublicKey {
        OpenPublicKey(self.file.public_key().clone())
    }

    /// The key that signs.
    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.pair.private.to_bytes())
    }

    /// The public key as `trust.vendors` has it.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        PublicKey(self.pair.public.0)
    }

    /// The text of its file.
    ///
    /// # Errors
    /// The key cannot be encoded.
    pub fn to_text(&self) -> Result<Zeroizing<String>, Failure> {
        Ok(self.file.to_openssh(LineEnding::LF)?)
    }

    /// Writes the key to `path` and the line that others get to the same name with `.pub`; returns the latter's path.
    ///
    /// # Errors
    /// Either file is there already, or cannot be written.
    pub fn write_pair(&self, path: &Path, public: &str) -> Result<PathBuf, Failure> {
        let public_path = public_path(path);
        if let Some(there) = [path, &public_path].into_iter().find(|path| path.exists()) {
            return Err(already_there(there));
        }
        write_new(path, self.to_text()?.as_bytes(), Access::Owner)?;
        write_new(&public_path, format!("{public}\n").as_bytes(), Access::All)?;
        Ok(public_path)
    }
}

/// A public key with its comment.
#[derive(Clone, Debug)]
pub struct OpenPublicKey(ssh_key::PublicKey);

impl OpenPublicKey {
    /// Reads a key file, be it secret, public, or a vendor's public one (`ed25519:BASE64`).
    ///
    /// # Errors
    /// The file cannot be read or is neither.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = Zeroizing::new(read_small(path)?);
        // An encrypted secret key shows its public key all the same.
        match PrivateKey::from_openssh(text.as_bytes()) {
            Ok(key) => Ok(Self(key.public_key().clone())),
            Err(_) => text.parse().map_err(|_| {
                let name = quote(&path.display().to_string());
                Failure::new(format!("{name} is neither a secret nor a public key"))
            }),
        }
    }

    /// The key as `authorized_keys` and `trust.operators` have it.
    ///
    /// # Errors
    /// The key cannot be encoded.
    pub fn line(&self) -> Result<String, Failure> {
        Ok(self.0.to_openssh()?.trim_end().to_owned())
    }

    /// The fingerprint as `ssh-keygen -l` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The comment: whose key it is.
    #[must_use]
    pub fn comment(&self) -> &str {
        self.0.comment()
    }

    /// The key as `trust.vendors` and `servers[].key` have it; none but Ed25519 keys have that form.
    #[must_use]
    pub fn key(&self) -> Option<PublicKey> {
        self.0.key_data().ed25519().map(|key| PublicKey(key.0))
    }
}

impl std::str::FromStr for OpenPublicKey {
    type Err = ssh_key::Error;

    fn from_str(text: &str) -> Result<Self, ssh_key::Error> {
        match text.trim().parse::<PublicKey>() {
            Ok(key) => {
                let data = ssh_key::public::KeyData::Ed25519(Ed25519PublicKey(key.0));
                Ok(Self(ssh_key::PublicKey::new(data, "")))
            }
            Err(_) => ssh_key::PublicKey::from_openssh(text.trim()).map(Self),
        }
    }
}

/// Where the public half of a secret key file is.
#[must_use]
pub fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// Writes a file that is not there yet, whole or not at all, making its directories.
///
/// # Errors
/// A file of this name is there already, or it cannot be written.
pub fn write_new(path: &Path, bytes: &[u8], access: Access) -> Result<(), Failure> {
    write(path, bytes, access, |file, path| {
        file.persist_noclobber(path).map(|_| ()).map_err(|error| error.error)
    })
}

/// Writes a file whole or not at all, in place of one that may be there.
///
/// # Errors
/// It cannot be written.
pub fn write_over(path: &Path, bytes: &[u8], access: Access) -> Result<(), Failure> {
    write(path, bytes, access, |file, path| {
        file.persist(path).map(|_| ()).map_err(|error| error.error)
    })
}

fn write(
    path: &Path,
    bytes: &[u8],
    access: Access,
    put: impl FnOnce(tempfile::NamedTempFile, &Path) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let result = std::fs::create_dir_all(directory).and_then(|()| {
        let mut file = temporary_file(directory, access)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        put(file, path)
    });
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(already_there(path)),
        other => {
            other.context(|| format!("{} could not be written", quote(&path.display().to_string())))
        }
    }
}

fn already_there(path: &Path) -> Failure {
    let name = quote(&path.display().to_string());
    Failure::new(format!("{name} is there already and is not overwritten")).with_help(
        "name another file with `--out`, or move this one away if nothing needs it any more",
    )
}

fn read_small(path: &Path) -> Result<String, Failure> {
    let name = || quote(&path.display().to_string());
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .context(|| format!("{} could not be read", name()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::new(format!("{} is too large to be a key file", name())));
    }
    Ok(text)
}
