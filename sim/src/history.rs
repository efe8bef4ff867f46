//! What a run looked like from outside: what clients sent and got, what broke when, what disks held at the end.
//!
//! Oracles read this and nothing else. There is no server's own opinion in it: an [`Event::Answered`] is what
//! arrived at the client, an [`Event::Heard`] what a server read from its socket. A request without an answer is
//! *unknown*, never absent. Written as one JSON object a line.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tandem::manifest::types::{Mode, Role};
use tandem::name::{HostName, HostPattern, UserName, UserPattern};
use tandem::pair::Durable;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Milliseconds since the run began.
    pub at: u64,
    /// Where it happened: a server, a client, or `world`.
    pub host: Arc<str>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// The kinds of things that happen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Event {
    /// What a bundle means, said before any server gets it.
    Terms(Arc<Terms>),
    /// A request left a client.
    Asked {
        /// The request's number in this run.
        request: u64,
        /// The server it went to.
        to: String,
        /// What was asked.
        ask: Box<Ask>,
    },
    /// The answer to a request arrived.
    Answered(Answered),
    /// The connection ended before an answer: the request may have been carried out, or not.
    Lost {
        /// The request's number.
        request: u64,
    },
    /// A client began to want a seat.
    Wants {
        /// Of which product.
        product: String,
    },
    /// A client wants its seat no longer.
    Leaves {
        /// Of which product.
        product: String,
    },
    /// A server read a heartbeat of its peer from its socket.
    Heard {
        /// Whose heartbeat.
        from: Arc<str>,
        /// What it said that its sender is: `active` or something else.
        active: bool,
        /// Whether it said *paired*.
        paired: bool,
    },
    /// Something was broken, or mended.
    Fault(Fault),
    /// What a server's disk would have held if the power had gone off then.
    OnDisk {
        /// Whose disk.
        server: String,
        /// The generation of the committed bundle, 0 for none.
        generation: u64,
        /// The committed bundle's hash.
        bundle: Option<String>,
        /// The ids of the leases in the ledger.
        leases: Vec<String>,
    },
}

impl Event {
    /// What a server's disk holds.
    #[must_use]
    pub fn on_disk(server: &str, durable: &Durable) -> Self {
        let committed = durable.committed.as_ref();
        Self::OnDisk {
            server: server.into(),
            generation: committed.map_or(0, |one| one.generation.0),
            bundle: committed.map(|one| one.hash().to_string()),
            leases: durable.ledger.leases.iter().map(|one| one.id.to_string()).collect(),
        }
    }
}

/// An answer that arrived at a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    /// The request's number.
    pub request: u64,
    /// The HTTP status.
    pub status: u16,
    /// The problem's code, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The lease, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Box<Lease>>,
    /// What a server said of itself, where it was asked to. Expectations of a scenario read it; oracles do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Box<Said>>,
}

/// What a bundle means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// The bundle's hash.
    pub bundle: String,
    /// Why no server may take it (`wrong-role`, `tampered` ...), where that is so.
    pub refused_for: Option<String>,
    /// Who signs what applies it, by name; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// By whose signatures a server that runs it takes the next one, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<String>,
    /// Mirror or escrow.
    pub mode: Mode,
    /// Whether leases over the capacity are revoked after a split.
    #[serde(default)]
    pub revokes: bool,
    /// The longest ttl of any product, in milliseconds.
    #[serde(default)]
    pub ttl: u64,
    /// How long a secondary waits in silence, in milliseconds.
    pub failover_after: u64,
    /// How often the servers hear from each other, in milliseconds.
    pub heartbeat: u64,
    /// How long a primary that lost its secondary waits, in milliseconds.
    pub alone_after: u64,
    /// How late whatever has to happen by a time may be, in milliseconds: real machines are late, simulated ones not.
    #[serde(default)]
    pub late: u64,
    /// The servers by name.
    pub servers: BTreeMap<String, ServerTerms>,
    /// Who may hold seats, for each product.
    #[serde(default)]
    pub rights: Vec<Rights>,
}

/// Who may hold seats of a product, groups resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rights {
    /// The product.
    pub product: String,
    /// Those whom an assignment matches.
    pub assign: Vec<Whom>,
    /// Those whom a `deny` entry matches.
    pub deny: Vec<Whom>,
    /// Whether an assignment limits what one user or address has: then two whom the same entries match may still not
    /// be alike.
    #[serde(default)]
    pub has_personal_limits: bool,
    /// What limits those whom an assignment matches together; absent where that is not known.
    #[serde(default)]
    pub limits: Option<Limits>,
}

/// How many seats of a product may be held before somebody is refused though there are free ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// How many are kept free for some, in all.
    pub reserved: u32,
    /// The most that any assignment gives: the least of them.
    pub max: Option<u32>,
}

impl Limits {
    /// Whether nobody is refused when so many are held of so many, whoever holds them.
    #[must_use]
    pub fn allow_one_more(&self, held: u32, capacity: u32) -> bool {
        held < capacity.saturating_sub(self.reserved) && self.max.is_none_or(|max| held < max)
    }
}

/// Whom an entry of `assign` or `deny` is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whom {
    /// Users by name or pattern.
    User(UserPattern),
    /// Hosts by pattern.
    Host(HostPattern),
    /// Addresses, which a history does not tell.
    Address,
    /// Anybody.
    Everyone,
}

impl Rights {
    /// Which entries of `assign` match this person; none where that is not known, since one is about addresses.
    #[must_use]
    pub fn matching(&self, user: &UserName, host: &HostName) -> Option<Vec<bool>> {
        let fits = |whom: &Whom| match whom {
            Whom::User(pattern) => Some(pattern.matches(user)),
            Whom::Host(pattern) => Some(pattern.matches(host)),
            Whom::Address => None,
            Whom::Everyone => Some(true),
        };
        self.assign.iter().map(fits).collect()
    }

    /// Whether this person may hold a seat, as far as that is known: an address may be the one that is meant in an
    /// assignment, and never is in a denial.
    #[must_use]
    pub fn allow(&self, user: &UserName, host: &HostName) -> bool {
        let fits = |whom: &Whom, unknown: bool| match whom {
            Whom::User(pattern) => pattern.matches(user),
            Whom::Host(pattern) => pattern.matches(host),
            Whom::Address => unknown,
            Whom::Everyone => true,
        };
        self.assign.iter().any(|whom| fits(whom, true))
            && !self.deny.iter().any(|whom| fits(whom, false))
    }
}

/// What a bundle says of one server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerTerms {
    /// Its role.
    pub role: Role,
    /// Its license files' contents that are encoded for its role.
    pub licenses: Vec<License>,
}

/// One license as an oracle needs it; times are milliseconds since the run began and may lie before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct License {
    /// Its id.
    pub id: String,
    /// Its product.
    pub product: String,
    /// Its seats.
    pub seats: u32,
    /// When its seats begin to count.
    pub from: i64,
    /// When they stop to count.
    pub until: Option<i64>,
    /// How long a secondary may serve from it without its primary, in milliseconds.
    #[serde(default)]
    pub standalone: Option<u64>,
}

impl ServerTerms {
    /// The seats of a product that this server may give at a time.
    #[must_use]
    pub fn capacity(&self, product: &str, at: u64) -> u32 {
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        self.licenses
            .iter()
            .filter(|license| license.product.eq_ignore_ascii_case(product))
            .filter(|license| license.from <= at && license.until.is_none_or(|until| at < until))
            .fold(0, |seats, license| seats.saturating_add(license.seats))
    }
}

/// What a client asks a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Ask {
    /// A seat.
    Checkout {
        /// Of which product.
        product: String,
        /// For whom.
        user: String,
        /// On which computer.
        host: String,
        /// The use's id, where the client gave one.
        #[serde(rename = "use")]
        usage: Option<String>,
        /// How many seats at once.
        seats: u32,
        /// How long the request is to be held where none is free, in milliseconds; absent where that is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wait_ms: Option<u64>,
        /// Whether they are to be borrowed.
        #[serde(default)]
        borrow: bool,
    },
    /// More time for a lease.
    Renew {
        /// Which lease.
        lease: String,
        /// Which of its uses, as the token says.
        #[serde(rename = "use")]
        usage: Option<String>,
    },
    /// The end of a use of a lease.
    Release {
        /// Which lease.
        lease: String,
        /// Which of its uses, as the token says.
        #[serde(rename = "use")]
        usage: Option<String>,
    },
    /// Take and hold a bundle.
    Stage {
        /// The bundle's hash.
        bundle: String,
    },
    /// Serve a bundle.
    Commit {
        /// The bundle's hash.
        bundle: String,
        /// Its generation.
        generation: u64,
    },
    /// Anything else.
    Other {
        /// The method and the path.
        what: String,
    },
}

/// A lease as it arrived at a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// Its id.
    pub id: String,
    /// The use that the answer is about.
    #[serde(rename = "use")]
    pub usage: String,
    /// Its product.
    pub product: String,
    /// Its seats.
    pub seats: u32,
    /// The server that answered.
    pub server: String,
    /// The server's epoch.
    pub epoch: u64,
    /// How long it lives, in milliseconds.
    pub ttl_ms: u64,
    /// The ids of the licenses behind it, as its token says.
    pub licenses: Vec<String>,
    /// Whether this use of it is borrowed.
    #[serde(default)]
    pub borrowed: bool,
}

/// What a server said of itself (`/v1/status`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// Its state.
    pub state: String,
    /// The generation it runs.
    pub generation: u64,
    /// The bundle it runs.
    pub bundle: Option<String>,
    /// Whether it says that the two are paired.
    pub paired: bool,
}

/// What was broken, or mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Fault {
    /// A server lost power.
    Crash {
        /// Which.
        server: String,
    },
    /// A server's process was killed; what it wrote is still there.
    Kill {
        /// Which.
        server: String,
    },
    /// A server was asked to stop.
    Stop {
        /// Which.
        server: String,
    },
    /// A server started (again).
    Start {
        /// Which.
        server: String,
        /// Whether its disk was swapped for an empty one.
        empty: bool,
    },
    /// No byte passes from one to the other.
    Cut {
        /// From whom.
        from: String,
        /// To whom.
        to: String,
    },
    /// Bytes pass again.
    Heal {
        /// From whom.
        from: String,
        /// To whom.
        to: String,
    },
    /// A server's disk fails in some way.
    Disk {
        /// Whose.
        server: String,
        /// In which way.
        what: String,
    },
    /// A server's machine stands still.
    Pause {
        /// Which.
        server: String,
    },
    /// A server's machine goes on.
    Resume {
        /// Which.
        server: String,
    },
    /// Service was handed over as planned.
    Handover {
        /// To whom.
        to: String,
    },
    /// An operator said that a server is dead and serves nobody.
    Fence {
        /// Which.
        server: String,
    },
    /// A server's wall clock was set.
    Clock {
        /// Whose.
        server: String,
        /// Ahead by so many milliseconds; back where it is negative.
        ms: i64,
    },
}

impl Fault {
    /// Whether a server's process runs after it, where it says so.
    #[must_use]
    pub(crate) fn leaves_up(&self, server: &str) -> Option<bool> {
        match self {
            Self::Crash { server: of } | Self::Kill { server: of } | Self::Stop { server: of } => {
                (of == server).then_some(false)
            }
            Self::Start { server: of, .. } => (of == server).then_some(true),
            _ => None,
        }
    }
}

/// Writes a history as one JSON object a line.
///
/// # Errors
/// An entry has no JSON form, which is a bug.
pub fn write(entries: &[Entry]) -> serde_json::Result<String> {
    let mut text = String::new();
    for entry in entries {
        text.push_str(&serde_json::to_string(entry)?);
        text.push('\n');
    }
    Ok(text)
}

/// Reads a history back.
///
/// # Errors
/// A line is no entry.
pub fn read(text: &str) -> serde_json::Result<Vec<Entry>> {
    text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_reads_back_as_written() {
        let ask = Ask::Checkout {
            product: "designer".into(),
            user: "ana".into(),
            host: "ws-1".into(),
            usage: None,
            seats: 1,
            wait_ms: None,
            borrow: false,
        };
        let entries = vec![
            Entry {
                at: 10,
                host: "ana@ws-1".into(),
                event: Event::Asked { request: 1, to: "lic-a".into(), ask: Box::new(ask) },
            },
            Entry {
                at: 20,
                host: "world".into(),
                event: Event::Fault(Fault::Crash { server: "lic-a".into() }),
            },
        ];
        let text = write(&entries).expect("it has a form");
        insta::assert_snapshot!(text, @r#"
        {"at":10,"host":"ana@ws-1","type":"asked","request":1,"to":"lic-a","ask":{"ask":"checkout","product":"designer","user":"ana","host":"ws-1","use":null,"seats":1,"borrow":false}}
        {"at":20,"host":"world","type":"fault","fault":"crash","server":"lic-a"}
        "#);
        assert_eq!(read(&text).expect("it reads"), entries);
    }
}
