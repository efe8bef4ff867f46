//! The harness sees what it is for: each mutant is caught in the scenario that is named for it, by the oracle of the
//! promise that it breaks or by what the scenario expects. One test, since a mutant is on in the whole process.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::collections::BTreeMap;
use std::process::Command;

use tandem::mutant::Mutant;
use tandem_sim::mutants::{Effort, Ground, scene};
use tandem_sim::oracle::Promise;

/// In how many seeds of its scenario a mutant is caught at the latest.
const SEEDS: u64 = 40;

#[test]
fn every_mutant_is_caught_where_it_is_known_to_be_and_every_oracle_catches_two() {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let effort = Effort { runs_max: SEEDS, enough: 1, jobs };
    let ground = Ground::of(&[]).expect("the built-in scenarios run");
    let mut missed = Vec::new();
    let mut proved: BTreeMap<Promise, u64> = BTreeMap::new();
    for &mutant in Mutant::ALL {
        let outcome = ground.hunt(mutant, effort, &|_| {}).expect("the scenarios run");
        if !outcome.is_caught() || !outcome.places.contains_key(scene(mutant).scenario) {
            missed.push(format!("{}: {outcome:?}", mutant.name()));
        }
        *proved.entry(outcome.promise).or_default() += u64::from(outcome.by_oracle > 0);
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    let unproved: Vec<_> =
        Promise::ALL.iter().filter(|of| proved.get(of).is_none_or(|count| *count < 2)).collect();
    assert!(unproved.is_empty(), "each of these caught less than two: {unproved:?}");
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

// Some that are found soon, of each promise; docs/concepts/search.md lists where each is found.
searched! {
    a_search_finds_a_secondary_that_ignores_heartbeats: "secondary-ignores-heartbeats" in "calm" => "one-voice";
    a_search_finds_an_answer_before_the_sync: "ack-before-sync" in "one-client" => "durability";
    a_search_finds_an_answer_before_the_peer: "ack-before-peer" in "one-client" => "durability";
    a_search_finds_a_catch_up_that_overwrites: "catch-up-overwrites" in "one-client" => "fencing";
    a_search_finds_a_lease_adopted_from_memory: "adopted-from-memory" in "hand-over-crash" => "durability";
    a_search_finds_a_held_lease_answered_from_memory: "held-lease-from-memory" in "lost-answer-and-crash" => "durability";
    a_search_finds_a_lease_that_ran_out_and_is_back: "ghost-of-an-expired-lease" in "crash-one" => "convergence";
    a_search_finds_a_bundle_that_is_kept_from_the_peer: "keeps-bundle" in "apply-and-crash" => "convergence";
    a_search_finds_an_answer_on_the_slot_of_the_peer: "escrow-alone-answers-on-peers-slot" in "escrow-cut" => "capacity";
    a_search_finds_a_handover_that_keeps_serving: "hands-over-serving" in "handover-and-crash" => "one-voice";
    a_search_finds_a_primary_that_takes_over_and_does_not_lead: "takes-over-without-lead" in "handover-and-crash" => "failover";
    a_search_finds_a_grant_of_a_primary_that_lost_its_peer: "alone-at-once" in "cut" => "fencing";
    a_search_finds_an_answer_as_the_peer_is_lost: "answers-at-peer-lost" in "cut" => "fencing";
    a_search_finds_holders_who_are_put_off_in_grace: "grace-renews-nothing" in "crash-each" => "outage";
    a_search_finds_slots_that_a_lost_disk_may_have_given: "transfer-credited-after-fence-or-snapshot" in "escrow-lost-disk" => "capacity";
}
