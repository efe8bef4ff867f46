//! How plans write people and keys: by name, or numbered where names are to be left out.

use std::collections::BTreeMap;

use crate::manifest::types::{Member, SshPublicKey, Who};
use crate::name::{HostName, PublicKey, UserName};
use crate::statement::{OperatorKey, fingerprint};

/// How plans write people and keys.
#[derive(Debug)]
pub(super) struct Naming {
    redact: bool,
    numbers: BTreeMap<&'static str, BTreeMap<String, usize>>,
}

impl Naming {
    pub(super) fn new(redact: bool) -> Self {
        Self { redact, numbers: BTreeMap::new() }
    }

    /// The name, or the same number for the same name.
    fn hide(&mut self, kind: &'static str, folded: &str, name: &str) -> String {
        if !self.redact {
            return name.to_owned();
        }
        let numbers = self.numbers.entry(kind).or_default();
        let next = numbers.len() + 1;
        let number = *numbers.entry(folded.to_owned()).or_insert(next);
        format!("{kind}-{number}")
    }

    pub(super) fn user(&mut self, name: &UserName) -> String {
        self.hide("user", name.folded(), name.as_str())
    }

    pub(super) fn host(&mut self, name: &HostName) -> String {
        self.hide("host", name.folded(), name.as_str())
    }

    pub(super) fn who(&mut self, who: &Who) -> String {
        match who {
            Who::User(pattern) => match pattern.literal() {
                Some(user) => format!("user {}", self.user(&user)),
                None => format!("user {}", self.hide("users", pattern.folded(), pattern.as_str())),
            },
            Who::Group(group) => format!("group {group}"),
            Who::Host(host) => {
                format!("host {}", self.hide("hosts", host.folded(), host.as_str()))
            }
            Who::Address(range) => {
                let text = range.to_string();
                format!("address {}", self.hide("addresses", &text, &text))
            }
            Who::Everyone => "everyone".to_owned(),
        }
    }

    pub(super) fn member(&mut self, member: &Member) -> String {
        match member {
            Member::User(user) => self.user(user),
            Member::Host(host) => self.who(&Who::Host(host.clone())),
            Member::Address(range) => self.who(&Who::Address(*range)),
        }
    }

    /// An operator's or user's key by its fingerprint and comment.
    pub(super) fn ssh_key(&self, key: &SshPublicKey) -> String {
        match OperatorKey::parse(&key.0) {
            Ok(key) if self.redact || key.comment().is_empty() => key.fingerprint(),
            Ok(key) => format!("{} {}", key.fingerprint(), key.comment()),
            Err(_) => "a key that is none".to_owned(),
        }
    }

    /// Who signed: a name, or a fingerprint, which is nobody's name.
    pub(super) fn operator(&mut self, operator: &str) -> String {
        if operator.starts_with("SHA256:") {
            return operator.to_owned();
        }
        self.hide("operator", operator, operator)
    }

    /// A server's or vendor's key by its fingerprint.
    pub(super) fn key(key: &PublicKey) -> String {
        fingerprint(key.0)
    }
}
