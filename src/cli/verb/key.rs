//! `tandem key`: the SSH keys of operators.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::key_file::{OpenPublicKey, SecretKey};
use crate::cli::output::{escape, quote};
use crate::cli::verb::Format;
use crate::name::PublicKey;

/// Arguments of `tandem key`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make an operator's key: FILE, for its owner only, and FILE.pub.
    Generate {
        /// Where to write the secret key; the public key goes beside it.
        #[arg(long, value_name = "FILE", default_value = "keys/operator")]
        out: PathBuf,
        /// Whose key it is [default: the login].
        #[arg(long)]
        comment: Option<String>,
    },
    /// Show a key: its public line, its fingerprint and its `ed25519:` form.
    Show {
        /// A secret or a public key file.
        file: PathBuf,
        /// How to print it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        match self.what {
            What::Generate { out, comment } => {
                let comment = comment.unwrap_or_else(login);
                let key = SecretKey::generate(&*cx.world.entropy, &comment)?;
                let line = key.public().line()?;
                let public = key.write_pair(&out, &line)?;
                cx.output.line(escape(&line))?;
                cx.output.note(format_args!(
                    "wrote {} and {}: add the line above to `trust.operators`",
                    quote(&out.display().to_string()),
                    quote(&public.display().to_string()),
                ));
            }
            What::Show { file, format } => {
                let shown = Shown::of(&OpenPublicKey::read(&file)?)?;
                match format {
                    Format::Json => cx.output.json(&shown)?,
                    Format::Human => shown.print(cx)?,
                }
            }
        }
        Ok(Exit::Done)
    }
}

/// The user's login, as far as the environment tells.
pub(crate) fn login() -> String {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    set("USER").or_else(|| set("USERNAME")).unwrap_or_else(|| "operator".to_owned())
}

/// A key as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    schema: u32,
    public_key: String,
    fingerprint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<PublicKey>,
    comment: String,
}

impl Shown {
    fn of(key: &OpenPublicKey) -> Result<Self, Failure> {
        Ok(Self {
            schema: 1,
            public_key: key.line()?,
            fingerprint: key.fingerprint(),
            key: key.key(),
            comment: key.comment().to_owned(),
        })
    }

    fn print(&self, cx: &Context) -> Result<(), Failure> {
        cx.output.line(format_args!("public key:  {}", escape(&self.public_key)))?;
        cx.output.line(format_args!("fingerprint: {}", self.fingerprint))?;
        match self.key {
            Some(key) => cx.output.line(format_args!("key:         {key}")),
            None => Ok(()),
        }
    }
}
