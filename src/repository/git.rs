//! The `git` command line, run so that nothing in a repository can run anything: no hooks, no prompts, no
//! file system monitor, paths taken literally, a deadline and a bound on what it may say.

use std::ffi::{OsStr, OsString};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::statement::Source;

/// How long one call of git may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most bytes that one call of git may answer.
const OUTPUT_MAX: u64 = 256 << 20;

/// Why git gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// There is no program `git`, or it does not start.
    #[error("`git` does not start: {0}")]
    Start(String),
    /// Git refused; its first line of explanation.
    #[error("git: {0}")]
    Refused(String),
    /// There is no such commit.
    #[error("`{0}` is no commit here")]
    UnknownRevision(String),
    /// Git did not end in time.
    #[error("git did not answer within {}s", PATIENCE.as_secs())]
    Timeout,
    /// Git said more than anybody reads.
    #[error("git answered more than {OUTPUT_MAX} bytes")]
    TooLong,
    /// Git said something that is not what its manual promises.
    #[error("git gave an answer that is not understood: {0}")]
    Answer(&'static str),
    /// The path is not in the work tree.
    #[error("`{0}` is not in the git work tree")]
    NotInTree(String),
}

/// A git work tree or a bare repository.
#[derive(Clone, Debug)]
pub struct Git {
    folder: PathBuf,
}

impl Git {
    /// The work tree that a folder is in: the nearest one above that has a `.git`. Runs nothing.
    #[must_use]
    pub fn around(folder: &Path) -> Option<Self> {
        let folder = folder.canonicalize().ok()?;
        let root = folder.ancestors().find(|up| up.join(".git").symlink_metadata().is_ok())?;
        Some(Self { folder: root.to_owned() })
    }

    /// The repository in exactly this folder, for example a bare clone.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The root of the work tree, with no symbolic link in it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.folder
    }

    /// The names of `paths` that git tracks or would add with the next `git add`.
    ///
    /// # Errors
    /// Git cannot be asked, or a path is not in the work tree.
    pub fn tracked_or_added(&self, paths: &[PathBuf]) -> Result<Vec<PathBuf>, GitError> {
        let mut args =
            words(&["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]);
        for path in paths {
            args.push(self.inside(path)?.into_os_string());
        }
        let answer = self.run(&args, None)?;
        let names = answer.split(|&byte| byte == 0).filter(|name| !name.is_empty());
        Ok(names
            .filter_map(|name| std::str::from_utf8(name).ok())
            .map(|n| self.folder.join(n))
            .collect())
    }

    /// Where a manifest comes from, and whether it or another of the `files` has uncommitted edits. Paths are
    /// canonical; files outside of the work tree count as uncommitted.
    ///
    /// # Errors
    /// Git cannot be asked, or the manifest is not in the work tree.
    pub fn origin(&self, manifest: &Path, files: &[PathBuf]) -> Result<Source, GitError> {
        let path = slashed(&self.inside(manifest)?);
        let mut args = words(&[
            "status",
            "--porcelain=v2",
            "--branch",
            "-z",
            "--untracked-files=all",
            "--ignored=matching",
            "--ignore-submodules=all",
            "--",
        ]);
        args.push(self.inside(manifest)?.into_os_string());
        let mut dirty = false;
        for file in files {
            match self.inside(file) {
                Ok(file) => args.push(file.into_os_string()),
                Err(_) => dirty = true,
            }
        }
        let answer = self.run(&args, None)?;
        let mut commit = None;
        for record in answer.split(|&byte| byte == 0).filter(|record| !record.is_empty()) {
            match record.strip_prefix(b"# ") {
                Some(header) => {
                    if let Some(oid) = header.strip_prefix(b"branch.oid ") {
                        commit = std::str::from_utf8(oid)
                            .ok()
                            .filter(|oid| is_oid(oid))
                            .map(str::to_owned);
                    }
                }
                None => dirty = true,
            }
        }
        let url = self.run(&words(&["config", "--get", "remote.origin.url"]), None).ok();
        let repository = url
            .and_then(|url| String::from_utf8(url).ok())
            .map(|url| without_password(url.trim()))
            .filter(|url| !url.is_empty());
        Ok(Source { repository, commit, path, dirty })
    }

    /// The commit that a revision names.
    ///
    /// # Errors
    /// There is no such commit.
    pub fn commit(&self, revision: &str) -> Result<String, GitError> {
        let args = words(&["rev-parse", "--verify", "--quiet", "--end-of-options"]);
        let args = [args, words(&[&format!("{revision}^{{commit}}")])].concat();
        let unknown = || GitError::UnknownRevision(revision.to_owned());
        let answer = self.run(&args, None).map_err(|error| match error {
            GitError::Refused(_) => unknown(),
            other => other,
        })?;
        let oid = String::from_utf8(answer).map_err(|_| unknown())?.trim().to_owned();
        if is_oid(&oid) { Ok(oid) } else { Err(unknown()) }
    }

    /// Every file and symbolic link of a commit: mode, object and path.
    ///
    /// # Errors
    /// Git cannot be asked.
    pub(crate) fn files_of(&self, commit: &str) -> Result<Vec<CommitFile>, GitError> {
        let answer =
            self.run(&words(&["ls-tree", "-r", "-z", "--full-tree", "--", commit]), None)?;
        let mut files = Vec::new();
        for record in answer.split(|&byte| byte == 0).filter(|record| !record.is_empty()) {
            // A name that is not UTF-8 cannot be written in a manifest.
            let Ok(record) = std::str::from_utf8(record) else { continue };
            let (about, path) =
                record.split_once('\t').ok_or(GitError::Answer("a line of ls-tree has no tab"))?;
            let mut about = about.split(' ');
            let (Some(mode), Some("blob"), Some(oid)) = (about.next(), about.next(), about.next())
            else {
                continue;
            };
            let (oid, path) = (oid.to_owned(), path.to_owned());
            files.push(CommitFile { link: mode == "120000", oid, path });
        }
        Ok(files)
    }

    /// The bytes of objects, in their order; `None` for one that is missing.
    ///
    /// # Errors
    /// Git cannot be asked.
    pub(crate) fn blobs(&self, oids: &[&str]) -> Result<Vec<Option<Vec<u8>>>, GitError> {
        let input = oids.iter().flat_map(|oid| [oid, "\n"]).collect::<String>();
        let answer = self.run(&words(&["cat-file", "--batch"]), Some(input.into_bytes()))?;
        let mut rest = answer.as_slice();
        let mut blobs = Vec::with_capacity(oids.len());
        for _ in oids {
            let cut = GitError::Answer("cat-file ended early");
            let end = rest.iter().position(|&byte| byte == b'\n').ok_or(cut.clone())?;
            let (header, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            let header = std::str::from_utf8(header).map_err(|_| cut.clone())?;
            let size = match header.rsplit(' ').next() {
                Some("missing") | None => {
                    blobs.push(None);
                    continue;
                }
                Some(size) => size.parse::<usize>().map_err(|_| cut.clone())?,
            };
            blobs.push(Some(rest.get(..size).ok_or(cut.clone())?.to_vec()));
            rest = rest.get(size.saturating_add(1)..).ok_or(cut)?;
        }
        Ok(blobs)
    }

    fn inside(&self, path: &Path) -> Result<PathBuf, GitError> {
        let outside = |_| GitError::NotInTree(path.display().to_string());
        path.strip_prefix(&self.folder).map(Path::to_owned).map_err(outside)
    }

    /// Runs git in the repository and returns what it wrote to its standard output.
    fn run(&self, args: &[OsString], input: Option<Vec<u8>>) -> Result<Vec<u8>, GitError> {
        let mut command = Command::new("git");
        command
            .arg("-C")
            .arg(&self.folder)
            .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
            .args(["-c", "core.quotePath=false", "--literal-pathspecs", "--no-pager"])
            .args(args)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_ALLOW_PROTOCOL", "https:ssh:file")
            .env("LC_ALL", "C")
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Inside of a hook git says by these which repository it means; we mean the one around the manifest.
        for name in LOCAL_VARIABLES {
            command.env_remove(name);
        }
        let mut child = command.spawn().map_err(|error| GitError::Start(error.to_string()))?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            // A child that ends early breaks the pipe: its exit code says so.
            std::thread::spawn(move || drop(stdin.write_all(&input)));
        }
        let output = gather(child.stdout.take());
        let errors = gather(child.stderr.take());
        let output = match output.recv_timeout(PATIENCE) {
            Ok(output) => output,
            Err(_) => return Err(ended(&mut child, GitError::Timeout)),
        };
        if output.len() as u64 > OUTPUT_MAX {
            return Err(ended(&mut child, GitError::TooLong));
        }
        let status = child.wait().map_err(|error| GitError::Start(error.to_string()))?;
        if status.success() {
            return Ok(output);
        }
        let errors = errors.recv_timeout(PATIENCE).unwrap_or_default();
        let errors = String::from_utf8_lossy(&errors);
        let line = errors.lines().find(|line| !line.trim().is_empty()).unwrap_or("it failed");
        let line = line.trim_start_matches("fatal: ").trim_start_matches("error: ");
        Err(GitError::Refused(line.chars().take(300).collect()))
    }
}

/// A file or symbolic link of a commit.
pub(crate) struct CommitFile {
    /// Whether it is a symbolic link, whose target is the object's text.
    pub(crate) link: bool,
    /// The object with its bytes.
    pub(crate) oid: String,
    /// Its path from the root.
    pub(crate) path: String,
}

/// `git rev-parse --local-env-vars`: what says which repository and index are meant.
const LOCAL_VARIABLES: [&str; 15] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
];

/// Reads a pipe to its end on a thread of its own, so that a full pipe never blocks the child.
fn gather(pipe: Option<impl std::io::Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What was read before an error is still what git said.
            drop(pipe.take(OUTPUT_MAX + 1).read_to_end(&mut bytes));
        }
        drop(sender.send(bytes));
    });
    receiver
}

/// Ends a child that is of no use any more.
fn ended(child: &mut Child, error: GitError) -> GitError {
    // A child that has ended by itself cannot be killed, which is as good.
    drop(child.kill());
    drop(child.wait());
    error
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(|word| OsStr::new(word).to_owned()).collect()
}

fn is_oid(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A relative path with `/` between its components.
pub(crate) fn slashed(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|c| c.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// A URL without the user and password that continuous integration writes into it.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    match authority.rsplit_once('@') {
        // The user of an ssh URL is part of the address; a password never is.
        Some((user, host)) if scheme == "ssh" => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}{path}")
        }
        Some((_, host)) => format!("{scheme}://{host}{path}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_left_out() {
        for (url, kept) in [
            (
                "https://x-access-token:ghs_secret@example.com/a/b.git",
                "https://example.com/a/b.git",
            ),
            ("https://token@example.com/a", "https://example.com/a"),
            ("ssh://git:pw@example.com/a", "ssh://git@example.com/a"),
            ("git@example.com:a/b.git", "git@example.com:a/b.git"),
            ("https://example.com/a@b", "https://example.com/a@b"),
        ] {
            assert_eq!(without_password(url), kept);
        }
    }
}
