//! A schema file of another version.
//!
//! `manifest.schema.json` beside the manifest tells an editor which fields there are. It is not the schema of this
//! version, so the editor would mark what is right, or miss what is wrong.
//!
//! ```yaml
//! # yaml-language-server: $schema=manifest.schema.json
//! ```
//!
//! **What to do:** Write it again: `tandem schema > manifest.schema.json`.

use super::Written;
use super::report::Report;
use crate::json;
use crate::manifest::finding::Code;
use crate::manifest::schema;

/// A schema file of another version.
pub static CODE: Code = Code::warning("W0404", "schema-old");

pub(super) fn check(written: &Written<'_>, report: &mut Report<'_>) {
    let Some(bytes) = written.schema else { return };
    // Compared as values: an editor may have formatted the file.
    let current = schema::json();
    let value = |bytes: &[u8]| json::value(bytes, json::Nulls::Accepted).ok();
    let read = value(bytes);
    if bytes != current.as_bytes() && (read.is_none() || read != value(current.as_bytes())) {
        let file = match written.file.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/manifest.schema.json"),
            None => "manifest.schema.json".to_owned(),
        };
        let message = "`manifest.schema.json` is not the schema of this version".to_owned();
        let help = "write it again: `tandem schema > manifest.schema.json`".to_owned();
        report.file(&CODE, &file, message, help);
    }
}
