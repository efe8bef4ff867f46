//! `schema/openapi.json` is current: `UPDATE=1 cargo test --test openapi` rewrites it.

#[test]
fn the_api_description_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/openapi.json");
    let mut current =
        serde_json::to_string_pretty(&tandem::api::openapi::document()).expect("JSON");
    current.push('\n');
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &current).expect("schema/ can be written");
    }
    let committed = std::fs::read_to_string(path).expect("schema/openapi.json");
    assert!(committed == current, "run `UPDATE=1 cargo test --test openapi` and commit the change");
}
