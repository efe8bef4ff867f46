//! Generated files are current: the JSON Schema and the page of each code. `UPDATE=1 cargo test --test contract`
//! writes them.

#![expect(clippy::expect_used, reason = "a test's helpers may fail as the test does")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "support/cli_page.rs"]
mod cli_page;

use tandem::manifest::finding::{Code, Severity};
use tandem::manifest::{codes, schema};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Holds a file against what it should be, or writes it.
fn current(path: &str, wanted: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(file.parent().expect("a folder")).expect("the folder can be made");
        fs::write(&file, wanted).expect("the file can be written");
        return;
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(found == wanted, "{path} is old: run `UPDATE=1 cargo test --test contract`");
}

#[test]
fn manifest_schema_is_current() {
    current("schema/manifest.schema.json", &schema::json());
}

#[test]
fn plan_schema_is_current() {
    current("schema/plan.schema.json", &tandem::plan::Plan::json_schema_text());
}

/// The file of a code: its name with `_`, in `shape` or `check`.
fn source_of(code: &Code) -> PathBuf {
    let name = format!("{}.rs", code.name.replace('-', "_"));
    let mut found =
        ["shape", "check"].into_iter().map(|dir| root().join("src/manifest").join(dir).join(&name));
    let file = found.find(|file| file.exists());
    file.unwrap_or_else(|| panic!("{code} has no file {name} in src/manifest/shape or check"))
}

/// The page of a code: its file's comment under a heading.
fn page(code: &Code) -> (String, String) {
    let source = fs::read_to_string(source_of(code)).expect("the file can be read");
    let comment = source.lines().map_while(|line| line.strip_prefix("//!"));
    let comment: Vec<&str> = comment.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let (title, body) = comment.split_first().expect("the file begins with a comment");
    let title = title.trim_end_matches('.');
    assert!(!title.is_empty() && body.iter().any(|line| line.starts_with("**What to do:**")));
    let Code { id, name, severity } = code;
    let severity = match severity {
        Severity::Error => "an error",
        Severity::Warning => "a warning",
    };
    let text = format!("# {id} {name}\n\n{title} ({severity}).\n{}\n", body.join("\n"));
    (title.to_owned(), text)
}

#[test]
fn every_code_has_its_page() {
    let dir = "docs/reference/errors";
    let mut index = String::from(
        "# Findings\n\nWhat `tandem validate` says, by number. A code beginning with E is an error, with W a warning.\n\n\
         | code | name | meaning |\n| --- | --- | --- |\n",
    );
    let mut files = BTreeSet::from(["README.md".to_owned()]);
    for code in codes::ALL {
        let (title, text) = page(code);
        current(&format!("{dir}/{}.md", code.id), &text);
        files.insert(format!("{}.md", code.id));
        let Code { id, name, .. } = code;
        index.push_str(&format!("| [{id}]({id}.md) | `{name}` | {title} |\n"));
    }
    current(&format!("{dir}/README.md"), &index);
    for entry in fs::read_dir(root().join(dir)).expect("the folder can be read") {
        let name = entry.expect("an entry").file_name().into_string().expect("a plain name");
        assert!(files.contains(&name), "{dir}/{name} is of no code");
    }
}

#[test]
fn every_file_with_a_code_is_listed() {
    for dir in ["shape", "check"] {
        let Ok(entries) = fs::read_dir(root().join("src/manifest").join(dir)) else { continue };
        for entry in entries {
            let file = entry.expect("an entry").path();
            let source = fs::read_to_string(&file).expect("the file can be read");
            if !source.contains("pub static CODE: Code") {
                continue;
            }
            let stem = file.file_stem().and_then(|stem| stem.to_str()).expect("a plain name");
            let name = stem.replace('_', "-");
            assert!(codes::find(&name).is_some(), "{name} is not in codes::ALL");
        }
    }
}

#[test]
fn the_page_of_the_command_line_is_current() {
    current("docs/reference/cli.md", &cli_page::page(tandem::cli::command()));
}
