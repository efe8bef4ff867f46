//! One event: the data of `/v1/events`, and a line of `serve --event-log`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::measure::Timestamp;
use crate::name::ServerName;

/// The version of the event's shape.
pub const EVENT_SCHEMA: u32 = 1;

/// Something that happened at a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventBody {
    /// The version of this shape: 1.
    pub schema: u32,
    /// The event's number at its server since it started, from 1.
    pub seq: u64,
    /// When, by the server's wall clock.
    pub at: Timestamp,
    /// The server.
    pub server: ServerName,
    /// What kind of thing, for example `state` or `granted`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its particulars.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}
