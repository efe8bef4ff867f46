//! Catches what would leak into a run from the machine it runs on: randomness and time of the C library.
//!
//! Dependencies ask `getrandom` and `clock_gettime` behind every seam (the standard library's `HashMap` and tokio's
//! runtime do). Inside a run they get seeded bytes and simulated time; who asks for the real date aborts the process
//! by name. Outside a run, on other threads, both are the system's own. Linux only: elsewhere nothing is caught.

use std::cell::Cell;
use std::marker::PhantomData;
use std::time::Duration;

thread_local! {
    // Const and without destructors, so that they can be asked from anywhere, also while a thread ends.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static RANDOM: Cell<u64> = const { Cell::new(0) };
    static ELAPSED_NS: Cell<u64> = const { Cell::new(0) };
    static CAUGHT: Cell<u64> = const { Cell::new(0) };
}

/// A run on this thread: as long as it lives, nothing leaks in.
#[derive(Debug)]
pub struct Inside(PhantomData<*const ()>);

/// Begins a run on this thread. It should be the first thing that the thread does: the standard library draws the
/// keys of its hash maps once a thread.
#[must_use]
pub fn enter(seed: u64) -> Inside {
    RANDOM.set(seed);
    ELAPSED_NS.set(0);
    INSIDE.set(true);
    Inside(PhantomData)
}

/// Moves the monotonic clock of this thread's run.
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
    use super::{CAUGHT, ELAPSED_NS, INSIDE, RANDOM};

    /// A monotonic clock that begins at nothing confuses who subtracts from it.
    const BOOT_SECS: i64 = 1_000_000;

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
        if matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE) {
            real_time_was_asked();
        }
        CAUGHT.set(CAUGHT.get() + 1);
        let ns = ELAPSED_NS.get();
        let secs = BOOT_SECS + i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX / 2);
        let nanos = i64::try_from(ns % 1_000_000_000).unwrap_or(0);
        // SAFETY: the caller owns a `timespec` at `to`, as the C library's contract says.
        unsafe { to.write(libc::timespec { tv_sec: secs, tv_nsec: nanos }) };
        0
    }

    #[expect(clippy::print_stderr, reason = "the last words of an aborting process")]
    fn real_time_was_asked() -> ! {
        INSIDE.set(false);
        let caller = std::backtrace::Backtrace::force_capture();
        eprintln!("tandem-sim: the real date was asked for inside a simulated run, from\n{caller}");
        std::process::abort()
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn order(seed: u64) -> Vec<u32> {
        std::thread::spawn(move || {
            let _inside = enter(seed);
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
    fn the_monotonic_clock_stands_still_unless_it_is_moved() {
        let inside = enter(1);
        let start = std::time::Instant::now();
        assert_eq!(start.elapsed(), Duration::ZERO);
        set_elapsed(Duration::from_secs(5));
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        drop(inside);
        let real = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        assert!(real.is_ok_and(|since| since > Duration::from_secs(1_700_000_000)));
    }

    #[test]
    fn crates_that_draw_from_the_system_get_seeded_bytes() {
        let draw = || {
            let _inside = enter(9);
            let mut bytes = [0; 32];
            tandem::seam::entropy::Entropy::fill(&tandem::seam::entropy::OsEntropy, &mut bytes);
            bytes
        };
        assert_eq!(draw(), draw());
    }
}
