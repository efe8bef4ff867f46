//! `tandem borrow`: takes a seat for a time of its own, which nothing needs to renew: for work without the network.

use crate::cli::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::servers::Servers;
use crate::cli::verb::Format;
use crate::cli::verb::checkout::{Wanted, leave};
use crate::measure::Span;

/// Arguments of `tandem borrow`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Who may borrow, how many seats and for how long: `borrow` of an entry of `assign`. Seats are lent only while both servers
are in step, for no longer than their licenses last. `tandem release LEASE` returns one early, at whichever server answers.

Exit codes: 0 done, 64 usage, 69 no server could be reached, none served or the servers are not in step, 75 no seat is
free, 77 may not be borrowed, not entitled, denied or an unknown product, 1 anything else.")]
pub(crate) struct Args {
    #[command(flatten)]
    wanted: Wanted,
    /// For how long, for example `3d`.
    #[arg(long = "for", value_name = "DUR")]
    span: Span,
    #[command(flatten)]
    servers: Servers,
    /// How to print the lease.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        if self.span.is_zero() {
            return Err(Failure::usage("`--for` is no time at all")
                .with_help("write for example `--for 3d`"));
        }
        let client = self.servers.client(cx)?;
        let request = self.wanted.request()?.with_borrow(self.span);
        let lease = cx.block_on(client.checkout(&request))?;
        let lease = lease.map_err(|error| self.wanted.no_seat(error, &request))?;
        leave(cx, &client, &lease.body, self.format)
    }
}
