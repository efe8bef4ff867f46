//! `tandem release`: gives back a lease that was checked out here.

use crate::cli::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::kept::{Kept, Leases};
use crate::cli::output::quote;
use crate::cli::servers::{Servers, client};
use crate::name::LeaseId;

/// Arguments of `tandem release`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The lease, as `tandem checkout` and `tandem leases` show it.
    lease: LeaseId,
    #[command(flatten)]
    servers: Servers,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let leases = Leases::of_user()?;
        let kept = leases.of_lease(&self.lease)?;
        if kept.is_empty() {
            return Err(Failure::new(format!(
                "no token of the lease {} is kept here",
                quote(self.lease.as_str())
            ))
            .with_help("release it as the user and on the computer that checked it out"));
        }
        for kept in &kept {
            self.release(cx, kept)?;
            leases.forget(kept)?;
        }
        cx.output.note(format_args!("released {}", quote(self.lease.as_str())));
        Ok(Exit::Done)
    }

    fn release(&self, cx: &Context, kept: &Kept) -> Result<(), Failure> {
        let servers = if self.servers.is_given() { self.servers.list()? } else { kept.servers()? };
        let client = client(cx, servers)?;
        cx.block_on(client.release(&kept.lease))?.map_err(|error| {
            error
                .reasons
                .into_iter()
                .fold(
                    Failure::new(format!(
                        "no server took back the lease {}",
                        quote(kept.lease.id.as_str())
                    )),
                    Failure::with_cause,
                )
                .with_help(format!("it ends by itself at {}", kept.lease.expires_at))
                .with_exit(Exit::Unreachable)
        })
    }
}
