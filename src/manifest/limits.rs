//! Ranges and forms that the types do not hold: how durations hang together, paths, addresses, SSH keys.
//!
//! They are judged on values, so that a server judges a bundle by the same rules. What a manifest means is in
//! `check/`.

use super::finding::{Code, Finding};
pub use super::forms::path_problem;
use super::forms::{PATH_HELP, SSH_KEY_HELP, address_problem, ssh_key_problem};
use super::places::{Places, Step, path};
use super::shape::{invalid_address, invalid_key, invalid_path, out_of_range, reserve_above_max};
use super::types::{Assignment, Manifest, Redundancy, Server, SshPublicKey};
use crate::measure::{Seats, Span};

const HEARTBEAT_MIN: Span = Span::from_ms(50);
const HEARTBEAT_MAX: Span = Span::from_secs(10);
const FAILOVER_AFTER_MAX: Span = Span::from_secs(600);
const TTL_MAX: Span = Span::from_secs(24 * 3600);
const PRIORITY_MAX: i8 = 100;

/// What is wrong with the ranges and forms of a manifest's values: all of it, for values that have no text.
#[must_use]
pub fn check(manifest: &Manifest, places: &Places) -> Vec<Finding> {
    let mut findings = Findings { places, list: Vec::new() };
    for (i, server) in manifest.servers.iter().enumerate() {
        check_server(server, i, &mut findings);
    }
    for (i, key) in manifest.trust.operators.iter().enumerate() {
        check_ssh_key(key, path!["trust", "operators", i], &mut findings);
    }
    for (i, user) in manifest.users.iter().enumerate() {
        if let Some(key) = &user.key {
            check_ssh_key(key, path!["users", i, "key"], &mut findings);
        }
    }
    if let Some(file) = &manifest.users_from {
        check_path(file, path!["usersFrom"], &mut findings);
    }
    for (i, group) in manifest.groups.iter().enumerate() {
        if let Some(file) = &group.members_from {
            check_path(file, path!["groups", i, "membersFrom"], &mut findings);
        }
    }
    for (i, seats) in manifest.seats.iter().enumerate() {
        for (j, assignment) in seats.assign.iter().enumerate() {
            check_assignment(assignment, path!["seats", i, "assign", j], &mut findings);
        }
    }
    findings.list.append(&mut check_together(manifest, places));
    findings.list
}

/// What is wrong with values that hang together: the rest of [`check`] is found while a text is read.
pub(super) fn check_together(manifest: &Manifest, places: &Places) -> Vec<Finding> {
    let mut findings = Findings { places, list: Vec::new() };
    check_redundancy(&manifest.redundancy, &mut findings);
    let ttl_min = manifest.redundancy.failover_after.times(2) + Span::from_secs(2);
    check_ttl(manifest.leases.ttl, ttl_min, path!["leases", "ttl"], &mut findings);
    for (i, seats) in manifest.seats.iter().enumerate() {
        if let Some(ttl) = seats.ttl {
            check_ttl(ttl, ttl_min, path!["seats", i, "ttl"], &mut findings);
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
        let message = "`address` is no host name and no IP address".to_owned();
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

/// Says what is wrong with the form of a path: it must be relative and stay inside the repository.
fn check_path(file: &str, path: &[Step], findings: &mut Findings<'_>) {
    if let Some(wrong) = path_problem(file) {
        let message = format!("the path `{file}` {wrong}");
        findings.add(&invalid_path::CODE, path, message, PATH_HELP);
    }
}

fn check_ssh_key(key: &SshPublicKey, path: &[Step], findings: &mut Findings<'_>) {
    if let Some(wrong) = ssh_key_problem(&key.0) {
        findings.add(&invalid_key::CODE, path, wrong.to_owned(), SSH_KEY_HELP);
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
        let message = format!("`ttl` is {ttl}, but is at most 24h");
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

/// What is wrong with a reserve beside a maximum.
pub(super) fn reserve_problem(reserve: Seats, max: Seats) -> Option<String> {
    (reserve > max).then(|| format!("`reserve` is {reserve}, but `max` allows {max}"))
}

/// What to do about it.
pub(super) const RESERVE_HELP: &str = "lower `reserve` or raise `max`";

fn check_assignment(assignment: &Assignment, at: &[Step], findings: &mut Findings<'_>) {
    let Assignment { reserve, max, priority, .. } = assignment;
    let field =
        |name: &'static str| -> Vec<Step> { at.iter().copied().chain([Step::Key(name)]).collect() };
    if let Some(message) = max.and_then(|max| reserve_problem(*reserve, max)) {
        findings.add(&reserve_above_max::CODE, &field("reserve"), message, RESERVE_HELP);
    }
    if !(-PRIORITY_MAX..=PRIORITY_MAX).contains(priority) {
        let message = format!("`priority` is {priority}, but goes from -100 to 100");
        findings.range(&field("priority"), message, "take a number from -100 to 100");
    }
}
