//! What a server says of itself: status, products, keys, health, and the description of its API.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use super::{App, Shared, body};
use crate::api::{
    self, Jwk, JwkSet, LastApply, Problem, ProblemCode, ProductList, STATUS_SCHEMA, Status,
};
use crate::measure::Now;
use crate::pair::{Pair, PairStatus, Refusal, State as PairState};
use crate::statement::ApplyStatement;

/// `GET /v1/status`.
pub(super) async fn status(State(app): State<Shared>) -> Result<Response, Problem> {
    let read = |pair: &Pair, now: Now| {
        let statement = pair.statements().last().and_then(|signed| signed.read().ok());
        (pair.status(now), statement)
    };
    let (status, statement) = app.parts.handle.query(read).await?;
    Ok(body::answer(StatusCode::OK, &app.status_body(status, statement)))
}

/// `GET /v1/products`.
pub(super) async fn products(State(app): State<Shared>) -> Result<Response, Problem> {
    let status = app.parts.handle.query(|pair: &Pair, now: Now| pair.status(now)).await?;
    let products = status.products.into_iter().map(product).collect();
    Ok(body::answer(StatusCode::OK, &ProductList { products }))
}

/// `GET /v1/keys`.
pub(super) async fn keys(State(app): State<Shared>) -> Response {
    let own = Jwk::of(&app.parts.identity.public());
    let peer = app.parts.handle.view().peer_key.as_ref().map(|(_, key)| Jwk::of(key));
    let keys = [Some(own), peer].into_iter().flatten().collect();
    body::answer(StatusCode::OK, &JwkSet { keys })
}

/// `GET /v1/openapi.json`.
pub(super) async fn openapi(State(app): State<Shared>) -> Response {
    body::raw(StatusCode::OK, app.openapi.clone())
}

/// `GET /healthz`.
pub(super) async fn healthz() -> Response {
    body::raw(StatusCode::OK, r#"{"alive":true}"#)
}

/// `GET /readyz`.
pub(super) async fn readyz(State(app): State<Shared>) -> Response {
    let view = app.parts.handle.view();
    if view.is_ready {
        return body::raw(StatusCode::OK, r#"{"ready":true}"#);
    }
    let problem: Problem = match view.standing.state {
        PairState::Unconfigured => Refusal::Unconfigured.into(),
        PairState::Standby => Problem::new(
            ProblemCode::Standby,
            "this server stands by and is not in step with the other one yet",
        ),
        PairState::Recovering | PairState::Active => Refusal::Recovering.into(),
    };
    problem.into_response()
}

impl App {
    fn status_body(&self, status: PairStatus, statement: Option<ApplyStatement>) -> Status {
        let mut peer = status.peer.map(|peer| api::PeerStatus {
            name: peer.name,
            reachable: peer.reachable,
            paired: peer.paired,
            last_heard_ms: peer.last_heard,
            problem: None,
        });
        if let Some(peer) = &mut peer {
            peer.problem = self.parts.handle.peer_problem();
        }
        let last_apply = match (statement, status.bundle, status.committed_at) {
            (Some(statement), Some(bundle), Some(committed_at)) => Some(LastApply {
                generation: status.generation,
                bundle,
                operator: statement.operator,
                at: statement.at,
                committed_at,
                source: statement.source,
            }),
            _ => None,
        };
        Status {
            schema: STATUS_SCHEMA,
            name: status.name,
            key: self.parts.identity.public(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            role: status.role,
            next_role: status.next_role,
            state: status.state,
            epoch: status.epoch,
            generation: status.generation,
            bundle: status.bundle,
            source: last_apply.as_ref().map(|apply| apply.source.clone()),
            grace_ends_in_ms: status.grace_ends_in,
            leader: status.leader,
            leader_since: status.leader_since,
            staged: self.staging.shown(self.wall()),
            peer,
            products: status.products.into_iter().map(product).collect(),
            trust: self.parts.trust.iter().map(|key| key.fingerprint()).collect(),
            held: status.held.map(|held| api::HeldApply {
                reason: "conflicting-bundle".to_owned(),
                generation: held.generation,
                bundle: held.bundle,
                operator: held.operator,
                at: held.at,
                source: held.source,
            }),
            last_apply,
        }
    }
}

fn product(status: crate::pair::ProductStatus) -> api::ProductStatus {
    api::ProductStatus {
        product: status.product,
        capacity: status.capacity,
        used: status.used,
        borrowed: status.borrowed,
        reserved: status.reserved,
        waiting: u32::try_from(status.waiting).unwrap_or(u32::MAX),
        over_grant: status.over_grant,
        quota: status.quota,
        parked: status.parked,
        standalone_ends_in_ms: status.standalone_ends_in,
    }
}
