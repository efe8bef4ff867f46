//! A bundle compiled for serving: licenses verified once, groups and patterns ready to be asked.
//!
//! Immutable, and a function of the bundle alone. Dates are not judged here: what depends on the time takes it as an
//! argument.

use std::collections::{BTreeMap, BTreeSet};

use crate::entitlement::{Groups, Policy};
use crate::license::{self, License, SharePart, Terms};
use crate::manifest::types::{Manifest, Redundancy, Role, Server, Visibility};
use crate::measure::{Seats, Span, Timestamp};
use crate::mutant;
use crate::name::{LicenseId, PairName, ProductName, ServerName};

use super::{Bundle, BundleError, BundleLicense};

/// A bundle compiled for serving.
#[derive(Clone, Debug)]
pub struct Config {
    /// The bundle.
    pub bundle: Bundle,
    /// The pair's name.
    pub pair: PairName,
    /// How the pair behaves when its servers lose each other.
    pub redundancy: Redundancy,
    /// Who may see the names of holders.
    pub visibility: Visibility,
    /// The primary and the secondary, in this order.
    pub servers: [Server; 2],
    /// What is served, by name.
    pub products: BTreeMap<ProductName, Product>,
}

/// A product as it is served.
#[derive(Clone, Debug)]
pub struct Product {
    /// Its name.
    pub name: ProductName,
    /// How long a lease lives without renewal.
    pub ttl: Span,
    /// What makes two checkouts one seat.
    pub share: Vec<SharePart>,
    /// Who may hold its seats.
    pub policy: Policy,
    /// The verified licenses of each role, the primary's first, sorted by id; each id once.
    pub licenses: [Vec<License>; 2],
    /// The texts that every token of the product carries.
    pub entitlements: Vec<String>,
    /// How long a secondary may serve it without having heard its primary; none: without end.
    pub standalone: Option<Span>,
    /// The longest time for which a seat may be borrowed, by the vendor's say.
    pub max_borrow: Option<Span>,
}

/// A compiled bundle is a function of the bundle.
impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        self.bundle.hash() == other.bundle.hash()
    }
}

impl Eq for Config {}

impl Config {
    /// Reads and compiles the canonical bytes of a bundle.
    ///
    /// # Errors
    /// As [`Bundle::decode`] and [`Config::compile`].
    pub fn decode(bytes: &[u8]) -> Result<Self, BundleError> {
        Self::compile(&Bundle::decode(bytes)?)
    }

    /// Compiles a bundle: verifies every signature, and that each license may be used where it is.
    ///
    /// # Errors
    /// The first thing that is wrong with it. A bundle refused here changes nothing anywhere.
    pub fn compile(bundle: &Bundle) -> Result<Self, BundleError> {
        let manifest = bundle.manifest();
        let servers = pair(manifest)?;
        let licenses = verified(bundle, &servers)?;
        let groups = Groups::compile(&manifest.groups);
        let mut products = BTreeMap::new();
        for seats in &manifest.seats {
            let name = seats.product.clone();
            let policy = Policy::compile(seats, &groups)
                .map_err(|unknown| BundleError::UnknownGroup { product: name.clone(), unknown })?;
            let ttl = seats.ttl.unwrap_or(manifest.leases.ttl);
            let product = Product::compile(policy, ttl, &licenses)?;
            if products.insert(name.clone(), product).is_some() {
                return Err(BundleError::ProductTwice { product: name });
            }
        }
        Ok(Self {
            bundle: bundle.clone(),
            pair: manifest.metadata.name.clone(),
            redundancy: manifest.redundancy.clone(),
            visibility: manifest.visibility,
            servers,
            products,
        })
    }

    /// The server of this name.
    #[must_use]
    pub fn server(&self, name: &ServerName) -> Option<&Server> {
        self.servers.iter().find(|server| server.name == *name)
    }

    /// The server of this role.
    #[must_use]
    pub fn server_of(&self, role: Role) -> &Server {
        let [primary, secondary] = &self.servers;
        match role {
            Role::Primary => primary,
            Role::Secondary => secondary,
        }
    }

    /// The role of the server of this name.
    #[must_use]
    pub fn role_of(&self, name: &ServerName) -> Option<Role> {
        self.server(name).map(|server| server.role)
    }

    /// The other server of the pair than the one of this name.
    #[must_use]
    pub fn peer_of(&self, name: &ServerName) -> Option<&Server> {
        self.role_of(name).map(|role| self.server_of(role.other()))
    }

    /// The seats of a product that a server of this role may give at this time: those of its valid licenses.
    #[must_use]
    pub fn capacity(&self, product: &ProductName, role: Role, wall: Timestamp) -> Seats {
        self.products.get(product).map(|product| product.capacity(role, wall)).unwrap_or_default()
    }

    /// Whether a server of this role has a seat of anything to give at this time.
    #[must_use]
    pub fn has_seats(&self, role: Role, wall: Timestamp) -> bool {
        self.products.values().any(|product| product.capacity(role, wall) > Seats(0))
    }

    /// When the capacity of any product at a server of this role changes next, after this time.
    #[must_use]
    pub fn next_license_change(&self, role: Role, wall: Timestamp) -> Option<Timestamp> {
        let licenses = self.products.values().flat_map(|product| product.licenses_of(role));
        let changes = licenses
            .flat_map(|license| [Some(license.not_before), license.expires].into_iter().flatten());
        changes.filter(|change| *change > wall).min()
    }

    /// The longest ttl of any product; that of `leases` where there is no product.
    #[must_use]
    pub fn ttl_max(&self) -> Span {
        let ttls = self.products.values().map(|product| product.ttl);
        ttls.max().unwrap_or(self.bundle.manifest().leases.ttl)
    }
}

impl Product {
    fn compile(
        policy: Policy,
        ttl: Span,
        licenses: &[BTreeMap<LicenseId, License>; 2],
    ) -> Result<Self, BundleError> {
        let name = policy.product().clone();
        let of = |licenses: &BTreeMap<LicenseId, License>| -> Vec<License> {
            licenses.values().filter(|license| license.product == name).cloned().collect()
        };
        let [primary, secondary] = licenses;
        let licenses = [of(primary), of(secondary)];
        let mut share: Option<(LicenseId, Vec<SharePart>)> = None;
        let mut entitlements = BTreeSet::new();
        let (mut standalone, mut max_borrow) = (None, None);
        for license in licenses.iter().flatten() {
            let mut parts = license.share.clone();
            parts.sort_unstable();
            match &share {
                None => share = Some((license.id.clone(), parts)),
                Some((_, first)) if *first == parts => {}
                Some((one, _)) => {
                    let (one, other) = (one.clone(), license.id.clone());
                    return Err(BundleError::ShareDisagrees { product: name, one, other });
                }
            }
            entitlements.extend(license.entitlements.iter().cloned());
            standalone = least(standalone, license.standalone);
            max_borrow = least(max_borrow, license.max_borrow);
        }
        Ok(Self {
            name,
            ttl,
            share: share.map_or_else(|| SharePart::DEFAULT.to_vec(), |(_, parts)| parts),
            policy,
            licenses,
            entitlements: entitlements.into_iter().collect(),
            standalone,
            max_borrow,
        })
    }

    /// The verified licenses for a server of this role.
    #[must_use]
    pub fn licenses_of(&self, role: Role) -> &[License] {
        let [primary, secondary] = &self.licenses;
        match role {
            Role::Primary => primary,
            Role::Secondary => secondary,
        }
    }

    /// The seats that a server of this role may give at this time.
    #[must_use]
    pub fn capacity(&self, role: Role, wall: Timestamp) -> Seats {
        let counts = |license: &&License| license.is_valid_at(wall) || mutant!(ServesOutOfDate);
        self.licenses_of(role).iter().filter(counts).map(|license| license.seats).sum()
    }

    /// The ids of the licenses that a server of this role serves from at this time.
    pub fn license_ids(&self, role: Role, wall: Timestamp) -> impl Iterator<Item = &LicenseId> {
        let valid = self.licenses_of(role).iter().filter(move |license| license.is_valid_at(wall));
        valid.map(|license| &license.id)
    }
}

fn least(one: Option<Span>, other: Option<Span>) -> Option<Span> {
    one.into_iter().chain(other).min()
}

/// The primary and the secondary of a manifest.
fn pair(manifest: &Manifest) -> Result<[Server; 2], BundleError> {
    let of = |role| manifest.servers.iter().find(|server| server.role == role).cloned();
    match (of(Role::Primary), of(Role::Secondary), manifest.servers.len()) {
        (Some(primary), Some(secondary), 2) if primary.name != secondary.name => {
            Ok([primary, secondary])
        }
        _ => Err(BundleError::Servers),
    }
}

/// The licenses of each role by id, the primary's first, every one verified and held against its server's terms.
fn verified(
    bundle: &Bundle,
    servers: &[Server; 2],
) -> Result<[BTreeMap<LicenseId, License>; 2], BundleError> {
    let manifest = bundle.manifest();
    let mut all: Vec<(&BundleLicense, License)> = Vec::new();
    for file in bundle.licenses() {
        let Some(server) = servers.iter().find(|server| server.name == file.server) else {
            let (server, file) = (file.server.clone(), file.file.clone());
            return Err(BundleError::UnknownServer { server, file });
        };
        let terms = Terms {
            role: server.role,
            server_key: server.key.as_ref(),
            vendors: &manifest.trust.vendors,
            mode: manifest.redundancy.mode,
        };
        let refused = |rejection| refused(file, rejection);
        for block in license::blocks(file.pem.as_bytes()).map_err(refused)? {
            let license = block.verify().map_err(refused)?;
            license::fits(&license, &terms).map_err(refused)?;
            all.push((file, license));
        }
    }
    for (file, license) in &all {
        license::has_twin(license, all.iter().map(|(_, other)| other))
            .map_err(|rejection| refused(file, rejection))?;
    }
    let mut roles = [BTreeMap::new(), BTreeMap::new()];
    for (_, license) in all {
        let [primary, secondary] = &mut roles;
        let role = if license.role == Role::Primary { primary } else { secondary };
        // The same id twice counts once.
        role.entry(license.id.clone()).or_insert(license);
    }
    Ok(roles)
}

fn refused(file: &BundleLicense, rejection: license::Rejection) -> BundleError {
    let rejection = Box::new(rejection);
    BundleError::License { server: file.server.clone(), file: file.file.clone(), rejection }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, MANIFEST};
    use super::*;
    use crate::license::Rejection;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a valid time")
    }

    fn product() -> ProductName {
        ProductName::new("designer").expect("a valid name")
    }

    fn name(text: &str) -> ServerName {
        ServerName::new(text).expect("a valid name")
    }

    /// Compiles the manifest with license files made by `issue`.
    fn compile(
        yaml: &str,
        files: Vec<(ServerName, String, Vec<u8>)>,
    ) -> Result<Config, BundleError> {
        Config::compile(&Bundle::build(&fixture::manifest(yaml), files).expect("a bundle"))
    }

    #[test]
    fn a_config_knows_both_servers_and_their_capacities() {
        let config = compile(MANIFEST, fixture::license_files()).expect("a config");
        let now = at("2026-06-01T00:00:00Z");
        assert_eq!(config.role_of(&name("LIC-A")), Some(Role::Primary));
        assert_eq!(config.peer_of(&name("lic-a")).map(|peer| &peer.name), Some(&name("lic-b")));
        assert_eq!(config.peer_of(&name("lic-z")), None);
        assert_eq!(config.capacity(&product(), Role::Primary, now), Seats(10));
        assert_eq!(config.capacity(&product(), Role::Secondary, now), Seats(8));
        assert_eq!(config.ttl_max(), Span::from_secs(3600));
    }

    #[test]
    fn seats_count_within_the_dates_of_their_license_and_each_id_once() {
        let (start, end) = (at("2026-03-01T00:00:00Z"), at("2026-04-01T00:00:00Z"));
        let mut files = fixture::license_files();
        for id in ["L-9", "l-9"] {
            let license = License {
                id: LicenseId::new(id).expect("a valid id"),
                not_before: start,
                expires: Some(end),
                seats: Seats(5),
                ..fixture::license(Role::Primary)
            };
            files.push((name("lic-a"), format!("{id}.alf"), fixture::issue(&license)));
        }
        let config = compile(MANIFEST, files).expect("a config");
        let capacity = |wall| config.capacity(&product(), Role::Primary, wall);
        assert_eq!(capacity(start - Span::from_ms(1)), Seats(10));
        assert_eq!(capacity(start), Seats(15));
        assert_eq!(capacity(end), Seats(10));
        let next = |wall| config.next_license_change(Role::Primary, wall);
        assert_eq!(next(start - Span::from_ms(1)), Some(start));
        assert_eq!(next(start), Some(end));
        assert_eq!(next(end), None);
        let ids = config.products[&product()].license_ids(Role::Primary, start);
        assert_eq!(ids.map(LicenseId::as_str).collect::<Vec<_>>(), ["L-1", "L-9"]);
    }

    #[test]
    fn a_license_that_may_not_be_used_is_refused() {
        let check = |license: License, rejection: Rejection| {
            let file = "x.alf".to_owned();
            let files = vec![(name("lic-a"), file.clone(), fixture::issue(&license))];
            let rejection = Box::new(rejection);
            let refused = BundleError::License { server: name("lic-a"), file, rejection };
            assert_eq!(compile(MANIFEST, files).err(), Some(refused));
        };
        let primary = fixture::license(Role::Primary);
        check(
            fixture::license(Role::Secondary),
            Rejection::WrongRole { found: Role::Secondary, wanted: Role::Primary },
        );
        let bound = crate::name::PublicKey([7; 32]);
        check(
            License { server: Some(bound), ..primary.clone() },
            Rejection::OtherServer { bound, here: None },
        );
        let purchase = crate::name::PurchaseId::new("P-1").expect("a valid id");
        check(
            License { pair: Some(purchase.clone()), ..primary },
            Rejection::NoTwin { pair: purchase, missing: Role::Secondary },
        );
    }

    #[test]
    fn a_vendor_that_is_not_trusted_is_refused() {
        let mut manifest = fixture::manifest(MANIFEST);
        manifest.trust.vendors.clear();
        let bundle = Bundle::build(&manifest, fixture::license_files()).expect("a bundle");
        let Err(BundleError::License { rejection, .. }) = Config::compile(&bundle) else {
            panic!("a license of an unknown vendor is refused");
        };
        assert!(matches!(*rejection, Rejection::UnknownVendor { .. }));
    }

    #[test]
    fn licenses_that_disagree_about_share_are_refused() {
        let license = License {
            id: LicenseId::new("L-2").expect("a valid id"),
            share: vec![SharePart::Use],
            ..fixture::license(Role::Primary)
        };
        let mut files = fixture::license_files();
        files.push((name("lic-a"), "x.alf".to_owned(), fixture::issue(&license)));
        assert!(matches!(compile(MANIFEST, files), Err(BundleError::ShareDisagrees { .. })));
    }

    #[test]
    fn a_pair_is_one_primary_and_one_secondary() {
        let both = MANIFEST.replace("role: secondary", "role: primary");
        assert_eq!(compile(&both, Vec::new()).err(), Some(BundleError::Servers));
        let same = MANIFEST.replace("name: lic-b", "name: Lic-A");
        assert_eq!(compile(&same, Vec::new()).err(), Some(BundleError::Servers));
    }
}
