//! `tandem validate` of 100,000 users as a whole process: wall time and peak memory.
//!
//! `cargo bench --bench validate`. Three manifests of 100,000 users, all in groups of a thousand: without keys, with
//! an SSH key for every tenth, and with a field misspelled in every entry (100,000 findings). Memory is read from
//! `/proc` in runs of its own, so that it costs the timed ones nothing; elsewhere than on Linux it is left out.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints and reads the clock, and stops if it cannot run"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqIWO9OrVsbP/pnYvGLplmJ5tDqA+QDYJ1w9wEGIhGc";

fn main() {
    // Cargo passes `--test` when it only wants to know that this builds and runs.
    let quick = std::env::args().any(|arg| arg == "--test");
    let (users, runs) = if quick { (1_000, 1) } else { (100_000, 9) };
    let folder = tempfile::tempdir().expect("a folder");
    let init = tandem().arg("init").arg(folder.path()).stdout(Stdio::null()).status();
    assert!(init.expect("tandem runs").success());
    let manifest = folder.path().join("tandem.yaml");
    let start = fs::read_to_string(&manifest).expect("the manifest that init wrote");
    println!("tandem validate, {users} users, median of {runs} runs of the process");
    println!("{:<24} {:>8} {:>10} {:>10}", "manifest", "MB", "seconds", "peak MiB");
    for (name, valid) in
        [("names", true), ("every tenth has a key", true), ("all misspelled", false)]
    {
        let text = with_users(&start, users, name);
        fs::write(&manifest, &text).expect("the manifest can be written");
        let mut times: Vec<Duration> = (0..runs).map(|_| timed(&manifest, valid)).collect();
        times.sort_unstable();
        let median = times.get(runs / 2).expect("a run").as_secs_f64();
        let size = text.len() as f64 / 1e6;
        let peak = peak_kib(&manifest).map_or("-".to_owned(), |kib| (kib / 1024).to_string());
        println!("{name:<24} {size:>8.1} {median:>10.3} {peak:>10}");
    }
}

fn tandem() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tandem"))
}

/// The manifest with its users replaced by this many, in groups of a thousand.
fn with_users(start: &str, users: usize, kind: &str) -> String {
    let mut text = String::new();
    let mut skipped = false;
    for line in start.lines() {
        // A top-level field ends where the next begins.
        if !line.starts_with([' ', '#', '-']) && !line.is_empty() {
            skipped = line.starts_with("users:") || line.starts_with("groups:");
        }
        if !skipped {
            let _ = writeln!(text, "{line}");
        }
    }
    text.push_str("users:\n");
    for user in 0..users {
        match kind {
            "all misspelled" => drop(writeln!(text, "  - {{name: user-{user:06}, kye: x}}")),
            "every tenth has a key" if user % 10 == 0 => {
                let _ =
                    writeln!(text, "  - name: user-{user:06}\n    key: \"{KEY} user-{user:06}\"");
            }
            _ => drop(writeln!(text, "  - name: user-{user:06}")),
        }
    }
    text.push_str("groups:\n");
    for user in 0..users {
        if user % 1_000 == 0 {
            let _ = writeln!(text, "  - name: group-{:03}\n    members:", user / 1_000);
        }
        let _ = writeln!(text, "      - user-{user:06}");
    }
    text
}

fn timed(manifest: &Path, valid: bool) -> Duration {
    let start = Instant::now();
    let status = tandem().arg("validate").arg(manifest).stdout(Stdio::null()).status();
    let time = start.elapsed();
    judged(status.expect("tandem runs"), valid);
    time
}

fn judged(status: ExitStatus, valid: bool) {
    assert_eq!(status.code(), Some(i32::from(!valid)), "a manifest is judged as it is");
}

/// The most memory that the process held, in KiB, asked of Linux until it ends.
fn peak_kib(manifest: &Path) -> Option<u64> {
    let mut child = tandem().arg("validate").arg(manifest).stdout(Stdio::null()).spawn().ok()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = None;
    while child.try_wait().ok()?.is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(now);
        std::thread::sleep(Duration::from_micros(200));
    }
    peak
}
