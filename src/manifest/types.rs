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

/// A redundant pair of license servers and what it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// The version of this format: always `tandem/v1`.
    pub api_version: ApiVersion,
    /// What this file describes: always `LicensePair`.
    pub kind: Kind,
    /// What the pair is called.
    pub metadata: Metadata,
    /// The two servers: one primary and one secondary.
    pub servers: Vec<Server>,
    /// Whose license files and whose bundles are accepted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub trust: Trust,
    /// How the pair behaves when its servers lose each other.
    #[serde(default, skip_serializing_if = "is_default")]
    pub redundancy: Redundancy,
    /// How long seats are leased.
    #[serde(default, skip_serializing_if = "is_default")]
    pub leases: Leases,
    /// Who may see the names of holders: `operators` only, or everybody (`open`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub visibility: Visibility,
    /// Limits on what one change may take away, judged by the manifest that runs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub safety: Safety,
    /// The people by their logins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    /// A YAML file with the users, of the same shape as `users`, for a list that another system writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users_from: Option<String>,
    /// Groups of users, hosts and addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// The products and who may hold their seats.
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
    /// The pair's name: a bundle signed for one pair is refused by every other.
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
    /// Where clients and the other server reach it: a name or an IP address.
    pub address: String,
    /// Its TCP port, 1 to 65535.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// Its license files, encoded for its role: paths or patterns, relative to the manifest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// The server's identity key, pinned. May be absent on a loopback address only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PublicKey>,
}

/// Whose signatures are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trust {
    /// The keys of the vendors whose license files are accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vendors: Vec<PublicKey>,
    /// The SSH public keys of the operators who may sign a bundle: the keys that sign their commits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<SshPublicKey>,
}

/// An SSH public key as in `authorized_keys`: `ssh-ed25519 BASE64 comment`.
///
/// The text is kept as written; `statement` reads the key in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SshPublicKey(
    #[schemars(regex(pattern = r"^ssh-ed25519 [A-Za-z0-9+/]+={0,2}( .*)?$"))] pub String,
);

/// How the pair behaves when its servers lose each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Redundancy {
    /// `mirror`: never unavailable to holders, may over-grant while split. `escrow`: never over-grants.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
    /// How often the servers hear from each other, 50ms to 10s.
    #[serde(
        default = "Redundancy::heartbeat_default",
        skip_serializing_if = "Redundancy::is_heartbeat_default"
    )]
    pub heartbeat: Span,
    /// How long the secondary waits in silence before it serves: 4 heartbeats or more, up to 10m.
    #[serde(
        default = "Redundancy::failover_after_default",
        skip_serializing_if = "Redundancy::is_failover_after_default"
    )]
    pub failover_after: Span,
    /// What happens to leases over the capacity after a split: `drain` or `revoke` the newest.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_over_grant: OnOverGrant,
    /// Settings of the `escrow` mode.
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
        let least = self.failover_after + self.heartbeat.times(2);
        self.failover_after.times(2).max(least).with_drift()
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
    /// The share of the capacity that stays at the secondary.
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
    /// How long a lease lives without renewal: 2 × failoverAfter + 2s or more, up to 24h. Renewed at a third of it.
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
    /// The most leases that an apply may end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_revoked: Limit,
    /// The most users, groups, products and seats that an apply may remove, each counted apart.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_removed: Limit,
    /// Whether a manifest with uncommitted edits is refused.
    #[serde(default, skip_serializing_if = "is_default")]
    pub require_committed: bool,
}

/// A limit that is exceeded only above both its share of the total and its floor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limit {
    /// The share of the total that may go.
    #[serde(default = "Limit::share_default", skip_serializing_if = "Limit::is_share_default")]
    pub share: Share,
    /// The number that may always go.
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
    /// The login, compared without regard to case.
    pub name: UserName,
    /// An SSH public key: where present, requests as this user must be signed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SshPublicKey>,
}

/// A named set of users, hosts and addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Group {
    /// The group's name.
    pub name: GroupName,
    /// Its members: user names, `{host: pattern}` or `{address: range}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
    /// A text file with more members: a user name a line, `#` begins a comment.
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

/// A member as it is written.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum MemberForm {
    /// A user by name.
    User(UserName),
    /// A host or an address.
    Entry(MemberEntry),
}

/// A host pattern or an address range: exactly one of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MemberEntry {
    /// Hosts by pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<HostPattern>,
    /// An address or a range in CIDR form, as the server itself sees it.
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
    /// How long a lease of this product lives without renewal, instead of `leases.ttl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
    /// Who gets seats: the first entry that matches and has room serves; the order matters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assign: Vec<Assignment>,
    /// Who gets none, whatever is assigned.
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
    /// The longest time for which a seat may be borrowed.
    pub longest: Span,
    /// The most seats that may be borrowed at once.
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

/// An assignment as it is written: exactly one of the first five fields says whom it is about.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AssignmentForm {
    /// A user by name, or users by a pattern with `*` and `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserPattern>,
    /// The members of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupName>,
    /// Hosts by pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<HostPattern>,
    /// An address or a range in CIDR form, as the server itself sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<AddressRange>,
    /// Anybody on the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    everyone: Option<True>,
    /// Seats kept free for it; at most `max`.
    #[serde(default, skip_serializing_if = "is_default")]
    reserve: Seats,
    /// The most seats for all it matches together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<Seats>,
    /// The most seats for one user, over all hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_per_user: Option<Seats>,
    /// The most seats for one address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_per_address: Option<Seats>,
    /// The place in the queue, -100 to 100; higher goes first.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(range(min = -100, max = 100))]
    priority: i8,
    /// Whether and how its seats may be borrowed. Absent: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    borrow: Option<Borrow>,
}

/// A denial as it is written: exactly one of the fields.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WhoForm {
    /// A user by name, or users by a pattern with `*` and `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserPattern>,
    /// The members of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupName>,
    /// Hosts by pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host: Option<HostPattern>,
    /// An address or a range in CIDR form, as the server itself sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<AddressRange>,
    /// Anybody on the network.
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
