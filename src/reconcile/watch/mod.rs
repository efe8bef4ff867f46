//! Following a manifest on disk: every change of it, once it counts as written, is brought to both servers.
//!
//! The loop reads, lets [`settle`] say when content counts, [`steer`] what to do, and applies. Events of the file
//! system only make it look sooner; it looks at intervals anyway. What is broken on disk never stops what ran.

pub mod files;
pub mod settle;
pub mod steer;

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;

use files::Folders;
use settle::{Reading, Settle};
use steer::{Ending, Resting, Steer, Step, Wanted};

use super::apply::{Applied, ApplyError, Order, Signer, apply, large_change_command};
use super::decide::Sight;
use super::desired::{Beside, Desired};
use super::event::Event;
use super::observe::{self, Target, View};
use crate::bundle::Bundle;
use crate::client::Http;
use crate::manifest::types::Manifest;
use crate::measure::{Moment, Span};
use crate::repository::Against;
use crate::statement::Source;

pub use steer::Repair;

/// How long a wake-up by the file system is waited out, so that a burst of events makes one reading.
const BURST: Span = Span::from_ms(50);
/// How soon a state that an apply has just changed is looked at again.
const AFTER_APPLY: Span = Span::from_ms(200);

/// How a manifest is followed.
#[derive(Clone, Debug)]
pub struct Options {
    /// The manifest.
    pub manifest: PathBuf,
    /// What a person who applies by hand has to say besides the manifest: the key, where it is not their own.
    pub flags: String,
    /// What to do about drift.
    pub repair: Repair,
    /// How often files and servers are looked at when nothing happens.
    pub interval: Span,
    /// Whether to stop once nothing is left to do.
    pub once: bool,
    /// Whether what is there at the start counts as written: nobody edits it while it starts.
    pub at_once: bool,
}

/// How following ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Whoever follows was told to stop.
    Stopped,
    /// With [`Options::once`]: both servers run what is on disk.
    InSync,
    /// With [`Options::once`]: they do not; the events said why.
    NotInSync,
}

/// Content of the disk that is fit to run.
struct Good {
    bundle: Bundle,
    source: Source,
    pair: [Target; 2],
}

impl Good {
    fn wanted(&self) -> Wanted {
        let source = format!("{:?}", self.source);
        Wanted { bundle: self.bundle.hash(), source }
    }
}

/// Follows a manifest until `stop`.
///
/// Nothing that is on disk and nothing that a server answers ends it: what happens is told to `tell`.
pub async fn watch(
    http: &Http,
    signer: &Signer,
    options: &Options,
    stop: impl Future<Output = ()>,
    tell: &mut (dyn FnMut(Event) + Send),
) -> End {
    let mut stop = pin!(stop);
    let steer = Steer::new(options.repair);
    let mut watch = Watch {
        http,
        signer,
        options,
        tell,
        settle: Settle::default(),
        folders: Folders::new(),
        steer,
        good: None,
        broken: None,
        is_refused: false,
        takes_first: options.at_once,
        said: None,
    };
    let manifest = options.manifest.display().to_string();
    (watch.tell)(Event::Watching { manifest });
    loop {
        let turn = watch.turn().await;
        if let (true, Some(end)) = (options.once, turn.end) {
            return end;
        }
        tokio::select! {
            biased;
            () = &mut stop => return End::Stopped,
            () = watch.folders.changed() => http.world().clock.sleep(BURST).await,
            () = http.world().clock.sleep(turn.again.min(options.interval)) => {}
        }
    }
}

/// What one turn of the loop came to.
struct Turn {
    /// After how long to look again, at the latest.
    again: Span,
    /// How it would end now; absent while something is under way.
    end: Option<End>,
}

struct Watch<'a> {
    http: &'a Http,
    signer: &'a Signer,
    options: &'a Options,
    tell: &'a mut (dyn FnMut(Event) + Send),
    settle: Settle<[u8; 32]>,
    folders: Folders,
    steer: Steer,
    /// The last content that was fit to run.
    good: Option<Good>,
    /// That the content of the disk is not fit to run, and why.
    broken: Option<String>,
    /// Whether it waits for a change because a server refused what is wanted.
    is_refused: bool,
    /// Whether the next reading counts as written whatever was read before.
    takes_first: bool,
    /// What was told last, so that it is not told again and again.
    said: Option<Event>,
}

impl Watch<'_> {
    async fn turn(&mut self) -> Turn {
        let (desired, reading) = self.read().await;
        match reading {
            Reading::Unsettled(again) => return Turn { again, end: None },
            Reading::Settled => {
                self.folders.rewatch();
                self.take(desired).await;
            }
            // What a server refused because it was not committed may be committed now.
            Reading::Unchanged if self.is_refused => self.look_for_commit(desired).await,
            Reading::Unchanged => {}
        }
        let Some(good) = &self.good else {
            return Turn { again: self.options.interval, end: Some(End::NotInSync) };
        };
        let views = observe::both(self.http, &good.pair).await;
        let sight = observe::sight(&views);
        let wanted = good.wanted();
        let now = self.now();
        match self.steer.step(now, Some(&wanted), &sight) {
            Step::Rest(resting) => {
                self.is_refused = resting == Resting::Refused;
                self.rest(&resting, &views)
            }
            Step::Recheck { after: again, servers } => {
                self.tell_new(Event::Drifted { servers, repair: true });
                Turn { again, end: None }
            }
            Step::Apply { degraded } => self.apply(&views, &sight, &wanted, degraded).await,
        }
    }

    fn now(&self) -> Moment {
        self.http.world().clock.now().moment
    }

    /// Reads the files, and whether they count as written.
    async fn read(&mut self) -> (Option<Desired>, Reading) {
        let path = self.options.manifest.clone();
        let began = self.now();
        let read = tokio::task::spawn_blocking(move || Desired::read(&path)).await;
        let ended = self.now();
        // The reader has no panics of its own; should it fail, it is tried again.
        let Ok(desired) = read else { return (None, Reading::Unsettled(settle::APART)) };
        self.folders.watch(desired.watched());
        if std::mem::take(&mut self.takes_first) {
            self.settle.take(desired.fingerprint());
            return (Some(desired), Reading::Settled);
        }
        let reading = self.settle.read(desired.fingerprint(), began, ended);
        (Some(desired), reading)
    }

    /// Takes new content: judges it, and from now on it is what is wanted, or the reason why it is not.
    async fn take(&mut self, desired: Option<Desired>) {
        let Some(desired) = desired else { return };
        let running = match desired.manifest() {
            Some(manifest) => self.running(manifest).await,
            None => None,
        };
        let now = self.http.world().clock.now().wall;
        let judged = tokio::task::spawn_blocking(move || {
            let running = running.map(Against::Bundle);
            let beside = Beside { now, running: running.as_ref(), signer: None };
            let judged = desired.judge(&beside);
            let source = desired.source();
            (desired, judged, source)
        });
        let Ok((desired, judged, source)) = judged.await else { return };
        let (errors, message) = match judged {
            Ok(judged) => match (judged.bundle.clone(), desired.manifest().map(observe::pair)) {
                (Some(bundle), Some(Ok(pair))) => {
                    self.broken = None;
                    self.tell_new(Event::Changed { bundle: bundle.hash() });
                    self.good = Some(Good { bundle, source, pair });
                    return;
                }
                (Some(_), Some(Err(error))) => (1, error.to_string()),
                _ => (judged.errors(), judged.first_error().unwrap_or_default()),
            },
            Err(error) => (1, error.to_string()),
        };
        self.broken = Some(message.clone());
        self.tell_new(Event::Broken { errors, message });
    }

    /// Looks whether the same content comes from another commit now, or has no uncommitted edits any more.
    async fn look_for_commit(&mut self, desired: Option<Desired>) {
        let (Some(desired), Some(good)) = (desired, &mut self.good) else { return };
        if let Ok(source) = tokio::task::spawn_blocking(move || desired.source()).await {
            good.source = source;
        }
    }

    /// The bundle that the pair runs, from the first server that gives it.
    async fn running(&self, manifest: &Manifest) -> Option<Bundle> {
        for target in observe::pair(manifest).ok()? {
            if let Ok(bundle) = observe::config(self.http, &target, self.signer).await {
                return Some(bundle);
            }
        }
        None
    }

    fn rest(&mut self, resting: &Resting, views: &[View; 2]) -> Turn {
        let mut again = self.options.interval;
        let mut end = Some(End::NotInSync);
        let event = match resting {
            // Broken on disk, nothing is in sync with it.
            Resting::InSync if self.broken.is_some() => None,
            Resting::InSync => {
                end = Some(End::InSync);
                let runs = views.iter().find_map(View::running);
                runs.and_then(|runs| {
                    let (bundle, generation) = (runs.bundle?, runs.generation);
                    Some(Event::InSync { bundle, generation })
                })
            }
            Resting::Alone { absent } | Resting::Waiting { absent } => {
                Some(Event::Waiting { absent: absent.clone() })
            }
            Resting::Drifted { servers } => {
                Some(Event::Drifted { servers: servers.clone(), repair: false })
            }
            Resting::Failed { retry } => {
                again = retry.since(self.now());
                end = None;
                None
            }
            Resting::Idle | Resting::Refused => None,
        };
        if let Some(event) = event {
            self.tell_new(event);
        }
        Turn { again, end }
    }

    async fn apply(
        &mut self,
        views: &[View; 2],
        sight: &Sight,
        wanted: &Wanted,
        degraded: bool,
    ) -> Turn {
        let Some(good) = &self.good else {
            return Turn { again: self.options.interval, end: Some(End::NotInSync) };
        };
        let running = if degraded { self.reachable_bundle(views).await } else { None };
        let (bundle, source) = (good.bundle.clone(), good.source.clone());
        let order = Order { bundle, source, allow_large_change: false, degraded };
        self.said = None;
        let result =
            apply(self.http, self.signer, views, running.as_ref(), &order, self.tell).await;
        let now = self.now();
        let ending = match &result {
            Ok(_) => Ending::Done,
            Err(error) if error.is_passing() => Ending::Failed,
            Err(_) => Ending::Refused,
        };
        let retry = self.steer.ended(now, wanted, sight, ending);
        let error = match result {
            Ok(Applied { generation, later, .. }) => {
                // Said by the apply itself.
                let bundle = wanted.bundle;
                self.said = later.is_empty().then_some(Event::InSync { bundle, generation });
                return Turn { again: AFTER_APPLY, end: None };
            }
            Err(error) => error,
        };
        self.tell_failure(&error, retry);
        let again = retry.unwrap_or(self.options.interval);
        Turn { again, end: Some(End::NotInSync) }
    }

    /// The bundle of the one server that answered.
    async fn reachable_bundle(&self, views: &[View; 2]) -> Option<Bundle> {
        let view = views.iter().find(|view| view.status.is_ok())?;
        observe::config(self.http, &view.target, self.signer).await.ok()
    }

    fn tell_failure(&mut self, error: &ApplyError, retry: Option<Span>) {
        let manifest = format!("{}{}", self.options.flags, self.options.manifest.display());
        let event = match error.large_change() {
            Some(reason) => Event::Held { reason, command: large_change_command(&manifest) },
            None => {
                let help = error.help(&manifest).map(|help| format!("; {help}"));
                let reason = format!("{error}{}", help.unwrap_or_default());
                Event::Failed { reason, retry_in_ms: retry.map(Span::ms) }
            }
        };
        self.tell_new(event);
    }

    /// Tells an event unless it was the last one told.
    fn tell_new(&mut self, event: Event) {
        if self.said.as_ref() != Some(&event) {
            self.said = Some(event.clone());
            (self.tell)(event);
        }
    }
}
