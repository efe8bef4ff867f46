//! `tandem validate`: everything that is wrong with a manifest, with no server asked.

use std::path::{Path, PathBuf};

use crate::cli::Context;
use crate::cli::diagnostics::{self, Format};
use crate::cli::error::{Exit, Explain as _, Failure};
use crate::cli::output::{Style, paint, quote};
use crate::manifest::check::{Circumstances, Running};
use crate::manifest::finding::{Finding, Severity};
use crate::measure::Span;
use crate::repository::{self, AgainstError, Loaded};

/// Arguments of `tandem validate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The manifests.
    #[arg(value_name = "MANIFEST", required = true)]
    manifests: Vec<PathBuf>,
    /// What runs now: a revision of git, another manifest, a bundle or a saved status. A license that has ended is
    /// only a warning where it runs already.
    #[arg(long, value_name = "REV|FILE")]
    against: Option<String>,
    /// How the findings are printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Write the findings to a file in a second format as well.
    #[arg(long, value_name = "FORMAT=FILE", value_parser = also)]
    also: Vec<(Format, PathBuf)>,
    /// Make a license that ends within this time an error, for example 30d.
    #[arg(long, value_name = "DURATION")]
    expiring_within: Option<Span>,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let mut findings = Vec::new();
        let mut valid = Vec::new();
        for manifest in &self.manifests {
            let (loaded, mut found) = self.check(manifest, cx)?;
            if is_accepted(&found) {
                valid.push(loaded);
            }
            // Two manifests of one folder have the same files around them.
            found.retain(|finding| !findings.contains(finding));
            findings.append(&mut found);
        }
        for (format, file) in &self.also {
            let text = diagnostics::render(&findings, *format)?;
            std::fs::write(file, text)
                .context(|| format!("`{}` cannot be written", file.display()))?;
        }
        diagnostics::print(&findings, self.format, &cx.output)?;
        if self.format == Format::Human {
            for loaded in &valid {
                cx.output.line(summary(loaded))?;
            }
        }
        Ok(if is_accepted(&findings) { Exit::Done } else { Exit::Failed })
    }

    fn check(&self, manifest: &Path, cx: &Context) -> Result<(Loaded, Vec<Finding>), Failure> {
        let loaded = repository::read(manifest);
        let ids = match &self.against {
            Some(text) => {
                let against = repository::against(manifest, text).map_err(|error| {
                    let is_usage = matches!(error, AgainstError::Neither(_));
                    let failure = Failure::from(error);
                    if is_usage { failure.with_exit(Exit::Usage) } else { failure }
                });
                Some(against.context(|| "`--against` cannot be used".to_owned())?.licenses(&loaded))
            }
            None => None,
        };
        let circumstances = Circumstances {
            running: ids.as_ref().map_or(Running::Nothing, Running::Licenses),
            expiring_within: self.expiring_within,
            ..Circumstances::at(cx.world.clock.now().wall)
        };
        let checked = loaded.check(&repository::survey(manifest), &circumstances);
        Ok((loaded, checked.findings))
    }
}

fn is_accepted(findings: &[Finding]) -> bool {
    !findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// What was found in order, so that nobody wonders whether anything was read.
fn summary(loaded: &Loaded) -> String {
    let count =
        |count: usize, name: &str| format!("{count} {name}{}", if count == 1 { "" } else { "s" });
    let (pair, products, users) =
        loaded.manifest.as_ref().map_or_else(Default::default, |manifest| {
            (manifest.metadata.name.to_string(), manifest.seats.len(), manifest.users.len())
        });
    format!(
        "{} {} describes the pair {}: {}, {}, {}",
        paint(Style::Good, "valid:"),
        quote(&loaded.file),
        quote(&pair),
        count(products, "product"),
        count(users, "user"),
        count(loaded.licenses.len(), "license file"),
    )
}

/// Reads `FORMAT=FILE`.
fn also(text: &str) -> Result<(Format, PathBuf), String> {
    let (format, file) =
        text.split_once('=').ok_or("write FORMAT=FILE, for example json=findings.json")?;
    if file.is_empty() {
        return Err("the file has no name".to_owned());
    }
    let format = <Format as clap::ValueEnum>::from_str(format, false)
        .map_err(|_| format!("there is no format `{format}`: human, json and github are"))?;
    Ok((format, file.into()))
}
