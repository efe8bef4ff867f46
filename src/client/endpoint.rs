//! A server's address as clients write it: `PORT@HOST`, with `#ed25519:BASE64` where its key is pinned.
//!
//! The form is the port@host list that license managers use (product.md, "The command line").

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::name::PublicKey;

/// The most servers a list may name: a pair has two, a list for several pairs a few.
const SERVERS_MAX: usize = 16;

/// Where one server is reached, and by which key it is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    host: String,
    port: u16,
    key: Option<PublicKey>,
}

/// Why a text is not a server's address, or why the server may not be spoken to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The text has another form.
    #[error("`{0}` is not a server: write PORT@HOST, for example `4820@lic-a`")]
    Form(String),
    /// The port is not a number from 1 to 65535.
    #[error("`{0}` has no port from 1 to 65535: write PORT@HOST, for example `4820@lic-a`")]
    Port(String),
    /// The host is neither a name nor an IP address.
    #[error("`{0}` names no host: write PORT@HOST, for example `4820@lic-a`")]
    Host(String),
    /// What follows the `#` is no key.
    #[error("the key after `#` in `{0}` is not `ed25519:` and the base64 of 32 bytes")]
    Key(String),
    /// The server is not on loopback and no key is pinned.
    #[error(
        "`{0}` is not on this machine and its key is not pinned: write PORT@HOST#ed25519:BASE64 \
         with the key that the server shows when it starts"
    )]
    Unpinned(String),
    /// The server is not on loopback, and this version speaks no TLS.
    #[error(
        "`{0}` is not on this machine: this version speaks plain HTTP only, on loopback. \
         Reach the server through a tunnel that ends on 127.0.0.1"
    )]
    Plain(String),
}

/// Why a text is not a list of servers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServersError {
    /// The list names no server.
    #[error("no server is named: write PORT@HOST,PORT@HOST, for example `4820@lic-a,4821@lic-b`")]
    Empty,
    /// The list names too many.
    #[error("more than {SERVERS_MAX} servers are named")]
    TooMany,
    /// One entry is not a server.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

impl Endpoint {
    /// The server at a host (a name or an IP address) and port.
    ///
    /// # Errors
    /// The host is empty or has characters that no host has, or the port is 0.
    pub fn new(host: &str, port: u16, key: Option<PublicKey>) -> Result<Self, EndpointError> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let is_name = (1..=253).contains(&bare.len()) && bare.chars().all(ok);
        if bare.parse::<IpAddr>().is_err() && !is_name {
            return Err(EndpointError::Host(shown(host)));
        }
        if port == 0 {
            return Err(EndpointError::Port(shown(&format!("0@{host}"))));
        }
        Ok(Self { host: bare.to_owned(), port, key })
    }

    /// The host: a name or an IP address, IPv6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The pinned identity key of the server.
    #[must_use]
    pub const fn key(&self) -> Option<PublicKey> {
        self.key
    }

    /// Whether a host and port, as another server tells them, are this server.
    #[must_use]
    pub fn is_at(&self, host: &str, port: u16) -> bool {
        self.port == port
            && match (self.host.parse::<IpAddr>(), host.parse::<IpAddr>()) {
                (Ok(own), Ok(other)) => own.to_canonical() == other.to_canonical(),
                _ => self.host.eq_ignore_ascii_case(host),
            }
    }

    /// Whether the server is on this machine by its address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host.parse::<IpAddr>().map_or_else(
            |_| self.host.eq_ignore_ascii_case("localhost"),
            |ip| ip.to_canonical().is_loopback(),
        )
    }

    /// Host and port as HTTP writes them: IPv6 in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether plain HTTP may be spoken to it: on loopback only.
    ///
    /// # Errors
    /// The server is elsewhere, with no key pinned or with one that this version cannot prove.
    pub fn check_plain(&self) -> Result<(), EndpointError> {
        match self.key {
            _ if self.is_loopback() => Ok(()),
            None => Err(EndpointError::Unpinned(self.short())),
            Some(_) => Err(EndpointError::Plain(self.short())),
        }
    }

    /// `PORT@HOST`, without the key.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{}@{}", self.port, self.host)
    }
}

/// Foreign text for a message: short, and nothing that moves a cursor.
fn shown(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_default).collect()
}

impl FromStr for Endpoint {
    type Err = EndpointError;
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (place, key) = match text.split_once('#') {
            Some((place, key)) => {
                (place, Some(key.parse().map_err(|_| EndpointError::Key(shown(text)))?))
            }
            None => (text, None),
        };
        let (port, host) = place.split_once('@').ok_or_else(|| EndpointError::Form(shown(text)))?;
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(EndpointError::Port(shown(text)));
        }
        let port = port.parse().map_err(|_| EndpointError::Port(shown(text)))?;
        Self::new(host, port, key).map_err(|error| match error {
            EndpointError::Host(_) => EndpointError::Host(shown(text)),
            other => other,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.port, self.host)?;
        self.key.map_or(Ok(()), |key| write!(f, "#{key}"))
    }
}

/// Reads a list of servers, separated by commas: `4820@lic-a,4821@lic-b`.
///
/// # Errors
/// An entry is not a server, or the list names none or too many.
pub fn servers_from(list: &str) -> Result<Vec<Endpoint>, ServersError> {
    let mut servers = Vec::new();
    for text in list.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let server: Endpoint = text.parse()?;
        if servers.len() == SERVERS_MAX {
            return Err(ServersError::TooMany);
        }
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    if servers.is_empty() { Err(ServersError::Empty) } else { Ok(servers) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    #[test]
    fn a_server_is_read_as_it_is_written() {
        for text in ["4820@lic-a", "1@127.0.0.1", "65535@::1", &format!("4821@lic-b#{KEY}")] {
            assert_eq!(
                text.parse::<Endpoint>().map(|server| server.to_string()).as_deref(),
                Ok(text)
            );
        }
        assert_eq!(
            "4820@[::1]".parse::<Endpoint>().map(|one| one.authority()).as_deref(),
            Ok("[::1]:4820")
        );
    }

    #[test]
    fn what_is_no_server_is_refused_by_name() {
        let message = |text: &str| {
            text.parse::<Endpoint>().map_or_else(|error| error.to_string(), |one| one.to_string())
        };
        insta::assert_snapshot!(
            ["lic-a:4820", "@lic-a", "0@lic-a", "99999@lic-a", "4820@", "4820@a b", "1@a#rsa:x"]
                .map(message).join("\n"),
            @r"
        `lic-a:4820` is not a server: write PORT@HOST, for example `4820@lic-a`
        `@lic-a` has no port from 1 to 65535: write PORT@HOST, for example `4820@lic-a`
        `0@lic-a` has no port from 1 to 65535: write PORT@HOST, for example `4820@lic-a`
        `99999@lic-a` has no port from 1 to 65535: write PORT@HOST, for example `4820@lic-a`
        `4820@` names no host: write PORT@HOST, for example `4820@lic-a`
        `4820@a b` names no host: write PORT@HOST, for example `4820@lic-a`
        the key after `#` in `1@a#rsa:x` is not `ed25519:` and the base64 of 32 bytes
        ");
    }

    #[test]
    fn lists_are_separated_by_commas() {
        let list = servers_from("4820@lic-a, 4821@lic-b,4820@lic-a,").map(|list| list.len());
        assert_eq!(list, Ok(2));
        assert_eq!(servers_from(" ,"), Err(ServersError::Empty));
        let many: Vec<String> = (1..=17).map(|port| format!("{port}@a")).collect();
        assert_eq!(servers_from(&many.join(",")), Err(ServersError::TooMany));
    }

    #[test]
    fn only_loopback_is_spoken_to_in_plain() {
        let check = |text: &str| text.parse::<Endpoint>().expect("a valid server").check_plain();
        for text in ["1@127.0.0.1", "1@127.9.9.9", "1@::1", "1@localhost", "1@::ffff:127.0.0.1"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        assert_eq!(check("1@lic-a"), Err(EndpointError::Unpinned("1@lic-a".into())));
        assert_eq!(check(&format!("1@lic-a#{KEY}")), Err(EndpointError::Plain("1@lic-a".into())));
        assert_eq!(
            check("1@127.0.0.1.evil.example"),
            Err(EndpointError::Unpinned("1@127.0.0.1.evil.example".into()))
        );
    }
}
