//! What the tree promises and no compiler checks: every file says what it is, nothing imports upward, and every test
//! file is run.

#![expect(clippy::expect_used, reason = "a test that cannot read the tree fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(below: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![below.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Everything in the repository that is Rust.
fn all_rust_files() -> Vec<PathBuf> {
    ["src", "sim/src", "sim/tests", "tests", "examples", "benches"]
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)))
        .collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string().replace('\\', "/")
}

/// Which module of the library may import which: the table of `ARCHITECTURE.md`, under "May import".
fn table() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let names = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let module = names(cells.get(1)?).into_iter().next()?;
        Some((module, names(cells.get(3)?)))
    })
    .collect()
}

/// The module of the library that a file belongs to: its first folder or its name.
fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("a file of the library");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn every_file_opens_by_saying_what_it_is() {
    let mut bad = Vec::new();
    for path in all_rust_files() {
        let text = fs::read_to_string(&path).expect("a readable file");
        let header = text.lines().take_while(|line| line.starts_with("//!")).count();
        // The pages of error codes are the headers of their files: those may be long.
        let page = shown(&path).starts_with("src/manifest/check/")
            || shown(&path).starts_with("src/manifest/shape/");
        if header == 0 || (header > 12 && !page) {
            bad.push(format!("{}: {header} lines of `//!`", shown(&path)));
        }
    }
    assert!(bad.is_empty(), "a file opens with 1 to 12 lines of `//!`:\n{}", bad.join("\n"));
}

#[test]
fn nothing_imports_what_the_table_does_not_allow() {
    let table = table();
    let mut bad = Vec::new();
    for path in rust_files(&root().join("src")) {
        let module = module_of(&path);
        if module == "lib" || module == "main" {
            continue;
        }
        let Some(allowed) = table.get(&module) else {
            bad.push(format!("{}: the module `{module}` is not in the table", shown(&path)));
            continue;
        };
        let text = fs::read_to_string(&path).expect("a readable file");
        // What only tests use may come from anywhere.
        let product = text.split("#[cfg(test)]\nmod ").next().unwrap_or(&text);
        let test_file = path.file_stem().is_some_and(|stem| {
            let stem = stem.to_string_lossy();
            ["tests", "fixture", "scripted"].contains(&stem.as_ref())
        });
        if test_file {
            continue;
        }
        for (number, line) in product.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for (at, _) in line.match_indices("crate::") {
                let name: String = line[at + "crate::".len()..]
                    .chars()
                    .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                    .collect();
                let everywhere =
                    ["name", "named", "measure", "role", "text", "json", "mutant", "seen"]
                        .contains(&name.as_str());
                if name.is_empty() || name == module || everywhere || allowed.contains(&name) {
                    continue;
                }
                bad.push(format!("{}:{}: `{module}` imports `{name}`", shown(&path), number + 1));
            }
        }
    }
    assert!(bad.is_empty(), "not allowed by ARCHITECTURE.md:\n{}", bad.join("\n"));
}

#[test]
fn the_table_is_about_the_modules_that_there_are() {
    let table = table();
    for path in rust_files(&root().join("src")) {
        let module = module_of(&path);
        assert!(
            module == "lib" || module == "main" || table.contains_key(&module),
            "`{module}` is not in the table of ARCHITECTURE.md"
        );
    }
    for module in table.keys() {
        let file = root().join("src").join(format!("{module}.rs"));
        let folder = root().join("src").join(module);
        assert!(file.exists() || folder.exists(), "`{module}` is in the table and not in src/");
    }
}

#[test]
fn every_test_file_is_run() {
    let tests = root().join("tests");
    for folder in ["cli", "pair", "manifest"] {
        let main = fs::read_to_string(tests.join(format!("{folder}.rs"))).unwrap_or_default();
        for path in rust_files(&tests.join(folder)) {
            let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let named = main.contains(&format!("mod {stem};"));
            assert!(named, "{} is not named in tests/{folder}.rs", shown(&path));
        }
    }
}

#[test]
fn what_touches_the_system_stays_behind_the_seam() {
    // clippy.toml bans the calls; this bans the conditions that go with them.
    let mut bad = Vec::new();
    for path in rust_files(&root().join("src")) {
        if module_of(&path) == "seam" || path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a readable file");
        let product = text.split("#[cfg(test)]\nmod ").next().unwrap_or(&text);
        for (number, line) in product.lines().enumerate() {
            let conditional =
                ["cfg(unix)", "cfg(windows)", "target_os", "cfg!(unix)", "cfg!(windows)"]
                    .iter()
                    .any(|word| line.contains(word));
            if conditional {
                bad.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert!(
        bad.is_empty(),
        "what is special to one system belongs in src/seam/:\n{}",
        bad.join("\n")
    );
}

#[test]
fn every_event_of_the_pair_is_in_the_operators_guide() {
    let guide = fs::read_to_string(root().join("docs/guide/operate.md")).expect("the guide");
    for path in rust_files(&root().join("src/pair")) {
        let text = fs::read_to_string(&path).expect("a readable file");
        for told in text.split("self.event(\"").skip(1) {
            let kind = told.split('"').next().unwrap_or_default();
            assert!(guide.contains(&format!("`{kind}`")), "{}: `{kind}`", shown(&path));
        }
    }
}
