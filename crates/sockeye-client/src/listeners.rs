//! Who listens to what, on one socket.

use std::collections::HashMap;
use std::sync::Arc;

use sockeye_proto::socket::Payload;

use crate::handler::{Connected, Disconnected, Listener, Turned};

/// Names a handler that was added, to take it away again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(u64);

/// Hears what leaves, before it does.
pub(crate) type Outgoing = Arc<dyn Fn(&Payload) + Send + Sync>;

#[derive(Default, Clone)]
pub(crate) struct Listeners {
    next: u64,
    named: HashMap<String, Vec<(ListenerId, Listener)>>,
    any: Vec<(ListenerId, Listener)>,
    pub(crate) outgoing: Vec<(ListenerId, Outgoing)>,
    pub(crate) connected: Vec<(ListenerId, Connected)>,
    pub(crate) disconnected: Vec<(ListenerId, Disconnected)>,
    pub(crate) turned: Vec<(ListenerId, Turned)>,
}

impl Listeners {
    pub(crate) fn fresh(&mut self) -> ListenerId {
        self.next = self.next.wrapping_add(1);
        ListenerId(self.next)
    }

    /// For the events of this name, or for all.
    pub(crate) fn add(&mut self, name: Option<&str>, listener: Listener) -> ListenerId {
        let id = self.fresh();
        match name {
            Some(name) => self.named.entry(name.to_owned()).or_default().push((id, listener)),
            None => self.any.push((id, listener)),
        }
        id
    }

    /// Whether there was one of this id.
    pub(crate) fn remove(&mut self, id: ListenerId) -> bool {
        fn cut<T>(list: &mut Vec<(ListenerId, T)>, id: ListenerId) -> bool {
            let before = list.len();
            list.retain(|(have, _)| *have != id);
            list.len() < before
        }
        let named = self.named.values_mut().any(|list| cut(list, id));
        self.named.retain(|_, list| !list.is_empty());
        named
            || cut(&mut self.any, id)
            || cut(&mut self.outgoing, id)
            || cut(&mut self.connected, id)
            || cut(&mut self.disconnected, id)
            || cut(&mut self.turned, id)
    }

    /// Who hears an event of this name: those of the name first, so that they are first to answer it.
    pub(crate) fn of(&self, name: &str) -> Vec<Listener> {
        let named = self.named.get(name).into_iter().flatten();
        named.chain(&self.any).map(|(_, listener)| listener.clone()).collect()
    }

    /// The handlers a builder has collected, in front of those that are there.
    pub(crate) fn append(&mut self, other: Listeners) {
        for (name, list) in other.named {
            for (_, listener) in list {
                self.add(Some(&name), listener);
            }
        }
        for (_, listener) in other.any {
            self.add(None, listener);
        }
        for (_, listener) in other.outgoing {
            let id = self.fresh();
            self.outgoing.push((id, listener));
        }
        for (_, listener) in other.connected {
            let id = self.fresh();
            self.connected.push((id, listener));
        }
        for (_, listener) in other.disconnected {
            let id = self.fresh();
            self.disconnected.push((id, listener));
        }
        for (_, listener) in other.turned {
            let id = self.fresh();
            self.turned.push((id, listener));
        }
    }
}
