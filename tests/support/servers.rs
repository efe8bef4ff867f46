//! Servers in this process, and a pair of them with an operator who can apply bundles to it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use hyper::Method;
use serde_json::{Value, json};
use tandem::bundle::Bundle;
use tandem::client::{Answer, Endpoint, Http};
use tandem::license::{self, License, SharePart};
use tandem::manifest::types::{Manifest, Role};
use tandem::measure::{Generation, Seats, Span, Timestamp};
use tandem::name::PublicKey;
use tandem::seam::World;
use tandem::seam::disk::{Directory, Disk, Medium};
use tandem::server::{Running, Server, ServerOptions, load_identity};
use tandem::statement::{
    ApplyStatement, MemoryKey, OperatorStatement, Order, Request, SignedStatement, Signs as _,
    Source, sign_request,
};

/// How long something that must happen may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server in this process, with a data directory of its own.
pub(crate) struct TestServer {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    data: tempfile::TempDir,
    fault: Fault,
    running: Option<Running>,
    http: Http,
}

/// What a server answered.
#[derive(Debug, PartialEq)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answered {
    /// The status and, of a problem, its code.
    pub(crate) fn code(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }

    pub(crate) fn text(&self, key: &str) -> String {
        self.body[key].as_str().unwrap_or_default().to_owned()
    }
}

/// The operator who starts everything.
pub(crate) fn operator() -> MemoryKey {
    MemoryKey::from_seed([7; 32], "ana")
}

impl TestServer {
    /// A server with an empty disk that trusts [`operator`].
    pub(crate) async fn start(name: &'static str) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let fault = Fault::default();
        let running = run(name, data.path(), any, &fault).await;
        let address = running.address();
        Self { name, address, data, fault, running: Some(running), http: Http::new(World::real()) }
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().expect("a running server")
    }

    /// Stops it in order.
    pub(crate) async fn stop(&mut self) {
        self.running.take().expect("a running server").stop().await;
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        drop(self.running.take());
    }

    /// Starts it again, where it was.
    pub(crate) async fn restart(&mut self) {
        self.running = Some(run(self.name, self.data.path(), self.address, &self.fault).await);
    }

    /// Lets the next sync of its disk fail.
    pub(crate) fn fail_a_sync(&self) {
        self.fault.0.store(true, Ordering::SeqCst);
    }

    /// Loses its disk.
    pub(crate) fn forget(&mut self) {
        self.data = tempfile::tempdir().expect("a directory");
    }

    /// Loses its disk but for its identity.
    pub(crate) fn forget_all_but_the_key(&mut self) {
        let new = tempfile::tempdir().expect("a directory");
        let key = "identity.key";
        std::fs::copy(self.data.path().join(key), new.path().join(key)).expect("a copy");
        self.data = new;
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new("127.0.0.1", self.address.port(), None).expect("an endpoint")
    }

    /// Sends a request; no answer is status 0.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answered {
        let body = body.map(|body| body.to_string().into_bytes());
        let within = Span::from_secs(40);
        let to = self.endpoint();
        match self.http.send(&to, method, path, headers, body, within).await {
            Ok(Answer { status, body }) => {
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                Answered { status, body }
            }
            Err(error) => Answered { status: 0, body: json!(error.to_string()) },
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        self.send(Method::GET, path, &[], None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answered {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    /// A request signed by the operator.
    pub(crate) async fn get_signed(&self, path: &str, nonce: &str) -> Answered {
        let name = self.name.parse().expect("a name");
        let request = Request { method: "GET", path, body: b"", server: &name };
        let at = World::real().clock.now().wall;
        let header = sign_request(&operator(), &request, nonce, at).expect("signed");
        self.send(Method::GET, path, &[("Tandem-Signature", &header)], None).await
    }

    pub(crate) async fn status(&self) -> Value {
        self.get("/v1/status").await.body
    }

    /// A checkout of `designer` by a user, with this use.
    pub(crate) async fn checkout(&self, user: &str, use_id: &str) -> Answered {
        let request = json!({"product": "designer", "user": user, "host": "ws-1", "use": use_id});
        self.post("/v1/leases", &request).await
    }

    pub(crate) async fn renew(&self, lease: &Answered) -> Answered {
        self.with_token(Method::PUT, lease).await
    }

    pub(crate) async fn release(&self, lease: &Answered) -> Answered {
        self.with_token(Method::DELETE, lease).await
    }

    async fn with_token(&self, method: Method, lease: &Answered) -> Answered {
        let bearer = format!("Bearer {}", lease.text("token"));
        let path = format!("/v1/leases/{}", lease.text("id"));
        self.send(method, &path, &[("Authorization", &bearer)], None).await
    }

    /// Waits until the server says this of its status.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        let last = std::cell::RefCell::new(Value::Null);
        until(what, async || {
            let status = self.status().await;
            let held = holds(&status);
            *last.borrow_mut() = status;
            held
        })
        .await;
    }

    pub(crate) async fn until_ready(&self) {
        until("ready", async || self.get("/readyz").await.status == 200).await;
    }

    /// Sends an operator's command.
    pub(crate) async fn order(&self, order: Order, nonce: &str) -> Answered {
        let at = World::real().clock.now().wall;
        let pair = "studio-west".parse().expect("a name");
        let statement = OperatorStatement::new(pair, nonce.to_owned(), at, order);
        let signed = SignedStatement::sign_operator(&statement, &operator()).expect("signed");
        let body = json!({
            "statement": STANDARD.encode(&signed.statement), "signature": signed.signature,
        });
        self.post("/v1/operator", &body).await
    }
}

/// Whether the next sync fails.
#[derive(Clone, Debug, Default)]
struct Fault(Arc<AtomicBool>);

/// A directory whose syncs can fail.
#[derive(Debug)]
struct FaultyDisk(Directory, Fault);

#[derive(Debug)]
struct FaultyFile(Arc<dyn Medium>, Fault);

impl Disk for FaultyDisk {
    fn open(&self, name: &str) -> io::Result<Option<Arc<dyn Medium>>> {
        let file = self.0.open(name)?;
        Ok(file.map(|file| Arc::new(FaultyFile(file, self.1.clone())) as Arc<dyn Medium>))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Medium>> {
        Ok(Arc::new(FaultyFile(self.0.create(name)?, self.1.clone())))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
}

impl Medium for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, bytes)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write(offset, bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        if self.1.0.swap(false, Ordering::SeqCst) {
            return Err(io::Error::other("the disk failed"));
        }
        self.0.sync()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.0.try_lock()
    }
}

async fn run(name: &str, data: &std::path::Path, listen: SocketAddr, fault: &Fault) -> Running {
    let world = World::real();
    let disk = Directory::open(data).expect("a directory");
    // A server that was just killed may still be letting go of its disk and its port.
    let mut last = None;
    for _ in 0..200 {
        let identity = load_identity(&disk, &*world.entropy).expect("an identity");
        let mut options = ServerOptions::new(name.parse().expect("a name"), listen);
        options.trust = vec![operator().public().clone()];
        let disk = Arc::new(FaultyDisk(disk.clone(), fault.clone()));
        match Server::start(world.clone(), disk, Arc::new(identity), options).await {
            Ok(running) => return running,
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} does not start: {last:?}");
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "never {what}");
}

/// A pair that can be configured.
pub(crate) struct TestPair {
    pub(crate) a: TestServer,
    pub(crate) b: TestServer,
}

/// The manifest that tests start from; `{A}` and `{B}` are the ports, keys are filled in.
pub(crate) const MANIFEST: &str = "
apiVersion: tandem/v1
kind: LicensePair
metadata: {name: studio-west}
servers:
  - {name: lic-a, role: primary, address: 127.0.0.1, port: {A}}
  - {name: lic-b, role: secondary, address: 127.0.0.1, port: {B}}
trust: {vendors: ['{VENDOR}'], operators: ['{OPERATOR}']}
redundancy: {heartbeat: 50ms, failoverAfter: 400ms}
leases: {ttl: 3s}
users: [{name: ana}, {name: bo}, {name: cy}]
seats:
  - product: designer
    assign: [{user: ana, reserve: 1}, {everyone: true}]
    deny: [{user: 'guest-*'}]
";

fn vendor() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// The text of a license file with `seats` seats of `designer`.
pub(crate) fn license_file(role: Role, id: &str, seats: u32) -> String {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let license = License {
        id: id.parse().expect("an id"),
        product: "designer".parse().expect("a name"),
        seats: Seats(seats),
        role,
        vendor: PublicKey(vendor().verifying_key().to_bytes()),
        issued: start,
        not_before: start,
        expires: None,
        server: None,
        pair: None,
        modes: None,
        standalone: None,
        max_borrow: None,
        share: SharePart::DEFAULT.to_vec(),
        entitlements: vec!["export".to_owned()],
    };
    license::sign(&license, &vendor()).armor()
}

impl TestPair {
    /// Two servers that know nothing yet.
    pub(crate) async fn start() -> Self {
        let (a, b) = tokio::join!(TestServer::start("lic-a"), TestServer::start("lic-b"));
        Self { a, b }
    }

    /// Two servers that run [`MANIFEST`] and are in step.
    pub(crate) async fn ready() -> Self {
        let pair = Self::start().await;
        pair.apply(MANIFEST).await;
        pair.until_ready().await;
        pair
    }

    pub(crate) async fn until_ready(&self) {
        self.a.until_ready().await;
        self.b.until_ready().await;
    }

    /// The bundle of a manifest with 3 seats at the primary and 2 at the secondary.
    pub(crate) fn bundle(&self, yaml: &str) -> Bundle {
        self.bundle_with(yaml, "L-1", 3)
    }

    /// The bundle of a manifest with a license of this id, for so many seats at the primary and 2 at the secondary.
    pub(crate) fn bundle_with(&self, yaml: &str, id: &str, seats_of_primary: u32) -> Bundle {
        let vendor = PublicKey(vendor().verifying_key().to_bytes()).to_string();
        let yaml = yaml
            .replace("{A}", &self.a.address.port().to_string())
            .replace("{B}", &self.b.address.port().to_string())
            .replace("{VENDOR}", &vendor)
            .replace("{OPERATOR}", &operator().public().to_string());
        let manifest: Manifest = serde_yaml::from_str(&yaml).expect("a manifest");
        let files = manifest
            .servers
            .iter()
            .map(|server| {
                let seats = if server.role == Role::Primary { seats_of_primary } else { 2 };
                let file = format!("licenses/designer.{}.alf", server.role);
                (server.name.clone(), file, license_file(server.role, id, seats).into_bytes())
            })
            .collect();
        Bundle::build(&manifest, files).expect("a bundle")
    }

    /// A stage of a bundle on top of these generations, signed by `key`.
    pub(crate) fn stage(bundle: &Bundle, base: &[(&str, u64)], key: &MemoryKey) -> Value {
        Self::stage_with(bundle, base, key, |_| {})
    }

    /// The same, with something else in the statement.
    pub(crate) fn stage_with(
        bundle: &Bundle,
        base: &[(&str, u64)],
        key: &MemoryKey,
        edit: impl FnOnce(&mut ApplyStatement),
    ) -> Value {
        let base: BTreeMap<_, _> = base
            .iter()
            .map(|(name, generation)| (name.parse().expect("a name"), Generation(*generation)))
            .collect();
        let source = Source {
            repository: None,
            commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            path: "tandem.yaml".to_owned(),
            dirty: false,
        };
        let manifest = bundle.manifest();
        let mut statement = ApplyStatement::new(
            manifest.metadata.name.clone(),
            bundle.hash(),
            base,
            manifest.trust.operators.clone(),
            World::real().clock.now().wall,
            source,
        );
        edit(&mut statement);
        let signed = SignedStatement::sign_apply(statement, key).expect("signed");
        json!({
            "statement": STANDARD.encode(&signed.statement),
            "signature": signed.signature,
            "bundle": STANDARD.encode(bundle.bytes()),
        })
    }

    /// The generation that a server runs.
    pub(crate) async fn generation(server: &TestServer) -> u64 {
        server.status().await["generation"].as_u64().expect("a generation")
    }

    /// Applies a bundle to one server, signed by `key`.
    pub(crate) async fn apply_to(server: &TestServer, bundle: &Bundle, key: &MemoryKey) {
        let base = [(server.name, Self::generation(server).await)];
        let staged = server.post("/v1/config/stage", &Self::stage(bundle, &base, key)).await;
        assert_eq!(staged.status, 200, "{staged:?}");
        let committed = server.post("/v1/config/commit", &commit_of(&staged)).await;
        assert_eq!(committed.status, 200, "{committed:?}");
    }

    /// Applies a manifest to both servers.
    pub(crate) async fn apply(&self, yaml: &str) {
        self.apply_bundle(&self.bundle(yaml)).await;
    }

    /// Applies a bundle to both servers.
    pub(crate) async fn apply_bundle(&self, bundle: &Bundle) {
        let base = [
            ("lic-a", Self::generation(&self.a).await),
            ("lic-b", Self::generation(&self.b).await),
        ];
        let request = Self::stage(bundle, &base, &operator());
        let mut commits = Vec::new();
        for server in [&self.a, &self.b] {
            let staged = server.post("/v1/config/stage", &request).await;
            assert_eq!(staged.status, 200, "{}: {staged:?}", server.name);
            commits.push((server, commit_of(&staged)));
        }
        for (server, commit) in commits {
            let committed = server.post("/v1/config/commit", &commit).await;
            assert_eq!(committed.status, 200, "{}: {committed:?}", server.name);
        }
    }
}

/// The commit of what was staged.
pub(crate) fn commit_of(staged: &Answered) -> Value {
    let keys = ["stage", "bundle", "generation"];
    keys.into_iter().map(|key| (key.to_owned(), staged.body[key].clone())).collect()
}
