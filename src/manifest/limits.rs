//! Ranges and forms that the types do not hold: how durations hang together, paths, addresses, SSH keys.
//!
//! They are judged on values, so that a server judges a bundle by the same rules. What needs other files or other
//! parts of the manifest is in `check/`.

use super::finding::{Code, Finding};
use super::places::{Places, Step, path};
use super::shape::{invalid_address, invalid_key, invalid_path, out_of_range, reserve_above_max};
use super::types::{Assignment, Manifest, ProductSeats, Redundancy, Server, SshPublicKey, User};
use crate::measure::Span;

const HEARTBEAT_MIN: Span = Span::from_ms(50);
const HEARTBEAT_MAX: Span = Span::from_secs(10);
const FAILOVER_AFTER_MAX: Span = Span::from_secs(600);
const TTL_MAX: Span = Span::from_secs(24 * 3600);
const PRIORITY_MAX: i8 = 100;

/// What is wrong with the ranges and forms of a manifest's values.
#[must_use]
pub fn check(manifest: &Manifest, places: &Places) -> Vec<Finding> {
    let mut findings = Findings { places, list: Vec::new() };
    for (i, server) in manifest.servers.iter().enumerate() {
        check_server(server, i, &mut findings);
    }
    for (i, key) in manifest.trust.operators.iter().enumerate() {
        check_ssh_key(key, path!["trust", "operators", i], &mut findings);
    }
    check_redundancy(&manifest.redundancy, &mut findings);
    let ttl_min = manifest.redundancy.failover_after.times(2) + Span::from_secs(2);
    check_ttl(manifest.leases.ttl, ttl_min, path!["leases", "ttl"], &mut findings);
    findings.list.append(&mut check_users(&manifest.users, places, path!["users"]));
    if let Some(file) = &manifest.users_from {
        check_path(file, path!["usersFrom"], &mut findings);
    }
    for (i, group) in manifest.groups.iter().enumerate() {
        if let Some(file) = &group.members_from {
            check_path(file, path!["groups", i, "membersFrom"], &mut findings);
        }
    }
    for (i, seats) in manifest.seats.iter().enumerate() {
        check_seats(seats, i, ttl_min, &mut findings);
    }
    findings.list
}

/// What is wrong with the keys of users, which stand in a list at `at`.
#[must_use]
pub fn check_users(users: &[User], places: &Places, at: &[Step]) -> Vec<Finding> {
    let mut findings = Findings { places, list: Vec::new() };
    for (i, user) in users.iter().enumerate() {
        let Some(key) = &user.key else { continue };
        if let Some(wrong) = ssh_key_problem(&key.0) {
            let path: Vec<Step> = at.iter().copied().chain([i.into(), "key".into()]).collect();
            findings.add(&invalid_key::CODE, &path, wrong.to_owned(), SSH_KEY_HELP);
        }
    }
    findings.list
}

struct Findings<'p> {
    places: &'p Places,
    list: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, code: &'static Code, path: &[Step], message: String, help: &str) {
        self.list.push(self.places.finding(code, path, message, help.to_owned()));
    }

    fn range(&mut self, path: &[Step], message: String, help: &str) {
        self.add(&out_of_range::CODE, path, message, help);
    }
}

fn check_server(server: &Server, i: usize, findings: &mut Findings<'_>) {
    let Server { name, address, port, licenses, .. } = server;
    if let Some(help) = address_problem(address) {
        let message = format!("the address of `{name}` is no host name and no IP address");
        findings.add(&invalid_address::CODE, path!["servers", i, "address"], message, help);
    }
    if *port == 0 {
        let message = format!("the port of `{name}` is 0, but goes from 1 to 65535");
        findings.range(path!["servers", i, "port"], message, "take the port that clients use");
    }
    for (j, file) in licenses.iter().enumerate() {
        check_path(file, path!["servers", i, "licenses", j], findings);
    }
}

/// What to do about a text that is no host name and no IP address.
fn address_problem(address: &str) -> Option<&'static str> {
    if address.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    if address.contains("://") || address.contains('/') {
        return Some("write the host's name alone, with no `http://` and no path");
    }
    if address.starts_with('[') {
        return Some("write the IPv6 address without brackets");
    }
    if address.contains(':') {
        return Some("write the port into the field `port`");
    }
    let label = |label: &str| {
        let edge = |c: char| c == '-';
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with(edge)
            && !label.ends_with(edge)
    };
    let name = address.len() <= 253 && address.split('.').all(label);
    // What ends in a number is read as an IPv4 address by resolvers, and is none.
    let last = address.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|b| b.is_ascii_digit());
    if name && !numeric { None } else { Some("write a host name or an IP address") }
}

/// Says what is wrong with the form of a path: it must be relative and stay inside the repository.
fn check_path(file: &str, path: &[Step], findings: &mut Findings<'_>) {
    if let Some(wrong) = path_problem(file) {
        let message = format!("the path `{file}` {wrong}");
        let help = "write a path from the manifest's folder, with `/` between its parts";
        findings.add(&invalid_path::CODE, path, message, help);
    }
}

/// What is wrong with the form of a path in a manifest, as the end of a sentence.
#[must_use]
pub fn path_problem(file: &str) -> Option<&'static str> {
    let drive = file.as_bytes().get(1) == Some(&b':')
        && file.starts_with(|c: char| c.is_ascii_alphabetic());
    if file.is_empty() {
        Some("is empty")
    } else if file.starts_with('/') {
        Some("is absolute")
    } else if drive {
        Some("has a drive")
    } else if file.contains('\\') {
        Some("has backslashes")
    } else if file.chars().any(char::is_control) {
        Some("has control characters")
    } else if file.split('/').any(|part| part == "..") {
        Some("leads out of its folder with `..`")
    } else if file.split('/').any(str::is_empty) {
        Some("has an empty part")
    } else {
        None
    }
}

const SSH_KEY_HELP: &str = "copy the whole line of the `.pub` file: `ssh-ed25519 AAAA… comment`";

fn check_ssh_key(key: &SshPublicKey, path: &[Step], findings: &mut Findings<'_>) {
    if let Some(wrong) = ssh_key_problem(&key.0) {
        findings.add(&invalid_key::CODE, path, wrong.to_owned(), SSH_KEY_HELP);
    }
}

/// What is wrong with a text as an SSH public key. Never quotes it: it may be a secret one.
fn ssh_key_problem(text: &str) -> Option<&'static str> {
    if text.contains("PRIVATE KEY") {
        return Some("this is a secret key: remove it from the repository and make a new one");
    }
    match ssh_key::PublicKey::from_openssh(text) {
        Ok(key) if key.algorithm() == ssh_key::Algorithm::Ed25519 => None,
        Ok(_) => Some("this SSH key is of another type than `ssh-ed25519`"),
        Err(_) => Some("this is no SSH public key of type `ssh-ed25519`"),
    }
}

fn check_redundancy(redundancy: &Redundancy, findings: &mut Findings<'_>) {
    let Redundancy { heartbeat, failover_after, .. } = *redundancy;
    let heartbeat_at = path!["redundancy", "heartbeat"];
    let failover_at = path!["redundancy", "failoverAfter"];
    if heartbeat < HEARTBEAT_MIN || heartbeat > HEARTBEAT_MAX {
        let message =
            format!("`heartbeat` is {heartbeat}, but goes from {HEARTBEAT_MIN} to {HEARTBEAT_MAX}");
        findings.range(heartbeat_at, message, "500ms suits most networks");
    }
    if failover_after > FAILOVER_AFTER_MAX {
        let message =
            format!("`failoverAfter` is {failover_after}, but is at most {FAILOVER_AFTER_MAX}");
        findings.range(failover_at, message, "take a shorter time: nobody gets a seat meanwhile");
    }
    let least = heartbeat.times(4);
    if failover_after < least && findings.places.is_whole(path!["redundancy"]) {
        let message = format!(
            "`failoverAfter` is {failover_after}, but four heartbeats of {heartbeat} take {least}"
        );
        let at = if findings.places.at(failover_at).is_some() { failover_at } else { heartbeat_at };
        findings.range(at, message, "raise `failoverAfter` or lower `heartbeat`");
    }
}

fn check_ttl(ttl: Span, least: Span, at: &[Step], findings: &mut Findings<'_>) {
    if ttl > TTL_MAX {
        let message = format!("`ttl` is {ttl}, but is at most {TTL_MAX}");
        findings.range(at, message, "seats for longer are borrowed: see `borrow`");
    }
    if ttl < least && findings.places.is_whole(path!["redundancy"]) && findings.places.is_whole(at)
    {
        let message =
            format!("`ttl` is {ttl}, but twice `failoverAfter` and 2s, {least}, is the least");
        let help = "raise `ttl` or lower `failoverAfter`: a holder must outlive a failover";
        let failover_at = path!["redundancy", "failoverAfter"];
        let given = findings.places.at(at).is_some();
        findings.range(if given { at } else { failover_at }, message, help);
    }
}

fn check_seats(seats: &ProductSeats, i: usize, ttl_min: Span, findings: &mut Findings<'_>) {
    if let Some(ttl) = seats.ttl {
        check_ttl(ttl, ttl_min, path!["seats", i, "ttl"], findings);
    }
    for (j, assignment) in seats.assign.iter().enumerate() {
        let Assignment { reserve, max, priority, .. } = assignment;
        if let Some(max) = max.filter(|max| reserve > max) {
            let message = format!("`reserve` is {reserve}, but `max` allows {max}");
            let at = path!["seats", i, "assign", j, "reserve"];
            let help = "lower `reserve` or raise `max`";
            findings.add(&reserve_above_max::CODE, at, message, help);
        }
        if !(-PRIORITY_MAX..=PRIORITY_MAX).contains(priority) {
            let message = format!("`priority` is {priority}, but goes from -100 to 100");
            let at = path!["seats", i, "assign", j, "priority"];
            findings.range(at, message, "take a number from -100 to 100");
        }
    }
}
