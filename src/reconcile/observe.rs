//! What both servers of a pair say of themselves, asked at the same time.
//!
//! A server that cannot be reached is a fact like any other, never an error. Nothing is decided here.

use hyper::Method;

use super::apply::Signer;
use super::decide::{Running, Sight};
use super::event::Event;
use crate::api::{LeaseEntry, LeaseList, Problem, Status};
use crate::bundle::{BUNDLE_BYTES_MAX, Bundle};
use crate::client::{Endpoint, EndpointError, Http, HttpError};
use crate::manifest::types::Server;
use crate::measure::Span;
use crate::name::{BundleHash, ServerName};
use crate::statement::{Request, SignError, sign_request};

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
