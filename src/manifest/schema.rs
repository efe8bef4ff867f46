//! The JSON Schema of a manifest, made from the types: draft-07, which editors take. Its descriptions are the types'
//! doc comments.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::types::Manifest;

/// The schema as a pretty JSON text with a newline at its end, as `tandem schema` prints it.
#[must_use]
pub fn json() -> String {
    document::<Manifest>("Tandem manifest")
}

/// The schema of a type as a text like [`fn@json`], under a title.
#[must_use]
pub fn document<T: JsonSchema>(title: &str) -> String {
    format!("{:#}\n", of::<T>(title))
}

/// The schema of a type, under a title.
fn of<T: JsonSchema>(title: &str) -> Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    let mut schema = schema.to_value();
    without_null(&mut schema);
    schema
}

/// Whom an entry can be about.
const WHOM: [&str; 5] = ["user", "group", "host", "address", "everyone"];

/// Says in a record's schema that exactly one of its fields of [`WHOM`] is given.
pub(super) fn exactly_one(schema: &mut Schema) {
    let properties = schema.get("properties").and_then(Value::as_object);
    let choices: Vec<Value> = WHOM
        .into_iter()
        .filter(|whom| properties.is_some_and(|properties| properties.contains_key(*whom)))
        .map(|whom| json!({"required": [whom]}))
        .collect();
    schema.insert("oneOf".to_owned(), choices.into());
}

/// Takes `null` out: what is optional is left out, never `null`.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Array(entries) => entries.iter_mut().for_each(without_null),
        Value::Object(object) => {
            object.values_mut().for_each(without_null);
            drop_null(object);
        }
        _ => {}
    }
}

fn drop_null(object: &mut Map<String, Value>) {
    for (key, null) in [("type", json!("null")), ("enum", Value::Null)] {
        let Some(Value::Array(choices)) = object.get_mut(key) else { continue };
        choices.retain(|choice| *choice != null);
        if let ("type", [only]) = (key, choices.as_slice()) {
            let only = only.clone();
            object.insert(key.to_owned(), only);
        }
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else { return };
    let before = choices.len();
    choices.retain(|choice| *choice != json!({"type": "null"}));
    if choices.len() < before
        && let Some(choices) = object.remove("anyOf")
    {
        // Draft-07 ignores what stands beside a `$ref`, so it stays inside.
        object.insert("allOf".to_owned(), choices);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::fields;
    use super::super::types::*;
    use super::*;

    /// The fields that a derived deserializer names when it meets an unknown one.
    fn known_to_serde<T: serde::de::DeserializeOwned + std::fmt::Debug>() -> Vec<String> {
        let error = serde_json::from_str::<T>(r#"{"?": 1}"#).expect_err("an unknown field");
        let text = error.to_string();
        let (_, listed) = text.split_once("expected ").expect("what was expected");
        let names = listed.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect()
    }

    fn records() -> BTreeMap<&'static str, (Vec<&'static str>, Vec<String>)> {
        let mut records = BTreeMap::new();
        let mut add = |name, walker: &[&'static str], serde| {
            records.insert(name, (walker.to_vec(), serde));
        };
        add("", &fields::MANIFEST, known_to_serde::<Manifest>());
        add("Metadata", &fields::METADATA, known_to_serde::<Metadata>());
        add("Server", &fields::SERVER, known_to_serde::<Server>());
        add("Trust", &fields::TRUST, known_to_serde::<Trust>());
        add("Redundancy", &fields::REDUNDANCY, known_to_serde::<Redundancy>());
        add("Escrow", &fields::ESCROW, known_to_serde::<Escrow>());
        add("Leases", &fields::LEASES, known_to_serde::<Leases>());
        add("Safety", &fields::SAFETY, known_to_serde::<Safety>());
        add("Limit", &fields::LIMIT, known_to_serde::<Limit>());
        add("User", &fields::USER, known_to_serde::<User>());
        add("Group", &fields::GROUP, known_to_serde::<Group>());
        add("MemberEntry", &fields::MEMBER, member_fields());
        add("ProductSeats", &fields::PRODUCT_SEATS, known_to_serde::<ProductSeats>());
        add("Assignment", &fields::ASSIGNMENT, known_to_serde::<Assignment>());
        add("Denial", &fields::DENIAL, known_to_serde::<Denial>());
        add("Borrow", &fields::BORROW, known_to_serde::<Borrow>());
        records
    }

    #[test]
    fn schema_walker_and_derive_know_the_same_fields() {
        let schema = of::<Manifest>("Tandem manifest");
        let mut records = records();
        let properties = |schema: &Value| -> Option<Vec<String>> {
            let properties = schema.get("properties")?.as_object()?;
            assert_eq!(schema["additionalProperties"], json!(false));
            Some(properties.keys().cloned().collect())
        };
        let definitions = schema["definitions"].as_object().expect("definitions");
        let definitions = definitions.iter().map(|(name, schema)| (name.as_str(), schema));
        for (name, schema) in definitions.chain([("", &schema)]) {
            let Some(in_schema) = properties(schema) else { continue };
            let (walker, serde) = records.remove(name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(walker, serde, "{name}");
            let mut sorted: Vec<&str> = walker;
            sorted.sort_unstable();
            assert_eq!(sorted, in_schema, "{name}");
        }
        assert!(records.is_empty(), "not in the schema: {records:?}");
    }

    #[test]
    fn defaults_in_the_schema_are_those_that_hold() {
        let schema = of::<Manifest>("Tandem manifest");
        let mut defaults = 0;
        let mut explicit = |name: &str| {
            let properties = schema["definitions"][name]["properties"].as_object();
            let given = properties.expect("a record").iter().filter_map(|(field, schema)| {
                Some((field.clone(), schema.get("default")?.clone()))
            });
            let given: Map<String, Value> = given.collect();
            defaults += given.len();
            Value::Object(given)
        };
        fn same<T>(explicit: Value)
        where
            T: serde::de::DeserializeOwned + Default + PartialEq + std::fmt::Debug,
        {
            assert_eq!(serde_json::from_value::<T>(explicit).expect("readable"), T::default());
        }
        same::<Redundancy>(explicit("Redundancy"));
        same::<Escrow>(explicit("Escrow"));
        same::<Leases>(explicit("Leases"));
        same::<Limit>(explicit("Limit"));
        same::<Safety>(explicit("Safety"));
        let mut assignment = explicit("Assignment");
        assignment["everyone"] = json!(true);
        let assignment: Assignment = serde_json::from_value(assignment).expect("readable");
        let bare: Assignment = serde_json::from_value(json!({"everyone": true})).expect("readable");
        assert_eq!(assignment, bare);
        let visibility = schema["properties"]["visibility"]["default"].clone();
        let visibility: Visibility = serde_json::from_value(visibility).expect("readable");
        assert_eq!(visibility, Visibility::default());
        assert_eq!(json().matches("\"default\":").count(), defaults + 1);
    }

    #[test]
    fn null_is_nowhere() {
        assert!(!json().contains("null"));
    }
}
