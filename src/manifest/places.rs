//! Where the values of a manifest stand: from a path such as `path!["servers", 1, "port"]` to line and column.
//!
//! Checks judge values and name places by paths, so that they work alike on a manifest that has a text and on the
//! values of a bundle, which has none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use super::finding::{Code, Finding, Place};
use super::lines::Lines;
use super::tree::{Id, ROOT, Tree, View};

/// One step from a value to one inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To a field's value.
    Key(&'static str),
    /// To an entry of a list, counted from 0 among those that could be read.
    Index(usize),
}

impl From<&'static str> for Step {
    fn from(key: &'static str) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// A path to a value: `path!["servers", i, "port"]`.
macro_rules! manifest_path {
    ($($step:expr),* $(,)?) => {
        &[$($crate::manifest::places::Step::from($step)),*]
    };
}
pub(crate) use manifest_path as path;

/// What of a text could not be read.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// For a list with entries left out: where those that are left stand.
    pub(super) kept: BTreeMap<Id, Vec<u32>>,
    /// Nodes without a value, or with something missing or unknown inside.
    pub(super) broken: BTreeSet<Id>,
    /// Fields that should be there.
    pub(super) missing: BTreeSet<(Id, &'static str)>,
}

/// The places of a manifest's values, or of a list file's.
#[derive(Debug)]
pub struct Places {
    file: String,
    tree: Option<Tree>,
    lines: OnceLock<Lines>,
    quotes: bool,
    gaps: Gaps,
}

impl Places {
    /// The places of values that have no text, such as a bundle's: every finding names the file alone.
    #[must_use]
    pub fn without_text(file: &str) -> Self {
        let gaps = Gaps::default();
        Self { file: file.to_owned(), tree: None, lines: OnceLock::new(), quotes: false, gaps }
    }

    /// `quotes`: whether findings may quote the text.
    pub(super) fn new(file: &str, tree: Tree, quotes: bool) -> Self {
        Self { tree: Some(tree), quotes, ..Self::without_text(file) }
    }

    pub(super) fn set_gaps(&mut self, gaps: Gaps) {
        self.gaps = gaps;
    }

    pub(super) fn tree(&self) -> Option<&Tree> {
        self.tree.as_ref()
    }

    pub(super) fn quotes(&self) -> bool {
        self.quotes
    }

    /// The file, as the user would name it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where the value at a path stands.
    #[must_use]
    pub fn at(&self, path: &[Step]) -> Option<Place> {
        let found = self.find(path).ok()?;
        self.place(self.tree.as_ref()?.span(found.id))
    }

    /// Where the name of the field at the end of a path stands.
    #[must_use]
    pub fn key_at(&self, path: &[Step]) -> Option<Place> {
        let found = self.find(path).ok()?;
        self.place(self.tree.as_ref()?.span(found.key?))
    }

    /// Whether everything at a path could be read. Where not, its gaps are already reported, and a check that
    /// counts or looks for something there would only repeat them.
    #[must_use]
    pub fn is_whole(&self, path: &[Step]) -> bool {
        let Some(tree) = &self.tree else { return true };
        match self.find(path) {
            Ok(Found { id, .. }) => {
                let id = tree.resolve(id);
                let (_, end) = tree.span(id);
                let next = self.gaps.broken.range(id..).next();
                next.is_none_or(|&broken| broken != id && tree.span(broken).0 >= end)
            }
            Err((parent, Step::Key(key))) => {
                !self.gaps.missing.contains(&(tree.resolve(parent.id), key))
            }
            Err(_) => false,
        }
    }

    /// A line of the file, if findings may quote it.
    #[must_use]
    pub fn source(&self, line: u32) -> Option<String> {
        let tree = self.tree.as_ref().filter(|_| self.quotes)?;
        let source = self.lines(tree).source(tree.text(), line)?;
        // A secret key that was pasted is not printed as well.
        (!source.contains("PRIVATE KEY")).then_some(source)
    }

    /// A finding about the value at a path; where there is none, at the nearest around it.
    #[must_use]
    pub fn finding(
        &self,
        code: &'static Code,
        path: &[Step],
        message: String,
        help: String,
    ) -> Finding {
        let found = self.find(path).unwrap_or_else(|(parent, _)| parent);
        self.finding_at(code, found.id, found.key, message, help)
    }

    /// A finding about a node. A value of several lines is shown by its field's name or its first line.
    pub(super) fn finding_at(
        &self,
        code: &'static Code,
        id: Id,
        key: Option<Id>,
        message: String,
        help: String,
    ) -> Finding {
        let span = self.tree.as_ref().map(|tree| self.focus(tree, id, key));
        self.finding_in(code, span, message, help)
    }

    /// A finding about bytes of the text.
    pub(super) fn finding_in(
        &self,
        code: &'static Code,
        span: Option<(u32, u32)>,
        message: String,
        help: String,
    ) -> Finding {
        let place = span.and_then(|span| self.place(span));
        let source = place.and_then(|place| self.source(place.line));
        let severity = code.severity;
        Finding { code, severity, file: self.file.clone(), place, message, help, source }
    }

    /// The line of a byte of the text.
    pub(super) fn line_of(&self, offset: u32) -> u32 {
        self.place((offset, offset)).map_or(1, |place| place.line)
    }

    fn focus(&self, tree: &Tree, id: Id, key: Option<Id>) -> (u32, u32) {
        let (start, end) = tree.span(id);
        let text = tree.text().get(start as usize..end as usize).unwrap_or_default();
        match (text.find(['\n', '\r']), key) {
            (Some(_), Some(key)) => tree.span(key),
            (None, Some(key)) if text.is_empty() => tree.span(key),
            (Some(cut), None) => {
                let line = text.get(..cut).unwrap_or_default().trim_end();
                (start, start + u32::try_from(line.len()).unwrap_or_default())
            }
            (None, _) => (start, end),
        }
    }

    fn place(&self, (start, end): (u32, u32)) -> Option<Place> {
        let tree = self.tree.as_ref()?;
        Some(self.lines(tree).place(tree.text(), start, end))
    }

    fn lines(&self, tree: &Tree) -> &Lines {
        self.lines.get_or_init(|| Lines::new(tree.text()))
    }

    /// The node at a path, or the last one on the way and the step that leads nowhere.
    fn find(&self, path: &[Step]) -> Result<Found, (Found, Step)> {
        let mut found = Found { id: ROOT, key: None };
        for &step in path {
            found = self.step(found.id, step).ok_or((found, step))?;
        }
        Ok(found)
    }

    fn step(&self, id: Id, step: Step) -> Option<Found> {
        let tree = self.tree.as_ref()?;
        match (tree.view(id), step) {
            (View::Mapping(pairs), Step::Key(name)) => {
                let pair = pairs.chunks_exact(2).find(|pair| {
                    let key = pair.first().map(|&key| tree.view(key));
                    matches!(key, Some(View::Plain(key) | View::Quoted(key)) if key == name)
                })?;
                Some(Found { id: *pair.get(1)?, key: pair.first().copied() })
            }
            (View::Sequence(entries), Step::Index(index)) => {
                let kept = self.gaps.kept.get(&tree.resolve(id));
                let index = match kept {
                    Some(kept) => *kept.get(index)? as usize,
                    None => index,
                };
                Some(Found { id: *entries.get(index)?, key: None })
            }
            _ => None,
        }
    }
}

/// A node that a path leads to, and the key before it if it is a field's value.
#[derive(Clone, Copy, Debug)]
struct Found {
    id: Id,
    key: Option<Id>,
}
