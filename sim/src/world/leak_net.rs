//! Catches what would leak into a run from the machine it runs on: randomness and time of the C library.
//!
//! Dependencies ask `getrandom` and `clock_gettime` behind every seam (the standard library's `HashMap`, tokio's
//! runtime, and hyper, which looks at the date in every poll and cannot be told not to). Inside a run they get seeded
//! bytes and simulated time. Outside a run, on other threads, both are the system's own. Linux only: elsewhere
//! nothing is caught.

use std::cell::Cell;
use std::marker::PhantomData;
use std::time::Duration;

use tandem::measure::Timestamp;

thread_local! {
    // Const and without destructors, so that they can be asked from anywhere, also while a thread ends.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static RANDOM: Cell<u64> = const { Cell::new(0) };
    static ELAPSED_NS: Cell<u64> = const { Cell::new(0) };
    static START_MS: Cell<i64> = const { Cell::new(0) };
    static CAUGHT: Cell<u64> = const { Cell::new(0) };
}

/// A run on this thread: as long as it lives, nothing leaks in.
#[derive(Debug)]
pub struct Inside(PhantomData<*const ()>);

/// Begins a run on this thread, at a date. It should be the first thing that the thread does: the standard library draws the
/// keys of its hash maps once a thread.
#[must_use]
pub fn enter(seed: u64, start: Timestamp) -> Inside {
    RANDOM.set(seed);
    START_MS.set(start.ms());
    ELAPSED_NS.set(0);
    INSIDE.set(true);
    Inside(PhantomData)
}

/// Moves the clocks of this thread's run.
pub fn set_elapsed(elapsed: Duration) {
    ELAPSED_NS.set(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
}

/// How often something was caught on this thread. Zero inside a run means that the net does not hold: it is not
/// linked in, or this is no Linux.
#[must_use]
pub fn caught() -> u64 {
    CAUGHT.get()
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "these are the C library's functions, with their names and their raw pointers"
)]
mod overrides {
    use super::{CAUGHT, ELAPSED_NS, INSIDE, RANDOM, START_MS};

    /// A monotonic clock that begins at nothing confuses who subtracts from it.
    const BOOT_MS: i64 = 1_000_000_000;

    #[unsafe(no_mangle)]
    unsafe extern "C" fn getrandom(to: *mut u8, len: usize, flags: u32) -> isize {
        if !INSIDE.get() {
            // SAFETY: the arguments are passed on as they came, to the system call of this name.
            let count = unsafe { libc::syscall(libc::SYS_getrandom, to, len, flags) };
            return isize::try_from(count).unwrap_or(-1);
        }
        CAUGHT.set(CAUGHT.get() + 1);
        // A call for nothing only asks whether there is such a call: some make it once a process, none may count.
        if len > 0 {
            let mut stream = crate::seed::Stream::named(RANDOM.get(), "getrandom");
            RANDOM.set(stream.draw());
            // SAFETY: the caller owns `len` bytes from `to`, as the C library's contract says.
            stream.fill(unsafe { std::slice::from_raw_parts_mut(to, len) });
        }
        isize::try_from(len).unwrap_or(-1)
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, to: *mut libc::timespec) -> i32 {
        if !INSIDE.get() {
            // SAFETY: the arguments are passed on as they came, to the system call of this name.
            let done = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, to) };
            return i32::try_from(done).unwrap_or(-1);
        }
        CAUGHT.set(CAUGHT.get() + 1);
        let origin = match clock {
            libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => START_MS.get(),
            _ => BOOT_MS,
        };
        let elapsed = i64::try_from(ELAPSED_NS.get()).unwrap_or(i64::MAX);
        let secs = origin.div_euclid(1_000) + elapsed / 1_000_000_000;
        let nanos = origin.rem_euclid(1_000) * 1_000_000 + elapsed % 1_000_000_000;
        let (tv_sec, tv_nsec) = (secs + nanos / 1_000_000_000, nanos % 1_000_000_000);
        // SAFETY: the caller owns a `timespec` at `to`, as the C library's contract says.
        unsafe { to.write(libc::timespec { tv_sec, tv_nsec }) };
        0
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn order(seed: u64) -> Vec<u32> {
        std::thread::spawn(move || {
            let _inside = enter(seed, Timestamp::default());
            let map: HashMap<u32, ()> = (0..50).map(|n| (n, ())).collect();
            assert!(caught() > 0, "the net is not linked in");
            map.into_keys().collect()
        })
        .join()
        .expect("the thread ends well")
    }

    #[test]
    fn hash_maps_have_the_seeds_order_inside_a_run() {
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "this is what is caught")]
    fn clocks_stand_still_unless_they_are_moved_and_begin_at_the_runs_date() {
        use std::time::{Instant, SystemTime, UNIX_EPOCH};
        let since_epoch = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let inside = enter(1, Timestamp::from_ms(1_999_500));
        let start = Instant::now();
        assert_eq!(
            (start.elapsed(), since_epoch()),
            (Duration::ZERO, Duration::from_millis(1_999_500))
        );
        set_elapsed(Duration::from_millis(5_700));
        assert_eq!(start.elapsed(), Duration::from_millis(5_700));
        assert_eq!(since_epoch(), Duration::from_millis(2_005_200));
        drop(inside);
        assert!(since_epoch() > Duration::from_secs(1_700_000_000));
    }

    #[test]
    fn crates_that_draw_from_the_system_get_seeded_bytes() {
        let draw = || {
            let _inside = enter(9, Timestamp::default());
            let mut bytes = [0; 32];
            tandem::seam::entropy::Entropy::fill(&tandem::seam::entropy::OsEntropy, &mut bytes);
            bytes
        };
        assert_eq!(draw(), draw());
    }
}
