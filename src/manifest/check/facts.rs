//! What several rules ask: verified licenses, capacities, known names. Gathered once.

use std::collections::{BTreeMap, BTreeSet};

use super::report::license_path;
use super::{Circumstances, JudgedLicense, Written};
use crate::license::{self, License, Rejection, Terms};
use crate::manifest::places::{Step, path};
use crate::manifest::sources::{Entry, FileProblem, LicenseFile, Lists};
use crate::manifest::types::{Manifest, Member, Server};
use crate::measure::Seats;
use crate::name::{GroupName, LicenseId, ProductName, UserName};

/// What rules are given.
pub(super) struct Facts<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) circumstances: &'a Circumstances<'a>,
    /// The licenses that verify, by the place of their server, then in the order of the files.
    pub(super) licenses: Vec<Held<'a>>,
    /// Files and blocks that do not verify.
    pub(super) rejected: Vec<Rejected<'a>>,
    /// By user: the first place in `users`.
    pub(super) users: BTreeMap<&'a UserName, usize>,
    /// By group: the first place in `groups`.
    pub(super) groups: BTreeMap<&'a GroupName, usize>,
    /// For each group of `groups` and each of its members the place in `users`, where it is a known user.
    pub(super) members: Vec<Vec<Option<usize>>>,
    /// Whether every user could be read.
    pub(super) all_users: bool,
    /// Servers of which not every license could be read: what they can serve is not known.
    blind: BTreeSet<usize>,
    written: Option<&'a Written<'a>>,
}

/// A verified license at a server.
pub(super) struct Held<'a> {
    /// The server's place in `servers`.
    pub(super) at: usize,
    pub(super) server: &'a Server,
    pub(super) file: &'a str,
    /// Whether its file has other licenses too.
    pub(super) among_others: bool,
    pub(super) license: License,
}

impl Held<'_> {
    /// How messages name it: the file, and its id where the file has several.
    pub(super) fn name(&self) -> String {
        if self.among_others {
            format!("license `{}` in `{}`", self.license.id, self.file)
        } else {
            format!("`{}`", self.file)
        }
    }
}

/// A license file, or a block of one, that does not verify.
pub(super) struct Rejected<'a> {
    /// The server's place in `servers`.
    pub(super) at: usize,
    pub(super) file: &'a str,
    pub(super) why: Rejection,
}

impl<'a> Facts<'a> {
    pub(super) fn gather(
        manifest: &'a Manifest,
        files: &'a [LicenseFile],
        written: Option<&'a Written<'a>>,
        circumstances: &'a Circumstances<'a>,
    ) -> Self {
        let mut facts = Self {
            manifest,
            circumstances,
            licenses: Vec::new(),
            rejected: Vec::new(),
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            members: Vec::new(),
            all_users: true,
            blind: BTreeSet::new(),
            written,
        };
        for (user, at) in manifest.users.iter().zip(0..) {
            facts.users.entry(&user.name).or_insert(at);
        }
        for (group, at) in manifest.groups.iter().zip(0..) {
            facts.groups.entry(&group.name).or_insert(at);
            let place = |member: &Member| match member {
                Member::User(user) => facts.users.get(user).copied(),
                Member::Host(_) | Member::Address(_) => None,
            };
            facts.members.push(group.members.iter().map(place).collect());
        }
        for problem in facts.problems() {
            match problem.entry {
                Entry::License { server, .. } => drop(facts.blind.insert(server)),
                Entry::UsersFrom => facts.all_users = false,
                Entry::MembersFrom { .. } => {}
            }
        }
        let list = facts.lists().and_then(|lists| lists.users.as_ref());
        facts.all_users &= facts.is_whole(path!["users"])
            && facts.is_whole(path!["usersFrom"])
            && list.is_none_or(|list| list.places.as_ref().is_some_and(|p| p.is_whole(&[])));
        facts.verify(files);
        facts
    }

    fn verify(&mut self, files: &'a [LicenseFile]) {
        for (server, at) in self.manifest.servers.iter().zip(0..) {
            if !self.is_whole(path!["servers", at, "licenses"]) {
                self.blind.insert(at);
            }
            // Two servers of one name are an error of their own: the first has the files.
            if self.manifest.servers.iter().take(at).any(|other| other.name == server.name) {
                self.blind.insert(at);
                continue;
            }
            for file in files.iter().filter(|file| file.server == server.name) {
                let file_name = file.file.as_str();
                let blocks = license::blocks(&file.text).unwrap_or_else(|why| {
                    self.reject(at, file_name, why);
                    Vec::new()
                });
                for block in &blocks {
                    match block.verify() {
                        Ok(license) => self.licenses.push(Held {
                            at,
                            server,
                            file: file_name,
                            among_others: blocks.len() > 1,
                            license,
                        }),
                        Err(why) => self.reject(at, file_name, why),
                    }
                }
            }
        }
    }

    fn reject(&mut self, at: usize, file: &'a str, why: Rejection) {
        self.rejected.push(Rejected { at, file, why });
        self.blind.insert(at);
    }

    /// Whether everything that the text has under a path could be read.
    pub(super) fn is_whole(&self, path: &[Step]) -> bool {
        let places = self.written.and_then(|written| written.places);
        places.is_none_or(|places| places.is_whole(path))
    }

    /// The lists that the manifest's names come from.
    pub(super) fn lists(&self) -> Option<&'a Lists> {
        self.written.map(|written| written.lists)
    }

    /// The files that could not be read.
    pub(super) fn problems(&self) -> &'a [FileProblem] {
        self.written.map_or(&[], |written| written.problems)
    }

    /// Whether all licenses of all servers could be read.
    pub(super) fn all_licenses(&self) -> bool {
        self.blind.is_empty() && self.is_whole(path!["servers"])
    }

    /// The path of the entry of `licenses` that names a file.
    pub(super) fn license_path(&self, server: usize, file: &str) -> [Step; 4] {
        license_path(self.manifest, server, file)
    }

    /// The verified licenses that cannot be used where they are, and why not.
    pub(super) fn misfits(&self) -> impl Iterator<Item = (&Held<'a>, Rejection)> {
        self.licenses.iter().filter_map(|held| {
            let terms = Terms {
                role: held.server.role,
                server_key: held.server.key.as_ref(),
                vendors: &self.manifest.trust.vendors,
                mode: self.manifest.redundancy.mode,
            };
            license::fits(&held.license, &terms).err().map(|why| (held, why))
        })
    }

    /// What a server can serve of each product, whatever the dates of its licenses: an id counts once.
    pub(super) fn capacity(&self, at: usize) -> BTreeMap<&ProductName, Seats> {
        let mut seen: BTreeSet<&LicenseId> = BTreeSet::new();
        let mut capacity: BTreeMap<&ProductName, Seats> = BTreeMap::new();
        for held in self.licenses.iter().filter(|held| held.at == at) {
            if seen.insert(&held.license.id) {
                let seats = capacity.entry(&held.license.product).or_default();
                *seats = *seats + held.license.seats;
            }
        }
        capacity
    }

    /// Every product that a license licenses, with the first such license.
    pub(super) fn licensed(&self) -> BTreeMap<&ProductName, &Held<'a>> {
        let mut licensed = BTreeMap::new();
        for held in &self.licenses {
            licensed.entry(&held.license.product).or_insert(held);
        }
        licensed
    }

    /// The members of a group, each with its place in `users` where it is a known user; absent where there is no such
    /// group.
    pub(super) fn members_of(
        &self,
        group: &GroupName,
    ) -> Option<impl Iterator<Item = (&'a Member, Option<usize>)>> {
        let at = *self.groups.get(group)?;
        let members = self.manifest.groups.get(at)?.members.iter();
        Some(members.zip(self.members.get(at)?.iter().copied()))
    }

    pub(super) fn into_licenses(self) -> Vec<JudgedLicense> {
        let judged = |held: Held<'a>| JudgedLicense {
            server: held.server.name.clone(),
            file: held.file.to_owned(),
            license: held.license,
        };
        self.licenses.into_iter().map(judged).collect()
    }
}

/// Whether a license is refused for its signature; else it cannot be read at all.
pub(super) const fn is_signature(why: &Rejection) -> bool {
    matches!(
        why,
        Rejection::BadSignature { .. }
            | Rejection::RolesDisagree { .. }
            | Rejection::InvalidVendorKey { .. }
    )
}
