//! What a change does to those who hold seats, and how much of the running configuration is gone.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bundle::Config;
use crate::entitlement::Policy;
use crate::license::License;
use crate::manifest::types::Role;
use crate::measure::{Seats, Timestamp};
use crate::name::{LeaseId, ProductName};

use super::HeldLease;
use super::naming::Naming;

/// What a change does to those who hold seats, and what is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Impact {
    /// Whether the live leases could be seen. If not, `revoked` is empty although there may be some.
    pub leases_seen: bool,
    /// The leases that end at their next renewal, in the order of their grants.
    pub revoked: Vec<Revoked>,
    /// The products of which more is held than can be given: they drain.
    pub draining: Vec<Draining>,
    /// How much is gone, each of how much there is.
    pub counts: Counts,
}

/// A lease that ends at its next renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revoked {
    /// The lease.
    pub lease: LeaseId,
    /// The product.
    pub product: ProductName,
    /// Who holds it.
    pub user: String,
    /// On which computer.
    pub host: String,
    /// How many seats.
    pub seats: Seats,
    /// Why.
    pub reason: String,
}

/// A product of which more is held than can be given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Draining {
    /// The product.
    pub product: ProductName,
    /// How many seats stay held.
    pub held: Seats,
    /// How many can be given.
    pub capacity: Seats,
}

/// How much is gone, each counted apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Leases that end.
    pub revoked: Count,
    /// Users whose names are gone, renamed ones included: the old login gets nothing any more.
    pub users: Count,
    /// Groups whose names are gone.
    pub groups: Count,
    /// Products that are gone.
    pub products: Count,
    /// Seats of licenses, over both servers.
    pub seats: Count,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// How many.
    pub count: usize,
    /// Of how many.
    pub total: usize,
}

/// What running `next` instead of `running` does to the leases at a server that will have this role.
///
/// `leases` are the live ones in the order of their grants, without those that an operator ended; `None` where they
/// could not be seen. A lease that nothing matches already is not this change's doing and is not counted.
#[must_use]
pub fn impact(
    running: Option<&Config>,
    next: &Config,
    leases: Option<&[HeldLease]>,
    role: Role,
    wall: Timestamp,
) -> Impact {
    let mut revoked = Vec::new();
    let mut held: BTreeMap<&ProductName, Seats> = BTreeMap::new();
    for lease in leases.unwrap_or_default() {
        match loss(lease, next) {
            None => {
                let seats = held.entry(&lease.product).or_default();
                *seats = *seats + lease.seats;
            }
            Some(_) if running.is_some_and(|running| loss(lease, running).is_some()) => {}
            Some(reason) => revoked.push(Revoked {
                lease: lease.id.clone(),
                product: lease.product.clone(),
                user: lease.user.to_string(),
                host: lease.host.to_string(),
                seats: lease.seats,
                reason,
            }),
        }
    }
    let draining = held.into_iter().filter_map(|(product, held)| {
        let capacity = next.capacity(product, role, wall);
        (held > capacity).then(|| Draining { product: product.clone(), held, capacity })
    });
    let total = leases.map_or(0, <[HeldLease]>::len);
    let draining = draining.collect();
    let counts = counts(running, next, Count { count: revoked.len(), total }, wall);
    Impact { leases_seen: leases.is_some(), revoked, draining, counts }
}

/// Why a lease ends under a configuration, if it does: nothing gives its holder a seat any more.
fn loss(lease: &HeldLease, config: &Config) -> Option<String> {
    if lease.is_borrowed {
        return None;
    }
    let Some(product) = config.products.get(&lease.product) else {
        return Some("the product is no longer served".to_owned());
    };
    let who = lease.requester();
    if product.policy.is_denied(&who) {
        return Some("a `deny` entry matches its holder now".to_owned());
    }
    let is_matched = |policy: &Policy| policy.matching(&who).next().is_some();
    (!is_matched(&product.policy)).then(|| "no assignment matches its holder any more".to_owned())
}

fn counts(running: Option<&Config>, next: &Config, revoked: Count, wall: Timestamp) -> Counts {
    let Some(running) = running else {
        return Counts { revoked, ..Counts::default() };
    };
    let (old, new) = (running.bundle.manifest(), next.bundle.manifest());
    Counts {
        revoked,
        users: gone(old.users.iter().map(|user| &user.name), new.users.iter().map(|u| &u.name)),
        groups: gone(old.groups.iter().map(|one| &one.name), new.groups.iter().map(|g| &g.name)),
        products: gone(running.products.keys(), next.products.keys()),
        seats: seats_gone(running, next, wall),
    }
}

fn gone<'a, T: Ord + 'a>(
    old: impl Iterator<Item = &'a T>,
    new: impl Iterator<Item = &'a T>,
) -> Count {
    let (old, new): (BTreeSet<&T>, BTreeSet<&T>) = (old.collect(), new.collect());
    Count { count: old.difference(&new).count(), total: old.len() }
}

/// Seats of licenses that have not ended, of each product at each server. One that begins later counts, so that a
/// renewal committed ahead is no loss.
fn seats_gone(running: &Config, next: &Config, wall: Timestamp) -> Count {
    let seats = |config: &Config, product: &ProductName, role| {
        let licenses = config.products.get(product).map(|product| product.licenses_of(role));
        let lasts = |license: &&License| !license.is_expired_at(wall);
        let lasting = licenses.into_iter().flatten().filter(lasts);
        lasting.map(|license| u64::from(license.seats.0)).sum::<u64>()
    };
    let (mut count, mut total) = (0_u64, 0_u64);
    for product in running.products.keys() {
        for role in [Role::Primary, Role::Secondary] {
            let old = seats(running, product, role);
            total = total.saturating_add(old);
            count = count.saturating_add(old.saturating_sub(seats(next, product, role)));
        }
    }
    let size = |number| usize::try_from(number).unwrap_or(usize::MAX);
    Count { count: size(count), total: size(total) }
}

impl Impact {
    /// Leaves names out, if the naming does.
    pub(super) fn redact(&mut self, naming: &mut Naming) {
        for one in &mut self.revoked {
            // They come from names, so they are names.
            if let (Ok(user), Ok(host)) = (one.user.parse(), one.host.parse()) {
                one.user = naming.user(&user);
                one.host = naming.host(&host);
            }
        }
    }
}
