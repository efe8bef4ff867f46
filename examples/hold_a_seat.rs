//! An application that takes a seat, works as long as it holds it, and gives it back: all a vendor needs.
//!
//! `cargo run --example hold_a_seat -- designer` asks the servers of `TANDEM_SERVERS`, else those of the example
//! manifests. Stop one server while it runs: the next line names the other one.

#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use std::error::Error;

use tandem::client::{CheckoutRequest, Client, Standing, servers_from};
use tandem::seam::{World, who};

const SERVERS: &str = "4820@127.0.0.1,4821@127.0.0.1";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let product = std::env::args().nth(1).unwrap_or_else(|| "designer".to_owned());
    let servers = std::env::var("TANDEM_SERVERS").unwrap_or_else(|_| SERVERS.to_owned());
    let user = who::login().ok_or("nobody is logged in")?;
    let host = who::host().ok_or("this computer has no name")?;

    let client = Client::new(World::real(), servers_from(&servers)?)?;
    let request = CheckoutRequest::new(product.parse()?, user.parse()?, host.parse()?);
    // A refusal says why: every seat is taken, or the manifest gives this user none.
    let mut seat = client.hold(&request).await?;
    tell(&seat.standing());

    // The seat is renewed in the background. Work goes on here; this program only watches.
    loop {
        tokio::select! {
            biased;
            stopped = tokio::signal::ctrl_c() => break stopped?,
            standing = seat.changed() => tell(&standing),
        }
    }
    seat.release().await?;
    println!("given back");
    Ok(())
}

/// An application would let its user save and stop working while the seat is lost.
fn tell(standing: &Standing) {
    match standing {
        Standing::Held(lease) => println!(
            "held: {} answered, lease {} until {}",
            lease.answered_by, lease.body.id, lease.body.expires_at
        ),
        Standing::Lost(why) => println!("lost: {why}"),
    }
}
