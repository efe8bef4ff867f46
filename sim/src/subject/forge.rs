//! Bundles that no server may take, each wrong in one way, made of one that is well.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use serde_json::Value;
use tandem::bundle::Bundle;
use tandem::license::{self, Block, License};
use tandem::manifest::types::{Role, SshPublicKey};
use tandem::name::{BundleHash, PairName, PublicKey, ServerName, UserName};
use tandem::statement::MemoryKey;

use super::{LicenseFile, Subject, SubjectError, seeded};
use crate::history::Terms;
use crate::scenario::Forgery;

/// A bundle that must be refused, and who signs it.
pub struct Forged {
    /// The bundle's bytes.
    pub bytes: Vec<u8>,
    /// Their hash.
    pub hash: BundleHash,
    /// The pair that it is for.
    pub pair: PairName,
    /// Its operators.
    pub operators: Vec<SshPublicKey>,
    /// What the oracles are told of it.
    pub terms: Terms,
    /// The key it is signed with: the operator's, but where the signature itself is what is wrong.
    pub operator: MemoryKey,
}

impl Subject {
    /// The configuration, forged.
    ///
    /// # Errors
    /// There is no bundle of what was made.
    pub fn forged(&self, forgery: Forgery, seed: u64) -> Result<Forged, SubjectError> {
        let mut manifest = self.manifest.clone();
        let mut operator = Self::operator(seed);
        let files: Vec<LicenseFile> = match forgery {
            Forgery::WrongRole => self.files().into_iter().map(|file| self.swapped(file)).collect(),
            Forgery::Relabelled => self.with_the_secondarys(),
            Forgery::Tampered => self.map_blocks(tampered),
            Forgery::UnknownVendor => {
                let stranger = SigningKey::from_bytes(&seeded(seed, "vendor"));
                self.map_blocks(|block| signed_by(&stranger, block))
            }
            Forgery::UnknownOperator => {
                operator = MemoryKey::from_seed(seeded(seed, "stranger"), "stranger@tandem-sim");
                // Its content is well, and must be another's than the one that runs.
                if let Ok(name) = UserName::new("tandem-sim-stranger") {
                    manifest.users.push(tandem::manifest::types::User { name, key: None });
                }
                self.files()
            }
        };
        let bundle = Bundle::build(&manifest, files)
            .map_err(|error| SubjectError::bundle(&self.name, error))?;
        let mut bytes = bundle.bytes().to_vec();
        if forgery == Forgery::Relabelled {
            bytes = relabelled(&bytes, self.name_of(Role::Primary).as_str());
        }
        let hash = BundleHash::of(&bytes);
        let mut terms = self.terms();
        terms.bundle = hash.to_string();
        terms.refused_for = Some(forgery.as_str().to_owned());
        let (pair, operators) =
            (self.config.pair.clone(), bundle.manifest().trust.operators.clone());
        Ok(Forged { bytes, hash, pair, operators, terms, operator })
    }

    /// The same with its licenses signed anew, by a vendor of the simulation.
    ///
    /// # Errors
    /// There is no bundle of it.
    pub fn reissued(&self) -> Result<Self, SubjectError> {
        Ok(Self { is_by_added: self.is_by_added, ..self.relicensed(|_| {})? })
    }

    /// The same with its licenses changed, and signed anew by a vendor of the simulation.
    ///
    /// # Errors
    /// There is no bundle of it.
    pub fn relicensed(&self, change: impl Fn(&mut License)) -> Result<Self, SubjectError> {
        let vendor = SigningKey::from_bytes(&seeded(0, "the simulation's vendor"));
        let mut manifest = self.manifest.clone();
        manifest.trust.vendors = vec![PublicKey(vendor.verifying_key().to_bytes())];
        let products = self.config.products.values();
        let licenses: Vec<_> =
            products.flat_map(|product| product.licenses.iter().flatten()).collect();
        let reissue = |payload: &[u8], role: Role| {
            let id = serde_json::from_slice::<Value>(payload).ok();
            let id = id.as_ref().and_then(|value| value.get("id")).and_then(Value::as_str);
            let found =
                licenses.iter().find(|one| one.role == role && Some(one.id.as_str()) == id)?;
            let mut license = (*found).clone();
            license.vendor = PublicKey(vendor.verifying_key().to_bytes());
            change(&mut license);
            Some(license::sign(&license, &vendor).armor())
        };
        let files = self.map_blocks(|block| {
            reissue(block.payload(), block.label_role()).unwrap_or_else(|| block.armor())
        });
        Self::new(&self.name, manifest, files, Some(self.start))
    }

    /// The same with the roles of the two servers swapped, each with the licenses of its new role.
    ///
    /// # Errors
    /// There is no bundle of it.
    pub fn with_roles_swapped(&self) -> Result<Self, SubjectError> {
        let mut manifest = self.manifest.clone();
        for server in &mut manifest.servers {
            server.role = server.role.other();
        }
        let files = self.files().into_iter().map(|file| self.swapped(file)).collect();
        Self::new(&self.name, manifest, files, Some(self.start))
    }

    fn name_of(&self, role: Role) -> ServerName {
        self.config.server_of(role).name.clone()
    }

    /// A file given to the other server than its own.
    pub(super) fn swapped(&self, (server, file, text): LicenseFile) -> LicenseFile {
        let other = self.config.peer_of(&server).map_or(server, |peer| peer.name.clone());
        (other, file, text)
    }

    /// The primary gets the secondary's files instead of its own.
    fn with_the_secondarys(&self) -> Vec<LicenseFile> {
        let (primary, secondary) = (self.name_of(Role::Primary), self.name_of(Role::Secondary));
        let own = self.files().into_iter().filter(|(server, _, _)| *server == secondary);
        let given = own.clone().map(|(_, file, text)| (primary.clone(), file, text));
        given.chain(own).collect()
    }

    /// Every block of every file, changed.
    fn map_blocks(&self, change: impl Fn(&Block) -> String) -> Vec<LicenseFile> {
        let files = self.files().into_iter();
        files
            .map(|(server, file, text)| {
                // They are the blocks of a bundle that was built, so they read.
                let blocks = license::blocks(&text).unwrap_or_default();
                (server, file, blocks.iter().map(&change).collect::<String>().into_bytes())
            })
            .collect()
    }
}

/// A bundle's bytes with every label of one server's licenses changed to the primary's: no bundle can be built so.
fn relabelled(bytes: &[u8], server: &str) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else { return bytes.to_vec() };
    let files = value.get_mut("licenses").and_then(Value::as_array_mut);
    for file in files.into_iter().flatten() {
        if file.get("server").and_then(Value::as_str) == Some(server)
            && let Some(Value::String(pem)) = file.get_mut("pem")
        {
            *pem = pem.replace("TANDEM SECONDARY LICENSE", "TANDEM PRIMARY LICENSE");
        }
    }
    // Sorted keys, integers and plain text: this is the canonical form again.
    serde_json::to_vec(&value).unwrap_or_default()
}

/// The block with one digit of its seats raised, its signature as it was.
fn tampered(block: &Block) -> String {
    let armored = block.armor();
    let lines: Vec<&str> = armored.lines().collect();
    let [begin, body @ .., end] = lines.as_slice() else { return armored };
    let Ok(mut bytes) = STANDARD.decode(body.concat()) else { return armored };
    let field = b"\"seats\":";
    let place = bytes.windows(field.len()).position(|part| part == field);
    if let Some(digit) = place.and_then(|at| bytes.get_mut(at + field.len())) {
        *digit = if *digit == b'9' { b'8' } else { *digit + 1 };
    }
    let encoded = STANDARD.encode(bytes);
    let mut text = format!("{begin}\n");
    for line in encoded.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    format!("{text}{end}\n")
}

/// The same license, from a vendor that nobody knows.
fn signed_by(stranger: &SigningKey, block: &Block) -> String {
    let Ok(mut license) = block.license() else { return block.armor() };
    license.vendor = PublicKey(stranger.verifying_key().to_bytes());
    license::sign(&license, stranger).armor()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem::bundle::Config;

    #[test]
    fn a_reissued_configuration_gives_the_same_seats() {
        let subject = Subject::example(None).expect("it is well");
        let reissued = subject.reissued().expect("it is well");
        assert_ne!(reissued.bundle.hash(), subject.bundle.hash());
        assert_eq!(reissued.terms().servers, subject.terms().servers);
    }

    #[test]
    fn what_is_written_by_hand_is_canonical() {
        let subject = Subject::example(None).expect("it is well");
        assert_eq!(relabelled(subject.bundle.bytes(), "nobody"), subject.bundle.bytes());
    }

    #[test]
    fn every_forgery_is_another_bundle_and_none_of_a_license_compiles() {
        let subject = Subject::example(None).expect("it is well");
        let mut hashes = std::collections::BTreeSet::from([subject.bundle.hash()]);
        for forgery in Forgery::ALL {
            let forged = subject.forged(forgery, 1).expect("there is a bundle");
            assert!(hashes.insert(forged.hash), "{forgery:?} is a bundle of its own");
            let decoded = Bundle::decode(&forged.bytes);
            let compiles = decoded.is_ok_and(|bundle| Config::compile(&bundle).is_ok());
            assert_eq!(compiles, forgery == Forgery::UnknownOperator, "{forgery:?}");
            assert_eq!(forged.terms.refused_for.as_deref(), Some(forgery.as_str()));
        }
    }
}
