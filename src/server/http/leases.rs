//! `/v1/leases`: checkout, renew, release, and the list of leases.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use super::auth::{ASK_LESS, Caller};
use super::problem::{invalid, refused};
use super::{App, From, Shared, body};
use crate::api::token::{self, Claims};
use crate::api::{
    LeaseBody, LeaseEntry, LeaseList, LeaseRequest, Problem, ProblemCode, QueuedBody,
};
use crate::bundle::Config;
use crate::entitlement::Requester;
use crate::measure::{Now, Seats, Span};
use crate::name::LeaseId;
use crate::pair::{Checkout, Command, Held, Pair, Queued, Reply, Wait};
use crate::server::driver::Answer;

/// `POST /v1/leases`.
pub(super) async fn checkout(
    State(app): State<Shared>,
    Extension(From(from)): Extension<From>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    if !app.checkouts.may(from, app.parts.world.clock.now().moment) {
        let detail = "this address checks out too often: ask again in a second";
        return Err(Problem::new(ProblemCode::TooManyRequests, detail).retry_after(ASK_LESS));
    }
    let (parts, body) = request.into_parts();
    let bytes = body::json_bytes(&parts.headers, body, body::BODY_MAX).await?;
    let caller = app.caller(&parts.method, &parts.uri, &parts.headers, &bytes)?;
    let LeaseRequest { product, user, host, use_id, seats, wait_ms, borrow_ms, ticket } =
        body::parse(&bytes)?;
    let seats = seats.unwrap_or(Seats(1));
    if seats == Seats(0) {
        return Err(invalid("`seats` is 1 or more"));
    }
    let waits = wait_ms.is_some() || ticket.is_some();
    if waits && borrow_ms.is_some() {
        return Err(invalid("a seat is waited for or borrowed: wait for it first, then borrow it"));
    }
    if borrow_ms == Some(Span::ZERO) {
        return Err(invalid("`borrowMs` is 1 or more"));
    }
    let use_id = match use_id {
        Some(use_id) => use_id,
        None => app.fresh_secret().parse().map_err(|_| invalid("`use` is missing"))?,
    };
    let fresh = app.fresh_lease();
    let (address, borrow) = (from, borrow_ms);
    let checkout = Checkout { product, user, host, address, use_id, seats, borrow, fresh };
    let command = if waits {
        let fresh = app.fresh_secret();
        let fresh = fresh.parse().map_err(|_| invalid("no ticket could be made"))?;
        let hold = wait_ms.unwrap_or_default();
        Command::Wait(Box::new(Wait { request: checkout.clone(), ticket, fresh, hold }))
    } else {
        Command::Checkout(checkout.clone())
    };
    let answer = app.parts.handle.command(command).await?;
    let config = answer.config.clone();
    app.lease(answer, &caller).map_err(|problem| explained(problem, &checkout, config.as_deref()))
}

/// The same problem, with which entries of the manifest it comes from.
fn explained(mut problem: Problem, checkout: &Checkout, config: Option<&Config>) -> Problem {
    let Checkout { product, user, host, address, .. } = checkout;
    let Some(policy) = config.and_then(|config| config.products.get(product)) else {
        return problem;
    };
    let policy = &policy.policy;
    let who = Requester { user, host, address: *address };
    match problem.code {
        ProblemCode::Denied => {
            if let Some(entry) = policy.denial(&who) {
                problem.detail =
                    format!("the entry `{entry}` of `deny` matches: ask who keeps the manifest");
            }
        }
        ProblemCode::NotEntitled => {
            let entries = policy.assignments().len();
            problem.detail = format!(
                "none of the entries of `assign` ({entries}) matches `{user}` on `{host}`: ask who keeps the manifest"
            );
        }
        _ => {}
    }
    problem
}

/// `PUT /v1/leases/{id}`.
pub(super) async fn renew(
    State(app): State<Shared>,
    Extension(From(from)): Extension<From>,
    Path(id): Path<String>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    body::empty(body).await?;
    let token = app.token(&parts.headers, &lease_id(&id)?, from)?;
    let answer = app.parts.handle.command(Command::Renew(token)).await?;
    app.lease(answer, &Caller::Anybody)
}

/// `DELETE /v1/leases/{id}`.
pub(super) async fn release(
    State(app): State<Shared>,
    Extension(From(from)): Extension<From>,
    Path(id): Path<String>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    body::empty(body).await?;
    let token = app.token(&parts.headers, &lease_id(&id)?, from)?;
    let answer = app.parts.handle.command(Command::Release(token)).await?;
    match answer.reply {
        Reply::Released => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => app.lease(answer, &Caller::Anybody),
    }
}

/// `GET /v1/leases`.
pub(super) async fn list(
    State(app): State<Shared>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let caller = app.caller(request.method(), request.uri(), request.headers(), b"")?;
    let leases = app
        .parts
        .handle
        .query(move |pair: &Pair, now: Now| {
            let sees_names = caller.sees_names(pair.config().map(|config| &**config));
            let is_operator = caller.is_operator();
            let leases = pair.ledger().leases(now.moment);
            leases
                .map(|view| LeaseEntry {
                    id: view.lease.id.clone(),
                    product: view.lease.product.clone(),
                    user: sees_names.then(|| view.lease.user.clone()),
                    host: sees_names.then(|| view.lease.host.clone()),
                    address: sees_names.then_some(view.lease.address),
                    uses: is_operator.then(|| view.lease.uses.keys().cloned().collect()),
                    seats: view.lease.seats(),
                    assignment: view.lease.assignment,
                    server: view.lease.server.clone(),
                    granted_at: view.lease.granted_at,
                    expires_at: now.wall + view.remaining,
                    ttl_ms: view.lease.ttl,
                    borrowed_until: view.lease.borrowed_until(),
                    revoked: view.revoked.filter(|_| sees_names).map(str::to_owned),
                })
                .collect()
        })
        .await?;
    Ok(body::answer(StatusCode::OK, &LeaseList { leases }))
}

fn lease_id(text: &str) -> Result<LeaseId, Problem> {
    text.parse().map_err(|_| Problem::new(ProblemCode::UnknownLease, "no lease can have this id"))
}

impl App {
    /// What the pair answered about a lease.
    fn lease(&self, answer: Answer, caller: &Caller) -> Result<Response, Problem> {
        let config = answer.config.as_deref();
        match answer.reply {
            Reply::Lease(ref held) => {
                let status = if held.is_new { StatusCode::CREATED } else { StatusCode::OK };
                let token = self.sign(held, &answer);
                Ok(body::answer(status, &lease_body(held, token)))
            }
            Reply::Queued(queued) => {
                let Queued { ticket, position, retry_after, .. } = *queued;
                let body = QueuedBody { ticket, position, retry_after_ms: retry_after };
                Ok(body::answer(StatusCode::ACCEPTED, &body))
            }
            Reply::Refused(refusal) => {
                let other = config.and_then(|config| config.peer_of(&self.parts.name));
                let sees_names = caller.sees_names(config);
                Err(refused(refusal, other, sees_names, &self.parts.handle.view()))
            }
            Reply::Released | Reply::Committed { .. } | Reply::Done => {
                Err(Problem::new(ProblemCode::Internal, "the server answered something else"))
            }
        }
    }

    /// The token of a lease, signed now: what is answered is durable where it must be.
    fn sign(&self, held: &Held, answer: &Answer) -> String {
        let Held { lease, use_id, epoch, expires_at, .. } = held;
        let product = answer.config.as_ref().and_then(|config| config.products.get(&lease.product));
        let (licenses, entitlements) = match (product, answer.role) {
            (Some(product), Some(role)) => (
                product.license_ids(role, answer.wall).cloned().collect(),
                product.entitlements.clone(),
            ),
            _ => (Vec::new(), Vec::new()),
        };
        let one = lease.uses.get(use_id);
        let claims = Claims {
            iss: self.parts.name.clone(),
            sub: one.map_or(&lease.user, |one| &one.user).clone(),
            aud: lease.product.clone(),
            jti: lease.id.clone(),
            iat: answer.wall.secs(),
            exp: expires_at.secs(),
            epoch: *epoch,
            host: one.map_or(&lease.host, |one| &one.host).clone(),
            seats: one.map_or(lease.seats(), |one| one.seats),
            use_id: use_id.clone(),
            licenses,
            entitlements,
        };
        token::encode(&claims, &self.kid, |message| self.parts.identity.sign(message))
    }
}

fn lease_body(held: &Held, token: String) -> LeaseBody {
    let Held { lease, use_id, epoch, ttl, expires_at, borrowed_until, .. } = held;
    LeaseBody {
        id: lease.id.clone(),
        use_id: use_id.clone(),
        uses: lease.uses.keys().cloned().collect(),
        product: lease.product.clone(),
        user: lease.user.clone(),
        host: lease.host.clone(),
        seats: lease.seats(),
        assignment: lease.assignment,
        server: lease.server.clone(),
        epoch: *epoch,
        granted_at: lease.granted_at,
        expires_at: *expires_at,
        ttl_ms: *ttl,
        borrowed_until: *borrowed_until,
        token,
    }
}
