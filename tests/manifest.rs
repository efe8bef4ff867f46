//! What a manifest is found to be, in Markdown: one case file a code in `tests/manifest/`, named as the code is.
//! `UPDATE=1 cargo test --test manifest` writes what is found now.
//!
//! A case is blocks and at last a block ```` ```findings ````. ```` ```yaml ```` is completed with the top-level fields
//! that it lacks, after its last line, so that its own lines count from 1; ```` ```yaml whole ```` is taken as it
//! stands. ```` ```file PATH ```` is a file beside it, ```` ```license PATH ```` a license file, one line of JSON a
//! block, ```` ```when ```` has settings. Codes of shape (E00…) are judged by shape alone.
#![expect(clippy::expect_used, reason = "a test's helpers may fail as the test does")]

mod manifest {
    pub(crate) mod case;
    mod oracle;
}

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use manifest::case::{Case, completed, shown};
use tandem::manifest::finding::Code;
use tandem::manifest::{codes, parse};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifest")
}

/// The text of a case file with what is found now, and the codes that are.
fn found_now(file: &str, of_shape: bool) -> (String, Vec<&'static Code>) {
    let mut text = String::new();
    let mut case = Case::default();
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
        let (kind, name) = kind.split_once(' ').unwrap_or((kind, ""));
        if kind == "findings" {
            let case = std::mem::take(&mut case);
            let findings = if of_shape { case.shape() } else { case.all() };
            text.push_str(&shown(&findings));
            found.extend(findings.iter().map(|finding| finding.code));
        } else {
            assert!(case.take(kind, name, &block), "there are no blocks of `{kind}`");
            text.push_str(&block);
        }
        text.push_str("```\n");
    }
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
        let code = codes::find(name);
        let of_shape = code.is_some_and(is_of_shape);
        let (now, found) = found_now(&file, of_shape);
        let finds_it = code.is_some_and(|code| found.contains(&code));
        assert!(finds_it || name == "valid", "{name}.md never finds its code");
        if now == file {
            continue;
        }
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, now).expect("the case can be written");
        } else {
            wrong.push(format!("{name}.md:\n{}", differing_lines(&file, &now)));
        }
    }
    assert!(wrong.is_empty(), "run `UPDATE=1 cargo test --test manifest`\n{}", wrong.join("\n"));
}

fn is_of_shape(code: &Code) -> bool {
    code.id.starts_with("E00")
}

fn differing_lines(old: &str, new: &str) -> String {
    let gone = old.lines().filter(|line| !new.lines().any(|other| other == *line));
    let come = new.lines().filter(|line| !old.lines().any(|other| other == *line));
    gone.map(|line| format!("- {line}\n")).chain(come.map(|line| format!("+ {line}\n"))).collect()
}

/// Codes whose case is no text of a few lines: `src/manifest/tests.rs` has them.
const NOT_IN_MARKDOWN: [&str; 3] = ["not-utf8", "too-large", "too-many-findings"];

#[test]
fn every_code_has_a_case() {
    for code in codes::ALL.iter().filter(|code| !NOT_IN_MARKDOWN.contains(&code.name)) {
        let case = folder().join(format!("{}.md", code.name));
        assert!(case.exists(), "{code} has no case tests/manifest/{}.md", code.name);
    }
}

#[test]
fn the_example_of_every_page_of_shape_finds_its_code() {
    for code in codes::ALL.iter().filter(|code| is_of_shape(code)) {
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
