//! One seed is one run: in one process, in two, and whatever ran before on the machine.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::process::Command;

fn traces(seeds: &str, jobs: &str) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_tandem-sim"))
        .args(["run", "failback", "--seeds", seeds, "--jobs", jobs, "--format", "json"])
        .output()
        .expect("the program runs");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    assert_eq!(output.status.code(), Some(0), "{text}");
    serde_json::from_str(&text).expect("one JSON document")
}

#[test]
fn a_seed_is_one_run_in_every_process_beside_whatever_else_runs() {
    // The first seed of a range is run in both worlds.
    let (alone, beside) = (traces("20..30", "1"), traces("10..30", "2"));
    let alone = alone["traces"].as_array().expect("a list");
    let beside = beside["traces"].as_array().expect("a list");
    assert!(alone.iter().all(|trace| beside.contains(trace)));
    let worlds: Vec<_> = alone.iter().map(|trace| trace["world"].as_str()).collect();
    assert_eq!(worlds.iter().filter(|world| **world == Some("turmoil")).count(), 1);
    let hashes: std::collections::BTreeSet<_> =
        beside.iter().map(|trace| trace["hash"].to_string()).collect();
    assert_eq!(hashes.len(), beside.len());
}
