//! A made-up license server on loopback for the verbs of clients: answers by script, one request a connection.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// A request, and how the server answers it.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Value,
}

/// What it answers; status 0 is a server that dies before it does.
type Behavior = Box<dyn Fn(&Asked) -> (u16, Value) + Send>;

/// The server: it ends with the test's process.
pub(crate) struct Answers {
    port: u16,
    log: Arc<Mutex<Vec<String>>>,
    behavior: Arc<Mutex<Behavior>>,
}

impl Answers {
    /// A server that behaves so.
    pub(crate) fn new(behavior: impl Fn(&Asked) -> (u16, Value) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let behavior: Arc<Mutex<Behavior>> = Arc::new(Mutex::new(Box::new(behavior)));
        let log = Arc::default();
        let this = Self { port, log, behavior };
        let (log, behavior) = (this.log.clone(), this.behavior.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = answer(stream.expect("a connection"), &log, &behavior);
            }
        });
        this
    }

    /// As `--server` takes it.
    pub(crate) fn server(&self) -> String {
        format!("{}@127.0.0.1", self.port)
    }

    /// From now on it behaves so.
    pub(crate) fn behaves(&self, behavior: impl Fn(&Asked) -> (u16, Value) + Send + 'static) {
        *self.behavior.lock().expect("a lock") = Box::new(behavior);
    }

    /// The requests since this was asked last: method and path.
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().expect("a lock"))
    }
}

fn answer(
    mut stream: TcpStream,
    log: &Mutex<Vec<String>>,
    behavior: &Mutex<Behavior>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let method = words.next().unwrap_or_default();
    let path = words.next().unwrap_or_default();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let header = header.trim().to_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if header.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let asked = Asked { method, path, body: serde_json::from_slice(&body).unwrap_or(Value::Null) };
    log.lock().expect("a lock").push(format!("{} {}", asked.method, asked.path));
    let (status, body) = behavior.lock().expect("a lock")(&asked);
    if status == 0 {
        return Ok(());
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Gives a lease to whoever asks.
pub(crate) fn gives(asked: &Asked) -> (u16, Value) {
    match asked.method.as_str() {
        "POST" => (201, lease(&asked.body)),
        "DELETE" => (204, Value::Null),
        _ => refuses(404, "not-found", "there is nothing here")(asked),
    }
}

/// A lease for what was asked.
pub(crate) fn lease(asked: &Value) -> Value {
    json!({
        "id": "0190a8f2-0000-7000-8000-000000000001", "use": asked["use"], "uses": [asked["use"]],
        "product": asked["product"], "user": asked["user"], "host": asked["host"],
        "seats": asked["seats"], "assignment": 0, "server": "lic-a", "epoch": 1,
        "grantedAt": "2026-01-01T00:00:00.000Z", "expiresAt": "2126-01-01T00:05:00.000Z",
        "ttlMs": 300_000, "token": "e30.e30.c2ln",
    })
}

/// Refuses everything so.
pub(crate) fn refuses(
    status: u16,
    code: &'static str,
    detail: &'static str,
) -> impl Fn(&Asked) -> (u16, Value) + Send + 'static {
    move |_| {
        (
            status,
            json!({
                "type": format!("urn:tandem:problem:{code}"), "title": code, "status": status,
                "detail": detail, "code": code,
            }),
        )
    }
}

/// A server of the pair `studio` that takes every order and passes it on.
pub(crate) fn pair(
    name: &'static str,
    state: &'static str,
    orders: std::sync::mpsc::Sender<Value>,
) -> impl Fn(&Asked) -> (u16, Value) + Send + 'static {
    move |asked| match asked.path.as_str() {
        "/v1/status" => (
            200,
            json!({
                "schema": 1, "name": name, "key": format!("ed25519:{}=", "A".repeat(43)),
                "version": "0.1.0", "role": "primary", "state": state, "epoch": 1, "generation": 1,
                "products": [], "trust": [],
            }),
        ),
        "/v1/config" => (
            200,
            json!({"apiVersion": "tandem/v1", "manifest": {
                "apiVersion": "tandem/v1", "kind": "LicensePair", "metadata": {"name": "studio"},
            }}),
        ),
        "/v1/operator" => {
            let _ = orders.send(asked.body.clone());
            (204, Value::Null)
        }
        _ => refuses(404, "not-found", "there is nothing here")(asked),
    }
}
