//! `check`: judges what real servers and real clients wrote down, with the oracles of the simulation.
//!
//! A log is either what was seen from outside (the entries of a history: clients, faults, a proxy between the servers)
//! or the event logs of the servers themselves (`serve --event-log`). What was seen from outside goes first: where
//! there is any, the servers' own word is not used but for what their bundles mean.

mod events;
mod log;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::json;
use tandem::measure::{Span, Timestamp};

use self::log::Logs;
use crate::history::{Entry, Event, Terms};
use crate::oracle::{Promise, Violation};
use crate::subject::{Subject, SubjectError};

/// What to judge.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Event logs of the servers (both of a pair together say more than one), or histories seen from outside.
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,
    /// The manifest that the pair ran: who may hold what, and the capacity of both servers.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// How late on a real machine whatever has to happen by a time may be.
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    late: Span,
    /// How to print the results.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Human,
    /// One JSON document.
    Json,
}

/// Why nothing was judged.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A log cannot be read.
    #[error("{}: {error}", .file.display())]
    Read {
        /// The log.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A log has nothing in it that can be judged.
    #[error(
        "{}: no line of it is an event of a server or of a history; `serve --event-log FILE` writes one", .0.display()
    )]
    Nothing(PathBuf),
    /// A log is of a version that this program does not know.
    #[error(
        "{place}: an event of schema {schema}; this program reads {known}, take the one that belongs to the server"
    )]
    Schema {
        /// File and line.
        place: String,
        /// The event's schema.
        schema: u32,
        /// The one that is known.
        known: u32,
    },
    /// Nothing says what the servers ran.
    #[error(
        "what was seen from outside does not say what the servers ran: give the manifest with `--manifest FILE`"
    )]
    NoTerms,
    /// Nothing says what one of the servers ran.
    #[error(
        "what was seen from outside does not say what `{0}` ran: give its event log too, or the manifest with \
         `--manifest FILE`"
    )]
    HalfTerms(String),
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] SubjectError),
}

/// What came of it.
#[derive(Debug)]
pub struct Checked {
    format: Format,
    events: usize,
    servers: BTreeSet<String>,
    from_outside: bool,
    /// What time it was at millisecond 0, where that is known.
    begin: Option<Timestamp>,
    end: u64,
    violations: Vec<Violation>,
    notes: Vec<String>,
    are_cut: bool,
}

/// Reads the logs and judges them.
///
/// # Errors
/// A log cannot be read, has nothing in it or is of another version, nothing says what the servers ran, or the manifest
/// cannot be used.
pub fn check(args: &CheckArgs) -> Result<Checked, CheckError> {
    let mut logs = Logs::default();
    for file in &args.logs {
        logs.read(file)?;
    }
    let begin = logs.told.iter().map(|event| event.at).min();
    let (events, from_outside) = (logs.seen.len().max(logs.told.len()), !logs.seen.is_empty());
    let mut entries = events::terms(&logs.told, begin.unwrap_or_default());
    if let Some(manifest) = &args.manifest {
        let subject = Subject::load(manifest, begin)?;
        // Who signed what the servers ran, no log says.
        let terms = Terms { signer: None, ..subject.terms() };
        entries.retain(|known| match &known.event {
            Event::Terms(known) => known.bundle != terms.bundle,
            _ => true,
        });
        entries.push(Entry { at: 0, host: "world".into(), event: Event::Terms(Arc::new(terms)) });
    }
    let is_told = args.manifest.is_some()
        || logs.seen.iter().any(|entry| matches!(entry.event, Event::Terms(_)));
    let servers = entries.iter().chain(&logs.seen).filter_map(|entry| match &entry.event {
        Event::Terms(terms) => Some(terms.servers.keys().cloned()),
        _ => None,
    });
    let servers: BTreeSet<String> = servers.flatten().collect();
    if !from_outside {
        let peer_is_silent = logs.note_silent(&servers);
        let begin = begin.unwrap_or_default();
        entries.append(&mut events::history(&logs.told, begin, peer_is_silent));
    } else if servers.is_empty() {
        return Err(CheckError::NoTerms);
    } else if !is_told && let Some(silent) = logs.silent(&servers).next() {
        return Err(CheckError::HalfTerms(silent.clone()));
    } else {
        logs.seen.sort_by_key(|entry| entry.at);
        entries.append(&mut logs.seen);
    }
    for entry in &mut entries {
        if let Event::Terms(terms) = &mut entry.event {
            Arc::make_mut(terms).late = args.late.ms();
        }
    }
    let mut violations: Vec<Violation> =
        Promise::ALL.iter().flat_map(|promise| promise.judge(&entries)).collect();
    violations.sort_by_key(|one| (one.at, one.promise));
    let end = entries.last().map_or(0, |entry| entry.at);
    let Logs { notes, are_cut, .. } = logs;
    let format = args.format;
    Ok(Checked { format, events, servers, from_outside, begin, end, violations, notes, are_cut })
}

impl Checked {
    /// Whether every promise held.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.violations.is_empty()
    }

    /// The report, in the form that was asked for.
    #[must_use]
    pub fn report(&self) -> String {
        match self.format {
            Format::Human => self.human(),
            Format::Json => {
                let text = serde_json::to_string_pretty(&self.json());
                // A value of strings and numbers always has a text.
                text.unwrap_or_default() + "\n"
            }
        }
    }

    fn time(&self, at: u64) -> String {
        match self.begin {
            Some(begin) => (begin + Span::from_ms(at)).to_string(),
            None => format!("{at}ms"),
        }
    }

    fn json(&self) -> serde_json::Value {
        let of =
            |promise: Promise| self.violations.iter().filter(move |one| one.promise == promise);
        let promises = Promise::ALL.map(|promise| {
            json!({"promise": promise, "held": of(promise).next().is_none(), "violations": of(promise).count()})
        });
        let failed = self.violations.iter().map(|one| {
            json!({"oracle": one.promise, "at": one.at, "time": self.time(one.at), "what": one.what})
        });
        json!({
            "schema": 1, "ok": self.holds(), "events": self.events, "servers": self.servers,
            "fromOutside": self.from_outside, "lastsMs": self.end, "promises": promises,
            "failed": failed.collect::<Vec<_>>(), "complete": !self.are_cut, "notes": self.notes,
        })
    }

    fn human(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        let source = if self.from_outside {
            "what was seen from outside"
        } else {
            "what the servers say of themselves: clients whose answers were lost are not in it"
        };
        let servers: Vec<&str> = self.servers.iter().map(String::as_str).collect();
        let span = Span::from_ms(self.end);
        let (events, servers) = (self.events, servers.join(", "));
        let _ = writeln!(text, "{events} events of {servers} over {span}, from {source}\n");
        for promise in Promise::ALL {
            let count = self.violations.iter().filter(|one| one.promise == promise).count();
            let word = if count == 0 { "held".to_owned() } else { format!("broken {count} times") };
            let _ = writeln!(text, "  {promise:14} {word}");
        }
        if self.are_cut {
            text.push_str(
                "\nThe logs are not whole (see the notes): what is missing was not judged.\n",
            );
        }
        for one in &self.violations {
            let _ = write!(text, "\n{} at {}: {}", one.promise, self.time(one.at), one.what);
        }
        if !self.violations.is_empty() {
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_not_judged_where_nothing_says_what_one_of_the_servers_ran() {
        let started = |server: &str, role: &str, peer: &str| {
            format!(
                r#"{{"schema":1,"seq":1,"at":"2026-06-01T00:00:00Z","server":"{server}","type":"started","bundle":"sha256:one","role":"{role}","peer":"{peer}","mode":"mirror","licenses":[]}}"#
            )
        };
        let seen = r#"{"at":5,"host":"world","type":"fault","fault":"kill","server":"lic-a"}"#;
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let file = dir.path().join(name);
            std::fs::write(&file, text).expect("a file");
            file
        };
        let seen = write("seen", seen);
        let a = write("a", &started("lic-a", "primary", "lic-b"));
        let b = write("b", &started("lic-b", "secondary", "lic-a"));
        let judged = |logs: &[&PathBuf]| {
            let logs = logs.iter().map(|log| (*log).clone()).collect();
            let late = Span::from_secs(1);
            let args = CheckArgs { logs, manifest: None, late, format: Format::Human };
            check(&args).map(|checked| checked.holds()).map_err(|error| error.to_string())
        };
        let why = judged(&[&seen, &a]).expect_err("half is not known");
        assert!(why.contains("does not say what `lic-b` ran"), "{why}");
        assert_eq!(judged(&[&seen, &a, &b]), Ok(true));
        assert!(judged(&[&seen]).is_err());
    }
}
