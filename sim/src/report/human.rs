//! The report for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{Campaign, Failure, seconds};
use crate::run::{Run, Verdict, World, transitions};

/// How many lines of a failure's history are shown.
const LINES: usize = 24;

/// The whole report.
#[must_use]
pub fn human(campaigns: &[Campaign]) -> String {
    let mut text = String::new();
    for campaign in campaigns {
        numbers(&mut text, campaign);
    }
    table(&mut text, campaigns);
    for campaign in campaigns {
        failures(&mut text, campaign);
    }
    text
}

/// Names from files and the network are shown with what could move a terminal's cursor or text direction escaped.
fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let bidirectional = matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || bidirectional || matches!(c, '\u{2028}' | '\u{2029}') {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { format!("{count} {word}") } else { format!("{count} {word}s") }
}

fn numbers(text: &mut String, campaign: &Campaign) {
    let seeds = plural(campaign.seeds(), "seed");
    let whole = match campaign.seeds_in(World::Turmoil) {
        0 => "none of them".to_owned(),
        all if all == campaign.seeds() => "all of them".to_owned(),
        some => format!("{some} of them"),
    };
    let bundle: String = campaign.bundle.chars().take(19).collect();
    let simulated: u64 = campaign.runs.iter().map(|run| run.simulated_ms).sum();
    let _ = writeln!(
        text,
        "{} on {} ({bundle}): {seeds}, {whole} whole servers on turmoil, {} simulated",
        shown(&campaign.scenario),
        shown(&campaign.subject),
        minutes(simulated)
    );
    for note in &campaign.notes {
        let _ = writeln!(text, "  note: {}", shown(note));
    }
    let (worst, worst_seed) = campaign.worst_gap();
    let (lost, lost_seed) = campaign.most_lost();
    let _ = writeln!(
        text,
        "  without a seat   at worst {} (seed {worst_seed}), in the median {}",
        seconds(worst),
        seconds(campaign.median_gap())
    );
    if lost == 0 {
        text.push_str("  seats lost       none\n");
    } else {
        let clients = plural(usize::try_from(lost).unwrap_or(usize::MAX), "client");
        let _ = writeln!(text, "  seats lost       {clients} (seed {lost_seed})");
    }
    let sum = |of: fn(&crate::numbers::Numbers) -> u64| -> u64 {
        campaign.runs.iter().map(|run| of(&run.numbers)).sum()
    };
    let _ = writeln!(
        text,
        "  requests         {} granted, {} renewed, {} refused, {} without an answer\n",
        sum(|n| n.granted),
        sum(|n| n.renewed),
        sum(|n| n.refused),
        sum(|n| n.unknown)
    );
}

fn minutes(ms: u64) -> String {
    if ms < 60_000 { seconds(ms) } else { format!("{}m{:02}s", ms / 60_000, ms % 60_000 / 1_000) }
}

fn table(text: &mut String, campaigns: &[Campaign]) {
    let mut columns: Vec<&str> = Vec::new();
    for campaign in campaigns {
        for promise in &campaign.promises {
            if !columns.contains(&promise.as_str()) {
                columns.push(promise.as_str());
            }
        }
    }
    columns.extend(["expect", "converge"]);
    let width = campaigns.iter().map(|one| one.scenario.chars().count()).max().unwrap_or(0).max(8);
    let _ = write!(text, "{:width$}", "scenario");
    for column in &columns {
        let _ = write!(text, "  {column}");
    }
    text.push('\n');
    for campaign in campaigns {
        let failures = campaign.failures();
        let _ = write!(text, "{:width$}", shown(&campaign.scenario));
        for column in &columns {
            let judged = matches!(*column, "expect" | "converge")
                || campaign.promises.iter().any(|one| one.as_str() == *column);
            let broken = failures.iter().filter(|one| one.oracle == *column).count();
            let word = match (judged, broken) {
                (false, _) => "-".to_owned(),
                (true, 0) => "held".to_owned(),
                (true, n) => format!("{n} of {}", campaign.runs.len()),
            };
            let _ = write!(text, "  {word:>len$}", len = column.len());
        }
        text.push('\n');
    }
}

fn failures(text: &mut String, campaign: &Campaign) {
    let failures = campaign.failures();
    let mut told: Vec<&str> = Vec::new();
    for failure in &failures {
        if told.contains(&failure.oracle) {
            continue;
        }
        told.push(failure.oracle);
        let of_it = failures.iter().filter(|one| one.oracle == failure.oracle);
        // A seed may have failed in both worlds.
        let seeds: BTreeSet<u64> = of_it.map(|one| one.seed).collect();
        let others = seeds.len() - 1;
        block(text, campaign, failure, others);
    }
    if campaign.verdict() == Verdict::Held {
        return;
    }
    if let Some(well) = failures.first().and_then(|first| campaign.nearest_well(first.seed)) {
        let _ = writeln!(text, "  the nearest run that is well: seed {well}");
    }
}

fn block(text: &mut String, campaign: &Campaign, failure: &Failure<'_>, others: usize) {
    let word = match failure.oracle {
        "simulator" => "the simulator failed",
        "converge" => "did not converge",
        "expect" => "not as expected",
        _ => "violated",
    };
    let promise = if word == "violated" { format!(" {}", failure.oracle) } else { String::new() };
    let _ =
        write!(text, "\n{word}:{promise} in {}, seed {}", shown(&campaign.scenario), failure.seed);
    match others {
        0 => text.push('\n'),
        1 => text.push_str(" (and one other seed)\n"),
        n => {
            let _ = writeln!(text, " (and {n} other seeds)");
        }
    }
    let _ = writeln!(text, "  at {}: {}", seconds(failure.at), shown(failure.what));
    let is_it = |run: &&Run| (run.seed, run.world) == (failure.seed, failure.world);
    if let Some(run) = campaign.runs.iter().find(is_it) {
        columns(text, run, failure.at);
    }
    let _ = writeln!(text, "  replay: {}", shown(&campaign.replay(failure)));
}

/// One line a transition, each server in a column of its own, the violated line marked.
fn columns(text: &mut String, run: &Run, until: u64) {
    let all = transitions(&run.entries, until);
    let mut servers: Vec<&str> = Vec::new();
    for (_, server, _) in &all {
        if !servers.contains(&server.as_str()) {
            servers.push(server);
        }
    }
    servers.sort_unstable();
    let widths: Vec<usize> = servers
        .iter()
        .map(|server| {
            let own = all
                .iter()
                .filter(|(_, of, _)| of == server)
                .map(|(_, _, what)| what.chars().count());
            own.chain([server.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    if servers.is_empty() {
        return;
    }
    let row = |text: &mut String, at: &str, cells: &dyn Fn(usize) -> String| {
        let mut line = format!("  {at:>9}");
        for (place, width) in widths.iter().enumerate() {
            let _ = write!(line, "  {:width$}", cells(place));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    row(text, "", &|place| servers.get(place).map(|name| shown(name)).unwrap_or_default());
    let skipped = all.len().saturating_sub(LINES);
    if skipped > 0 {
        let _ = writeln!(text, "  {:>9}  ({skipped} earlier lines)", "...");
    }
    for (at, server, what) in all.iter().skip(skipped) {
        row(text, &seconds(*at), &|place| {
            if servers.get(place) == Some(&server.as_str()) { shown(what) } else { String::new() }
        });
    }
    let _ = writeln!(text, "> {:>9}  here", seconds(until));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn what_is_well_is_short() {
        insta::assert_snapshot!(human(&[sample::well()]), @"
        failover on studio (sha256:0123456789ab): 3 seeds, 1 of them whole servers on turmoil, 4m30s simulated
          without a seat   at worst 4.1s (seed 1), in the median 40ms
          seats lost       none
          requests         0 granted, 0 renewed, 0 refused, 0 without an answer

        scenario  capacity  failover  expect  converge
        failover      held      held    held      held
        ");
    }

    #[test]
    fn a_failure_is_one_block_with_the_command_that_replays_it() {
        insta::assert_snapshot!(human(&[sample::broken()]), @"
        failover on studio (sha256:0123456789ab): 3 seeds, 1 of them whole servers on turmoil, 4m30s simulated
          without a seat   at worst 4.1s (seed 1), in the median 40ms
          seats lost       1 client (seed 2)
          requests         0 granted, 0 renewed, 0 refused, 0 without an answer

        scenario  capacity  failover  expect  converge
        failover    1 of 3      held  1 of 3      held

        violated: capacity in failover, seed 1
          at 41.2s: 21 seats of `designer` are held and `lic-b` granted the last one with a capacity of 20
                     lic-a
              30.0s  loses power
        >     41.2s  here
          replay: tandem-sim run failover --seed 1 --world core

        not as expected: in failover, seed 2
          at 35.0s: `lic-b` is standby, not active
          replay: tandem-sim run failover --seed 2 --world core
          the nearest run that is well: seed 0
        ");
    }
}
