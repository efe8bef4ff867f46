//! What is simulated: one configuration with its license files, the date at which the run starts, and what becomes
//! of it: the same with one more user, or forged so that no server may take it.
//!
//! It knows bundles, no network. The vendor's signatures are real and verified for real; the operator of a run is a
//! seeded key that its servers are told to trust.

mod example;
mod forge;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tandem::bundle::{Bundle, BundleError, Config};
use tandem::license;
use tandem::manifest::check::{Circumstances, Running};
use tandem::manifest::finding::Severity;
use tandem::manifest::types::{
    Borrow, Denial, Manifest, Member, Mode, OnOverGrant, Role, SshPublicKey, User, Who,
};
use tandem::measure::{Seats, Span, Timestamp};
use tandem::name::{GroupName, ServerName, UserName, UserPattern};
use tandem::repository::{self, Loaded, Survey};
use tandem::statement::{MemoryKey, Signs as _};

use crate::history::{License, Limits, Rights, ServerTerms, Terms, Whom};
use crate::scenario::{Reload, Time, Timing};

pub use forge::Forged;

/// Whoever signs what is applied, and is told to every server as trusted.
const OPERATOR: &str = "operator@tandem-sim";
/// Whoever a reload adds to the operators.
const ADDED: &str = "added@tandem-sim";

/// A license file of a configuration: the server, the path from the manifest's folder, the text.
pub type LicenseFile = (ServerName, String, Vec<u8>);

/// A configuration to simulate.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What a person calls it.
    pub name: String,
    /// The manifest, lists resolved.
    pub manifest: Manifest,
    /// The bundle.
    pub bundle: Bundle,
    /// The bundle, compiled.
    pub config: Arc<Config>,
    /// The date at which the run starts.
    pub start: Timestamp,
    /// Whether the operator signs it who was added before, instead of the first one.
    pub is_by_added: bool,
}

/// Why a configuration cannot be simulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// There is no bundle of it, or none that can be served.
    #[error("{name}: {error}; `tandem validate` tells more")]
    Bundle {
        /// What a person calls the configuration.
        name: String,
        /// What is wrong.
        error: Box<BundleError>,
    },
    /// A file cannot be read.
    #[error("{file}: {problem}")]
    Read {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The manifest has errors.
    #[error("{name} has errors, the first of them: {first}; `tandem validate` shows all")]
    Invalid {
        /// What a person calls the configuration.
        name: String,
        /// The first of them.
        first: String,
    },
}

impl SubjectError {
    fn bundle(name: &str, error: BundleError) -> Self {
        Self::Bundle { name: name.to_owned(), error: Box::new(error) }
    }
}

impl Subject {
    /// A configuration from a manifest with resolved lists and its license files. Without a date the run starts a
    /// day after the latest license was issued, so that it does not change with the calendar.
    ///
    /// # Errors
    /// There is no bundle of it, or none that can be served.
    pub fn new(
        name: &str,
        manifest: Manifest,
        files: Vec<LicenseFile>,
        date: Option<Timestamp>,
    ) -> Result<Self, SubjectError> {
        let wrong = |error| SubjectError::bundle(name, error);
        let bundle = Bundle::build(&manifest, files).map_err(wrong)?;
        let config = Arc::new(Config::compile(&bundle).map_err(wrong)?);
        let files = bundle.licenses().iter().map(|file| file.pem.as_bytes());
        let start = date.unwrap_or_else(|| day_after_issue(files));
        let is_by_added = false;
        Ok(Self { name: name.to_owned(), manifest, bundle, config, start, is_by_added })
    }

    /// The example that is compiled in: a design studio with two products.
    ///
    /// # Errors
    /// The example is broken, which its own tests would show.
    pub fn example(date: Option<Timestamp>) -> Result<Self, SubjectError> {
        Self::loaded(repository::read_from(&example::Example, example::NAME, "tandem.yaml"), date)
    }

    /// A manifest on disk with everything it names.
    ///
    /// # Errors
    /// It cannot be read, has errors, or no bundle of it can be served.
    pub fn load(path: &Path, date: Option<Timestamp>) -> Result<Self, SubjectError> {
        Self::loaded(repository::read(path), date)
    }

    fn loaded(loaded: Loaded, date: Option<Timestamp>) -> Result<Self, SubjectError> {
        let files: Vec<LicenseFile> = loaded
            .licenses
            .iter()
            .map(|one| (one.server.clone(), one.file.clone(), one.text.to_vec()))
            .collect();
        let now = date.unwrap_or_else(|| day_after_issue(files.iter().map(|(_, _, text)| &**text)));
        let circumstances = Circumstances { running: Running::Whatever, ..Circumstances::at(now) };
        let checked = loaded.check(&Survey::default(), &circumstances);
        if let Some(error) = checked.findings.iter().find(|one| one.severity == Severity::Error) {
            let (file, code, message) = (&error.file, error.code, &error.message);
            let place = error.place.map(|place| format!(":{}:{}", place.line, place.column));
            let first = format!("{file}{}: {code}: {message}", place.unwrap_or_default());
            return Err(SubjectError::Invalid { name: loaded.file, first });
        }
        match loaded.manifest {
            Some(manifest) => Self::new(&loaded.file, manifest, files, Some(now)),
            None => {
                let problem = loaded.unread.map_or("it is empty".to_owned(), |one| one.to_string());
                Err(SubjectError::Read { file: loaded.file, problem })
            }
        }
    }

    /// The same with one more user.
    ///
    /// # Errors
    /// There is no bundle of it.
    pub fn with_user(&self, user: UserName) -> Result<Self, SubjectError> {
        let mut manifest = self.manifest.clone();
        manifest.users.push(User { name: user, key: None });
        Self::new(&self.name, manifest, self.files(), Some(self.start))
    }

    /// The same in a redundancy mode.
    ///
    /// # Errors
    /// There is no bundle of it, or a license does not allow the mode.
    pub fn in_mode(&self, mode: Mode) -> Result<Self, SubjectError> {
        let mut manifest = self.manifest.clone();
        manifest.redundancy.mode = mode;
        Self::new(&self.name, manifest, self.files(), Some(self.start))
    }

    /// What a reload of this configuration applies, where it is no manifest of its own.
    ///
    /// # Errors
    /// There is no bundle of it.
    pub fn reloaded(&self, reload: &Reload) -> Result<Self, SubjectError> {
        if let Some(user) = &reload.add_user {
            return self.with_user(user.clone());
        }
        let mut manifest = self.manifest.clone();
        if let Some(pattern) = &reload.deny {
            for seats in &mut manifest.seats {
                seats.deny.push(Denial { who: Who::User(pattern.clone()) });
            }
            return Self::new(&self.name, manifest, self.files(), Some(self.start));
        }
        if let Some(most) = reload.lend {
            lend(&mut manifest, most);
            return Self::new(&self.name, manifest, self.files(), Some(self.start));
        }
        if reload.revoke {
            manifest.redundancy.on_over_grant = OnOverGrant::Revoke;
            return Self::new(&self.name, manifest, self.files(), Some(self.start));
        }
        if reload.swap_roles {
            return self.with_roles_swapped();
        }
        if reload.add_operator {
            let added = SshPublicKey(Self::added_operator().public().to_string());
            manifest.trust.operators.push(added);
            return Self::new(&self.name, manifest, self.files(), Some(self.start));
        }
        // License dates are whole seconds.
        let whole = |time: Timestamp| Timestamp::from_ms(time.secs() * 1_000);
        let ends = |time: &Time| whole(self.start + time.resolve(&self.timing()));
        let end_of = |role: Role| match role {
            Role::Primary => reload.primary_licenses_end.as_ref().map(ends),
            Role::Secondary => reload.licenses_end.as_ref().map(ends),
        };
        let standalone = reload.standalone.as_ref().map(|time| time.resolve(&self.timing()));
        self.relicensed(|license| {
            if let Some(percent) = reload.seats_percent {
                let seats = u64::from(license.seats.0) * u64::from(percent) / 100;
                license.seats = Seats(u32::try_from(seats).unwrap_or(license.seats.0).max(1));
            }
            license.standalone = standalone.or(license.standalone);
            license.expires = end_of(license.role).or(license.expires);
        })
    }

    /// The license files, as the bundle has them.
    #[must_use]
    pub fn files(&self) -> Vec<LicenseFile> {
        let files = self.bundle.licenses().iter();
        files
            .map(|one| (one.server.clone(), one.file.clone(), one.pem.clone().into_bytes()))
            .collect()
    }

    /// Whoever a reload adds to the operators.
    #[must_use]
    pub fn added_operator() -> MemoryKey {
        MemoryKey::from_seed(seeded(0, "added operator"), ADDED)
    }

    /// Whoever signs this in a run of this seed.
    #[must_use]
    pub fn signer(&self, seed: u64) -> MemoryKey {
        if self.is_by_added { Self::added_operator() } else { Self::operator(seed) }
    }

    /// Whoever signs what is applied in a run of this seed, and is told to the servers as trusted.
    #[must_use]
    pub fn operator(seed: u64) -> MemoryKey {
        MemoryKey::from_seed(seeded(seed, "operator"), OPERATOR)
    }

    /// The named durations of its manifest.
    #[must_use]
    pub fn timing(&self) -> Timing {
        Timing::of(&self.manifest)
    }

    /// What it means, for the oracles.
    #[must_use]
    pub fn terms(&self) -> Terms {
        let ms = |time: Timestamp| time.ms().saturating_sub(self.start.ms());
        let redundancy = &self.config.redundancy;
        let server = |role: Role| {
            let products = self.config.products.values();
            let licenses =
                products.flat_map(|product| product.licenses_of(role)).map(|license| License {
                    id: license.id.to_string(),
                    product: license.product.to_string(),
                    seats: license.seats.0,
                    from: ms(license.not_before),
                    until: license.expires.map(ms),
                    standalone: license.standalone.map(Span::ms),
                });
            ServerTerms { role, licenses: licenses.collect() }
        };
        let servers =
            self.config.servers.iter().map(|one| (one.name.to_string(), server(one.role)));
        Terms {
            bundle: self.bundle.hash().to_string(),
            refused_for: None,
            signer: Some(if self.is_by_added { ADDED } else { OPERATOR }.to_owned()),
            operators: self.operators(),
            mode: redundancy.mode,
            revokes: redundancy.on_over_grant == OnOverGrant::Revoke,
            ttl: self.config.ttl_max().ms(),
            failover_after: redundancy.failover_after.ms(),
            heartbeat: redundancy.heartbeat.ms(),
            alone_after: redundancy.alone_after().ms(),
            late: 0,
            servers: servers.collect(),
            rights: self.rights(),
        }
    }

    /// By whose signatures a server that runs this takes the next bundle.
    fn operators(&self) -> Vec<String> {
        let added = SshPublicKey(Self::added_operator().public().to_string());
        let is_added = self.manifest.trust.operators.contains(&added);
        std::iter::once(OPERATOR).chain(is_added.then_some(ADDED)).map(str::to_owned).collect()
    }

    /// Who may hold what, read from the manifest itself and not from what the servers compile of it.
    fn rights(&self) -> Vec<Rights> {
        let members = |name: &GroupName| {
            let group = self.manifest.groups.iter().find(|group| group.name == *name);
            group.map_or(&[][..], |group| &group.members)
        };
        let whom = |who: &Who| -> Vec<Whom> {
            let member = |member: &Member| match member {
                Member::User(user) => UserPattern::new(user.as_str()).ok().map(Whom::User),
                Member::Host(host) => Some(Whom::Host(host.clone())),
                Member::Address(_) => Some(Whom::Address),
            };
            match who {
                Who::User(pattern) => vec![Whom::User(pattern.clone())],
                Who::Host(pattern) => vec![Whom::Host(pattern.clone())],
                Who::Address(_) => vec![Whom::Address],
                Who::Everyone => vec![Whom::Everyone],
                Who::Group(name) => members(name).iter().filter_map(member).collect(),
            }
        };
        let seats = self.manifest.seats.iter();
        seats
            .map(|seats| Rights {
                product: seats.product.to_string(),
                assign: seats.assign.iter().flat_map(|one| whom(&one.who)).collect(),
                deny: seats.deny.iter().flat_map(|denial| whom(&denial.who)).collect(),
                has_personal_limits: seats
                    .assign
                    .iter()
                    .any(|one| one.max_per_user.is_some() || one.max_per_address.is_some()),
                limits: Some(Limits {
                    reserved: seats.assign.iter().map(|one| one.reserve.0).sum(),
                    max: seats.assign.iter().filter_map(|one| one.max.map(|max| max.0)).min(),
                }),
            })
            .collect()
    }

    /// What a person should know before they read the results: licenses that give no seats at the run's date.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = BTreeMap::new();
        for product in self.config.products.values() {
            for role in [Role::Primary, Role::Secondary] {
                for license in product.licenses_of(role) {
                    let (id, file) = (&license.id, format!("{role} license `{}`", license.id));
                    if license.is_expired_at(self.start) {
                        let note = format!("the {file} has expired and gives no seats");
                        notes.insert((id.to_string(), role), note);
                    } else if !license.is_live_from(self.start) {
                        let note = format!("the {file} is not yet valid and gives no seats");
                        notes.insert((id.to_string(), role), note);
                    }
                }
            }
        }
        notes.into_values().collect()
    }
}

/// Every assignment lends so many seats.
pub(crate) fn lend(manifest: &mut Manifest, most: u32) {
    for assignment in manifest.seats.iter_mut().flat_map(|seats| &mut seats.assign) {
        let borrow = Borrow { longest: Span::from_secs(86_400), max: Seats(most) };
        assignment.borrow = Some(borrow);
    }
}

/// 32 bytes that belong to a seed and a name.
fn seeded(seed: u64, name: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    crate::seed::Stream::named(seed, name).fill(&mut bytes);
    bytes
}

/// A day after the latest license of these files was issued.
fn day_after_issue<'a>(files: impl Iterator<Item = &'a [u8]>) -> Timestamp {
    let blocks = files.filter_map(|text| license::blocks(text).ok()).flatten();
    let issued = blocks.filter_map(|block| block.license().ok()).map(|license| license.issued);
    let latest = issued.max().unwrap_or_else(|| Timestamp::from_ms(1_767_225_600_000));
    latest + Span::from_secs(86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_simulated_a_day_after_its_licenses_were_issued() {
        let subject = Subject::example(None).expect("it is well");
        let terms = subject.terms();
        assert_eq!(terms.bundle, subject.bundle.hash().to_string());
        let lic_a = terms.servers.get("lic-a").expect("it is there");
        assert_eq!((lic_a.role, lic_a.capacity("designer", 0)), (Role::Primary, 20));
        assert_eq!(subject.notes(), Vec::<String>::new());
    }

    #[test]
    fn whose_signatures_count_is_told() {
        let subject = Subject::example(None).expect("it is well");
        let terms = subject.terms();
        assert_eq!(
            (terms.signer.as_deref(), &*terms.operators),
            (Some(OPERATOR), &[OPERATOR.to_owned()][..])
        );
        let reload = Reload { add_operator: true, ..Reload::default() };
        let opened = subject.reloaded(&reload).expect("it is well");
        let signed = Subject { is_by_added: true, ..opened };
        let terms = signed.terms();
        assert_eq!(terms.signer.as_deref(), Some(ADDED));
        assert!(terms.operators.iter().any(|one| one == ADDED));
    }

    #[test]
    fn a_date_before_the_licenses_leaves_no_seats_and_says_so() {
        let date = "2001-01-01T00:00:00Z".parse().expect("a date");
        let subject = Subject::example(Some(date)).expect("it is well");
        let lic_b = subject.terms().servers.remove("lic-b").expect("it is there");
        assert_eq!(lic_b.capacity("designer", 0), 0);
        assert!(subject.notes().iter().any(|note| note.contains("not yet valid")));
    }

    #[test]
    fn one_more_user_is_another_bundle() {
        let subject = Subject::example(None).expect("it is well");
        let other = subject.with_user(UserName::new("eve").expect("a name")).expect("it is well");
        assert_ne!(other.bundle.hash(), subject.bundle.hash());
        assert_eq!(other.start, subject.start);
    }
}
