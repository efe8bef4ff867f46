//! Where `up` shows what happens: lines as they come, or a drawing of both servers with the last of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::Context;
use super::error::Failure;
use super::output::{Style, paint, quote};
use super::screen::Screen;
use super::teller::{Lines, Teller, sentence};
use super::verb::status;
use crate::api::{LeaseEntry, State};
use crate::client::Http;
use crate::client::operator_key::HeldKey;
use crate::manifest::types::SshPublicKey;
use crate::measure::Span;
use crate::reconcile::event::Event;
use crate::reconcile::observe::{self, Target, View};
use crate::reconcile::status::{Asked, PairStatus};
use crate::seam::clock::Clock;
use crate::statement::Signs as _;

/// How often the servers are looked at, and drawn where there is a terminal.
const LOOK_EVERY: Span = Span::from_ms(500);
/// How many events stay on the screen.
const EVENTS_SHOWN: usize = 6;
/// How many leases are on the screen.
const LEASES_SHOWN: usize = 6;

/// What happens, as it is shown.
pub(crate) struct Board {
    teller: Mutex<Teller>,
    last: Option<Mutex<VecDeque<String>>>,
    gone: Arc<Notify>,
    clock: Arc<dyn Clock>,
}

impl Board {
    /// Nothing happened yet. For people at a terminal it is drawn.
    pub(crate) fn new(cx: &Context, lines: Lines) -> Self {
        let is_drawn = lines == Lines::Human && Screen::is_there();
        let clock = Arc::clone(&cx.world.clock);
        let teller = Teller::new(cx.output, Arc::clone(&clock), lines, true);
        let gone = teller.gone();
        let last = is_drawn.then(Mutex::default);
        Self { teller: Mutex::new(teller), last, gone, clock }
    }

    /// Shows that something happened.
    pub(crate) fn tell(&self, event: Event) {
        let Some(last) = &self.last else {
            return self.teller.lock().unwrap_or_else(PoisonError::into_inner).tell(&event);
        };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.clock.now().wall;
        last.push_back(format!("{}  {}", paint(Style::Faint, &at.to_string()), sentence(&event)));
        while last.len() > EVENTS_SHOWN {
            last.pop_front();
        }
    }

    /// The last events, where they are drawn.
    fn events(&self) -> Option<String> {
        let last = self.last.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(last.iter().map(|line| format!("{line}\n")).collect())
    }

    /// Is told once whoever read it has gone.
    pub(crate) fn gone(&self) -> Arc<Notify> {
        Arc::clone(&self.gone)
    }

    /// What could not be printed.
    pub(crate) fn end(self) -> Result<(), Failure> {
        self.teller.into_inner().unwrap_or_else(PoisonError::into_inner).end()
    }
}

/// Looks at both servers again and again: draws them, or tells what has changed.
pub(crate) async fn look(
    cx: &Context,
    http: &Http,
    pair: &[Target; 2],
    key: &HeldKey,
    board: &Board,
) -> Failure {
    let mut screen = Screen::new(cx.output);
    let mut before: [Option<Event>; 2] = [None, None];
    loop {
        let views = observe::both(http, pair).await;
        match board.events() {
            Some(events) => {
                let leases = leases(http, &views, key).await;
                if let Err(failure) = screen.draw(&drawing(views, key, &leases, &events)) {
                    return failure;
                }
            }
            None => {
                for (view, before) in views.iter().zip(&mut before) {
                    let now = standing_of(view);
                    if now.is_some() && now != *before {
                        now.clone().into_iter().for_each(|event| board.tell(event));
                        *before = now;
                    }
                }
            }
        }
        cx.world.clock.sleep(LOOK_EVERY).await;
    }
}

fn drawing(views: [View; 2], key: &HeldKey, leases: &str, events: &str) -> String {
    let standing = PairStatus::new(None, views.map(Asked::from).into(), None);
    let operators = [SshPublicKey(key.public().to_string())];
    let standing = status::human(&standing, &operators);
    format!("{standing}\n{leases}{events}\nCtrl-C stops both servers\n")
}

/// Who holds seats, as the server that serves knows it: the newest first.
async fn leases(http: &Http, views: &[View; 2], key: &HeldKey) -> String {
    let serves =
        |view: &&View| view.status.as_ref().is_ok_and(|status| status.state == State::Active);
    let Some(view) = views.iter().find(serves) else { return String::new() };
    let Ok(mut leases) = observe::leases(http, &view.target, key).await else {
        return String::new();
    };
    leases.sort_by_key(|lease| std::cmp::Reverse(lease.granted_at));
    let line = |lease: &LeaseEntry| {
        let user = lease.user.as_ref().map_or("-", |user| user.as_str());
        let host = lease.host.as_ref().map_or("-", |host| host.as_str());
        let (user, host) = (quote(user).clone(), quote(host).clone());
        let (seats, product) = (lease.seats, quote(lease.product.as_str()).clone());
        format!("lease: {user} on {host} holds {seats} of {product} until {}\n", lease.expires_at)
    };
    let mut text: String = leases.iter().take(LEASES_SHOWN).map(line).collect();
    if let Some(more) = leases.len().checked_sub(LEASES_SHOWN).filter(|more| *more > 0) {
        text.push_str(&format!("and {more} more leases\n"));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn standing_of(view: &View) -> Option<Event> {
    let status = view.status.as_ref().ok()?;
    Some(Event::State {
        server: status.name.clone(),
        state: status.state.as_str().to_owned(),
        role: status.role.map(|role| role.to_string()),
        paired: status.peer.as_ref().is_some_and(|peer| peer.paired),
    })
}
