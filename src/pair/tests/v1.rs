//! Version 1 of the frames as it was, frozen: what a peer of that version reads and says.
//!
//! Nothing here follows the code. Where the two part, the code has left version 1 (docs/reference/peer.md, "Versions").

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A text or a number whose form is that of `name` and `measure`.
type Leaf = Value;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Frame {
    Hello(Hello),
    Heartbeat(Heartbeat),
    Records { first: Position, records: Vec<Record> },
    Durable { position: Position },
    HandOver,
    HandedOver { contents: Contents, more: bool },
    CatchUp { contents: Contents, more: bool },
    CaughtUp { position: Position },
    Bundle { chain: Vec<SignedStatement>, bundle: String },
    Goodbye,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Unconfigured,
    Recovering,
    Active,
    Standby,
}

#[derive(Serialize, Deserialize)]
struct Hello {
    role: Option<Leaf>,
    state: State,
    generation: u64,
    bundle: Option<Leaf>,
    epoch: u64,
    position: Position,
    served: bool,
    met: bool,
    wall: Leaf,
}

#[derive(Serialize, Deserialize)]
struct Heartbeat {
    state: State,
    paired: bool,
    received: u64,
    generation: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    renewed: Vec<Leaf>,
}

#[derive(Serialize, Deserialize)]
struct Position {
    epoch: u64,
    seq: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "as version 1 had it")]
enum Record {
    Lease {
        lease: Lease,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ended: Vec<End>,
    },
    Ended {
        lease: Leaf,
        ended: Vec<End>,
    },
    Nonce {
        nonce: String,
        expires: Leaf,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    position: Position,
    knew: u64,
    leases: Vec<Lease>,
    ends: Vec<End>,
    nonces: Vec<(String, Leaf)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lease {
    id: Leaf,
    product: Leaf,
    user: Leaf,
    host: Leaf,
    address: Leaf,
    uses: std::collections::BTreeMap<String, Use>,
    assignment: u32,
    server: Leaf,
    granted_at: Leaf,
    granted: Position,
    heard: u64,
    ttl: Leaf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forced: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Use {
    seats: u32,
    user: Leaf,
    host: Leaf,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EndReason {
    Released,
    Expired,
    Revoked,
    Cancelled,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    lease: Leaf,
    #[serde(rename = "use")]
    use_id: Leaf,
    reason: EndReason,
    epoch: u64,
    knew: u64,
    at: Leaf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedStatement {
    statement: String,
    signature: String,
}

/// What a peer of version 1 makes of a frame: it has no more than this to say of it.
pub(super) fn read(text: &str) -> String {
    let frame: Frame = serde_json::from_str(text)
        .unwrap_or_else(|error| panic!("a peer of version 1 hangs up at {text}: {error}"));
    serde_json::to_string(&frame).expect("it is JSON")
}
