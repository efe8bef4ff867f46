//! Being told to stop: Ctrl-C, and what a service manager sends.

use std::io;

/// How this process was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// By whoever sits at the terminal (SIGINT, Ctrl-C).
    Interrupt,
    /// By the system (SIGTERM).
    Terminate,
}

/// Waits for it. From the first call on, the signals no longer end the process by themselves.
#[derive(Debug)]
pub struct Stop {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 2],
}

impl Stop {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system does not let it.
    #[cfg(unix)]
    pub fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { signals: [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?] })
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// The system does not let it.
    #[cfg(not(unix))]
    pub fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits until the process is told.
    #[cfg(unix)]
    pub async fn told(&mut self) -> Told {
        let [interrupt, terminate] = &mut self.signals;
        tokio::select! {
            biased;
            _ = interrupt.recv() => Told::Interrupt,
            _ = terminate.recv() => Told::Terminate,
        }
    }

    /// Waits until the process is told.
    #[cfg(not(unix))]
    pub async fn told(&mut self) -> Told {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Told::Interrupt
    }
}
