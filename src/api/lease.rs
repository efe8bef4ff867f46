//! Bodies of `/v1/leases`: what a client asks for and what it holds.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ms;
use crate::measure::{Epoch, Seats, Span, Timestamp};
use crate::name::{HostName, LeaseId, ProductName, QueueTicket, ServerName, UseId, UserName};

/// A checkout: who wants seats of which product (`POST /v1/leases`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeaseRequest {
    /// The product whose seats are wanted.
    pub product: ProductName,
    /// The login of who asks.
    pub user: UserName,
    /// The computer they ask from.
    pub host: HostName,
    /// The client's own id of this use: a repeated request with it changes nothing. Absent: the server makes one,
    /// and a request whose answer was lost cannot be repeated safely.
    #[serde(rename = "use", default, skip_serializing_if = "Option::is_none")]
    pub use_id: Option<UseId>,
    /// How many seats, all or none: 1 or more, 1 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub seats: Option<Seats>,
    /// How long the client waits for a free seat: absent, it does not wait. The answer is held for at most this long,
    /// and 30 s; a client that waits longer repeats the request with its ticket.
    #[serde(with = "ms::option", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub wait_ms: Option<Span>,
    /// For how long the seats are to be borrowed: they need no renewal until then. Not together with `waitMs`.
    #[serde(with = "ms::option", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub borrow_ms: Option<Span>,
    /// The ticket of the client's place in the queue, from the 202 answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<QueueTicket>,
}

/// A place in the queue: no seat was free in time (202). It is kept for 60 s from each request with its ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueuedBody {
    /// What the next request is sent with, the rest of it unchanged.
    pub ticket: QueueTicket,
    /// The place, from 1. Those before it have a higher priority or came earlier.
    pub position: u32,
    /// After how long to ask again.
    #[serde(with = "ms")]
    #[schemars(with = "u64")]
    pub retry_after_ms: Span,
}

/// A lease as its holder gets it: the answer to a checkout and to a renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaseBody {
    /// The lease's id.
    pub id: LeaseId,
    /// The use that this answer is for.
    #[serde(rename = "use")]
    pub use_id: UseId,
    /// Every live use of the lease.
    pub uses: Vec<UseId>,
    /// The product whose seats are held.
    pub product: ProductName,
    /// Who holds them.
    pub user: UserName,
    /// On which computer.
    pub host: HostName,
    /// How many seats the lease holds: the greatest of its live uses.
    pub seats: Seats,
    /// The place in `assign` of the assignment that is charged, from 0.
    pub assignment: u32,
    /// The server that granted the lease.
    pub server: ServerName,
    /// The epoch of the server that answers.
    pub epoch: Epoch,
    /// When the lease was granted.
    pub granted_at: Timestamp,
    /// When it ends unless it is renewed, by the wall clock of the server that answers.
    pub expires_at: Timestamp,
    /// How long the holder may believe in it, counted from its own sending of the request.
    #[serde(with = "ms")]
    #[schemars(with = "u64")]
    pub ttl_ms: Span,
    /// Until when this use is borrowed: it needs no renewal until then. Absent where it is not borrowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub borrowed_until: Option<Timestamp>,
    /// The lease token: a JWT signed by the server that answers. Renewing and releasing present it.
    pub token: String,
}

/// A lease as others see it (`GET /v1/leases`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaseEntry {
    /// The lease's id.
    pub id: LeaseId,
    /// The product whose seats are held.
    pub product: ProductName,
    /// Who holds them. Only for operators, or where the manifest says `visibility: open`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    /// On which computer. Shown like `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// From which address, as the server saw it. Shown like `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The live uses. Shown to operators only: who knows a use can ask for its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<Vec<UseId>>,
    /// How many seats.
    pub seats: Seats,
    /// The place in `assign` of the assignment that is charged, from 0.
    pub assignment: u32,
    /// The server that granted the lease.
    pub server: ServerName,
    /// When it was granted.
    pub granted_at: Timestamp,
    /// When it ends unless it is renewed.
    pub expires_at: Timestamp,
    /// How long it lives without renewal.
    #[serde(with = "ms")]
    #[schemars(with = "u64")]
    pub ttl_ms: Span,
    /// Until when it is borrowed, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub borrowed_until: Option<Timestamp>,
    /// Why it cannot be renewed any more: it counts until its time has run out. Shown like `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
}

/// Every live lease that the server knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaseList {
    /// The leases, by id.
    pub leases: Vec<LeaseEntry>,
}
