//! The fields of each record of a manifest, in the order of the types. The walker takes them from here; a test
//! holds them against the JSON Schema and the derived deserializer.

pub(super) const MANIFEST: [&str; 13] = [
    "apiVersion",
    "kind",
    "metadata",
    "servers",
    "trust",
    "redundancy",
    "leases",
    "visibility",
    "safety",
    "users",
    "usersFrom",
    "groups",
    "seats",
];
pub(super) const METADATA: [&str; 1] = ["name"];
pub(super) const SERVER: [&str; 6] = ["name", "role", "address", "port", "licenses", "key"];
pub(super) const TRUST: [&str; 2] = ["vendors", "operators"];
pub(super) const REDUNDANCY: [&str; 5] =
    ["mode", "heartbeat", "failoverAfter", "onOverGrant", "escrow"];
pub(super) const ESCROW: [&str; 1] = ["secondaryShare"];
pub(super) const LEASES: [&str; 1] = ["ttl"];
pub(super) const SAFETY: [&str; 3] = ["maxRevoked", "maxRemoved", "requireCommitted"];
pub(super) const LIMIT: [&str; 2] = ["share", "floor"];
pub(super) const USER: [&str; 2] = ["name", "key"];
pub(super) const GROUP: [&str; 3] = ["name", "members", "membersFrom"];
pub(super) const MEMBER: [&str; 2] = ["host", "address"];
pub(super) const PRODUCT_SEATS: [&str; 4] = ["product", "ttl", "assign", "deny"];
pub(super) const ASSIGNMENT: [&str; 11] = [
    "user",
    "group",
    "host",
    "address",
    "everyone",
    "reserve",
    "max",
    "maxPerUser",
    "maxPerAddress",
    "priority",
    "borrow",
];
pub(super) const DENIAL: [&str; 5] = ["user", "group", "host", "address", "everyone"];
pub(super) const BORROW: [&str; 2] = ["longest", "max"];
