//! A client's questions as HTTP requests, and what the answers mean.
//!
//! Reads answers of any server: unknown fields and unknown problems are taken, what does not fit is a broken one.

use hyper::Method;
use serde::Deserialize;

use super::endpoint::Endpoint;
use super::http::{Answer as HttpAnswer, Http, HttpError};
use super::seat::{CheckoutRequest, Client};
use super::serving::AskError;
use crate::api::{LeaseBody, LeaseRequest, Problem, ProblemCode, QueuedBody};
use crate::failover::{Answer, Timing};
use crate::manifest::types::{Metadata, Redundancy, SshPublicKey, Trust};
use crate::measure::Span;
use crate::name::{LeaseId, PairName, QueueTicket, UseId};

/// The most bytes of a bundle without names and licenses.
const CONFIG_MAX: usize = 8 << 20;

/// What a server said to a checkout, a renewal or a release.
#[derive(Debug)]
pub(super) enum Said {
    Lease(Box<LeaseBody>),
    Queued(QueuedBody),
    Released,
    Problem(Box<Problem>),
}

impl Said {
    /// What it means, with the place of the server that a standby names.
    pub(super) fn meaning(&self, servers: &[Endpoint]) -> Answer {
        match self {
            Self::Lease(lease) => Answer::Lease { ttl: lease.ttl_ms },
            Self::Queued(queued) => Answer::Queued { retry_after: queued.retry_after_ms },
            Self::Released => Answer::Released,
            Self::Problem(problem) => {
                let named = problem.primary.as_ref().and_then(|primary| {
                    servers.iter().position(|one| one.is_at(&primary.address, primary.port))
                });
                Answer::of_problem(problem.status, problem.code, named)
            }
        }
    }
}

/// How a checkout waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// How long the server may hold the request, where the client waits.
    pub(super) wait: Option<Span>,
    /// What keeps the place that it has.
    pub(super) ticket: Option<QueueTicket>,
}

pub(super) async fn checkout(
    http: Http,
    to: Endpoint,
    request: CheckoutRequest,
    use_id: UseId,
    place: Place,
    within: Span,
) -> Result<Said, HttpError> {
    let body = LeaseRequest {
        product: request.product.clone(),
        user: request.user,
        host: request.host,
        use_id: Some(use_id.clone()),
        seats: Some(request.seats),
        wait_ms: place.wait,
        borrow_ms: request.borrow,
        ticket: place.ticket,
    };
    let body = serde_json::to_vec(&body).map_err(|error| HttpError::Request {
        path: "/v1/leases".to_owned(),
        reason: error.to_string(),
    })?;
    let answer = http.send(&to, Method::POST, "/v1/leases", &[], Some(body), within).await?;
    if answer.status == 202 {
        return serde_json::from_slice(&answer.body)
            .map(Said::Queued)
            .map_err(|_| broken(&to, "the answer is not a place in the queue"));
    }
    let said = read(&to, &answer)?;
    match said {
        Said::Lease(lease) if lease.use_id != use_id || lease.product != request.product => {
            Err(broken(&to, "the answer is about another checkout"))
        }
        said => Ok(said),
    }
}

pub(super) async fn renew(
    http: Http,
    to: Endpoint,
    lease: LeaseId,
    token: String,
    within: Span,
) -> Result<Said, HttpError> {
    let answer = with_token(&http, &to, Method::PUT, &lease, &token, within).await?;
    match read(&to, &answer)? {
        Said::Lease(body) if body.id != lease => {
            Err(broken(&to, "the answer is about another lease"))
        }
        said => Ok(said),
    }
}

pub(super) async fn release(
    http: Http,
    to: Endpoint,
    lease: LeaseId,
    token: String,
    within: Span,
) -> Result<Said, HttpError> {
    let answer = with_token(&http, &to, Method::DELETE, &lease, &token, within).await?;
    if answer.is_success() { Ok(Said::Released) } else { read(&to, &answer) }
}

async fn with_token(
    http: &Http,
    to: &Endpoint,
    method: Method,
    lease: &LeaseId,
    token: &str,
    within: Span,
) -> Result<HttpAnswer, HttpError> {
    let bearer = format!("Bearer {token}");
    let path = format!("/v1/leases/{lease}");
    http.send(to, method, &path, &[("authorization", &bearer)], None, within).await
}

fn read(from: &Endpoint, answer: &HttpAnswer) -> Result<Said, HttpError> {
    if matches!(answer.status, 200 | 201) {
        return serde_json::from_slice(&answer.body)
            .map(Said::Lease)
            .map_err(|_| broken(from, "the answer is not a lease"));
    }
    Ok(Said::Problem(Box::new(problem(answer))))
}

/// The problem that an answer tells; one made of the status where it tells none.
pub(super) fn problem(answer: &HttpAnswer) -> Problem {
    let read = serde_json::from_slice::<Problem>(&answer.body).ok();
    let mut problem = read.unwrap_or_else(|| {
        let detail = format!("the server answered with status {}", answer.status);
        Problem::new(ProblemCode::Unknown, detail)
    });
    problem.status = answer.status;
    problem
}

fn broken(from: &Endpoint, reason: &str) -> HttpError {
    HttpError::Broken { server: from.short(), reason: reason.to_owned() }
}

/// The part of a bundle that clients go by, as anybody may see it.
#[derive(Clone, Debug)]
pub(super) struct PairConfig {
    pub(super) name: PairName,
    pub(super) operators: Vec<SshPublicKey>,
    pub(super) timing: Timing,
}

#[derive(Deserialize)]
struct Bundle {
    manifest: Manifest,
}

#[derive(Deserialize)]
struct Manifest {
    metadata: Metadata,
    #[serde(default)]
    trust: Trust,
    #[serde(default)]
    redundancy: Redundancy,
}

/// What a server says of the pair's manifest.
pub(super) async fn config(client: &Client, from: &Endpoint) -> Result<PairConfig, AskError> {
    let Bundle { manifest } = client.get(from, "/v1/config", &[], CONFIG_MAX).await?;
    let Manifest { metadata, trust, redundancy } = manifest;
    let timing = Timing::of_pair(redundancy.heartbeat, redundancy.alone_after());
    Ok(PairConfig { name: metadata.name, operators: trust.operators, timing })
}
