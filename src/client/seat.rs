//! Holding a seat: check it out, keep it alive in a task, know when it is lost, give it back.
//!
//! What an application sees of the pair. It knows leases and problems, no sockets.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{oneshot, watch};

use super::driver::{Driver, Event, Trouble};
use super::endpoint::{Endpoint, ServersError};
use super::http::Http;
use crate::api::{LeaseBody, Problem, ProblemCode};
use crate::failover::{Loss, Outcome, Timing};
use crate::measure::{Moment, Seats, Span};
use crate::name::{HostName, ProductName, UseId, UserName};
use crate::seam::World;

/// A client of one pair. Cheap to clone; clones share connections and what was learned of the pair.
///
/// ```no_run
/// use tandem::client::{CheckoutRequest, Client, servers_from};
/// use tandem::seam::World;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let servers = servers_from("4820@127.0.0.1,4821@127.0.0.1")?;
/// let client = Client::new(World::real(), servers)?;
/// let request = CheckoutRequest::new("designer".parse()?, "ana".parse()?, "ws-17".parse()?);
/// let seat = client.hold(&request).await?;
/// // ... work, for as long as `seat.is_held()`; the seat is kept alive meanwhile ...
/// seat.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    http: Http,
    servers: Arc<[Endpoint]>,
    shared: Arc<Shared>,
}

/// What the clones of a client know together.
struct Shared {
    current: AtomicUsize,
    timing: Mutex<(Timing, bool)>,
}

/// What an application wants: seats of a product for a user on a computer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckoutRequest {
    /// The product.
    pub product: ProductName,
    /// The login of who works with it.
    pub user: UserName,
    /// The computer they work on.
    pub host: HostName,
    /// How many seats, all or none.
    pub seats: Seats,
    /// How long to wait where no seat is free; absent: not at all.
    pub wait: Option<Span>,
    /// For how long to borrow the seats: they need no renewal until then; absent: they are not borrowed.
    pub borrow: Option<Span>,
}

impl CheckoutRequest {
    /// One seat.
    #[must_use]
    pub const fn new(product: ProductName, user: UserName, host: HostName) -> Self {
        Self { product, user, host, seats: Seats(1), wait: None, borrow: None }
    }

    /// The same with so many seats.
    #[must_use]
    pub fn with_seats(self, seats: Seats) -> Self {
        Self { seats, ..self }
    }

    /// The same, waiting so long for its turn where no seat is free.
    #[must_use]
    pub fn with_wait(self, wait: Span) -> Self {
        Self { wait: Some(wait), ..self }
    }

    /// The same, borrowed for so long. Not together with waiting: wait for a seat first, then borrow it.
    #[must_use]
    pub fn with_borrow(self, span: Span) -> Self {
        Self { borrow: Some(span), ..self }
    }
}

/// A lease as it was last given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What the server answered, with the token that proves the lease.
    pub body: LeaseBody,
    /// The server that answered.
    pub answered_by: Endpoint,
    /// Until when the holder may believe in it, by this machine's monotonic clock: ttl from when it was asked for.
    pub until: Moment,
}

/// Why there is no seat.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckoutError {
    /// Every seat is taken or kept for others.
    #[error("{0}")]
    NoSeat(Box<Problem>),
    /// No seat was given in the time that was waited: none became free, or no server gave any yet.
    #[error("no seat was given within {waited}{}", Place(*.position))]
    Waited {
        /// How long was waited.
        waited: Span,
        /// The place in the queue that was told last, from 1.
        position: Option<u32>,
    },
    /// The manifest gives this user no seat, denies it, or no license offers the product.
    #[error("{0}")]
    NotEntitled(Box<Problem>),
    /// The server refused the request for another reason.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// Servers answered, but none of them served within twice the time after which one would serve alone.
    #[error("no server served within {waited}: {}", Reasons(.reasons))]
    Unserved {
        /// How long was waited.
        waited: Span,
        /// What each server said last.
        reasons: Vec<String>,
    },
    /// No server could be reached.
    #[error("no server could be reached: {}", Reasons(.reasons))]
    Unreachable {
        /// What came of each server last.
        reasons: Vec<String>,
    },
}

/// Why a seat could not be given back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no server took the release, so the lease ends by itself when its time has run out: {}", Reasons(.reasons))]
pub struct ReleaseError {
    /// What came of each server last.
    pub reasons: Vec<String>,
}

/// Several reasons in one sentence.
struct Reasons<'a>(&'a [String]);

/// A place in the queue, where there is one, as the end of a sentence.
struct Place(Option<u32>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(1) => f.write_str(": this user is the first in the queue"),
            Some(place) => write!(f, ": {} wait before this user", place - 1),
        }
    }
}

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str("none was asked")
        } else {
            f.write_str(&self.0.join("; "))
        }
    }
}

/// How it stands with a seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is held: given, or renewed since.
    Held(Box<Lease>),
    /// It is not held. It is asked for again until it is released.
    Lost(WhyLost),
}

/// Why a seat was lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyLost {
    /// No server renewed it in time.
    #[error("no server renewed the lease in time: {}", Reasons(.0))]
    Expired(Vec<String>),
    /// A server refused to renew it.
    #[error("the lease was not renewed: {0}")]
    Refused(Box<Problem>),
}

impl Client {
    /// A client of the pair at these servers, in the order in which they are asked first.
    ///
    /// # Errors
    /// There is no server, or one may not be spoken to: it is not on loopback.
    pub fn new(world: World, servers: Vec<Endpoint>) -> Result<Self, ServersError> {
        Self::with_http(Http::new(world), servers)
    }

    /// The same, speaking through connections that are there already.
    ///
    /// # Errors
    /// There is no server, or one may not be spoken to.
    pub fn with_http(http: Http, servers: Vec<Endpoint>) -> Result<Self, ServersError> {
        if servers.is_empty() {
            return Err(ServersError::Empty);
        }
        servers.iter().try_for_each(|server| http.check(server))?;
        let shared =
            Shared { current: AtomicUsize::new(0), timing: Mutex::new((Timing::default(), false)) };
        Ok(Self { http, servers: servers.into(), shared: Arc::new(shared) })
    }

    /// The same client, told the pair's times instead of learning them.
    #[must_use]
    pub fn with_timing(self, timing: Timing) -> Self {
        self.learn(timing);
        self
    }

    /// The servers, in the order of the list.
    #[must_use]
    pub fn servers(&self) -> &[Endpoint] {
        &self.servers
    }

    /// What it sends requests through.
    #[must_use]
    pub const fn http(&self) -> &Http {
        &self.http
    }

    /// Takes a seat that nobody keeps alive: it lives its ttl.
    ///
    /// While servers answer that they do not serve now, both are asked for twice the time after which one of them
    /// would serve alone. A future that is dropped may leave a lease that lives its ttl.
    ///
    /// # Errors
    /// There is no seat: see [`CheckoutError`].
    pub async fn checkout(&self, request: &CheckoutRequest) -> Result<Lease, CheckoutError> {
        self.take(request).await.map(|(_, lease)| *lease)
    }

    /// Takes a seat and keeps it alive in a task of the runtime that this is called on.
    ///
    /// # Errors
    /// There is no seat: see [`CheckoutError`].
    pub async fn hold(&self, request: &CheckoutRequest) -> Result<Seat, CheckoutError> {
        let (driver, lease) = self.take(request).await?;
        let (told, standing) = watch::channel(Standing::Held(lease));
        let (release, heard) = oneshot::channel();
        let task = tokio::spawn(keep_alive(driver, told, heard));
        Ok(Seat { client: self.clone(), standing, release, task })
    }

    /// Gives back a seat by what a checkout answered; a lease that has ended already is given back too.
    ///
    /// # Errors
    /// No server took it.
    pub async fn release(&self, lease: &LeaseBody) -> Result<(), ReleaseError> {
        let until = self.now() + lease.ttl_ms;
        let mut driver = Driver::release(self.clone(), lease.clone(), until);
        loop {
            match driver.next(&mut None).await {
                Event::Ended(Outcome::Released) => return Ok(()),
                Event::Ended(_) => return Err(ReleaseError { reasons: reasons(driver.said()) }),
                Event::Held(_) | Event::Lost(_) => {}
            }
        }
    }

    async fn take(&self, request: &CheckoutRequest) -> Result<(Driver, Box<Lease>), CheckoutError> {
        let since = self.now();
        let mut driver = Driver::checkout(self.clone(), request.clone());
        loop {
            let outcome = match driver.next(&mut None).await {
                Event::Held(lease) => return Ok((driver, lease)),
                Event::Lost(_) => continue,
                Event::Ended(outcome) => outcome,
            };
            let reasons = reasons(driver.said());
            return Err(match (outcome, driver.problem()) {
                (Outcome::Refused, Some(problem)) => judged(problem),
                (Outcome::Waited, _) => {
                    let waited = request.wait.unwrap_or_default();
                    CheckoutError::Waited { waited, position: driver.position() }
                }
                (Outcome::Unserved, Some(problem))
                    if problem.code == ProblemCode::TooManyWaiting =>
                {
                    CheckoutError::NoSeat(problem)
                }
                (Outcome::Unreachable, _) => CheckoutError::Unreachable { reasons },
                _ => {
                    let waited = self.now().since(since).in_secs();
                    CheckoutError::Unserved { waited, reasons }
                }
            });
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.http.world().clock.now().moment
    }

    /// A use id that nobody else makes.
    pub(super) fn fresh_use(&self) -> UseId {
        let id = uuid::Builder::from_random_bytes(self.http.world().entropy.bytes16()).into_uuid();
        #[expect(clippy::expect_used, reason = "a UUID is 36 printable characters")]
        UseId::new(&id.to_string()).expect("a UUID is a use id")
    }

    pub(super) fn current(&self) -> usize {
        self.shared.current.load(Ordering::Relaxed)
    }

    pub(super) fn answered(&self, server: usize) {
        self.shared.current.store(server, Ordering::Relaxed);
    }

    pub(super) fn timing(&self) -> Timing {
        self.shared.timing.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn has_learned(&self) -> bool {
        self.shared.timing.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    pub(super) fn learn(&self, timing: Timing) {
        *self.shared.timing.lock().unwrap_or_else(PoisonError::into_inner) = (timing, true);
    }
}

fn judged(problem: Box<Problem>) -> CheckoutError {
    match problem.code {
        ProblemCode::NoSeatFree => CheckoutError::NoSeat(problem),
        ProblemCode::Denied
        | ProblemCode::NotEntitled
        | ProblemCode::BorrowNotAllowed
        | ProblemCode::UnknownProduct => CheckoutError::NotEntitled(problem),
        _ => CheckoutError::Refused(problem),
    }
}

fn reasons(said: &[Option<Trouble>]) -> Vec<String> {
    said.iter()
        .flatten()
        .map(|trouble| match trouble {
            Trouble::Http(error) => error.to_string(),
            Trouble::Problem(problem) => problem.to_string(),
        })
        .collect()
}

/// A seat that is held and kept alive.
///
/// Give it back with [`Seat::release`]. A seat that is dropped is given back by its task, if the runtime lives long
/// enough for that; else it ends by itself after its ttl.
pub struct Seat {
    client: Client,
    standing: watch::Receiver<Standing>,
    release: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<(), ReleaseError>>,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("standing", &*self.standing.borrow()).finish_non_exhaustive()
    }
}

impl Seat {
    /// How it stands with the seat, as far as its task has seen.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Whether the seat is held now: also right on a machine that has just woken up.
    #[must_use]
    pub fn is_held(&self) -> bool {
        match &*self.standing.borrow() {
            Standing::Held(lease) => self.client.now() < lease.until,
            Standing::Lost(_) => false,
        }
    }

    /// Waits until the seat was renewed, lost or regained, and tells how it stands then.
    ///
    /// Changes that come faster than they are waited for are told as one.
    pub async fn changed(&mut self) -> Standing {
        if self.standing.changed().await.is_err() {
            // The task ends only when the seat is given back, or by a panic of its own: no more changes.
            std::future::pending::<()>().await;
        }
        self.standing.borrow_and_update().clone()
    }

    /// Gives the seat back.
    ///
    /// # Errors
    /// No server took it: it ends by itself after its ttl.
    pub async fn release(self) -> Result<(), ReleaseError> {
        let _ = self.release.send(());
        match self.task.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => Err(ReleaseError { reasons: vec![error.to_string()] }),
        }
    }
}

async fn keep_alive(
    mut driver: Driver,
    told: watch::Sender<Standing>,
    heard: oneshot::Receiver<()>,
) -> Result<(), ReleaseError> {
    let mut release = Some(heard);
    loop {
        let standing = match driver.next(&mut release).await {
            Event::Held(lease) => Standing::Held(lease),
            Event::Lost(loss) => Standing::Lost(match (loss, driver.problem()) {
                (Loss::Refused, Some(problem)) => WhyLost::Refused(problem),
                _ => WhyLost::Expired(reasons(driver.said())),
            }),
            Event::Ended(Outcome::Released) => return Ok(()),
            // What is lost needs no release.
            Event::Ended(_) if matches!(*told.borrow(), Standing::Lost(_)) => return Ok(()),
            Event::Ended(_) => return Err(ReleaseError { reasons: reasons(driver.said()) }),
        };
        told.send_replace(standing);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::scripted::{Asked, Scripted, Told};
    use super::super::servers_from;
    use super::*;

    const TTL_MS: u64 = 30_000;

    /// A server that gives a lease of the id `L` to whoever asks.
    fn serves(name: &'static str) -> impl Fn(Asked) -> Told + Send + Sync + 'static {
        move |asked| match asked.method.as_str() {
            "POST" => Told::Answer(201, lease(name, &asked.body["use"])),
            "PUT" => {
                let token = asked.bearer.unwrap_or_default();
                let used = token.split(' ').nth(1).unwrap_or_default().to_owned();
                Told::Answer(200, lease(name, &json!(used)))
            }
            "DELETE" => Told::Answer(204, Value::Null),
            _ => Told::Answer(404, json!({})),
        }
    }

    fn lease(server: &str, used: &Value) -> Value {
        json!({
            "id": "L", "use": used, "uses": [used], "product": "designer", "user": "ana",
            "host": "ws-1", "seats": 1, "assignment": 0, "server": server, "epoch": 1,
            "grantedAt": "2026-01-01T00:00:00.000Z", "expiresAt": "2026-01-01T00:05:00.000Z",
            "ttlMs": TTL_MS, "token": format!("token {}", used.as_str().unwrap_or_default()),
            "ofALaterVersion": true,
        })
    }

    fn problem(code: ProblemCode, detail: &str) -> Told {
        let problem = Problem::new(code, detail);
        Told::Answer(problem.status, serde_json::to_value(&problem).expect("JSON"))
    }

    fn standby(_: Asked) -> Told {
        let mut body = serde_json::to_value(Problem::new(ProblemCode::Standby, "`b` stands by"))
            .expect("JSON");
        body["primary"] = json!({"name": "a", "address": "127.0.0.1", "port": 1});
        Told::Answer(503, body)
    }

    fn client(net: &Scripted) -> Client {
        let servers = servers_from("1@127.0.0.1,2@127.0.0.1").expect("two servers");
        Client::new(net.world(), servers).expect("on loopback")
    }

    fn request() -> CheckoutRequest {
        let name = "designer".parse().expect("a name");
        CheckoutRequest::new(name, "ana".parse().expect("a name"), "ws-1".parse().expect("a name"))
    }

    fn held_by(standing: &Standing) -> Option<u16> {
        match standing {
            Standing::Held(lease) => Some(lease.answered_by.port()),
            Standing::Lost(_) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_in_the_queue_is_kept_by_its_ticket_and_served() {
        let net = Scripted::default();
        let bodies: Arc<Mutex<Vec<Value>>> = Arc::default();
        let told = bodies.clone();
        net.serve(1, move |asked| {
            let mut bodies = told.lock().expect("a lock");
            bodies.push(asked.body.clone());
            match bodies.len() {
                1 | 2 => {
                    Told::Answer(202, json!({"ticket": "T", "position": 3, "retryAfterMs": 500}))
                }
                _ => Told::Answer(201, lease("a", &asked.body["use"])),
            }
        });
        net.serve(2, standby);
        let lease = client(&net).checkout(&request().with_wait(Span::from_secs(60))).await;
        assert!(lease.is_ok(), "{lease:?}");
        let bodies = bodies.lock().expect("a lock");
        let said = |at: usize, key: &str| bodies[at][key].clone();
        assert_eq!(
            [said(0, "ticket"), said(1, "ticket"), said(2, "ticket")],
            [Value::Null, json!("T"), json!("T")]
        );
        assert_eq!(said(0, "use"), said(2, "use"));
        assert_eq!([said(0, "waitMs"), said(1, "waitMs")], [json!(60_000), json!(59_500)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_over_says_how_many_were_before() {
        let net = Scripted::default();
        for port in [1, 2] {
            net.serve(port, |_| {
                Told::Answer(202, json!({"ticket": "T", "position": 3, "retryAfterMs": 500}))
            });
        }
        let waited = client(&net).checkout(&request().with_wait(Span::from_secs(2))).await;
        let error = waited.expect_err("no seat").to_string();
        assert_eq!(error, "no seat was given within 2s: 2 wait before this user");
    }

    #[tokio::test(start_paused = true)]
    async fn a_seat_is_held_through_the_death_and_the_return_of_the_primary() {
        let net = Scripted::default();
        net.serve(1, serves("a"));
        net.serve(2, standby);
        let mut seat = client(&net).hold(&request()).await.expect("a seat");
        assert_eq!(held_by(&seat.changed().await), Some(1));
        net.kill(1);
        net.serve(2, serves("b"));
        assert_eq!(held_by(&seat.changed().await), Some(2));
        net.serve(1, serves("a"));
        net.serve(2, standby);
        assert_eq!(held_by(&seat.changed().await), Some(1));
        assert!(seat.is_held());
        assert_eq!(seat.release().await, Ok(()));
        insta::assert_snapshot!(net.log(), @r"
        1 POST /v1/leases
        1 PUT /v1/leases/L
        1 PUT /v1/leases/L
        2 PUT /v1/leases/L
        2 PUT /v1/leases/L
        1 PUT /v1/leases/L
        1 DELETE /v1/leases/L
        ");
    }

    #[tokio::test(start_paused = true)]
    async fn a_seat_is_lost_after_its_ttl_and_regained() {
        let net = Scripted::default();
        net.serve(1, serves("a"));
        let client = client(&net);
        let mut seat = client.hold(&request()).await.expect("a seat");
        net.kill(1);
        let since = client.now();
        let lost = seat.changed().await;
        assert_eq!(client.now().since(since), Span::from_ms(TTL_MS));
        assert!(matches!(lost, Standing::Lost(WhyLost::Expired(_))), "{lost:?}");
        assert!(!seat.is_held());
        net.serve(2, serves("b"));
        assert_eq!(held_by(&seat.changed().await), Some(2));
        assert!(seat.is_held());
    }

    #[tokio::test(start_paused = true)]
    async fn a_checkout_whose_answer_was_lost_is_repeated_with_the_same_use() {
        let net = Scripted::default();
        let uses = Arc::new(Mutex::new(Vec::new()));
        let seen = uses.clone();
        net.serve(1, move |asked| {
            let mut seen = seen.lock().unwrap();
            seen.push(asked.body["use"].clone());
            if seen.len() < 4 { Told::Cut } else { serves("a")(asked) }
        });
        assert!(client(&net).checkout(&request()).await.is_ok());
        let uses = uses.lock().unwrap();
        assert!(uses.len() == 4 && uses.iter().all(|one| one == &uses[0]), "{uses:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_seat_is_given_back() {
        let net = Scripted::default();
        net.serve(1, serves("a"));
        drop(client(&net).hold(&request()).await.expect("a seat"));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        assert_eq!(net.log(), "1 POST /v1/leases\n1 DELETE /v1/leases/L");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_says_why() {
        let net = Scripted::default();
        net.serve(2, |_| problem(ProblemCode::NoSeatFree, "all 10 seats are held"));
        let error = client(&net).checkout(&request()).await.expect_err("no seat");
        assert!(matches!(error, CheckoutError::NoSeat(_)));
        assert_eq!(error.to_string(), "all 10 seats are held");
        net.serve(2, |_| problem(ProblemCode::Denied, "`ana` is denied"));
        let error = client(&net).checkout(&request()).await.expect_err("no seat");
        assert!(matches!(error, CheckoutError::NotEntitled(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pair_that_does_not_serve_is_waited_for_as_long_as_its_manifest_says() {
        let net = Scripted::default();
        net.serve(2, |asked| match asked.path.as_str() {
            "/v1/config" => Told::Answer(
                200,
                json!({
                    "manifest": {"metadata": {"name": "p"}, "redundancy": {"failoverAfter": "10s"}},
                }),
            ),
            _ => standby(asked),
        });
        let error = client(&net).checkout(&request()).await.expect_err("no server serves");
        insta::assert_snapshot!(error, @"no server served within 42s: cannot connect to `1@127.0.0.1`: connection refused; `b` stands by");
        let net = Scripted::default();
        let error = client(&net).checkout(&request()).await.expect_err("no server is there");
        insta::assert_snapshot!(error, @"no server could be reached: cannot connect to `1@127.0.0.1`: connection refused; cannot connect to `2@127.0.0.1`: connection refused");
    }

    #[tokio::test(start_paused = true)]
    async fn a_revoked_seat_says_why_and_is_regained_when_it_may() {
        let net = Scripted::default();
        net.serve(1, serves("a"));
        let mut seat = client(&net).hold(&request()).await.expect("a seat");
        net.serve(1, |asked| match asked.method.as_str() {
            "PUT" => problem(ProblemCode::Revoked, "`ana` is in no assignment any more"),
            _ => problem(ProblemCode::NotEntitled, "`ana` is in no assignment"),
        });
        let lost = seat.changed().await;
        assert!(matches!(lost, Standing::Lost(WhyLost::Refused(_))), "{lost:?}");
        net.serve(1, serves("a"));
        assert_eq!(held_by(&seat.changed().await), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_given_back_by_what_was_kept_of_it() {
        let net = Scripted::default();
        net.serve(2, serves("b"));
        let client = client(&net);
        let lease = client.checkout(&request()).await.expect("a seat");
        net.log();
        net.serve(1, standby);
        assert_eq!(client.release(&lease.body).await, Ok(()));
        assert_eq!(net.log(), "1 DELETE /v1/leases/L\n2 DELETE /v1/leases/L");
        net.kill(1);
        net.kill(2);
        assert!(client.release(&lease.body).await.is_err());
    }
}
