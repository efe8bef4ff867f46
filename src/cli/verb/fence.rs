//! `tandem fence`: an operator says that a server is dead, so that the other one need not wait for it.

use crate::cli::Context;
use crate::cli::error::{Exit, Explain as _, Failure};
use crate::cli::operator::Key;
use crate::cli::output::quote;
use crate::cli::servers::{PairServers, not_ordered};
use crate::name::ServerName;
use crate::statement::Order;

/// Arguments of `tandem fence`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Fence a server only when it serves nobody and cannot come back by itself: its machine is off, or its process is
stopped. The other server then ends its grace and takes what waits for the dead one. It refuses while it hears it.")]
pub(crate) struct Args {
    /// The dead server, by its name.
    name: ServerName,
    #[command(flatten)]
    servers: PairServers,
    #[command(flatten)]
    key: Key,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let client = self.servers.client(cx)?;
        let order = Order::Fence { server: self.name.clone() };
        let told = cx.block_on(async {
            let survivor = client.survivor(&self.name).await.map_err(not_ordered)?;
            let key = self.key.find_for(cx, &client, &survivor).await?;
            client.order(&survivor, order, &key).await.map_err(not_ordered)?;
            Ok::<_, Failure>(survivor.status.name)
        })?;
        let name = quote(self.name.as_str());
        let told = told.context(|| format!("{name} was not fenced"))?;
        cx.output.note(format_args!("{} takes {name} for dead", quote(told.as_str())));
        Ok(Exit::Done)
    }
}
