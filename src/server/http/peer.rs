//! `/v1/peer`: the other server opens the pair's connection.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use hyper_util::rt::TokioIo;

use super::Shared;
use super::problem::invalid;
use crate::api::{Problem, ProblemCode};
use crate::server::peer::PROTOCOL;

/// `GET /v1/peer`.
pub(super) async fn upgrade(
    State(app): State<Shared>,
    mut request: axum::extract::Request,
) -> Result<Response, Problem> {
    let wants = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    if !wants.is_some_and(|wants| wants.eq_ignore_ascii_case(PROTOCOL)) {
        return Err(invalid(format!(
            "this route is for the other server of the pair: `Upgrade: {PROTOCOL}`"
        )));
    }
    let Ok(permit) = std::sync::Arc::clone(&app.handshakes).try_acquire_owned() else {
        return Err(Problem::new(
            ProblemCode::TooManyRequests,
            "too many servers introduce themselves at once: try again",
        ));
    };
    let peering = app.parts.peering.clone();
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => peering.accept(Box::new(TokioIo::new(upgraded))).await,
            Err(error) => tracing::debug!(%error, "a connection was not upgraded"),
        }
        drop(permit);
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    Ok(response)
}
