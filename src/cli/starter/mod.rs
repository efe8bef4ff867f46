//! What `tandem init` writes: the texts of a repository to start from, and which of them may be written beside what
//! is there already.
//!
//! Keys, licenses and manifest must match. So nothing is made anew that another file, already there, answers to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::cli::error::{Explain as _, Failure};
use crate::cli::key_file::{Access, OpenPublicKey, SecretKey, write_new};
use crate::cli::output::quote;
use crate::cli::verb::key::login;
use crate::license::{self, License};
use crate::manifest::schema;
use crate::measure::Seats;
use crate::name::{ProductName, PublicKey};
use crate::role::Role;
use crate::seam::World;
use crate::vendor::issue::{self, Order, ServerKeys};

const MANIFEST: &str = "tandem.yaml";
const OPERATOR: &str = "keys/operator";
const OPERATOR_PUB: &str = "keys/operator.pub";
const VENDOR: &str = "keys/vendor";
const VENDOR_PUB: &str = "keys/vendor.pub";
const IGNORE: &str = ".gitignore";
const PRODUCT: &str = "designer";
const SEATS: Seats = Seats(10);

/// What was done to one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It was written.
    Wrote,
    /// It was there and stays as it was.
    Kept,
    /// It is not there and was not written, because nothing that is there would match it.
    LeftOut,
}

/// One file of the repository.
struct Item {
    path: &'static str,
    access: Access,
    /// What to write; none where it would not match what is there.
    bytes: Option<Vec<u8>>,
}

/// Writes what is missing of a repository to start from, in the order of the answer.
///
/// # Errors
/// A file that is there is not what its name says, what is missing cannot be made to match it, or a file cannot be
/// written. Nothing is written unless everything can be made.
pub(crate) fn write(directory: &Path, world: &World) -> Result<Vec<(&'static str, Deed)>, Failure> {
    if directory.exists() && !directory.is_dir() {
        let name = quote(&directory.display().to_string());
        return Err(Failure::new(format!("{name} is there and is no directory"))
            .with_help("name a directory, or none to write here"));
    }
    let there = There(directory);
    let mut items = Vec::new();
    for item in all(there, world)? {
        let deed = match (&item.bytes, there.has(item.path)) {
            (_, true) => Deed::Kept,
            (Some(_), false) => Deed::Wrote,
            (None, false) => Deed::LeftOut,
        };
        items.push((item, deed));
    }
    for (item, deed) in &items {
        if let (Some(bytes), Deed::Wrote) = (&item.bytes, deed) {
            write_new(&there.path(item.path), bytes, item.access)?;
        }
    }
    Ok(items.into_iter().map(|(item, deed)| (item.path, deed)).collect())
}

/// What is in the directory already.
#[derive(Clone, Copy)]
struct There<'a>(&'a Path);

impl There<'_> {
    fn path(self, name: &str) -> PathBuf {
        if self.0 == Path::new(".") { name.into() } else { self.0.join(name) }
    }

    /// Whether there is anything of this name, be it a dangling link.
    fn has(self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// The text of a file, where there is one.
    fn text(self, name: &str) -> Result<Option<String>, Failure> {
        if !self.has(name) {
            return Ok(None);
        }
        let path = self.path(name);
        let text = std::fs::read_to_string(&path);
        text.map(Some)
            .context(|| format!("{} could not be read", quote(&path.display().to_string())))
    }
}

fn all(there: There<'_>, world: &World) -> Result<Vec<Item>, Failure> {
    let manifest = there.text(MANIFEST)?;
    let operator = operator(there, manifest.as_deref(), world)?;
    let vendor = vendor(there, manifest.as_deref(), world)?;
    let licenses = licenses(there, vendor.key.as_ref(), world)?;

    let mut vendors: BTreeSet<PublicKey> = licenses.vendors;
    vendors.extend(vendor.public);
    let text = include_str!("tandem.yaml")
        .replace("{{vendors}}", &list(vendors.iter()))
        .replace("{{operators}}", &list(operator.line.iter()));

    let plain = |path, text: &str| Item { path, access: Access::All, bytes: Some(text.into()) };
    // Where git already has a list of its own for the directory, the keys get one beside them.
    let ignored = there.text(IGNORE)?.is_none_or(|text| text.contains("/keys/*"));
    let ignore = (!ignored).then(|| plain(KEYS_IGNORE, include_str!("keys_gitignore")));
    // What keeps secrets out of git comes before the secrets.
    let mut items = vec![plain(IGNORE, include_str!("gitignore"))];
    items.extend(ignore);
    items.extend(operator.items);
    items.extend(vendor.items);
    items.extend(licenses.items);
    items.push(plain("manifest.schema.json", &schema::json()));
    items.push(plain(MANIFEST, &text));
    items.push(plain(".github/workflows/tandem.yml", include_str!("workflow.yml")));
    items.push(plain(".pre-commit-config.yaml", include_str!("pre-commit.yaml")));
    items.push(plain("README.md", include_str!("README.md")));
    Ok(items)
}

const KEYS_IGNORE: &str = "keys/.gitignore";

/// The texts as the items of a YAML list, quoted.
fn list<T: ToString>(texts: impl Iterator<Item = T>) -> String {
    // A JSON string is a YAML string.
    let lines = texts.map(|text| format!("    - {}", serde_json::Value::from(text.to_string())));
    lines.collect::<Vec<_>>().join("\n")
}

/// The operator's key files, and the line for the manifest.
struct Operator {
    items: Vec<Item>,
    line: Option<String>,
}

fn operator(there: There<'_>, manifest: Option<&str>, world: &World) -> Result<Operator, Failure> {
    let (secret, line) = if there.has(OPERATOR) {
        let line = OpenPublicKey::read(&there.path(OPERATOR))?.line()?;
        (None, Some(line))
    } else if there.has(OPERATOR_PUB) {
        // A clone has only the public half; a new secret one would not belong to it.
        (None, Some(OpenPublicKey::read(&there.path(OPERATOR_PUB))?.line()?))
    } else if manifest.is_some() {
        // The manifest names its operators already.
        (None, None)
    } else {
        let key = SecretKey::generate(&*world.entropy, &login())?;
        (Some(key.to_text()?.as_bytes().to_vec()), Some(key.public().line()?))
    };
    let public = line.as_ref().map(|line| format!("{line}\n").into_bytes());
    let items = vec![
        Item { path: OPERATOR, access: Access::Owner, bytes: secret },
        Item { path: OPERATOR_PUB, access: Access::All, bytes: public },
    ];
    Ok(Operator { items, line })
}

/// The vendor's key files, the key that can sign and the one to trust.
struct Vendor {
    items: Vec<Item>,
    key: Option<SecretKey>,
    public: Option<PublicKey>,
}

fn vendor(there: There<'_>, manifest: Option<&str>, world: &World) -> Result<Vendor, Failure> {
    let licensed = [Role::Primary, Role::Secondary].iter().all(|role| there.has(file(*role)));
    let (secret, key, public) = if there.has(VENDOR) {
        let key = SecretKey::read(&there.path(VENDOR))?;
        let public = key.key();
        (None, Some(key), Some(public))
    } else if there.has(VENDOR_PUB) {
        let path = there.path(VENDOR_PUB);
        let public = OpenPublicKey::read(&path)?.key().ok_or_else(|| {
            Failure::new(format!("{} is not an Ed25519 key", quote(&path.display().to_string())))
        })?;
        (None, None, Some(public))
    } else if manifest.is_some() || licensed {
        // Both name their vendors already.
        (None, None, None)
    } else {
        let key = SecretKey::generate(&*world.entropy, "vendor")?;
        let public = key.key();
        (Some(key.to_text()?.as_bytes().to_vec()), Some(key), Some(public))
    };
    // A manifest that does not trust the key would refuse what it signs.
    let trusted =
        |public: PublicKey| manifest.is_none_or(|text| text.contains(&public.to_string()));
    let key = key.filter(|_| public.is_some_and(trusted));
    let items = vec![
        Item { path: VENDOR, access: Access::Owner, bytes: secret },
        Item {
            path: VENDOR_PUB,
            access: Access::All,
            bytes: public.map(|public| format!("{public}\n").into_bytes()),
        },
    ];
    Ok(Vendor { items, key, public })
}

/// The license files, and the vendors of all that will be there.
struct Licenses {
    items: Vec<Item>,
    vendors: BTreeSet<PublicKey>,
}

const fn file(role: Role) -> &'static str {
    match role {
        Role::Primary => "licenses/designer.primary.alf",
        Role::Secondary => "licenses/designer.secondary.alf",
    }
}

fn licenses(there: There<'_>, key: Option<&SecretKey>, world: &World) -> Result<Licenses, Failure> {
    let (primary, secondary) = (existing(there, Role::Primary)?, existing(there, Role::Secondary)?);
    let vendors = primary.iter().chain(&secondary).map(|license| license.vendor).collect();
    let item = |role, text: Option<String>| Item {
        path: file(role),
        access: Access::All,
        bytes: text.map(String::into_bytes),
    };
    let (first, second) = match (primary, secondary, key.map(SecretKey::signing_key)) {
        (Some(_), Some(_), _) => (None, None),
        (None, None, Some(key)) => {
            let order = Order::new(ProductName::new(PRODUCT)?, SEATS);
            let twins = issue::issue_twins(&order, ServerKeys::default(), &key, world)?;
            (Some(twins.primary.armor()), Some(twins.secondary.armor()))
        }
        (Some(half), None, Some(key)) => (None, Some(twin(&half, &key, world)?)),
        (None, Some(half), Some(key)) => (Some(twin(&half, &key, world)?), None),
        (_, _, None) => (None, None),
    };
    let items = vec![item(Role::Primary, first), item(Role::Secondary, second)];
    Ok(Licenses { items, vendors })
}

/// The first license of a file that is there, which must be of the role in its name.
fn existing(there: There<'_>, role: Role) -> Result<Option<License>, Failure> {
    if !there.has(file(role)) {
        return Ok(None);
    }
    let path = there.path(file(role));
    let name = || quote(&path.display().to_string());
    let bytes = std::fs::read(&path).context(|| format!("{} could not be read", name()))?;
    let license = license::blocks(&bytes).and_then(|blocks| match blocks.first() {
        Some(block) if block.label_role() != role => {
            Err(license::Rejection::WrongRole { found: block.label_role(), wanted: role })
        }
        Some(block) => block.verify(),
        None => Err(license::Rejection::NoBlock),
    });
    license.map(Some).map_err(|rejection| {
        Failure::new(format!("{} {rejection}", name())).with_help(rejection.help())
    })
}

fn twin(half: &License, key: &ed25519_dalek::SigningKey, world: &World) -> Result<String, Failure> {
    let missing = file(half.role.other());
    let block = issue::issue_twin_of(half, key, world)
        .context(|| {
            format!("{} cannot be made to match {}", quote(missing), quote(file(half.role)))
        })
        .help(|| format!("put {} there yourself, or move the other away", quote(missing)))?;
    Ok(block.armor())
}
