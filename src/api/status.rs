//! The body of `/v1/status`, and of `/v1/products`, which is a part of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ms;
use crate::manifest::types::Role;
use crate::measure::{Epoch, Generation, Seats, Span, Timestamp};
use crate::name::{BundleHash, ProductName, PublicKey, ServerName};
pub use crate::pair::State;
pub use crate::statement::Source;

/// The version of the status body.
pub const STATUS_SCHEMA: u32 = 1;

/// What a server is, runs and sees (`GET /v1/status`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The version of this body: 1.
    pub schema: u32,
    /// The server's name.
    pub name: ServerName,
    /// The server's identity key, as a manifest pins it.
    pub key: PublicKey,
    /// The version of the program that runs.
    pub version: String,
    /// What the server is configured to be; absent while it has no bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The role that takes effect once both servers run the bundle that is committed here, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_role: Option<Role>,
    /// What the server does now.
    pub state: State,
    /// The number of its time of service.
    pub epoch: Epoch,
    /// The number of the bundle that it runs; 0 is none.
    pub generation: Generation,
    /// The hash of the bundle that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<BundleHash>,
    /// Where that bundle came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// How long the server grants nothing new yet, because it may not know every lease; absent outside grace.
    #[serde(with = "ms::option", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub grace_ends_in_ms: Option<Span>,
    /// The server that serves when both are well: the primary, unless service was handed over; absent while there is no
    /// bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<ServerName>,
    /// Since when it leads; absent where service was never handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_since: Option<Timestamp>,
    /// A bundle that was staged and not committed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged: Option<Staged>,
    /// The other server of the pair; absent while there is no bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerStatus>,
    /// The products of the bundle.
    pub products: Vec<ProductStatus>,
    /// The fingerprints of the keys given with `--trust`: accepted beside the bundle's operators.
    pub trust: Vec<String>,
    /// A bundle of this server's that gave way to its peer's, until another one is committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldApply>,
    /// The apply that the server runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_apply: Option<LastApply>,
}

/// A bundle that was staged and not committed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Staged {
    /// Its hash.
    pub bundle: BundleHash,
    /// The number it will have.
    pub generation: Generation,
    /// The fingerprint of the key that signed it.
    pub operator: String,
    /// When it is forgotten.
    pub expires_at: Timestamp,
}

/// How the other server looks from this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerStatus {
    /// Its name.
    pub name: ServerName,
    /// Whether there is a connection to it.
    pub reachable: bool,
    /// Whether the two are in step: nothing is granted that both do not have.
    pub paired: bool,
    /// How long ago it was last heard; absent when never since this server started.
    #[serde(with = "ms::option", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub last_heard_ms: Option<Span>,
    /// Why it is not accepted, for example `peer-key-changed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// One product and its seats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductStatus {
    /// The product.
    pub product: ProductName,
    /// The seats of the valid licenses encoded for this server's role.
    pub capacity: Seats,
    /// The seats that live leases hold.
    pub used: Seats,
    /// Those of them that are borrowed.
    pub borrowed: Seats,
    /// The seats kept free for assignments with a reserve.
    pub reserved: Seats,
    /// How many wait for a seat.
    pub waiting: u32,
    /// The seats held beyond the capacity, which drain.
    pub over_grant: Seats,
    /// In the mode `escrow`: the seats that this server may give while it cannot count on the other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Seats>,
    /// In the mode `escrow`: the seats of leases that ran out at this server and may live at the other one. They are not
    /// given to anybody before the two are paired again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<Seats>,
    /// How long a secondary that serves may go on without hearing its primary, by the vendor's say: after that its
    /// capacity is 0 and what is held drains. Absent where that is not limited.
    #[serde(with = "ms::option", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub standalone_ends_in_ms: Option<Span>,
}

/// Every product of the bundle (`GET /v1/products`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductList {
    /// The products, by name.
    pub products: Vec<ProductStatus>,
}

/// An apply that was committed and gave way to another one, which the peer had taken during a split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldApply {
    /// Why: `conflicting-bundle`.
    pub reason: String,
    /// The number that the bundle had.
    pub generation: Generation,
    /// The bundle's hash.
    pub bundle: BundleHash,
    /// The fingerprint of the key that signed it.
    pub operator: String,
    /// When the operator signed it.
    pub at: Timestamp,
    /// Where it came from: it can be applied again from there.
    pub source: Source,
}

/// The apply that a server runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastApply {
    /// The bundle's number.
    pub generation: Generation,
    /// The bundle's hash.
    pub bundle: BundleHash,
    /// The fingerprint of the key that signed it.
    pub operator: String,
    /// When the operator signed it.
    pub at: Timestamp,
    /// When it was committed at this server.
    pub committed_at: Timestamp,
    /// Where it came from.
    pub source: Source,
}
