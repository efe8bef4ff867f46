//! `tandem vendor`: what the vendor of an application does, makes a key and issues license files.

use std::path::{Path, PathBuf};

use crate::cli::Context;
use crate::cli::error::{Exit, Explain as _, Failure};
use crate::cli::key_file::{Access, SecretKey, write_new, write_over};
use crate::cli::output::{Style, escape, paint, quote};
use crate::cli::verb::{moment, word};
use crate::license::{Block, SharePart};
use crate::measure::{Seats, Span, Timestamp};
use crate::name::{LicenseId, ProductName, PublicKey, PurchaseId};
use crate::role::{Mode, Role};
use crate::vendor::issue::{self, Order, ServerKeys};

/// Arguments of `tandem vendor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a vendor's key: PATH, for its owner only, and PATH.pub.
    Keygen {
        /// Where to write the secret key; the public key goes beside it.
        #[arg(long, value_name = "PATH", default_value = "keys/vendor")]
        out: PathBuf,
    },
    /// Issue a license file, or both files of one purchase.
    Issue(Box<Issue>),
}

#[derive(Debug, clap::Args)]
struct Issue {
    /// The vendor's secret key file.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// What is licensed.
    #[arg(long)]
    product: ProductName,
    /// How many seats.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    seats: u32,
    /// The role of the server that the file is encoded for.
    #[arg(long, value_parser = word::<Role, 2>(["primary", "secondary"]), required_unless_present = "both")]
    role: Option<Role>,
    /// The license file to write (.alf).
    #[arg(long, value_name = "FILE", required_unless_present = "both")]
    out: Option<PathBuf>,
    /// Write both files of one purchase: DIR/PRODUCT.primary.alf and DIR/PRODUCT.secondary.alf.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["role", "out", "server"])]
    both: Option<PathBuf>,
    /// Replace a license file that is there.
    #[arg(long)]
    force: bool,
    /// The license's id [default: a new one].
    #[arg(long)]
    id: Option<LicenseId>,
    /// From when its seats count, as `2026-01-31T12:00:00Z` or `2026-01-31` [default: now].
    #[arg(long, value_name = "TIME", value_parser = moment)]
    not_before: Option<Timestamp>,
    /// When it ends [default: never].
    #[arg(long, value_name = "TIME", value_parser = moment)]
    expires: Option<Timestamp>,
    /// The identity key of the only server it is for, `ed25519:BASE64` [default: any of its role].
    #[arg(long, value_name = "KEY")]
    server: Option<PublicKey>,
    /// With --both: the identity key of the only primary it is for.
    #[arg(long, value_name = "KEY", requires = "both", conflicts_with_all = ["role", "out"])]
    primary_server: Option<PublicKey>,
    /// With --both: the identity key of the only secondary it is for.
    #[arg(long, value_name = "KEY", requires = "both", conflicts_with_all = ["role", "out"])]
    secondary_server: Option<PublicKey>,
    /// The purchase whose two files share this id [default: with --both a new one].
    #[arg(long, value_name = "ID")]
    pair: Option<PurchaseId>,
    /// A redundancy mode that is allowed; may be repeated [default: all].
    #[arg(long = "mode", value_name = "MODE", value_delimiter = ',', value_parser = word::<Mode, 2>(["mirror", "escrow"]))]
    modes: Vec<Mode>,
    /// How long a secondary may serve without having heard its primary [default: without end].
    #[arg(long, value_name = "DURATION")]
    standalone: Option<Span>,
    /// The longest time for which a seat may be borrowed [default: as the manifest says].
    #[arg(long, value_name = "DURATION")]
    max_borrow: Option<Span>,
    /// A part of what makes two checkouts one seat; may be repeated [default: user and host].
    #[arg(long, value_delimiter = ',', value_parser = word::<SharePart, 4>(["user", "host", "address", "use"]))]
    share: Vec<SharePart>,
    /// A text that every lease token carries; may be repeated.
    #[arg(long = "entitlement", value_name = "TEXT")]
    entitlements: Vec<String>,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        match self.what {
            What::Keygen { out } => keygen(cx, &out),
            What::Issue(issue) => issue.run(cx),
        }
    }
}

fn keygen(cx: &Context, out: &Path) -> Result<Exit, Failure> {
    let key = SecretKey::generate(&*cx.world.entropy, "vendor")?;
    let public = key.write_pair(out, &key.key().to_string())?;
    cx.output.line(key.key())?;
    cx.output.note(format_args!(
        "wrote {} and {}: whoever buys from you adds the line above to `trust.vendors`",
        quote(&out.display().to_string()),
        quote(&public.display().to_string()),
    ));
    Ok(Exit::Done)
}

impl Issue {
    fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let key = SecretKey::read(&self.key)?.signing_key();
        let order = self.order();
        let files = match (&self.both, self.role, &self.out) {
            (Some(directory), _, _) => {
                let servers =
                    ServerKeys { primary: self.primary_server, secondary: self.secondary_server };
                let twins = issue::issue_twins(&order, servers, &key, &cx.world)?;
                let path = |role| directory.join(format!("{}.{role}.alf", self.product));
                vec![(path(Role::Primary), twins.primary), (path(Role::Secondary), twins.secondary)]
            }
            (None, Some(role), Some(out)) => {
                vec![(out.clone(), issue::issue(&order, role, self.server, &key, &cx.world)?)]
            }
            _ => return Err(Failure::usage("give `--role` and `--out`, or `--both`")),
        };
        self.write(cx, &files)?;
        Ok(Exit::Done)
    }

    fn order(&self) -> Order {
        Order {
            id: self.id.clone(),
            not_before: self.not_before,
            expires: self.expires,
            pair: self.pair.clone(),
            modes: (!self.modes.is_empty()).then(|| self.modes.clone()),
            standalone: self.standalone,
            max_borrow: self.max_borrow,
            share: (!self.share.is_empty()).then(|| self.share.clone()),
            entitlements: self.entitlements.clone(),
            ..Order::new(self.product.clone(), Seats(self.seats))
        }
    }

    /// Either every file is written or, as far as can be seen before, none.
    fn write(&self, cx: &Context, files: &[(PathBuf, Block)]) -> Result<(), Failure> {
        let there = files.iter().map(|(path, _)| path).find(|path| path.exists());
        if let Some(there) = there.filter(|_| !self.force) {
            return Err(Failure::new(format!(
                "{} is there already",
                quote(&there.display().to_string())
            ))
            .with_help("replace it with `--force`, or name another file"));
        }
        for (path, block) in files {
            let text = block.armor();
            if self.force {
                write_over(path, text.as_bytes(), Access::All)?;
            } else {
                write_new(path, text.as_bytes(), Access::All)
                    .help(|| "replace it with `--force`".to_owned())?;
            }
            cx.output.line(format_args!(
                "{} {} license for {} of {}: {}",
                paint(Style::Good, "issued"),
                block.label_role(),
                seats(self.seats),
                quote(self.product.as_str()),
                escape(&path.display().to_string()),
            ))?;
        }
        Ok(())
    }
}

fn seats(count: u32) -> String {
    if count == 1 { "1 seat".to_owned() } else { format!("{count} seats") }
}
