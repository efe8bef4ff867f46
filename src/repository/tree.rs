//! A tree of files that a manifest may read from, as one trait: a folder on disk, or a commit of git.
//!
//! Paths are relative to the manifest's folder and were checked by `manifest::sources`; a tree keeps what they
//! lead to inside of itself.

use crate::manifest::sources::{FileFault, Pattern, component_matches};

/// The most names that looking for the files of one pattern may see.
const NAMES_MAX: usize = 100_000;
/// The deepest that `**` goes.
const DEPTH_MAX: usize = 32;

/// What a name in a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file, or anything that is neither of the others: reading it says what.
    File,
    /// A folder.
    Folder,
    /// A symbolic link to a folder: gone through by name, never by `**`.
    LinkedFolder,
}

/// Where the files of a manifest are read from.
pub trait Tree {
    /// The names in a folder with their kinds, in the order of their bytes. `""` is the manifest's own folder.
    ///
    /// # Errors
    /// There is no such folder, or it is not inside of the tree.
    fn names(&self, folder: &str) -> Result<Vec<(String, Kind)>, FileFault>;

    /// Says which files are read next, for a tree that can fetch many at once.
    fn expect(&self, paths: &[String]);

    /// The bytes of a regular file, at most `max`.
    ///
    /// # Errors
    /// There is no such file, it is not regular, too large, or not inside of the tree.
    fn read(&self, path: &str, max: u64) -> Result<Vec<u8>, FileFault>;
}

/// The paths of all files that a pattern fits, in the order of their bytes.
///
/// # Errors
/// No file fits, or there are too many names to look through.
pub(super) fn files_of(tree: &dyn Tree, pattern: &Pattern) -> Result<Vec<String>, FileFault> {
    if let Some(path) = pattern.literal() {
        return Ok(vec![path]);
    }
    let mut search = Search { tree, seen: 0, found: Vec::new() };
    search.folder("", pattern.components(), 0)?;
    search.found.sort_unstable();
    search.found.dedup();
    if search.found.is_empty() { Err(FileFault::NoMatch) } else { Ok(search.found) }
}

struct Search<'a> {
    tree: &'a dyn Tree,
    seen: usize,
    found: Vec<String>,
}

impl Search<'_> {
    fn folder(
        &mut self,
        folder: &str,
        components: &[String],
        depth: usize,
    ) -> Result<(), FileFault> {
        let Some((component, rest)) = components.split_first() else { return Ok(()) };
        let names = match self.tree.names(folder) {
            Ok(names) => names,
            Err(FileFault::Missing) => return Ok(()),
            Err(fault) => return Err(fault),
        };
        self.seen = self.seen.saturating_add(names.len());
        if self.seen > NAMES_MAX || depth > DEPTH_MAX {
            return Err(FileFault::TooMany);
        }
        if component == "**" {
            self.folder(folder, rest, depth + 1)?;
        }
        for (name, kind) in names {
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            if component == "**" {
                if kind == Kind::Folder && !name.starts_with('.') {
                    self.folder(&path, components, depth + 1)?;
                }
            } else if component_matches(component, &name) {
                match (rest.is_empty(), kind) {
                    (true, Kind::File) => self.found.push(path),
                    (false, Kind::Folder | Kind::LinkedFolder) => {
                        self.folder(&path, rest, depth + 1)?
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
