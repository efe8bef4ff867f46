//! What happens while configuration is brought to a pair: the lines of `apply`, `watch` and `up`.
//!
//! One list for people and for programs: each event is a sentence and a line of JSON with a version. Who prints them
//! is not known here.

use std::fmt;

use serde::Serialize;

use crate::api::FindingBody;
use crate::measure::{Generation, Span, Timestamp};
use crate::name::{BundleHash, ServerName};
use crate::text::escape;

/// The version of the lines.
pub const LINE_SCHEMA: u32 = 1;

/// An event as a line of JSON.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// The version of this shape.
    pub schema: u32,
    /// The line's number in this run, from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: &'a Event,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Event {
    /// A server was asked what it runs.
    Observed {
        /// The server.
        server: ServerName,
        /// Whether it answered.
        reachable: bool,
        /// The generation it runs.
        #[serde(skip_serializing_if = "Option::is_none")]
        generation: Option<Generation>,
        /// The bundle it runs.
        #[serde(skip_serializing_if = "Option::is_none")]
        bundle: Option<BundleHash>,
        /// Why it did not answer.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// It is known what would change.
    Planned {
        /// The bundle that would run.
        bundle: BundleHash,
        /// The changes and losses by kind, in one line.
        summary: String,
    },
    /// A server has verified the bundle and holds it.
    Staged {
        /// The server.
        server: ServerName,
        /// The bundle.
        bundle: BundleHash,
        /// The number it will have.
        generation: Generation,
    },
    /// A server does not take the bundle, or did not answer: nothing has changed anywhere.
    Refused {
        /// The server.
        server: ServerName,
        /// The problem's code, or `no-answer`.
        code: String,
        /// What is wrong.
        detail: String,
        /// What it found in the bundle.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        findings: Vec<FindingBody>,
    },
    /// A server runs the bundle from now on.
    Committed {
        /// The server.
        server: ServerName,
        /// The bundle.
        bundle: BundleHash,
        /// Its number.
        generation: Generation,
    },
    /// A server will take the bundle from its peer.
    Later {
        /// The server.
        server: ServerName,
        /// Why it does not run it now.
        reason: String,
    },
    /// Every server runs what is wanted.
    InSync {
        /// The bundle.
        bundle: BundleHash,
        /// Its number.
        generation: Generation,
    },
    /// A manifest is being followed.
    Watching {
        /// The manifest.
        manifest: String,
    },
    /// The manifest or a file of it has changed and counts as written.
    Changed {
        /// The bundle it makes.
        bundle: BundleHash,
    },
    /// What is on disk cannot be applied: what ran goes on.
    Broken {
        /// How many errors there are.
        errors: usize,
        /// The first of them, with place and advice.
        message: String,
    },
    /// A change is larger than the running manifest allows: what ran goes on.
    Held {
        /// Why.
        reason: String,
        /// What a person can do to let it through.
        command: String,
    },
    /// It cannot be applied as long as these servers do not answer.
    Waiting {
        /// Those that do not answer.
        absent: Vec<ServerName>,
    },
    /// Servers run something else than what was applied.
    Drifted {
        /// Those that do.
        servers: Vec<ServerName>,
        /// Whether it is going to be applied again.
        repair: bool,
    },
    /// An apply did not succeed.
    Failed {
        /// Why.
        reason: String,
        /// After how long it is tried again; absent: when something changes.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_in_ms: Option<u64>,
    },
    /// A server of this process is up.
    Started {
        /// The server.
        server: ServerName,
        /// Where it is reached.
        address: String,
    },
    /// A server's state or what it sees has changed.
    State {
        /// The server.
        server: ServerName,
        /// Its state.
        state: String,
        /// Its role.
        #[serde(skip_serializing_if = "Option::is_none")]
        role: Option<String>,
        /// Whether it is in step with its peer.
        paired: bool,
    },
    /// The servers of this process have stopped.
    Stopped {},
}

impl Event {
    /// Whether somebody should look.
    #[must_use]
    pub const fn is_trouble(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::Broken { .. }
                | Self::Held { .. }
                | Self::Drifted { .. }
                | Self::Failed { .. }
        )
    }
}

/// A sentence for people, safe to print.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Observed { server, reachable: true, bundle: None, .. } => {
                write!(f, "server `{server}` runs nothing yet")
            }
            Self::Observed {
                server, reachable: true, generation, bundle: Some(bundle), ..
            } => {
                let generation = generation.unwrap_or_default();
                write!(f, "server `{server}` runs generation {generation}, {}", short(bundle))
            }
            Self::Observed { server, reason, .. } => {
                let reason = reason.as_deref().unwrap_or("no answer");
                write!(f, "server `{server}` cannot be reached: {}", escape(reason))
            }
            Self::Planned { summary, .. } => write!(f, "planned: {}", escape(summary)),
            Self::Staged { server, bundle, generation } => {
                write!(f, "staged at `{server}`: generation {generation}, {}", short(bundle))
            }
            Self::Refused { server, detail, findings, .. } => {
                write!(f, "refused by `{server}`: {}", escape(detail))?;
                for finding in findings {
                    let (code, name) = (escape(&finding.code), escape(&finding.name));
                    write!(f, "\n  {code} {name}: {}", escape(&finding.message))?;
                    if !finding.help.is_empty() {
                        write!(f, "\n    help: {}", escape(&finding.help))?;
                    }
                }
                Ok(())
            }
            Self::Committed { server, generation, .. } => {
                write!(f, "committed at `{server}`: generation {generation}")
            }
            Self::Later { server, reason } => {
                write!(f, "later at `{server}`, from its peer: {}", escape(reason))
            }
            Self::InSync { bundle, generation } => {
                write!(f, "in sync: both servers run generation {generation}, {}", short(bundle))
            }
            Self::Watching { manifest } => write!(f, "watching `{}`", escape(manifest)),
            Self::Changed { bundle } => write!(f, "changed on disk: {}", short(bundle)),
            Self::Broken { errors: 1, message } => {
                write!(f, "broken on disk, what ran goes on: {}", escape(message))
            }
            Self::Broken { errors, message } => {
                let first = escape(message);
                write!(f, "broken on disk with {errors} errors, what ran goes on; first: {first}")
            }
            Self::Held { reason, command } => {
                let (reason, command) = (escape(reason), escape(command));
                write!(f, "held, what ran goes on: {reason}; to let it through: `{command}`")
            }
            Self::Waiting { absent } => write!(f, "waiting for {}", List(absent)),
            Self::Drifted { servers, repair } => {
                let then = if *repair { "applying again" } else { "left as it is" };
                write!(f, "drift at {}: another bundle runs; {then}", List(servers))
            }
            Self::Failed { reason, retry_in_ms: Some(ms) } => {
                write!(f, "failed, trying again in {}: {}", Span::from_ms(*ms), escape(reason))
            }
            Self::Failed { reason, retry_in_ms: None } => {
                write!(f, "failed, waiting for a change: {}", escape(reason))
            }
            Self::Started { server, address } => write!(f, "started `{server}` at {address}"),
            Self::State { server, state, role, paired } => {
                let role = role.as_deref().unwrap_or("no role yet");
                let paired = if *paired { ", paired" } else { "" };
                let role = escape(role);
                write!(f, "server `{server}` ({role}) is {}{paired}", escape(state))
            }
            Self::Stopped {} => f.write_str("stopped"),
        }
    }
}

/// A bundle's hash as people read it: enough of it to tell two apart.
#[must_use]
pub fn short(bundle: &BundleHash) -> String {
    bundle.to_string().chars().take("sha256:".len() + 12).collect()
}

/// Names as a sentence has them.
struct List<'a>(&'a [ServerName]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            let before = if index == 0 { "" } else { " and " };
            write!(f, "{before}`{name}`")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServerName {
        ServerName::new(text).expect("a valid name")
    }

    #[test]
    fn a_line_is_one_flat_object_with_a_version() {
        let event = Event::Staged {
            server: name("lic-a"),
            bundle: BundleHash([1; 32]),
            generation: Generation(8),
        };
        let line = Line { schema: LINE_SCHEMA, seq: 3, at: Timestamp::from_ms(0), event: &event };
        insta::assert_snapshot!(
            serde_json::to_string(&line).expect("JSON"),
            @r#"{"schema":1,"seq":3,"at":"1970-01-01T00:00:00.000Z","type":"staged","server":"lic-a","bundle":"sha256:0101010101010101010101010101010101010101010101010101010101010101","generation":8}"#
        );
    }

    #[test]
    fn people_read_sentences_that_begin_with_no_name() {
        let (a, b) = (name("lic-a"), name("lic-b"));
        let bundle = BundleHash([0xab; 32]);
        let generation = Generation(8);
        let findings = vec![FindingBody {
            code: "E0103".to_owned(),
            name: "role-mismatch".to_owned(),
            severity: crate::manifest::finding::Severity::Error,
            file: "licenses/a.primary.alf".to_owned(),
            message: "it is encoded for the primary server".to_owned(),
            help: "use the other file".to_owned(),
        }];
        let events = [
            Event::Observed {
                server: a.clone(),
                reachable: false,
                generation: None,
                bundle: None,
                reason: Some("`4820@127.0.0.1` did not answer within 3s".to_owned()),
            },
            Event::Staged { server: a.clone(), bundle, generation },
            Event::Refused {
                server: b.clone(),
                code: "refused".to_owned(),
                detail: "the bundle was refused".to_owned(),
                findings,
            },
            Event::Committed { server: a.clone(), bundle, generation },
            Event::Later { server: b.clone(), reason: "it did not answer".to_owned() },
            Event::InSync { bundle, generation },
            Event::Waiting { absent: vec![a.clone(), b.clone()] },
            Event::Drifted { servers: vec![b], repair: true },
            Event::Failed { reason: "no answer".to_owned(), retry_in_ms: Some(4000) },
        ];
        insta::assert_snapshot!(
            events.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            @r"
        server `lic-a` cannot be reached: `4820@127.0.0.1` did not answer within 3s
        staged at `lic-a`: generation 8, sha256:abababababab
        refused by `lic-b`: the bundle was refused
          E0103 role-mismatch: it is encoded for the primary server
            help: use the other file
        committed at `lic-a`: generation 8
        later at `lic-b`, from its peer: it did not answer
        in sync: both servers run generation 8, sha256:abababababab
        waiting for `lic-a` and `lic-b`
        drift at `lic-b`: another bundle runs; applying again
        failed, trying again in 4s: no answer
        ");
    }
}
