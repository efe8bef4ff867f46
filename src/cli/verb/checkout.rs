//! `tandem checkout`: takes a seat, and holds it while a command runs.

use std::ffi::OsString;

use serde::Serialize;

use crate::api::LeaseBody;
use crate::cli::Context;
use crate::cli::child::Running;
use crate::cli::error::{Exit, Failure};
use crate::cli::kept::Leases;
use crate::cli::output::quote;
use crate::cli::servers::{Servers, no_seat};
use crate::cli::verb::Format;
use crate::client::{CheckoutError, CheckoutRequest, Client, Seat, Standing};
use crate::measure::{Seats, Span};
use crate::name::{HostName, ProductName, UserName};
use crate::seam::who;

/// How long the end of a command waits for a server to take its seat back.
const RELEASE_WITHIN: Span = Span::from_secs(3);

/// Arguments of `tandem checkout`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: those of CMD where there is one (128 and the number of the signal that ended it; 126 if it cannot be
run, 127 if it is not there); else 0 done, 64 usage, 69 no server could be reached or none served, 75 no seat is
free, 77 not entitled, denied or an unknown product, 1 anything else.")]
pub(crate) struct Args {
    #[command(flatten)]
    wanted: Wanted,
    /// Wait so long for a seat where none is free, for example `10m`, in the order of priorities and arrivals.
    #[arg(long, value_name = "DUR")]
    wait: Option<Span>,
    /// What happens when the seat is lost while CMD runs.
    #[arg(long, value_enum, default_value_t, requires = "command")]
    on_lost: OnLost,
    #[command(flatten)]
    servers: Servers,
    /// How to print the lease.
    #[arg(long, value_enum, default_value_t, conflicts_with = "command")]
    format: Format,
    /// Run this command and hold the seat until it ends.
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// What is wanted, and for whom.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Wanted {
    /// The product whose seats are wanted.
    product: ProductName,
    /// Who wants them [default: your login].
    #[arg(long)]
    user: Option<UserName>,
    /// On which computer [default: this one].
    #[arg(long)]
    host: Option<HostName>,
    /// How many seats, all or none.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    seats: u32,
}

impl Wanted {
    /// The request for it; of who is not named, this login and this computer.
    pub(super) fn request(&self) -> Result<CheckoutRequest, Failure> {
        let user = match &self.user {
            Some(user) => user.clone(),
            None => default("user", "your login", who::login(), UserName::new)?,
        };
        let host = match &self.host {
            Some(host) => host.clone(),
            None => default("host", "this computer's name", who::host(), HostName::new)?,
        };
        let request = CheckoutRequest::new(self.product.clone(), user, host);
        Ok(request.with_seats(Seats(self.seats)))
    }

    /// Why there is none, as the verb's failure.
    pub(super) fn no_seat(&self, error: CheckoutError, request: &CheckoutRequest) -> Failure {
        no_seat(error, self.product.as_str(), request.user.as_str())
    }
}

/// What happens when a seat is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum OnLost {
    /// Say so on standard error.
    #[default]
    Warn,
    /// Say so, and ask the command to end (SIGTERM).
    Term,
    /// Say nothing.
    Ignore,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let client = self.servers.client(cx)?;
        let request = self.request()?;
        if self.command.is_empty() {
            let lease = cx.block_on(client.checkout(&request))?;
            let lease = lease.map_err(|error| self.wanted.no_seat(error, &request))?;
            return leave(cx, &client, &lease.body, self.format);
        }
        cx.block_on(async {
            let seat = client.hold(&request).await;
            let seat = seat.map_err(|error| self.wanted.no_seat(error, &request))?;
            self.hold(cx, seat).await
        })?
    }

    fn request(&self) -> Result<CheckoutRequest, Failure> {
        let request = self.wanted.request()?;
        Ok(match self.wait {
            Some(wait) => request.with_wait(wait),
            None => request,
        })
    }

    /// Runs the command while the seat is held, and gives the seat back.
    async fn hold(&self, cx: &Context, mut seat: Seat) -> Result<Exit, Failure> {
        let ended = match Running::start(&self.command) {
            Ok(mut running) => self.watch(cx, &mut seat, &mut running).await,
            Err(failure) => Err(failure),
        };
        let released = tokio::time::timeout(RELEASE_WITHIN.to_std(), seat.release()).await;
        match released {
            Ok(Ok(())) => {}
            Ok(Err(error)) => cx.output.warning(&error.to_string()),
            Err(_) => cx.output.warning(&format!(
                "no server took the seat back within {RELEASE_WITHIN}: it ends by itself when its time has run out"
            )),
        }
        ended
    }

    async fn watch(
        &self,
        cx: &Context,
        seat: &mut Seat,
        running: &mut Running,
    ) -> Result<Exit, Failure> {
        let mut is_lost = false;
        loop {
            let standing = tokio::select! {
                biased;
                exit = running.ended() => return exit,
                standing = seat.changed() => standing,
            };
            let product = quote(self.wanted.product.as_str()).clone();
            match standing {
                Standing::Held(lease) if is_lost => {
                    is_lost = false;
                    if self.on_lost != OnLost::Ignore {
                        let server = quote(lease.body.server.as_str()).clone();
                        cx.output.note(format_args!(
                            "the seat of {product} is held again, from {server}"
                        ));
                    }
                }
                Standing::Held(_) => {}
                Standing::Lost(why) => {
                    is_lost = true;
                    match self.on_lost {
                        OnLost::Ignore => {}
                        OnLost::Warn => {
                            cx.output.warning(&format!("the seat of {product} is lost: {why}"));
                        }
                        OnLost::Term => {
                            cx.output.warning(&format!(
                                "the seat of {product} is lost, and the command is asked to end: {why}"
                            ));
                            running.terminate()?;
                        }
                    }
                }
            }
        }
    }
}

/// Leaves the lease to live by itself, and keeps what `release` needs.
pub(super) fn leave(
    cx: &Context,
    client: &Client,
    lease: &LeaseBody,
    format: Format,
) -> Result<Exit, Failure> {
    let kept = Leases::of_user()
        .and_then(|leases| leases.keep(client.servers(), lease, cx.world.clock.now().wall));
    match format {
        Format::Json => cx.output.json(&Shown { schema: 1, lease })?,
        Format::Human => {
            let seats = if lease.seats == Seats(1) { "seat" } else { "seats" };
            cx.output.line(format_args!(
                "lease {}: {} {seats} of {} for {} on {}, from {} until {}",
                lease.id,
                lease.seats,
                quote(lease.product.as_str()),
                quote(lease.user.as_str()),
                quote(lease.host.as_str()),
                quote(lease.server.as_str()),
                lease.expires_at,
            ))?;
            let (id, ttl) = (&lease.id, lease.ttl_ms);
            cx.output.note(format_args!("{}", match lease.borrowed_until {
                Some(until) => format!(
                    "borrowed: nothing needs to renew it; `tandem release {id}` returns it early, else it ends at {until}"
                ),
                None => format!(
                    "nothing renews it: `tandem release {id}` gives it back, else it ends by itself in {ttl}"
                ),
            }));
        }
    }
    if let Err(failure) = kept {
        // The seat is held all the same, and its token was printed to whoever asked for it.
        let causes = failure.causes().join(": ");
        cx.output.warning(&format!(
            "`tandem release` will not find the lease: {}: {causes}",
            failure.message()
        ));
    }
    Ok(Exit::Done)
}

/// A name that was not given: what the system says, if it is a name at all.
fn default<T>(
    flag: &str,
    what: &str,
    found: Option<String>,
    read: impl Fn(&str) -> Result<T, crate::name::NameError>,
) -> Result<T, Failure> {
    let help = || format!("name it with `--{flag}`");
    let found = found.ok_or_else(|| {
        Failure::usage(format!("{what} could not be found out")).with_help(help())
    })?;
    read(&found).map_err(|error| {
        Failure::usage(format!("{what}, {}, {error}", quote(&found))).with_help(help())
    })
}

/// The lease as it is printed.
#[derive(Serialize)]
struct Shown<'a> {
    schema: u32,
    #[serde(flatten)]
    lease: &'a LeaseBody,
}
