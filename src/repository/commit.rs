//! The tree of one commit: files are read from git's objects, with no work tree.
//!
//! A symbolic link is followed only inside of the commit.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use super::git::{CommitFile, Git, GitError};
use super::tree::{Kind, Tree};
use crate::manifest::sources::FileFault;

/// The most symbolic links on the way to one file.
const LINKS_MAX: usize = 40;
const OUTSIDE: FileFault = FileFault::Outside("the commit");

/// The files of one commit, seen from the folder of a manifest in it.
pub struct Commit {
    git: Git,
    id: String,
    base: String,
    files: BTreeMap<String, CommitFile>,
    fetched: RefCell<BTreeMap<String, Option<Vec<u8>>>>,
}

/// What a path of the commit leads to.
enum Target<'a> {
    File(&'a CommitFile),
    Folder(String),
}

impl Commit {
    /// The commit that `revision` names, for a manifest in the folder `base` (from the root, `/`-separated).
    ///
    /// # Errors
    /// There is no such commit, or git cannot be asked.
    pub fn open(git: &Git, revision: &str, base: &str) -> Result<Self, GitError> {
        let id = git.commit(revision)?;
        let files = git.files_of(&id)?.into_iter().map(|file| (file.path.clone(), file)).collect();
        let (git, base) = (git.clone(), base.to_owned());
        Ok(Self { git, id, base, files, fetched: RefCell::default() })
    }

    /// The commit's full id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What a path from the manifest's folder leads to.
    fn resolve(&self, path: &str) -> Result<Target<'_>, FileFault> {
        self.follow(&format!("{}/{path}", self.base))
    }

    /// Follows symbolic links to a file or folder of the commit. A folder may turn out to have nothing in it.
    fn follow(&self, path: &str) -> Result<Target<'_>, FileFault> {
        let mut ahead: VecDeque<String> = path.split('/').map(str::to_owned).collect();
        let mut here: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    here.pop().ok_or(OUTSIDE)?;
                    continue;
                }
                _ => here.push(name),
            }
            let Some(file) = self.files.get(&here.join("/")) else { continue };
            if !file.link {
                // A file has nothing below it.
                let last = ahead.iter().all(|name| matches!(name.as_str(), "" | "."));
                return if last { Ok(Target::File(file)) } else { Err(FileFault::Missing) };
            }
            links += 1;
            if links > LINKS_MAX {
                return Err(FileFault::Unreadable("too many symbolic links".to_owned()));
            }
            let target = self.bytes(file)?;
            let target = String::from_utf8(target).map_err(|_| OUTSIDE)?;
            if target.starts_with('/') {
                return Err(OUTSIDE);
            }
            here.pop();
            for part in target.rsplit('/') {
                ahead.push_front(part.to_owned());
            }
        }
        Ok(Target::Folder(here.join("/")))
    }

    fn is_folder(&self, folder: &str) -> bool {
        self.below(folder).next().is_some()
    }

    fn bytes(&self, file: &CommitFile) -> Result<Vec<u8>, FileFault> {
        if let Some(bytes) = self.fetched.borrow().get(&file.oid) {
            return bytes.clone().ok_or(FileFault::Missing);
        }
        self.fetch(&[&file.oid]).map_err(|error| FileFault::Unreadable(error.to_string()))?;
        let fetched = self.fetched.borrow();
        fetched.get(&file.oid).cloned().flatten().ok_or(FileFault::Missing)
    }

    fn fetch(&self, oids: &[&str]) -> Result<(), GitError> {
        let blobs = self.git.blobs(oids)?;
        let mut fetched = self.fetched.borrow_mut();
        fetched.extend(oids.iter().map(|oid| (*oid).to_owned()).zip(blobs));
        Ok(())
    }

    /// The names below a folder: with what is left of each path after it.
    fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a CommitFile)> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let length = prefix.len();
        let range = self.files.range(prefix.clone()..);
        range
            .take_while(move |(path, _)| path.starts_with(&prefix))
            .filter_map(move |(path, file)| path.get(length..).map(|rest| (rest, file)))
    }
}

impl Tree for Commit {
    fn names(&self, folder: &str) -> Result<Vec<(String, Kind)>, FileFault> {
        let Target::Folder(folder) = self.resolve(folder)? else { return Err(FileFault::Missing) };
        let mut names: BTreeMap<String, Kind> = BTreeMap::new();
        for (rest, file) in self.below(&folder) {
            match rest.split_once('/') {
                Some((name, _)) => names.insert(name.to_owned(), Kind::Folder),
                None if file.link => {
                    let path = if folder.is_empty() {
                        rest.to_owned()
                    } else {
                        format!("{folder}/{rest}")
                    };
                    let kind = match self.follow(&path) {
                        Ok(Target::Folder(target)) if self.is_folder(&target) => Kind::LinkedFolder,
                        _ => Kind::File,
                    };
                    names.insert(rest.to_owned(), kind)
                }
                None => names.insert(rest.to_owned(), Kind::File),
            };
        }
        if names.is_empty() { Err(FileFault::Missing) } else { Ok(names.into_iter().collect()) }
    }

    fn expect(&self, paths: &[String]) {
        let mut oids = Vec::new();
        for path in paths {
            if let Ok(Target::File(file)) = self.resolve(path)
                && !self.fetched.borrow().contains_key(&file.oid)
            {
                oids.push(file.oid.as_str());
            }
        }
        oids.sort_unstable();
        oids.dedup();
        if !oids.is_empty() {
            // What could not be fetched now is asked for again when it is read, and said then.
            drop(self.fetch(&oids));
        }
    }

    fn read(&self, path: &str, max: u64) -> Result<Vec<u8>, FileFault> {
        let file = match self.resolve(path)? {
            Target::File(file) => file,
            Target::Folder(folder) if self.is_folder(&folder) => {
                return Err(FileFault::NotRegular("a folder"));
            }
            Target::Folder(_) => return Err(FileFault::Missing),
        };
        let bytes = self.bytes(file)?;
        if bytes.len() as u64 > max { Err(FileFault::TooLarge(max)) } else { Ok(bytes) }
    }
}
