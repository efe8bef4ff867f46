//! All codes of findings, in one table.
//!
//! To add one: make `check/NAME.rs` (or `shape/NAME.rs`) whose file name is the code's name with `_`, whose `//!`
//! comment is the manual page (the first line a title, then the meaning, a `yaml` example that triggers it, and
//! **What to do**), and which has `pub static CODE: Code = Code::error("E0103", "role-mismatch")` (or
//! `Code::warning("W0…", …)`). List it here, add a case `tests/manifest/NAME.md`, run `UPDATE=1 cargo test`.
//! Numbers: 00 shape, 01 servers and roles, 02 licenses, 03 users, groups and seats, 04 trust, keys and files;
//! errors and warnings share one space of numbers. A number is never used again for something else.

use super::finding::Code;
use super::{check, shape};

/// Every code, by number.
pub static ALL: &[&Code] = &[
    &shape::not_utf8::CODE,
    &shape::too_large::CODE,
    &shape::yaml_syntax::CODE,
    &shape::empty_manifest::CODE,
    &shape::several_documents::CODE,
    &shape::directive::CODE,
    &shape::yaml_tag::CODE,
    &shape::merge_key::CODE,
    &shape::duplicate_key::CODE,
    &shape::exploding_anchors::CODE,
    &shape::unknown_anchor::CODE,
    &shape::too_deep::CODE,
    &shape::tab_indentation::CODE,
    &shape::null_value::CODE,
    &shape::wrong_type::CODE,
    &shape::needs_quotes::CODE,
    &shape::number_notation::CODE,
    &shape::unknown_field::CODE,
    &shape::missing_field::CODE,
    &shape::unknown_value::CODE,
    &shape::invalid_name::CODE,
    &shape::invalid_duration::CODE,
    &shape::invalid_share::CODE,
    &shape::invalid_address::CODE,
    &shape::invalid_key::CODE,
    &shape::out_of_range::CODE,
    &shape::exactly_one::CODE,
    &shape::everyone_false::CODE,
    &shape::invalid_path::CODE,
    &shape::reserve_above_max::CODE,
    &shape::too_many_findings::CODE,
    &check::server_roles::CODE,
    &check::duplicate_server::CODE,
    &check::role_mismatch::CODE,
    &check::same_address::CODE,
    &check::key_missing::CODE,
    &check::not_in_force::CODE,
    &check::license_damaged::CODE,
    &check::license_signature::CODE,
    &check::vendor_not_trusted::CODE,
    &check::license_bound_elsewhere::CODE,
    &check::mode_not_allowed::CODE,
    &check::twin_missing::CODE,
    &check::license_expired::CODE,
    &check::license_not_yet_valid::CODE,
    &check::license_ends_soon::CODE,
    &check::license_repeated::CODE,
    &check::share_differs::CODE,
    &check::capacities_differ::CODE,
    &check::duplicate_name::CODE,
    &check::unknown_user::CODE,
    &check::unknown_group::CODE,
    &check::unknown_product::CODE,
    &check::product_not_assigned::CODE,
    &check::reserve_exceeds_capacity::CODE,
    &check::unassigned_user::CODE,
    &check::unreachable_assignment::CODE,
    &check::no_operator::CODE,
    &check::signer_dropped::CODE,
    &check::secret_key_tracked::CODE,
    &check::schema_old::CODE,
    &check::file_not_found::CODE,
    &check::file_not_readable::CODE,
    &check::invalid_list_line::CODE,
    &check::manifest_not_readable::CODE,
    &check::git_not_asked::CODE,
];

/// The code with this number or name.
#[must_use]
pub fn find(id_or_name: &str) -> Option<&'static Code> {
    ALL.iter().copied().find(|code| code.id == id_or_name || code.name == id_or_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::finding::Severity;

    #[test]
    fn codes_are_listed_by_number_each_once_with_its_letter() {
        let numbers: Vec<&str> = ALL.iter().filter_map(|code| code.id.get(1..)).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        let mut names: Vec<&str> = ALL.iter().map(|code| code.name).collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        for code in ALL {
            let letter = if code.severity == Severity::Error { 'E' } else { 'W' };
            assert!(code.id.starts_with(letter) && code.id.len() == 5, "{code}");
        }
    }
}
