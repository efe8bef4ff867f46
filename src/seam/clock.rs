//! Time: a monotonic clock that counts suspend, and the wall clock.
//!
//! Waiting is tokio's (`tokio::time`), which a simulation pauses; what time it *is* is asked here only.

use std::future::Future;
use std::pin::Pin;

use crate::measure::{Moment, Now, Span, Timestamp};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Both clocks, read together.
    fn now(&self) -> Now;

    /// Waits about this long by the timer of the runtime. It may not count a suspend: ask [`Clock::now`] after.
    fn sleep(&self, span: Span) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(span.to_std()))
    }
}

/// The machine's own clocks.
#[derive(Debug, Default)]
pub struct SystemClock(());

impl SystemClock {
    /// The machine's clocks.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now { moment: boot_time(), wall: wall_time() }
    }
}

/// Linux's clock that counts the time a machine was suspended.
#[cfg(target_os = "linux")]
fn boot_time() -> Moment {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let ms = time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000);
    Moment::from_ms(u64::try_from(ms).unwrap_or(0))
}

/// Elsewhere the standard library's monotonic clock: on Windows and macOS it may stand still in suspend.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "this is the seam")]
fn boot_time() -> Moment {
    use std::sync::OnceLock;
    use std::time::Instant;
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let ms = ORIGIN.get_or_init(Instant::now).elapsed().as_millis();
    Moment::from_ms(u64::try_from(ms).unwrap_or(u64::MAX))
}

#[expect(clippy::disallowed_methods, reason = "this is the seam")]
fn wall_time() -> Timestamp {
    let ms = match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    };
    Timestamp::from_ms(ms)
}
