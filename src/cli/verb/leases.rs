//! `tandem leases`: which seats are held, as the server that serves knows it.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::api::{LeaseEntry, State};
use crate::cli::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::operator::Key;
use crate::cli::output::{escape, quote};
use crate::cli::servers::{Servers, not_ordered};
use crate::cli::verb::Format;
use crate::client::Serving;
use crate::name::{HostName, ProductName, UserName};
use crate::statement::Signs;

/// Arguments of `tandem leases`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Those of one product only.
    product: Option<ProductName>,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    key: Key,
    /// How to print them.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let client = self.servers.client(cx)?;
        let key = if self.key.is_named() { Some(self.key.find(cx, &[])?) } else { None };
        let asked = cx.block_on(async {
            let serving = client.serving().await?;
            let key = key.as_ref().map(|key| key as &dyn Signs);
            let list = client.leases(&serving, key).await?;
            Ok((serving, list))
        })?;
        let (serving, mut list) = asked.map_err(not_ordered)?;
        if let Some(product) = &self.product {
            list.leases.retain(|lease| lease.product == *product);
        }
        match self.format {
            Format::Json => cx.output.json(&Shown {
                schema: 1,
                server: serving.status.name.as_str(),
                leases: &list.leases,
            })?,
            Format::Human => print(cx, &serving, &list.leases)?,
        }
        Ok(Exit::Done)
    }
}

fn print(cx: &Context, serving: &Serving, leases: &[LeaseEntry]) -> Result<(), Failure> {
    let name = quote(serving.status.name.as_str());
    if serving.status.state != State::Active {
        cx.output.warning(&format!(
            "no server serves: this is what {name} knows, which is {}",
            serving.status.state.as_str()
        ));
    }
    if leases.is_empty() {
        cx.output.note("no seat is held");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["LEASE", "PRODUCT", "SEATS", "USER", "HOST", "SERVER", "UNTIL", ""]);
    for lease in leases {
        table.add_row(
            [
                lease.id.to_string(),
                escape(lease.product.as_str()).into_owned(),
                lease.seats.to_string(),
                lease.user.as_ref().map_or("-", UserName::as_str).to_owned(),
                lease.host.as_ref().map_or("-", HostName::as_str).to_owned(),
                escape(lease.server.as_str()).into_owned(),
                lease.borrowed_until.unwrap_or(lease.expires_at).to_string(),
                match (&lease.revoked, lease.borrowed_until) {
                    (Some(why), _) => format!("revoked: {why}"),
                    (None, Some(_)) => "borrowed".to_owned(),
                    (None, None) => String::new(),
                },
            ]
            .map(|cell| escape(&cell).into_owned()),
        );
    }
    for line in table.lines() {
        cx.output.line(line.trim())?;
    }
    if leases.iter().any(|lease| lease.user.is_none()) {
        cx.output.note("names are shown to operators only: name your key with `--key FILE`");
    }
    Ok(())
}

/// The leases as they are printed.
#[derive(Serialize)]
struct Shown<'a> {
    schema: u32,
    server: &'a str,
    leases: &'a [LeaseEntry],
}
