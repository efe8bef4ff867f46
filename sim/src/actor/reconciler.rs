//! The reconciler, applying what it is told with the product's own two-phase apply; and somebody who offers bundles
//! that no server may take.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use tandem::api::StageRequest;
use tandem::client::Http;
use tandem::measure::Span;
use tandem::reconcile::apply::{Order, apply};
use tandem::reconcile::observe::{Target, View, both};
use tandem::statement::{ApplyStatement, SignedStatement, Source};
use tokio::sync::mpsc;

use crate::actor::observer::world;
use crate::actor::server::Common;
use crate::subject::{Forged, Subject};

/// The machine that it is on.
pub const NODE: &str = "reconciler";

/// How long it waits before it tries again.
const AGAIN: Span = Span::from_secs(1);
/// How long an offer may take.
const OFFER_WITHIN: Span = Span::from_secs(5);

/// What it is told.
pub enum Task {
    /// Apply this, and try again until it runs.
    Apply {
        /// What.
        subject: Box<Subject>,
        /// Whether one server that can be reached is enough.
        degraded: bool,
    },
    /// Offer this to each server, once.
    Offer(Box<Forged>),
}

/// Does what it is told, one thing after the other; the newest thing to apply replaces an older one that does not
/// run yet.
pub async fn work(pair: [Target; 2], mut tasks: mpsc::UnboundedReceiver<Task>, common: Common) {
    let http = Http::on_trusted_network(world(NODE, &common));
    let mut wanted: Option<(Box<Subject>, bool)> = None;
    loop {
        let task = match &wanted {
            None => tasks.recv().await,
            Some(_) => tokio::time::timeout(AGAIN.to_std(), tasks.recv()).await.unwrap_or(None),
        };
        match task {
            Some(Task::Apply { subject, degraded }) => wanted = Some((subject, degraded)),
            Some(Task::Offer(forged)) => offer(&http, &pair, &forged).await,
            None if wanted.is_none() => return,
            None => {}
        }
        if let Some((subject, degraded)) = &wanted {
            let views = both(&http, &pair).await;
            let order = Order {
                bundle: subject.bundle.clone(),
                source: source(),
                allow_large_change: false,
                degraded: *degraded,
            };
            let signer = subject.signer(common.seed);
            let applied = apply(&http, &signer, &views, None, &order, &mut |_| {}).await;
            let said = match &applied {
                Ok(applied) => format!("{applied:?}"),
                Err(error) => error.to_string(),
            };
            common.recorder.trace(NODE, "apply", said.as_bytes());
            if applied.is_ok_and(|applied| *degraded || applied.later.is_empty()) {
                wanted = None;
            }
        }
    }
}

fn source() -> Source {
    Source { repository: None, commit: None, path: "tandem.yaml".to_owned(), dirty: false }
}

async fn offer(http: &Http, pair: &[Target; 2], forged: &Forged) {
    let views = both(http, pair).await;
    let base: BTreeMap<_, _> = views
        .iter()
        .filter_map(|view| {
            view.running().map(|running| (view.target.name.clone(), running.generation))
        })
        .collect();
    let now = http.world().clock.now().wall;
    let statement = ApplyStatement::new(
        forged.pair.clone(),
        forged.hash,
        base,
        forged.operators.clone(),
        now,
        source(),
    );
    let Ok(signed) = SignedStatement::sign_apply(statement, &forged.operator) else { return };
    let request = StageRequest {
        statement: STANDARD.encode(&signed.statement),
        signature: signed.signature,
        bundle: STANDARD.encode(&forged.bytes),
    };
    let Ok(body) = serde_json::to_vec(&request) else { return };
    for View { target, .. } in &views {
        let (path, body) = ("/v1/config/stage", Some(body.clone()));
        // What it answers, or that it does not, is in the history.
        let _ = http.send(&target.endpoint, Method::POST, path, &[], body, OFFER_WITHIN).await;
    }
}
