//! A schedule: the choices that lead to a broken promise, made as short as they get, shown to people, kept in a file.
//!
//! The file is the choice stream of every other run: labels decide, so that a recording outlives changes of the code.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use tandem::pair::Pair;

use super::choice::Choice;
use super::setup::{HEARTBEAT, Setup};
use super::space::Space;
use super::world::{Broken, Life, World};
use crate::seed;

/// What a file keeps of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Recording {
    pub(super) schema: u32,
    /// The space in which it happens.
    pub(super) space: String,
    /// The mutant that was on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mutant: Option<String>,
    /// The promise that was broken.
    pub(super) promise: String,
    pub(super) choices: Vec<seed::Choice>,
}

/// What came of a schedule that was played again.
pub(super) struct Played {
    /// The choices that could be made, in order.
    pub(super) choices: Vec<seed::Choice>,
    pub(super) broken: Option<Broken>,
    /// One line a transition.
    pub(super) lines: Vec<String>,
}

/// Plays choices from a state on; those that cannot be made are left out.
pub(super) fn play(setup: &Setup, space: &Space, first: &World, choices: &[Choice]) -> Played {
    // Whoever shortens a schedule may choose orders that the search leaves out.
    let space = &Space { reduce: false, ..*space };
    let mut world = first.clone();
    let mut played = Played { choices: Vec::new(), broken: None, lines: Vec::new() };
    let mut before = columns(&world);
    let mut possible = Vec::new();
    played.lines.push(line(0, "", &before.clone(), None));
    for &choice in choices {
        world.choices(space, &mut possible);
        let Some(chosen) = possible.iter().position(|one| *one == choice) else { continue };
        played.choices.push(seed::Choice {
            label: choice.to_string().into(),
            of: possible.len() as u64,
            chosen: chosen as u64,
        });
        let broken = world.apply(setup, choice).err();
        let after = columns(&world);
        let beats = world.now.since(first.now).ms() / HEARTBEAT.ms();
        played.lines.push(line(beats, &choice.to_string(), &after, Some(&before)));
        before = after;
        if broken.is_some() {
            played.broken = broken;
            break;
        }
    }
    played
}

/// A shorter schedule that breaks the same promise: as long as leaving something out still does.
pub(super) fn shrunk(
    setup: &Setup,
    space: &Space,
    first: &World,
    choices: Vec<Choice>,
    broken: &Broken,
) -> Vec<Choice> {
    let breaks = |choices: &[Choice]| {
        let played = play(setup, space, first, choices);
        let same = played.broken.is_some_and(|other| other.promise == broken.promise);
        same.then(|| played.choices.iter().filter_map(|one| one.label.parse().ok()).collect())
    };
    let mut best: Vec<Choice> = choices;
    let mut size = best.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < best.len() {
            let end = (at + size).min(best.len());
            let less: Vec<Choice> = [&best[..at], &best[end..]].concat();
            match breaks(&less) {
                Some(shorter) => best = shorter,
                None => at = end,
            }
        }
        size /= 2;
    }
    best
}

fn line(beats: u64, choice: &str, now: &[String; 4], before: Option<&[String; 4]>) -> String {
    let cell = |at: usize| match before {
        Some(before) if before[at] == now[at] => "·",
        _ => now[at].as_str(),
    };
    let mut line = String::new();
    let (a, b, ana, bo) = (cell(0), cell(1), cell(2), cell(3));
    // Writing to a text does not fail.
    let _ = write!(line, "{beats:>4}  {choice:<12}  {a:<34}  {b:<34}  {ana:<12}  {bo}");
    line.trim_end().to_owned()
}

/// The two servers and the two clients, as people read them.
fn columns(world: &World) -> [String; 4] {
    let server = |at: usize| {
        let machine = &world.machines[at];
        let mut text = match &machine.life {
            Life::Runs(pair) => server(pair, world),
            Life::Reopens => "reopens".to_owned(),
            Life::Dead => "dead".to_owned(),
        };
        for (is, word) in [(machine.paused, " paused"), (machine.stuck, " stuck")] {
            text += if is { word } else { "" };
        }
        text
    };
    let client = |who: usize| {
        let client = &world.clients[who];
        if client.believes(world.now) { "holds".to_owned() } else { String::new() }
    };
    [server(0), server(1), client(0), client(1)]
}

fn server(pair: &Pair, world: &World) -> String {
    let status = pair.status(Setup::now(world.now));
    let paired = status.peer.is_some_and(|peer| peer.paired);
    let leases = pair.ledger().leases(world.now).count();
    let grace = if status.grace_ends_in.is_some() { " grace" } else { "" };
    let paired = if paired { " paired" } else { "" };
    format!("{}{paired}{grace} e{} {leases} held", status.state, status.epoch)
}
