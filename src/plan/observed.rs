//! What was seen of both servers before planning.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::Applied;
use crate::bundle::Bundle;
use crate::entitlement::Requester;
use crate::measure::{Generation, Seats};
use crate::name::{BundleHash, HostName, LeaseId, ProductName, ServerName, UserName};

/// What was seen of both servers.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The servers.
    pub servers: Vec<Seen>,
    /// What to compare with instead of what the servers run (`--against`).
    pub against: Option<Against>,
    /// The live leases of the serving server, in the order of their grants; `None` where they could not be seen.
    /// Leases that are already ended by force are not among them.
    pub leases: Option<Vec<HeldLease>>,
}

/// Another configuration to compare with.
#[derive(Clone, Debug)]
pub struct Against {
    /// What names it: a git revision or a file.
    pub label: String,
    /// The configuration.
    pub bundle: Bundle,
}

/// One server as it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The server.
    pub server: ServerName,
    /// What it runs, or why it did not answer.
    pub running: Result<Running, String>,
}

/// What a server runs.
#[derive(Clone, Debug, Default)]
pub struct Running {
    /// The number of its bundle; 0 for none.
    pub generation: Generation,
    /// The hash of its bundle.
    pub bundle: Option<BundleHash>,
    /// The bundle itself, where it could be seen: a server shows names to operators only.
    pub config: Option<Bundle>,
    /// Who had it run that, and when.
    pub applied: Option<Applied>,
    /// Whether it serves now.
    pub serves: bool,
}

/// A live lease, as far as plans care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLease {
    /// Its id.
    pub id: LeaseId,
    /// The product whose seats are held.
    pub product: ProductName,
    /// Who holds them.
    pub user: UserName,
    /// On which computer.
    pub host: HostName,
    /// From which address; `None` where it could not be seen: then no assignment by address matches.
    pub address: Option<IpAddr>,
    /// How many seats.
    pub seats: Seats,
    /// The place in the running `assign` of the assignment that is charged, from 0.
    pub assignment: u32,
    /// Whether it is borrowed: then no bundle takes it before its own end.
    pub is_borrowed: bool,
}

impl HeldLease {
    /// Who holds it, for the rules of entitlement.
    #[must_use]
    pub fn requester(&self) -> Requester<'_> {
        let address = self.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Requester { user: &self.user, host: &self.host, address }
    }
}

impl Observed {
    /// What each server that answered runs, by its number.
    pub(super) fn base(&self) -> BTreeMap<ServerName, Generation> {
        let generation = |seen: &Seen| {
            let running = seen.running.as_ref().ok()?;
            Some((seen.server.clone(), running.generation))
        };
        self.servers.iter().filter_map(generation).collect()
    }

    /// Whether there is anything to compare with, seen or not.
    pub(super) fn runs_anything(&self) -> bool {
        let runs =
            |seen: &Seen| seen.running.as_ref().is_ok_and(|running| running.bundle.is_some());
        self.against.is_some() || self.servers.iter().any(runs)
    }

    /// The server that serves now.
    pub(super) fn serving(&self) -> Option<&ServerName> {
        let serves = |seen: &&Seen| seen.running.as_ref().is_ok_and(|running| running.serves);
        self.servers.iter().find(serves).map(|seen| &seen.server)
    }

    /// The configuration to compare with, and what names it: what `--against` named, else what a server runs that
    /// could be read, rather another one than `next`, rather of the higher generation, rather of the serving server.
    pub(super) fn reference(&self, next: BundleHash) -> Option<(String, &Bundle)> {
        if let Some(Against { label, bundle }) = &self.against {
            return Some((label.clone(), bundle));
        }
        let readable = |seen: &'_ Seen| {
            let running = seen.running.as_ref().ok()?;
            running.config.as_ref()?;
            Some((running.bundle != Some(next), running.generation, running.serves))
        };
        let best = self.servers.iter().filter_map(|seen| Some((readable(seen)?, seen)));
        let (_, seen) = best.max_by_key(|(rank, _)| *rank)?;
        let bundle = seen.running.as_ref().ok()?.config.as_ref()?;
        Some((seen.server.to_string(), bundle))
    }
}
