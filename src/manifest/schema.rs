//! The JSON Schema of a manifest, made from the types: draft-07, which editors take.

use schemars::generate::SchemaSettings;

use super::types::Manifest;

/// The schema as a pretty JSON text with a newline at its end, as `tandem schema` prints it.
#[must_use]
pub fn json() -> String {
    let generator = SchemaSettings::draft07().into_generator();
    let schema = generator.into_root_schema_for::<Manifest>();
    format!("{:#}\n", schema.as_value())
}
