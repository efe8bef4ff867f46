//! The connection to the ssh-agent of this machine: a socket, on Windows a pipe. What is spoken over it is not
//! known here.

use std::ffi::OsStr;
use std::io::{self, Read, Write};

/// A connection to an agent.
pub trait Talk: Read + Write + Send {}
impl<T: Read + Write + Send> Talk for T {}

/// Connects to the agent at this socket (`SSH_AUTH_SOCK`).
///
/// # Errors
/// No socket is named, or nobody listens there.
#[cfg(unix)]
pub fn connect(socket: Option<&OsStr>) -> io::Result<Box<dyn Talk>> {
    use std::time::Duration;
    let named = socket.filter(|path| !path.is_empty());
    let socket = named.ok_or_else(|| io::Error::other("`SSH_AUTH_SOCK` is not set"))?;
    let stream = std::os::unix::net::UnixStream::connect(socket)?;
    // An agent may ask its user to confirm: long enough for a person, short enough for a job.
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    Ok(Box::new(stream))
}

/// Connects to the agent that `SSH_AUTH_SOCK` names, else to that of Windows, whose pipe opens like a file.
///
/// # Errors
/// There is no such pipe.
#[cfg(not(unix))]
pub fn connect(socket: Option<&OsStr>) -> io::Result<Box<dyn Talk>> {
    let named = socket.filter(|path| !path.is_empty());
    let pipe = named.unwrap_or_else(|| OsStr::new(r"\\.\pipe\openssh-ssh-agent"));
    let file = std::fs::OpenOptions::new().read(true).write(true).open(pipe)?;
    Ok(Box::new(file))
}
