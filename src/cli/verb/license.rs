//! `tandem license`: what license files say (`inspect`), and whether they hold (`verify`).

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::key_file::OpenPublicKey;
use crate::cli::output::{Style, escape, paint, quote};
use crate::cli::verb::{Format, word};
use crate::license::{self, FILE_BYTES_MAX, License, Rejection, SharePart, Terms};
use crate::measure::Timestamp;
use crate::name::PublicKey;
use crate::role::{Mode, Role};

/// Arguments of `tandem license`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show what license files say, and whether their signatures hold.
    Inspect {
        /// License files (.alf).
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// How to print it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Check every license in license files: signature and dates, and what else is asked for.
    ///
    /// Where a purchase's files of both roles are given, each must have its twin.
    Verify {
        /// License files (.alf).
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        wanted: Wanted,
        /// How to print it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// What is asked of licenses beyond a signature that holds.
#[derive(Debug, Default, clap::Args)]
struct Wanted {
    /// The role of the server that they must be encoded for.
    #[arg(long, value_parser = word::<Role, 2>(["primary", "secondary"]))]
    role: Option<Role>,
    /// A vendor who is trusted: a key or the file of one; may be repeated.
    #[arg(long = "vendor", value_name = "KEY|FILE", value_parser = key_or_file)]
    vendors: Vec<PublicKey>,
    /// The identity key of the server that they are for.
    #[arg(long, value_name = "KEY")]
    server: Option<PublicKey>,
    /// The redundancy mode that they must allow.
    #[arg(long, value_parser = word::<Mode, 2>(["mirror", "escrow"]))]
    mode: Option<Mode>,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let now = cx.world.clock.now().wall;
        let (report, format, print): (_, _, fn(&FileReport, &Context, Timestamp) -> _) =
            match self.what {
                What::Inspect { files, format } => (inspect(&files), format, FileReport::show),
                What::Verify { files, wanted, format } => {
                    (verify(&files, &wanted, now), format, FileReport::judge)
                }
            };
        match format {
            Format::Json => cx.output.json(&report)?,
            Format::Human => report.files.iter().try_for_each(|file| print(file, cx, now))?,
        }
        Ok(if report.ok { Exit::Done } else { Exit::Failed })
    }
}

/// What is said about all files.
#[derive(Serialize)]
struct Report {
    schema: u32,
    ok: bool,
    files: Vec<FileReport>,
}

impl Report {
    fn of(files: Vec<FileReport>) -> Self {
        Self { schema: 1, ok: files.iter().all(FileReport::ok), files }
    }
}

/// What is said about one file: about itself, or about each license in it.
#[derive(Serialize)]
struct FileReport {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
    licenses: Vec<BlockReport>,
}

/// What is said about one license.
#[derive(Serialize)]
struct BlockReport {
    /// The role in the label.
    label: Role,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
    /// What it says, where it can be read; not to be believed where there is a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    license: Option<License>,
}

/// Why a file or a license is refused.
#[derive(Serialize)]
struct Problem {
    code: &'static str,
    message: String,
    help: String,
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let (code, help) = (rejection.code(), rejection.help());
        Self { code, message: rejection.to_string(), help }
    }
}

impl FileReport {
    /// Reads a file and judges each license in it.
    fn of(path: &Path, judge: impl Fn(&License) -> Result<(), Rejection>) -> Self {
        let file = path.display().to_string();
        let blocks = read(path).and_then(|bytes| license::blocks(&bytes).map_err(Problem::from));
        let (blocks, problem) = match blocks {
            Ok(blocks) => (blocks, None),
            Err(problem) => (Vec::new(), Some(problem)),
        };
        let licenses = blocks.iter().map(|block| {
            let verdict = block.verify().and_then(|license| judge(&license));
            BlockReport {
                label: block.label_role(),
                ok: verdict.is_ok(),
                problem: verdict.err().map(Problem::from),
                license: block.license().ok(),
            }
        });
        Self { file, problem, licenses: licenses.collect() }
    }

    fn ok(&self) -> bool {
        self.problem.is_none() && self.licenses.iter().all(|license| license.ok)
    }

    /// The file, or one of several licenses in it, as a message names it.
    fn name(&self, at: usize) -> String {
        let file = quote(&self.file);
        if self.licenses.len() > 1 { format!("license {} of {file}", at + 1) } else { file }
    }
}

fn inspect(files: &[PathBuf]) -> Report {
    Report::of(files.iter().map(|path| FileReport::of(path, |_| Ok(()))).collect())
}

fn verify(files: &[PathBuf], wanted: &Wanted, now: Timestamp) -> Report {
    let mut reports: Vec<_> = files
        .iter()
        .map(|path| {
            FileReport::of(path, |license| {
                wanted.judge(license).and_then(|()| license::in_date(license, now))
            })
        })
        .collect();
    check_twins(&mut reports);
    Report::of(reports)
}

impl Wanted {
    /// What was not asked for is taken from the license itself, so that it fits.
    fn judge(&self, license: &License) -> Result<(), Rejection> {
        let own = [license.vendor];
        let vendors = if self.vendors.is_empty() { &own[..] } else { &self.vendors };
        let allowed = license.modes.as_deref().unwrap_or_default().first().copied();
        license::fits(
            license,
            &Terms {
                role: self.role.unwrap_or(license.role),
                server_key: self.server.as_ref().or(license.server.as_ref()),
                vendors,
                mode: self.mode.or(allowed).unwrap_or_default(),
            },
        )
    }
}

/// Twins are missed only where files of both roles were given: the file of one server alone cannot have its twin.
fn check_twins(reports: &mut [FileReport]) {
    let good = reports.iter().flat_map(|file| &file.licenses).filter(|license| license.ok);
    let all: Vec<License> = good.filter_map(|block| block.license.clone()).collect();
    let of = |role| all.iter().any(|license| license.role == role);
    if !of(Role::Primary) || !of(Role::Secondary) {
        return;
    }
    for block in reports.iter_mut().flat_map(|file| &mut file.licenses).filter(|block| block.ok) {
        let lonely = block.license.as_ref().map(|license| license::has_twin(license, &all));
        if let Some(Err(rejection)) = lonely {
            block.ok = false;
            block.problem = Some(rejection.into());
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    // One byte more than is allowed, so that the armor can say that it is too large.
    let most = FILE_BYTES_MAX as u64 + 1;
    let result = std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    result.map(|_| bytes).map_err(|error| Problem {
        code: "unreadable",
        message: format!("could not be read: {error}"),
        help: "check the path and who may read it".to_owned(),
    })
}

/// A key as it is written in a manifest, or the file of one.
fn key_or_file(text: &str) -> Result<PublicKey, String> {
    let key = text.parse::<OpenPublicKey>().or_else(|wrong| {
        let path = Path::new(text);
        if path.exists() {
            OpenPublicKey::read(path).map_err(|failure| failure.message().to_owned())
        } else {
            Err(format!("neither `ed25519:BASE64` nor a key file ({wrong})"))
        }
    })?;
    key.key().ok_or_else(|| "not an Ed25519 key".to_owned())
}

// How it is printed for people. No line begins with what a file says.
impl FileReport {
    fn judge(&self, cx: &Context, now: Timestamp) -> Result<(), Failure> {
        if let Some(problem) = &self.problem {
            problem.print(cx, &quote(&self.file))?;
        }
        for (at, block) in self.licenses.iter().enumerate() {
            let name = self.name(at);
            match (&block.problem, &block.license) {
                (Some(problem), _) => problem.print(cx, &name)?,
                (None, Some(license)) => {
                    let good = paint(Style::Good, "valid:");
                    cx.output.line(format_args!("{good} {name} is the {}", summary(license)))?;
                    if !license.is_live_from(now) {
                        let from = license.not_before;
                        cx.output.warning(&format!("{name} counts no seats before {from}"));
                    }
                }
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn show(&self, cx: &Context, now: Timestamp) -> Result<(), Failure> {
        if let Some(problem) = &self.problem {
            problem.print(cx, &quote(&self.file))?;
        }
        for (at, block) in self.licenses.iter().enumerate() {
            let name = self.name(at);
            let Some(license) = &block.license else {
                if let Some(problem) = &block.problem {
                    problem.print(cx, &name)?;
                }
                continue;
            };
            let heading = format!("{name}: {}", summary(license));
            cx.output.line(format_args!("file {}", paint(Style::Strong, &heading)))?;
            let signature = match &block.problem {
                None => paint(Style::Good, "holds"),
                Some(problem) => {
                    let refused = paint(Style::Error, "DOES NOT HOLD");
                    format!("{refused}, believe nothing below: it {}", escape(&problem.message))
                }
            };
            cx.output.line(format_args!("  signature     {signature}"))?;
            for (field, value) in fields(license, now) {
                cx.output.line(format_args!("  {field:<13} {}", escape(&value)))?;
            }
        }
        Ok(())
    }
}

impl Problem {
    fn print(&self, cx: &Context, name: &str) -> Result<(), Failure> {
        let refused = paint(Style::Error, "refused:");
        cx.output.line(format_args!("{refused} {name} {}", escape(&self.message)))?;
        cx.output.line(format_args!("  {} {}", paint(Style::Help, "help:"), escape(&self.help)))
    }
}

fn summary(license: &License) -> String {
    let License { role, seats, product, .. } = license;
    let seats = if seats.0 == 1 { "1 seat".to_owned() } else { format!("{seats} seats") };
    format!("{role} license for {seats} of {}", quote(product.as_str()))
}

/// What a license says, field by field, for people.
fn fields(license: &License, now: Timestamp) -> Vec<(&'static str, String)> {
    let share: Vec<_> = license.share.iter().copied().map(SharePart::as_str).collect();
    let valid = match license.expires {
        Some(end) if license.is_expired_at(now) => format!("ended at {end}"),
        Some(end) => format!("from {} until {end}", license.not_before),
        None => format!("from {} without end", license.not_before),
    };
    let mut fields = vec![
        ("id", license.id.to_string()),
        ("vendor", license.vendor.to_string()),
        ("issued", license.issued.to_string()),
        ("valid", valid),
        ("one seat is", format!("one {}", share.join(" and "))),
    ];
    let mut add = |name, value: Option<String>| fields.extend(value.map(|value| (name, value)));
    add("server", license.server.map(|key| key.to_string()));
    add("purchase", license.pair.as_ref().map(ToString::to_string));
    add("modes", license.modes.as_ref().map(|modes| list(modes)));
    add("standalone", license.standalone.map(|span| format!("at most {span}")));
    add("borrowing", license.max_borrow.map(|span| format!("at most {span}")));
    let entitlements = &license.entitlements;
    add("entitlements", (!entitlements.is_empty()).then(|| list(entitlements)));
    fields
}

fn list(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
