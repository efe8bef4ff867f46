//! Who asks for seats in a run: people that the manifest's assignments are for, each at a computer of their own.
//!
//! A pure function of the configuration: it reads assignments as a person would, and leaves out whom it may not be
//! (users that sign with a key of their own, and whoever is denied).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use tandem::bundle::Config;
use tandem::entitlement::Requester;
use tandem::manifest::types::{Manifest, Member, Role, Who};
use tandem::measure::Timestamp;
use tandem::name::{AddressRange, HostName, ProductName, UserName};

/// The most clients of a crowd.
const CROWD_MAX: u32 = 40;

/// Somebody who wants seats of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The product.
    pub product: ProductName,
    /// Their login.
    pub user: UserName,
    /// Their computer.
    pub host: HostName,
    /// Their computer's address, as servers see it.
    pub address: IpAddr,
}

impl Person {
    /// `user@host`, by which histories name them.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}@{}", self.user, self.host)
    }
}

/// The products in turn, so many times in all.
#[must_use]
pub fn in_turn(products: &[ProductName], count: u32) -> Vec<ProductName> {
    products.iter().cycle().take(count as usize).cloned().collect()
}

/// Each product a quarter more often than it has seats, but not more than a run can bear.
#[must_use]
pub fn crowd(config: &Config, products: &[ProductName], start: Timestamp) -> Vec<ProductName> {
    let each = |product: &ProductName| {
        let capacity = [Role::Primary, Role::Secondary]
            .map(|role| config.capacity(product, role, start).0)
            .into_iter()
            .max()
            .unwrap_or(0);
        let wanted = capacity.saturating_add(capacity / 4 + 1).min(CROWD_MAX);
        vec![product.clone(); wanted as usize]
    };
    products.iter().flat_map(each).take(CROWD_MAX as usize).collect()
}

/// A person for each product that is wanted; none where the manifest entitles nobody to it. A login comes once for a
/// product, as long as there is somebody else.
#[must_use]
pub fn people(manifest: &Manifest, config: &Config, wanted: &[ProductName]) -> Vec<Person> {
    let mut people: Vec<Person> = Vec::new();
    for (n, product) in (0..).zip(wanted) {
        let known: BTreeSet<UserName> = people
            .iter()
            .filter(|one| one.product == *product)
            .map(|one| one.user.clone())
            .collect();
        people.extend(person(manifest, config, product, n, &known));
    }
    people
}

/// The n-th person: of the assignments of a product, in turn, the first of whom somebody may be simulated.
fn person(
    manifest: &Manifest,
    config: &Config,
    product: &ProductName,
    n: u32,
    known: &BTreeSet<UserName>,
) -> Option<Person> {
    let seats = manifest.seats.iter().find(|seats| seats.product == *product)?;
    let policy = &config.products.get(product)?.policy;
    let turns = seats.assign.len();
    let mut found: Vec<Person> = (0..turns)
        .filter_map(|offset| seats.assign.get((n as usize + offset) % turns))
        .flat_map(|assignment| of(manifest, config, &assignment.who, product, n))
        .filter(|person| {
            let (user, host, address) = (&person.user, &person.host, person.address);
            let who = Requester { user, host, address };
            let keyed = manifest.users.iter().any(|one| one.name == *user && one.key.is_some());
            !keyed && !policy.is_denied(&who) && policy.matching(&who).next().is_some()
        })
        .collect();
    let place = found.iter().position(|person| !known.contains(&person.user)).unwrap_or(0);
    (place < found.len()).then(|| found.swap_remove(place))
}

/// Whom an entry of `assign` may be about: one for each member of a group.
fn of(
    manifest: &Manifest,
    config: &Config,
    who: &Who,
    product: &ProductName,
    n: u32,
) -> Vec<Person> {
    let anybody = || {
        Some(Person {
            product: product.clone(),
            user: UserName::new(&format!("sim-{n}")).ok()?,
            host: HostName::new(&format!("sim-ws-{n}")).ok()?,
            address: address(config, n),
        })
    };
    let user =
        |text: &str| Some(Person { user: UserName::new(&filled(text, n)).ok()?, ..anybody()? });
    let host =
        |text: &str| Some(Person { host: HostName::new(&filled(text, n)).ok()?, ..anybody()? });
    let within = |range: &AddressRange| Some(Person { address: inside(range, n)?, ..anybody()? });
    let member = |member: &Member| match member {
        Member::User(name) => user(name.as_str()),
        Member::Host(pattern) => host(pattern.as_str()),
        Member::Address(range) => within(range),
    };
    match who {
        Who::User(pattern) => user(pattern.as_str()).into_iter().collect(),
        Who::Host(pattern) => host(pattern.as_str()).into_iter().collect(),
        Who::Address(range) => within(range).into_iter().collect(),
        Who::Everyone => anybody().into_iter().collect(),
        Who::Group(name) => {
            let members =
                manifest.groups.iter().find(|one| one.name == *name).map(|one| &one.members);
            members.into_iter().flatten().filter_map(member).collect()
        }
    }
}

/// A text that a pattern matches, another one for each `n` where the pattern leaves room.
fn filled(pattern: &str, n: u32) -> String {
    pattern.replacen('*', &format!("sim{n}"), 1).replace('*', "").replace('?', "x")
}

/// The n-th address of a range, or its first where it has fewer.
fn inside(range: &AddressRange, n: u32) -> Option<IpAddr> {
    let text = range.to_string();
    let first: IpAddr = text.split('/').next()?.parse().ok()?;
    let nth = match first {
        IpAddr::V4(first) => IpAddr::from(Ipv4Addr::from(u32::from(first).wrapping_add(n + 1))),
        IpAddr::V6(_) => first,
    };
    Some(if range.contains(nth) { nth } else { first })
}

/// Where a computer is: with the servers where they are on loopback, else in a network of its own.
fn address(config: &Config, n: u32) -> IpAddr {
    let loopback = |address: &str| {
        address.eq_ignore_ascii_case("localhost")
            || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    if config.servers.iter().all(|server| loopback(&server.address)) {
        return IpAddr::V4(Ipv4Addr::LOCALHOST);
    }
    IpAddr::V4(Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 77, 0, 1)).wrapping_add(n)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::Subject;

    #[test]
    fn everybody_is_somebody_that_the_manifest_is_for() {
        let subject = Subject::example(None).expect("it is well");
        let products: Vec<_> =
            subject.manifest.seats.iter().map(|one| one.product.clone()).collect();
        let people = people(&subject.manifest, &subject.config, &in_turn(&products, 12));
        assert_eq!(people.len(), 12);
        let names: std::collections::BTreeSet<_> = people.iter().map(Person::name).collect();
        assert_eq!(names.len(), 12, "each is at a computer of their own");
        for person in &people {
            let product = &subject.config.products[&person.product];
            let (user, host, address) = (&person.user, &person.host, person.address);
            assert!(product.policy.matching(&Requester { user, host, address }).next().is_some());
        }
        assert!(people.iter().any(|person| person.user.as_str() == "cy"), "contractors are there");
    }

    #[test]
    fn a_crowd_wants_more_than_there_is() {
        let subject = Subject::example(None).expect("it is well");
        let products: Vec<_> =
            subject.manifest.seats.iter().map(|one| one.product.clone()).collect();
        let wanted = crowd(&subject.config, &products, subject.start);
        let of = |name: &str| wanted.iter().filter(|product| product.as_str() == name).count();
        assert_eq!((of("designer"), of("viewer")), (26, 11));
    }

    #[test]
    fn patterns_and_ranges_are_filled() {
        assert_eq!(filled("ws-*", 7), "ws-sim7");
        assert_eq!(filled("a?c", 7), "axc");
        let range: AddressRange = "10.1.0.0/16".parse().expect("a range");
        assert_eq!(inside(&range, 4), Some(IpAddr::V4(Ipv4Addr::new(10, 1, 0, 5))));
        let one: AddressRange = "10.1.0.9".parse().expect("an address");
        assert_eq!(inside(&one, 4), Some(IpAddr::V4(Ipv4Addr::new(10, 1, 0, 9))));
    }
}
