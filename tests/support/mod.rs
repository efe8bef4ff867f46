//! What the tests of the program share: a directory of their own, running `tandem` in it, and masks for what differs
//! from run to run.

pub(crate) mod answers;
pub(crate) mod duo;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tandem::measure::Timestamp;

/// A directory that is gone after the test.
pub(crate) struct Dir(tempfile::TempDir);

impl Dir {
    /// An empty directory.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Where it is, or a file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Whether the file is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The text of a file.
    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Writes a file, and the directories it is in.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).expect("directories");
        std::fs::write(path, text).expect("a written file");
    }

    /// Removes a file.
    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).expect("a removed file");
    }

    /// The permissions of a file, as `chmod` counts them.
    #[cfg(unix)]
    pub(crate) fn mode(&self, name: &str) -> u32 {
        use std::os::unix::fs::PermissionsExt as _;
        let data = std::fs::metadata(self.path(name)).expect("a file");
        data.permissions().mode() & 0o777
    }

    /// `tandem` with these words, ready to run here: no terminal, nothing of the tester's own settings.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        command.args(words.split_whitespace()).current_dir(self.0.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TANDEM_") {
                command.env_remove(name);
            }
        }
        command.env("USER", "ana").env_remove("CLICOLOR_FORCE");
        command
    }

    /// Runs `tandem` with these words.
    pub(crate) fn tandem(&self, words: &str) -> Ran {
        Ran::of(&mut self.command(words))
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code.
    pub(crate) code: Option<i32>,
    /// What it printed as its result.
    pub(crate) stdout: String,
    /// What else it said.
    pub(crate) stderr: String,
}

impl Ran {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the command runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8 output");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The result of a run that must have gone well.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// What was said by a run that must have ended with this code.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        self.stderr
    }

    /// The result as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The text with what differs from run to run masked: keys, fingerprints, ids and times.
pub(crate) fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '"' | '`' | '(')) {
        let end = piece.trim_end_matches(|c: char| {
            !c.is_ascii_alphanumeric() && !matches!(c, '=' | '/' | '+')
        });
        let (word, rest) = piece.split_at(end.len());
        masked.push_str(mask(word));
        masked.push_str(rest);
    }
    masked
}

fn mask(word: &str) -> &str {
    if word.starts_with("ed25519:") {
        "ed25519:KEY"
    } else if word.starts_with("SHA256:") {
        "SHA256:HASH"
    } else if word.starts_with("AAAAC3NzaC1lZDI1NTE5") {
        "BASE64"
    } else if uuid::Uuid::parse_str(word).is_ok() {
        "ID"
    } else if word.parse::<Timestamp>().is_ok() {
        "TIME"
    } else {
        word
    }
}
