//! Names: servers, users, hosts, products, leases, keys, bundle hashes. Each is its own type.
//!
//! A name keeps the spelling it was given and compares without regard to case (formats.md, "Names and limits").

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::hex;

/// Why a text is not a name of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text has more than `max` characters.
    #[error("has more than {max} characters")]
    TooLong {
        /// The most characters a name of this kind has.
        max: usize,
    },
    /// A character that a name of this kind cannot have.
    #[error("must not contain {character:?}{hint}")]
    Character {
        /// The first such character.
        character: char,
        /// What may be there instead, as the end of the sentence.
        hint: &'static str,
    },
}

fn check_identifier(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    let ok = |(i, c): (usize, char)| {
        c.is_ascii_alphanumeric() || (i > 0 && matches!(c, '.' | '_' | '-'))
    };
    if let Some((_, character)) = text.chars().enumerate().find(|&at| !ok(at)) {
        let hint = ": letters, digits, `.`, `_` and `-`, beginning with a letter or digit";
        return Err(NameError::Character { character, hint });
    }
    if text.len() > 63 { Err(NameError::TooLong { max: 63 }) } else { Ok(()) }
}

fn check_free(text: &str, wildcards: bool) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.chars().count() > 256 {
        return Err(NameError::TooLong { max: 256 });
    }
    match text.chars().find(|&c| c.is_control() || (!wildcards && matches!(c, '*' | '?'))) {
        Some(character) if character.is_control() => {
            Err(NameError::Character { character, hint: "" })
        }
        Some(character) => {
            Err(NameError::Character { character, hint: ": wildcards are for patterns" })
        }
        None => Ok(()),
    }
}

fn check_use(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > 128 {
        return Err(NameError::TooLong { max: 128 });
    }
    match text.chars().find(|c| !c.is_ascii_graphic()) {
        Some(character) => {
            Err(NameError::Character { character, hint: ": printable ASCII without spaces" })
        }
        None => Ok(()),
    }
}

/// A name's text as it was written, and lower-cased where that is another one.
struct Spelling {
    text: Box<str>,
    folded: Option<Box<str>>,
}

/// The lower-cased text, where that is another one.
fn fold(text: &str) -> Option<Box<str>> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return None;
    }
    let folded = text.to_lowercase();
    (folded != text).then(|| folded.into())
}

/// A kind of name: the text as given, compared by its lower-cased form. One pointer, cheap to clone and to move: leases
/// carry many, and stand in maps.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:expr, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Arc<Spelling>);

        impl $name {
            /// Reads a name, or says why the text is none.
            ///
            /// # Errors
            /// The text is empty, too long, or has a character that such a name cannot have.
            pub fn new(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(text)?;
                Ok(Self(Arc::new(Spelling { text: text.into(), folded: fold(text) })))
            }

            /// The name as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0.text
            }

            /// The lower-cased name, by which it compares.
            #[must_use]
            pub fn folded(&self) -> &str {
                self.0.folded.as_deref().unwrap_or(&self.0.text)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.0, &other.0) || self.folded() == other.folded()
            }
        }
        impl Eq for $name {}
        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                if Arc::ptr_eq(&self.0, &other.0) {
                    return std::cmp::Ordering::Equal;
                }
                self.folded().cmp(other.folded())
            }
        }
        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.folded().hash(state);
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.text.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0.text, f)
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0.text)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": $pattern})
            }
        }
    };
}

name!(/// A pair's name (`metadata.name`).
    PairName, check_identifier, "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$");
name!(/// A server's name.
    ServerName, check_identifier, "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$");
name!(/// A group's name.
    GroupName, check_identifier, "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$");
name!(/// A product's name: what a license licenses.
    ProductName, check_identifier, "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$");
name!(/// A license's id, made by its vendor.
    LicenseId, check_identifier, "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$");
name!(/// A purchase's id, shared by the two license files of one purchase.
    PurchaseId, check_identifier, "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$");
name!(/// A user's login.
    UserName, |text| check_free(text, false), "^[^*?\\u0000-\\u001f]{1,256}$");
name!(/// A computer's name.
    HostName, |text| check_free(text, false), "^[^*?\\u0000-\\u001f]{1,256}$");
name!(/// Users by pattern: `*` is any text, `?` any one character.
    UserPattern, |text| check_free(text, true), "^[^\\u0000-\\u001f]{1,256}$");
name!(/// Hosts by pattern: `*` is any text, `?` any one character.
    HostPattern, |text| check_free(text, true), "^[^\\u0000-\\u001f]{1,256}$");
name!(/// A use of a lease: an id that the client makes, so that a repeated checkout changes nothing.
    ///
    /// 1 to 128 printable ASCII characters. Compared without regard to case like every name.
    UseId, check_use, "^[!-~]{1,128}$");
name!(/// A lease's id: a UUID made by the server that grants it.
    LeaseId, check_identifier, "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$");
name!(/// A place in a queue: random text made by the server that queues.
    QueueTicket, check_use, "^[!-~]{1,128}$");

impl UserPattern {
    /// Whether the pattern fits this user.
    #[must_use]
    pub fn matches(&self, user: &UserName) -> bool {
        wildcard(self.folded(), user.folded())
    }

    /// The one user it names, where it has no wildcard.
    #[must_use]
    pub fn literal(&self) -> Option<UserName> {
        UserName::new(self.as_str()).ok()
    }
}

impl HostPattern {
    /// Whether the pattern fits this host.
    #[must_use]
    pub fn matches(&self, host: &HostName) -> bool {
        wildcard(self.folded(), host.folded())
    }
}

/// Glob match of `*` and `?` in time proportional to the product of the lengths, at worst.
pub(crate) fn wildcard(pattern: &str, text: &str) -> bool {
    let (mut p, mut t) = (pattern.chars(), text.chars());
    // Where the last `*` was, and how much of the text it has taken.
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let at_text = t.clone();
        match (p.next(), t.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                retry = Some((p.clone(), at_text.clone()));
                t = at_text;
                continue;
            }
            (Some('?'), Some(_)) => continue,
            (Some(a), Some(b)) if a == b => continue,
            _ => {}
        }
        match &mut retry {
            Some((after_star, taken)) => {
                if taken.next().is_none() {
                    return false;
                }
                p = after_star.clone();
                t = taken.clone();
            }
            None => return false,
        }
    }
}

/// One address or a range in CIDR form; IPv4-mapped IPv6 is unmapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange(ipnet::IpNet);

/// Why a text is not a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address is an IP address or a range in CIDR form, for example `10.1.0.0/16`")]
pub struct AddressRangeError;

impl AddressRange {
    /// Whether the range has this address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for AddressRange {
    type Err = AddressRangeError;
    fn from_str(text: &str) -> Result<Self, AddressRangeError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_canonical().into()));
        }
        text.parse::<ipnet::IpNet>().map(|net| Self(net.trunc())).map_err(|_| AddressRangeError)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            self.0.addr().fmt(f)
        } else {
            self.0.fmt(f)
        }
    }
}

/// An Ed25519 public key of a server or a vendor, written `ed25519:` and base64 of its 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// Why a text is not a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is `ed25519:` and the base64 of 32 bytes")]
pub struct PublicKeyError;

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;
    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let encoded = text.strip_prefix("ed25519:").ok_or(PublicKeyError)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| PublicKeyError)?;
        bytes.try_into().map(Self).map_err(|_| PublicKeyError)
    }
}

/// The name of a configuration: `sha256:` and the hex SHA-256 of a bundle's canonical bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleHash(pub [u8; 32]);

/// Why a text is not a bundle's hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a bundle's hash is `sha256:` and 64 hexadecimal digits")]
pub struct BundleHashError;

impl BundleHash {
    /// The hash of a bundle's canonical bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for BundleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for BundleHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BundleHash {
    type Err = BundleHashError;
    fn from_str(text: &str) -> Result<Self, BundleHashError> {
        let hex = text.strip_prefix("sha256:").ok_or(BundleHashError)?;
        if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(BundleHashError);
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| BundleHashError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| BundleHashError)?;
        }
        Ok(Self(bytes))
    }
}

/// Serde as the text that `Display` writes and `FromStr` reads, with a schema of that text.
macro_rules! text_form {
    ($type:ty, $name:literal, $pattern:literal) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "pattern": $pattern})
            }
        }
    };
}

text_form!(AddressRange, "AddressRange", "^[0-9a-fA-F:.]+(/[0-9]{1,3})?$");
text_form!(PublicKey, "PublicKey", "^ed25519:[A-Za-z0-9+/]{43}=$");
text_form!(BundleHash, "BundleHash", "^sha256:[0-9a-f]{64}$");

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> UserName {
        UserName::new(text).expect("a valid user name")
    }

    #[test]
    fn names_compare_without_regard_to_case_and_keep_their_spelling() {
        assert_eq!(user("Ana"), user("aNA"));
        assert_eq!(user("Ana").to_string(), "Ana");
        assert!(user("ana") < user("BO"));
    }

    #[test]
    fn identifiers_begin_with_a_letter_or_digit() {
        assert!(ServerName::new("lic-a.1_b").is_ok());
        for text in ["", "-a", "a b", "ä", &"a".repeat(64)] {
            assert!(ServerName::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn patterns_match_any_text_and_any_character() {
        let fits = |pattern: &str, text: &str| {
            UserPattern::new(pattern).expect("a valid pattern").matches(&user(text))
        };
        assert!(fits("ws-*", "WS-17"));
        assert!(fits("*", "x"));
        assert!(fits("a?c", "abc"));
        assert!(fits("*a*b*", "xxaxxbxx"));
        assert!(!fits("a?c", "ac"));
        assert!(!fits("ws-*", "w-17"));
        assert!(!fits("*ab", "abx"));
    }

    #[test]
    fn a_mapped_address_is_in_the_range_of_what_it_maps() {
        let range: AddressRange = "10.1.0.0/16".parse().expect("a valid range");
        assert!(range.contains("::ffff:10.1.2.3".parse().expect("an address")));
        assert!(!range.contains("10.2.0.1".parse().expect("an address")));
    }
}
