//! Made-up servers for the tests of the client: answers by script, over memory, on the runtime's paused clock.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;

use crate::measure::{Moment, Now, Timestamp};
use crate::seam::World;
use crate::seam::clock::Clock;
use crate::seam::entropy::Entropy;
use crate::seam::net::{Listener, Net, Pending, Stream};

/// One request as a made-up server sees it.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) bearer: Option<String>,
    pub(crate) body: Value,
}

/// What a made-up server does with a request.
pub(crate) enum Told {
    /// Answers.
    Answer(u16, Value),
    /// Answers with these bytes.
    Bytes(u16, Vec<u8>),
    /// Never answers.
    Silence,
    /// Cuts the connection.
    Cut,
}

type Behavior = Arc<dyn Fn(Asked) -> Told + Send + Sync>;

/// A network of made-up servers, known by their ports.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    servers: Arc<Mutex<BTreeMap<u16, Behavior>>>,
    connects: Arc<AtomicUsize>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// From now on the server at this port behaves so.
    pub(crate) fn serve(
        &self,
        port: u16,
        behavior: impl Fn(Asked) -> Told + Send + Sync + 'static,
    ) {
        self.servers.lock().unwrap().insert(port, Arc::new(behavior));
    }

    /// From now on nobody listens at this port, and open connections are cut at the next request.
    pub(crate) fn kill(&self, port: u16) {
        self.servers.lock().unwrap().remove(&port);
    }

    /// How many connections were made.
    pub(crate) fn connects(&self) -> usize {
        self.connects.load(Ordering::Relaxed)
    }

    /// The requests so far: port, method and path, a line each.
    pub(crate) fn log(&self) -> String {
        std::mem::take(&mut *self.log.lock().unwrap()).join("\n")
    }

    /// The world with these servers.
    pub(crate) fn world(&self) -> World {
        World {
            net: Arc::new(self.clone()),
            clock: Arc::new(Paused(tokio::time::Instant::now())),
            entropy: Arc::new(Counted(AtomicU64::new(1))),
        }
    }

    async fn run(self, port: u16, stream: tokio::io::DuplexStream) {
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let this = self.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
                let asked = Asked {
                    method: head.method.to_string(),
                    path: head.uri.to_string(),
                    bearer: head.headers.get("authorization").and_then(|value| {
                        Some(value.to_str().ok()?.strip_prefix("Bearer ")?.to_owned())
                    }),
                    body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                };
                this.log.lock().unwrap().push(format!("{port} {} {}", asked.method, asked.path));
                let behavior = this.servers.lock().unwrap().get(&port).cloned();
                let told = behavior.map_or(Told::Cut, |behavior| behavior(asked));
                let (status, body) = match told {
                    Told::Answer(status, body) => (status, body.to_string().into_bytes()),
                    Told::Bytes(status, body) => (status, body),
                    Told::Silence => std::future::pending().await,
                    Told::Cut => return Err(io::Error::other("cut")),
                };
                let mut response = hyper::Response::new(Full::new(Bytes::from(body)));
                *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
                Ok::<_, io::Error>(response)
            }
        });
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }
}

impl Net for Scripted {
    fn listen(&self, _: SocketAddr) -> Pending<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn connect<'a>(&'a self, _: &'a str, port: u16) -> Pending<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            if !self.servers.lock().unwrap().contains_key(&port) {
                return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused"));
            }
            self.connects.fetch_add(1, Ordering::Relaxed);
            let (here, there) = tokio::io::duplex(1 << 16);
            tokio::spawn(self.clone().run(port, there));
            Ok(Box::new(here) as Box<dyn Stream>)
        })
    }
}

/// The runtime's own clock.
struct Paused(tokio::time::Instant);

impl Clock for Paused {
    fn now(&self) -> Now {
        let ms = u64::try_from(self.0.elapsed().as_millis()).unwrap();
        Now {
            moment: Moment::from_ms(1_000_000 + ms),
            wall: Timestamp::from_ms(1_700_000_000_000 + i64::try_from(ms).unwrap()),
        }
    }
}

/// Bytes that count up.
struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (byte, from) in
            bytes.iter_mut().rev().zip(count.iter().rev().chain(std::iter::repeat(&0)))
        {
            *byte = *from;
        }
    }
}
