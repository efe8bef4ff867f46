//! `tandem status`: which server answers, what runs, what is on disk, and whether anything drifts.

use std::path::{Path, PathBuf};

use comfy_table::{ContentArrangement, Table, presets};

use crate::api::{ProductStatus, State, Status};
use crate::bundle::Bundle;
use crate::cli::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::operator::{Key, who};
use crate::cli::output::{Style, escape, paint, quote};
use crate::cli::planning;
use crate::cli::servers::Servers;
use crate::cli::verb::Format;
use crate::client::Http;
use crate::manifest::types::{Role, SshPublicKey};
use crate::measure::Span;
use crate::reconcile::desired::{Beside, Desired};
use crate::reconcile::event::short;
use crate::reconcile::observe::{self, View};
use crate::reconcile::status::{Asked, OnDisk, PairStatus};
use crate::repository::Against;

/// Arguments of `tandem status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 a server answered, 1 none did, 64 usage.")]
pub(crate) struct Args {
    /// The manifest whose pair is asked; what is on disk is judged too.
    #[arg(conflicts_with = "server")]
    manifest: Option<PathBuf>,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    key: Key,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let (pair, operators) = match &self.manifest {
            Some(path) => of_manifest(cx, path, &self.key)?,
            None => (of_servers(cx, &self.servers)?, Vec::new()),
        };
        match self.format {
            Format::Json => cx.output.json(&pair)?,
            Format::Human => cx.output.text(&human(&pair, &operators))?,
        }
        Ok(if pair.is_anybody_there() { Exit::Done } else { Exit::Failed })
    }
}

fn of_manifest(
    cx: &Context,
    path: &Path,
    key: &Key,
) -> Result<(PairStatus, Vec<SshPublicKey>), Failure> {
    let desired = Desired::read(path);
    let now = cx.world.clock.now().wall;
    let Some((manifest, Ok(pair))) =
        desired.manifest().map(|manifest| (manifest, observe::pair(manifest)))
    else {
        // What is on disk does not even say where the servers are.
        let judged = desired.judge(&Beside { now, running: None, signer: None })?;
        return Err(Failure::new(judged.first_error().unwrap_or_default())
            .with_context(format!("{} does not say where the servers are", quote(desired.file())))
            .with_help(
                "ask them by their addresses: `tandem status --server PORT@HOST,PORT@HOST`",
            ));
    };
    let operators = manifest.trust.operators.clone();
    let key = key.find_if_any(cx, &operators)?;
    let signer = key.as_ref().map(|key| key as &_);
    let http = Http::new(cx.world.clone());
    let at_hand = desired.bundle();
    let (views, observed) = cx.block_on(async {
        let views = observe::both(&http, &pair).await;
        let observed = observe::observed(&http, &views, signer, at_hand.as_ref()).await;
        (views, observed)
    })?;
    // A license that has ended is no error where it runs already, as far as that can be seen.
    let running = planning::best(&observed).map(Against::Bundle);
    let judged = desired.judge(&Beside { now, running: running.as_ref(), signer: None })?;
    let mut on_disk = OnDisk::new(desired.file(), &judged);
    if let (Some(bundle), Some(_)) = (&judged.bundle, &key)
        && views.iter().any(|view| is_other(view, bundle))
    {
        let plan = planning::plan(cx, &desired, bundle, &observed, false)?;
        on_disk.change = Some(plan.summary());
        on_disk.exceeds = !plan.exceeds.is_empty();
    }
    let asked = views.map(Asked::from).into();
    Ok((PairStatus::new(Some(manifest.metadata.name.clone()), asked, Some(on_disk)), operators))
}

/// Whether a server answered and runs another bundle than this.
fn is_other(view: &View, bundle: &Bundle) -> bool {
    view.running().is_some_and(|running| running.bundle.is_some_and(|runs| runs != bundle.hash()))
}

fn of_servers(cx: &Context, servers: &Servers) -> Result<PairStatus, Failure> {
    let servers = servers.list()?;
    let http = Http::new(cx.world.clone());
    cx.block_on(async {
        let mut asked = Vec::new();
        let mut pair = None;
        for server in servers {
            let status = observe::status(&http, &server).await;
            if pair.is_none() && status.as_ref().is_ok_and(|status| status.bundle.is_some()) {
                pair = observe::pair_name(&http, &server).await.ok();
            }
            asked.push(Asked { name: None, address: server.short(), status });
        }
        PairStatus::new(pair, asked, None)
    })
}

/// How a pair stands, for people.
pub(crate) fn human(pair: &PairStatus, operators: &[SshPublicKey]) -> String {
    let mut text = heading(pair);
    if let Some(apply) = &pair.last_apply {
        let source = &apply.source;
        let commit = source.commit.as_deref().map_or_else(
            || ", from no commit".to_owned(),
            |commit| {
                let short: String = commit.chars().take(12).collect();
                format!(", from commit {}", escape(&short))
            },
        );
        let dirty = if source.dirty { " with uncommitted edits" } else { "" };
        text.push_str(&format!(
            "last apply: generation {} by {} at {}{commit}{dirty}\n",
            apply.generation,
            escape(&who(&apply.operator, operators)),
            apply.at,
        ));
    }
    text.push_str(&format!("\n{}\n", servers_table(pair)));
    text.push_str(&handed_over(pair).unwrap_or_default());
    let shown = pair.servers.iter().filter_map(|server| server.status.as_ref());
    let serving = shown.clone().find(|status| status.state == State::Active);
    if let Some(status) = serving.or_else(|| shown.clone().next()) {
        let others: Vec<&Status> = shown.filter(|other| other.name != status.name).collect();
        if !status.products.is_empty() {
            text.push_str(&format!("\n{}\n", products_table(status, &others)));
            text.push_str(&quotas(status));
            text.push_str(&standalone(status));
        }
    }
    if let Some(on_disk) = &pair.manifest
        && on_disk.runs
    {
        text.push_str(&format!("\nmanifest: {} on disk is what runs\n", quote(&on_disk.file)));
    }
    if !pair.drift.is_empty() {
        text.push('\n');
    }
    for drift in &pair.drift {
        let server = drift.server.as_deref().map(|server| format!("{}: ", quote(server)));
        let label = paint(Style::Warning, &format!("{}:", drift.kind));
        let server = server.unwrap_or_default();
        text.push_str(&format!("{label} {server}{}\n", escape(&drift.detail)));
    }
    text
}

fn heading(pair: &PairStatus) -> String {
    let name = pair.pair.as_ref().map(|pair| format!(" {}", quote(pair.as_str())));
    let name = name.unwrap_or_default();
    let newest = pair.servers.iter().filter_map(|server| server.status.as_ref());
    let newest = newest.max_by_key(|status| status.generation);
    let runs = newest.and_then(|status| {
        let bundle = short(&status.bundle?);
        Some(format!(": generation {}, {bundle}", status.generation))
    });
    let verdict = if pair.in_sync {
        paint(Style::Good, "in sync")
    } else if runs.is_none() && pair.is_anybody_there() {
        paint(Style::Warning, "not configured yet")
    } else {
        paint(Style::Warning, "not in sync")
    };
    format!("pair{name} {verdict}{}\n", runs.unwrap_or_default())
}

/// Who leads, where that is not the primary.
fn handed_over(pair: &PairStatus) -> Option<String> {
    let said = pair.servers.iter().filter_map(|server| server.status.as_ref());
    // The later word counts, where the two have not met since.
    let status = said.max_by_key(|status| status.leader_since)?;
    let leader = status.leader.as_ref()?;
    let is_leader = *leader == status.name;
    let primary = match (status.role?, is_leader) {
        (Role::Primary, false) => &status.name,
        (Role::Secondary, true) => &status.peer.as_ref()?.name,
        _ => return None,
    };
    let (leader, primary) = (escape(leader.as_str()), escape(primary.as_str()));
    let since = status.leader_since.map(|at| format!(" since {at}")).unwrap_or_default();
    Some(format!(
        "\n`{leader}` leads{since}: service was handed over, `tandem handover {primary}` hands it back\n"
    ))
}

fn servers_table(pair: &PairStatus) -> Table {
    let mut table = table(&["SERVER", "ADDRESS", "ROLE", "STATE", "GENERATION", "PEER"]);
    for server in &pair.servers {
        let dash = || "-".to_owned();
        let (role, state, generation, peer) = match &server.status {
            None => (dash(), "unreachable".to_owned(), dash(), dash()),
            Some(status) => {
                let peer = status.peer.as_ref().map(|peer| match (peer.paired, peer.reachable) {
                    (true, _) => "in step",
                    (false, true) => "not in step",
                    (false, false) => "not heard",
                });
                let grace =
                    status.grace_ends_in_ms.map(|span| format!(", grace {}", span.in_secs()));
                (
                    status.role.map_or_else(dash, |role| role.to_string()),
                    format!("{}{}", status.state.as_str(), grace.unwrap_or_default()),
                    status.generation.to_string(),
                    peer.map_or_else(dash, str::to_owned),
                )
            }
        };
        let (name, address) = (escape(&server.server), escape(&server.address));
        table.add_row([&*name, &*address, &role, &state, &generation, &peer]);
    }
    table
}

/// Seats as the server that serves counts them; the capacity of both roles, which may differ.
fn products_table(status: &Status, others: &[&Status]) -> Table {
    let mut table = table(&[
        "PRODUCT",
        "USED",
        "CAPACITY",
        "AT THE OTHER",
        "BORROWED",
        "RESERVED",
        "WAITING",
        "OVER",
    ]);
    for product in &status.products {
        let same = |other: &&ProductStatus| other.product == product.product;
        let other = others.iter().find_map(|other| other.products.iter().find(same));
        table.add_row([
            escape(product.product.as_str()).into_owned(),
            product.used.to_string(),
            product.capacity.to_string(),
            other.map_or_else(|| "-".to_owned(), |other| other.capacity.to_string()),
            product.borrowed.to_string(),
            product.reserved.to_string(),
            product.waiting.to_string(),
            product.over_grant.to_string(),
        ]);
    }
    table
}

/// What a server may give by itself in the mode `escrow`, where it is by itself.
fn quotas(status: &Status) -> String {
    let mut text = String::new();
    if status.peer.as_ref().is_some_and(|peer| peer.paired) {
        return text;
    }
    for product in &status.products {
        let Some(quota) = product.quota else { continue };
        let (name, server) = (quote(product.product.as_str()), quote(status.name.as_str()));
        let capacity = product.capacity;
        text.push_str(&format!(
            "{name}: {server} may give {quota} of {capacity} seats while it cannot count on the other server\n"
        ));
        if let Some(parked) = product.parked.filter(|parked| parked.0 > 0) {
            text.push_str(&format!(
                "{name}: {parked} seats ran out at {server} and may be held at the other server: nobody gets them before \
                 the two are paired\n"
            ));
        }
    }
    text
}

/// Until when a secondary may serve by itself.
fn standalone(status: &Status) -> String {
    let mut text = String::new();
    for product in &status.products {
        let Some(left) = product.standalone_ends_in_ms else { continue };
        let (name, server) = (quote(product.product.as_str()), quote(status.name.as_str()));
        let left = Span::from_secs(left.ms() / 1000);
        text.push_str(&match left {
            Span::ZERO => format!(
                "{name}: {server} may not serve it any longer without its primary: nothing new is given\n"
            ),
            left => format!("{name}: {server} may serve it for {left} more without its primary\n"),
        });
    }
    text
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(head);
    table
}
