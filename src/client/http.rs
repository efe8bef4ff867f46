//! One HTTP request to one server, over the seam's sockets: the same code in production and in a simulation.
//!
//! Every request has a deadline, every answer a greatest size. Connections are kept and used again. Which
//! server to ask is not known here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, Response, body::Incoming, header};
use hyper_util::rt::TokioIo;

use super::endpoint::{Endpoint, EndpointError};
use crate::measure::Span;
use crate::seam::World;

/// The most connections to one server that are kept for later.
const IDLE_MAX: usize = 32;
/// The largest answer that is read unless the caller says otherwise, in bytes.
const ANSWER_MAX: usize = 8 << 20;
/// The most bytes of an answer's head.
const HEAD_MAX: usize = 64 << 10;
/// How long a connection may take, where the request's own deadline is later.
const CONNECT_MAX: Span = Span::from_secs(3);
/// What marks a request that may be carried out once only: its signature's nonce is taken once.
const SIGNATURE: &str = "tandem-signature";
const ONCE: &str = "/v1/operator";

/// Sends requests to servers. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Http {
    world: World,
    is_trusted_network: bool,
    answer_max: usize,
    idle: Arc<Mutex<Idle>>,
}

/// Kept connections, by host and port.
type Idle = BTreeMap<(String, u16), Vec<Connection>>;

/// What a server answered, whatever the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, whole.
    pub body: Bytes,
}

impl Answer {
    /// Whether the status is 200 to 299.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status <= 299
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The server may not be spoken to.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// No connection could be made: nothing was sent.
    #[error("cannot connect to `{server}`: {reason}")]
    Connect {
        /// The server, `PORT@HOST`.
        server: String,
        /// What the system says.
        reason: String,
    },
    /// The deadline passed. What was asked may have been done.
    #[error("`{server}` did not answer within {after}")]
    TimedOut {
        /// The server, `PORT@HOST`.
        server: String,
        /// How long was waited.
        after: Span,
    },
    /// The connection broke or something else than HTTP was spoken. What was asked may have been done.
    #[error("the connection to `{server}` broke: {reason}")]
    Broken {
        /// The server, `PORT@HOST`.
        server: String,
        /// What happened.
        reason: String,
    },
    /// The answer is larger than was asked for.
    #[error("`{server}` answered with more than {max} bytes")]
    TooLarge {
        /// The server, `PORT@HOST`.
        server: String,
        /// The most bytes that are read.
        max: usize,
    },
    /// The request cannot be written as HTTP: a path or a header with characters that they cannot have.
    #[error("the request to `{path}` cannot be sent: {reason}")]
    Request {
        /// The path that was asked for.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// A connection and the task that drives it; both end together.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What went wrong with one attempt, and whether the server can have seen the request.
struct Failed {
    error: HttpError,
    is_unseen: bool,
}

impl Http {
    /// Speaks plain HTTP to servers on loopback, and refuses every other.
    #[must_use]
    pub fn new(world: World) -> Self {
        Self { world, is_trusted_network: false, answer_max: ANSWER_MAX, idle: Arc::default() }
    }

    /// Speaks plain HTTP to any server: for a network that exists inside one machine, as a simulated one does.
    #[must_use]
    pub fn on_trusted_network(world: World) -> Self {
        Self { is_trusted_network: true, ..Self::new(world) }
    }

    /// The same, but reads answers of up to `bytes`.
    #[must_use]
    pub fn with_answer_max(self, bytes: usize) -> Self {
        Self { answer_max: bytes, ..self }
    }

    /// The world it speaks through.
    #[must_use]
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// Whether this server may be spoken to.
    ///
    /// # Errors
    /// It is not on loopback.
    pub fn check(&self, server: &Endpoint) -> Result<(), EndpointError> {
        if self.is_trusted_network { Ok(()) } else { server.check_plain() }
    }

    /// Sends one request and reads the whole answer, whatever its status, within `deadline`.
    ///
    /// `path` begins with `/` and may have a query. A body is sent as `application/json`. A kept connection that
    /// turns out dead is replaced once, where the server cannot have seen the request or seeing it twice changes
    /// nothing (checkouts are repeated by their use, stages and commits by their content).
    ///
    /// # Errors
    /// There is no answer: see [`HttpError`].
    pub async fn send(
        &self,
        to: &Endpoint,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
        deadline: Span,
    ) -> Result<Answer, HttpError> {
        self.check(to)?;
        let request = request(to, method, path, headers, body)?;
        let is_once = path.starts_with(ONCE) || request.headers().contains_key(SIGNATURE);
        let work = async {
            let Some(kept) = self.kept(to).await else {
                let fresh = self.connect(to).await?;
                return self.exchange(to, fresh, request).await.map_err(|failed| failed.error);
            };
            match self.exchange(to, kept, request.clone()).await {
                Err(failed) if failed.is_unseen || !is_once => {
                    tracing::debug!(server = %to.short(), error = %failed.error, "connecting again");
                    let fresh = self.connect(to).await?;
                    self.exchange(to, fresh, request).await.map_err(|failed| failed.error)
                }
                answered => answered.map_err(|failed| failed.error),
            }
        };
        match tokio::time::timeout(deadline.to_std(), work).await {
            Ok(answered) => answered,
            Err(_) => Err(HttpError::TimedOut { server: to.short(), after: deadline }),
        }
    }

    /// A connection that was kept and still stands, as far as this side can see.
    async fn kept(&self, to: &Endpoint) -> Option<Connection> {
        loop {
            let mut connection = {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.get_mut(&(to.host().to_owned(), to.port()))?.pop()?
            };
            if !connection.sender.is_closed() && connection.sender.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    fn keep(&self, to: &Endpoint, connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.entry((to.host().to_owned(), to.port())).or_default();
        if kept.len() < IDLE_MAX {
            kept.push(connection);
        }
    }

    async fn connect(&self, to: &Endpoint) -> Result<Connection, HttpError> {
        let failed = |reason: String| HttpError::Connect { server: to.short(), reason };
        let connect = self.world.net.connect(to.host(), to.port());
        let stream = match tokio::time::timeout(CONNECT_MAX.to_std(), connect).await {
            Ok(stream) => stream.map_err(|error| failed(error.to_string()))?,
            Err(_) => return Err(failed(format!("no answer within {CONNECT_MAX}"))),
        };
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(error.to_string()))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
        Ok(Connection { sender, driver })
    }

    async fn exchange(
        &self,
        to: &Endpoint,
        mut connection: Connection,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Failed> {
        let broken = |error: hyper::Error| Failed {
            is_unseen: error.is_canceled(),
            error: HttpError::Broken { server: to.short(), reason: error.to_string() },
        };
        let response = connection.sender.send_request(request).await.map_err(broken)?;
        let status = response.status().as_u16();
        let body =
            self.read(to, response).await.map_err(|error| Failed { error, is_unseen: false })?;
        self.keep(to, connection);
        Ok(Answer { status, body })
    }

    async fn read(&self, to: &Endpoint, response: Response<Incoming>) -> Result<Bytes, HttpError> {
        let mut incoming = response.into_body();
        let mut body = BytesMut::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| HttpError::Broken {
                server: to.short(),
                reason: error.to_string(),
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if body.len().saturating_add(data.len()) > self.answer_max {
                return Err(HttpError::TooLarge { server: to.short(), max: self.answer_max });
            }
            body.extend_from_slice(&data);
        }
        Ok(body.freeze())
    }
}

fn request(
    to: &Endpoint,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Vec<u8>>,
) -> Result<Request<Full<Bytes>>, HttpError> {
    let mut builder =
        Request::builder().method(method).uri(path).header(header::HOST, to.authority());
    if body.is_some() {
        builder = builder.header(header::CONTENT_TYPE, "application/json");
    }
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder
        .body(Full::new(body.map_or_else(Bytes::new, Bytes::from)))
        .map_err(|error| HttpError::Request { path: path.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::scripted::{Scripted, Told};
    use super::*;

    fn server(port: u16) -> Endpoint {
        Endpoint::new("127.0.0.1", port, None).expect("a valid server")
    }

    async fn get(http: &Http, path: &str) -> Result<Answer, HttpError> {
        http.send(&server(1), Method::GET, path, &[], None, Span::from_secs(3)).await
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_used_again() {
        let net = Scripted::default();
        net.serve(1, |_| Told::Answer(200, json!({"ok": true})));
        let http = Http::new(net.world());
        for _ in 0..5 {
            assert_eq!(get(&http, "/x").await.map(|answer| answer.status), Ok(200));
        }
        assert_eq!(net.connects(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kept_connection_that_died_is_replaced_once() {
        let net = Scripted::default();
        net.serve(1, |_| Told::Answer(200, json!({})));
        let http = Http::new(net.world());
        assert!(get(&http, "/x").await.is_ok());
        let cuts = std::sync::atomic::AtomicBool::new(true);
        net.serve(1, move |_| match cuts.swap(false, std::sync::atomic::Ordering::Relaxed) {
            true => Told::Cut,
            false => Told::Answer(204, json!({})),
        });
        assert_eq!(get(&http, "/x").await.map(|answer| answer.status), Ok(204));
        net.serve(1, |_| Told::Cut);
        assert!(matches!(get(&http, "/x").await, Err(HttpError::Broken { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_be_done_once_only_is_not_sent_twice() {
        let net = Scripted::default();
        net.serve(1, |_| Told::Answer(200, json!({})));
        let http = Http::new(net.world());
        let post = async |path: &'static str, headers: &[(&str, &str)]| {
            let body = Some(b"{}".to_vec());
            http.send(&server(1), Method::POST, path, headers, body, Span::from_secs(3)).await
        };
        assert!(get(&http, "/x").await.is_ok());
        net.serve(1, |_| Told::Cut);
        net.log();
        assert!(post("/v1/operator", &[]).await.is_err());
        assert_eq!(net.log(), "1 POST /v1/operator");
        net.serve(1, |_| Told::Answer(200, json!({})));
        assert!(get(&http, "/x").await.is_ok());
        net.serve(1, |_| Told::Cut);
        net.log();
        assert!(post("/v1/config/stage", &[("Tandem-Signature", "a.b")]).await.is_err());
        assert_eq!(net.log(), "1 POST /v1/config/stage");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_at_the_deadline() {
        let net = Scripted::default();
        net.serve(1, |_| Told::Silence);
        let error = get(&Http::new(net.world()), "/x").await.map_err(|error| error.to_string());
        assert_eq!(error, Err("`1@127.0.0.1` did not answer within 3s".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_port_says_so() {
        let error = get(&Http::new(Scripted::default().world()), "/x").await;
        let error = error.map_err(|error| error.to_string());
        assert_eq!(error, Err("cannot connect to `1@127.0.0.1`: connection refused".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_end_is_not_read_to_its_end() {
        let net = Scripted::default();
        net.serve(1, |_| Told::Bytes(200, vec![b'x'; 4096]));
        let http = Http::new(net.world()).with_answer_max(4095);
        assert!(matches!(get(&http, "/x").await, Err(HttpError::TooLarge { max: 4095, .. })));
        assert_eq!(get(&http.with_answer_max(4096), "/x").await.map(|a| a.body.len()), Ok(4096));
    }

    #[tokio::test(start_paused = true)]
    async fn no_byte_is_sent_beyond_loopback_unless_the_network_is_trusted() {
        let net = Scripted::default();
        net.serve(1, |_| Told::Answer(200, json!({})));
        let far = Endpoint::new("lic-a", 1, None).expect("a valid server");
        let send = async |http: Http| {
            http.send(&far, Method::GET, "/x", &[], None, Span::from_secs(1)).await
        };
        let refused = Err(HttpError::Endpoint(EndpointError::Unpinned("1@lic-a".into())));
        assert_eq!(send(Http::new(net.world())).await, refused);
        assert_eq!(net.connects(), 0);
        assert!(send(Http::on_trusted_network(net.world())).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_request_is_refused() {
        let http = Http::new(Scripted::default().world());
        assert!(matches!(get(&http, "/a b").await, Err(HttpError::Request { .. })));
    }
}
