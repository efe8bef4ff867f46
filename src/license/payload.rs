//! The payload of a license: a JSON object, read strictly. An unknown field, a duplicate key or a `null` is refused,
//! so that a program that knows less than the vendor never serves on half of what the vendor said.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Block, License, Rejection};
use crate::json::{self, Nulls};
use crate::measure::Seats;
use crate::mutant;
use crate::role::Mode;

/// One part of what makes two checkouts one seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SharePart {
    /// The user.
    User,
    /// The computer.
    Host,
    /// The address that the server sees.
    Address,
    /// Each checkout is a seat of its own; stands alone.
    Use,
}

impl SharePart {
    /// What is shared where a license does not say: one user on one computer has one seat.
    pub const DEFAULT: [Self; 2] = [Self::User, Self::Host];

    /// Whether a list says the same as the default.
    pub(super) fn is_default(parts: &[Self]) -> bool {
        *parts == Self::DEFAULT
    }

    /// The word for it in license files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Host => "host",
            Self::Address => "address",
            Self::Use => "use",
        }
    }
}

impl Block {
    /// What the license says, not yet verified: for reading only.
    ///
    /// # Errors
    /// The payload is not a license, or its role is not the label's.
    pub fn license(&self) -> Result<License, Rejection> {
        let Value::Object(map) =
            json::value(&self.payload, Nulls::Refused).map_err(Rejection::NotJson)?
        else {
            return Err(Rejection::NotAnObject);
        };
        let mut license = from_fields(Fields(map))?;
        if mutant!(RoleNotInSignature) {
            license.role = self.role;
        }
        if license.role != self.role {
            return Err(Rejection::RolesDisagree { label: self.role, payload: license.role });
        }
        Ok(license)
    }
}

fn from_fields(mut fields: Fields) -> Result<License, Rejection> {
    let license = License {
        id: fields.required("id")?,
        product: fields.required("product")?,
        seats: fields.required("seats")?,
        role: fields.required("role")?,
        vendor: fields.required("vendor")?,
        issued: fields.required("issued")?,
        not_before: fields.required("notBefore")?,
        expires: fields.optional("expires")?,
        server: fields.optional("server")?,
        pair: fields.optional("pair")?,
        modes: fields.optional("modes")?,
        standalone: fields.optional("standalone")?,
        max_borrow: fields.optional("maxBorrow")?,
        share: fields.optional("share")?.unwrap_or_else(|| SharePart::DEFAULT.to_vec()),
        entitlements: fields.optional("entitlements")?.unwrap_or_default(),
    };
    match fields.0.into_iter().next() {
        Some((field, _)) => Err(Rejection::UnknownField { field }),
        None => judge(&license).map(|()| license),
    }
}

/// What the fields' types alone do not rule out.
fn judge(license: &License) -> Result<(), Rejection> {
    let invalid =
        |field, problem: &str| Err(Rejection::InvalidField { field, problem: problem.to_owned() });
    if license.seats == Seats(0) {
        return invalid("seats", "a license has 1 seat or more");
    }
    if let Some(expires) = license.expires
        && expires <= license.not_before
    {
        return Err(Rejection::EndsBeforeItBegins { not_before: license.not_before, expires });
    }
    if license.share.is_empty() {
        return invalid("share", "it is empty");
    }
    if license.share.contains(&SharePart::Use) && license.share.len() > 1 {
        return invalid("share", "`use` stands alone");
    }
    if has_twice(&license.share) {
        return invalid("share", "it names one part twice");
    }
    match &license.modes {
        Some(modes) if modes.is_empty() => invalid("modes", "it is empty, so no pair could use it"),
        Some(modes) if has_twice::<Mode>(modes) => invalid("modes", "it names one mode twice"),
        _ => Ok(()),
    }
}

fn has_twice<T: Ord + Copy>(items: &[T]) -> bool {
    let mut sorted = items.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len() < items.len()
}

/// The fields of a payload that were not taken yet; what stays in the end is unknown.
struct Fields(Map<String, Value>);

impl Fields {
    fn optional<T: DeserializeOwned>(
        &mut self,
        field: &'static str,
    ) -> Result<Option<T>, Rejection> {
        self.0
            .remove(field)
            .map(serde_json::from_value)
            .transpose()
            .map_err(|error| Rejection::InvalidField { field, problem: error.to_string() })
    }

    fn required<T: DeserializeOwned>(&mut self, field: &'static str) -> Result<T, Rejection> {
        self.optional(field)?.ok_or(Rejection::MissingField { field })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::JsonError;
    use crate::license::sign::tests::license;
    use crate::role::Role;

    fn read(payload: &str) -> Result<License, Rejection> {
        Block { role: Role::Primary, signature: [0; 64], payload: payload.as_bytes().to_vec() }
            .license()
    }

    /// A valid payload with one field set to another value; `null` takes the field out.
    fn with(field: &str, value: Value) -> Result<License, Rejection> {
        let mut payload = serde_json::to_value(license(Role::Primary)).expect("JSON");
        let map = payload.as_object_mut().expect("an object");
        match value {
            Value::Null => map.remove(field),
            value => map.insert(field.to_owned(), value),
        };
        read(&payload.to_string())
    }

    #[test]
    fn a_payload_reads_as_the_license_it_was_written_from() {
        assert_eq!(with("expires", Value::Null), Ok(license(Role::Primary)));
        let full = with("entitlements", json!(["cam", "pcb"])).expect("valid");
        assert_eq!(full.entitlements, ["cam", "pcb"]);
        assert_eq!(with("share", json!(["use"])).map(|read| read.share), Ok(vec![SharePart::Use]));
        assert_eq!(
            with("modes", json!(["escrow"])).map(|read| read.modes),
            Ok(Some(vec![Mode::Escrow]))
        );
    }

    #[test]
    fn unknown_duplicate_and_null_fields_are_refused() {
        assert_eq!(
            with("color", json!("red")),
            Err(Rejection::UnknownField { field: "color".to_owned() })
        );
        assert_eq!(
            read(r#"{"id":"a","id":"a"}"#),
            Err(Rejection::NotJson(JsonError::DuplicateKey { key: "id".to_owned() }))
        );
        assert_eq!(read(r#"{"expires":null}"#), Err(Rejection::NotJson(JsonError::Null)));
        assert_eq!(read("[]"), Err(Rejection::NotAnObject));
        assert!(matches!(read("{"), Err(Rejection::NotJson(JsonError::Syntax { .. }))));
    }

    #[test]
    fn a_payload_that_is_not_text_is_refused() {
        let block =
            Block { role: Role::Primary, signature: [0; 64], payload: vec![b'"', 0xff, b'"'] };
        assert_eq!(block.license(), Err(Rejection::NotJson(JsonError::NotUtf8)));
    }

    #[test]
    fn every_required_field_is_missed() {
        for field in ["id", "product", "seats", "role", "vendor", "issued", "notBefore"] {
            assert_eq!(with(field, Value::Null), Err(Rejection::MissingField { field }));
        }
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for (field, value) in [
            ("seats", json!(0)),
            ("seats", json!(1.5)),
            ("seats", json!("10")),
            ("seats", json!(-1)),
            ("seats", json!(5_000_000_000_u64)),
            ("id", json!("a b")),
            ("role", json!("Primary")),
            ("vendor", json!("ed25519:AAAA")),
            ("issued", json!("2026-01-01T00:00:00+01:00")),
            ("share", json!([])),
            ("share", json!(["use", "user"])),
            ("share", json!(["user", "user"])),
            ("modes", json!([])),
            ("modes", json!(["mirror", "mirror"])),
            ("modes", json!(["raid"])),
            ("standalone", json!("1h30m")),
            ("maxBorrow", json!(7)),
            ("entitlements", json!("cam")),
        ] {
            let read = with(field, value.clone());
            assert!(
                matches!(&read, Err(Rejection::InvalidField { field: at, .. }) if *at == field),
                "{field}: {value}: {read:?}"
            );
        }
        let same = json!("2026-01-01T00:00:00Z");
        assert!(matches!(with("expires", same), Err(Rejection::EndsBeforeItBegins { .. })));
    }

    #[test]
    fn a_payload_of_the_other_role_is_refused() {
        assert_eq!(
            with("role", json!("secondary")),
            Err(Rejection::RolesDisagree { label: Role::Primary, payload: Role::Secondary })
        );
    }
}
