//! The pages for people are true as far as a program can tell: links lead somewhere, and every `tandem` command in
//! them is one that this program takes.

#![expect(clippy::expect_used, reason = "a test's helpers may fail as the test does")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page: those at the root, and those below `docs` and `examples`.
fn pages() -> Vec<PathBuf> {
    let mut folders = vec![root().join("docs"), root().join("examples")];
    let mut pages = Vec::new();
    let is_page = |path: &Path| path.extension().is_some_and(|end| end == "md");
    let entries = |folder: &Path| {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>()
    };
    pages.extend(entries(root()).into_iter().filter(|path| is_page(path)));
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else if is_page(&path) {
                pages.push(path);
            }
        }
    }
    pages.push(root().join("src/cli/starter/README.md"));
    pages.sort();
    pages
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The lines of a page that are prose, or those in fences of this kind.
fn lines<'a>(text: &'a str, fence: Option<&str>) -> Vec<(usize, &'a str)> {
    let (mut kind, mut lines) = (None, Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(start) = line.trim_start().strip_prefix("```") {
            kind = if kind.is_some() { None } else { Some(start.trim()) };
        } else if kind == fence {
            lines.push((number, line));
        }
    }
    lines
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = lines(text, None).into_iter().filter(|(_, line)| line.starts_with('#'));
    headings
        .map(|(_, line)| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
            title.chars().filter(kept).collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut bad = Vec::new();
    for page in pages() {
        let text = read(&page);
        for (number, line) in lines(&text, None) {
            for link in line.split("](").skip(1) {
                let link = link.split([')', ' ']).next().unwrap_or_default();
                if link.contains("://") || link.starts_with("mailto:") {
                    continue;
                }
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let to = match file {
                    "" => page.clone(),
                    file => page.parent().expect("a folder").join(file),
                };
                let leads =
                    to.exists() && (anchor.is_empty() || anchors(&read(&to)).contains(anchor));
                if !leads {
                    bad.push(format!("{}:{number}: {link}", shown(&page)));
                }
            }
        }
    }
    assert!(bad.is_empty(), "links that lead nowhere:\n{}", bad.join("\n"));
}

/// The `tandem` commands of a line of shell, each as its words.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word = String::new();
    let mut quote = None;
    let end = |commands: &mut Vec<Vec<String>>, word: &mut String| {
        if let (false, Some(last)) = (word.is_empty(), commands.last_mut()) {
            last.push(std::mem::take(word));
        }
    };
    for character in line.trim().trim_start_matches("$ ").chars() {
        match (quote, character) {
            (Some(open), character) if open == character => quote = None,
            (Some(_), character) => word.push(character),
            (None, '"' | '\'') => quote = Some(character),
            (None, '#') if word.is_empty() => break,
            (None, '&' | '|' | ';' | '>') => {
                end(&mut commands, &mut word);
                commands.push(Vec::new());
            }
            (None, character) if character.is_whitespace() => end(&mut commands, &mut word),
            (None, character) => word.push(character),
        }
    }
    end(&mut commands, &mut word);
    let starts = |words: &Vec<String>| words.iter().position(|word| word == "tandem");
    let is_command = |words: &Vec<String>| matches!(starts(words), Some(0 | 1));
    commands
        .into_iter()
        .filter(is_command)
        .map(|words| words.into_iter().skip_while(|word| word != "tandem").collect())
        .collect()
}

#[test]
fn every_command_is_one_that_the_program_takes() {
    let (mut bad, mut checked) = (Vec::new(), 0);
    for page in pages() {
        let text = read(&page);
        // A command that goes on in the next line is one.
        let text = text.replace("\\\n", " ");
        let shell = ["sh", "console", "bash"].into_iter().flat_map(|kind| lines(&text, Some(kind)));
        for (number, line) in shell {
            for words in commands(line) {
                // What stands for more words.
                if words.iter().any(|word| word.contains('…') || word == "...") {
                    continue;
                }
                checked += 1;
                if let Err(error) = tandem::cli::command().try_get_matches_from(&words)
                    && error.use_stderr()
                {
                    let error = error.to_string();
                    let first = error.lines().next().unwrap_or_default();
                    bad.push(format!("{}:{number}: {}: {first}", shown(&page), words.join(" ")));
                }
            }
        }
    }
    assert!(bad.is_empty(), "commands that the program refuses:\n{}", bad.join("\n"));
    assert!(checked > 30, "only {checked} commands were found");
}
