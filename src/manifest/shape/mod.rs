//! Findings of shape, one file a code: the file's comment is the code's manual page (`codes` has the recipe).
//!
//! They are made by `tree` (YAML), `walk` and `parse` (fields and types) and `limits` (ranges).

pub mod directive;
pub mod duplicate_key;
pub mod empty_manifest;
pub mod everyone_false;
pub mod exactly_one;
pub mod exploding_anchors;
pub mod invalid_address;
pub mod invalid_duration;
pub mod invalid_key;
pub mod invalid_name;
pub mod invalid_path;
pub mod invalid_share;
pub mod merge_key;
pub mod missing_field;
pub mod needs_quotes;
pub mod not_utf8;
pub mod null_value;
pub mod number_notation;
pub mod out_of_range;
pub mod reserve_above_max;
pub mod several_documents;
pub mod tab_indentation;
pub mod too_deep;
pub mod too_large;
pub mod too_many_findings;
pub mod unknown_anchor;
pub mod unknown_field;
pub mod unknown_value;
pub mod wrong_type;
pub mod yaml_syntax;
pub mod yaml_tag;
