//! Both servers of a pair in this process, and the directory beside the manifest with their state and a key.
//!
//! For `up`: nothing here leaves this machine. What the servers are configured with is not known here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Context;
use super::error::{Explain as _, Failure};
use super::key_file::{SecretKey, write_new};
use super::output::quote;
use crate::client::operator_key::{HeldKey, Search, find};
use crate::manifest::types::Server as Described;
use crate::seam::disk::Directory;
use crate::seam::files::Access;
use crate::seam::stop::Stop;
use crate::server::{Running, ServeError, Server, ServerOptions, load_identity};
use crate::statement::Signs as _;

/// Where the state is.
pub(crate) fn state_of(manifest: &Path) -> PathBuf {
    manifest.parent().unwrap_or(Path::new("")).join(".tandem")
}

/// The directory of the state, made where it is missing, with a file that tells git to ignore it.
pub(crate) fn prepare(manifest: &Path) -> Result<PathBuf, Failure> {
    let state = state_of(manifest);
    let shown = quote(&state.display().to_string()).clone();
    let ignore = state.join(".gitignore");
    std::fs::create_dir_all(&state)
        .and_then(|()| if ignore.exists() { Ok(()) } else { std::fs::write(&ignore, "*\n") })
        .context(|| format!("the directory {shown} cannot be made"))?;
    Ok(state)
}

/// The key that signs here and nowhere else: the servers take it besides the manifest's operators.
pub(crate) fn local_key(cx: &Context, state: &Path) -> Result<HeldKey, Failure> {
    let path = state.join("operator");
    if !path.exists() {
        let key = SecretKey::generate(&*cx.world.entropy, "tandem up")?;
        write_new(&path, key.to_text()?.as_bytes(), Access::Owner)?;
    }
    let mut search =
        Search { file: Some(&path), agent: None, operators: &[], password: &mut |_| None };
    Ok(find(&mut search)?.key)
}

/// Starts one server of the manifest.
pub(crate) async fn start(
    cx: &Context,
    described: &Described,
    state: &Path,
    key: &HeldKey,
) -> Result<Running, Failure> {
    let name = quote(described.name.as_str()).clone();
    let listen = SocketAddr::new(address(described)?, described.port);
    let data = state.join(described.name.as_str());
    let cannot = || format!("{name} cannot start from {}", quote(&data.display().to_string()));
    let directory = Directory::open(&data)
        .context(|| format!("the data directory of {name} cannot be made"))?;
    let identity = load_identity(&directory, &*cx.world.entropy).context(cannot)?;
    let mut options = ServerOptions::new(described.name.clone(), listen);
    options.trust = vec![key.public().clone()];
    let started =
        Server::start(cx.world.clone(), Arc::new(directory), Arc::new(identity), options).await;
    started.map_err(|error| {
        let is_taken = matches!(
            &error,
            ServeError::Listen { error, .. } if error.kind() == std::io::ErrorKind::AddrInUse
        );
        let failure = Failure::from(error).with_context(cannot());
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
pub(crate) async fn end(servers: impl Iterator<Item = Running>, stop: &mut Stop) {
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
