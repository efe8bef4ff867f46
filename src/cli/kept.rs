//! The leases that `checkout` left to live by themselves: token and use in the user's state directory, for its
//! owner only, where `release` finds them.
//!
//! A file a use. One whose lease has run out long ago is of no use to anybody and is removed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::{Explain as _, Failure};
use super::key_file::{Access, write_over};
use super::output::quote;
use crate::api::LeaseBody;
use crate::client::Endpoint;
use crate::measure::{Span, Timestamp};
use crate::name::LeaseId;
use crate::seam::who;
use crate::text::hex;

/// No kept lease is longer.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// The most files that are looked at.
const FILES_MAX: usize = 10_000;
/// How long after its end a lease is forgotten.
const FORGOTTEN_AFTER: Span = Span::from_secs(24 * 3600);

/// A lease that was checked out on this computer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The version of this file: 1.
    schema: u32,
    /// The servers of the pair, as `--server` takes them.
    servers: Vec<String>,
    /// The lease, with its token.
    pub(crate) lease: LeaseBody,
}

impl Kept {
    /// The servers of its pair.
    pub(crate) fn servers(&self) -> Result<Vec<Endpoint>, Failure> {
        Ok(crate::client::servers_from(&self.servers.join(","))?)
    }
}

/// Where the leases are kept.
#[derive(Clone, Debug)]
pub(crate) struct Leases {
    directory: PathBuf,
}

impl Leases {
    /// Those of this user.
    pub(crate) fn of_user() -> Result<Self, Failure> {
        let state = who::state_directory().ok_or_else(|| {
            Failure::new("there is no place to keep the lease's token: you have no home directory")
                .with_help("set `XDG_STATE_HOME`, or run the command under `tandem checkout`")
        })?;
        Ok(Self { directory: state.join("tandem").join("leases") })
    }

    /// Keeps a lease, and forgets those that have ended long ago.
    pub(crate) fn keep(
        &self,
        servers: &[Endpoint],
        lease: &LeaseBody,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let kept = Kept {
            schema: 1,
            servers: servers.iter().map(ToString::to_string).collect(),
            lease: lease.clone(),
        };
        write_over(&self.path(lease), &serde_json::to_vec_pretty(&kept)?, Access::Owner)?;
        for old in self.all()? {
            if now.since(old.lease.expires_at) > FORGOTTEN_AFTER {
                self.forget(&old)?;
            }
        }
        Ok(())
    }

    /// What is kept of a lease: every use that was checked out here.
    pub(crate) fn of_lease(&self, lease: &LeaseId) -> Result<Vec<Kept>, Failure> {
        Ok(self.all()?.into_iter().filter(|kept| kept.lease.id == *lease).collect())
    }

    /// Removes what is kept of a use.
    pub(crate) fn forget(&self, kept: &Kept) -> Result<(), Failure> {
        let path = self.path(&kept.lease);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error)
                .context(|| format!("{} could not be removed", quote(&path.display().to_string()))),
            _ => Ok(()),
        }
    }

    /// Every lease that is kept, by id and use. Files that are not ours are passed over.
    fn all(&self) -> Result<Vec<Kept>, Failure> {
        let name = || quote(&self.directory.display().to_string());
        let entries = match std::fs::read_dir(&self.directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.context(|| format!("{} could not be read", name()))?,
        };
        let mut paths: Vec<PathBuf> =
            entries.take(FILES_MAX).filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        Ok(paths
            .into_iter()
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .filter_map(|path| {
                let kept = read(&path)?;
                (kept.schema == 1 && self.path(&kept.lease) == path).then_some(kept)
            })
            .collect())
    }

    /// The file of a use: named so that no server can choose a path.
    fn path(&self, lease: &LeaseBody) -> PathBuf {
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(lease.use_id.as_str());
        let short = hex(&digest[..8]);
        self.directory.join(format!("{}.{short}.json", lease.id.folded()))
    }
}

fn read(path: &std::path::Path) -> Option<Kept> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::servers_from;

    fn lease(id: &str, use_id: &str, expires: &str) -> LeaseBody {
        serde_json::from_value(serde_json::json!({
            "id": id, "use": use_id, "uses": [use_id], "product": "designer", "user": "ana",
            "host": "ws-1", "seats": 1, "assignment": 0, "server": "a", "epoch": 1,
            "grantedAt": "2026-01-01T00:00:00.000Z", "expiresAt": expires,
            "ttlMs": 300_000, "token": "a.b.c",
        }))
        .expect("a lease")
    }

    #[test]
    fn what_is_kept_is_found_by_its_lease_and_forgotten_a_day_after_its_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let leases = Leases { directory: directory.path().join("leases") };
        let servers = servers_from("4820@127.0.0.1,4821@127.0.0.1").expect("servers");
        let now: Timestamp = "2026-01-02T00:04:59Z".parse().expect("a time");
        let one = LeaseId::new("L-1").expect("an id");
        assert_eq!(leases.of_lease(&one).expect("none"), []);
        let early = "2026-01-01T00:05:00.000Z";
        for kept in
            [lease("L-1", "u1", early), lease("L-1", "u2", early), lease("L-2", "u3", early)]
        {
            leases.keep(&servers, &kept, now).expect("kept");
        }
        std::fs::write(directory.path().join("leases/x.json"), "{}").expect("another file");
        let found = leases.of_lease(&one).expect("two");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].servers().expect("servers"), servers);
        leases.forget(&found[0]).expect("forgotten");
        leases.forget(&found[0]).expect("forgotten already");
        assert_eq!(leases.of_lease(&one).expect("one").len(), 1);
        let late = lease("L-3", "u4", "2026-02-01T00:05:00.000Z");
        leases.keep(&servers, &late, now + Span::from_secs(2)).expect("kept");
        assert_eq!(leases.all().expect("one").len(), 1);
    }

    #[test]
    #[cfg(unix)]
    fn a_token_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a directory");
        let leases = Leases { directory: directory.path().to_owned() };
        let lease = lease("L-1", "../../u1", "2026-01-01T00:05:00.000Z");
        leases.keep(&[], &lease, Timestamp::default()).expect("kept");
        let mode = std::fs::metadata(leases.path(&lease)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
