//! `/v1/events`: what happens from now on, as server-sent events.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, header};
use hyper::body::Frame;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};

use super::accept::Phase;
use super::auth::Caller;
use super::{App, Shared};
use crate::api::{EventBody, Problem};
use crate::measure::Span;

/// How many events wait for a slow reader before it is left behind.
const WAITING_MAX: usize = 64;
/// How often a quiet stream says that it is still there.
const STILL_THERE: Span = Span::from_secs(15);

/// `GET /v1/events`.
pub(super) async fn stream(
    State(app): State<Shared>,
    Extension(mut phase): Extension<watch::Receiver<Phase>>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let caller = app.caller(request.method(), request.uri(), request.headers(), b"")?;
    let mut events = app.parts.listeners.subscribe();
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let world = app.parts.world.clone();
    // The task must not keep the server's handlers alive.
    let app = Arc::downgrade(&app);
    tokio::spawn(async move {
        loop {
            let text = tokio::select! {
                biased;
                _ = phase.changed() => return,
                () = sender.closed() => return,
                event = events.recv() => match event {
                    Ok(event) => match app.upgrade() {
                        Some(app) => told(&app, &caller, &event),
                        None => return,
                    },
                    // Whoever missed events connects again and reads the state anew.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => return,
                },
                () = world.clock.sleep(STILL_THERE) => ": still there\n\n".to_owned(),
            };
            if sender.send(Bytes::from(text)).await.is_err() {
                return;
            }
        }
    });
    let mut response = Response::new(Body::new(Stream(receiver)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// One event, as this caller may see it.
fn told(app: &App, caller: &Caller, event: &EventBody) -> String {
    let config = app.parts.handle.view().config.clone();
    let json = if caller.sees_names(config.as_deref()) {
        serde_json::to_string(event)
    } else {
        let mut event = event.clone();
        for key in ["user", "host"] {
            event.details.remove(key);
        }
        serde_json::to_string(&event)
    };
    // Texts and numbers alone: serializing them cannot fail, and JSON has no line breaks.
    let json = json.unwrap_or_default();
    format!("id: {}\nevent: {}\ndata: {json}\n\n", event.seq, event.kind)
}

/// A body that goes on as long as somebody writes it.
struct Stream(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
