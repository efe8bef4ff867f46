//! What both servers of a pair say of themselves, asked at the same time.
//!
//! A server that cannot be reached is a fact like any other, never an error. Nothing is decided here.

use hyper::Method;

use super::apply::Signer;
use super::decide::{Running, Sight};
use super::event::Event;
use crate::api::{LeaseEntry, LeaseList, Problem, State, Status};
use crate::bundle::{BUNDLE_BYTES_MAX, Bundle};
use crate::client::{Endpoint, EndpointError, Http, HttpError};
use crate::manifest::types::{Manifest, Server, SshPublicKey};
use crate::measure::Span;
use crate::name::{BundleHash, PairName, ServerName};
use crate::plan::{Applied, HeldLease, Observed, Running as Runs, Seen};
use crate::statement::{OperatorKey, Request, SignError, sign_request};

/// How long a server may take to say what it is.
const STATUS_WITHIN: Span = Span::from_secs(3);
/// How long a server may take to send its whole configuration or all its leases.
const CONTENTS_WITHIN: Span = Span::from_secs(20);

/// A server of the pair and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: ServerName,
    /// Where it is.
    pub endpoint: Endpoint,
}

impl Target {
    /// The server that a manifest describes.
    ///
    /// # Errors
    /// Its address is neither a name nor an IP address.
    pub fn new(server: &Server) -> Result<Self, EndpointError> {
        let endpoint = Endpoint::new(&server.address, server.port, server.key)?;
        Ok(Self { name: server.name.clone(), endpoint })
    }
}

/// Why a manifest does not say where both servers are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// It has not two servers.
    #[error("the manifest names {0} servers, and a pair has two")]
    Servers(usize),
    /// An address is none.
    #[error(transparent)]
    Address(#[from] EndpointError),
}

/// Both servers of a manifest, the primary first.
///
/// # Errors
/// It has not two servers, or an address is neither a name nor an IP address.
pub fn pair(manifest: &Manifest) -> Result<[Target; 2], PairError> {
    let mut servers: Vec<&Server> = manifest.servers.iter().collect();
    servers.sort_by_key(|server| server.role);
    match servers.as_slice() {
        [one, other] => Ok([Target::new(one)?, Target::new(other)?]),
        others => Err(PairError::Servers(others.len())),
    }
}

/// Why a server's own words are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unseen {
    /// It did not answer.
    #[error(transparent)]
    NoAnswer(#[from] HttpError),
    /// It answered with a problem.
    #[error("`{server}` answers {status}: {detail}")]
    Problem {
        /// Where it is, `PORT@HOST`.
        server: String,
        /// The HTTP status.
        status: u16,
        /// What it says.
        detail: String,
    },
    /// What it answered cannot be read.
    #[error("`{server}` is no Tandem server, or one of another version: its answer cannot be read")]
    Garbled {
        /// Where it is, `PORT@HOST`.
        server: String,
    },
    /// The operator's key did not sign the question.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Another server answers there.
    #[error("at `{server}` answers the server `{found}`, not `{wanted}`")]
    Other {
        /// Where it is, `PORT@HOST`.
        server: String,
        /// Who should be there.
        wanted: ServerName,
        /// Who is.
        found: ServerName,
    },
    /// The server there has another identity than the manifest pins.
    #[error("`{wanted}` at `{server}` has another identity key than the manifest pins")]
    OtherKey {
        /// Where it is, `PORT@HOST`.
        server: String,
        /// Who should be there.
        wanted: ServerName,
    },
}

/// One server as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The server.
    pub target: Target,
    /// What it says.
    pub status: Result<Status, Unseen>,
}

impl View {
    /// What it runs, where it answered.
    #[must_use]
    pub fn running(&self) -> Option<Running> {
        let status = self.status.as_ref().ok()?;
        Some(Running { generation: status.generation, bundle: status.bundle })
    }

    /// The event that says so.
    #[must_use]
    pub fn event(&self) -> Event {
        let running = self.running();
        Event::Observed {
            server: self.target.name.clone(),
            reachable: running.is_some(),
            generation: running.map(|running| running.generation),
            bundle: running.and_then(|running| running.bundle),
            reason: self.status.as_ref().err().map(ToString::to_string),
        }
    }
}

/// What both servers run.
#[must_use]
pub fn sight(views: &[View; 2]) -> Sight {
    views.iter().map(|view| (view.target.name.clone(), view.running())).collect()
}

/// Asks both servers for their status, at the same time.
pub async fn both(http: &Http, pair: &[Target; 2]) -> [View; 2] {
    let [one, other] = pair;
    let (one, other) = tokio::join!(one_of_pair(http, one), one_of_pair(http, other));
    [one, other]
}

async fn one_of_pair(http: &Http, target: &Target) -> View {
    let status = status(http, &target.endpoint).await.and_then(|status| is_meant(target, status));
    View { target: target.clone(), status }
}

/// The status, if it is of the server that was meant.
fn is_meant(target: &Target, status: Status) -> Result<Status, Unseen> {
    let (server, wanted) = (target.endpoint.short(), target.name.clone());
    if status.name != target.name {
        return Err(Unseen::Other { server, wanted, found: status.name });
    }
    match target.endpoint.key() {
        Some(key) if key != status.key => Err(Unseen::OtherKey { server, wanted }),
        _ => Ok(status),
    }
}

/// Asks one server for its status.
///
/// # Errors
/// It did not answer, or not as a server does.
pub async fn status(http: &Http, server: &Endpoint) -> Result<Status, Unseen> {
    get(http, server, "/v1/status", &[], STATUS_WITHIN).await.and_then(|body| {
        serde_json::from_slice(&body).map_err(|_| Unseen::Garbled { server: server.short() })
    })
}

/// The name of the pair that a server belongs to.
///
/// # Errors
/// It did not answer, or belongs to none yet.
pub async fn pair_name(http: &Http, server: &Endpoint) -> Result<PairName, Unseen> {
    #[derive(serde::Deserialize)]
    struct Shown {
        manifest: Named,
    }
    #[derive(serde::Deserialize)]
    struct Named {
        metadata: crate::manifest::types::Metadata,
    }
    let http = http.clone().with_answer_max(BUNDLE_BYTES_MAX);
    let body = get(&http, server, "/v1/config", &[], CONTENTS_WITHIN).await?;
    let shown: Result<Shown, _> = serde_json::from_slice(&body);
    let shown = shown.map_err(|_| Unseen::Garbled { server: server.short() })?;
    Ok(shown.manifest.metadata.name)
}

/// The bundle that a server runs, whole, as an operator may see it.
///
/// # Errors
/// It did not answer, does not know the operator, or has no bundle.
pub async fn config(http: &Http, target: &Target, signer: &Signer) -> Result<Bundle, Unseen> {
    let http = http.clone().with_answer_max(BUNDLE_BYTES_MAX);
    let body = get_signed(&http, target, "/v1/config", signer).await?;
    Bundle::decode(&body).map_err(|_| Unseen::Garbled { server: target.endpoint.short() })
}

/// The live leases that a server knows, with names, as an operator may see them.
///
/// # Errors
/// It did not answer, or does not know the operator.
pub async fn leases(
    http: &Http,
    target: &Target,
    signer: &Signer,
) -> Result<Vec<LeaseEntry>, Unseen> {
    let http = http.clone().with_answer_max(BUNDLE_BYTES_MAX);
    let body = get_signed(&http, target, "/v1/leases", signer).await?;
    let list: LeaseList = serde_json::from_slice(&body)
        .map_err(|_| Unseen::Garbled { server: target.endpoint.short() })?;
    Ok(list.leases)
}

/// What a plan is made of: what both servers run and who holds seats, as far as the operator may see it.
///
/// `wanted` is a bundle that is at hand, so that nobody is asked for it.
pub async fn observed(
    http: &Http,
    views: &[View; 2],
    signer: Option<&Signer>,
    wanted: Option<&Bundle>,
) -> Observed {
    let [one, other] = views;
    let (one, other) =
        tokio::join!(seen(http, one, signer, wanted), seen(http, other, signer, wanted));
    let runs_nothing =
        |view: &View| view.status.as_ref().map_or(true, |status| status.bundle.is_none());
    let leases = if views.iter().all(runs_nothing) {
        Some(Vec::new())
    } else {
        held_leases(http, views, signer).await
    };
    Observed { servers: vec![one, other], against: None, leases }
}

async fn seen(http: &Http, view: &View, signer: Option<&Signer>, wanted: Option<&Bundle>) -> Seen {
    let server = view.target.name.clone();
    let status = match &view.status {
        Ok(status) => status,
        Err(unseen) => return Seen { server, running: Err(unseen.to_string()) },
    };
    let at_hand = wanted.filter(|wanted| status.bundle == Some(wanted.hash())).cloned();
    let config = match (at_hand, signer, status.bundle) {
        (Some(bundle), _, _) => Some(bundle),
        (None, Some(signer), Some(_)) => config(http, &view.target, signer)
            .await
            .inspect_err(|error| tracing::warn!(%server, %error, "its bundle was not shown"))
            .ok(),
        _ => None,
    };
    let (generation, bundle) = (status.generation, status.bundle);
    let applied = status.last_apply.as_ref().map(|apply| {
        let operators = config.as_ref().map(|bundle| bundle.manifest().trust.operators.as_slice());
        let operator = name_of(&apply.operator, operators.unwrap_or_default());
        Applied { operator: operator.unwrap_or_else(|| apply.operator.clone()), at: apply.at }
    });
    let serves = status.state == State::Active;
    Seen { server, running: Ok(Runs { generation, bundle, config, applied, serves }) }
}

/// Whose key has this fingerprint, as far as the comments of these keys say.
#[must_use]
pub fn name_of(fingerprint: &str, operators: &[SshPublicKey]) -> Option<String> {
    let keys = operators.iter().filter_map(|key| OperatorKey::parse(&key.0).ok());
    let mut known = keys.into_iter().filter(|key| key.fingerprint() == fingerprint);
    known.next().map(|key| key.comment().to_owned()).filter(|comment| !comment.is_empty())
}

/// The live leases of the server that serves, in the order of their grants.
async fn held_leases(
    http: &Http,
    views: &[View; 2],
    signer: Option<&Signer>,
) -> Option<Vec<HeldLease>> {
    let serves =
        |view: &&View| view.status.as_ref().is_ok_and(|status| status.state == State::Active);
    let view = views.iter().find(serves)?;
    let mut entries = leases(http, &view.target, signer?)
        .await
        .inspect_err(|error| tracing::warn!(%error, "the leases were not shown"))
        .ok()?;
    entries.sort_by(|one, other| (one.granted_at, &one.id).cmp(&(other.granted_at, &other.id)));
    let live = entries.into_iter().filter(|lease| lease.revoked.is_none());
    live.map(|lease| {
        Some(HeldLease {
            id: lease.id,
            product: lease.product,
            user: lease.user?,
            host: lease.host?,
            address: None,
            seats: lease.seats,
            assignment: lease.assignment,
            is_borrowed: lease.borrowed_until.is_some(),
        })
    })
    .collect()
}

async fn get_signed(
    http: &Http,
    target: &Target,
    path: &str,
    signer: &Signer,
) -> Result<bytes::Bytes, Unseen> {
    let world = http.world();
    let nonce = BundleHash::of(&world.entropy.bytes32()).to_string();
    let request = Request { method: "GET", path, body: &[], server: &target.name };
    let header = sign_request(signer, &request, &nonce, world.clock.now().wall)?;
    get(http, &target.endpoint, path, &[("tandem-signature", &header)], CONTENTS_WITHIN).await
}

/// Asks one server for something, and tells problems from answers.
async fn get(
    http: &Http,
    server: &Endpoint,
    path: &str,
    headers: &[(&str, &str)],
    within: Span,
) -> Result<bytes::Bytes, Unseen> {
    let answer = http.send(server, Method::GET, path, headers, None, within).await?;
    if answer.is_success() {
        return Ok(answer.body);
    }
    let detail = serde_json::from_slice::<Problem>(&answer.body);
    let detail =
        detail.map_or_else(|_| "no reason given".to_owned(), |problem| problem.to_string());
    Err(Unseen::Problem { server: server.short(), status: answer.status, detail })
}
