//! Who may hold what: patterns, groups, reserves, limits and denials of one product, and what is used of them.
//!
//! Pure functions of a compiled [`Policy`] and a [`Use`] that the ledger keeps. Nothing here knows leases, time or
//! servers; the rules are those of "Seats" in docs/reference/manifest.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::manifest::types::{Borrow, Group, Member, ProductSeats, Who};
use crate::measure::Seats;
use crate::name::{
    AddressRange, GroupName, HostName, HostPattern, ProductName, UserName, UserPattern,
};

/// Who asks for seats: a login, a computer and an address, three name spaces that never mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requester<'a> {
    /// The login.
    pub user: &'a UserName,
    /// The computer.
    pub host: &'a HostName,
    /// The address, as the server itself sees it.
    pub address: IpAddr,
}

/// The groups of a manifest, compiled: asking for a member takes time logarithmic in the number of users.
#[derive(Clone, Debug, Default)]
pub struct Groups(BTreeMap<GroupName, Arc<Members>>);

/// The members of one group.
#[derive(Debug, Default)]
struct Members {
    users: BTreeSet<UserName>,
    hosts: Vec<HostPattern>,
    addresses: Vec<AddressRange>,
}

impl Groups {
    /// Compiles the groups of a manifest whose lists are resolved.
    #[must_use]
    pub fn compile(groups: &[Group]) -> Self {
        let members = |group: &Group| {
            let mut members = Members::default();
            for member in &group.members {
                match member {
                    Member::User(user) => {
                        members.users.insert(user.clone());
                    }
                    Member::Host(host) => members.hosts.push(host.clone()),
                    Member::Address(range) => members.addresses.push(*range),
                }
            }
            (group.name.clone(), Arc::new(members))
        };
        Self(groups.iter().map(members).collect())
    }
}

impl Members {
    fn contains(&self, who: &Requester<'_>) -> bool {
        self.users.contains(who.user)
            || self.hosts.iter().any(|host| host.matches(who.host))
            || self.addresses.iter().any(|range| range.contains(who.address))
    }
}

/// Whom an entry is about, ready to be asked.
#[derive(Clone, Debug)]
enum Matcher {
    User(UserName),
    Users(UserPattern),
    Group(GroupName, Arc<Members>),
    Host(HostPattern),
    Address(AddressRange),
    Everyone,
}

impl Matcher {
    fn compile(who: &Who, groups: &Groups) -> Result<Self, UnknownGroup> {
        Ok(match who {
            Who::User(pattern) => match pattern.literal() {
                Some(user) => Self::User(user),
                None => Self::Users(pattern.clone()),
            },
            Who::Group(name) => match groups.0.get(name) {
                Some(members) => Self::Group(name.clone(), Arc::clone(members)),
                None => return Err(UnknownGroup { group: name.clone() }),
            },
            Who::Host(pattern) => Self::Host(pattern.clone()),
            Who::Address(range) => Self::Address(*range),
            Who::Everyone => Self::Everyone,
        })
    }

    fn matches(&self, who: &Requester<'_>) -> bool {
        match self {
            Self::User(user) => user == who.user,
            Self::Users(pattern) => pattern.matches(who.user),
            Self::Group(_, members) => members.contains(who),
            Self::Host(pattern) => pattern.matches(who.host),
            Self::Address(range) => range.contains(who.address),
            Self::Everyone => true,
        }
    }
}

/// How messages name an entry: `group hardware`, `user ana`, `everyone`.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user {user}"),
            Self::Users(pattern) => write!(f, "user {pattern}"),
            Self::Group(name, _) => write!(f, "group {name}"),
            Self::Host(pattern) => write!(f, "host {pattern}"),
            Self::Address(range) => write!(f, "address {range}"),
            Self::Everyone => f.write_str("everyone"),
        }
    }
}

/// An entry names a group that the manifest does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no group `{group}`: add it to `groups`, or name another")]
pub struct UnknownGroup {
    /// The group.
    pub group: GroupName,
}

/// What an assignment allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Seats kept free for it.
    pub reserve: Seats,
    /// The most seats for all it matches together.
    pub max: Option<Seats>,
    /// The most seats for one user, over all hosts.
    pub max_per_user: Option<Seats>,
    /// The most seats for one address.
    pub max_per_address: Option<Seats>,
    /// The place in the queue; higher goes first.
    pub priority: i8,
    /// Whether and how its seats may be borrowed.
    pub borrow: Option<Borrow>,
}

/// Who may hold seats of one product: `assign` and `deny` of the manifest with the groups resolved.
#[derive(Clone, Debug)]
pub struct Policy {
    product: ProductName,
    assign: Vec<Matcher>,
    limits: Vec<Limits>,
    deny: Vec<Matcher>,
}

impl Policy {
    /// Compiles what the manifest says about one product.
    ///
    /// # Errors
    /// An entry names a group that is not there.
    pub fn compile(seats: &ProductSeats, groups: &Groups) -> Result<Self, UnknownGroup> {
        let assign = seats.assign.iter().map(|entry| Matcher::compile(&entry.who, groups));
        let deny = seats.deny.iter().map(|entry| Matcher::compile(&entry.who, groups));
        let limits = seats.assign.iter().map(|entry| Limits {
            reserve: entry.reserve,
            max: entry.max,
            max_per_user: entry.max_per_user,
            max_per_address: entry.max_per_address,
            priority: entry.priority,
            borrow: entry.borrow.clone(),
        });
        Ok(Self {
            product: seats.product.clone(),
            assign: assign.collect::<Result<_, _>>()?,
            limits: limits.collect(),
            deny: deny.collect::<Result<_, _>>()?,
        })
    }

    /// The product it is about.
    #[must_use]
    pub const fn product(&self) -> &ProductName {
        &self.product
    }

    /// Whether a `deny` entry matches.
    #[must_use]
    pub fn is_denied(&self, who: &Requester<'_>) -> bool {
        self.denial(who).is_some()
    }

    /// The first `deny` entry that matches, as messages name it.
    #[must_use]
    pub fn denial(&self, who: &Requester<'_>) -> Option<String> {
        self.deny.iter().find(|entry| entry.matches(who)).map(ToString::to_string)
    }

    /// The assignments that match, by their places in `assign`, in the order of the manifest.
    pub fn matching<'a>(&'a self, who: &'a Requester<'_>) -> impl Iterator<Item = usize> + 'a {
        let matches = |(index, entry): (usize, &Matcher)| entry.matches(who).then_some(index);
        self.assign.iter().enumerate().filter_map(matches)
    }

    /// What each assignment allows, in the order of the manifest.
    #[must_use]
    pub fn assignments(&self) -> &[Limits] {
        &self.limits
    }

    /// The priorities of its assignments, the highest first, each once.
    #[must_use]
    pub fn priorities(&self) -> Vec<i8> {
        let all: BTreeSet<i8> = self.limits.iter().map(|limits| limits.priority).collect();
        all.into_iter().rev().collect()
    }

    /// The highest priority of the assignments that match; none where nobody may have a seat.
    #[must_use]
    pub fn priority(&self, who: &Requester<'_>) -> Option<i8> {
        if self.is_denied(who) {
            return None;
        }
        self.matching(who).filter_map(|at| self.limits.get(at)).map(|own| own.priority).max()
    }

    /// How messages name an assignment: `group hardware`, `user ana`, `everyone`.
    #[must_use]
    pub fn label(&self, assignment: usize) -> String {
        self.assign.get(assignment).map_or_else(
            || format!("assignment {assignment} of an earlier manifest"),
            ToString::to_string,
        )
    }
}

/// What is used of a product now: kept by the ledger, one charge for each lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Use {
    live: u64,
    // Only assignments in use are here, so a place that no policy has costs nothing but its entry.
    charged: BTreeMap<usize, Charged>,
}

/// What is used of one assignment. A count of zero has no entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Charged {
    total: u64,
    users: BTreeMap<UserName, u64>,
    addresses: BTreeMap<IpAddr, u64>,
}

impl Use {
    /// Counts seats that a user at an address holds by an assignment.
    pub fn charge(&mut self, assignment: usize, user: &UserName, address: IpAddr, seats: Seats) {
        let seats = u64::from(seats.0);
        if seats == 0 {
            return;
        }
        self.live += seats;
        let charged = self.charged.entry(assignment).or_default();
        charged.total += seats;
        *charged.users.entry(user.clone()).or_default() += seats;
        *charged.addresses.entry(address.to_canonical()).or_default() += seats;
    }

    /// Counts them no longer. The caller gives back exactly what it charged.
    pub fn discharge(&mut self, assignment: usize, user: &UserName, address: IpAddr, seats: Seats) {
        let seats = u64::from(seats.0);
        let Some(charged) = self.charged.get_mut(&assignment) else {
            debug_assert!(seats == 0, "nothing is charged to assignment {assignment}");
            return;
        };
        debug_assert!(charged.total >= seats, "more is given back than was charged");
        self.live = self.live.saturating_sub(seats);
        charged.total = charged.total.saturating_sub(seats);
        lessen(&mut charged.users, user, seats);
        lessen(&mut charged.addresses, &address.to_canonical(), seats);
        if charged.total == 0 {
            self.charged.remove(&assignment);
        }
    }

    /// All live seats of the product.
    #[must_use]
    pub fn live(&self) -> Seats {
        seats(self.live)
    }

    /// The seats that are charged to an assignment.
    #[must_use]
    pub fn of(&self, assignment: usize) -> Seats {
        seats(self.charged.get(&assignment).map_or(0, |charged| charged.total))
    }

    /// The seats that are charged to an assignment for one user, over all hosts.
    #[must_use]
    pub fn of_user(&self, assignment: usize, user: &UserName) -> Seats {
        let of = |charged: &Charged| charged.users.get(user).copied();
        seats(self.charged.get(&assignment).and_then(of).unwrap_or(0))
    }

    /// The seats that are charged to an assignment for one address.
    #[must_use]
    pub fn of_address(&self, assignment: usize, address: IpAddr) -> Seats {
        let of = |charged: &Charged| charged.addresses.get(&address.to_canonical()).copied();
        seats(self.charged.get(&assignment).and_then(of).unwrap_or(0))
    }
}

fn lessen<K: Ord>(counts: &mut BTreeMap<K, u64>, key: &K, by: u64) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(by);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

fn seats(count: u64) -> Seats {
    Seats(u32::try_from(count).unwrap_or(u32::MAX))
}

/// What is decided about a request for seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The seats are charged to the assignment at this place of `assign`.
    Charge(usize),
    /// No assignment matches.
    NotEntitled,
    /// A `deny` entry matches.
    Denied,
    /// Assignments match, and each has something in the way, in their order.
    NoRoom(Vec<Obstacle>),
}

/// Why an assignment that matched has no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The assignment, by its place in `assign`.
    pub assignment: usize,
    /// What stops it.
    pub reason: ObstacleReason,
}

/// What stops an assignment: the first of these that applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObstacleReason {
    /// Its `max` would be exceeded.
    Max {
        /// The limit.
        max: Seats,
        /// What is used of it.
        used: Seats,
    },
    /// Its `maxPerUser` would be exceeded.
    MaxPerUser {
        /// The limit.
        max: Seats,
        /// What the user has of it.
        used: Seats,
    },
    /// Its `maxPerAddress` would be exceeded.
    MaxPerAddress {
        /// The limit.
        max: Seats,
        /// What the address has of it.
        used: Seats,
    },
    /// Seats are free or will be, but they are kept for others.
    Reserved {
        /// How many are free.
        free: Seats,
        /// The other assignments with an unused reserve, and how much of it is unused.
        kept_for: Vec<(usize, Seats)>,
    },
    /// Too few seats are free, and no reserve is in the way.
    Capacity {
        /// All the seats there are.
        capacity: Seats,
        /// How many of them are held.
        live: Seats,
    },
}

/// Decides a request for `wanted` seats more of a product that has `capacity` (escrow: this server's quota).
///
/// The caller has already found that the holder does not have the seats yet: a held seat is joined, not charged.
#[must_use]
pub fn judge(
    policy: &Policy,
    used: &Use,
    who: &Requester<'_>,
    wanted: Seats,
    capacity: Seats,
) -> Verdict {
    judge_among(policy, used, who, wanted, capacity, |_| true)
}

/// The same, where only some assignments come into question: those that lend their seats.
#[must_use]
pub fn judge_among(
    policy: &Policy,
    used: &Use,
    who: &Requester<'_>,
    wanted: Seats,
    capacity: Seats,
    may: impl Fn(usize) -> bool,
) -> Verdict {
    if policy.is_denied(who) {
        return Verdict::Denied;
    }
    let room = Room::of(policy, used, capacity);
    let mut obstacles = Vec::new();
    for assignment in policy.matching(who).filter(|assignment| may(*assignment)) {
        match room.obstacle(assignment, who, wanted) {
            None => return Verdict::Charge(assignment),
            Some(reason) => obstacles.push(Obstacle { assignment, reason }),
        }
    }
    if obstacles.is_empty() { Verdict::NotEntitled } else { Verdict::NoRoom(obstacles) }
}

/// What a waiter's assignments of one priority give it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chance {
    /// One of them has room.
    Room,
    /// None has room, and one is stopped by too few free seats alone: whoever comes later must not take them.
    Full,
    /// None matches, or a limit or another's reserve stops each: whoever comes later may pass.
    Passed,
}

/// What `wanted` seats more by the assignments of this priority would come to; `may` says which of them count.
#[must_use]
pub fn chance(
    policy: &Policy,
    used: &Use,
    who: &Requester<'_>,
    wanted: Seats,
    capacity: Seats,
    priority: i8,
    may: impl Fn(usize) -> bool,
) -> Chance {
    let room = Room::of(policy, used, capacity);
    let mut chance = Chance::Passed;
    for assignment in policy.matching(who) {
        let is_of = policy.limits.get(assignment).is_some_and(|own| own.priority == priority);
        if !is_of || !may(assignment) {
            continue;
        }
        match room.obstacle(assignment, who, wanted) {
            None => return Chance::Room,
            Some(ObstacleReason::Capacity { .. }) => chance = Chance::Full,
            Some(_) => {}
        }
    }
    chance
}

/// Where a lease that is held already is charged by a new policy: the first matching assignment with room, else the
/// first matching one, which then drains. None: nothing matches any more, and the lease is revoked.
///
/// `used` has the leases granted before it, charged by the same policy.
#[must_use]
pub fn recharge(
    policy: &Policy,
    used: &Use,
    who: &Requester<'_>,
    held: Seats,
    capacity: Seats,
) -> Option<usize> {
    match judge(policy, used, who, held, capacity) {
        Verdict::Charge(assignment) => Some(assignment),
        Verdict::NoRoom(obstacles) => obstacles.first().map(|obstacle| obstacle.assignment),
        Verdict::NotEntitled | Verdict::Denied => None,
    }
}

/// What is left of a product, computed once for a request.
struct Room<'a> {
    policy: &'a Policy,
    used: &'a Use,
    capacity: u64,
    /// Unused reserves of all assignments together.
    unused: u64,
}

impl<'a> Room<'a> {
    fn of(policy: &'a Policy, used: &'a Use, capacity: Seats) -> Self {
        let unused = |index| u64::from(unused_reserve(policy, used, index).0);
        let unused = (0..policy.limits.len()).map(unused).sum();
        Self { policy, used, capacity: u64::from(capacity.0), unused }
    }

    /// What stops `n` seats more of an assignment, if anything does.
    fn obstacle(&self, assignment: usize, who: &Requester<'_>, n: Seats) -> Option<ObstacleReason> {
        let limits = self.policy.limits.get(assignment)?;
        let over = |used: Seats, max: Option<Seats>| {
            max.filter(|max| u64::from(used.0) + u64::from(n.0) > u64::from(max.0))
        };
        let used = self.used.of(assignment);
        if let Some(max) = over(used, limits.max) {
            return Some(ObstacleReason::Max { max, used });
        }
        let used = self.used.of_user(assignment, who.user);
        if let Some(max) = over(used, limits.max_per_user) {
            return Some(ObstacleReason::MaxPerUser { max, used });
        }
        let used = self.used.of_address(assignment, who.address);
        if let Some(max) = over(used, limits.max_per_address) {
            return Some(ObstacleReason::MaxPerAddress { max, used });
        }
        let own = u64::from(unused_reserve(self.policy, self.used, assignment).0);
        let kept = self.unused - own;
        if self.used.live + u64::from(n.0) + kept <= self.capacity {
            None
        } else if kept == 0 {
            Some(ObstacleReason::Capacity {
                capacity: seats(self.capacity),
                live: self.used.live(),
            })
        } else {
            let others = (0..self.policy.limits.len()).filter(|other| *other != assignment);
            let unused = |other| (other, unused_reserve(self.policy, self.used, other));
            let kept_for = others.map(unused).filter(|(_, seats)| *seats > Seats(0)).collect();
            let free = seats(self.capacity.saturating_sub(self.used.live));
            Some(ObstacleReason::Reserved { free, kept_for })
        }
    }
}

fn unused_reserve(policy: &Policy, used: &Use, assignment: usize) -> Seats {
    let reserve = policy.limits.get(assignment).map(|limits| limits.reserve).unwrap_or_default();
    reserve.less(used.of(assignment))
}

/// The sentence for whoever is refused: which assignments matched and what stops each.
#[must_use]
pub fn describe_obstacles(policy: &Policy, wanted: Seats, obstacles: &[Obstacle]) -> String {
    let describe = |obstacle: &Obstacle| {
        let label = policy.label(obstacle.assignment);
        match &obstacle.reason {
            ObstacleReason::Max { max, used } => {
                format!("`{label}` has {} of its {max} at most", counted(*used))
            }
            ObstacleReason::MaxPerUser { max, used } => {
                format!("`{label}` gives a user {} at most, who has {used}", counted(*max))
            }
            ObstacleReason::MaxPerAddress { max, used } => {
                format!("`{label}` gives an address {} at most, which has {used}", counted(*max))
            }
            ObstacleReason::Reserved { free, kept_for } => {
                let kept = |(other, seats): &(usize, Seats)| {
                    format!("{seats} for `{}`", policy.label(*other))
                };
                let kept: Vec<String> = kept_for.iter().map(kept).collect();
                let are = if *free == Seats(1) { "is" } else { "are" };
                format!("`{label}`: {} {are} free, kept {}", counted(*free), kept.join(" and "))
            }
            ObstacleReason::Capacity { capacity, live } => {
                format!("`{label}`: {live} of {} in use", counted(*capacity))
            }
        }
    };
    let reasons: Vec<String> = obstacles.iter().map(describe).collect();
    format!("no room for {} of `{}`: {}", counted(wanted), policy.product, reasons.join("; "))
}

fn counted(seats: Seats) -> String {
    if seats == Seats(1) { "1 seat".to_owned() } else { format!("{seats} seats") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::manifest::types::Assignment;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 0, 7));

    fn user(text: &str) -> UserName {
        UserName::new(text).expect("a valid user name")
    }

    /// A policy from the YAML of one entry of `seats`, with the groups hardware (ana, bo, ws-*) and campus (10.1/16).
    fn policy(yaml: &str) -> Policy {
        let groups: Vec<Group> = serde_yaml::from_str(
            "[{name: hardware, members: [ana, bo, {host: 'ws-*'}]}, \
              {name: campus, members: [{address: 10.1.0.0/16}]}]",
        )
        .expect("valid groups");
        let seats: ProductSeats = serde_yaml::from_str(yaml).expect("valid seats");
        Policy::compile(&seats, &Groups::compile(&groups)).expect("known groups")
    }

    const STUDIO: &str = "
        product: designer
        assign:
          - {group: hardware, reserve: 5, max: 8, maxPerUser: 2}
          - {user: Ana, reserve: 1}
          - {everyone: true, max: 3}
        deny: [{user: 'guest-*'}]";

    /// Asks for seats and charges what is granted.
    struct Script {
        policy: Policy,
        used: Use,
        capacity: Seats,
    }

    impl Script {
        fn new(yaml: &str, capacity: u32) -> Self {
            Self { policy: policy(yaml), used: Use::default(), capacity: Seats(capacity) }
        }

        fn ask(&mut self, name: &str, host: &str, seats: u32) -> Verdict {
            let (name, host) = (user(name), HostName::new(host).expect("a valid host name"));
            let who = Requester { user: &name, host: &host, address: HERE };
            let verdict = judge(&self.policy, &self.used, &who, Seats(seats), self.capacity);
            if let Verdict::Charge(assignment) = verdict {
                self.used.charge(assignment, &name, HERE, Seats(seats));
            }
            verdict
        }

        fn told(&mut self, name: &str, seats: u32) -> String {
            match self.ask(name, "laptop", seats) {
                Verdict::NoRoom(obstacles) => {
                    describe_obstacles(&self.policy, Seats(seats), &obstacles)
                }
                other => format!("{other:?}"),
            }
        }
    }

    #[test]
    fn deny_comes_before_everything_and_strangers_are_not_entitled() {
        let mut script = Script::new(STUDIO, 10);
        assert_eq!(script.ask("GUEST-7", "ws-1", 1), Verdict::Denied);
        let mut script = Script::new("{product: designer, assign: [{group: hardware}]}", 10);
        assert_eq!(script.ask("eve", "laptop", 1), Verdict::NotEntitled);
        assert_eq!(script.ask("eve", "WS-17", 1), Verdict::Charge(0));
    }

    #[test]
    fn members_by_address_are_members() {
        let mut script = Script::new("{product: designer, assign: [{group: campus}]}", 1);
        assert_eq!(script.ask("eve", "laptop", 1), Verdict::Charge(0));
    }

    #[test]
    fn a_member_of_a_full_group_goes_on_to_the_next_assignment() {
        let mut script = Script::new(STUDIO, 20);
        assert_eq!(script.ask("ana", "laptop", 2), Verdict::Charge(0));
        assert_eq!(script.ask("ana", "laptop", 1), Verdict::Charge(1));
        for host in ["ws-1", "ws-2", "ws-3"] {
            assert_eq!(script.ask(host, host, 2), Verdict::Charge(0));
        }
        assert_eq!(script.ask("bo", "laptop", 1), Verdict::Charge(2));
    }

    #[test]
    fn the_order_of_assignments_matters() {
        let mut first = Script::new("{product: d, assign: [{user: ana}, {everyone: true}]}", 2);
        let mut last = Script::new("{product: d, assign: [{everyone: true}, {user: ana}]}", 2);
        assert_eq!(first.ask("ana", "laptop", 1), Verdict::Charge(0));
        assert_eq!(last.ask("ana", "laptop", 1), Verdict::Charge(0));
        assert_eq!(first.policy.label(0), "user ana");
        assert_eq!(last.policy.label(0), "everyone");
    }

    #[test]
    fn who_is_refused_is_told_why() {
        let mut script = Script::new(STUDIO, 7);
        insta::assert_snapshot!(script.told("eve", 2), @"no room for 2 seats of `designer`: `everyone`: 7 seats are free, kept 5 for `group hardware` and 1 for `user Ana`");
        insta::assert_snapshot!(script.told("eve", 4), @"no room for 4 seats of `designer`: `everyone` has 0 seats of its 3 at most");
        assert_eq!(script.ask("eve", "laptop", 1), Verdict::Charge(2));
        assert_eq!(script.ask("bo", "laptop", 2), Verdict::Charge(0));
        insta::assert_snapshot!(script.told("bo", 1), @"no room for 1 seat of `designer`: `group hardware` gives a user 2 seats at most, who has 2; `everyone`: 4 seats are free, kept 3 for `group hardware` and 1 for `user Ana`");
        let mut script =
            Script::new("{product: d, assign: [{everyone: true, maxPerAddress: 1}]}", 1);
        assert_eq!(script.ask("eve", "laptop", 1), Verdict::Charge(0));
        insta::assert_snapshot!(script.told("ana", 1), @"no room for 1 seat of `d`: `everyone` gives an address 1 seat at most, which has 1");
        let mut script = Script::new("{product: d, assign: [{everyone: true}]}", 1);
        assert_eq!(script.ask("eve", "laptop", 1), Verdict::Charge(0));
        insta::assert_snapshot!(script.told("ana", 1), @"no room for 1 seat of `d`: `everyone`: 1 of 1 seat in use");
    }

    #[test]
    fn a_lease_that_still_matches_is_kept_even_without_room() {
        let policy =
            policy("{product: d, assign: [{user: ana, max: 1}, {group: hardware, max: 1}]}");
        let (ana, eve) = (user("ana"), user("eve"));
        let host = HostName::new("laptop").expect("a valid host name");
        let mut used = Use::default();
        let who = Requester { user: &ana, host: &host, address: HERE };
        for expected in [0, 1, 0] {
            assert_eq!(recharge(&policy, &used, &who, Seats(1), Seats(9)), Some(expected));
            used.charge(expected, &ana, HERE, Seats(1));
        }
        let who = Requester { user: &eve, host: &host, address: HERE };
        assert_eq!(recharge(&policy, &used, &who, Seats(1), Seats(9)), None);
    }

    #[test]
    fn an_unknown_group_is_named() {
        let seats: ProductSeats =
            serde_yaml::from_str("{product: d, deny: [{group: nobody}]}").expect("valid seats");
        let group = GroupName::new("nobody").expect("a valid name");
        assert_eq!(Policy::compile(&seats, &Groups::default()).err(), Some(UnknownGroup { group }));
    }

    #[test]
    fn discharging_what_was_charged_leaves_nothing() {
        let mapped = "::ffff:10.1.0.7".parse().expect("an address");
        let mut used = Use::default();
        used.charge(1, &user("Ana"), HERE, Seats(2));
        used.charge(1, &user("ana"), mapped, Seats(1));
        assert_eq!((used.live(), used.of(1)), (Seats(3), Seats(3)));
        assert_eq!(used.of_user(1, &user("ANA")), Seats(3));
        assert_eq!(used.of_address(1, HERE), Seats(3));
        used.discharge(1, &user("ana"), HERE, Seats(3));
        assert_eq!(used, Use::default());
    }

    fn any_assignment() -> impl Strategy<Value = Assignment> {
        let who = prop_oneof![
            Just("{everyone: true}"),
            Just("{group: hardware}"),
            Just("{user: ana}"),
            Just("{user: 'u*'}"),
            Just("{host: 'ws-*'}"),
        ];
        let limit = || prop::option::of((0_u32..6).prop_map(Seats));
        (who, 0_u32..4, limit(), limit(), limit()).prop_map(
            |(who, reserve, max, max_per_user, max_per_address)| {
                let assignment: Assignment = serde_yaml::from_str(who).expect("an assignment");
                let reserve = Seats(reserve);
                Assignment { reserve, max, max_per_user, max_per_address, ..assignment }
            },
        )
    }

    /// An asker by number, so that some share users, hosts and addresses.
    fn asker(n: u8) -> (UserName, HostName, IpAddr) {
        let names = ["ana", "bo", "u1", "eve"];
        let hosts = ["ws-1", "laptop"];
        let name = user(names[usize::from(n) % 4]);
        let host = HostName::new(hosts[usize::from(n / 4) % 2]).expect("a valid host name");
        (name, host, IpAddr::from([10, 1, 0, n / 8 % 2]))
    }

    proptest! {
        #[test]
        fn no_limit_is_passed_and_no_unused_reserve_of_others_is_lent(
            assign in prop::collection::vec(any_assignment(), 1..5),
            capacity in 0_u32..16,
            asks in prop::collection::vec((any::<u8>(), 1_u32..4, any::<bool>()), 0..60),
        ) {
            let groups = [Group {
                name: GroupName::new("hardware").expect("a valid name"),
                members: vec![Member::User(user("ana")), Member::User(user("bo"))],
                members_from: None,
            }];
            let product = ProductName::new("designer").expect("a valid name");
            let seats = ProductSeats { product, ttl: None, assign, deny: Vec::new() };
            let policy = Policy::compile(&seats, &Groups::compile(&groups)).expect("known groups");
            let capacity = Seats(capacity);
            let mut used = Use::default();
            let mut held = Vec::new();
            for (n, wanted, release) in asks {
                let (name, host, address) = asker(n);
                let who = Requester { user: &name, host: &host, address };
                let wanted = Seats(wanted);
                if release && let Some((i, name, address, seats)) = held.pop() {
                    used.discharge(i, &name, address, seats);
                    continue;
                }
                let before = used.clone();
                let matching: Vec<usize> = policy.matching(&who).collect();
                match judge(&policy, &used, &who, wanted, capacity) {
                    Verdict::Charge(i) => {
                        used.charge(i, &name, address, wanted);
                        held.push((i, name.clone(), address, wanted));
                        let limits = &policy.assignments()[i];
                        prop_assert!(matching.contains(&i));
                        prop_assert!(limits.max.is_none_or(|max| used.of(i) <= max));
                        prop_assert!(limits.max_per_user.is_none_or(|max| used.of_user(i, &name) <= max));
                        prop_assert!(
                            limits.max_per_address.is_none_or(|max| used.of_address(i, address) <= max)
                        );
                        let others = (0..policy.assignments().len()).filter(|other| *other != i);
                        let kept: Seats =
                            others.map(|o| policy.assignments()[o].reserve.less(used.of(o))).sum();
                        prop_assert!(used.live() + kept <= capacity);
                        // Every assignment before it that matched was full.
                        for earlier in matching.into_iter().take_while(|earlier| *earlier < i) {
                            let room = Room::of(&policy, &before, capacity);
                            prop_assert!(room.obstacle(earlier, &who, wanted).is_some());
                        }
                    }
                    Verdict::NoRoom(obstacles) => {
                        let stopped: Vec<usize> = obstacles.iter().map(|o| o.assignment).collect();
                        prop_assert_eq!(stopped, matching);
                        prop_assert!(!describe_obstacles(&policy, wanted, &obstacles).is_empty());
                    }
                    Verdict::NotEntitled => prop_assert!(matching.is_empty()),
                    Verdict::Denied => prop_assert!(false, "nobody is denied here"),
                }
            }
        }
    }
}
