//! Ctrl-C in the midst of long work: what was found until then is told. Another one ends the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tandem::seam::stop::Stop;

use super::say;
use crate::run::Verdict;

/// Whether somebody wants the work to end.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on, on a thread of its own.
    ///
    /// # Errors
    /// The system does not let it.
    pub(crate) fn listen() -> io::Result<Self> {
        let came = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut stop = {
            let _inside = runtime.enter();
            Stop::listen()?
        };
        let interrupt = Self(Arc::clone(&came));
        std::thread::Builder::new().name("tandem-sim-stop".to_owned()).spawn(move || {
            runtime.block_on(async {
                stop.told().await;
                came.store(true, Ordering::Relaxed);
                say("stopping; once more ends at once\n");
                stop.told().await;
            });
            std::process::exit(i32::from(Verdict::Interrupted.exit_code()));
        })?;
        Ok(interrupt)
    }

    /// Whether it came.
    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
