//! The search: depth first over all choices, with a set of the states that were seen, shared by all its threads.
//!
//! A state is kept as its 128-bit name alone, and not at all where only one thing can happen in it.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tandem::mutant;
use tandem::seen::{self, Marks};

use super::canon::Canon;
use super::choice::Choice;
use super::converge;
use super::setup::Setup;
use super::space::{NONE, Space};
use super::world::{Broken, World};
use crate::seed::Stream;

/// What a search found.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// How many states it saw.
    pub(super) states: u64,
    /// The longest way that it went.
    pub(super) depth: u64,
    /// Whether there are no others.
    pub(super) exhausted: bool,
    /// How many of them are those in which a heartbeat has just passed.
    pub(super) beats: u64,
    /// What the servers came to.
    pub(super) seen: Marks,
    /// Whether the line of the chosen mutant was come to.
    pub(super) reached: bool,
    /// The way to a broken promise.
    pub(super) broken: Option<(Vec<Choice>, Broken)>,
}

/// How far a search goes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How many threads.
    pub jobs: usize,
    /// The most states.
    pub states: u64,
    /// The longest way.
    pub depth: u64,
}

/// A step of a way, with the way to it.
#[derive(Debug)]
struct Step {
    choice: Choice,
    before: Option<Arc<Step>>,
}

impl Drop for Step {
    fn drop(&mut self) {
        // A way may be too long for one call a step.
        let mut before = self.before.take();
        while let Some(mut step) = before.and_then(Arc::into_inner) {
            before = step.before.take();
        }
    }
}

/// A state whose choices are to be tried.
struct Node {
    world: World,
    way: Option<Arc<Step>>,
    depth: u64,
    /// What is still to be tried.
    choices: Vec<Choice>,
}

/// Names are random bits already.
#[derive(Default)]
struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u128(&mut self, name: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "any of its bits will do")]
        {
            self.0 = name as u64;
        }
    }
}

/// A set of names, for many threads.
pub(super) struct Names(Vec<Mutex<HashSet<u128, BuildHasherDefault<Plain>>>>);

impl Names {
    fn new() -> Self {
        Self((0..256).map(|_| Mutex::default()).collect())
    }

    /// Whether it was not there before.
    pub(super) fn insert(&self, name: u128) -> bool {
        let shard = (name >> 120) as usize;
        locked(&self.0[shard]).insert(name)
    }

    /// Whether it is there.
    pub(super) fn contains(&self, name: u128) -> bool {
        let shard = (name >> 120) as usize;
        locked(&self.0[shard]).contains(&name)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the threads of a search share.
struct Shared<'a> {
    setup: &'a Setup,
    space: &'a Space,
    bounds: Bounds,
    seen: Names,
    converges: Names,
    /// Nodes that a thread has given away.
    given: Mutex<Vec<Node>>,
    idle: AtomicUsize,
    states: AtomicU64,
    beats: AtomicU64,
    depth: AtomicU64,
    cut_short: AtomicBool,
    stop: AtomicBool,
    marks: Mutex<Marks>,
    reached: AtomicBool,
    broken: Mutex<Option<(Vec<Choice>, Broken)>>,
}

/// Searches a space from a state on. `progress` is told now and then how many states there are, and says whether to go on.
pub(super) fn search(
    setup: &Setup,
    space: &Space,
    first: World,
    bounds: Bounds,
    progress: &(dyn Fn(u64) -> bool + Sync),
) -> Outcome {
    let mut choices = Vec::new();
    first.choices(space, &mut choices);
    let node = Node { world: first, way: None, depth: 0, choices };
    let shared = Shared {
        setup,
        space,
        bounds,
        seen: Names::new(),
        converges: Names::new(),
        given: Mutex::new(vec![node]),
        idle: AtomicUsize::new(0),
        states: AtomicU64::new(1),
        beats: AtomicU64::new(0),
        depth: AtomicU64::new(0),
        cut_short: AtomicBool::new(false),
        stop: AtomicBool::new(false),
        marks: Mutex::new(Marks::default()),
        reached: AtomicBool::new(false),
        broken: Mutex::new(None),
    };
    std::thread::scope(|scope| {
        for _ in 0..bounds.jobs.max(1) {
            scope.spawn(|| {
                shared.work(progress);
                let mut marks = locked(&shared.marks);
                *marks = marks.union(seen::take());
                shared.reached.fetch_or(mutant::take_reached(), Ordering::Relaxed);
            });
        }
    });
    let (broken, seen) = (locked(&shared.broken).take(), *locked(&shared.marks));
    Outcome {
        seen,
        reached: shared.reached.load(Ordering::Relaxed),
        states: shared.states.load(Ordering::Relaxed),
        depth: shared.depth.load(Ordering::Relaxed),
        beats: shared.beats.load(Ordering::Relaxed),
        exhausted: broken.is_none() && !shared.cut_short.load(Ordering::Relaxed),
        broken,
    }
}

/// How many choices a search that wanders follows from one place.
const STRIDE: u64 = 150;

/// Puts another state on top now and then, and another of its choices last: a search that does not see the whole space then
/// sees something of every part of it.
fn wander(stack: &mut [Node], tried: u64, stream: &mut Stream) {
    let mut below = |count: usize| usize::try_from(stream.draw() % count as u64).unwrap_or(0);
    if !stack.is_empty() && tried.is_multiple_of(STRIDE) {
        let (other, top) = (below(stack.len()), stack.len() - 1);
        stack.swap(other, top);
    }
    if let Some(Node { choices, .. }) = stack.last_mut()
        && !choices.is_empty()
    {
        let (other, last) = (below(choices.len()), choices.len() - 1);
        choices.swap(other, last);
    }
}

impl Shared<'_> {
    fn work(&self, progress: &(dyn Fn(u64) -> bool + Sync)) {
        let mut canon = Canon::default();
        let mut stack: Vec<Node> = Vec::new();
        let mut tried = 0_u64;
        // The same in every search.
        let mut stream = Stream::named(0, "wander");
        while !self.stop.load(Ordering::Relaxed) {
            if self.space.wanders {
                wander(&mut stack, tried, &mut stream);
            }
            let Some(node) = stack.last_mut() else {
                if !self.take(&mut stack) {
                    return;
                }
                continue;
            };
            let Some(choice) = node.choices.pop() else {
                stack.pop();
                continue;
            };
            tried += 1;
            if tried.is_multiple_of(1024) {
                if !progress(self.states.load(Ordering::Relaxed)) {
                    self.cut_short.store(true, Ordering::Relaxed);
                    self.stop.store(true, Ordering::Relaxed);
                }
                if self.idle.load(Ordering::Relaxed) > 0 && stack.len() > 1 {
                    self.give(&mut stack);
                }
            }
            if let Some(node) = stack.last().and_then(|node| self.follow(node, choice, &mut canon))
            {
                stack.push(node);
            }
        }
    }

    /// The state that a choice leads to, where it is new: the next in which more than one thing can happen, or time passes.
    fn follow(&self, node: &Node, choice: Choice, canon: &mut Canon) -> Option<Node> {
        let mut world = node.world.clone();
        let (mut choice, mut before, mut depth) = (choice, node.way.clone(), node.depth);
        let mut choices = Vec::new();
        let way = loop {
            let step = Arc::new(Step { choice, before });
            if let Err(broken) = world.apply(self.setup, choice) {
                self.found(&step, broken);
                return None;
            }
            depth += 1;
            world.choices(self.space, &mut choices);
            match choices.as_slice() {
                [only] if choice != Choice::Tick && *only != Choice::Tick => {
                    (choice, before) = (*only, Some(step));
                }
                _ => break step,
            }
        };
        if !self.seen.insert(canon.name_with_faults(&world, choice == Choice::Tick)) {
            return None;
        }
        if canon.drops() {
            world.forget(canon);
            world.choices(self.space, &mut choices);
        }
        let states = self.states.fetch_add(1, Ordering::Relaxed) + 1;
        if states >= self.bounds.states {
            self.cut_short.store(true, Ordering::Relaxed);
            self.stop.store(true, Ordering::Relaxed);
        }
        if choice == Choice::Tick {
            self.beats.fetch_add(1, Ordering::Relaxed);
        }
        if choice == Choice::Tick
            && world.is_whole()
            && let Err(broken) = converge::judge(self.setup, &world, canon, &self.converges)
        {
            self.found(&way, broken);
            return None;
        }
        self.depth.fetch_max(depth, Ordering::Relaxed);
        if self.space.rests && choice == Choice::Tick && world.faults_left() == NONE {
            match converge::judge_rest(self.setup, &world) {
                Ok(false) => {}
                Ok(true) => return None,
                Err(broken) => {
                    self.found(&way, broken);
                    return None;
                }
            }
        }
        if depth >= self.bounds.depth {
            self.cut_short.store(true, Ordering::Relaxed);
            return None;
        }
        Some(Node { world, way: Some(way), depth, choices })
    }

    fn found(&self, last: &Arc<Step>, broken: Broken) {
        let mut way = Vec::new();
        let mut step = Some(last);
        while let Some(at) = step {
            way.push(at.choice);
            step = at.before.as_ref();
        }
        way.reverse();
        self.stop.store(true, Ordering::Relaxed);
        let mut found = locked(&self.broken);
        if found.as_ref().is_none_or(|(other, _)| other.len() > way.len()) {
            *found = Some((way, broken));
        }
    }

    /// Gives half of what is to be done to a thread that has nothing.
    fn give(&self, stack: &mut Vec<Node>) {
        let mut given = locked(&self.given);
        if given.is_empty() {
            given.extend(stack.drain(..stack.len() / 2));
        }
    }

    /// Waits for something to do; false where nobody has anything left.
    fn take(&self, stack: &mut Vec<Node>) -> bool {
        let jobs = self.bounds.jobs.max(1);
        let mut is_idle = false;
        loop {
            {
                let mut given = locked(&self.given);
                if !given.is_empty() {
                    stack.append(&mut given);
                    if is_idle {
                        self.idle.fetch_sub(1, Ordering::Relaxed);
                    }
                    return true;
                }
                if !is_idle {
                    is_idle = true;
                    self.idle.fetch_add(1, Ordering::Relaxed);
                }
                if self.idle.load(Ordering::Relaxed) == jobs {
                    return false;
                }
            }
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            std::thread::yield_now();
        }
    }
}
