//! Loading through its front door: folders on disk and commits of git, read alike.
#![cfg(unix)]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::manifest::sources::{Entry, FileFault};

const MANIFEST: &str = "\
apiVersion: tandem/v1
kind: LicensePair
metadata: {name: west}
servers:
  - {name: lic-a, role: primary, address: 127.0.0.1, port: 4820, licenses: [\"licenses/*.alf\", licenses/a.alf]}
  - {name: lic-b, role: secondary, address: 127.0.0.1, port: 4821, licenses: [b.alf]}
usersFrom: users.yaml
groups: [{name: all, members: [cy], membersFrom: all.txt}]
seats: []
";

/// A work tree of git with a manifest in its folder `conf`.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().expect("a temporary folder"));
        home.git(&["init", "-q", "-b", "main"]);
        for (name, text) in [
            ("conf/tandem.yaml", MANIFEST),
            ("conf/licenses/a.alf", "a"),
            ("conf/licenses/c.alf", "c"),
            ("conf/b.alf", "b"),
            ("conf/users.yaml", "- name: ana\n- name: bo\n"),
            ("conf/all.txt", "ana # her\nbo\n"),
        ] {
            home.write(name, text);
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().expect("the folder is there").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, text).expect("written");
    }

    fn git(&self, words: &[&str]) {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=ana", "-c", "user.email=ana@example.com"]);
        command.args(["-c", "commit.gpgsign=false", "-C"]).arg(self.0.path()).args(words);
        let output = command.output().expect("git runs");
        assert!(output.status.success(), "{output:?}");
    }

    fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
    }

    fn read(&self) -> Loaded {
        read(&self.path("conf/tandem.yaml"))
    }

    fn read_commit(&self) -> Loaded {
        let git = Git::around(&self.path("conf")).expect("a work tree");
        let commit = Commit::open(&git, "HEAD", "conf").expect("a commit");
        read_from(&commit, "conf/tandem.yaml", "tandem.yaml")
    }
}

fn files(loaded: &Loaded) -> Vec<(&str, &str)> {
    let files = loaded.licenses.iter();
    files.map(|one| (one.server.as_str(), one.file.as_str())).collect()
}

fn users(loaded: &Loaded) -> Vec<String> {
    let manifest = loaded.manifest.as_ref().expect("a manifest");
    manifest.users.iter().map(|user| user.name.to_string()).collect()
}

#[test]
fn a_manifest_is_read_with_everything_it_names() {
    let home = Home::new();
    let loaded = home.read();
    let wanted = [("lic-a", "licenses/a.alf"), ("lic-a", "licenses/c.alf"), ("lic-b", "b.alf")];
    assert_eq!(files(&loaded), wanted);
    assert_eq!(users(&loaded), ["ana", "bo"]);
    let manifest = loaded.manifest.as_ref().expect("a manifest");
    assert_eq!(manifest.groups[0].members.len(), 3);
    assert_eq!((&manifest.users_from, &manifest.groups[0].members_from), (&None, &None));
    assert_eq!((&loaded.problems, &loaded.findings), (&vec![], &vec![]));
    assert_eq!(loaded.watched, [home.path("conf"), home.path("conf/licenses")]);
    assert_eq!(loaded.used.len(), 6);
}

#[test]
fn a_commit_is_read_as_the_work_tree_is() {
    let home = Home::new();
    std::fs::remove_file(home.path("conf/b.alf")).expect("removed");
    home.write("shared/b.alf", "b");
    symlink("../shared/b.alf", home.path("conf/b.alf")).expect("linked");
    symlink("../conf/licenses", home.path("shared/licenses")).expect("linked");
    home.write("conf/tandem.yaml", &MANIFEST.replace("licenses/a.alf", "more/*/c.alf"));
    symlink("../shared", home.path("conf/more")).expect("linked");
    home.commit();
    let (disk, commit) = (home.read(), home.read_commit());
    assert_eq!(files(&disk).len(), 4);
    assert_eq!((disk.licenses, disk.text), (commit.licenses, commit.text));
    assert_eq!((disk.manifest, disk.problems), (commit.manifest, commit.problems));
    // Equal also in what a watcher compares.
    assert_eq!(disk.fingerprint, commit.fingerprint);
}

#[test]
fn a_link_of_a_commit_leads_nowhere_else() {
    let home = Home::new();
    std::fs::remove_file(home.path("conf/b.alf")).expect("removed");
    std::fs::remove_file(home.path("conf/users.yaml")).expect("removed");
    symlink("/etc/hostname", home.path("conf/b.alf")).expect("linked");
    symlink("../../../../../../etc/hostname", home.path("conf/users.yaml")).expect("linked");
    home.commit();
    let faults: Vec<_> =
        home.read_commit().problems.into_iter().map(|problem| problem.fault).collect();
    assert_eq!(faults, [FileFault::Outside("the commit"), FileFault::Outside("the commit")]);
    let faults: Vec<_> = home.read().problems.into_iter().map(|problem| problem.fault).collect();
    assert_eq!(faults[1], FileFault::Outside("the git work tree"));
}

#[test]
fn the_fingerprint_changes_with_any_file_and_with_one_that_appears() {
    let home = Home::new();
    let mut seen = vec![home.read().fingerprint];
    assert_eq!(home.read().fingerprint, seen[0]);
    for (name, text) in [
        ("conf/licenses/a.alf", "A"),
        ("conf/all.txt", "ana\n"),
        ("conf/licenses/d.alf", "d"),
        ("conf/tandem.yaml", &MANIFEST.replace("west", "east")),
    ] {
        home.write(name, text);
        seen.push(home.read().fingerprint);
    }
    std::fs::remove_file(home.path("conf/b.alf")).expect("removed");
    seen.push(home.read().fingerprint);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 6);
}

#[test]
fn where_it_comes_from_is_what_git_says_of_the_files_that_were_read() {
    let home = Home::new();
    let git = Git::around(&home.path("conf")).expect("a work tree");
    let origin =
        || git.origin(&home.path("conf/tandem.yaml"), &home.read().used).expect("git answers");
    assert_eq!((origin().commit, origin().dirty), (None, true));
    home.commit();
    home.git(&["remote", "add", "origin", "https://token@example.com/a.git"]);
    home.write("conf/unrelated.txt", "x");
    let clean = origin();
    assert_eq!(clean.path, "conf/tandem.yaml");
    assert_eq!(clean.repository.as_deref(), Some("https://example.com/a.git"));
    assert_eq!(clean.commit, Some(git.commit("HEAD").expect("a commit")));
    assert!(!clean.dirty);
    // A file that git ignores is in no commit.
    home.write("conf/.gitignore", "ignored.alf\n");
    home.write("conf/licenses/ignored.alf", "i");
    assert!(origin().dirty);
    std::fs::remove_file(home.path("conf/licenses/ignored.alf")).expect("removed");
    assert!(!origin().dirty);
    home.write("conf/all.txt", "bo\n");
    assert!(origin().dirty);
}

#[test]
fn limits_hold_for_all_files_together() {
    let home = Home::new();
    for number in 0..1_001 {
        home.write(&format!("conf/licenses/{number}.alf"), "x");
    }
    let problems = home.read().problems;
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].fault, FileFault::TooMany);

    let home = Home::new();
    let large = |name: &str, bytes: u64| {
        let file = std::fs::File::options().write(true).open(home.path(name)).expect("a file");
        file.set_len(bytes).expect("a hole");
    };
    large("conf/b.alf", (1 << 20) + 1);
    large("conf/all.txt", 65 << 20);
    let problems = home.read().problems;
    assert_eq!(problems[0].entry, Entry::MembersFrom { group: 0 });
    assert_eq!(problems[0].fault, FileFault::TotalTooLarge);
    assert_eq!(problems[1].fault, FileFault::TooLarge(1 << 20));
}

#[test]
fn a_link_inside_of_the_work_tree_may_leave_the_folder_only_with_git() {
    let home = Home::new();
    home.write("shared/b.alf", "b");
    std::fs::remove_file(home.path("conf/b.alf")).expect("removed");
    symlink("../shared/b.alf", home.path("conf/b.alf")).expect("linked");
    assert_eq!(home.read().problems, []);
    assert!(home.read().watched.contains(&home.path("shared")));
    std::fs::remove_dir_all(home.path(".git")).expect("removed");
    assert_eq!(home.read().problems[0].fault, FileFault::Outside("the manifest's folder"));
}

#[test]
fn what_is_compared_with_is_a_file_or_a_revision() {
    let home = Home::new();
    let manifest = home.path("conf/tandem.yaml");
    let with = |text: &str| against(&manifest, text);
    assert!(matches!(with("HEAD"), Err(AgainstError::Neither(_))));
    home.commit();
    assert!(matches!(with("HEAD"), Ok(Against::Manifest(_))));
    assert!(matches!(with("--help"), Err(AgainstError::Neither(_))));
    let file = |name: &str, text: &str| {
        home.write(name, text);
        with(&home.path(name).display().to_string())
    };
    assert!(matches!(file("other.yaml", MANIFEST), Ok(Against::Manifest(_))));
    assert!(matches!(file("x.json", "{\"a\": 1}"), Err(AgainstError::Json(_))));
    let hash = format!("sha256:{}", "0".repeat(64));
    let status = format!(
        "{{\"schema\":1,\"servers\":[{{\"server\":\"a\",\"status\":{{\"bundle\":\"{hash}\"}}}},{{\"status\":null}}]}}"
    );
    match file("status.json", &status) {
        Ok(Against::Status(hashes)) => assert_eq!(hashes.len(), 1),
        other => panic!("{other:?}"),
    }
    assert!(Path::new(&manifest).exists());
}

/// A folder `in`, and what is built around it.
fn folder(build: impl FnOnce(&Path)) -> (tempfile::TempDir, Folder) {
    let home = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(home.path().join("in")).expect("a folder");
    build(home.path());
    let folder = Folder::open(&home.path().join("in"), None).expect("the folder is there");
    (home, folder)
}

#[test]
fn a_link_that_leads_out_is_refused() {
    let (_home, folder) = folder(|home| {
        std::fs::write(home.join("secret"), "x").expect("written");
        symlink("../secret", home.join("in/a")).expect("linked");
        symlink("/proc/self/environ", home.join("in/b")).expect("linked");
        symlink("..", home.join("in/up")).expect("linked");
        std::fs::create_dir(home.join("in/.git")).expect("a folder");
        std::fs::write(home.join("in/.git/config"), "x").expect("written");
    });
    let outside = FileFault::Outside("the manifest's folder");
    for path in ["a", "b", "up/secret", ".git/config"] {
        assert_eq!(folder.read(path, 100), Err(outside.clone()), "{path}");
    }
    assert_eq!(folder.names("up"), Err(outside));
}

#[test]
fn only_regular_files_are_read_and_a_pipe_blocks_nobody() {
    let (_home, folder) = folder(|home| {
        std::fs::create_dir(home.join("in/d")).expect("a folder");
        let status = std::process::Command::new("mkfifo").arg(home.join("in/p")).status();
        assert!(status.expect("mkfifo runs").success());
        std::fs::write(home.join("in/big"), [0; 11]).expect("written");
        symlink("loop", home.join("in/loop")).expect("linked");
    });
    assert_eq!(folder.read("d", 10), Err(FileFault::NotRegular("a folder")));
    assert_eq!(folder.read("p", 10), Err(FileFault::NotRegular("a pipe")));
    assert_eq!(folder.read("big", 10), Err(FileFault::TooLarge(10)));
    assert_eq!(folder.read("none/none", 10), Err(FileFault::Missing));
    assert_eq!(
        folder.read("loop", 10),
        Err(FileFault::Unreadable("too many symbolic links".to_owned()))
    );
}

#[test]
fn every_folder_in_which_a_link_could_be_swapped_is_watched() {
    let (home, folder) = folder(|home| {
        std::fs::create_dir(home.join("in/..1")).expect("a folder");
        std::fs::write(home.join("in/..1/x"), "x").expect("written");
        symlink("..1", home.join("in/..data")).expect("linked");
        symlink("..data/x", home.join("in/x")).expect("linked");
    });
    assert_eq!(folder.read("x", 10), Ok(b"x".to_vec()));
    assert_eq!(folder.watched(), [home.path().join("in"), home.path().join("in/..1")]);
}
