//! The pair that is searched: a bundle so small and so slow that time is a handful of heartbeats.
//!
//! The durations are ones that a manifest may have. With a heartbeat of 3 s the reply's 30 s are ten heartbeats, so that
//! no timer of the pair counts longer than the others.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use serde_json::json;
use tandem::bundle::{Bundle, BundleError, Config};
use tandem::license::{self, License, SharePart};
use tandem::manifest::types::{Manifest, Mode, Role};
use tandem::measure::{Generation, Moment, Now, Seats, Span, Timestamp};
use tandem::name::{
    HostName, LeaseId, LicenseId, NameError, ProductName, PublicKey, ServerName, UseId, UserName,
};
use tandem::pair::{Checkout, Commit, Committed, Durable, Nonce, Pair, Token};
use tandem::statement::{
    ApplyStatement, Keyring, MemoryKey, SignError, SignedStatement, Signs as _, Source,
};

use super::space::{Faults, From, Space};

/// The heartbeat, and how long time passes at once.
pub(super) const HEARTBEAT: Span = Span::from_secs(3);
/// The silence after which the secondary serves: four heartbeats, the least there is.
pub(super) const FAILOVER: Span = Span::from_secs(12);
/// A lease's ttl: nine heartbeats, a little more than the least there is.
pub(super) const TTL: Span = Span::from_secs(27);
/// How old a lease is before its holder renews it: a third of its ttl.
pub(super) const RENEW_AFTER: Span = Span::from_secs(9);
/// How long ago something may be before it makes no difference how long: twice the failover and more.
pub(super) const LONG_AGO: Span = Span::from_secs(27);
/// Somebody who asks only to see what a server would answer.
pub(super) const STRANGER: usize = 2;
/// Somebody who has a seat and asks nothing more.
pub(super) const THIRD: usize = 3;
/// The wall clocks stand still: they decide nothing here.
const WALL: i64 = 1_800_000_000_000;

/// Why there is no pair to search.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The bundle cannot be made.
    #[error("the bundle of the search cannot be made: {0}")]
    Bundle(#[from] BundleError),
    /// A name is none.
    #[error("a name of the search is none: {0}")]
    Name(#[from] NameError),
    /// A bundle cannot be signed.
    #[error("a bundle of the search cannot be signed: {0}")]
    Sign(#[from] SignError),
    /// The manifest is none.
    #[error("the manifest of the search is none: {0}")]
    Manifest(#[from] serde_json::Error),
}

/// What is the same in every state of a search.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) names: [ServerName; 2],
    pub(super) config: Arc<Config>,
    pub(super) seats: usize,
    /// The faults that may come, one of these.
    pub(super) plans: &'static [Faults],
    /// Keys that the servers are started with: of those who sign bundles, where any are committed.
    trust: Keyring,
    /// What was signed about the first bundle.
    signed: Vec<SignedStatement>,
    /// The second bundle, where one is committed.
    second: Option<Commit>,
    product: ProductName,
    host: HostName,
    users: [UserName; 4],
}

impl Setup {
    pub(super) fn new(space: &Space) -> Result<Self, SetupError> {
        let seats = space.seats;
        let names = [ServerName::new("lic-a")?, ServerName::new("lic-b")?];
        let config = Arc::new(config(&names, space, "l1")?);
        let commits = space.plans.iter().any(|plan| plan.commits != [0, 0]);
        let (mut trust, mut signed, mut second) = (Keyring::new(&[], &[]), Vec::new(), None);
        let operator = MemoryKey::from_seed([9; 32], "operator");
        // One whose disk was lost has its bundle from its peer, as an operator signed it.
        if commits || space.from == From::DiskLost {
            trust = Keyring::new(&[], &[operator.public().clone()]);
            signed.push(sign(&config, &names, Generation(1), &operator)?);
        }
        if commits {
            let config = Arc::new(self::config(&names, space, "l2")?);
            let statements = vec![sign(&config, &names, Generation(2), &operator)?];
            let (generation, base) = (Generation(2), Generation(1));
            second = Some(Commit { config, statements, generation, base });
        }
        Ok(Self {
            config,
            names,
            trust,
            signed,
            second,
            seats: seats as usize,
            plans: space.plans,
            product: ProductName::new("designer")?,
            host: HostName::new("ws")?,
            users: [
                UserName::new("ana")?,
                UserName::new("bo")?,
                UserName::new("cy")?,
                UserName::new("di")?,
            ],
        })
    }

    /// What both disks hold at first: the bundle, and nothing else.
    pub(super) fn disk(&self) -> Durable {
        let committed = Committed {
            generation: Generation(1),
            config: Arc::clone(&self.config),
            before: None,
            statements: self.signed.clone(),
            at: Timestamp::from_ms(WALL),
            ttl_longest: TTL,
        };
        Durable { committed: Some(committed), ..Durable::default() }
    }

    /// The keys that the servers are started with.
    pub(super) fn trust(&self) -> Keyring {
        self.trust.clone()
    }

    /// The second bundle, and what is signed about it.
    pub(super) const fn second(&self) -> Option<&Commit> {
        self.second.as_ref()
    }

    /// Whether never a seat too many may be held.
    pub(super) fn is_escrow(&self) -> bool {
        self.config.redundancy.mode == Mode::Escrow
    }

    /// Whether a server knows how the slots are shared out, where they are.
    pub(super) fn is_shared_out(&self, pair: &Pair) -> bool {
        !self.is_escrow() || pair.ledger().is_shared_out(&self.product)
    }

    /// Whether every slot is shared out and counted on, and none is parked; where there are none, nothing is missing.
    pub(super) fn has_all_slots(&self, pair: &Pair) -> bool {
        if !self.is_escrow() {
            return true;
        }
        let (ledger, quotas) = (pair.ledger(), pair.ledger().quotas());
        let wall = Timestamp::from_ms(WALL);
        quotas.slots(&self.product).total()
            == self.config.capacity(&self.product, Role::Primary, wall)
            && !quotas.is_waiting()
            && ledger.parked(&self.product) == Seats(0)
    }

    /// The nonce of an operator's order: one of each kind is enough.
    pub(super) fn nonce(kind: &str) -> Nonce {
        Nonce { nonce: kind.to_owned(), expires: Timestamp::from_ms(WALL) }
    }

    pub(super) fn now(moment: Moment) -> Now {
        Now { moment, wall: Timestamp::from_ms(WALL) }
    }

    /// A checkout of a client's use: `lease` names the lease that it may become, as no other is named.
    #[expect(clippy::expect_used, reason = "digits and letters are an id")]
    pub(super) fn checkout(&self, client: usize, number: u8, lease: u64) -> Checkout {
        Checkout {
            product: self.product.clone(),
            user: self.users[client].clone(),
            host: self.host.clone(),
            address: ADDRESS,
            use_id: use_id(client, number),
            seats: Seats(1),
            borrow: None,
            fresh: LeaseId::new(&format!("c{client}u{number}-{lease:04}")).expect("an id"),
        }
    }

    /// The token of a client's lease.
    pub(super) fn token(&self, client: usize, number: u8, lease: &LeaseId) -> Token {
        Token {
            lease: lease.clone(),
            use_id: use_id(client, number),
            product: self.product.clone(),
            user: self.users[client].clone(),
            host: self.host.clone(),
            seats: Seats(1),
            issued: Timestamp::from_ms(WALL),
            address: ADDRESS,
        }
    }
}

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[expect(clippy::expect_used, reason = "digits and letters are an id")]
fn use_id(client: usize, number: u8) -> UseId {
    UseId::new(&format!("c{client}u{number}")).expect("an id")
}

/// Which use a use's id or a lease's names, and the number of the lease.
pub(super) fn read_id(text: &str) -> (u64, u64) {
    let (used, number) = match text.split_once('-') {
        Some((used, number)) => (used, number.parse().unwrap_or_default()),
        None => (text, 0),
    };
    let mut numbers = used.split(['c', 'u']).skip(1).map(|text| text.parse().unwrap_or_default());
    let mut next = || numbers.next().unwrap_or_default();
    let (who, which): (u8, u8) = (next(), next());
    (self::used(who.into(), which), number)
}

/// A client's use as a number.
pub(super) fn used(client: usize, number: u8) -> u64 {
    (client as u64) << 8 | u64::from(number)
}

/// What an operator signs who applies a bundle to both servers.
fn sign(
    config: &Config,
    names: &[ServerName; 2],
    generation: Generation,
    operator: &MemoryKey,
) -> Result<SignedStatement, SetupError> {
    let before = Generation(generation.0 - 1);
    let source =
        Source { repository: None, commit: None, path: "explored".to_owned(), dirty: false };
    let (pair, hash) = (config.pair.clone(), config.bundle.hash());
    let base = names.iter().map(|name| (name.clone(), before)).collect();
    let at = Timestamp::from_ms(WALL);
    let statement = ApplyStatement::new(pair, hash, base, Vec::new(), at, source);
    let statement = ApplyStatement { generation, ..statement };
    Ok(SignedStatement::sign_apply(statement, operator)?)
}

fn config(names: &[ServerName; 2], space: &Space, licenses: &str) -> Result<Config, SetupError> {
    let vendor = SigningKey::from_bytes(&[7; 32]);
    let key = PublicKey(vendor.verifying_key().to_bytes());
    let [a, b] = names;
    let manifest: Manifest = serde_json::from_value(json!({
        "apiVersion": "tandem/v1", "kind": "LicensePair", "metadata": {"name": "explored"},
        "servers": [
            {"name": a.as_str(), "role": "primary", "address": "127.0.0.1", "port": 4820},
            {"name": b.as_str(), "role": "secondary", "address": "127.0.0.1", "port": 4821},
        ],
        "trust": {"vendors": [key]},
        "redundancy": {
            "heartbeat": HEARTBEAT, "failoverAfter": FAILOVER, "mode": space.mode,
            "escrow": {"secondaryShare": "50%"},
        },
        "leases": {"ttl": TTL},
        "seats": [{"product": "designer", "assign": [{"everyone": true}]}],
    }))?;
    let file = |role: Role| -> Result<Vec<u8>, SetupError> {
        let license = License {
            id: LicenseId::new(&format!("{licenses}-{role}"))?,
            product: ProductName::new("designer")?,
            seats: Seats(space.seats),
            role,
            vendor: key,
            issued: Timestamp::from_ms(0),
            not_before: Timestamp::from_ms(0),
            expires: None,
            server: None,
            pair: None,
            modes: None,
            standalone: None,
            max_borrow: None,
            share: vec![SharePart::User, SharePart::Host],
            entitlements: Vec::new(),
        };
        Ok(license::sign(&license, &vendor).armor().into_bytes())
    };
    let files = vec![
        (a.clone(), "a.alf".to_owned(), file(Role::Primary)?),
        (b.clone(), "b.alf".to_owned(), file(Role::Secondary)?),
    ];
    Ok(Config::compile(&Bundle::build(&manifest, files)?)?)
}
