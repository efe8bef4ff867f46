//! The lines of a log, and what a log that is not whole leaves out.
//!
//! A server counts its events from 1 since its process started, so that what is missing between two lines, or comes
//! twice, can be told. A process that is killed leaves half of a line at its end: then nothing is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use tandem::api::{EVENT_SCHEMA, EventBody};
use tandem::measure::Timestamp;
use tandem::name::ServerName;

use super::CheckError;
use crate::history::Entry;

/// What was read of all logs.
#[derive(Debug, Default)]
pub(super) struct Logs {
    /// What was seen from outside.
    pub(super) seen: Vec<Entry>,
    /// What servers say of themselves.
    pub(super) told: Vec<EventBody>,
    /// What a reader must know of the logs before believing what comes of them.
    pub(super) notes: Vec<String>,
    /// Whether something that happened is known not to be in them.
    pub(super) are_cut: bool,
    /// By server, time and number: no event is judged twice.
    known: BTreeSet<(ServerName, Timestamp, u64)>,
}

impl Logs {
    /// Reads one more.
    pub(super) fn read(&mut self, file: &Path) -> Result<(), CheckError> {
        let bytes = std::fs::read(file)
            .map_err(|error| CheckError::Read { file: file.to_owned(), error })?;
        let text = String::from_utf8_lossy(&bytes);
        let mut is_log = false;
        let mut last: BTreeMap<ServerName, u64> = BTreeMap::new();
        let mut torn = Vec::new();
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        for (number, line) in lines {
            let place = format!("{}:{number}", file.display());
            if let Ok(event) = serde_json::from_str::<EventBody>(line) {
                is_log = true;
                let server = last.entry(event.server.clone()).or_default();
                if self.fits(&event, server, &place)? {
                    self.told.push(event);
                }
            } else if let Ok(entry) = serde_json::from_str::<Entry>(line) {
                is_log = true;
                // Of a history nothing says what a line in its midst was: one at its end never came to be.
                self.are_cut |= !torn.is_empty();
                self.seen.push(entry);
            } else {
                torn.push(place);
            }
        }
        if !is_log {
            return Err(CheckError::Nothing(file.to_owned()));
        }
        let left_out = |place| format!("{place}: this line cannot be read and was left out");
        self.notes.extend(torn.into_iter().map(left_out));
        Ok(())
    }

    /// Those of the servers that told nothing.
    pub(super) fn silent<'a>(
        &self,
        servers: &'a BTreeSet<String>,
    ) -> impl Iterator<Item = &'a String> {
        let told: BTreeSet<String> =
            self.told.iter().map(|event| event.server.to_string()).collect();
        servers.iter().filter(move |server| !told.contains(*server))
    }

    /// Says which of the servers told nothing; whether one did.
    pub(super) fn note_silent(&mut self, servers: &BTreeSet<String>) -> bool {
        let silent = self.silent(servers);
        let notes: Vec<String> =
            silent.map(|server| format!("no event of {server} is in the logs")).collect();
        let is_one_silent = !notes.is_empty();
        self.notes.extend(notes);
        self.are_cut |= is_one_silent;
        is_one_silent
    }

    /// Whether an event is the next one of its server, and says what its type has to say. `last` is the number of the one
    /// before.
    fn fits(&mut self, event: &EventBody, last: &mut u64, place: &str) -> Result<bool, CheckError> {
        if event.schema != EVENT_SCHEMA {
            let (place, schema) = (place.to_owned(), event.schema);
            return Err(CheckError::Schema { place, schema, known: EVENT_SCHEMA });
        }
        let EventBody { seq, server, at, .. } = event;
        if !self.known.insert((server.clone(), *at, *seq)) {
            let note = format!("{place}: event {seq} of {server} comes again and was left out");
            self.notes.push(note);
            return Ok(false);
        }
        // A process that has started counts from 1.
        let next = if *seq > *last { *last + 1 } else { 1 };
        let note = (*seq != next).then(|| {
            format!("events {next} to {} of {server} are not in it", seq.saturating_sub(1))
        });
        *last = *seq;
        let wrong = wrong_field(event)
            .map(|field| format!("`{field}` of this event makes no sense, it was left out"));
        let is_right = wrong.is_none();
        for why in note.into_iter().chain(wrong) {
            self.are_cut = true;
            self.notes.push(format!("{place}: {why}"));
        }
        Ok(is_right)
    }
}

/// A field of an event without which it cannot be judged, where it is absent or of the wrong kind.
fn wrong_field(event: &EventBody) -> Option<&'static str> {
    let (texts, numbers): (&'static [&'static str], &'static [&'static str]) =
        match event.kind.as_str() {
            "granted" | "renewed" => (&["lease", "product"], &["seats", "ttlMs", "epoch"]),
            "released" => (&["lease"], &[]),
            "state" => (&["state"], &["epoch"]),
            "fenced" => (&["fenced"], &[]),
            _ => (&[], &[]),
        };
    let is = |field: &str, of: fn(&Value) -> bool| event.details.get(field).is_some_and(of);
    let text = texts.iter().find(|field| !is(field, Value::is_string));
    text.or_else(|| numbers.iter().find(|field| !is(field, Value::is_u64))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: i64, kind: &str, rest: &str) -> String {
        format!(
            r#"{{"schema":1,"seq":{seq},"at":"2026-06-01T00:00:00Z","server":"lic-a","type":"{kind}"{rest}}}"#
        )
    }

    fn granted(seq: i64, seats: &str) -> String {
        let rest = format!(
            r#","lease":"L1","product":"designer","user":"ana","host":"ws","seats":{seats},"ttlMs":300000,"epoch":1"#
        );
        event(seq, "granted", &rest)
    }

    /// What is said of a log of these lines, and how many of its events are judged.
    fn read(lines: &[String]) -> Result<(Vec<String>, usize, bool), String> {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("a.jsonl");
        std::fs::write(&file, lines.join("\n")).expect("a file");
        let mut logs = Logs::default();
        let place = format!("{}:", file.display());
        logs.read(&file).map_err(|error| error.to_string().replace(&place, "line "))?;
        let notes = logs.notes.iter().map(|note| note.replace(&place, "line ")).collect();
        Ok((notes, logs.told.len(), logs.are_cut))
    }

    #[test]
    fn a_log_of_processes_that_were_killed_is_whole() {
        let started = event(1, "started", "");
        let half = started[..40].to_owned();
        let later = |line: &str| line.replace("00:00:00Z", "00:09:00Z");
        let first = [started.clone(), granted(2, "1"), half.clone()];
        let lines = first.clone().into_iter().chain(first.iter().map(|line| later(line)));
        let lines: Vec<String> = lines.collect();
        let (notes, events, is_cut) = read(&lines).expect("a log");
        assert_eq!((events, is_cut), (4, false));
        let left_out = "this line cannot be read and was left out";
        assert_eq!(notes, [format!("line 3: {left_out}"), format!("line 6: {left_out}")]);
    }

    #[test]
    fn what_is_missing_comes_again_or_makes_no_sense_is_said() {
        let started = event(1, "started", "");
        for (lines, note, judged) in [
            (
                vec![started.clone(), granted(4, "1")],
                "line 2: events 2 to 3 of lic-a are not in it",
                2,
            ),
            (vec![granted(3, "1")], "line 1: events 1 to 2 of lic-a are not in it", 1),
            (
                vec![started.clone(), granted(2, "-1")],
                "line 2: `seats` of this event makes no sense, it was left out",
                1,
            ),
        ] {
            let told = read(&lines).expect("a log");
            assert_eq!(told, (vec![note.to_owned()], judged, true));
        }
        let again = granted(2, "1").replace("00:00:00Z", "00:09:00Z");
        let note = "line 3: events 1 to 1 of lic-a are not in it".to_owned();
        let restarted = [started.clone(), granted(2, "1"), again];
        assert_eq!(read(&restarted), Ok((vec![note], 3, true)));
        let twice = [started, granted(2, "1"), granted(2, "1")];
        let note = "line 3: event 2 of lic-a comes again and was left out".to_owned();
        assert_eq!(read(&twice), Ok((vec![note], 2, false)));
    }

    #[test]
    fn a_log_that_is_given_twice_is_judged_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("a.jsonl");
        std::fs::write(&file, event(1, "started", "")).expect("a file");
        let mut logs = Logs::default();
        for _ in 0..2 {
            logs.read(&file).expect("a log");
        }
        assert_eq!((logs.told.len(), logs.notes.len(), logs.are_cut), (1, 1, false));
    }

    #[test]
    fn a_log_of_another_version_is_not_judged() {
        let newer = event(1, "started", "").replace(r#""schema":1"#, r#""schema":2"#);
        let why = "line 1: an event of schema 2; this program reads 1, take the one that belongs to the server";
        assert_eq!(read(&[newer]), Err(why.to_owned()));
    }
}
