//! Who is here: sessions by id.
//!
//! Split into shards, each under its own lock, so that requests on many cores do not wait for each other. An entry is
//! a handle; the id is not stored twice.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{PoisonError, RwLock};

use crate::Session;

const SHARDS: usize = 32;

pub(crate) struct Registry {
    hasher: RandomState,
    shards: [RwLock<HashSet<Entry>>; SHARDS],
}

/// A session, found by its id.
struct Entry(Session);

impl Borrow<str> for Entry {
    fn borrow(&self) -> &str {
        self.0.id()
    }
}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id().hash(state);
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for Entry {}

impl Registry {
    pub(crate) fn new() -> Self {
        Registry { hasher: RandomState::new(), shards: std::array::from_fn(|_| RwLock::default()) }
    }

    fn shard(&self, id: &str) -> &RwLock<HashSet<Entry>> {
        &self.shards[self.hasher.hash_one(id) as usize % SHARDS]
    }

    pub(crate) fn find(&self, id: &str) -> Option<Session> {
        let shard = self.shard(id).read().unwrap_or_else(PoisonError::into_inner);
        shard.get(id).map(|entry| entry.0.clone())
    }

    /// Adds a session. `false` if its id is taken: an id names one client, for ever.
    pub(crate) fn insert(&self, session: &Session) -> bool {
        self.shard(session.id())
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(Entry(session.clone()))
    }

    pub(crate) fn remove(&self, id: &str) {
        let mut shard = self.shard(id).write().unwrap_or_else(PoisonError::into_inner);
        let gone = shard.take(id);
        if shard.is_empty() {
            shard.shrink_to_fit();
        }
        drop(shard);
        drop(gone);
    }

    pub(crate) fn all(&self) -> Vec<Session> {
        let shard = |one: &RwLock<HashSet<Entry>>| {
            let shard = one.read().unwrap_or_else(PoisonError::into_inner);
            shard.iter().map(|entry| entry.0.clone()).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(shard).collect()
    }
}
