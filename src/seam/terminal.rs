//! The terminal: a secret typed without being shown, and how wide it is.

use std::io;

/// Reads one line from the terminal of this process without showing it; `None` where there is no terminal.
///
/// # Errors
/// The terminal cannot be read.
#[cfg(unix)]
pub fn secret(prompt: &str) -> io::Result<Option<zeroize::Zeroizing<String>>> {
    use std::io::{BufRead as _, Write as _};

    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

    let Ok(mut terminal) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty")
    else {
        return Ok(None);
    };
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    write!(terminal, "{prompt}")?;
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    let mut line = zeroize::Zeroizing::new(String::new());
    let read = io::BufReader::new(&terminal).read_line(&mut line);
    // Whatever was read, the terminal shows again what is typed.
    let restored = tcsetattr(&terminal, OptionalActions::Flush, &before);
    writeln!(terminal)?;
    read?;
    restored?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(Some(line))
}

/// Nothing is asked: use an ssh-agent.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn secret(_: &str) -> io::Result<Option<zeroize::Zeroizing<String>>> {
    Ok(None)
}

/// How many columns and rows standard output has, where it is a terminal.
#[must_use]
#[cfg(unix)]
pub fn size() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// Not known here.
#[must_use]
#[cfg(not(unix))]
pub const fn size() -> Option<(u16, u16)> {
    None
}
