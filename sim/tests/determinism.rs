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
    let (alone, beside) = (traces("1..2", "1"), traces("0..2", "2"));
    assert_eq!(alone["traces"][0], beside["traces"][1]);
    assert_ne!(beside["traces"][0]["hash"], beside["traces"][1]["hash"]);
}
