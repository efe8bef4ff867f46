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
use tandem::manifest::types::{Manifest, Role};
use tandem::measure::{Epoch, Generation, Moment, Now, Seats, Span, Timestamp};
use tandem::name::{
    HostName, LeaseId, LicenseId, NameError, ProductName, PublicKey, ServerName, UseId, UserName,
};
use tandem::pair::{Checkout, Committed, Durable, Token};
use tandem::statement::Keyring;

/// The heartbeat, and how long time passes at once.
pub(super) const HEARTBEAT: Span = Span::from_secs(3);
/// The silence after which the secondary serves: four heartbeats, the least there is.
const FAILOVER: Span = Span::from_secs(12);
/// A lease's ttl: nine heartbeats, a little more than the least there is.
pub(super) const TTL: Span = Span::from_secs(27);
/// How old a lease is before its holder renews it: a third of its ttl.
pub(super) const RENEW_AFTER: Span = Span::from_secs(9);
/// How long ago something may be before it makes no difference how long: twice the failover and more.
pub(super) const LONG_AGO: Span = Span::from_secs(27);
/// Somebody who asks only to see what a server would answer.
pub(super) const STRANGER: usize = 2;
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
    product: ProductName,
    host: HostName,
    users: [UserName; 3],
}

impl Setup {
    pub(super) fn new(seats: u32) -> Result<Self, SetupError> {
        let names = [ServerName::new("lic-a")?, ServerName::new("lic-b")?];
        Ok(Self {
            config: Arc::new(config(&names, seats)?),
            names,
            seats: seats as usize,
            product: ProductName::new("designer")?,
            host: HostName::new("ws")?,
            users: [UserName::new("ana")?, UserName::new("bo")?, UserName::new("cy")?],
        })
    }

    /// What both disks hold at first: the bundle, and nothing else.
    pub(super) fn disk(&self) -> Durable {
        let committed = Committed {
            generation: Generation(1),
            config: Arc::clone(&self.config),
            before: None,
            statements: Vec::new(),
            at: Timestamp::from_ms(WALL),
            ttl_longest: TTL,
        };
        Durable { committed: Some(committed), ..Durable::default() }
    }

    /// Who may sign for the servers: nobody.
    pub(super) fn trust() -> Keyring {
        Keyring::new(&[], &[])
    }

    pub(super) fn now(moment: Moment) -> Now {
        Now { moment, wall: Timestamp::from_ms(WALL) }
    }

    /// A checkout of a client's use, at a server in this epoch.
    #[expect(clippy::expect_used, reason = "digits and letters are an id")]
    pub(super) fn checkout(&self, client: usize, number: u8, epoch: Epoch) -> Checkout {
        Checkout {
            product: self.product.clone(),
            user: self.users[client].clone(),
            host: self.host.clone(),
            address: ADDRESS,
            use_id: use_id(client, number),
            seats: Seats(1),
            borrow: None,
            fresh: LeaseId::new(&format!("c{client}u{number}-{:03}", epoch.0)).expect("an id"),
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

/// Which use a use's id or a lease's names, and the epoch in which the lease was granted.
pub(super) fn read_id(text: &str) -> (u64, Option<Epoch>) {
    let (used, epoch) = match text.split_once('-') {
        Some((used, epoch)) => (used, epoch.parse().ok().map(Epoch)),
        None => (text, None),
    };
    let bytes = used.as_bytes().iter().take(7);
    (bytes.fold(0, |word, byte| word << 8 | u64::from(*byte)), epoch)
}

fn config(names: &[ServerName; 2], seats: u32) -> Result<Config, SetupError> {
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
        "redundancy": {"heartbeat": HEARTBEAT, "failoverAfter": FAILOVER},
        "leases": {"ttl": TTL},
        "seats": [{"product": "designer", "assign": [{"everyone": true}]}],
    }))?;
    let file = |role: Role| -> Result<Vec<u8>, SetupError> {
        let license = License {
            id: LicenseId::new(&format!("l-{role}"))?,
            product: ProductName::new("designer")?,
            seats: Seats(seats),
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
