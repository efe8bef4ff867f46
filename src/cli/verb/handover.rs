//! `tandem handover`: an operator moves service to the other server, without waiting for a timeout.

use serde::Serialize;

use crate::api::{State, Status};
use crate::cli::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::operator::Key;
use crate::cli::output::quote;
use crate::cli::servers::{PairServers, not_ordered};
use crate::cli::verb::Format;
use crate::client::{Client, OrderError, Serving};
use crate::name::{ProductName, ServerName};
use crate::statement::Order;

/// Arguments of `tandem handover`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The two servers must be paired. Holders keep their seats; for a moment they are told to ask again. The named server
serves until service is handed back (`tandem handover` of the other one), or until it dies and the other one takes its
place; the primary leads from then on.

Exit codes: 0 it serves, 1 it does not and nothing has changed or the other server serves on, 64 usage, 69 no server
could be reached, or none told whether it serves.")]
pub(crate) struct Args {
    /// The server that is to serve, by its name.
    name: ServerName,
    #[command(flatten)]
    servers: PairServers,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    key: Key,
}

/// What was done, with `--format json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    schema: u32,
    from: ServerName,
    to: ServerName,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let client = self.servers.client(cx)?;
        let moved = cx.block_on(self.move_service(cx, &client))??;
        let Some(from) = moved else {
            cx.output.note("nothing has changed");
            return Ok(Exit::Failed);
        };
        let (name, was) = (quote(self.name.as_str()), quote(from.as_str()));
        cx.output.note(format_args!(
            "{name} serves in the place of {was}; `tandem handover {from}` hands back"
        ));
        if self.format == Format::Json {
            cx.output.json(&Done { schema: 1, from, to: self.name })?;
        }
        Ok(Exit::Done)
    }

    /// Has service moved. Who served before; nobody where it is not wanted after all.
    async fn move_service(
        &self,
        cx: &Context,
        client: &Client,
    ) -> Result<Option<ServerName>, Failure> {
        let answering = client.answering().await;
        let (serving, other) = who_serves(answering.map_err(|error| not_ordered(error.into()))?)?;
        let name = quote(self.name.as_str());
        for product in short_of_seats(&serving.status, other.as_ref()) {
            cx.output.warning(&format!(
                "{} has more seats out than {name} offers: nothing new is granted of it until enough are given back",
                quote(product.as_str())
            ));
        }
        let from = serving.status.name.clone();
        if from != self.name && !self.is_wanted(cx, &from)? {
            return Ok(None);
        }
        let key = self.key.find_for(cx, client, &serving).await?;
        let order = Order::Handover { server: self.name.clone() };
        match client.order(&serving, order, &key).await {
            Ok(()) => {}
            Err(error) if error.is_unanswered() => self.look(client, error).await?,
            Err(error) => {
                let why = format!("service was not handed over to {name}");
                return Err(not_ordered(error).with_context(why));
            }
        }
        Ok(Some(from))
    }

    /// The server that was told has died before it answered, as may be why it was told: the other one knows.
    async fn look(&self, client: &Client, error: OrderError) -> Result<(), Failure> {
        let answering = client.answering().await.unwrap_or_default();
        let serves = |status: &Status| status.name == self.name && status.state == State::Active;
        if answering.iter().any(|one| serves(&one.status)) {
            return Ok(());
        }
        let why = format!("it is not known whether {} serves", quote(self.name.as_str()));
        Err(not_ordered(error)
            .with_context(why)
            .with_help("`tandem status` shows who serves; where it is not this one, ask again"))
    }

    fn is_wanted(&self, cx: &Context, from: &ServerName) -> Result<bool, Failure> {
        if self.yes {
            return Ok(true);
        }
        let without =
            format!("to hand over without being asked: `tandem handover --yes {}`", self.name);
        let (from, to) = (quote(from.as_str()), quote(self.name.as_str()));
        cx.output.confirm(&format!("move service from {from} to {to}?"), &without)
    }
}

/// The server that serves, and what the other one says, where it says anything.
fn who_serves(mut answering: Vec<Serving>) -> Result<(Serving, Option<Status>), Failure> {
    let Some(at) = answering.iter().position(|one| one.status.state == State::Active) else {
        return Err(Failure::new("no server that could be reached serves now")
            .with_help("`tandem status` shows what each of them does; ask again in a moment"));
    };
    let serving = answering.swap_remove(at);
    Ok((serving, answering.pop().map(|other| other.status)))
}

/// The products of which more seats are held than the other server offers.
fn short_of_seats<'a>(
    serving: &'a Status,
    other: Option<&'a Status>,
) -> impl Iterator<Item = &'a ProductName> {
    let of_other = other.into_iter().flat_map(|other| &other.products);
    of_other
        .filter(|offered| {
            let held = serving.products.iter().find(|held| held.product == offered.product);
            held.is_some_and(|held| held.used > offered.capacity)
        })
        .map(|offered| &offered.product)
}
