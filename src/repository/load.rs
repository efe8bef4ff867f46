//! Reading a manifest with everything it names: license files in order, lists resolved into it.
//!
//! What cannot be read is a problem beside the manifest, never the end: a check reports it with all the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::against::license_ids;
use super::folder::Folder;
use super::git::Git;
use super::survey::Survey;
use super::tree::{Tree, files_of};
use crate::bundle::{Bundle, BundleError};
use crate::manifest::check::{Checked, Circumstances, Written, check};
use crate::manifest::finding::Finding;
use crate::manifest::sources::{
    Entry, FILES_MAX, FileFault, FileProblem, LICENSE_BYTES_MAX, LicenseFile, Lists, MemberList,
    Pattern, TOTAL_BYTES_MAX, UserList,
};
use crate::manifest::types::Manifest;
use crate::manifest::{Parsed, parse, parse_users};
use crate::name::LicenseId;

/// A manifest and everything it names, as far as it could be read.
#[derive(Debug)]
pub struct Loaded {
    /// The manifest, as the user named it.
    pub file: String,
    /// The manifest's own bytes.
    pub text: Vec<u8>,
    /// The manifest as it is written, and where its values stand; absent where nothing of it can be judged.
    pub parsed: Option<Parsed>,
    /// The manifest with its lists resolved into it.
    pub manifest: Option<Manifest>,
    /// The license files of both servers, by server in the manifest's order, then in the order of their patterns.
    pub licenses: Vec<LicenseFile>,
    /// Which users and members come from lists.
    pub lists: Lists,
    /// The files that could not be read.
    pub problems: Vec<FileProblem>,
    /// What is wrong with the shape of the manifest and of its lists.
    pub findings: Vec<Finding>,
    /// Why the manifest itself could not be read.
    pub unread: Option<FileFault>,
    /// The files that were read, with no symbolic link in their paths. Empty for a commit of git.
    pub used: Vec<PathBuf>,
    /// The folders in which a change can change what was read. Empty for a commit of git.
    pub watched: Vec<PathBuf>,
    /// SHA-256 of everything that was read, and of what could not be: equal exactly if nothing has changed.
    pub fingerprint: [u8; 32],
}

impl Loaded {
    /// The bundle of the manifest and its license files; absent where there is no manifest. Whether it may be applied
    /// is [`Loaded::check`]'s say.
    #[must_use]
    pub fn bundle(&self) -> Option<Result<Bundle, BundleError>> {
        let manifest = self.manifest.as_ref()?;
        let licenses = self.licenses.iter();
        let licenses =
            licenses.map(|one| (one.server.clone(), one.file.clone(), one.text.to_vec())).collect();
        Some(Bundle::build(manifest, licenses))
    }

    /// The ids of all licenses that verify.
    #[must_use]
    pub fn license_ids(&self) -> BTreeSet<LicenseId> {
        self.licenses.iter().flat_map(|file| license_ids(&file.text)).collect()
    }

    /// Every finding there is: of shape and of meaning, in the order of the files.
    #[must_use]
    pub fn check(&self, survey: &Survey, circumstances: &Circumstances<'_>) -> Checked {
        let unasked = survey.git.as_ref().map(ToString::to_string);
        let written = Written {
            manifest: self.manifest.as_ref(),
            licenses: &self.licenses,
            file: &self.file,
            places: self.parsed.as_ref().map(|parsed| &parsed.places),
            lists: &self.lists,
            problems: &self.problems,
            unread: self.unread.as_ref(),
            secrets: &survey.secrets,
            schema: survey.schema.as_deref(),
            unasked: unasked.as_deref(),
        };
        check(&written, circumstances, self.findings.clone())
    }
}

/// Reads a manifest from disk. It may be anywhere; what it names is read only inside of the git work tree around
/// its folder, or inside of its folder where there is none.
#[must_use]
pub fn read(manifest: &Path) -> Loaded {
    let file = manifest.display().to_string().replace('\\', "/");
    let parent = manifest.parent().filter(|parent| !parent.as_os_str().is_empty());
    let base = parent.unwrap_or(Path::new("."));
    let git = Git::around(base);
    let Ok(folder) = Folder::open(base, git.as_ref().map(Git::root)) else {
        return Reader::new(file).finish(Err(FileFault::Missing), &Nothing);
    };
    let name = manifest.file_name().map(Path::new);
    let text = name.map_or(Err(FileFault::NotRegular("a folder")), |name| {
        folder.manifest(name, TOTAL_BYTES_MAX)
    });
    let loaded = Reader::new(file).finish(text, &folder);
    Loaded { used: folder.used(), watched: folder.watched(), ..loaded }
}

/// Reads the manifest `name` (from the tree's own folder) with everything it names. `file` is how findings name it.
#[must_use]
pub fn read_from(tree: &dyn Tree, file: &str, name: &str) -> Loaded {
    let text = tree.read(name, TOTAL_BYTES_MAX);
    Reader::new(file.to_owned()).finish(text, tree)
}

/// A tree with nothing in it.
struct Nothing;

impl Tree for Nothing {
    fn names(&self, _: &str) -> Result<Vec<(String, super::tree::Kind)>, FileFault> {
        Err(FileFault::Missing)
    }
    fn expect(&self, _: &[String]) {}
    fn read(&self, _: &str, _: u64) -> Result<Vec<u8>, FileFault> {
        Err(FileFault::Missing)
    }
}

/// What is read so far, and how much may still be.
struct Reader {
    loaded: Loaded,
    hash: Sha256,
    files_left: usize,
    bytes_left: u64,
    read: BTreeMap<String, Result<Arc<[u8]>, FileFault>>,
}

impl Reader {
    fn new(file: String) -> Self {
        let loaded = Loaded {
            file,
            text: Vec::new(),
            parsed: None,
            manifest: None,
            licenses: Vec::new(),
            lists: Lists::default(),
            problems: Vec::new(),
            findings: Vec::new(),
            unread: None,
            used: Vec::new(),
            watched: Vec::new(),
            fingerprint: [0; 32],
        };
        let (files_left, bytes_left) = (FILES_MAX, TOTAL_BYTES_MAX);
        Self { loaded, hash: Sha256::new(), files_left, bytes_left, read: BTreeMap::new() }
    }

    fn finish(mut self, text: Result<Vec<u8>, FileFault>, tree: &dyn Tree) -> Loaded {
        match text {
            Ok(text) => self.manifest(text, tree),
            Err(fault) => self.loaded.unread = Some(fault),
        }
        self.loaded.fingerprint = self.hash.finalize().into();
        self.loaded
    }

    fn manifest(&mut self, text: Vec<u8>, tree: &dyn Tree) {
        self.note("", &Ok(text.as_slice().into()));
        self.bytes_left = self.bytes_left.saturating_sub(text.len() as u64);
        let (parsed, findings) = parse(&self.loaded.file, &text);
        self.loaded.text = text;
        self.loaded.findings = findings;
        self.loaded.manifest = parsed.as_ref().map(|parsed| {
            let mut manifest = parsed.manifest.clone();
            self.lists(&mut manifest, tree);
            self.licenses(&manifest, tree);
            manifest
        });
        self.loaded.parsed = parsed;
    }

    fn lists(&mut self, manifest: &mut Manifest, tree: &dyn Tree) {
        if let Some(from) = manifest.users_from.take() {
            let first = manifest.users.len();
            let file = self.beside(&from);
            let mut list = UserList { file, first, places: None };
            if let Some(bytes) = self.list(tree, Entry::UsersFrom, &from) {
                let (users, findings) = parse_users(&list.file, &bytes);
                self.loaded.findings.extend(findings);
                if let Some((users, places)) = users {
                    manifest.users.extend(users);
                    list.places = Some(places);
                }
            }
            self.loaded.lists.users = Some(list);
        }
        for (index, group) in manifest.groups.iter_mut().enumerate() {
            let Some(from) = group.members_from.take() else { continue };
            let entry = Entry::MembersFrom { group: index };
            let Some(bytes) = self.list(tree, entry, &from) else { continue };
            let Ok(text) = std::str::from_utf8(&bytes) else {
                self.loaded.problems.push(FileProblem {
                    entry,
                    file: from,
                    fault: FileFault::NotText,
                });
                continue;
            };
            let list = MemberList::read(self.beside(&from), index, text, &mut group.members);
            self.loaded.lists.members.push(list);
        }
    }

    fn list(&mut self, tree: &dyn Tree, entry: Entry, from: &str) -> Option<Arc<[u8]>> {
        let path = Pattern::new(from).map(|pattern| pattern.components().join("/"));
        let bytes = match path {
            Ok(path) => self.file(tree, &path, TOTAL_BYTES_MAX),
            Err(fault) => Err(fault),
        };
        bytes
            .map_err(|fault| {
                let file = from.to_owned();
                self.loaded.problems.push(FileProblem { entry, file, fault });
            })
            .ok()
    }

    fn licenses(&mut self, manifest: &Manifest, tree: &dyn Tree) {
        let mut wanted: Vec<(Entry, String)> = Vec::new();
        for (server, at) in manifest.servers.iter().zip(0..) {
            let begin = wanted.len();
            for (text, pattern) in server.licenses.iter().zip(0..) {
                let entry = Entry::License { server: at, pattern };
                match Pattern::new(text).and_then(|pattern| files_of(tree, &pattern)) {
                    Ok(files) => {
                        for file in files {
                            let own = wanted.get(begin..).unwrap_or_default();
                            if !own.iter().any(|(_, other)| *other == file) {
                                wanted.push((entry, file));
                            }
                        }
                    }
                    Err(fault) => {
                        let file = text.clone();
                        self.note(&file, &Err(fault.clone()));
                        self.loaded.problems.push(FileProblem { entry, file, fault });
                    }
                }
                if wanted.len() > FILES_MAX {
                    let (file, fault) = (text.clone(), FileFault::TooMany);
                    self.loaded.problems.push(FileProblem { entry, file, fault });
                    return;
                }
            }
        }
        let paths: Vec<String> = wanted.iter().map(|(_, file)| file.clone()).collect();
        tree.expect(&paths);
        for (entry, file) in wanted {
            let Entry::License { server, .. } = entry else { continue };
            let Some(server) = manifest.servers.get(server) else { continue };
            match self.file(tree, &file, LICENSE_BYTES_MAX) {
                Ok(text) => {
                    let server = server.name.clone();
                    self.loaded.licenses.push(LicenseFile { server, file, text });
                }
                Err(fault) => self.loaded.problems.push(FileProblem { entry, file, fault }),
            }
        }
    }

    /// Reads a file once, within the limits on all files together.
    fn file(&mut self, tree: &dyn Tree, path: &str, max: u64) -> Result<Arc<[u8]>, FileFault> {
        if let Some(read) = self.read.get(path) {
            return read.clone();
        }
        let read = self.fetch(tree, path, max).map(Arc::from);
        self.note(path, &read);
        self.read.insert(path.to_owned(), read.clone());
        read
    }

    fn fetch(&mut self, tree: &dyn Tree, path: &str, max: u64) -> Result<Vec<u8>, FileFault> {
        self.files_left = self.files_left.checked_sub(1).ok_or(FileFault::TooMany)?;
        let bytes = match tree.read(path, max.min(self.bytes_left)) {
            Err(FileFault::TooLarge(limit)) if limit < max => return Err(FileFault::TotalTooLarge),
            other => other?,
        };
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len() as u64);
        Ok(bytes)
    }

    /// Takes what was read into the fingerprint.
    fn note(&mut self, path: &str, read: &Result<Arc<[u8]>, FileFault>) {
        let mut add = |bytes: &[u8]| {
            self.hash.update((bytes.len() as u64).to_be_bytes());
            self.hash.update(bytes);
        };
        add(path.as_bytes());
        match read {
            Ok(bytes) => add(bytes),
            Err(fault) => add(format!("{fault:?}").as_bytes()),
        }
    }

    /// A file that the manifest names, as the user would name it.
    fn beside(&self, path: &str) -> String {
        match self.loaded.file.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{path}"),
            None => path.to_owned(),
        }
    }
}
