//! Bodies: read with a limit of size and time and as strict JSON; written as JSON.

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::invalid;
use crate::api::{Problem, ProblemCode};
use crate::json::{self, Nulls};
use crate::measure::Span;

/// The most bytes of a body, unless a route says otherwise.
pub(super) const BODY_MAX: usize = 64 * 1024;
/// How long a body may take, and a large one between two of its parts.
const BODY_WITHIN: Span = Span::from_secs(10);
/// How long a large body may take in all.
const LARGE_BODY_WITHIN: Span = Span::from_secs(120);

/// Reads a JSON body.
pub(super) async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    parse(&json_bytes(headers, body, BODY_MAX).await?)
}

/// Reads the bytes of a JSON body.
pub(super) async fn json_bytes(
    headers: &HeaderMap,
    body: Body,
    max: usize,
) -> Result<Bytes, Problem> {
    let is_json = headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.to_str().unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    });
    if !is_json {
        return Err(Problem::new(
            ProblemCode::UnsupportedMediaType,
            "send the body as `Content-Type: application/json`",
        ));
    }
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > max as u64) {
        return Err(too_large(max));
    }
    read(body, max).await
}

/// Parses a JSON body.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    json::read(bytes, Nulls::Refused).map_err(|error| invalid(format!("the body {error}")))
}

/// Makes sure that a request which needs no body has none.
pub(super) async fn empty(body: Body) -> Result<(), Problem> {
    match &*read(body, BODY_MAX).await? {
        b"" | b"{}" => Ok(()),
        _ => Err(invalid("this request takes no body")),
    }
}

async fn read(mut body: Body, max: usize) -> Result<Bytes, Problem> {
    let mut bytes = BytesMut::new();
    let reading = async {
        loop {
            let frame = tokio::time::timeout(BODY_WITHIN.to_std(), body.frame());
            let Some(frame) = frame.await.map_err(|_| too_slow())? else { break };
            let frame = frame.map_err(|_| invalid("the body broke off"))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len().saturating_add(data.len()) > max {
                return Err(too_large(max));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(())
    };
    let within = if max > BODY_MAX { LARGE_BODY_WITHIN } else { BODY_WITHIN };
    tokio::time::timeout(within.to_std(), reading).await.map_err(|_| too_slow())??;
    Ok(bytes.freeze())
}

fn too_slow() -> Problem {
    invalid(format!("the body did not come within {BODY_WITHIN}"))
}

fn too_large(max: usize) -> Problem {
    Problem::new(ProblemCode::TooLarge, format!("the body has more than {max} bytes"))
}

/// Answers with a JSON body.
pub(super) fn answer<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => raw(status, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written");
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

/// Answers with what is JSON already.
pub(super) fn raw(status: StatusCode, bytes: impl Into<Body>) -> Response {
    let mut response = Response::new(bytes.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
