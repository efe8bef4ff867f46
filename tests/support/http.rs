//! A client that speaks just enough HTTP/1.1 to be sure of what was sent and what came back.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// What came back; status 0 is no answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// A port of this machine.
pub(crate) struct Connection {
    port: u16,
    patience: Duration,
}

impl Connection {
    pub(crate) fn new(port: u16) -> Self {
        Self { port, patience: Duration::from_secs(40) }
    }

    /// One that waits only so long for each part of an answer.
    pub(crate) fn impatient(port: u16, patience: Duration) -> Self {
        Self { port, patience }
    }

    /// Sends one request.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        let sent = self.try_send(method, path, token, body);
        sent.unwrap_or(Answer { status: 0, body: Value::Null })
    }

    fn try_send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(self.patience))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n");
        if let Some(token) = token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        if !body.is_empty() {
            head.push_str("Content-Type: application/json\r\n");
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        stream.write_all(head.as_bytes())?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        while line.trim() != "" {
            line.clear();
            stream.read_line(&mut line)?;
        }
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }
}
