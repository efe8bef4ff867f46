//! What others read is what the types say: the schema of scenarios, the page of mutants. `UPDATE=1` rewrites them.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::path::Path;

use tandem::mutant::Mutant;
use tandem_sim::mutants::scene;
use tandem_sim::scenario::{Builtin, Scenario};

fn current(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).expect("the file can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == text, "{} is old: run again with UPDATE=1", path.display());
}

fn schema() -> serde_json::Value {
    let generator = schemars::generate::SchemaSettings::draft07().into_generator();
    serde_json::to_value(generator.into_root_schema_for::<Scenario>()).expect("a schema is JSON")
}

#[test]
fn the_schema_of_scenarios_is_current() {
    let text = serde_json::to_string_pretty(&schema()).expect("a schema is JSON");
    current("schema/scenario.schema.json", &format!("{text}\n"));
}

#[test]
fn every_field_of_a_scenario_is_described() {
    fn check(value: &serde_json::Value, at: &str) {
        if let Some(fields) = value.get("properties").and_then(|fields| fields.as_object()) {
            for (name, field) in fields {
                assert!(field.get("description").is_some(), "{at}/{name} says nothing");
            }
        }
        if let Some(object) = value.as_object() {
            for (name, inner) in object {
                check(inner, &format!("{at}/{name}"));
            }
        }
    }
    check(&schema(), "");
}

#[test]
fn the_built_in_scenarios_are_of_the_schemas_shape() {
    let known = schema();
    let fields = known["properties"].as_object().expect("an object");
    for builtin in Builtin::all() {
        let scenario = Scenario::parse(builtin.text).expect(builtin.name);
        let value = serde_json::to_value(&scenario).expect("a scenario is JSON");
        for name in value.as_object().expect("an object").keys() {
            assert!(fields.contains_key(name), "{}: {name}", builtin.name);
        }
    }
}

#[test]
fn the_page_of_mutants_is_current() {
    let mut page = "# Mutants\n\n\
        Each mutant is a line that is wrong on purpose, in the pair, the ledger or the simulated world. It breaks one promise of\n\
        [the pair](../concepts/pair.md#promises), and the simulation must notice: in the scenario named here, by the oracle of that\n\
        promise or by what the scenario expects. The product is never built with them. To run them all, and to look at one:\n\n\
        ```\n\
        cargo run --release -p tandem-sim --features mutants -- mutants\n\
        cargo run --release -p tandem-sim --features mutants -- run SCENARIO --mutant NAME\n\
        ```\n\n\
        | mutant | what is wrong | promise | scenario |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for &mutant in Mutant::ALL {
        let place = scene(mutant);
        let known = Builtin::all().iter().any(|builtin| builtin.name == place.scenario);
        assert!(known, "{}: there is no scenario `{}`", mutant.name(), place.scenario);
        page += &format!(
            "| `{}` | {} | `{}` | `{}` |\n",
            mutant.name(),
            mutant.about(),
            place.promise.as_str(),
            place.scenario
        );
    }
    current("docs/reference/mutants.md", &page);
}
