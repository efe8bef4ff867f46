//! What a manifest is found to be, in Markdown: one case file a code in `tests/manifest/`, named as the code is.
//! `UPDATE=1 cargo test --test manifest` writes what is found now.
//!
//! A case is a block ```` ```yaml ```` and after it a block ```` ```findings ````. The YAML is completed with the
//! top-level fields that a valid manifest has and it lacks, after its last line, so that its own lines count from 1;
//! ```` ```yaml whole ```` is taken as it stands.
#![expect(clippy::expect_used, reason = "a test's helpers may fail as the test does")]

mod manifest {
    mod oracle;
}

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tandem::manifest::finding::{Code, Finding, Place};
use tandem::manifest::{codes, parse};

const FIELDS: [(&str, &str); 5] = [
    ("apiVersion", "apiVersion: tandem/v1\n"),
    ("kind", "kind: LicensePair\n"),
    ("metadata", "metadata: {name: studio-west}\n"),
    (
        "servers",
        "servers:\n\
         - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820}\n\
         - {name: lic-b, role: secondary, address: 127.0.0.1, port: 4821}\n",
    ),
    ("seats", "seats: [{product: designer, assign: [{everyone: true}]}]\n"),
];

/// The YAML and what else a valid manifest has.
fn completed(yaml: &str) -> String {
    let mut text = yaml.to_owned();
    for (name, field) in FIELDS {
        let given = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':'));
        if !yaml.lines().any(given) {
            text.push_str(field);
        }
    }
    text
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifest")
}

/// Findings, two lines each: place, code and message; advice.
fn shown(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { code, place, message, help, .. } in findings {
        let place = place.map_or("-".to_owned(), |Place { line, column, end_line, end_column }| {
            if line == end_line {
                format!("{line}:{column}-{end_column}")
            } else {
                format!("{line}:{column}-{end_line}:{end_column}")
            }
        });
        let _ = writeln!(text, "{place} {code}: {message}\n  help: {help}");
    }
    text
}

/// The text of a case file with what is found now, and the codes that are.
fn found_now(file: &str) -> (String, Vec<&'static Code>) {
    let mut text = String::new();
    let mut yaml: Option<String> = None;
    let mut whole = false;
    let mut found = Vec::new();
    let mut lines = file.lines();
    while let Some(line) = lines.next() {
        let _ = writeln!(text, "{line}");
        let Some(kind) = line.strip_prefix("```").filter(|kind| !kind.is_empty()) else { continue };
        let block: String = lines
            .by_ref()
            .take_while(|line| *line != "```")
            .map(|line| format!("{line}\n"))
            .collect();
        if kind.starts_with("yaml") {
            whole = kind == "yaml whole";
            text.push_str(&block);
            yaml = Some(block);
        } else if kind == "findings" {
            let yaml = yaml.take().expect("a yaml block before the findings");
            let yaml = if whole { yaml } else { completed(&yaml) };
            let (_, findings) = parse("tandem.yaml", yaml.as_bytes());
            text.push_str(&shown(&findings));
            found.extend(findings.iter().map(|finding| finding.code));
        } else {
            text.push_str(&block);
        }
        text.push_str("```\n");
    }
    assert!(yaml.is_none(), "a yaml block without its findings");
    (text, found)
}

#[test]
fn every_case_finds_what_it_says() {
    let mut wrong = Vec::new();
    for entry in fs::read_dir(folder()).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a plain name");
        let file = fs::read_to_string(&path).expect("the case can be read");
        let (now, found) = found_now(&file);
        let code = codes::find(&name.replace('_', "-"));
        let found = code.is_some_and(|code| found.contains(&code));
        assert!(found || name == "valid", "{name}.md never finds its code");
        if now == file {
            continue;
        }
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, now).expect("the case can be written");
        } else {
            wrong.push(format!("{name}.md:\n{}", similar_lines(&file, &now)));
        }
    }
    assert!(wrong.is_empty(), "run `UPDATE=1 cargo test --test manifest`\n{}", wrong.join("\n"));
}

/// The lines that differ.
fn similar_lines(old: &str, new: &str) -> String {
    let gone = old.lines().filter(|line| !new.lines().any(|other| other == *line));
    let come = new.lines().filter(|line| !old.lines().any(|other| other == *line));
    gone.map(|line| format!("- {line}\n")).chain(come.map(|line| format!("+ {line}\n"))).collect()
}

/// Codes whose case is no text of a few lines: `src/manifest/tests.rs` has them.
const NOT_IN_MARKDOWN: [&str; 3] = ["not-utf8", "too-large", "too-many-findings"];

#[test]
fn every_code_of_shape_has_a_case() {
    let shape = codes::ALL.iter().filter(|code| code.id.starts_with("E00"));
    for code in shape.filter(|code| !NOT_IN_MARKDOWN.contains(&code.name)) {
        let case = folder().join(format!("{}.md", code.name));
        assert!(case.exists(), "{code} has no case tests/manifest/{}.md", code.name);
    }
}

#[test]
fn the_example_of_every_page_of_shape_finds_its_code() {
    for code in codes::ALL.iter().filter(|code| code.id.starts_with("E00")) {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/errors");
        let page = fs::read_to_string(page.join(format!("{}.md", code.id))).expect("its page");
        let Some((_, rest)) = page.split_once("```yaml\n") else { continue };
        let (yaml, _) = rest.split_once("```").expect("the block ends");
        let text = if code.name == "empty-manifest" { yaml.to_owned() } else { completed(yaml) };
        let (_, findings) = parse("tandem.yaml", text.as_bytes());
        let found = findings.iter().any(|finding| finding.code == *code);
        assert!(found, "the example of {code} finds {}", shown(&findings));
    }
}
