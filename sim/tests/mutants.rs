//! The harness sees what it is for: each mutant is caught by the oracle of the promise that it breaks.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::process::Command;

/// Runs a scenario with a mutant; gives the oracles that saw it.
fn caught(mutant: &str, scenario: &str, seeds: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_tandem-sim"))
        .args(["run", scenario, "--mutant", mutant, "--seeds", seeds, "--format", "json"])
        .output()
        .expect("the program runs");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let report: serde_json::Value = serde_json::from_str(&text).expect("one JSON document");
    let failed = report["failed"].as_array().expect("a list");
    failed.iter().map(|one| one["oracle"].as_str().expect("a word").to_owned()).collect()
}

macro_rules! mutants {
    ($($test:ident: $mutant:literal in $scenario:literal, $seeds:literal => $oracle:literal;)*) => {
        $(#[test] fn $test() {
            let caught = caught($mutant, $scenario, $seeds);
            assert!(caught.iter().any(|oracle| oracle == $oracle), "{caught:?}");
        })*
    };
}

mutants! {
    a_role_outside_the_signature: "role-not-in-signature" in "role-encoding", "0..1" => "role-encoding";
    a_secondary_that_ignores_heartbeats: "secondary-ignores-heartbeats" in "failover", "0..1" => "one-voice";
    an_answer_before_the_sync: "ack-before-sync" in "failing-disk", "0..8" => "durability";
    an_answer_before_the_peer: "ack-before-peer" in "slow-link", "0..4" => "capacity";
    a_stale_server_without_grace: "no-grace" in "stale-takeover", "0..1" => "capacity";
    a_catch_up_that_overwrites: "catch-up-overwrites" in "failback", "0..4" => "durability";
}

/// Searches a space with a mutant; gives the promise that is broken in it.
fn found(mutant: &str, space: &str) -> Option<String> {
    let dir = tempfile::tempdir().expect("a directory");
    let output = Command::new(env!("CARGO_BIN_EXE_tandem-sim"))
        .args(["explore", "--space", space, "--mutant", mutant, "--jobs", "1"])
        .args(["--states", "100000", "--format", "json"])
        .current_dir(dir.path())
        .output()
        .expect("the program runs");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let report: serde_json::Value = serde_json::from_str(&text).expect("one JSON document");
    report["spaces"][0]["violated"]["promise"].as_str().map(str::to_owned)
}

macro_rules! searched {
    ($($test:ident: $mutant:literal in $space:literal => $promise:literal;)*) => {
        $(#[test] fn $test() {
            assert_eq!(found($mutant, $space).as_deref(), Some($promise));
        })*
    };
}

// Of every mutant that a small space can reach.
searched! {
    a_search_finds_a_secondary_that_ignores_heartbeats: "secondary-ignores-heartbeats" in "calm" => "one-voice";
    a_search_finds_an_answer_before_the_sync: "ack-before-sync" in "one-client" => "durability";
    a_search_finds_an_answer_before_the_peer: "ack-before-peer" in "one-client" => "durability";
    a_search_finds_a_catch_up_that_overwrites: "catch-up-overwrites" in "one-client" => "fencing";
    a_search_finds_a_handover_that_keeps_serving: "hands-over-serving" in "handover-and-crash" => "one-voice";
}
