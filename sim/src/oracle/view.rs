//! A history put in order for the oracles: requests with their answers, what holders believe, who was up, who was
//! cut off from whom, which bundles may have been in force. Nothing in it judges.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tandem::manifest::types::{Mode, Role};

use crate::history::{Answered, Ask, Entry, Event, Fault, Lease, ServerTerms, Terms};

/// A request and what became of it.
#[derive(Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) client: &'a str,
    pub(crate) to: &'a str,
    pub(crate) ask: &'a Ask,
    pub(crate) asked: u64,
    /// Absent: unknown.
    pub(crate) answer: Option<Reply<'a>>,
}

/// An answer that arrived.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) at: u64,
    pub(crate) status: u16,
    pub(crate) code: Option<&'a str>,
    pub(crate) lease: Option<&'a Lease>,
}

impl Exchange<'_> {
    /// The lease that was given, with the time at which it arrived.
    pub(crate) fn given(&self) -> Option<(u64, &Lease)> {
        let reply = self.answer.as_ref().filter(|reply| matches!(reply.status, 200 | 201))?;
        reply.lease.map(|lease| (reply.at, lease))
    }

    /// Whether it was answered with this status.
    pub(crate) fn got(&self, status: u16) -> Option<&Reply<'_>> {
        self.answer.as_ref().filter(|reply| reply.status == status)
    }
}

/// A lease as its holder sees it.
#[derive(Debug)]
pub(crate) struct Holding<'a> {
    pub(crate) id: &'a str,
    /// The use that asked for it, where that is known.
    usage: Option<&'a str>,
    pub(crate) product: &'a str,
    pub(crate) seats: u32,
    /// Since when it is borrowed, where it is: then it has an end of its own.
    pub(crate) borrowed: Option<u64>,
    /// When the first answer with it arrived, and when that was asked for.
    pub(crate) asked: u64,
    pub(crate) since: u64,
    /// From each answer that arrived: from when to when the holder believes in it on its strength, and who gave it.
    pub(crate) beliefs: Vec<(u64, u64, &'a str)>,
    /// When its holder asked to end it: from then on it believes in nothing.
    pub(crate) released: Option<u64>,
}

impl Holding<'_> {
    /// Whether its holder believes in it.
    pub(crate) fn is_live(&self, at: u64) -> bool {
        self.is_live_until(at, at)
    }

    /// The same, and by the same answer at a later time too.
    pub(crate) fn is_live_until(&self, at: u64, late: u64) -> bool {
        self.released.is_none_or(|released| at < released)
            && self.beliefs.iter().any(|(from, until, _)| *from <= at && late < *until)
    }
}

/// A server that lost its power or its process.
#[derive(Debug)]
pub(crate) struct Death<'a> {
    /// Its place among the faults.
    pub(crate) place: usize,
    pub(crate) at: u64,
    pub(crate) server: &'a str,
    pub(crate) peer: &'a str,
    /// The bundle that was in force.
    pub(crate) terms: &'a Terms,
}

/// A bundle that a server was asked to serve, and did not refuse.
#[derive(Debug)]
struct Commit<'a> {
    server: &'a str,
    generation: u64,
    terms: &'a Terms,
    asked: u64,
    /// When it said that it does.
    done: Option<u64>,
}

/// Times, each from when to when.
type Spans = Rc<[(u64, u64)]>;

/// A history in order.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) entries: &'a [Entry],
    pub(crate) exchanges: Vec<Exchange<'a>>,
    pub(crate) holdings: BTreeMap<&'a str, Holding<'a>>,
    pub(crate) faults: Vec<(u64, &'a Fault)>,
    terms: BTreeMap<&'a str, &'a Terms>,
    /// By generation.
    commits: Vec<Commit<'a>>,
    /// What each server read, by time.
    heard: BTreeMap<&'a str, Vec<(u64, bool, bool)>>,
    /// When the two were split, by who they are.
    splits: RefCell<BTreeMap<[String; 2], Spans>>,
    pub(crate) end: u64,
}

impl<'a> View<'a> {
    pub(crate) fn of(entries: &'a [Entry]) -> Self {
        let exchanges = exchanges(entries);
        let mut view = Self {
            entries,
            holdings: holdings(&exchanges),
            exchanges,
            faults: Vec::new(),
            terms: BTreeMap::new(),
            commits: Vec::new(),
            heard: BTreeMap::new(),
            splits: RefCell::default(),
            end: entries.last().map_or(0, |entry| entry.at),
        };
        for entry in entries {
            match &entry.event {
                Event::Fault(fault) => view.faults.push((entry.at, fault)),
                Event::Heard { active, paired, .. } => {
                    let heard = view.heard.entry(&*entry.host).or_default();
                    heard.push((entry.at, *active, *paired));
                }
                Event::Terms(terms) => {
                    view.terms.insert(&terms.bundle, terms);
                }
                _ => {}
            }
        }
        view.commits = commits(&view);
        view
    }

    /// What a bundle means.
    pub(crate) fn terms(&self, bundle: &str) -> Option<&'a Terms> {
        self.terms.get(bundle).copied()
    }

    /// Every bundle that may have been in force at some time in between: those asked to be committed before the
    /// end, but for those that every server had left by the beginning.
    pub(crate) fn in_force(&self, from: u64, to: u64) -> Vec<&'a Terms> {
        // When every server had left what was before this generation for it.
        let since = |commit: &Commit<'_>| {
            let done = |server: &String| {
                let runs = self
                    .commits
                    .iter()
                    .filter(|one| one.generation == commit.generation && one.server == server);
                // One whose disk was lost runs what its peer has.
                let runs = runs.filter_map(|one| one.done).filter(|at| *at <= from);
                runs.filter(|at| !self.was_emptied(server, *at, from)).min()
            };
            let done = commit.terms.servers.keys().map(done).collect::<Option<Vec<_>>>()?;
            let in_effect = self.roles_are_in_effect(commit.generation, commit.terms, from);
            done.into_iter().max().filter(|_| in_effect).map(|done| (commit.generation, done))
        };
        // Nothing was left where all are of one generation.
        let is_one = self.commits.windows(2).all(|two| two[0].generation == two[1].generation);
        // A server that lost its disk counts generations anew: a later commit may have an earlier number.
        let asked = self.commits.iter().rev().filter(|commit| commit.asked <= from);
        let settled = if is_one { None } else { asked.clone().find_map(since) };
        let is_left = |commit: &Commit<'_>| {
            settled.is_some_and(|(generation, done)| {
                commit.generation < generation && commit.asked <= done
            })
        };
        let mut found: Vec<&Terms> = Vec::new();
        for commit in &self.commits {
            let known = found.iter().any(|one| one.bundle == commit.terms.bundle);
            if commit.asked <= to && !is_left(commit) && !known {
                found.push(commit.terms);
            }
        }
        found
    }

    /// Whether the roles of a bundle that both run are those that the servers have, where they were others before: it is
    /// seen by a lease of the new primary from a license of that role, and by the other one going on to hear it from then
    /// on. That it serves says little: the old primary may have been away. One that was cut off from it in that moment
    /// keeps its role until they meet.
    fn roles_are_in_effect(&self, generation: u64, terms: &Terms, at: u64) -> bool {
        let differs = |one: &&Commit<'_>| {
            one.asked <= at && one.generation < generation && !has_same_roles(one.terms, terms)
        };
        let Some(before) = self.commits.iter().rev().find(differs) else { return true };
        // Since when each server runs a bundle with these roles: it may be one before this.
        let since = |server: &String| {
            let with = self.commits.iter().filter(|one| {
                one.server == server
                    && (before.generation + 1..=generation).contains(&one.generation)
            });
            with.filter_map(|one| one.done).min()
        };
        let done = terms.servers.keys().map(since).collect::<Option<Vec<_>>>();
        let Some(done) = done.and_then(|done| done.into_iter().max()) else { return false };
        let of_role = |role: Role| terms.servers.iter().find(|(_, server)| server.role == role);
        let (Some((name, server)), Some((other, _))) =
            (of_role(Role::Primary), of_role(Role::Secondary))
        else {
            return false;
        };
        let offers = |server: &ServerTerms, id: &String| {
            server.licenses.iter().any(|license| license.id == *id)
        };
        let was = before.terms.servers.get(name);
        let is_new = |id: &String| offers(server, id) && !was.is_some_and(|was| offers(was, id));
        let gave = self.exchanges.iter().filter(|exchange| exchange.to == name);
        let gave = gave.filter_map(Exchange::given).filter(|(when, lease)| {
            (done..=at).contains(when) && lease.licenses.iter().any(is_new)
        });
        let Some(began) = gave.map(|(when, _)| when).min() else { return false };
        let heard = self.heard_between(other, began + 1, at);
        let paired = heard.iter().rev().find(|(_, active, paired)| *active && *paired);
        // One that had been on its way for long says nothing.
        heard.first().zip(paired).is_some_and(|((first, ..), (latest, ..))| {
            latest.saturating_sub(*first) >= 2 * terms.heartbeat
        })
    }

    /// Whether the roles of a bundle may be in effect by this time, where they are others than before: they wait until
    /// both servers run it, and one that was down since it was first asked for does not.
    pub(crate) fn roles_may_be_in_effect(&self, terms: &Terms, at: u64) -> bool {
        let of_it: Vec<_> =
            self.commits.iter().filter(|one| one.terms.bundle == terms.bundle).collect();
        let Some(asked) = of_it.iter().map(|one| one.asked).min() else { return true };
        let generation = of_it.iter().map(|one| one.generation).min().unwrap_or_default();
        let before =
            self.commits.iter().rev().find(|one| one.asked <= at && one.generation < generation);
        let was_up = |server: &String| {
            let comes_up = |fault: &&(u64, &Fault)| {
                (asked..=at).contains(&fault.0) && fault.1.leaves_up(server) == Some(true)
            };
            self.is_up(server, asked) || self.faults.iter().any(|fault| comes_up(&fault))
        };
        before.is_none_or(|before| has_same_roles(before.terms, terms))
            || terms.servers.keys().all(was_up)
    }

    /// When a server said last, until this time, that it runs a bundle which swaps the roles.
    pub(crate) fn swapped(&self, until: u64) -> Option<u64> {
        let swaps = |one: &&Commit<'_>| {
            let mut before = self.commits.iter().filter(|it| it.generation < one.generation);
            before.any(|before| !has_same_roles(before.terms, one.terms))
        };
        let done = self.commits.iter().filter(swaps).filter_map(|one| one.done);
        done.filter(|at| *at <= until).max()
    }

    /// The role that a server had for sure in between; none where a change of roles may fall into it.
    pub(crate) fn role(&self, server: &str, from: u64, to: u64) -> Option<Role> {
        let terms = self.in_force(from, to);
        let mut roles = terms.iter().filter_map(|terms| terms.servers.get(server)).map(|s| s.role);
        let first = roles.next()?;
        roles.all(|role| role == first).then_some(first)
    }

    /// To which server service was last handed over as planned until this time, and when.
    pub(crate) fn handed_to(&self, at: u64) -> Option<(u64, &str)> {
        let until = self.faults.iter().take_while(|(when, _)| *when <= at);
        let handed = until.filter_map(|(when, fault)| match fault {
            Fault::Handover { to } => Some((*when, to.as_str())),
            _ => None,
        });
        handed.last()
    }

    /// Which server leads right before this time: the primary, unless service was handed over to the other one, and that
    /// has not been down since.
    pub(crate) fn leader(&self, at: u64) -> Option<&str> {
        let before = at.saturating_sub(1);
        if let Some((when, to)) = self.handed_to(before)
            && self.is_up(to, before)
            && self.started(to, before) <= when
        {
            return Some(to);
        }
        let terms = *self.in_force(before, before).first()?;
        let primary = terms.servers.iter().find(|(_, server)| server.role == Role::Primary);
        primary.map(|(name, _)| name.as_str())
    }

    /// Whether a server's process ran at this time.
    pub(crate) fn is_up(&self, server: &str, at: u64) -> bool {
        let until = self.faults.iter().take_while(|(when, _)| *when <= at);
        until.filter_map(|(_, fault)| fault.leaves_up(server)).last().unwrap_or(true)
    }

    /// The deaths of servers while one bundle alone was in force.
    pub(crate) fn deaths(&self) -> impl Iterator<Item = Death<'a>> {
        self.faults.iter().enumerate().filter_map(|(place, (at, fault))| {
            let (Fault::Crash { server } | Fault::Kill { server } | Fault::Stop { server }) = fault
            else {
                return None;
            };
            let terms = self.in_force(*at, *at);
            let [terms] = terms.as_slice() else { return None };
            let peer = terms.servers.keys().find(|name| *name != server)?;
            Some(Death { place, at: *at, server, peer, terms })
        })
    }

    /// What a server's disk was last said to be by this time.
    pub(crate) fn disk(&self, server: &str, at: u64) -> Option<&str> {
        let until = self.faults.iter().take_while(|(when, _)| *when <= at);
        let of = until.filter_map(|(_, fault)| match fault {
            Fault::Disk { server: of, what } if of == server => Some(what.as_str()),
            _ => None,
        });
        of.last()
    }

    /// When a server last started before this time; 0 for the first start.
    pub(crate) fn started(&self, server: &str, before: u64) -> u64 {
        self.faults
            .iter()
            .filter(|(when, fault)| {
                *when <= before && matches!(fault, Fault::Start { server: of, .. } if of == server)
            })
            .map(|(when, _)| *when)
            .max()
            .unwrap_or(0)
    }

    /// Whether a server's disk was swapped for an empty one in between, and nobody has brought it in step since.
    pub(crate) fn has_forgotten(&self, server: &str, from: u64, to: u64) -> bool {
        let mut emptied = self.faults.iter().filter(|(when, fault)| {
            (from..=to).contains(when)
                && matches!(fault, Fault::Start { server: of, empty: true } if of == server)
        });
        emptied.next_back().is_some_and(|(at, _)| !self.was_paired(*at, to))
    }

    /// Whether a server's disk was swapped for an empty one in between.
    pub(crate) fn was_emptied(&self, server: &str, from: u64, to: u64) -> bool {
        self.faults.iter().any(|(when, fault)| {
            (from..=to).contains(when)
                && matches!(fault, Fault::Start { server: of, empty: true } if of == server)
        })
    }

    /// A time, and the one that a server may take it for: its clock may have been set back, and be 1 % slow.
    pub(crate) fn dates(&self, server: &str, at: u64) -> [u64; 2] {
        let back = self.faults.iter().filter_map(|(when, fault)| match fault {
            Fault::Clock { server: of, ms } if of == server && *when <= at => {
                Some(ms.min(&0).unsigned_abs())
            }
            _ => None,
        });
        [at, at.saturating_sub(at / 100).saturating_sub(back.sum())]
    }

    /// Whether a server's machine went on in this millisecond: what it reads then may be old.
    pub(crate) fn has_just_resumed(&self, server: &str, at: u64) -> bool {
        self.faults.iter().any(|(when, fault)| {
            *when == at && matches!(fault, Fault::Resume { server: of } if of == server)
        })
    }

    /// The heartbeats that a server read: when, whether the sender was active, whether it said *paired*.
    pub(crate) fn heard(&self, server: &str) -> impl Iterator<Item = (u64, bool, bool)> {
        self.heard.get(server).into_iter().flatten().copied()
    }

    /// The same in between, both included.
    pub(crate) fn heard_between(&self, server: &str, from: u64, to: u64) -> &[(u64, bool, bool)] {
        let heard = self.heard.get(server).map_or(&[][..], Vec::as_slice);
        let first = heard.partition_point(|(at, _, _)| *at < from);
        let end = heard.partition_point(|(at, _, _)| *at <= to).max(first);
        heard.get(first..end).unwrap_or_default()
    }

    /// The times in which the two servers were split: both up, and cut off from each other at least one way, until
    /// one was down or a heartbeat said *paired* again.
    pub(crate) fn splits(&self, a: &str, b: &str) -> Rc<[(u64, u64)]> {
        let key = [a.to_owned(), b.to_owned()];
        let mut known = self.splits.borrow_mut();
        Rc::clone(known.entry(key).or_insert_with(|| self.reckon_splits(a, b).into()))
    }

    fn reckon_splits(&self, a: &str, b: &str) -> Vec<(u64, u64)> {
        let between = |from: &str, to: &str| (from == a && to == b) || (from == b && to == a);
        let mut marks: Vec<(u64, Option<&Fault>)> =
            self.faults.iter().map(|(at, fault)| (*at, Some(*fault))).collect();
        let paired = self.heard(a).chain(self.heard(b)).filter(|(_, _, paired)| *paired);
        marks.extend(paired.map(|(at, _, _)| (at, None)));
        marks.sort_by_key(|(at, _)| *at);
        let mut cut: Vec<(&str, &str)> = Vec::new();
        let mut open: Option<u64> = None;
        let mut splits = Vec::new();
        let mut faults = self.faults.iter().peekable();
        let mut up = [true, true];
        for (at, mark) in marks {
            while let Some((_, fault)) = faults.next_if(|(when, _)| *when <= at) {
                for (up, server) in up.iter_mut().zip([a, b]) {
                    *up = fault.leaves_up(server).unwrap_or(*up);
                }
            }
            match mark {
                Some(Fault::Cut { from, to }) if between(from, to) => cut.push((from, to)),
                Some(Fault::Heal { from, to }) if between(from, to) => {
                    cut.retain(|link| *link != (from.as_str(), to.as_str()));
                }
                _ => {}
            }
            let both_up = up == [true, true];
            let ends = !both_up || (mark.is_none() && cut.is_empty());
            match open {
                Some(since) if ends => {
                    splits.push((since, at));
                    open = None;
                }
                None if both_up && !cut.is_empty() => open = Some(at),
                _ => {}
            }
        }
        splits.extend(open.map(|since| (since, self.end)));
        splits
    }

    /// Whether no link is cut at this time.
    pub(crate) fn links_are_whole(&self, at: u64) -> bool {
        let mut cuts: Vec<(&str, &str)> = Vec::new();
        for (_, fault) in self.faults.iter().take_while(|(when, _)| *when <= at) {
            match fault {
                Fault::Cut { from, to } => cuts.push((from, to)),
                Fault::Heal { from, to } => {
                    cuts.retain(|link| *link != (from.as_str(), to.as_str()));
                }
                _ => {}
            }
        }
        cuts.is_empty()
    }

    /// Whether no link is cut, no disk is bad and no machine stands still at this time.
    pub(crate) fn is_whole(&self, at: u64) -> bool {
        let mut bad: BTreeMap<&str, &str> = BTreeMap::new();
        let mut still: BTreeMap<&str, bool> = BTreeMap::new();
        for (_, fault) in self.faults.iter().take_while(|(when, _)| *when <= at) {
            match fault {
                Fault::Disk { server, what } => {
                    bad.insert(server, what);
                }
                Fault::Pause { server } => {
                    still.insert(server, true);
                }
                Fault::Resume { server } | Fault::Start { server, .. } => {
                    still.insert(server, false);
                }
                _ => {}
            }
        }
        self.links_are_whole(at)
            && bad.values().all(|what| *what == "well")
            && still.values().all(|still| !still)
    }

    /// Whether what a server had of a generation, and of its own, may have given way to what its peer has, of a lesser one
    /// until `landed`: its branch begins with the signature of somebody whom the peer's bundle does not trust, and the
    /// peer's does not.
    pub(crate) fn gave_way(&self, server: &str, before: u64, landed: u64, at: u64) -> bool {
        let asked = || self.commits.iter().filter(|one| one.asked <= at);
        let ours = || asked().filter(|one| one.server == server && one.generation <= before);
        let theirs = || asked().filter(|one| one.server != server && one.generation <= landed);
        let trusts = |terms: &Terms, signer: &Option<String>| {
            signer.as_ref().is_some_and(|signer| terms.operators.contains(signer))
        };
        let is_strange =
            |terms: &Terms, signer: &Option<String>| signer.is_some() && !trusts(terms, signer);
        let differ = |one: &Commit<'_>, other: &Commit<'_>| {
            one.generation == other.generation && one.terms.bundle != other.terms.bundle
        };
        // The two branches begin with the same number, the one after the last that both have; they met before.
        let begin = |our: &Commit<'_>, their: &Commit<'_>| {
            let mut earlier = ours().filter(|one| one.generation + 1 == our.generation);
            let goes_on = earlier.any(|one| {
                theirs().any(|other| {
                    let (from, to) = (one.asked.max(other.asked), our.asked.min(their.asked));
                    differ(one, other) && !self.was_paired(from, to)
                })
            });
            differ(our, their) && !goes_on
        };
        let forks: Vec<_> = ours()
            .flat_map(|our| theirs().map(move |their| (our, their)))
            .filter(|(our, their)| begin(our, their))
            .collect();
        let lost: Vec<&Commit<'_>> = ours().filter(|one| one.generation == before).collect();
        forks.into_iter().any(|(our_first, their_first)| {
            let wins = |one: &Commit<'_>| {
                one.generation >= their_first.generation
                    && is_strange(one.terms, &our_first.terms.signer)
            };
            theirs().any(wins)
                && lost.iter().any(|one| trusts(one.terms, &their_first.terms.signer))
        })
    }

    /// The other server of the pair, by the bundles in force in between.
    pub(crate) fn peer(&self, server: &str, from: u64, to: u64) -> Option<&'a str> {
        let terms = self.in_force(from, to);
        let mut names = terms.iter().flat_map(|terms| terms.servers.keys());
        names.find(|name| *name != server).map(String::as_str)
    }

    /// Whether a server knows nothing of a lease that it was asked about or that its disk should hold, in between:
    /// when, and how that showed.
    pub(crate) fn forgot(&self, server: &str, lease: &str, from: u64) -> Option<(u64, String)> {
        let asked = self.exchanges.iter().find_map(|exchange| {
            let Ask::Renew { lease: of, .. } = exchange.ask else { return None };
            let reply = exchange.got(404)?;
            let known = reply.code != Some("unknown-lease") || of != lease;
            (!known && exchange.to == server && exchange.asked >= from)
                .then(|| (reply.at, format!("`{server}` does not know the lease {lease}")))
        });
        let on_disk = self.entries.iter().find_map(|entry| {
            let Event::OnDisk { server: of, leases, .. } = &entry.event else { return None };
            let gone = of == server && entry.at >= from && !leases.iter().any(|id| id == lease);
            gone.then(|| {
                (entry.at, format!("the disk of `{server}` does not hold the lease {lease}"))
            })
        });
        asked.into_iter().chain(on_disk).min()
    }

    /// Whether the two servers were split at some time in between.
    pub(crate) fn was_split(&self, servers: [&str; 2], from: u64, to: u64) -> bool {
        let [a, b] = servers;
        self.splits(a, b).iter().any(|(since, until)| *since <= to && from <= *until)
    }

    /// Whether either server heard from the other one that they are paired, in between.
    pub(crate) fn was_paired(&self, from: u64, to: u64) -> bool {
        let mut servers = self.heard.keys();
        servers
            .any(|server| self.heard_between(server, from, to).iter().any(|(_, _, paired)| *paired))
    }

    /// Whether an operator's word that a server is dead was not true, where that matters in between. Mirror: nobody may
    /// believe in what it gave, or the grace that the word ended was needed. Escrow: it gives nothing before the two are
    /// paired.
    pub(crate) fn was_word_broken(&self, from: u64, to: u64) -> bool {
        let fences = self.faults.iter().filter_map(|(at, fault)| match fault {
            Fault::Fence { server } if *at <= to => Some((*at, server.as_str())),
            _ => None,
        });
        fences.into_iter().any(|(at, fenced)| {
            if self.is_escrow(at, at) {
                let paired =
                    self.heard.values().flatten().filter(|(when, _, paired)| *when > at && *paired);
                let met = paired.map(|(when, _, _)| *when).min().unwrap_or(self.end);
                let gave = |exchange: &Exchange<'_>| {
                    exchange.given().is_some_and(|(when, _)| when > at) && exchange.asked < met
                };
                from <= met && self.exchanges.iter().any(|one| one.to == fenced && gave(one))
            } else {
                let beliefs = self.holdings.values().flat_map(|holding| &holding.beliefs);
                let of_fenced = beliefs.filter(|(since, _, by)| *by == fenced && *since <= at);
                of_fenced
                    .map(|(_, until, _)| *until)
                    .max()
                    .is_some_and(|until| at < until && from <= until)
            }
        })
    }

    /// Whether some bundle in force in between says escrow, so that a split excuses nothing.
    pub(crate) fn is_escrow(&self, from: u64, to: u64) -> bool {
        self.in_force(from, to).iter().any(|terms| terms.mode == Mode::Escrow)
    }
}

/// Whether each server has the same role by either bundle.
fn has_same_roles(one: &Terms, other: &Terms) -> bool {
    let roles = one.servers.iter().map(|(name, server)| (name, server.role));
    roles.eq(other.servers.iter().map(|(name, server)| (name, server.role)))
}

fn commits<'a>(view: &View<'a>) -> Vec<Commit<'a>> {
    let mut commits: Vec<Commit<'a>> = Vec::new();
    for exchange in &view.exchanges {
        let Ask::Commit { bundle, generation } = exchange.ask else { continue };
        let Some(terms) = view.terms(bundle) else { continue };
        let answer = exchange.answer.as_ref();
        // A refused one says nothing; one that failed (5xx) may be on the disk.
        if answer.is_some_and(|reply| (400..500).contains(&reply.status)) {
            continue;
        }
        commits.push(Commit {
            server: exchange.to,
            generation: *generation,
            terms,
            asked: exchange.asked,
            done: answer.filter(|reply| reply.status == 200).map(|reply| reply.at),
        });
    }
    commits.sort_by_key(|commit| commit.generation);
    commits
}

fn exchanges(entries: &[Entry]) -> Vec<Exchange<'_>> {
    let mut places: BTreeMap<u64, usize> = BTreeMap::new();
    let mut exchanges: Vec<Exchange<'_>> = Vec::new();
    for entry in entries {
        match &entry.event {
            Event::Asked { request, to, ask } => {
                places.insert(*request, exchanges.len());
                let (client, asked) = (&*entry.host, entry.at);
                exchanges.push(Exchange { client, to, ask, asked, answer: None });
            }
            Event::Answered(Answered { request, status, code, lease, .. }) => {
                let place = places.get(request).and_then(|at| exchanges.get_mut(*at));
                if let Some(exchange) = place {
                    let (code, lease) = (code.as_deref(), lease.as_deref());
                    exchange.answer = Some(Reply { at: entry.at, status: *status, code, lease });
                }
            }
            _ => {}
        }
    }
    exchanges
}

fn holdings<'a>(exchanges: &[Exchange<'a>]) -> BTreeMap<&'a str, Holding<'a>> {
    let mut holdings: BTreeMap<&str, Holding<'_>> = BTreeMap::new();
    for exchange in exchanges {
        let Some(reply) = &exchange.answer else { continue };
        let Some(lease) = reply.lease.filter(|_| matches!(reply.status, 200 | 201)) else {
            continue;
        };
        let until = exchange.asked.saturating_add(lease.ttl_ms);
        let holding = holdings.entry(&lease.id).or_insert_with(|| Holding {
            id: &lease.id,
            usage: match exchange.ask {
                Ask::Checkout { usage, .. } => usage.as_deref(),
                _ => None,
            },
            product: &lease.product,
            seats: 0,
            borrowed: None,
            asked: exchange.asked,
            since: reply.at,
            beliefs: Vec::new(),
            released: None,
        });
        holding.seats = holding.seats.max(lease.seats);
        // What comes after the belief has ended revives nothing.
        let lapsed = !holding.beliefs.is_empty()
            && holding.beliefs.iter().all(|(_, until, _)| *until <= reply.at);
        if lease.borrowed {
            // Its end is a time of its own: what the latest answer says of it replaces what was said before.
            let end = until.max(reply.at);
            holding.beliefs.iter_mut().for_each(|(_, until, _)| *until = end.min(*until));
        }
        if reply.at < until && !lapsed {
            holding.beliefs.push((reply.at, until, exchange.to));
            holding.borrowed = holding.borrowed.or(lease.borrowed.then_some(reply.at));
        }
    }
    for exchange in exchanges {
        if let Ask::Release { lease, .. } = exchange.ask
            && let Some(holding) = holdings.get_mut(lease.as_str())
        {
            let released = holding.released.map_or(exchange.asked, |at| at.min(exchange.asked));
            holding.released = Some(released);
        }
    }
    // Where both servers gave one use a lease, its holder believes in neither once it has ended that use.
    let mut uses: Vec<_> =
        holdings.values().filter_map(|one| Some((one.usage?, one.released, one.id))).collect();
    uses.sort_unstable();
    for same in uses.chunk_by(|(one, ..), (other, ..)| one == other).filter(|same| same.len() > 1) {
        let released = same.iter().filter_map(|(_, released, _)| *released).min();
        for (_, _, id) in same {
            if let Some(holding) = holdings.get_mut(id) {
                holding.released = released;
            }
        }
    }
    holdings
}
