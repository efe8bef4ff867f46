//! The manifest field by field: which records there are, what is required, what is the default.

use super::fields;
use super::limits::{RESERVE_HELP, reserve_problem};
use super::shape::{exactly_one, reserve_above_max};
use super::types::{
    ApiVersion, Assignment, Borrow, Denial, Escrow, Group, Kind, Leases, Limit, Manifest, Member,
    Metadata, Mode, OnOverGrant, ProductSeats, Redundancy, Role, Safety, Server, Trust, User,
    Visibility, Who,
};
use super::walk::{Field, Value, Walker, list_of};
use crate::measure::Seats;
use crate::name::PairName;

const API_VERSIONS: [(&str, ApiVersion); 1] = [("tandem/v1", ApiVersion::V1)];
const KINDS: [(&str, Kind); 1] = [("LicensePair", Kind::LicensePair)];
const ROLES: [(&str, Role); 2] = [("primary", Role::Primary), ("secondary", Role::Secondary)];
const MODES: [(&str, Mode); 2] = [("mirror", Mode::Mirror), ("escrow", Mode::Escrow)];
const ON_OVER_GRANT: [(&str, OnOverGrant); 2] =
    [("drain", OnOverGrant::Drain), ("revoke", OnOverGrant::Revoke)];
const VISIBILITIES: [(&str, Visibility); 2] =
    [("operators", Visibility::Operators), ("open", Visibility::Open)];

/// A manifest. Its servers and seats may be empty where they cannot be read.
pub(super) fn manifest(w: &mut Walker<'_>, value: Value) -> Option<Manifest> {
    let [
        api_version,
        kind,
        metadata,
        servers,
        trust,
        redundancy,
        leases,
        visibility,
        safety,
        users,
        users_from,
        groups,
        seats,
    ] = w.fields(value, &fields::MANIFEST)?;
    let api_version = w.need(api_version, |w, value| w.choice(value, &API_VERSIONS));
    let kind = w.need(kind, |w, value| w.choice(value, &KINDS));
    let metadata = w.need(metadata, self::metadata);
    let manifest = Manifest {
        api_version: api_version.unwrap_or_default(),
        kind: kind.unwrap_or_default(),
        // With no name there is an error, and this is for further checks alone.
        metadata: metadata.or_else(unnamed)?,
        servers: w.need(servers, |w, value| w.list(value, server)).unwrap_or_default(),
        trust: w.maybe(trust, self::trust).unwrap_or_default(),
        redundancy: w.maybe(redundancy, self::redundancy).unwrap_or_default(),
        leases: w.maybe(leases, self::leases).unwrap_or_default(),
        visibility: w
            .maybe(visibility, |w, value| w.choice(value, &VISIBILITIES))
            .unwrap_or_default(),
        safety: w.maybe(safety, self::safety).unwrap_or_default(),
        users: w.maybe(users, user_list).unwrap_or_default(),
        users_from: w.maybe(users_from, |w, value| w.path(value)),
        groups: w.maybe(groups, |w, value| w.list(value, group)).unwrap_or_default(),
        seats: w.need(seats, |w, value| w.list(value, product_seats)).unwrap_or_default(),
    };
    Some(manifest)
}

fn unnamed() -> Option<Metadata> {
    PairName::new("unnamed").ok().map(|name| Metadata { name })
}

fn metadata(w: &mut Walker<'_>, value: Value) -> Option<Metadata> {
    let [name] = w.fields(value, &fields::METADATA)?;
    Some(Metadata { name: w.need(name, |w, value| w.identifier(value))? })
}

fn server(w: &mut Walker<'_>, value: Value) -> Option<Server> {
    let [name, role, address, port, licenses, key] = w.fields(value, &fields::SERVER)?;
    // Each is read before any is given up.
    let name = w.need(name, |w, value| w.identifier(value));
    let role = w.need(role, |w, value| w.choice(value, &ROLES));
    let address = w.need(address, |w, value| w.address(value));
    let port = w.need(port, |w, value| w.port(value));
    let licenses = w.maybe(licenses, |w, value| w.list(value, |w, value| w.path(value)));
    let key = w.maybe(key, |w, value| w.public_key(value));
    Some(Server {
        name: name?,
        role: role?,
        address: address?,
        port: port?,
        licenses: licenses.unwrap_or_default(),
        key,
    })
}

fn trust(w: &mut Walker<'_>, value: Value) -> Option<Trust> {
    let [vendors, operators] = w.fields(value, &fields::TRUST)?;
    let vendors = w.maybe(vendors, |w, value| w.list(value, |w, value| w.public_key(value)));
    let operators = w.maybe(operators, |w, value| w.list(value, |w, value| w.ssh_key(value)));
    Some(Trust { vendors: vendors.unwrap_or_default(), operators: operators.unwrap_or_default() })
}

fn redundancy(w: &mut Walker<'_>, value: Value) -> Option<Redundancy> {
    let [mode, heartbeat, failover_after, on_over_grant, escrow] =
        w.fields(value, &fields::REDUNDANCY)?;
    let default = Redundancy::default();
    Some(Redundancy {
        mode: w.maybe(mode, |w, value| w.choice(value, &MODES)).unwrap_or_default(),
        heartbeat: w.maybe(heartbeat, |w, value| w.duration(value)).unwrap_or(default.heartbeat),
        failover_after: w
            .maybe(failover_after, |w, value| w.duration(value))
            .unwrap_or(default.failover_after),
        on_over_grant: w
            .maybe(on_over_grant, |w, value| w.choice(value, &ON_OVER_GRANT))
            .unwrap_or_default(),
        escrow: w.maybe(escrow, self::escrow).unwrap_or_default(),
    })
}

fn escrow(w: &mut Walker<'_>, value: Value) -> Option<Escrow> {
    let [secondary_share] = w.fields(value, &fields::ESCROW)?;
    let share = w.maybe(secondary_share, |w, value| w.share(value));
    Some(share.map_or_else(Escrow::default, |secondary_share| Escrow { secondary_share }))
}

fn leases(w: &mut Walker<'_>, value: Value) -> Option<Leases> {
    let [ttl] = w.fields(value, &fields::LEASES)?;
    let ttl = w.maybe(ttl, |w, value| w.duration(value));
    Some(ttl.map_or_else(Leases::default, |ttl| Leases { ttl }))
}

fn safety(w: &mut Walker<'_>, value: Value) -> Option<Safety> {
    let [max_revoked, max_removed, require_committed] = w.fields(value, &fields::SAFETY)?;
    Some(Safety {
        max_revoked: w.maybe(max_revoked, limit).unwrap_or_default(),
        max_removed: w.maybe(max_removed, limit).unwrap_or_default(),
        require_committed: w
            .maybe(require_committed, |w, value| w.boolean(value))
            .unwrap_or_default(),
    })
}

fn limit(w: &mut Walker<'_>, value: Value) -> Option<Limit> {
    let [share, floor] = w.fields(value, &fields::LIMIT)?;
    let default = Limit::default();
    Some(Limit {
        share: w.maybe(share, |w, value| w.share(value)).unwrap_or(default.share),
        floor: w.maybe(floor, |w, value| w.count(value)).unwrap_or(default.floor),
    })
}

/// A list of users: the field `users`, and a whole file of `usersFrom`.
pub(super) fn user_list(w: &mut Walker<'_>, value: Value) -> Option<Vec<User>> {
    w.list(value, user)
}

fn user(w: &mut Walker<'_>, value: Value) -> Option<User> {
    let [name, key] = w.fields(value, &fields::USER)?;
    let name = w.need(name, |w, value| w.free_name(value));
    let key = w.maybe(key, |w, value| w.ssh_key(value));
    Some(User { name: name?, key })
}

fn group(w: &mut Walker<'_>, value: Value) -> Option<Group> {
    let [name, members, members_from] = w.fields(value, &fields::GROUP)?;
    let name = w.need(name, |w, value| w.identifier(value));
    let members = w.maybe(members, |w, value| w.list(value, member)).unwrap_or_default();
    let members_from = w.maybe(members_from, |w, value| w.path(value));
    Some(Group { name: name?, members, members_from })
}

fn member(w: &mut Walker<'_>, value: Value) -> Option<Member> {
    if w.is_list(value) {
        let help = "write a user's name, `{host: …}` or `{address: …}`";
        w.wrong(value, "a user's name, a host or an address", help);
        return None;
    }
    if !w.is_record(value) {
        return w.free_name(value).map(Member::User);
    }
    let [host, address] = w.fields(value, &fields::MEMBER)?;
    one_of(w, value, &[host, address])?;
    let host = w.maybe(host, |w, value| w.pattern(value)).map(Member::Host);
    host.or_else(|| w.maybe(address, |w, value| w.address_range(value)).map(Member::Address))
}

/// Reports an entry in which not exactly one of `fields` is given.
fn one_of(w: &mut Walker<'_>, value: Value, fields: &[Field]) -> Option<()> {
    let given = fields.iter().filter(|field| field.is_given());
    let names: Vec<&'static str> = given.map(Field::name).collect();
    if names.len() == 1 {
        return Some(());
    }
    let listed = list_of(fields.iter().map(Field::name), "and");
    let found = list_of(names.iter().copied(), "and");
    let (message, help) = if names.is_empty() {
        (format!("an entry takes exactly one of {listed}, and has none"), "say whom it is about")
    } else {
        let message = format!("an entry takes exactly one of {listed}, but has {found}");
        (message, "make an entry of each")
    };
    w.report(&exactly_one::CODE, value, message, help);
    None
}

fn product_seats(w: &mut Walker<'_>, value: Value) -> Option<ProductSeats> {
    let [product, ttl, assign, deny] = w.fields(value, &fields::PRODUCT_SEATS)?;
    let product = w.need(product, |w, value| w.identifier(value));
    let ttl = w.maybe(ttl, |w, value| w.duration(value));
    let assign = w.maybe(assign, |w, value| w.list(value, assignment)).unwrap_or_default();
    let deny = w.maybe(deny, |w, value| w.list(value, denial)).unwrap_or_default();
    Some(ProductSeats { product: product?, ttl, assign, deny })
}

/// Whom an entry is about.
fn who(w: &mut Walker<'_>, value: Value, given: [Field; 5]) -> Option<Who> {
    let [user, group, host, address, everyone] = given;
    let user = w.maybe(user, |w, value| w.pattern(value)).map(Who::User);
    let group = w.maybe(group, |w, value| w.identifier(value)).map(Who::Group);
    let host = w.maybe(host, |w, value| w.pattern(value)).map(Who::Host);
    let address = w.maybe(address, |w, value| w.address_range(value)).map(Who::Address);
    let everyone = w.maybe(everyone, self::everyone);
    one_of(w, value, &given)?;
    user.or(group).or(host).or(address).or(everyone)
}

fn everyone(w: &mut Walker<'_>, value: Value) -> Option<Who> {
    w.only_true(value).map(|()| Who::Everyone)
}

fn assignment(w: &mut Walker<'_>, value: Value) -> Option<Assignment> {
    let [
        user,
        group,
        host,
        address,
        everyone,
        reserve,
        max,
        max_per_user,
        max_per_address,
        priority,
        borrow,
    ] = w.fields(value, &fields::ASSIGNMENT)?;
    let who = who(w, value, [user, group, host, address, everyone]);
    let reserve_field = reserve;
    let reserve = w.maybe(reserve, seats);
    let max = w.maybe(max, seats);
    if let (Some(reserve), Some(max), Some(value)) = (reserve, max, reserve_field.value())
        && let Some(message) = reserve_problem(reserve, max)
    {
        w.report(&reserve_above_max::CODE, value, message, RESERVE_HELP);
    }
    let max_per_user = w.maybe(max_per_user, seats);
    let max_per_address = w.maybe(max_per_address, seats);
    let priority = w.maybe(priority, |w, value| w.priority(value));
    let borrow = w.maybe(borrow, self::borrow);
    Some(Assignment {
        who: who?,
        reserve: reserve.unwrap_or_default(),
        max,
        max_per_user,
        max_per_address,
        priority: priority.unwrap_or_default(),
        borrow,
    })
}

fn seats(w: &mut Walker<'_>, value: Value) -> Option<Seats> {
    w.count(value).map(Seats)
}

fn borrow(w: &mut Walker<'_>, value: Value) -> Option<Borrow> {
    let [longest, max] = w.fields(value, &fields::BORROW)?;
    let longest = w.need(longest, |w, value| w.duration(value));
    let max = w.need(max, seats);
    Some(Borrow { longest: longest?, max: max? })
}

fn denial(w: &mut Walker<'_>, value: Value) -> Option<Denial> {
    let given = w.fields(value, &fields::DENIAL)?;
    who(w, value, given).map(|who| Denial { who })
}
