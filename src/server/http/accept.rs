//! The accept loop: connections with limits and deadlines, and their graceful end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::limits::{Connections, Counted};
use super::{App, Shared, answer};
use crate::measure::Span;
use crate::seam::net::{Listener, Stream};

/// How long the head of a request may take.
const HEAD_WITHIN: Span = Span::from_secs(10);
/// The most bytes of the head of a request.
const HEAD_MAX: usize = 64 * 1024;
/// How long to wait after the system gave no connection: most often it is out of file descriptors.
const ACCEPT_AGAIN: Span = Span::from_ms(50);

/// Whether connections go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// They do.
    Open,
    /// Each ends after the request it has.
    Finishing,
    /// Each ends at once.
    Over,
}

/// A server's connections.
pub(in crate::server) struct Serving {
    accepting: JoinHandle<()>,
    phase: watch::Sender<Phase>,
    alive: mpsc::Receiver<Infallible>,
}

/// Takes connections until told otherwise.
pub(in crate::server) fn serve(
    listener: Box<dyn Listener>,
    (app, router): (Arc<App>, Router),
) -> Serving {
    let (phase, phases) = watch::channel(Phase::Open);
    let (token, alive) = mpsc::channel(1);
    let accepting = tokio::spawn(async move {
        let connections = Connections::default();
        loop {
            let (stream, from) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "no connection can be taken in");
                    app.parts.world.clock.sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            // Who has too many is not answered: an answer would cost a connection.
            let Some(counted) = connections.count(from.ip()) else { continue };
            let one = Connection {
                app: Arc::clone(&app),
                router: router.clone(),
                from,
                phases: phases.clone(),
                _counted: counted,
                _alive: token.clone(),
            };
            tokio::spawn(one.run(stream));
        }
    });
    Serving { accepting, phase, alive }
}

impl Serving {
    /// Takes no more connections, and waits for those there are to finish what they have, for so long at most.
    pub(in crate::server) async fn close(&mut self, within: Span) {
        self.accepting.abort();
        self.phase.send_replace(Phase::Finishing);
        // All are gone when the last token is dropped.
        let _late = tokio::time::timeout(within.to_std(), self.alive.recv()).await;
    }

    /// Ends every connection.
    pub(in crate::server) fn abort(&self) {
        self.accepting.abort();
        self.phase.send_replace(Phase::Over);
    }
}

/// One connection and what it is served with.
struct Connection {
    app: Shared,
    router: Router,
    from: SocketAddr,
    phases: watch::Receiver<Phase>,
    _counted: Counted,
    _alive: mpsc::Sender<Infallible>,
}

impl Connection {
    async fn run(self, stream: Box<dyn Stream>) {
        let (app, router, from) = (Arc::clone(&self.app), self.router.clone(), self.from.ip());
        let (phase, mut phases) = (self.phases.clone(), self.phases.clone());
        let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
            let (app, router) = (Arc::clone(&app), router.clone());
            request.extensions_mut().insert(phase.clone());
            async move { Ok::<_, Infallible>(answer(app, router, from, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN.to_std())
            .auto_date_header(false)
            .max_buf_size(HEAD_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        loop {
            let ended = tokio::select! {
                biased;
                ended = connection.as_mut() => ended,
                changed = phases.changed() => {
                    let phase = *phases.borrow_and_update();
                    if changed.is_err() || phase == Phase::Over {
                        return;
                    }
                    connection.as_mut().graceful_shutdown();
                    continue;
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke");
            }
            return;
        }
    }
}
