//! `tandem up`: both servers of a manifest in this process, following the manifest. For trying out and demos.
//!
//! State and a key of its own are in `.tandem/` beside the manifest: starting again keeps the leases.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::api::{LeaseEntry, State};
use crate::cli::Context;
use crate::cli::diagnostics;
use crate::cli::error::{Exit, Explain as _, Failure};
use crate::cli::key_file::{SecretKey, write_new};
use crate::cli::output::{Style, paint, quote};
use crate::cli::screen::Screen;
use crate::cli::teller::{Lines, Teller, sentence};
use crate::cli::verb::status;
use crate::client::Http;
use crate::client::operator_key::{HeldKey, Search, find};
use crate::manifest::types::{Manifest, Server as Described, SshPublicKey};
use crate::measure::Span;
use crate::reconcile::desired::{Beside, Desired};
use crate::reconcile::event::Event;
use crate::reconcile::observe::{self, Target, View};
use crate::reconcile::standing::{Asked, Standing};
use crate::reconcile::watch::{Options, Repair, watch};
use crate::seam::disk::Directory;
use crate::seam::files::Access;
use crate::seam::stop::{Stop, Told};
use crate::server::{Running, ServeError, Server, ServerOptions, load_identity};
use crate::statement::Signs as _;

/// How often the servers are looked at, and drawn where there is a terminal.
const LOOK_EVERY: Span = Span::from_ms(500);
/// How many events stay on the screen.
const EVENTS_SHOWN: usize = 6;
/// How many leases are on the screen.
const LEASES_SHOWN: usize = 6;

/// Arguments of `tandem up`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
State and a key of its own are in `.tandem/` beside the manifest, which git is told to ignore: remove it to start
anew. Exit codes: 1 the servers cannot run, 64 usage, 130 and 143 when told to stop.")]
pub(crate) struct Args {
    /// The manifest.
    #[arg(default_value = "tandem.yaml")]
    manifest: PathBuf,
    /// How to tell what happens.
    #[arg(long, value_enum, default_value_t)]
    format: Lines,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let manifest = valid(cx, &self.manifest)?;
        let state = prepare(&self.manifest)?;
        let key = local_key(cx, &state)?;
        cx.block_on(async {
            let mut stop = Stop::listen()?;
            let pair = observe::pair(&manifest)?;
            let mut servers = Vec::new();
            for described in &manifest.servers {
                servers.push(start(cx, described, &state, &key).await?);
            }
            let told = self.follow(cx, &pair, &key, &servers, &mut stop).await;
            cx.output.note("stopping both servers");
            end(servers, &mut stop).await;
            told.map(|told| match told {
                Told::Interrupt => Exit::Interrupted,
                Told::Terminate => Exit::Terminated,
            })
        })?
    }

    /// Follows the manifest and shows both servers until told to stop.
    async fn follow(
        &self,
        cx: &Context,
        pair: &[Target; 2],
        key: &HeldKey,
        servers: &[Running],
        stop: &mut Stop,
    ) -> Result<Told, Failure> {
        let is_drawn = self.format == Lines::Human && Screen::is_there();
        let board = Board::new(cx, self.format, is_drawn);
        for (target, running) in pair.iter().zip(in_order(pair, servers)) {
            let server = target.name.clone();
            let address = running.map_or_else(String::new, |one| one.address().to_string());
            board.tell(Event::Started { server, address });
        }
        let http = Http::new(cx.world.clone());
        let options = Options {
            manifest: self.manifest.clone(),
            flags: format!("--key {} ", state_of(&self.manifest).join("operator").display()),
            repair: Repair::Config,
            interval: Span::from_secs(2),
            once: false,
            at_once: true,
        };
        let mut told = Told::Terminate;
        let gone = board.gone();
        let stopped = async {
            tokio::select! {
                biased;
                how = stop.told() => told = how,
                () = gone.notified() => {}
            }
        };
        let mut tell = |event| board.tell(event);
        tokio::select! {
            biased;
            _ = watch(&http, key, &options, stopped, &mut tell) => {}
            failure = look(cx, &http, pair, key, &board) => return Err(failure),
        }
        board.end()?;
        Ok(told)
    }
}

/// Where events and states go: lines as they come, or a drawing with the last of them.
struct Board {
    teller: Mutex<Teller>,
    last: Option<Mutex<VecDeque<String>>>,
    gone: Arc<tokio::sync::Notify>,
    clock: Arc<dyn crate::seam::clock::Clock>,
}

impl Board {
    fn new(cx: &Context, lines: Lines, is_drawn: bool) -> Self {
        let clock = Arc::clone(&cx.world.clock);
        let teller = Teller::new(cx.output, Arc::clone(&clock), lines, true);
        let gone = teller.gone();
        let last = is_drawn.then(Mutex::default);
        Self { teller: Mutex::new(teller), last, gone, clock }
    }

    fn tell(&self, event: Event) {
        let Some(last) = &self.last else {
            return self.teller.lock().unwrap_or_else(PoisonError::into_inner).tell(&event);
        };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.clock.now().wall;
        last.push_back(format!("{}  {}", paint(Style::Faint, &at.to_string()), sentence(&event)));
        while last.len() > EVENTS_SHOWN {
            last.pop_front();
        }
    }

    /// The last events, where they are drawn.
    fn events(&self) -> Option<String> {
        let last = self.last.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(last.iter().map(|line| format!("{line}\n")).collect())
    }

    fn gone(&self) -> Arc<tokio::sync::Notify> {
        Arc::clone(&self.gone)
    }

    fn end(self) -> Result<(), Failure> {
        self.teller.into_inner().unwrap_or_else(PoisonError::into_inner).end()
    }
}

/// Looks at both servers again and again: draws them, or tells what has changed.
async fn look(
    cx: &Context,
    http: &Http,
    pair: &[Target; 2],
    key: &HeldKey,
    board: &Board,
) -> Failure {
    let mut screen = Screen::new(cx.output);
    let mut before: [Option<Event>; 2] = [None, None];
    loop {
        let views = observe::both(http, pair).await;
        match board.events() {
            Some(events) => {
                let leases = leases(http, &views, key).await;
                if let Err(failure) = screen.draw(&drawing(views, key, &leases, &events)) {
                    return failure;
                }
            }
            None => {
                for (view, before) in views.iter().zip(&mut before) {
                    let now = standing_of(view);
                    if now.is_some() && now != *before {
                        now.clone().into_iter().for_each(|event| board.tell(event));
                        *before = now;
                    }
                }
            }
        }
        cx.world.clock.sleep(LOOK_EVERY).await;
    }
}

fn drawing(views: [View; 2], key: &HeldKey, leases: &str, events: &str) -> String {
    let standing = Standing::new(None, views.map(Asked::from).into(), None);
    let operators = [SshPublicKey(key.public().to_string())];
    let standing = status::human(&standing, &operators);
    format!("{standing}\n{leases}{events}\nCtrl-C stops both servers\n")
}

/// Who holds seats, as the server that serves knows it: the newest first.
async fn leases(http: &Http, views: &[View; 2], key: &HeldKey) -> String {
    let serves =
        |view: &&View| view.status.as_ref().is_ok_and(|status| status.state == State::Active);
    let Some(view) = views.iter().find(serves) else { return String::new() };
    let Ok(mut leases) = observe::leases(http, &view.target, key).await else {
        return String::new();
    };
    leases.sort_by_key(|lease| std::cmp::Reverse(lease.granted_at));
    let line = |lease: &LeaseEntry| {
        let user = lease.user.as_ref().map_or("-", |user| user.as_str());
        let host = lease.host.as_ref().map_or("-", |host| host.as_str());
        let (user, host) = (quote(user).clone(), quote(host).clone());
        let (seats, product) = (lease.seats, quote(lease.product.as_str()).clone());
        format!("lease: {user} on {host} holds {seats} of {product} until {}\n", lease.expires_at)
    };
    let mut text: String = leases.iter().take(LEASES_SHOWN).map(line).collect();
    if let Some(more) = leases.len().checked_sub(LEASES_SHOWN).filter(|more| *more > 0) {
        text.push_str(&format!("and {more} more leases\n"));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn standing_of(view: &View) -> Option<Event> {
    let status = view.status.as_ref().ok()?;
    Some(Event::State {
        server: status.name.clone(),
        state: status.state.as_str().to_owned(),
        role: status.role.map(|role| role.to_string()),
        paired: status.peer.as_ref().is_some_and(|peer| peer.paired),
    })
}

/// The servers in the order of the targets.
fn in_order<'a>(
    pair: &'a [Target; 2],
    servers: &'a [Running],
) -> impl Iterator<Item = Option<&'a Running>> {
    pair.iter().map(|target| {
        servers.iter().find(|running| running.address().port() == target.endpoint.port())
    })
}

/// The manifest, if it is valid: broken, it does not say which servers to start.
fn valid(cx: &Context, path: &Path) -> Result<Manifest, Failure> {
    let desired = Desired::read(path);
    let beside = Beside { now: cx.world.clock.now().wall, running: None, signer: None };
    let judged = desired.judge(&beside)?;
    diagnostics::tell(&judged.findings);
    match desired.manifest() {
        Some(manifest) if judged.bundle.is_some() => Ok(manifest.clone()),
        _ => {
            let failure = Failure::new(format!(
                "{} is not valid: no server was started",
                quote(desired.file())
            ));
            Err(if path.exists() {
                failure
            } else {
                failure.with_help("`tandem init` writes a manifest to start from")
            })
        }
    }
}

/// Where the state is.
fn state_of(manifest: &Path) -> PathBuf {
    manifest.parent().unwrap_or(Path::new("")).join(".tandem")
}

/// The directory of the state, made where it is missing, with a file that tells git to ignore it.
fn prepare(manifest: &Path) -> Result<PathBuf, Failure> {
    let state = state_of(manifest);
    let shown = quote(&state.display().to_string()).clone();
    let ignore = state.join(".gitignore");
    std::fs::create_dir_all(&state)
        .and_then(|()| if ignore.exists() { Ok(()) } else { std::fs::write(&ignore, "*\n") })
        .context(|| format!("the directory {shown} cannot be made"))?;
    Ok(state)
}

/// The key that signs here and nowhere else: the servers take it besides the manifest's operators.
fn local_key(cx: &Context, state: &Path) -> Result<HeldKey, Failure> {
    let path = state.join("operator");
    if !path.exists() {
        let key = SecretKey::generate(&*cx.world.entropy, "tandem up")?;
        write_new(&path, key.to_text()?.as_bytes(), Access::Owner)?;
    }
    let mut search =
        Search { file: Some(&path), agent: None, operators: &[], password: &mut |_| None };
    Ok(find(&mut search)?.key)
}

async fn start(
    cx: &Context,
    described: &Described,
    state: &Path,
    key: &HeldKey,
) -> Result<Running, Failure> {
    let name = quote(described.name.as_str()).clone();
    let listen = SocketAddr::new(address(described)?, described.port);
    let directory = Directory::open(&state.join(described.name.as_str()))
        .context(|| format!("the data directory of {name} cannot be made"))?;
    let identity =
        load_identity(&directory, &*cx.world.entropy).context(|| format!("{name} cannot start"))?;
    let mut options = ServerOptions::new(described.name.clone(), listen);
    options.trust = vec![key.public().clone()];
    let started =
        Server::start(cx.world.clone(), Arc::new(directory), Arc::new(identity), options).await;
    started.map_err(|error| {
        let is_taken = matches!(
            &error,
            ServeError::Listen { error, .. } if error.kind() == std::io::ErrorKind::AddrInUse
        );
        let failure = Failure::from(error).with_context(format!("{name} cannot start"));
        if is_taken {
            failure.with_help(format!(
                "something listens on port {} already: stop it (is `tandem up` running elsewhere?), or give {name} \
                 another port in the manifest",
                described.port
            ))
        } else {
            failure
        }
    })
}

/// The address to listen on: this machine only.
fn address(described: &Described) -> Result<IpAddr, Failure> {
    let text = described.address.as_str();
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    match text.parse::<IpAddr>() {
        Ok(address) if address.to_canonical().is_loopback() => Ok(address),
        _ => Err(Failure::new(format!(
            "{} is at {}, which is not this machine: `tandem up` runs both servers here",
            quote(described.name.as_str()),
            quote(text)
        ))
        .with_help("run `tandem serve` on each machine, and `tandem apply` from yours")),
    }
}

/// Stops the servers, the leases on disk in order. Who asks twice does not want to wait.
async fn end(servers: Vec<Running>, stop: &mut Stop) {
    let mut stopping = tokio::task::JoinSet::new();
    for server in servers {
        stopping.spawn(server.stop());
    }
    tokio::select! {
        biased;
        _ = stopping.join_all() => {}
        _ = stop.told() => {}
    }
}
