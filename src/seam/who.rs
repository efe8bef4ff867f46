//! Who works on which computer, as the operating system tells: what a checkout says of itself by default, and
//! where this user's files are.
//!
//! Both are claims, as with every license manager; nothing is trusted for them.

use std::path::PathBuf;

/// The login of who runs this process: from the environment, else from the system's list of users.
#[must_use]
pub fn login() -> Option<String> {
    ["USER", "LOGNAME", "USERNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .or_else(listed)
}

/// The name of this computer.
#[must_use]
pub fn host() -> Option<String> {
    named().or_else(|| std::env::var("COMPUTERNAME").ok()).filter(|name| !name.is_empty())
}

/// Where this user's settings are.
#[must_use]
pub fn config_directory() -> Option<PathBuf> {
    directory("XDG_CONFIG_HOME", ".config", "APPDATA")
}

/// Where programs keep for this user what is theirs to keep.
#[must_use]
pub fn state_directory() -> Option<PathBuf> {
    directory("XDG_STATE_HOME", ".local/state", "LOCALAPPDATA")
}

/// A directory by its variable, else below the user's home; by another variable on Windows.
fn directory(variable: &str, below_home: &str, on_windows: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let named = set(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    if cfg!(windows) {
        return named.or_else(|| set(on_windows).map(PathBuf::from));
    }
    named.or_else(|| set("HOME").map(|home| PathBuf::from(home).join(below_home)))
}

#[cfg(unix)]
fn named() -> Option<String> {
    rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
}

#[cfg(not(unix))]
fn named() -> Option<String> {
    None
}

/// The login by the number of the user, as containers have it where nothing is in the environment.
#[cfg(unix)]
fn listed() -> Option<String> {
    let number = rustix::process::getuid().as_raw().to_string();
    let list = std::fs::read_to_string("/etc/passwd").ok()?;
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let login = fields.next()?;
        (fields.nth(1)? == number).then(|| login.to_owned())
    })
}

#[cfg(not(unix))]
fn listed() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_works_somewhere() {
        assert!(login().is_some_and(|login| !login.is_empty()));
        assert!(host().is_some_and(|host| !host.is_empty()));
    }
}
