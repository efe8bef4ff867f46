//! The manifest as types: what a person writes, field for field. The doc comments are the JSON Schema's
//! descriptions and with it an editor's hover text.
//!
//! A value of these types has the right shape; whether it makes sense is judged in `check/`. Serialized, a field
//! equal to its default is left out: that is the canonical form a bundle carries (formats.md, "Bundle").

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::measure::{Seats, Share, Span};
use crate::name::{
    AddressRange, GroupName, HostPattern, PairName, ProductName, PublicKey, ServerName, UserName,
    UserPattern,
};
pub use crate::role::{Mode, Role};

/// A redundant pair of license servers, and who may hold how many seats of which product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// The version of this format: always `tandem/v1`.
    pub api_version: ApiVersion,
    /// What this file describes: always `LicensePair`.
    pub kind: Kind,
    /// What the pair is called.
    pub metadata: Metadata,
    /// The two servers: exactly one primary and one secondary.
    #[schemars(length(equal = 2))]
    pub servers: Vec<Server>,
    /// Whose license files are accepted (`vendors`), and who may sign a change of this pair (`operators`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub trust: Trust,
    /// How the pair behaves when its servers lose each other. Default: `mirror`, failover after 3s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub redundancy: Redundancy,
    /// How long seats are leased. Default: 5m, renewed at a third of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub leases: Leases,
    /// Who may see the names of holders: `operators` only (the default), or everybody (`open`).
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "operators"))]
    pub visibility: Visibility,
    /// Limits on what one change may take away. They are judged by the manifest that runs, so one commit cannot
    /// raise a limit and use it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub safety: Safety,
    /// The people by their logins. Users that are not listed can still match patterns, hosts, addresses and
    /// `everyone`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    /// A YAML file with the users, of the same shape as `users`, for a list that another system writes: a path from
    /// the manifest's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users_from: Option<String>,
    /// Groups of users, hosts and addresses, to be named in `seats`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// The products and who may hold their seats. Every product that a license offers has its entry.
    pub seats: Vec<ProductSeats>,
}

/// The version of the manifest's format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The first version.
    #[default]
    #[serde(rename = "tandem/v1")]
    V1,
}

/// What a manifest describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// A primary and a secondary license server.
    #[default]
    LicensePair,
}

/// What the pair is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The pair's name: letters, digits, `.`, `_` and `-`. What is signed for one pair is refused by every other.
    pub name: PairName,
}

/// One license server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Server {
    /// The server's name, as given to `tandem serve --name`.
    pub name: ServerName,
    /// Whether it serves by default (`primary`) or stays silent until the primary is gone (`secondary`).
    pub role: Role,
    /// Where clients and the other server reach it: a host name or an IP address, without port.
    #[schemars(length(min = 1, max = 253))]
    pub address: String,
    /// Its TCP port, 1 to 65535.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Its license files (.alf), encoded for its role: paths or patterns such as `licenses/*.primary.alf`, from the
    /// manifest's folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// The server's identity key as `tandem serve` and `tandem search` show it: peers and clients accept nobody else.
    /// May be absent on a loopback address only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PublicKey>,
}

/// Whose signatures are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trust {
    /// The keys of the vendors whose license files are accepted, written `ed25519:BASE64`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vendors: Vec<PublicKey>,
    /// The SSH public keys of the operators, who may apply changes and give orders to the pair: the keys that sign
    /// their commits, as their `.pub` files have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<SshPublicKey>,
}

/// An SSH public key as a `.pub` file has it: `ssh-ed25519 BASE64 comment`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SshPublicKey(
    #[schemars(regex(pattern = r"^ssh-ed25519 [A-Za-z0-9+/]+={0,2}( .*)?$"))] pub String,
);

/// How the pair behaves when its servers lose each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Redundancy {
    /// What a split of the pair may cost. `mirror` (the default): seats stay available, more may be held than there
    /// are. `escrow`: never more, but each side has only its share.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "mirror"))]
    pub mode: Mode,
    /// How often the servers hear from each other: 50ms to 10s. Default: 500ms.
    #[schemars(extend("default" = "500ms"))]
    #[serde(
        default = "Redundancy::heartbeat_default",
        skip_serializing_if = "Redundancy::is_heartbeat_default"
    )]
    pub heartbeat: Span,
    /// How long the secondary waits in silence before it serves: 4 heartbeats or more, up to 10m. Default: 3s.
    #[schemars(extend("default" = "3s"))]
    #[serde(
        default = "Redundancy::failover_after_default",
        skip_serializing_if = "Redundancy::is_failover_after_default"
    )]
    pub failover_after: Span,
    /// What happens to leases over the capacity after a split: `drain` (the default: they stay until released) or
    /// `revoke` (the newest end at their next renewal).
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "drain"))]
    pub on_over_grant: OnOverGrant,
    /// Settings of the mode `escrow`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub escrow: Escrow,
}

impl Redundancy {
    const HEARTBEAT: Span = Span::from_ms(500);
    const FAILOVER_AFTER: Span = Span::from_secs(3);

    const fn heartbeat_default() -> Span {
        Self::HEARTBEAT
    }
    const fn failover_after_default() -> Span {
        Self::FAILOVER_AFTER
    }
    fn is_heartbeat_default(span: &Span) -> bool {
        *span == Self::HEARTBEAT
    }
    fn is_failover_after_default(span: &Span) -> bool {
        *span == Self::FAILOVER_AFTER
    }

    /// How long the primary waits, after it lost its secondary, before it goes on alone (pair.md, rule 2).
    #[must_use]
    pub fn alone_after(&self) -> Span {
        self.alone_after_least().with_drift()
    }

    /// How long a write may take before the disk counts as hanging (pair.md, rule 9): what a peer waits for comes on
    /// top of it, so it is half of the shortest wait.
    #[must_use]
    pub fn disk_hangs_after(&self) -> Span {
        self.failover_after.part(2)
    }

    /// The same without the allowance for drifting clocks: how long the secondary can count on it.
    #[must_use]
    pub fn alone_after_least(&self) -> Span {
        let least = self.failover_after + self.heartbeat.times(2);
        self.failover_after.times(2).max(least)
    }
}

impl Default for Redundancy {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            heartbeat: Self::HEARTBEAT,
            failover_after: Self::FAILOVER_AFTER,
            on_over_grant: OnOverGrant::default(),
            escrow: Escrow::default(),
        }
    }
}

/// What happens to leases over the capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnOverGrant {
    /// They stay until released or run out; nothing new is granted before.
    #[default]
    Drain,
    /// The newest end at their next renewal.
    Revoke,
}

/// Settings of the `escrow` mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Escrow {
    /// The share of the capacity that stays at the secondary: 0% to 100%. Default: 20%.
    #[schemars(extend("default" = "20%"))]
    #[serde(default = "Escrow::share_default", skip_serializing_if = "Escrow::is_share_default")]
    pub secondary_share: Share,
}

impl Escrow {
    // 20 is below 100, so the fallback is never taken.
    const SHARE: Share = match Share::from_percent(20) {
        Some(share) => share,
        None => unreachable!(),
    };
    const fn share_default() -> Share {
        Self::SHARE
    }
    fn is_share_default(share: &Share) -> bool {
        *share == Self::SHARE
    }
}

impl Default for Escrow {
    fn default() -> Self {
        Self { secondary_share: Self::SHARE }
    }
}

/// How long seats are leased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Leases {
    /// How long a lease lives without renewal; clients renew at a third of it. At least twice `failoverAfter` and
    /// 2s, up to 24h. Default: 5m.
    #[schemars(extend("default" = "5m"))]
    #[serde(default = "Leases::ttl_default", skip_serializing_if = "Leases::is_ttl_default")]
    pub ttl: Span,
}

impl Leases {
    const TTL: Span = Span::from_secs(300);
    const fn ttl_default() -> Span {
        Self::TTL
    }
    fn is_ttl_default(span: &Span) -> bool {
        *span == Self::TTL
    }
}

impl Default for Leases {
    fn default() -> Self {
        Self { ttl: Self::TTL }
    }
}

/// Who may see the names of holders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Visibility {
    /// Operators alone.
    #[default]
    Operators,
    /// Everybody.
    Open,
}

/// Limits on what one change may take away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Safety {
    /// The most leases that an apply may end: refused above both the share and the floor. Default: 33%, 5.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_revoked: Limit,
    /// The most users, groups, products and seats that an apply may remove, each counted apart. Default: 33%, 5.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_removed: Limit,
    /// Whether a manifest with uncommitted edits is refused. Default: false.
    #[schemars(extend("default" = false))]
    #[serde(default, skip_serializing_if = "is_default")]
    pub require_committed: bool,
}

/// A limit that is exceeded only above both its share of the total and its floor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limit {
    /// The share of the total that may go: 0% to 100%. Default: 33%.
    #[schemars(extend("default" = "33%"))]
    #[serde(default = "Limit::share_default", skip_serializing_if = "Limit::is_share_default")]
    pub share: Share,
    /// The number that may always go. Default: 5.
    #[schemars(extend("default" = 5))]
    #[serde(default = "Limit::floor_default", skip_serializing_if = "Limit::is_floor_default")]
    pub floor: u32,
}

impl Limit {
    // 33 is below 100, so the fallback is never taken.
    const SHARE: Share = match Share::from_percent(33) {
        Some(share) => share,
        None => unreachable!(),
    };
    const FLOOR: u32 = 5;
    const fn share_default() -> Share {
        Self::SHARE
    }
    fn is_share_default(share: &Share) -> bool {
        *share == Self::SHARE
    }
    const fn floor_default() -> u32 {
        Self::FLOOR
    }
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_floor_default(floor: &u32) -> bool {
        *floor == Self::FLOOR
    }

    /// Whether losing `count` of `total` goes over the limit: above the floor and above the share.
    #[must_use]
    pub fn is_exceeded_by(&self, count: usize, total: usize) -> bool {
        count as u128 > u128::from(self.floor) && self.share.is_exceeded_by(count, total)
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self { share: Self::SHARE, floor: Self::FLOOR }
    }
}

/// A person by their login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct User {
    /// The login: 1 to 256 characters, compared without regard to case, as Windows logins are.
    pub name: UserName,
    /// An SSH public key: where present, requests as this user must be signed with it. Most users need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SshPublicKey>,
}

/// A named set of users, hosts and addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Group {
    /// The group's name.
    pub name: GroupName,
    /// Its members: names of users, `{host: pattern}` or `{address: range}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// A text file with more members, a user name a line, `#` begins a comment: a path from the manifest's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members_from: Option<String>,
}

/// One member of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "MemberForm", into = "MemberForm")]
#[schemars(with = "MemberForm")]
pub enum Member {
    /// A user by name.
    User(UserName),
    /// Hosts by pattern.
    Host(HostPattern),
    /// Addresses by range.
    Address(AddressRange),
}

/// One member of a group: a user's name, or exactly one of `host` and `address`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Member")]
enum MemberForm {
    /// A user by name.
    User(UserName),
    /// A host or an address.
    Entry(MemberEntry),
}

/// A host pattern or an address range: exactly one of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = super::schema::exactly_one)]
struct MemberEntry {
    /// Hosts (computers) by name, or by a pattern with `*` and `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<HostPattern>,
    /// An IP address or a range such as `10.1.0.0/16`, as the server itself sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<AddressRange>,
}

impl TryFrom<MemberForm> for Member {
    type Error = &'static str;
    fn try_from(form: MemberForm) -> Result<Self, Self::Error> {
        match form {
            MemberForm::User(name) => Ok(Self::User(name)),
            MemberForm::Entry(MemberEntry { host: Some(host), address: None }) => {
                Ok(Self::Host(host))
            }
            MemberForm::Entry(MemberEntry { host: None, address: Some(range) }) => {
                Ok(Self::Address(range))
            }
            MemberForm::Entry(_) => {
                Err("a member is a user name or exactly one of `host` and `address`")
            }
        }
    }
}

impl From<Member> for MemberForm {
    fn from(member: Member) -> Self {
        match member {
            Member::User(name) => Self::User(name),
            Member::Host(host) => Self::Entry(MemberEntry { host: Some(host), address: None }),
            Member::Address(range) => Self::Entry(MemberEntry { host: None, address: Some(range) }),
        }
    }
}

/// A product and who may hold its seats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProductSeats {
    /// The product, as its licenses name it.
    pub product: ProductName,
    /// How long a lease of this product lives without renewal, instead of `leases.ttl` and in the same range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
    /// Who gets seats: the first entry that matches and has room serves; the order matters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assign: Vec<Assignment>,
    /// Who gets no seat, whatever is assigned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Denial>,
}

/// Whom an entry of `assign` or `deny` is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Users by name or pattern.
    User(UserPattern),
    /// The members of a group.
    Group(GroupName),
    /// Hosts by pattern.
    Host(HostPattern),
    /// Addresses by range.
    Address(AddressRange),
    /// Anybody on the network.
    Everyone,
}

/// One entry of `assign`: who it is for, and with what limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "AssignmentForm", into = "AssignmentForm")]
#[schemars(with = "AssignmentForm")]
pub struct Assignment {
    /// Who may be served by it.
    pub who: Who,
    /// Seats kept free for it.
    pub reserve: Seats,
    /// The most seats for all it matches together.
    pub max: Option<Seats>,
    /// The most seats for one user.
    pub max_per_user: Option<Seats>,
    /// The most seats for one address.
    pub max_per_address: Option<Seats>,
    /// The place in the queue, -100 to 100; higher goes first.
    pub priority: i8,
    /// Whether and how its seats may be borrowed.
    pub borrow: Option<Borrow>,
}

/// How seats may be borrowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Borrow {
    /// The longest time for which a seat may be borrowed, for example `7d`. The vendor's license may allow less.
    pub longest: Span,
    /// The most seats of this entry that may be borrowed at once.
    pub max: Seats,
}

/// One entry of `deny`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "WhoForm", into = "WhoForm")]
#[schemars(with = "WhoForm")]
pub struct Denial {
    /// Who gets no seat.
    pub who: Who,
}

/// Who may hold seats, and how many: exactly one of `user`, `group`, `host`, `address` and `everyone: true`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Assignment", transform = super::schema::exactly_one)]
struct AssignmentForm {
    /// A user by name (listed in `users`), or users by a pattern with `*` and `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserPattern>,
    /// The members of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupName>,
    /// Hosts (computers) by name, or by a pattern with `*` and `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<HostPattern>,
    /// An IP address or a range such as `10.1.0.0/16`, as the server itself sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<AddressRange>,
    /// Anybody on the network: always `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    everyone: Option<True>,
    /// Seats kept free for it, never lent to others; at most `max`. Default: 0.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = 0))]
    reserve: Seats,
    /// The most seats for all it matches together. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<Seats>,
    /// The most seats for one user, over all hosts. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_per_user: Option<Seats>,
    /// The most seats for one address. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_per_address: Option<Seats>,
    /// The place in the queue, -100 to 100; higher goes first. Default: 0.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(range(min = -100, max = 100), extend("default" = 0))]
    priority: i8,
    /// Whether and how its seats may be borrowed. Absent: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    borrow: Option<Borrow>,
}

/// Who gets no seat: exactly one of `user`, `group`, `host`, `address` and `everyone: true`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Denial", transform = super::schema::exactly_one)]
struct WhoForm {
    /// A user by name (listed in `users`), or users by a pattern with `*` and `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserPattern>,
    /// The members of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupName>,
    /// Hosts (computers) by name, or by a pattern with `*` and `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<HostPattern>,
    /// An IP address or a range such as `10.1.0.0/16`, as the server itself sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<AddressRange>,
    /// Anybody on the network: always `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    everyone: Option<True>,
}

/// The one value `everyone` may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "bool", into = "bool")]
struct True;

impl JsonSchema for True {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "True".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"const": true})
    }
}

impl TryFrom<bool> for True {
    type Error = &'static str;
    fn try_from(value: bool) -> Result<Self, Self::Error> {
        if value {
            Ok(Self)
        } else {
            Err("`everyone` can only be `true`: leave the entry out instead")
        }
    }
}

impl From<True> for bool {
    fn from(_: True) -> Self {
        true
    }
}

impl WhoForm {
    fn who(self) -> Result<Who, &'static str> {
        match self {
            Self { user: Some(user), group: None, host: None, address: None, everyone: None } => {
                Ok(Who::User(user))
            }
            Self { user: None, group: Some(group), host: None, address: None, everyone: None } => {
                Ok(Who::Group(group))
            }
            Self { user: None, group: None, host: Some(host), address: None, everyone: None } => {
                Ok(Who::Host(host))
            }
            Self { user: None, group: None, host: None, address: Some(range), everyone: None } => {
                Ok(Who::Address(range))
            }
            Self { user: None, group: None, host: None, address: None, everyone: Some(_) } => {
                Ok(Who::Everyone)
            }
            _ => Err(
                "an entry takes exactly one of `user`, `group`, `host`, `address` and `everyone`",
            ),
        }
    }

    fn of(who: Who) -> Self {
        let mut form = Self::default();
        match who {
            Who::User(user) => form.user = Some(user),
            Who::Group(group) => form.group = Some(group),
            Who::Host(host) => form.host = Some(host),
            Who::Address(range) => form.address = Some(range),
            Who::Everyone => form.everyone = Some(True),
        }
        form
    }
}

impl TryFrom<AssignmentForm> for Assignment {
    type Error = &'static str;
    fn try_from(form: AssignmentForm) -> Result<Self, Self::Error> {
        let AssignmentForm { user, group, host, address, everyone, .. } = form;
        Ok(Self {
            who: WhoForm { user, group, host, address, everyone }.who()?,
            reserve: form.reserve,
            max: form.max,
            max_per_user: form.max_per_user,
            max_per_address: form.max_per_address,
            priority: form.priority,
            borrow: form.borrow,
        })
    }
}

impl From<Assignment> for AssignmentForm {
    fn from(assignment: Assignment) -> Self {
        let WhoForm { user, group, host, address, everyone } = WhoForm::of(assignment.who);
        Self {
            user,
            group,
            host,
            address,
            everyone,
            reserve: assignment.reserve,
            max: assignment.max,
            max_per_user: assignment.max_per_user,
            max_per_address: assignment.max_per_address,
            priority: assignment.priority,
            borrow: assignment.borrow,
        }
    }
}

impl TryFrom<WhoForm> for Denial {
    type Error = &'static str;
    fn try_from(form: WhoForm) -> Result<Self, Self::Error> {
        form.who().map(|who| Self { who })
    }
}

impl From<Denial> for WhoForm {
    fn from(denial: Denial) -> Self {
        Self::of(denial.who)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
pub(super) use tests::member_fields;

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of a member that is a mapping, as the derived deserializer knows them.
    pub(in crate::manifest) fn member_fields() -> Vec<String> {
        let error = serde_json::from_str::<MemberEntry>(r#"{"?": 1}"#).expect_err("unknown");
        let text = error.to_string();
        text.split('`').skip(3).step_by(2).map(str::to_owned).collect()
    }
}
