//! SSHSIG: signatures as `ssh-keygen -Y sign` makes them, of `ssh-ed25519` keys over SHA-512.
//!
//! Which messages are signed, and who may sign them, is not known here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use ssh_key::public::{Ed25519PublicKey, KeyData};
use ssh_key::{Algorithm, HashAlg, LineEnding, Signature, SshSig};

/// What a signature is for: one made for one purpose is no signature for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespace {
    /// A statement about a bundle.
    Apply,
    /// An operator's command.
    Operator,
    /// An HTTP request.
    Request,
}

impl Namespace {
    /// The namespace as it is signed (`ssh-keygen -Y sign -n`).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "tandem-apply",
            Self::Operator => "tandem-operator",
            Self::Request => "tandem-request",
        }
    }
}

impl std::fmt::Display for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The bytes over which the Ed25519 signature itself is made: what an ssh-agent is asked to sign.
#[must_use]
pub fn signed_data(namespace: Namespace, message: &[u8]) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "it fails only for an empty namespace")]
    SshSig::signed_data(namespace.as_str(), HashAlg::Sha512, message).expect("a namespace")
}

/// The armored signature of an Ed25519 key (its 32 bytes) that signed [`signed_data`].
#[must_use]
pub fn assemble(key: [u8; 32], namespace: Namespace, signature: [u8; 64]) -> String {
    let assembled = Signature::new(Algorithm::Ed25519, signature.to_vec()).and_then(|signature| {
        let key = KeyData::Ed25519(Ed25519PublicKey(key));
        SshSig::new(key, namespace.as_str(), HashAlg::Sha512, signature)?.to_pem(LineEnding::LF)
    });
    #[expect(clippy::expect_used, reason = "key, namespace and signature have the right sizes")]
    assembled.expect("a signature encodes")
}

/// The key that made an armored signature for this purpose over exactly this message; none where it is no such
/// signature.
pub(super) fn verify(namespace: Namespace, message: &[u8], armored: &str) -> Option<[u8; 32]> {
    let sshsig = SshSig::from_pem(armored).ok()?;
    let KeyData::Ed25519(Ed25519PublicKey(key)) = sshsig.public_key() else { return None };
    let fits = sshsig.namespace() == namespace.as_str()
        && sshsig.hash_alg() == HashAlg::Sha512
        && sshsig.reserved().is_empty()
        && sshsig.version() == SshSig::VERSION
        && sshsig.signature().algorithm() == Algorithm::Ed25519;
    if !fits {
        return None;
    }
    let signature: [u8; 64] = sshsig.signature_bytes().try_into().ok()?;
    let signature = ed25519_dalek::Signature::from_bytes(&signature);
    VerifyingKey::from_bytes(key)
        .ok()?
        .verify_strict(&signed_data(namespace, message), &signature)
        .ok()?;
    Some(*key)
}

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----\n";
const END: &str = "-----END SSH SIGNATURE-----\n";

/// The blob inside an armored signature.
pub(super) fn blob(armored: &str) -> Option<Vec<u8>> {
    let body = armored.trim_start().strip_prefix(BEGIN.trim_end())?;
    let body = body.trim_end().strip_suffix(END.trim_end())?;
    let body: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(body).ok()
}

/// The armored form of a blob.
pub(super) fn armor(blob: &[u8]) -> String {
    let encoded = STANDARD.encode(blob);
    let mut text = BEGIN.to_owned();
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII, so every index is a boundary.
        let (line, after) = rest.split_at(rest.len().min(70));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + END
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::super::{MemoryKey, Signs as _};
    use super::*;

    const MESSAGE: &[u8] = b"{\"type\":\"tandem-apply/v1\"}";

    #[test]
    fn a_signature_is_of_one_key_one_purpose_and_one_message() {
        let key = MemoryKey::from_seed([7; 32], "ana");
        let signature = key.sign(Namespace::Apply, MESSAGE).expect("signed");
        assert_eq!(verify(Namespace::Apply, MESSAGE, &signature), Some(*key.public().bytes()));
        assert_eq!(verify(Namespace::Operator, MESSAGE, &signature), None);
        assert_eq!(verify(Namespace::Apply, b"{}", &signature), None);
        assert_eq!(verify(Namespace::Apply, MESSAGE, ""), None);
    }

    #[test]
    fn a_blob_is_armored_as_it_was() {
        let key = MemoryKey::from_seed([7; 32], "ana");
        let signature = key.sign(Namespace::Request, MESSAGE).expect("signed");
        let again = armor(&blob(&signature).expect("a blob"));
        assert_eq!(verify(Namespace::Request, MESSAGE, &again), Some(*key.public().bytes()));
    }

    #[test]
    fn a_short_hash_is_refused() {
        let pair = ssh_key::private::Ed25519Keypair::from_seed(&[7; 32]);
        let private = ssh_key::PrivateKey::new(pair.into(), "ana").expect("a key");
        let signature = private.sign("tandem-apply", HashAlg::Sha256, MESSAGE).expect("signed");
        let armored = signature.to_pem(LineEnding::LF).expect("text");
        assert_eq!(verify(Namespace::Apply, MESSAGE, &armored), None);
    }

    /// Whether this machine has OpenSSH's `ssh-keygen`.
    fn keygen_is_here() -> bool {
        Command::new("ssh-keygen").arg("-?").stderr(Stdio::null()).status().is_ok()
    }

    fn keygen(folder: &Path, args: &[&str]) -> bool {
        let message = std::fs::File::open(folder.join("message")).expect("the message");
        Command::new("ssh-keygen")
            .current_dir(folder)
            .args(args)
            .stdin(message)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("ssh-keygen runs")
            .success()
    }

    #[test]
    fn ssh_keygen_and_we_accept_each_others_signatures() {
        if !keygen_is_here() {
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let key = MemoryKey::from_seed([7; 32], "ana");
        let secret = key.to_openssh();
        std::fs::write(at("key"), secret.as_bytes()).expect("written");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(at("key"), mode).expect("only ours");
        }
        std::fs::write(at("message"), MESSAGE).expect("written");
        std::fs::write(at("signers"), format!("ana {}\n", key.public())).expect("written");
        let ours = key.sign(Namespace::Apply, MESSAGE).expect("signed");
        std::fs::write(at("ours.sig"), ours).expect("written");
        let verify_ours = |namespace| {
            ["-Y", "verify", "-f", "signers", "-I", "ana", "-n", namespace, "-s", "ours.sig"]
        };
        assert!(keygen(folder.path(), &verify_ours("tandem-apply")));
        assert!(!keygen(folder.path(), &verify_ours("tandem-operator")));

        let sign = ["-Y", "sign", "-f", "key", "-n", "tandem-apply", "message"];
        assert!(keygen(folder.path(), &sign));
        let theirs = std::fs::read_to_string(at("message.sig")).expect("a signature");
        assert_eq!(verify(Namespace::Apply, MESSAGE, &theirs), Some(*key.public().bytes()));
    }
}
