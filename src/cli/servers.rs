//! Which servers a client's verb speaks to: `--server`, `TANDEM_SERVERS`, or the user's own configuration.
//!
//! It finds the list; speaking to the servers is `client`'s.

use std::path::PathBuf;

use serde::Deserialize;

use super::Context;
use super::error::{Exit, Explain as _, Failure};
use super::output::quote;
use crate::api::ProblemCode;
use crate::client::{
    AskError, CheckoutError, Client, Endpoint, OrderError, ServersError, servers_from,
};
use crate::seam::who;

/// The variable that names the servers.
const VARIABLE: &str = "TANDEM_SERVERS";
/// No configuration of a user is longer.
const CONFIG_BYTES_MAX: u64 = 64 * 1024;

/// Where the servers are.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Servers {
    /// The servers, PORT@HOST or PORT@HOST#ed25519:KEY, separated by commas [default: `TANDEM_SERVERS`, else
    /// `servers` in `tandem/config.yaml` of your configuration directory].
    #[arg(long = "server", value_name = "PORT@HOST,…")]
    server: Vec<String>,
}

/// Where the two servers of a pair are.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct PairServers {
    #[command(flatten)]
    servers: Servers,
    /// Speak to the servers that this manifest names.
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    manifest: Option<PathBuf>,
}

impl PairServers {
    /// A client of the two.
    pub(crate) fn client(&self, cx: &Context) -> Result<Client, Failure> {
        match &self.manifest {
            Some(path) => client(cx, servers_of_manifest(path)?),
            None => self.servers.client(cx),
        }
    }
}

/// The user's own configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    servers: Vec<String>,
}

impl Servers {
    /// Whether `--server` was given.
    pub(crate) const fn is_given(&self) -> bool {
        !self.server.is_empty()
    }

    /// The servers.
    pub(crate) fn list(&self) -> Result<Vec<Endpoint>, Failure> {
        if self.is_given() {
            return read(&self.server.join(","))
                .context(|| "`--server` names no servers".to_owned());
        }
        match std::env::var(VARIABLE) {
            Ok(list) if !list.trim().is_empty() => {
                return read(&list).context(|| format!("`{VARIABLE}` names no servers"));
            }
            _ => {}
        }
        let path = config_path();
        let name = path.as_ref().map_or_else(String::new, |path| path.display().to_string());
        let config = path.map_or_else(|| Ok(Config::default()), |path| config(&path))?;
        if config.servers.is_empty() {
            return Err(Failure::usage("no server is named").with_help(format!(
                "name the pair's servers with `--server 4820@HOST,4821@HOST`, in `{VARIABLE}`, or as `servers` in {}",
                quote(&name)
            )));
        }
        read(&config.servers.join(",")).context(|| format!("{} names no servers", quote(&name)))
    }

    /// A client of the servers.
    pub(crate) fn client(&self, cx: &Context) -> Result<Client, Failure> {
        client(cx, self.list()?)
    }
}

/// A client of these servers.
pub(crate) fn client(cx: &Context, servers: Vec<Endpoint>) -> Result<Client, Failure> {
    Client::new(cx.world.clone(), servers)
        .map_err(|error| Failure::from(error).with_exit(Exit::Usage))
}

fn read(list: &str) -> Result<Vec<Endpoint>, Failure> {
    servers_from(list).map_err(|error: ServersError| Failure::from(error).with_exit(Exit::Usage))
}

fn config(path: &std::path::Path) -> Result<Config, Failure> {
    use std::io::Read as _;
    let name = quote(&path.display().to_string()).clone();
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Config::default()),
        other => other.context(|| format!("{name} could not be read"))?,
    };
    let mut text = String::new();
    file.take(CONFIG_BYTES_MAX)
        .read_to_string(&mut text)
        .context(|| format!("{name} could not be read"))?;
    serde_yaml::from_str(&text)
        .map_err(|error| Failure::new(error.to_string()).with_exit(Exit::Usage))
        .context(|| format!("{name} is not a client's configuration"))
        .help(|| "it is YAML with one key: `servers: [4820@HOST, 4821@HOST]`".to_owned())
}

fn config_path() -> Option<PathBuf> {
    who::config_directory().map(|path| path.join("tandem").join("config.yaml"))
}

/// Why there is no seat, as the verb's failure: what to do about it, and the exit code that scripts go by.
pub(crate) fn no_seat(error: CheckoutError, product: &str, user: &str) -> Failure {
    let (product, user) = (quote(product), quote(user));
    match error {
        CheckoutError::NoSeat(problem) => {
            let holders: Vec<String> = problem
                .holders
                .iter()
                .filter_map(|holder| {
                    let host = holder.host.as_ref().map(|host| format!("@{host}"));
                    let user = holder.user.as_ref()?;
                    Some(quote(&format!("{user}{}", host.unwrap_or_default())))
                })
                .take(20)
                .collect();
            let mut failure = Failure::new(problem.to_string())
                .with_context(format!("no seat of {product} is free for {user}"))
                .with_exit(Exit::NoSeat);
            if !holders.is_empty() {
                failure = failure.with_help(format!("ask {} to give one back", holders.join(", ")));
            }
            failure.with_help("try again later; `tandem leases` shows which seats are held")
        }
        CheckoutError::Waited { .. } => Failure::new(error.to_string())
            .with_context(format!("no seat of {product} was given to {user}"))
            .with_exit(Exit::NoSeat)
            .with_help(
                "wait longer with `--wait`; `tandem leases` shows which seats are held, `tandem status` whether new \
                 ones are given now",
            ),
        CheckoutError::NotEntitled(problem) => Failure::new(problem.to_string())
            .with_context(format!("{user} gets no seat of {product}"))
            .with_exit(Exit::NotEntitled)
            .with_help(match problem.code {
                ProblemCode::UnknownProduct => {
                    "check the product's name: `tandem status --server PORT@HOST` lists those there are"
                }
                ProblemCode::BorrowNotAllowed => {
                    "`borrow` of an entry of `assign` says who may borrow, how many seats and for how long"
                }
                ProblemCode::Denied => {
                    "a `deny` entry of the manifest matches: change it in git, or name another `--user`"
                }
                _ => "let an entry of `assign` in the manifest match: change it in git, or name another `--user`",
            }),
        CheckoutError::Refused(problem) => Failure::new(problem.to_string())
            .with_context(format!("the checkout of {product} was refused")),
        CheckoutError::Unserved { waited, reasons } => reasons
            .into_iter()
            .fold(Failure::new(format!("no server served within {waited}")), Failure::with_cause)
            .with_exit(Exit::Unreachable)
            .with_help("`tandem status --server PORT@HOST` shows what a server waits for"),
        CheckoutError::Unreachable { reasons } => unreachable(reasons),
    }
}

/// Why a server gave nothing, as the verb's failure.
pub(crate) fn not_answered(error: AskError) -> Failure {
    match error {
        AskError::Unreachable { reasons } => unreachable(reasons),
        AskError::Http(error) => Failure::from(error).with_exit(Exit::Unreachable),
        other => other.into(),
    }
}

fn unreachable(reasons: Vec<String>) -> Failure {
    reasons
        .into_iter()
        .fold(Failure::new("no server could be reached"), Failure::with_cause)
        .with_exit(Exit::Unreachable)
        .with_help("check that the servers run and that `--server` or `TANDEM_SERVERS` names them")
}

/// Why an order was not carried out, as the verb's failure.
pub(crate) fn not_ordered(error: OrderError) -> Failure {
    match error {
        OrderError::Ask(AskError::Problem(problem)) => {
            let failure = Failure::new(problem.to_string());
            match problem.code {
                ProblemCode::UntrustedOperator => failure.with_help(
                    "sign with a key that `trust.operators` of the running manifest lists: `--key FILE`",
                ),
                ProblemCode::UnknownLease => {
                    failure.with_help("`tandem leases` shows which leases there are")
                }
                _ => failure,
            }
        }
        OrderError::Ask(error) => not_answered(error),
        other => other.into(),
    }
}

/// The servers that a manifest names.
fn servers_of_manifest(path: &std::path::Path) -> Result<Vec<Endpoint>, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read(path).context(|| format!("{} could not be read", quote(&name)))?;
    let (parsed, _) = crate::manifest::parse(&name, &text);
    let servers = parsed.map(|parsed| parsed.manifest.servers).unwrap_or_default();
    if servers.is_empty() {
        return Err(Failure::new(format!("{} names no servers", quote(&name)))
            .with_help(format!("`tandem validate {name}` says what is wrong with it")));
    }
    let endpoints = servers.iter().map(|one| Endpoint::new(&one.address, one.port, one.key));
    Ok(endpoints.collect::<Result<_, _>>()?)
}
