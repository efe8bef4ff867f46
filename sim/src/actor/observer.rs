//! Somebody who asks both servers every heartbeat what they are. Scenarios expect things of the answers; no oracle
//! reads them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tandem::client::Http;
use tandem::measure::Span;
use tandem::reconcile::observe::{Target, status};
use tandem::seam::World;

use crate::actor::server::Common;
use crate::subject::Subject;
use crate::world::clock::SimClock;
use crate::world::entropy::SimEntropy;
use crate::world::net::SimNet;

/// The machine that it is on: never cut off from anybody.
pub const NODE: &str = "observer";

/// The world of somebody who has a machine of their own.
pub(crate) fn world(node: &str, common: &Common) -> World {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let net = SimNet::client(node, node, address, common.wiring.clone(), common.recorder.clone());
    World {
        net: Arc::new(net),
        clock: Arc::new(SimClock::new(common.start, Span::ZERO, common.recorder.clone())),
        entropy: Arc::new(SimEntropy::new(common.seed, node)),
    }
}

/// How often it asks.
#[must_use]
pub fn interval(subject: &Subject) -> Span {
    subject.config.redundancy.heartbeat.max(Span::from_ms(200))
}

/// Asks one server until the run ends.
pub async fn watch(target: Target, every: Span, common: Common) {
    let http = Http::on_trusted_network(world(NODE, &common));
    loop {
        let asked = status(&http, &target.endpoint);
        // What it does not answer in time it has not answered: the next question must not wait for it.
        let _ = tokio::time::timeout(every.to_std(), asked).await;
        tokio::time::sleep(every.to_std()).await;
    }
}
