//! HTTP: routes, and what every request must keep to. One file a group of routes.
//!
//! Handlers read a request, ask the driver, and write the answer. Whatever goes wrong is answered as a problem.

mod accept;
mod auth;
mod body;
mod config;
mod events;
mod leases;
mod limits;
mod peer;
mod problem;
mod stage;
mod status;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use http::{Request, header};
use tokio::sync::{Semaphore, broadcast};
use tower::ServiceExt as _;

pub(super) use accept::{Serving, serve};

use super::driver::Handle;
use super::peer::{Peering, is_loopback};
use super::view::View;
use crate::api::token::thumbprint;
use crate::api::{EventBody, Problem, ProblemCode};
use crate::measure::Timestamp;
use crate::name::{LeaseId, ServerName};
use crate::pair::Refusal;
use crate::seam::World;
use crate::seam::entropy::Identity;
use crate::statement::OperatorKey;
use crate::text::hex;
use auth::Nonces;
use limits::Checkouts;
use stage::Staging;

/// How many peers may shake hands at once.
const HANDSHAKES_MAX: usize = 8;

/// What the handlers are made of.
pub(super) struct Parts {
    pub(super) world: World,
    pub(super) name: ServerName,
    pub(super) identity: Arc<dyn Identity>,
    pub(super) handle: Handle,
    pub(super) peering: Peering,
    pub(super) listeners: broadcast::Sender<Arc<EventBody>>,
    pub(super) trust: Vec<OperatorKey>,
    pub(super) listen: SocketAddr,
    pub(super) is_trusted_network: bool,
}

/// What every handler has.
pub(super) struct App {
    parts: Parts,
    /// The thumbprint of this server's key.
    kid: String,
    nonces: Nonces,
    checkouts: Checkouts,
    staging: Staging,
    handshakes: Arc<Semaphore>,
    openapi: String,
}

/// The address that a request came from, as the socket says.
#[derive(Clone, Copy)]
struct From(IpAddr);

type Shared = Arc<App>;

impl App {
    /// The handlers and their routes.
    pub(super) fn new(parts: Parts) -> (Arc<Self>, Router) {
        let app = Arc::new(Self {
            kid: thumbprint(&parts.identity.public()),
            nonces: Nonces::default(),
            checkouts: Checkouts::default(),
            staging: Staging::default(),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            openapi: crate::api::openapi::document().to_string(),
            parts,
        });
        let router = Router::new()
            .route("/v1/leases", get(leases::list).post(leases::checkout))
            .route("/v1/leases/{id}", put(leases::renew).delete(leases::release))
            .route("/v1/products", get(status::products))
            .route("/v1/events", get(events::stream))
            .route("/v1/keys", get(status::keys))
            .route("/v1/openapi.json", get(status::openapi))
            .route("/v1/status", get(status::status))
            .route("/v1/config", get(config::bundle))
            .route("/v1/config/stage", post(stage::stage))
            .route("/v1/config/commit", post(stage::commit))
            .route("/v1/operator", post(config::operator))
            .route("/v1/peer", get(peer::upgrade))
            .route("/healthz", get(status::healthz))
            .route("/readyz", get(status::readyz))
            .fallback(async || Problem::new(ProblemCode::NotFound, "there is no such route"))
            .method_not_allowed_fallback(async || {
                Problem::new(ProblemCode::MethodNotAllowed, "this route does not take this method")
            })
            .with_state(Arc::clone(&app));
        (app, router)
    }

    /// The pair as it was when it last changed.
    ///
    /// # Errors
    /// The server starts again from its disk: what runs is not known.
    fn view(&self) -> Result<Arc<View>, Problem> {
        let view = self.parts.handle.view();
        if view.is_open { Ok(view) } else { Err(Refusal::Recovering.into()) }
    }

    fn wall(&self) -> Timestamp {
        self.parts.world.clock.now().wall
    }

    /// A fresh id for a lease: a UUID of version 7.
    fn fresh_lease(&self) -> LeaseId {
        let mut random = [0; 10];
        self.parts.world.entropy.fill(&mut random);
        let ms = u64::try_from(self.wall().ms()).unwrap_or(0);
        let id = uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid();
        #[expect(clippy::expect_used, reason = "hexadecimal digits and hyphens are a name")]
        id.to_string().parse().expect("a UUID is a lease id")
    }

    /// 128 random bits in hexadecimal.
    fn fresh_secret(&self) -> String {
        hex(&self.parts.world.entropy.bytes16())
    }

    /// Whether a request may be for this server: what a browser was tricked to by DNS names another host.
    fn is_known_host(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        if is_loopback(name) || name.eq_ignore_ascii_case(self.parts.name.as_str()) {
            return true;
        }
        let listens = name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical() == self.parts.listen.ip().to_canonical());
        if listens {
            return true;
        }
        match &self.parts.handle.view().config {
            Some(config) => config.servers.iter().any(|server| {
                server.address.eq_ignore_ascii_case(name)
                    || server.name.as_str().eq_ignore_ascii_case(name)
            }),
            // A network of our own has no browsers; what it calls this server is not known yet.
            None => self.parts.is_trusted_network,
        }
    }
}

/// Answers one request.
async fn answer(
    app: Shared,
    router: Router,
    from: IpAddr,
    mut request: Request<hyper::body::Incoming>,
) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let hosts_known = host.is_some_and(|host| app.is_known_host(host))
        && authority.is_none_or(|authority| app.is_known_host(authority));
    if !hosts_known {
        let detail = "the `Host` header does not name this server: use an address of the manifest";
        return Problem::new(ProblemCode::InvalidRequest, detail).into_response();
    }
    request.extensions_mut().insert(From(from.to_canonical()));
    match router.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
