//! Who works on which computer, as the operating system tells: what a checkout says of itself by default.
//!
//! Both are claims, as with every license manager; nothing is trusted for them.

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
