//! The manifest: the YAML that a person writes and git keeps. Read with positions, checked with findings.

pub mod finding;
pub mod types;
