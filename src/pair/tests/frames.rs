//! Frames as they were recorded, and a peer that speaks no others: what a rolling upgrade rests on
//! (docs/reference/peer.md, "Versions").

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

/// What two servers of version 1 said to each other, a frame a line.
const RECORDED: &str = include_str!("v1.jsonl");

/// The word for a message: a text, or the one key of an object.
fn kind(frame: &Value) -> String {
    match frame {
        Value::String(word) => word.clone(),
        Value::Object(object) => object.keys().next().cloned().unwrap_or_default(),
        other => panic!("not a message: {other}"),
    }
}

/// Whether everything that `old` says is said by `new` too, in the same words.
fn says(new: &Value, old: &Value) -> bool {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            old.iter().all(|(key, old)| new.get(key).is_some_and(|new| says(new, old)))
        }
        (Value::Array(new), Value::Array(old)) => {
            new.len() == old.len() && new.iter().zip(old).all(|(new, old)| says(new, old))
        }
        (new, old) => new == old,
    }
}

/// Everything that a pair does with its connection, each with what it is about.
fn life(script: &mut Script) {
    script.commit(A, config(3), 1);
    script.run(600);
    script.commit(B, config(3), 1);
    script.run(600);
    assert_eq!(script.states(), (State::Active, State::Standby));
    let ana = script.checkout(A, "ana", "u1").expect("a seat");
    let joined = script.checkout(A, "ana", "u2").expect("one more window");
    let bo = script.checkout(A, "bo", "u3").expect("a seat");
    for held in [&joined, &bo] {
        let token = script.token(held);
        let ticket = script.command(A, Command::Release(token));
        assert_eq!(script.answer(ticket, 100), Some(Reply::Released));
    }
    assert!(script.renew(A, &ana).is_ok());
    let nonce = Nonce { nonce: "n".to_owned(), expires: script.time().wall };
    let (lease, reason) = (ana.lease.id.clone(), "test".to_owned());
    let ticket = script.command(A, Command::ForceRelease { lease, reason, nonce });
    assert_eq!(script.answer(ticket, 100), Some(Reply::Done));
    script.run(1_000);
    assert!(script.pair(B).is_ready());

    // The secondary serves, the primary comes back and takes its ledger.
    script.kill(A);
    script.run(FAILOVER + 100);
    let cy = script.checkout(B, "cy", "u4").expect("a seat");
    script.start(A);
    script.run(1_000);
    assert_eq!(script.states(), (State::Active, State::Standby));
    assert!(script.pair(B).is_ready());
    assert_eq!(script.leases(A), script.leases(B));
    assert_eq!(script.renew(A, &cy).map(|held| held.lease.id), Ok(cy.lease.id));

    // One server gets a bundle, the other takes it from its peer.
    script.kill(B);
    script.commit(A, config(4), 2);
    script.start(B);
    script.run(1_000);
    assert_eq!(script.pair(B).generation(), Generation(2));
    assert!(script.pair(B).is_ready());
    script.tell(B, Input::Stop);
    script.run(10);
    assert!(script.checkout(A, "di", "u5").is_ok());
}

#[test]
fn every_recorded_frame_is_read_as_it_was_meant() {
    for line in RECORDED.lines() {
        let old: Value = serde_json::from_str(line).expect("a line is JSON");
        let frame: Frame = serde_json::from_str(line).unwrap_or_else(|error| {
            panic!("a frame of version 1 is no longer read ({error}): {line}")
        });
        let new = serde_json::to_value(&frame).expect("a frame is JSON");
        assert!(says(&new, &old), "a frame of version 1 has lost what it said:\n{line}\n{new}");
    }
}

#[test]
fn every_message_of_version_1_is_recorded() {
    let recorded: BTreeSet<String> =
        RECORDED.lines().map(|line| kind(&serde_json::from_str(line).expect("JSON"))).collect();
    let mut script = Script::begin();
    script.record_frames = true;
    life(&mut script);
    if let Some(path) = std::env::var_os("RECORD_FRAMES") {
        std::fs::write(path, script.frames.join("\n")).expect("a file");
    }
    for line in &script.frames {
        let kind = kind(&serde_json::from_str(line).expect("JSON"));
        assert!(recorded.contains(&kind), "`{kind}` is not recorded, for example:\n{line}");
    }
}

#[test]
fn a_pair_of_two_versions_does_everything_that_the_older_one_knows() {
    let mut script = Script::begin();
    script.speaks_v1 = true;
    life(&mut script);
}
