//! `tandem release`: gives back a lease that was checked out here, or, as an operator, ends anybody's.

use crate::cli::Context;
use crate::cli::error::{Exit, Explain as _, Failure};
use crate::cli::kept::{Kept, Leases};
use crate::cli::operator::Key;
use crate::cli::output::quote;
use crate::cli::servers::{Servers, client, not_ordered};
use crate::name::LeaseId;
use crate::statement::Order;

/// Arguments of `tandem release`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The lease, as `tandem checkout` and `tandem leases` show it.
    lease: LeaseId,
    #[command(flatten)]
    servers: Servers,
    /// End it as an operator, whoever holds it. Its seat counts until its time has run out.
    #[arg(long, requires = "reason")]
    force: bool,
    /// Why, for its holder and the history.
    #[arg(long, value_name = "TEXT", requires = "force")]
    reason: Option<String>,
    #[command(flatten)]
    key: Key,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        match &self.reason {
            Some(reason) => self.force(cx, reason),
            None => self.give_back(cx),
        }
    }

    fn force(&self, cx: &Context, reason: &str) -> Result<Exit, Failure> {
        let client = self.servers.client(cx)?;
        let lease = quote(self.lease.as_str());
        let order = Order::Release { lease: self.lease.clone(), reason: reason.to_owned() };
        let ended = cx.block_on(async {
            let serving = client.serving().await.map_err(|error| not_ordered(error.into()))?;
            let key = self.key.find_for(cx, &client, &serving).await?;
            client.order(&serving, order, &key).await.map_err(not_ordered)
        })?;
        ended.context(|| format!("the lease {lease} was not released"))?;
        cx.output.note(format_args!(
            "{lease} is renewed no more: its seat is free when its time has run out, or its holder gives it back"
        ));
        Ok(Exit::Done)
    }

    fn give_back(&self, cx: &Context) -> Result<Exit, Failure> {
        let leases = Leases::of_user()?;
        let kept = leases.of_lease(&self.lease)?;
        let lease = quote(self.lease.as_str());
        if kept.is_empty() {
            return Err(Failure::new(format!("no token of the lease {lease} is kept here"))
                .with_help("release it as the user and on the computer that checked it out")
                .with_help("an operator ends any lease: `--force --reason TEXT`"));
        }
        for kept in &kept {
            self.give_back_use(cx, kept)?;
            leases.forget(kept)?;
        }
        cx.output.note(format_args!("released {lease}"));
        Ok(Exit::Done)
    }

    fn give_back_use(&self, cx: &Context, kept: &Kept) -> Result<(), Failure> {
        let servers = if self.servers.is_given() { self.servers.list()? } else { kept.servers()? };
        let client = client(cx, servers)?;
        cx.block_on(client.release(&kept.lease))?.map_err(|error| {
            let lease = quote(kept.lease.id.as_str());
            error
                .reasons
                .into_iter()
                .fold(
                    Failure::new(format!("no server took back the lease {lease}")),
                    Failure::with_cause,
                )
                .with_help(format!("it ends by itself at {}", kept.lease.expires_at))
                .with_exit(Exit::Unreachable)
        })
    }
}
