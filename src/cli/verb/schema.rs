//! `tandem schema`: the JSON Schemas and the API's description that this version is built with.

use crate::api::openapi;
use crate::cli::Context;
use crate::cli::error::{Exit, Failure};
use crate::cli::output::json;
use crate::manifest::schema;
use crate::plan::Plan;

/// The simulation's program makes this one from its types; it is committed, and held current by its tests.
const SCENARIO: &str = include_str!("../../../schema/scenario.schema.json");

/// Arguments of `tandem schema`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Of what.
    #[arg(value_enum, default_value_t)]
    of: Of,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Of {
    /// A manifest: the file that editors and `validate` know as `manifest.schema.json`.
    #[default]
    Manifest,
    /// The servers' HTTP API, as OpenAPI 3.1.
    Openapi,
    /// A plan, as `plan --format json` saves it.
    Plan,
    /// A scenario of the simulation.
    Scenario,
}

impl Args {
    pub(crate) fn run(self, cx: &Context) -> Result<Exit, Failure> {
        let text = match self.of {
            Of::Manifest => schema::json(),
            Of::Openapi => json(&openapi::document())?,
            Of::Plan => Plan::json_schema_text(),
            Of::Scenario => SCENARIO.to_owned(),
        };
        cx.output.bytes(text.as_bytes())?;
        Ok(Exit::Done)
    }
}
