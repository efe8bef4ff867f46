//! Findings as people and programs read them: `human`, `json` (formats.md, "JSON of the command line") and `github`
//! (annotations on a pull request). What is wrong is decided elsewhere; here it is only shown, every foreign text
//! escaped.

use std::fmt::Write as _;

use serde::Serialize;

use super::error::Failure;
use super::output::{Output, Style, escape, json, paint};
use crate::manifest::finding::{Finding, Place, Severity};

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: the source line, a marker and advice.
    #[default]
    Human,
    /// One JSON document.
    Json,
    /// Annotations of GitHub Actions.
    Github,
}

/// The list for people shows so many findings, then counts.
const SHOWN_MAX: usize = 50;

/// Prints findings as a result, on standard output. For people nothing is printed where there is nothing to say.
///
/// # Errors
/// Standard output is closed or full.
pub fn print(findings: &[Finding], format: Format, output: &Output) -> Result<(), Failure> {
    match format {
        Format::Human => output.text(&human(findings)),
        Format::Json => output.json(&Document::new(findings)),
        Format::Github => output.bytes(github(findings).as_bytes()),
    }
}

/// Tells findings by the way, on standard error.
pub fn tell(findings: &[Finding]) {
    super::output::tell(&human(findings));
}

/// Findings as a text of this format, without color.
///
/// # Errors
/// None that is known of: JSON of findings can always be written.
pub fn render(findings: &[Finding], format: Format) -> Result<String, Failure> {
    Ok(match format {
        Format::Human => anstream::adapter::strip_str(&human(findings)).to_string(),
        Format::Json => json(&Document::new(findings))?,
        Format::Github => github(findings),
    })
}

#[derive(Debug, Serialize)]
struct Document<'f> {
    schema: u32,
    ok: bool,
    counts: Counts,
    findings: Vec<Entry<'f>>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Counts {
    error: usize,
    warning: usize,
}

impl Counts {
    fn of(findings: &[Finding]) -> Self {
        let error = findings.iter().filter(|f| f.severity == Severity::Error).count();
        Self { error, warning: findings.len() - error }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'f> {
    code: &'f str,
    name: &'f str,
    severity: Severity,
    file: &'f str,
    line: Option<u32>,
    column: Option<u32>,
    end_line: Option<u32>,
    end_column: Option<u32>,
    message: &'f str,
    help: &'f str,
    source: Option<&'f str>,
}

impl<'f> Document<'f> {
    fn new(findings: &'f [Finding]) -> Self {
        let counts = Counts::of(findings);
        let entry = |finding: &'f Finding| Entry {
            code: finding.code.id,
            name: finding.code.name,
            severity: finding.severity,
            file: &finding.file,
            line: finding.place.map(|place| place.line),
            column: finding.place.map(|place| place.column),
            end_line: finding.place.map(|place| place.end_line),
            end_column: finding.place.map(|place| place.end_column),
            message: &finding.message,
            help: &finding.help,
            source: finding.source.as_deref(),
        };
        let ok = counts.error == 0;
        Self { schema: 1, ok, counts, findings: findings.iter().map(entry).collect() }
    }
}

fn human(findings: &[Finding]) -> String {
    let mut text = String::new();
    // Where not all are shown, no warning takes the place of an error.
    let mut shown: Vec<&Finding> = findings.iter().collect();
    if shown.len() > SHOWN_MAX {
        shown.sort_by_key(|finding| finding.severity);
        shown.truncate(SHOWN_MAX);
    }
    for finding in &shown {
        describe(finding, &mut text);
    }
    let more = findings.len() - shown.len();
    if more > 0 {
        let more = plural(more, "more finding");
        let _ = writeln!(text, "not shown: {more}; `--format json` lists all\n");
    }
    let Counts { error, warning } = Counts::of(findings);
    let found: Vec<String> = [(error, "error"), (warning, "warning")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| plural(count, name))
        .collect();
    if !found.is_empty() {
        let _ = writeln!(text, "found {}", found.join(" and "));
    }
    text
}

fn plural(count: usize, name: &str) -> String {
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// One finding as a few lines; none of them begins with foreign text.
fn describe(finding: &Finding, text: &mut String) {
    let (style, word) = match finding.severity {
        Severity::Error => (Style::Error, "error"),
        Severity::Warning => (Style::Warning, "warning"),
    };
    let code = paint(style, &format!("{word} {}", finding.code));
    let message = paint(Style::Strong, &escape(&finding.message));
    let _ = writeln!(text, "{code}: {message}");
    let place =
        finding.place.map_or(String::new(), |place| format!(":{}:{}", place.line, place.column));
    let width = finding.place.map_or(1, |place| place.line.to_string().len());
    let margin = " ".repeat(width);
    let arrow = paint(Style::Faint, "-->");
    let _ = writeln!(text, "{margin}{arrow} {}{place}", escape(&finding.file));
    if let (Some(place), Some(source)) = (finding.place, &finding.source) {
        quote(place, source, &margin, style, text);
    }
    let help = paint(Style::Help, "help:");
    let _ =
        writeln!(text, "{margin} {} {help} {}\n", paint(Style::Faint, "="), escape(&finding.help));
}

/// So much of a long line is shown before and after the place.
const BEFORE_MAX: usize = 60;
const AFTER_MAX: usize = 60;

/// The source line and a marker under the place.
fn quote(place: Place, source: &str, margin: &str, style: Style, text: &mut String) {
    let start = (place.column as usize).saturating_sub(1);
    let length = if place.end_line == place.line {
        (place.end_column.saturating_sub(place.column) as usize).max(1)
    } else {
        usize::MAX
    };
    let cut = if start > BEFORE_MAX { start - BEFORE_MAX / 2 } else { 0 };
    let before: String = source.chars().skip(cut).take(start - cut).collect();
    let mut rest = source.chars().skip(start);
    let marked: String = rest.by_ref().take(length.min(AFTER_MAX)).collect();
    let after: String = rest.by_ref().take(AFTER_MAX).collect();
    let (left, right) =
        (if cut > 0 { "…" } else { "" }, if rest.next().is_some() { "…" } else { "" });
    let before = format!("{left}{}", shown(&before));
    let marked = shown(marked.trim_end());
    let line = format!("{before}{marked}{}{right}", shown(&after));
    let bar = paint(Style::Faint, "|");
    let number = paint(Style::Faint, &place.line.to_string());
    let marker = paint(style, &"^".repeat(columns(&marked).max(1)));
    let _ = writeln!(text, "{margin} {bar}");
    let _ = writeln!(text, "{number} {bar} {}", line.trim_end());
    let _ = writeln!(text, "{margin} {bar} {}{marker}", " ".repeat(columns(&before)));
}

/// Source text as it is shown: tabs as two spaces, so that markers stand where they should.
fn shown(text: &str) -> String {
    escape(&text.replace('\t', "  ")).into_owned()
}

/// How many columns of a terminal a text takes.
fn columns(text: &str) -> usize {
    text.chars()
        .map(|c| match u32::from(c) {
            // Combining marks.
            0x0300..=0x036f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
            // East Asian wide characters and emoji.
            0x1100..=0x115f
            | 0x2e80..=0xa4cf
            | 0xac00..=0xd7a3
            | 0xf900..=0xfaff
            | 0xfe30..=0xfe6f
            | 0xff00..=0xff60
            | 0xffe0..=0xffe6
            | 0x1f300..=0x1faff
            | 0x20000..=0x3fffd => 2,
            _ => 1,
        })
        .sum()
}

/// Workflow commands, one a finding (GitHub, "Workflow commands").
fn github(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let _ = write!(text, "::{command} file={}", property(&finding.file));
        if let Some(place) = finding.place {
            let Place { line, column, end_line, .. } = place;
            let _ = write!(text, ",line={line},col={column},endLine={end_line}");
        }
        let title = property(&finding.code.to_string());
        let message = format!("{}\nhelp: {}", escape(&finding.message), escape(&finding.help));
        let _ = writeln!(text, ",title={title}::{}", data(&message));
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(&escape(text)).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::parse;

    const MANIFEST: &str = "\
apiVersion: tandem/v1
kind: LicensePair
metadata: {name: west}
servers:
  - {name: lic-a, role: primary, address: 127.0.0.1, port: \"4820\"}
redundancy:
  failover_after: 3s
seats: []
";

    fn shown(text: &str, format: Format) -> String {
        let (_, findings) = parse("conf/a,b.yaml", text.as_bytes());
        render(&findings, format).expect("findings can be written")
    }

    #[test]
    fn people_see_the_line_the_place_and_what_to_do() {
        insta::assert_snapshot!(shown(MANIFEST, Format::Human), @r#"
    error E0015 wrong-type: `port` must be a number, but is the text `4820`
     --> conf/a,b.yaml:5:60
      |
    5 |   - {name: lic-a, role: primary, address: 127.0.0.1, port: "4820"}
      |                                                            ^^^^^^
      = help: remove the quotes

    error E0018 unknown-field: unknown field `failover_after` in `redundancy`
     --> conf/a,b.yaml:7:3
      |
    7 |   failover_after: 3s
      |   ^^^^^^^^^^^^^^
      = help: did you mean `failoverAfter`? Otherwise the fields here are `mode`, `heartbeat`, `failoverAfter`, `onOverGrant` and `escrow`

    found 2 errors
    "#);
    }

    #[test]
    fn programs_get_one_document() {
        insta::assert_snapshot!(shown(MANIFEST, Format::Json), @r#"
    {
      "schema": 1,
      "ok": false,
      "counts": {
        "error": 2,
        "warning": 0
      },
      "findings": [
        {
          "code": "E0015",
          "name": "wrong-type",
          "severity": "error",
          "file": "conf/a,b.yaml",
          "line": 5,
          "column": 60,
          "endLine": 5,
          "endColumn": 66,
          "message": "`port` must be a number, but is the text `4820`",
          "help": "remove the quotes",
          "source": "  - {name: lic-a, role: primary, address: 127.0.0.1, port: \"4820\"}"
        },
        {
          "code": "E0018",
          "name": "unknown-field",
          "severity": "error",
          "file": "conf/a,b.yaml",
          "line": 7,
          "column": 3,
          "endLine": 7,
          "endColumn": 17,
          "message": "unknown field `failover_after` in `redundancy`",
          "help": "did you mean `failoverAfter`? Otherwise the fields here are `mode`, `heartbeat`, `failoverAfter`, `onOverGrant` and `escrow`",
          "source": "  failover_after: 3s"
        }
      ]
    }
    "#);
        insta::assert_snapshot!(render(&[], Format::Json).expect("writable"), @r#"
    {
      "schema": 1,
      "ok": true,
      "counts": {
        "error": 0,
        "warning": 0
      },
      "findings": []
    }
    "#);
    }

    #[test]
    fn annotations_escape_what_ends_a_property() {
        insta::assert_snapshot!(shown(MANIFEST, Format::Github), @r"
    ::error file=conf/a%2Cb.yaml,line=5,col=60,endLine=5,title=E0015 wrong-type::`port` must be a number, but is the text `4820`%0Ahelp: remove the quotes
    ::error file=conf/a%2Cb.yaml,line=7,col=3,endLine=7,title=E0018 unknown-field::unknown field `failover_after` in `redundancy`%0Ahelp: did you mean `failoverAfter`? Otherwise the fields here are `mode`, `heartbeat`, `failoverAfter`, `onOverGrant` and `escrow`
    ");
    }

    #[test]
    fn nothing_wrong_is_nothing_to_say() {
        assert_eq!(render(&[], Format::Human).expect("writable"), "");
        assert_eq!(render(&[], Format::Github).expect("writable"), "");
    }

    #[test]
    fn foreign_text_neither_moves_the_cursor_nor_begins_a_line() {
        let text = MANIFEST.replace("west", "\"\\e[2J\u{202e}\\n::error::x%0A\"");
        for format in [Format::Human, Format::Github, Format::Json] {
            let shown = shown(&text, format);
            assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
            assert!(!shown.contains("\n::error::"), "{shown}");
        }
        let file = "\n::error::evil\u{1b}";
        let (_, findings) = parse(file, b"");
        for format in [Format::Human, Format::Github] {
            let shown = render(&findings, format).expect("writable");
            assert!(!shown.contains("\n::error::evil"), "{shown}");
        }
    }

    #[test]
    fn the_list_for_people_ends_after_fifty_and_counts_the_rest() {
        let text = format!("{MANIFEST}users:\n{}", "  - {name: no}\n".repeat(60));
        let shown = shown(&text, Format::Human);
        assert_eq!(shown.matches("-->").count(), 50);
        assert!(
            shown.ends_with(
                "not shown: 12 more findings; `--format json` lists all\n\nfound 62 errors\n"
            ),
            "{shown}"
        );
    }

    #[test]
    fn the_marker_stands_under_the_place_of_wide_and_far_text() {
        let (_, findings) = parse("a.yaml", "metadata: {name: \"漢字\", nam: 1}\n".as_bytes());
        let one = |finding: &Finding| {
            let mut text = String::new();
            describe(finding, &mut text);
            anstream::adapter::strip_str(&text).to_string()
        };
        let unknown = findings.iter().find(|f| f.code.name == "unknown-field").expect("one");
        insta::assert_snapshot!(one(unknown), @r#"
    error E0018 unknown-field: unknown field `nam` in `metadata`
     --> a.yaml:1:24
      |
    1 | metadata: {name: "漢字", nam: 1}
      |                          ^^^
      = help: did you mean `name`? Otherwise the only field here is `name`
    "#);
        let far = format!("metadata: {{name: {}, nam: 1}}\n", "a".repeat(200));
        let (_, findings) = parse("a.yaml", far.as_bytes());
        let unknown = findings.iter().find(|f| f.code.name == "unknown-field").expect("one");
        insta::assert_snapshot!(one(unknown), @r"
    error E0018 unknown-field: unknown field `nam` in `metadata`
     --> a.yaml:1:220
      |
    1 | …aaaaaaaaaaaaaaaaaaaaaaaaaaaa, nam: 1}
      |                                ^^^
      = help: did you mean `name`? Otherwise the only field here is `name`
    ");
    }
}
