//! Readers of single values: from a node to a text, a number, a name, a list, a record, each with every finding of
//! its kind. It knows types of values and nothing of which fields there are; `parse` does.

use std::fmt;
use std::str::FromStr;

use super::finding::{Code, Finding};
use super::forms::{PATH_HELP, SSH_KEY_HELP, address_problem, path_problem, ssh_key_problem};
use super::places::{Gaps, Places};
use super::plain::{is_decimal, is_null, reads_as};
use super::shape::{
    duplicate_key, everyone_false, invalid_address, invalid_duration, invalid_key, invalid_name,
    invalid_path, invalid_share, missing_field, needs_quotes, null_value, number_notation,
    out_of_range, too_many_findings, unknown_field, unknown_value, wrong_type,
};
use super::suggest::nearest;
use super::tree::{self, Id, ROOT, Tree, View};
use super::types::SshPublicKey;
use crate::measure::{Share, Span};
use crate::name::{AddressRange, PublicKey};

/// The most findings of shape that are kept.
const FINDINGS_MAX: usize = 100_000;

/// Reads a text with `of`. `quotes`: whether findings may quote the text.
pub(super) fn read<T>(
    file: &str,
    bytes: &[u8],
    quotes: bool,
    of: fn(&mut Walker<'_>, Value) -> Option<T>,
) -> (Option<(T, Places)>, Vec<Finding>) {
    let (tree, text, faults) = tree::read(bytes);
    let whole = tree.is_some();
    let tree = tree.unwrap_or_else(|| Tree::of_text(text));
    let mut places = Places::new(file, tree, quotes);
    let mut findings: Vec<Finding> =
        faults.into_iter().map(|fault| explain(&places, fault)).collect();
    if !whole {
        return (None, findings);
    }
    let Some(tree) = places.tree() else { return (None, findings) };
    let gaps = Gaps::default();
    let mut walker = Walker { places: &places, tree, findings: Vec::new(), full: false, gaps };
    let value = of(&mut walker, Value { id: ROOT, key: None, label: Label::Whole });
    let Walker { findings: mut walked, full, gaps, .. } = walker;
    findings.append(&mut walked);
    if full {
        let message = format!("more than {FINDINGS_MAX} things are wrong: the rest is not listed");
        let help = "correct one entry of the long list, then all alike".to_owned();
        findings.push(places.finding_at(&too_many_findings::CODE, ROOT, None, message, help));
    }
    places.set_gaps(gaps);
    (value.map(|value| (value, places)), findings)
}

/// Findings in the order of the text, each once (an alias repeats what is wrong with its target).
pub(super) fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings
        .sort_by(|a, b| (a.place, a.code.id, &a.message).cmp(&(b.place, b.code.id, &b.message)));
    findings.dedup();
    findings
}

fn explain(places: &Places, fault: tree::Fault) -> Finding {
    let tree::Fault { code, start, end, mut message, first, help } = fault;
    let span = Some((start, end));
    if let Some(first) = first {
        let line = places.line_of(first);
        let key = places.tree().and_then(|tree| tree.text().get(start as usize..end as usize));
        let key = key.filter(|_| places.quotes()).map(shorten);
        message = key.map_or(message, |key| format!("`{key}` is given twice"));
        message = format!("{message}: first on line {line}");
    }
    debug_assert!(first.is_none() || code.id == duplicate_key::CODE.id);
    places.finding_in(code, span, message, help)
}

/// A foreign text as far as a message needs it.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// What a value is called in messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Label {
    /// The whole file.
    Whole,
    /// A field's value.
    Field(&'static str),
    /// An entry of a field's list.
    Entry(&'static str),
    /// An entry of a file that is a list.
    Item,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("the file"),
            Self::Field(name) => write!(f, "`{name}`"),
            Self::Entry(name) => write!(f, "an entry of `{name}`"),
            Self::Item => f.write_str("an entry of the list"),
        }
    }
}

/// A node to be read, with what it is called and the key it stands behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    id: Id,
    key: Option<Id>,
    label: Label,
}

/// A field of a record, given or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    owner: Value,
    name: &'static str,
    value: Option<Value>,
}

impl Field {
    /// Whether the field is written, readable or not.
    pub(super) fn is_given(&self) -> bool {
        self.value.is_some()
    }

    /// The field's value, if it is given.
    pub(super) fn value(&self) -> Option<Value> {
        self.value
    }

    /// The field's name.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }
}

/// Reads values and gathers what is wrong with them.
pub(super) struct Walker<'t> {
    places: &'t Places,
    tree: &'t Tree,
    findings: Vec<Finding>,
    full: bool,
    gaps: Gaps,
}

/// A reader of one kind of value.
pub(super) type Read<'t, T> = fn(&mut Walker<'t>, Value) -> Option<T>;

const FREE_NAME: &str =
    "a name has 1 to 256 characters, none of them a control character, `*` or `?`";
const IDENTIFIER: &str =
    "take letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 63";
const PATTERN: &str = "a pattern has 1 to 256 characters; `*` is any text, `?` any one character";

impl<'t> Walker<'t> {
    /// Says what is wrong with a value.
    pub(super) fn report(
        &mut self,
        code: &'static Code,
        value: Value,
        message: String,
        help: impl Into<String>,
    ) {
        if self.findings.len() >= FINDINGS_MAX {
            self.full = true;
            return;
        }
        let Value { id, key, .. } = value;
        self.findings.push(self.places.finding_at(code, id, key, message, help.into()));
    }

    /// A value in a message: quoted where that is allowed.
    fn show(&self, text: &str) -> String {
        if text.contains("PRIVATE KEY") {
            "a secret key".to_owned()
        } else if text.is_empty() {
            "an empty text".to_owned()
        } else if self.places.quotes() {
            format!("`{}`", shorten(text))
        } else {
            "a text".to_owned()
        }
    }

    fn null(&mut self, value: Value) {
        let message = format!("{} has no value", value.label);
        let help = match value.label {
            Label::Field(_) => "give a value, or remove the field: `null` is never a value",
            _ => "give a value, or remove the entry",
        };
        self.report(&null_value::CODE, value, message, help);
    }

    /// Says that a value is of another type than the wanted.
    pub(super) fn wrong(&mut self, value: Value, wanted: &str, help: impl Into<String>) {
        let found = match self.tree.view(value.id) {
            View::Broken => {
                if self.tree.is_empty(value.id) {
                    self.null(value);
                }
                return;
            }
            View::Plain(text) if is_null(text) => return self.null(value),
            View::Plain(text) | View::Quoted(text) => {
                let quoted = matches!(self.tree.view(value.id), View::Quoted(_));
                match reads_as(text).filter(|_| !quoted) {
                    Some(kind) if self.places.quotes() => format!("{kind}, {}", self.show(text)),
                    Some(kind) => kind.to_owned(),
                    None if self.places.quotes() && !text.is_empty() => {
                        format!("the text {}", self.show(text))
                    }
                    None => self.show(text),
                }
            }
            View::Sequence(_) => "a list".to_owned(),
            View::Mapping(_) => "a mapping".to_owned(),
        };
        let message = format!("{} must be {wanted}, but is {found}", value.label);
        self.report(&wrong_type::CODE, value, message, help);
    }

    /// The text of a scalar, whatever YAML takes it for: for values that a number or a boolean never equals.
    fn scalar(&mut self, value: Value, wanted: &str) -> Option<&'t str> {
        match self.tree.view(value.id) {
            View::Plain(text) if !is_null(text) => Some(text),
            View::Quoted(text) => Some(text),
            _ => {
                self.wrong(value, wanted, format!("write {wanted}"));
                None
            }
        }
    }

    /// A text, in quotes where YAML would read something else.
    fn text(&mut self, value: Value) -> Option<&'t str> {
        let text = self.scalar(value, "a text")?;
        let plain = matches!(self.tree.view(value.id), View::Plain(_));
        let Some(kind) = reads_as(text).filter(|_| plain) else { return Some(text) };
        let shown = self.show(text);
        let message = format!("{} is {shown}, which YAML reads as {kind}", value.label);
        let quoted = if self.places.quotes() { format!(": `\"{text}\"`") } else { String::new() };
        self.report(&needs_quotes::CODE, value, message, format!("quote it{quoted}"));
        None
    }

    /// A path of a file or a pattern of paths. One that leads elsewhere is reported and given all the same.
    pub(super) fn path(&mut self, value: Value) -> Option<String> {
        let text = self.text(value)?;
        if let Some(wrong) = path_problem(text) {
            let shown = self.show(text);
            let message = format!("the path {shown} {wrong}");
            self.report(&invalid_path::CODE, value, message, PATH_HELP);
        }
        Some(text.to_owned())
    }

    /// A server's address. One that is none is reported and given all the same.
    pub(super) fn address(&mut self, value: Value) -> Option<String> {
        let text = self.text(value)?;
        if let Some(help) = address_problem(text) {
            let message = format!("{} is no host name and no IP address", value.label);
            self.report(&invalid_address::CODE, value, message, help);
        }
        Some(text.to_owned())
    }

    /// An SSH public key. One that is none is reported and given all the same.
    pub(super) fn ssh_key(&mut self, value: Value) -> Option<SshPublicKey> {
        let text = self.text(value)?;
        if let Some(wrong) = ssh_key_problem(text) {
            self.report(&invalid_key::CODE, value, wrong.to_owned(), SSH_KEY_HELP);
        }
        Some(SshPublicKey(text.to_owned()))
    }

    fn parsed<T: FromStr<Err: fmt::Display>>(
        &mut self,
        value: Value,
        code: &'static Code,
        text: &str,
        help: &str,
    ) -> Option<T> {
        match text.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                let message = if !self.places.quotes() {
                    format!("{} cannot be read", value.label)
                } else if code.id == invalid_name::CODE.id {
                    let shown = if text.is_empty() { String::new() } else { self.show(text) + " " };
                    format!("{} {shown}{error}", value.label)
                } else {
                    format!("{} is {}, but {error}", value.label, self.show(text))
                };
                self.report(code, value, message, help);
                None
            }
        }
    }

    /// A name of a server, group, product or pair.
    pub(super) fn identifier<T: FromStr<Err: fmt::Display>>(&mut self, value: Value) -> Option<T> {
        let text = self.text(value)?;
        self.parsed(value, &invalid_name::CODE, text, IDENTIFIER)
    }

    /// A name of a user.
    pub(super) fn free_name<T: FromStr<Err: fmt::Display>>(&mut self, value: Value) -> Option<T> {
        let text = self.text(value)?;
        self.parsed(value, &invalid_name::CODE, text, FREE_NAME)
    }

    /// A pattern of users or hosts.
    pub(super) fn pattern<T: FromStr<Err: fmt::Display>>(&mut self, value: Value) -> Option<T> {
        let text = self.text(value)?;
        self.parsed(value, &invalid_name::CODE, text, PATTERN)
    }

    /// A range of addresses.
    pub(super) fn address_range(&mut self, value: Value) -> Option<AddressRange> {
        let text = self.text(value)?;
        let help =
            "write an IP address or a range such as `10.1.0.0/16`; names of computers go to `host`";
        self.parsed(value, &invalid_address::CODE, text, help)
    }

    /// A key of a server or vendor.
    pub(super) fn public_key(&mut self, value: Value) -> Option<PublicKey> {
        let text = self.text(value)?;
        let help = "copy it from `tandem key show`";
        self.parsed(value, &invalid_key::CODE, text, help)
    }

    /// A duration.
    pub(super) fn duration(&mut self, value: Value) -> Option<Span> {
        let text = self.scalar(value, "a duration such as `90s`")?;
        let help = "write one integer and one unit, for example `500ms`, `90s` or `5m`";
        self.parsed(value, &invalid_duration::CODE, text, help)
    }

    /// A share in percent.
    pub(super) fn share(&mut self, value: Value) -> Option<Share> {
        let text = self.scalar(value, "a share such as `33%`")?;
        let help = "write a whole number from 0 to 100 and `%`";
        self.parsed(value, &invalid_share::CODE, text, help)
    }

    /// An integer between two others, which belong to it.
    fn integer(&mut self, value: Value, least: i64, most: i64) -> Option<i64> {
        let range = format!("from {least} to {most}");
        match self.tree.view(value.id) {
            View::Plain(text) if is_decimal(text) => {
                let number = text.parse().ok().filter(|number| (least..=most).contains(number));
                if number.is_none() {
                    let shown = self.show(text);
                    let message = format!("{} is {shown}, but goes {range}", value.label);
                    let help = format!("take a number {range}");
                    self.report(&out_of_range::CODE, value, message, help);
                }
                number
            }
            View::Plain(text) if reads_as(text) == Some("a number") => {
                let shown = self.show(text);
                let message =
                    format!("{} is {shown}, which readers of YAML disagree about", value.label);
                let help = format!("write a number {range} in decimal digits alone");
                self.report(&number_notation::CODE, value, message, help);
                None
            }
            View::Quoted(text) if is_decimal(text) => {
                self.wrong(value, "a number", "remove the quotes");
                None
            }
            _ => {
                self.wrong(value, "a number", format!("write a number {range}"));
                None
            }
        }
    }

    /// An integer from 0.
    pub(super) fn count(&mut self, value: Value) -> Option<u32> {
        self.integer(value, 0, u32::MAX.into()).and_then(|number| u32::try_from(number).ok())
    }

    /// A TCP port.
    pub(super) fn port(&mut self, value: Value) -> Option<u16> {
        self.integer(value, 1, u16::MAX.into()).and_then(|number| u16::try_from(number).ok())
    }

    /// A place in the queue.
    pub(super) fn priority(&mut self, value: Value) -> Option<i8> {
        self.integer(value, -100, 100).and_then(|number| i8::try_from(number).ok())
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, value: Value) -> Option<bool> {
        let word = match self.tree.view(value.id) {
            View::Plain("true") => return Some(true),
            View::Plain("false") => return Some(false),
            View::Plain(text) | View::Quoted(text) => text.to_ascii_lowercase(),
            _ => String::new(),
        };
        let help = match word.as_str() {
            "yes" | "on" | "true" => "write `true`, without quotes",
            "no" | "off" | "false" => "write `false`, without quotes",
            _ => "write `true` or `false`",
        };
        self.wrong(value, "`true` or `false`", help);
        None
    }

    /// `true` alone.
    pub(super) fn only_true(&mut self, value: Value) -> Option<()> {
        match self.tree.view(value.id) {
            View::Plain("true") => return Some(()),
            View::Plain("false") => {
                let message = format!("{} can only be `true`", value.label);
                let help = "remove the entry, or write `true`";
                self.report(&everyone_false::CODE, value, message, help);
            }
            _ => self.wrong(value, "`true`", "write `true`, without quotes"),
        }
        None
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        value: Value,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let names = || words.iter().map(|(word, _)| *word);
        let listed = list_of(names(), "or");
        let text = self.scalar(value, &listed)?;
        if let Some((_, choice)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*choice);
        }
        let message = format!("{} is {}, but must be {listed}", value.label, self.show(text));
        let help = match nearest(text, names()) {
            Some(word) => format!("write `{word}`"),
            None => format!("write {listed}"),
        };
        self.report(&unknown_value::CODE, value, message, help);
        None
    }

    /// A list: what of it can be read.
    pub(super) fn list<T>(&mut self, value: Value, read: Read<'t, T>) -> Option<Vec<T>> {
        let View::Sequence(entries) = self.tree.view(value.id) else {
            let help = "put a `-` before each entry, or brackets around all";
            self.wrong(value, "a list", help);
            return None;
        };
        let label = match value.label {
            Label::Field(name) | Label::Entry(name) => Label::Entry(name),
            Label::Whole | Label::Item => Label::Item,
        };
        let mut list = Vec::with_capacity(entries.len());
        let mut kept: Option<Vec<u32>> = None;
        for (index, &id) in (0_u32..).zip(entries) {
            if self.full {
                // Nothing more can be said, so nothing more is read.
                kept.get_or_insert_with(|| (0..index).collect());
                self.gaps.broken.insert(self.tree.resolve(value.id));
                break;
            }
            match read(self, Value { id, key: None, label }) {
                Some(entry) => {
                    list.push(entry);
                    if let Some(kept) = &mut kept {
                        kept.push(index);
                    }
                }
                None => {
                    kept.get_or_insert_with(|| (0..index).collect());
                    self.gaps.broken.insert(self.tree.resolve(id));
                }
            }
        }
        if let Some(kept) = kept {
            self.gaps.kept.insert(self.tree.resolve(value.id), kept);
        }
        Some(list)
    }

    /// Whether a value is a mapping.
    pub(super) fn is_record(&self, value: Value) -> bool {
        matches!(self.tree.view(value.id), View::Mapping(_))
    }

    /// Whether a value is a list.
    pub(super) fn is_list(&self, value: Value) -> bool {
        matches!(self.tree.view(value.id), View::Sequence(_))
    }

    /// A record's fields, in the order of `known`; the unknown ones are reported.
    pub(super) fn fields<const N: usize>(
        &mut self,
        value: Value,
        known: &[&'static str; N],
    ) -> Option<[Field; N]> {
        let View::Mapping(pairs) = self.tree.view(value.id) else {
            let listed = list_of(known.iter().copied(), "and");
            self.wrong(value, "a mapping", format!("it has the fields {listed}"));
            return None;
        };
        let mut fields = known.map(|name| Field { owner: value, name, value: None });
        for pair in pairs.chunks_exact(2) {
            if self.full {
                self.gaps.broken.insert(self.tree.resolve(value.id));
                break;
            }
            let &[key, id] = pair else { continue };
            let name = match self.tree.view(key) {
                View::Plain("<<") => {
                    self.gaps.broken.insert(self.tree.resolve(value.id));
                    continue;
                }
                View::Plain(name) | View::Quoted(name) => name,
                _ => continue,
            };
            match fields.iter_mut().find(|field| field.name == name) {
                // The second of two equal fields is already reported.
                Some(Field { value: Some(_), .. }) => {}
                Some(field) => {
                    let label = Label::Field(field.name);
                    field.value = Some(Value { id, key: Some(key), label });
                }
                None => self.unknown(value, key, name, known),
            }
        }
        Some(fields)
    }

    fn unknown<const N: usize>(
        &mut self,
        owner: Value,
        key: Id,
        name: &str,
        known: &[&'static str; N],
    ) {
        let meant = nearest(name, known.iter().copied());
        let meant = meant.and_then(|meant| known.iter().copied().find(|known| *known == meant));
        let id = self.tree.resolve(owner.id);
        self.gaps.broken.insert(id);
        if let Some(meant) = meant {
            self.gaps.missing.insert((id, meant));
        }
        let shown =
            if self.places.quotes() { format!("{} ", self.show(name)) } else { String::new() };
        let message = match owner.label {
            Label::Whole => format!("unknown field {shown}in the manifest"),
            label => format!("unknown field {shown}in {label}"),
        };
        let listed = match known.as_slice() {
            [only] => format!("the only field here is `{only}`"),
            _ => format!("the fields here are {}", list_of(known.iter().copied(), "and")),
        };
        let help = match meant {
            Some(meant) => format!("did you mean `{meant}`? Otherwise {listed}"),
            None => listed,
        };
        self.report(&unknown_field::CODE, Value { id: key, ..owner }, message, help);
    }

    /// A field that must be given.
    pub(super) fn need<T>(&mut self, field: Field, read: Read<'t, T>) -> Option<T> {
        if field.value.is_some() {
            return self.maybe(field, read);
        }
        let Field { owner, name, .. } = field;
        let id = self.tree.resolve(owner.id);
        self.gaps.broken.insert(id);
        if !self.gaps.missing.insert((id, name)) {
            // A field that was probably meant is reported already.
            return None;
        }
        let message = match owner.label {
            Label::Whole => format!("the field `{name}` is missing"),
            label => format!("{label} lacks the field `{name}`"),
        };
        self.report(&missing_field::CODE, owner, message, format!("add `{name}:`"));
        None
    }

    /// A field that may be left out. Also nothing where it cannot be read, which is reported.
    pub(super) fn maybe<T>(&mut self, field: Field, read: Read<'t, T>) -> Option<T> {
        let value = field.value?;
        let read = read(self, value);
        if read.is_none() {
            self.gaps.broken.insert(self.tree.resolve(value.id));
        }
        read
    }
}

/// Words in a sentence: `a`, `b` or `c`.
pub(super) fn list_of(words: impl Iterator<Item = &'static str>, last: &str) -> String {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((word, [])) => word.clone(),
        Some((word, before)) => format!("{} {last} {word}", before.join(", ")),
        None => String::new(),
    }
}
