//! YAML as a tree of nodes with positions, made from the parser's events with every limit of formats.md, "Hostile
//! input". It knows YAML and nothing of manifests; what is wrong is kept as faults, so that reading goes on.
//!
//! A node is 16 bytes and refers to the text by offsets: a list of 100,000 users fits in a few megabytes. An alias
//! stays a node that refers to its target; nothing is copied, and how much it would unfold to is counted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::finding::Code;
use super::plain::is_null;
use super::shape::{
    directive, duplicate_key, empty_manifest, exploding_anchors, merge_key, not_utf8,
    several_documents, tab_indentation, too_deep, too_large, unknown_anchor, wrong_type,
    yaml_syntax, yaml_tag,
};

/// The most bytes of a YAML file.
pub(crate) const BYTES_MAX: usize = 64 << 20;
/// The most collections inside one another, aliases unfolded.
const DEPTH_MAX: usize = 64;
/// The most aliases when all are unfolded.
const EXPANSIONS_MAX: u64 = 100_000;
/// The most nodes that all aliases together repeat.
const REPEATED_MAX: u64 = 4_000_000;
/// The most anchors.
const ANCHORS_MAX: usize = 100_000;
/// The most faults that are kept.
const FAULTS_MAX: usize = 100_000;
/// Mappings up to this size are searched for duplicate keys pair by pair.
const FEW_KEYS: usize = 16;

/// The number of a node in its tree, in the order of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(u32);

/// The outermost node.
pub(crate) const ROOT: Id = Id(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A scalar without quotes; its value is its text unless `link` names an owned one.
    Plain,
    /// A scalar in quotes or a block; its value is its text without them unless `link` names an owned one.
    Quoted,
    /// `link` is where its children begin.
    Sequence,
    /// `link` is where its keys and values begin, in turns.
    Mapping,
    /// `link` is the node that it repeats.
    Alias,
    /// Something already reported that has no value.
    Broken,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    start: u32,
    end: u32,
    link: u32,
    kind: Kind,
}

/// The `link` of a scalar whose value stands in the text as it is.
const IN_TEXT: u32 = u32::MAX;

/// Something that is wrong with the YAML itself, at bytes of the text.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// What kind of thing.
    pub(crate) code: &'static Code,
    /// Where it begins.
    pub(crate) start: u32,
    /// Where it ends.
    pub(crate) end: u32,
    /// What is wrong. Quotes nothing of the text.
    pub(crate) message: String,
    /// Where a field that is given twice stands first.
    pub(crate) first: Option<u32>,
    /// What to do about it.
    pub(crate) help: String,
}

/// What a node is, as far as a reader of values cares.
#[derive(Clone, Copy, Debug)]
pub(crate) enum View<'t> {
    /// A scalar without quotes.
    Plain(&'t str),
    /// A scalar in quotes or a block.
    Quoted(&'t str),
    /// A list of nodes.
    Sequence(&'t [Id]),
    /// Keys and values in turns.
    Mapping(&'t [Id]),
    /// No value: empty, or already reported.
    Broken,
}

/// A YAML document.
#[derive(Debug)]
pub(crate) struct Tree {
    text: Box<str>,
    nodes: Vec<Node>,
    children: Vec<Id>,
    owned: Vec<Box<str>>,
}

/// Reads a document. Without a tree there is a fault that says why; the text is given back as far as it is text.
pub(crate) fn read(bytes: &[u8]) -> (Option<Tree>, Box<str>, Vec<Fault>) {
    if bytes.len() > BYTES_MAX {
        let fault = Fault {
            code: &too_large::CODE,
            start: 0,
            end: 0,
            message: "the file has more than 64 MiB".to_owned(),
            first: None,
            help: "keep long lists of people in several smaller groups".to_owned(),
        };
        return (None, "".into(), vec![fault]);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return not_text(bytes, error.valid_up_to()),
    };
    let mut builder = Builder::new(text);
    let whole = builder.run();
    let Builder { nodes, children, owned, faults, .. } = builder;
    if whole {
        let tree = Tree { text: text.into(), nodes, children, owned };
        (Some(tree), "".into(), faults)
    } else {
        (None, text.into(), faults)
    }
}

fn not_text(bytes: &[u8], valid: usize) -> (Option<Tree>, Box<str>, Vec<Fault>) {
    let utf16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let byte = bytes.get(valid).copied().unwrap_or_default();
    let start = offset(valid);
    let fault = Fault {
        code: &not_utf8::CODE,
        start,
        end: start,
        message: if utf16 {
            "the file is UTF-16, not UTF-8".to_owned()
        } else {
            format!("the byte 0x{byte:02x} is not UTF-8")
        },
        first: None,
        help: "save the file as UTF-8".to_owned(),
    };
    let text = bytes.get(..valid).and_then(|valid| std::str::from_utf8(valid).ok());
    (None, text.unwrap_or_default().into(), vec![fault])
}

/// A byte offset; files are at most 64 MiB.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Tree {
    /// A text that could not be read as a document: it has lines and no nodes.
    pub(crate) fn of_text(text: Box<str>) -> Self {
        Self { text, nodes: Vec::new(), children: Vec::new(), owned: Vec::new() }
    }

    /// The text it was made from, without a byte-order mark.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn node(&self, id: Id) -> Node {
        let none = Node { start: 0, end: 0, link: 0, kind: Kind::Broken };
        self.nodes.get(id.0 as usize).copied().unwrap_or(none)
    }

    /// The node that an alias repeats; every other node itself.
    pub(crate) fn resolve(&self, id: Id) -> Id {
        let node = self.node(id);
        // A target stands before its alias, so this ends.
        if node.kind == Kind::Alias && node.link < id.0 { self.resolve(Id(node.link)) } else { id }
    }

    /// Where it begins and ends in the text, in bytes. A collection ends with its last scalar.
    pub(crate) fn span(&self, id: Id) -> (u32, u32) {
        let node = self.node(id);
        (node.start, node.end)
    }

    /// What it is, aliases unfolded.
    pub(crate) fn view(&self, id: Id) -> View<'_> {
        let node = self.node(self.resolve(id));
        match node.kind {
            Kind::Plain if node.start == node.end => View::Broken,
            Kind::Plain => View::Plain(self.scalar(node, 0)),
            Kind::Quoted => View::Quoted(self.scalar(node, 1)),
            Kind::Sequence => View::Sequence(self.list(node.link)),
            Kind::Mapping => View::Mapping(self.list(node.link)),
            Kind::Alias | Kind::Broken => View::Broken,
        }
    }

    /// Whether nothing is written where a value could be, which YAML reads as `null`.
    pub(crate) fn is_empty(&self, id: Id) -> bool {
        let node = self.node(self.resolve(id));
        node.kind == Kind::Plain && node.start == node.end
    }

    fn scalar(&self, node: Node, quote: u32) -> &str {
        if node.link == IN_TEXT {
            let (start, end) = (node.start + quote, node.end.saturating_sub(quote));
            self.text.get(start as usize..end as usize).unwrap_or_default()
        } else {
            self.owned.get(node.link as usize).map_or("", |text| text)
        }
    }

    fn list(&self, link: u32) -> &[Id] {
        list(&self.children, link)
    }
}

/// A list of children: its length, as if it were a node, then they.
fn list(children: &[Id], link: u32) -> &[Id] {
    let link = link as usize;
    let length = children.get(link).map_or(0, |length| length.0 as usize);
    children.get(link + 1..link + 1 + length).unwrap_or_default()
}

/// What an anchor's node unfolds to.
#[derive(Clone, Copy)]
struct Weight {
    /// Aliases, each counted as often as it is repeated.
    expansions: u64,
    /// Nodes.
    nodes: u64,
    /// Collections inside one another.
    height: usize,
}

impl Weight {
    const SCALAR: Self = Self { expansions: 0, nodes: 1, height: 0 };

    fn add(&mut self, child: Self) {
        self.expansions = self.expansions.saturating_add(child.expansions);
        self.nodes = self.nodes.saturating_add(child.nodes);
        self.height = self.height.max(child.height + 1);
    }
}

struct Anchor {
    node: u32,
    /// Absent while the node is still open.
    weight: Option<Weight>,
}

/// A collection that has begun.
struct Frame {
    node: u32,
    anchor: usize,
    /// Where its children begin among those waiting.
    waiting: usize,
    weight: Weight,
}

struct Builder<'t> {
    text: &'t str,
    nodes: Vec<Node>,
    children: Vec<Id>,
    owned: Vec<Box<str>>,
    faults: Vec<Fault>,
    frames: Vec<Frame>,
    waiting: Vec<Id>,
    anchors: BTreeMap<usize, Anchor>,
    repeated: Weight,
    last_end: u32,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            nodes: Vec::new(),
            children: Vec::new(),
            owned: Vec::new(),
            faults: Vec::new(),
            frames: Vec::new(),
            waiting: Vec::new(),
            anchors: BTreeMap::new(),
            repeated: Weight { expansions: 0, nodes: 0, height: 0 },
            last_end: 0,
        }
    }

    /// Reads all events; false when there is no tree to go on with.
    fn run(&mut self) -> bool {
        let options = granit_parser::options! {
            disallow_directives: true,
            emit_unresolved_aliases: true,
            emit_comments: false,
        };
        let mut documents = 0;
        for event in Parser::new_from_str_with_options(self.text, options) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    self.syntax(&error);
                    return false;
                }
            };
            if matches!(event, Event::DocumentStart(..)) {
                documents += 1;
                if documents > 1 {
                    let help = "keep one manifest in a file: remove the `---` and what follows";
                    let message = "a second document begins here";
                    self.fault(&several_documents::CODE, bytes(span), message, help);
                    break;
                }
            }
            if !self.event(event, span) {
                return false;
            }
            if self.anchors.len() > ANCHORS_MAX {
                let help = "write out what is meant; a group names people once for many products";
                let message = "there are more than 100,000 anchors";
                self.fault(&exploding_anchors::CODE, bytes(span), message, help);
                return false;
            }
        }
        if self.nodes.is_empty() || self.is_nothing() {
            self.fault(
                &empty_manifest::CODE,
                (0, 0),
                "the file is empty",
                "`tandem init` writes a manifest to start from",
            );
            return false;
        }
        true
    }

    /// Takes one event; false when there is no use in going on.
    fn event(&mut self, event: Event<'_>, span: Span) -> bool {
        match event {
            Event::Scalar(value, style, anchor, tag) => {
                self.scalar(value, style, anchor, tag.as_deref(), span);
                true
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.open(Kind::Sequence, anchor, tag.as_deref(), span)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.open(Kind::Mapping, anchor, tag.as_deref(), span)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.close(bytes(span));
                true
            }
            Event::Alias(anchor) => self.alias(anchor, bytes(span)),
            Event::UnresolvedAlias(_) => {
                let message = "this refers to an anchor that is not defined before it";
                let help = "quote a text that begins with `*`, or define the anchor first";
                self.fault(&unknown_anchor::CODE, bytes(span), message, help);
                let id = self.push(Kind::Broken, bytes(span), 0);
                self.add(id, Weight::SCALAR);
                true
            }
            _ => true,
        }
    }

    fn fault(&mut self, code: &'static Code, (start, end): (u32, u32), message: &str, help: &str) {
        let (message, help) = (message.to_owned(), help.to_owned());
        if self.faults.len() <= FAULTS_MAX {
            self.faults.push(Fault { code, start, end, message, first: None, help });
        }
    }

    fn push(&mut self, kind: Kind, (start, end): (u32, u32), link: u32) -> Id {
        let id = Id(offset(self.nodes.len()));
        self.nodes.push(Node { start, end, link, kind });
        self.last_end = self.last_end.max(end);
        id
    }

    fn add(&mut self, id: Id, weight: Weight) {
        if let Some(frame) = self.frames.last_mut() {
            frame.weight.add(weight);
            self.waiting.push(id);
        }
    }

    /// Whether the whole document is a null.
    fn is_nothing(&self) -> bool {
        let [Node { start, end, kind: Kind::Plain, .. }] = self.nodes.as_slice() else {
            return false;
        };
        self.text.get(*start as usize..*end as usize).is_some_and(is_null)
    }

    fn tag(&mut self, tag: Option<&Tag>, span: Span) -> bool {
        if tag.is_some() {
            let at = bytes(span.tag_span().unwrap_or(span));
            let help = "remove the tag: a value's field says what it is; quote what is a text";
            self.fault(&yaml_tag::CODE, at, "YAML tags are not used in a manifest", help);
        }
        tag.is_some()
    }

    fn scalar(
        &mut self,
        value: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) {
        let at = bytes(span);
        let tagged = self.tag(tag, span);
        let written = self.text.get(at.0 as usize..at.1 as usize).unwrap_or_default();
        let (kind, in_text) = match style {
            ScalarStyle::Plain => (Kind::Plain, written.is_empty() || *value == *written),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                let inner = written.get(1..written.len().saturating_sub(1));
                (Kind::Quoted, inner.is_some_and(|inner| *value == *inner))
            }
            ScalarStyle::Literal | ScalarStyle::Folded => (Kind::Quoted, false),
        };
        let link = if tagged || in_text {
            IN_TEXT
        } else {
            self.owned.push(value.into());
            offset(self.owned.len() - 1)
        };
        let id = self.push(if tagged { Kind::Broken } else { kind }, at, link);
        self.anchor(anchor, id, Some(Weight::SCALAR));
        self.add(id, Weight::SCALAR);
    }

    fn anchor(&mut self, anchor: usize, id: Id, weight: Option<Weight>) {
        // Zero is no anchor.
        if anchor != 0 {
            self.anchors.insert(anchor, Anchor { node: id.0, weight });
        }
    }

    fn open(&mut self, kind: Kind, anchor: usize, tag: Option<&Tag>, span: Span) -> bool {
        let at = bytes(span);
        self.tag(tag, span);
        if self.frames.len() >= DEPTH_MAX {
            self.too_deep(at);
            return false;
        }
        let id = self.push(kind, at, 0);
        self.anchor(anchor, id, None);
        self.frames.push(Frame {
            node: id.0,
            anchor,
            waiting: self.waiting.len(),
            weight: Weight::SCALAR,
        });
        true
    }

    fn too_deep(&mut self, at: (u32, u32)) {
        let message = "more than 64 lists and mappings stand inside one another";
        self.fault(&too_deep::CODE, at, message, "a manifest needs no more than eight");
    }

    fn close(&mut self, (start, end): (u32, u32)) {
        let Some(frame) = self.frames.pop() else { return };
        // A block's end is reported where the next thing begins: it ends with what is last in it.
        if end > start {
            self.last_end = self.last_end.max(end);
        }
        let link = offset(self.children.len());
        let count = self.waiting.len().saturating_sub(frame.waiting);
        self.children.push(Id(offset(count)));
        self.children.extend(self.waiting.drain(frame.waiting..));
        let last_end = self.last_end;
        let mut mapping = false;
        if let Some(node) = self.nodes.get_mut(frame.node as usize) {
            node.link = link;
            node.end = last_end;
            mapping = node.kind == Kind::Mapping;
        }
        if mapping {
            self.check_keys(link);
        }
        if let Some(anchor) = self.anchors.get_mut(&frame.anchor) {
            anchor.weight = Some(frame.weight);
        }
        self.add(Id(frame.node), frame.weight);
    }

    fn alias(&mut self, anchor: usize, at: (u32, u32)) -> bool {
        let Some(&Anchor { node, weight }) = self.anchors.get(&anchor) else {
            // The parser resolves only what it has seen.
            return true;
        };
        let Some(target) = weight else {
            let help = "write out what is meant";
            self.fault(&exploding_anchors::CODE, at, "an anchor contains itself", help);
            let id = self.push(Kind::Broken, at, 0);
            self.add(id, Weight::SCALAR);
            return true;
        };
        let weight = Weight { expansions: target.expansions.saturating_add(1), ..target };
        self.repeated.add(weight);
        let Weight { expansions, nodes, .. } = self.repeated;
        if expansions > EXPANSIONS_MAX || nodes > REPEATED_MAX {
            let message = "the anchors unfold to more than 100,000 aliases or 4,000,000 values";
            let help = "write out what is meant; a group names people once for many products";
            self.fault(&exploding_anchors::CODE, at, message, help);
            return false;
        }
        if self.frames.len() + target.height > DEPTH_MAX {
            self.too_deep(at);
            return false;
        }
        let id = self.push(Kind::Alias, at, node);
        self.add(id, weight);
        true
    }

    /// Looks for keys that are no texts, merge keys and keys that stand twice.
    fn check_keys(&mut self, link: u32) {
        let mut keys: Vec<(u32, &str)> = Vec::new();
        let mut faults = Vec::new();
        for &key in list(&self.children, link).iter().step_by(2) {
            let Some(node) = self.nodes.get(key.0 as usize) else { continue };
            match (node.kind, key_text(self.text, &self.owned, *node)) {
                (Kind::Broken, _) => {}
                (Kind::Plain, Some("<<")) => faults.push((&merge_key::CODE, *node, None)),
                (_, Some(text)) => keys.push((key.0, text)),
                (_, None) => faults.push((&wrong_type::CODE, *node, None)),
            }
        }
        let first = |of: u32| self.nodes.get(of as usize).map(|node| node.start);
        let twice = |(key, of): (u32, u32)| {
            let node = self.nodes.get(key as usize).copied()?;
            Some((&duplicate_key::CODE, node, first(of)))
        };
        faults.extend(duplicates(&keys).into_iter().filter_map(twice));
        for (code, node, first) in faults {
            let at = (node.start, node.end);
            if code.id == merge_key::CODE.id {
                let help = "write the fields out: what is merged is easily overlooked in a review";
                self.fault(code, at, "merge keys (`<<`) are not used in a manifest", help);
            } else if let Some(first) = first {
                self.fault(code, at, "a field is given twice", "keep one of the two");
                if let Some(fault) = self.faults.last_mut() {
                    fault.first = Some(first);
                }
            } else {
                let help = "write a field's name before the `:`; quote one that begins with `*`";
                self.fault(code, at, "a field's name must be a text", help);
            }
        }
    }

    fn syntax(&mut self, error: &ScanError) {
        let at = offset(error.marker().byte_offset().unwrap_or_default());
        let (code, message, help) = explain(error.kind());
        self.fault(code, (at, at), &message, help);
    }
}

/// The byte offsets of a span; texts always have them.
fn bytes(span: Span) -> (u32, u32) {
    let start = offset(span.start.byte_offset().unwrap_or_default());
    let end = offset(span.end.byte_offset().unwrap_or_default());
    (start, end.max(start))
}

/// The text of a key, if it is one.
fn key_text<'a>(text: &'a str, owned: &'a [Box<str>], node: Node) -> Option<&'a str> {
    let quote = u32::from(node.kind == Kind::Quoted);
    match node.kind {
        Kind::Plain if node.start == node.end => None,
        Kind::Plain | Kind::Quoted if node.link == IN_TEXT => {
            text.get((node.start + quote) as usize..node.end.saturating_sub(quote) as usize)
        }
        Kind::Plain | Kind::Quoted => owned.get(node.link as usize).map(|text| &**text),
        _ => None,
    }
}

/// Pairs of a key and an equal one before it.
fn duplicates(keys: &[(u32, &str)]) -> Vec<(u32, u32)> {
    if keys.len() <= FEW_KEYS {
        let before = |(i, (key, text)): (usize, &(u32, &str))| {
            let equal = keys.iter().take(i).find(|(_, other)| other == text)?;
            Some((*key, equal.0))
        };
        return keys.iter().enumerate().filter_map(before).collect();
    }
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let mut found = Vec::new();
    for (key, text) in keys {
        if found.len() > FAULTS_MAX {
            break;
        }
        match seen.get(text) {
            Some(first) => found.push((*key, *first)),
            None => drop(seen.insert(text, *key)),
        }
    }
    found
}

/// The code, message and advice for what the parser refuses.
fn explain(kind: &ErrorKind) -> (&'static Code, String, &'static str) {
    use ErrorKind as E;
    match kind {
        E::DirectiveDisallowed => (
            &directive::CODE,
            "YAML directives are not used in a manifest".to_owned(),
            "remove the line that begins with `%`",
        ),
        E::RecursionLimitExceeded => (
            &too_deep::CODE,
            "more than 64 lists and mappings stand inside one another".to_owned(),
            "a manifest needs no more than eight",
        ),
        E::TabNotAllowed
        | E::TabInBlockIndentation
        | E::TabAtBlockScalarStart
        | E::TabInIndentation
        | E::TabInPlainScalar => (
            &tab_indentation::CODE,
            "a tab stands where YAML wants spaces".to_owned(),
            "indent with spaces; most editors convert tabs",
        ),
        E::MissingAnchorOrAliasName => (
            &yaml_syntax::CODE,
            "`*` and `&` begin an alias or an anchor, which has no name here".to_owned(),
            "quote a text that begins with `*` or `&`, for example `\"*\"`",
        ),
        E::UnexpectedCharacter { character: '@' | '`' } => (
            &yaml_syntax::CODE,
            "no text without quotes begins with this character".to_owned(),
            "quote the text",
        ),
        E::UnexpectedCharacter { character } if character.is_control() => (
            &yaml_syntax::CODE,
            format!("the character U+{:04X} is not allowed in YAML", u32::from(*character)),
            "remove the character; most editors can show it",
        ),
        E::MappingValueNotAllowed => (
            &yaml_syntax::CODE,
            "a `:` stands where no field can begin".to_owned(),
            "quote a text that contains `: `; check that the fields of a mapping are indented alike",
        ),
        E::ExpectedBlockMappingKey
        | E::ExpectedBlockSequenceEntry
        | E::InvalidIndentation
        | E::BlockSequenceEntryNotAllowed => (
            &yaml_syntax::CODE,
            format!("the YAML cannot be read: {kind}"),
            "indent this line as its neighbors: the fields of a mapping and the `-` of a list begin in one column",
        ),
        E::UnclosedQuotedScalar
        | E::UnclosedFlowCollection { .. }
        | E::UnexpectedEofFlowSequence
        | E::UnexpectedEofFlowMapping
        | E::UnexpectedEof => (
            &yaml_syntax::CODE,
            format!("the YAML cannot be read: {kind}"),
            "close what is open; a file may have been cut off",
        ),
        _ => (
            &yaml_syntax::CODE,
            format!("the YAML cannot be read: {kind}"),
            "correct the syntax at this place; quoting a text often helps",
        ),
    }
}
