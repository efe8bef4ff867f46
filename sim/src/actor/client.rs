//! People who want seats: each takes one with the product's client library, keeps it, gives it back, and begins
//! again.

use std::sync::Arc;

use tandem::client::{CheckoutRequest, Client, Endpoint, Http};
use tandem::manifest::types::Role;
use tandem::measure::Span;
use tandem::seam::World;

use crate::actor::server::Common;
use crate::history::Event;
use crate::population::Person;
use crate::scenario::{Plan, SpanRange};
use crate::seed::Stream;
use crate::subject::Subject;
use crate::world::clock::SimClock;
use crate::world::entropy::SimEntropy;
use crate::world::net::SimNet;

/// The machine that all of them share on the simulated network.
pub const NODE: &str = "clients";

/// Within how long everybody has come to work.
const ARRIVAL_MS: u64 = 5_000;
/// How long somebody waits before they try again, after a refusal.
const PATIENCE_MS: u64 = 2_000;

/// Somebody at work.
pub struct Worker {
    person: Person,
    client: Client,
    hold: Option<SpanRange>,
    wait: Option<SpanRange>,
    borrow: Option<SpanRange>,
    common: Common,
    stream: Stream,
}

impl Worker {
    /// Somebody at work; every other one has the secondary first in their list of servers.
    ///
    /// # Errors
    /// An address of the manifest is none.
    pub fn new(
        person: Person,
        place: usize,
        subject: &Subject,
        plan: &Plan,
        common: &Common,
    ) -> Result<Self, String> {
        let name = person.name();
        let net = SimNet::client(
            NODE,
            &name,
            person.address,
            common.wiring.clone(),
            common.recorder.clone(),
        );
        let world = World {
            net: Arc::new(net),
            clock: Arc::new(SimClock::new(common.start, Span::ZERO, common.recorder.clone())),
            entropy: Arc::new(SimEntropy::new(common.seed, &name)),
        };
        let first = if place.is_multiple_of(2) { Role::Primary } else { Role::Secondary };
        let servers: Result<Vec<_>, _> = [first, first.other()]
            .map(|role| subject.config.server_of(role))
            .into_iter()
            .map(|server| Endpoint::new(&server.address, server.port, server.key))
            .collect();
        let servers = servers.map_err(|error| error.to_string())?;
        let client = Client::with_http(Http::on_trusted_network(world), servers);
        let client = client.map_err(|error| error.to_string())?;
        let stream = Stream::named(common.seed, &format!("{name} at work"));
        let Plan { hold, wait, borrow, .. } = *plan;
        Ok(Self { person, client, hold, wait, borrow, common: common.clone(), stream })
    }

    async fn pause(&mut self, least: u64, most: u64) {
        let ms = least + self.stream.draw() % (most - least + 1);
        tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
    }

    fn note(&self, event: Event) {
        self.common.recorder.note(&self.person.name(), event);
    }

    /// Works until the run ends.
    pub async fn work(mut self) {
        self.pause(0, ARRIVAL_MS).await;
        let Person { product, user, host, .. } = self.person.clone();
        let request = CheckoutRequest::new(product.clone(), user, host);
        let product = product.to_string();
        loop {
            self.note(Event::Wants { product: product.clone() });
            let seat = loop {
                let mut request = request.clone();
                let borrows = self.borrow.filter(|_| self.stream.draw().is_multiple_of(3));
                if let Some(range) = borrows {
                    request = request.with_borrow(range.draw(&mut self.stream));
                } else if let Some(range) = self.wait {
                    request = request.with_wait(range.draw(&mut self.stream));
                }
                match self.client.hold(&request).await {
                    Ok(seat) => break seat,
                    Err(error) => {
                        let name = self.person.name();
                        self.common.recorder.trace(&name, "no-seat", error.to_string().as_bytes());
                        self.pause(PATIENCE_MS / 2, PATIENCE_MS).await;
                    }
                }
            };
            match self.hold {
                None => std::future::pending().await,
                Some(range) => {
                    let span = range.draw(&mut self.stream);
                    tokio::time::sleep(span.to_std()).await;
                }
            }
            self.note(Event::Leaves { product: product.clone() });
            // One that no server takes back ends by itself.
            let _ = seat.release().await;
            self.pause(PATIENCE_MS / 2, PATIENCE_MS).await;
        }
    }
}
