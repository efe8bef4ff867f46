//! `tandem schema`.

use crate::support::Dir;

fn committed(name: &str) -> String {
    let path = format!("{}/schema/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn it_prints_the_files_of_the_repository() {
    let dir = Dir::new();
    let manifest = committed("manifest.schema.json");
    for (words, file) in [
        ("schema", &manifest),
        ("schema manifest", &manifest),
        ("schema openapi", &committed("openapi.json")),
        ("schema plan", &committed("plan.schema.json")),
        ("schema scenario", &committed("scenario.schema.json")),
    ] {
        assert_eq!(dir.tandem(words).done(), *file, "{words}");
    }
}

#[test]
fn what_has_no_schema_is_usage() {
    let stderr = Dir::new().tandem("schema lease").failed(64);
    assert!(stderr.contains("manifest, openapi, plan, scenario"), "{stderr}");
}
