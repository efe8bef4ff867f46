//! Signals between this process, its terminal and what it started. Where there are no signals this is not built.

/// Whether a signal of the terminal reaches this process and its children alike, as Ctrl-C does in the foreground.
#[must_use]
pub fn is_foreground() -> bool {
    let terminal = rustix::stdio::stdin();
    rustix::termios::tcgetpgrp(terminal).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Sends a signal to a process that this one started.
pub fn signal(process: u32, number: i32) {
    let process = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
    let signal = rustix::process::Signal::from_named_raw(number);
    if let (Some(process), Some(signal)) = (process, signal) {
        // It may have ended in between: then there is nobody to tell.
        let _ = rustix::process::kill_process(process, signal);
    }
}
