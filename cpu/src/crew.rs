//! The threads that share the work of a kernel.
//!
//! A kernel of twenty microseconds gains nothing from a pool that takes ten to wake. So the crew stays awake for a
//! moment after each job: while programs run one kernel after another, handing out a job costs some hundred
//! nanoseconds. Left without work it sleeps. There is one crew in a process, as large as rayon's pool less the caller,
//! who works with it; who finds it busy works alone.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a thread without work looks for some before it sleeps: longer than the pauses between the kernels of a
/// program and between runs in a loop, shorter than anybody would notice.
const AWAKE: Duration = Duration::from_micros(100);
/// Looks between two glances at the clock, or before giving way to other threads.
const LOOKS: u32 = 64;

/// Set in [`Shared::state`] while a job may be joined. Below it: who has joined; above it: the number of the job.
const OPEN: u64 = 1 << 16;
const JOINED: u64 = OPEN - 1;
const NEXT_JOB: u64 = OPEN << 1;

/// What is to be done: `body(i)` for every `i` below `count`.
#[derive(Clone, Copy)]
struct Job {
    body: *const (dyn Fn(usize) + Sync),
    count: usize,
    /// How many may join the caller.
    most: u64,
}

struct Shared {
    /// The number of the job, whether it is open, and how many of the crew work on it.
    state: AtomicU64,
    /// Written while nobody has joined and nobody can.
    job: UnsafeCell<Option<Job>>,
    /// The next piece.
    next: AtomicUsize,
    /// What a piece panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` is written by the one who holds `Crew::busy`, and only while the state is closed and nobody has joined;
// it is read by those who have joined. The pointer in it is used between joining and leaving, and the caller of
// `Crew::run` waits for all to leave.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

struct Worker {
    asleep: AtomicBool,
    thread: Thread,
}

struct Crew {
    shared: Arc<Shared>,
    busy: AtomicBool,
    workers: Vec<Arc<OnceLock<Worker>>>,
}

impl Shared {
    /// Takes pieces until there are no more.
    fn work(&self, job: &Job) {
        loop {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            if i >= job.count {
                return;
            }
            // SAFETY: the caller of `run` keeps the closure alive until all who joined have left.
            let body = unsafe { &*job.body };
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| body(i))) {
                self.next.store(job.count, Ordering::Relaxed);
                let mut panic = self.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                match *panic {
                    // Not dropped: a payload may panic in its turn, and pieces of other threads are still at work.
                    Some(_) => std::mem::forget(payload),
                    None => *panic = Some(payload),
                }
            }
        }
    }

    /// Joins the open job, works on it and leaves. Gives its number, or nothing where there was none to join.
    fn join(&self) -> Option<u64> {
        let state = self.state.load(Ordering::Acquire);
        if state & OPEN == 0 {
            return None;
        }
        self.state.compare_exchange(state, state + 1, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        // SAFETY: having joined an open job, it stays as it is until this thread leaves.
        let job = unsafe { *self.job.get() };
        if let Some(job) = job.filter(|job| (state & JOINED) < job.most) {
            self.work(&job);
        }
        self.state.fetch_sub(1, Ordering::Release);
        Some(state / NEXT_JOB)
    }

    /// Whether a job is open that this thread has not seen yet.
    fn has_news(&self, seen: u64) -> bool {
        let state = self.state.load(Ordering::SeqCst);
        state & OPEN != 0 && state / NEXT_JOB != seen
    }

    /// The life of a worker.
    fn serve(&self, worker: &Worker) {
        let mut seen = u64::MAX;
        loop {
            let mut idle_since = Instant::now();
            let mut looks = 0u32;
            loop {
                if self.has_news(seen)
                    && let Some(number) = self.join()
                {
                    seen = number;
                    (idle_since, looks) = (Instant::now(), 0);
                }
                std::hint::spin_loop();
                looks += 1;
                if looks.is_multiple_of(LOOKS) && idle_since.elapsed() > AWAKE {
                    break;
                }
            }
            worker.asleep.store(true, Ordering::SeqCst);
            // A job that was opened before the flag was seen must not be slept through.
            while worker.asleep.load(Ordering::SeqCst) && !self.has_news(seen) {
                thread::park();
            }
            worker.asleep.store(false, Ordering::SeqCst);
        }
    }
}

impl Crew {
    fn new(workers: usize) -> Crew {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            panic: Mutex::new(None),
        });
        let hire = |i: usize| {
            let place = Arc::new(OnceLock::new());
            let (shared, own) = (shared.clone(), place.clone());
            let life = move || {
                let worker =
                    own.get_or_init(|| Worker { asleep: AtomicBool::new(false), thread: thread::current() });
                shared.serve(worker);
            };
            // Without a thread there is one hand fewer, and the work is done all the same.
            thread::Builder::new().name(format!("synod-crew-{i}")).spawn(life).ok().map(|_| place)
        };
        Crew { workers: (0..workers).map_while(hire).collect(), busy: AtomicBool::new(false), shared }
    }

    /// Whether the work was done: not where the crew is busy.
    fn run(&self, most: usize, count: usize, body: &(dyn Fn(usize) + Sync)) -> bool {
        if self.busy.swap(true, Ordering::Acquire) {
            return false;
        }
        let shared = &self.shared;
        // SAFETY: only the lifetime is changed; all who use it have left before this function ends, and no piece's panic
        // ends it early (`work` catches them).
        let body: *const (dyn Fn(usize) + Sync + 'static) = unsafe { std::mem::transmute(body) };
        let job = Job { body, count, most: most as u64 };
        // SAFETY: the state is closed and nobody has joined: the last caller waited for that, and `busy` is ours.
        unsafe { *shared.job.get() = Some(job) };
        shared.next.store(0, Ordering::Relaxed);
        let number = (shared.state.load(Ordering::Relaxed) / NEXT_JOB).wrapping_add(1);
        shared.state.store(number.wrapping_mul(NEXT_JOB) | OPEN, Ordering::SeqCst);
        for worker in self.workers.iter().take(most).filter_map(|w| w.get()) {
            if worker.asleep.load(Ordering::SeqCst) && worker.asleep.swap(false, Ordering::SeqCst) {
                worker.thread.unpark();
            }
        }
        shared.work(&job);
        shared.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut looks = 0u32;
        while shared.state.load(Ordering::Acquire) & JOINED != 0 {
            std::hint::spin_loop();
            looks += 1;
            // Whoever is still at work may wait for this very processor.
            if looks.is_multiple_of(LOOKS) {
                thread::yield_now();
            }
        }
        let panic = shared.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        self.busy.store(false, Ordering::Release);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
        true
    }
}

/// Calls `body(i)` for every `i` below `count`, on as many threads as rayon would use here, in no particular order.
pub(super) fn for_each(count: usize, body: impl Fn(usize) + Sync) {
    static CREW: OnceLock<Crew> = OnceLock::new();
    let most = rayon::current_num_threads().min(count).saturating_sub(1);
    if most > 0 {
        let hands =
            || thread::available_parallelism().map_or(1, |n| n.get()).max(rayon::current_num_threads());
        let crew = CREW.get_or_init(|| Crew::new(hands().min(JOINED as usize) - 1));
        if crew.run(most, count, &body) {
            return;
        }
    }
    (0..count).for_each(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once_whoever_does_it() {
        let done: Vec<AtomicUsize> = (0..1000).map(|_| AtomicUsize::new(0)).collect();
        for round in 0..200 {
            for_each(1 + round * 5, |i| {
                done[i].fetch_add(1, Ordering::Relaxed);
            });
            // Now and then long enough for the crew to fall asleep.
            if round % 50 == 49 {
                thread::sleep(4 * AWAKE);
            }
        }
        for (i, count) in done.iter().enumerate() {
            let expected = (0..200).filter(|round| i < 1 + round * 5).count();
            assert_eq!(count.load(Ordering::Relaxed), expected, "piece {i}");
        }
    }

    #[test]
    fn many_callers_and_calls_within_calls_are_served() {
        let sum = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        for_each(8, |_| for_each(8, |_| _ = sum.fetch_add(1, Ordering::Relaxed)));
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 4 * 500 * 64);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_crew_goes_on() {
        let crew = Crew::new(2);
        for _ in 0..20 {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                crew.run(2, 64, &|i| assert!(i != 7, "seven"));
            }));
            assert!(caught.is_err());
        }
        let done = AtomicUsize::new(0);
        assert!(crew.run(2, 64, &|_| _ = done.fetch_add(1, Ordering::Relaxed)));
        assert_eq!(done.into_inner(), 64);
    }
}
