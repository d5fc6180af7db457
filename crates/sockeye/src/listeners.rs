//! Who listens to one socket, besides its whole namespace.

use std::sync::Arc;

use sockeye_proto::socket::Payload;

use crate::handler::{Disconnector, Listener};
use crate::socket::Socket;

/// Names one listener of one socket, to remove it: [`Socket::off`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(u32);

/// Hears what is sent.
pub(crate) type Outgoing = Arc<dyn Fn(&Socket, &Payload) + Send + Sync>;

/// A handler and how it is to be run.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) listener: Listener,
    pub(crate) serial: bool,
    once: bool,
}

impl Registered {
    pub(crate) fn new(listener: Listener) -> Self {
        Self { listener, serial: false, once: false }
    }

    pub(crate) fn serial(mut self) -> Self {
        self.serial = true;
        self
    }

    pub(crate) fn once(mut self) -> Self {
        self.once = true;
        self
    }
}

/// The listeners of one socket. Lists, not maps: there are few, and most sockets have none at all.
#[derive(Default)]
pub(crate) struct Listeners {
    next: u32,
    events: Vec<(ListenerId, String, Registered)>,
    any: Vec<(ListenerId, Registered)>,
    outgoing: Vec<(ListenerId, Outgoing)>,
    disconnecting: Vec<(ListenerId, Disconnector)>,
    disconnect: Vec<(ListenerId, Disconnector)>,
}

/// The listeners for the end, taken out to be called.
#[derive(Default)]
pub(crate) struct AtTheEnd {
    pub(crate) disconnecting: Vec<Disconnector>,
    pub(crate) disconnect: Vec<Disconnector>,
}

/// What [`Listeners::remove`] removed.
pub(crate) struct Removed {
    pub(crate) any: bool,
    pub(crate) outgoing: bool,
}

impl Listeners {
    fn id(&mut self) -> ListenerId {
        self.next = self.next.wrapping_add(1);
        ListenerId(self.next)
    }

    pub(crate) fn add(&mut self, name: String, listener: Registered) -> ListenerId {
        let id = self.id();
        self.events.push((id, name, listener));
        id
    }

    pub(crate) fn add_any(&mut self, listener: Registered) -> ListenerId {
        let id = self.id();
        self.any.push((id, listener));
        id
    }

    pub(crate) fn add_outgoing(&mut self, listener: Outgoing) -> ListenerId {
        let id = self.id();
        self.outgoing.push((id, listener));
        id
    }

    pub(crate) fn add_disconnecting(&mut self, listener: Disconnector) -> ListenerId {
        let id = self.id();
        self.disconnecting.push((id, listener));
        id
    }

    pub(crate) fn add_disconnect(&mut self, listener: Disconnector) -> ListenerId {
        let id = self.id();
        self.disconnect.push((id, listener));
        id
    }

    pub(crate) fn remove(&mut self, id: ListenerId) -> Removed {
        fn from<T>(list: &mut Vec<T>, is: impl Fn(&T) -> bool) -> bool {
            let before = list.len();
            list.retain(|one| !is(one));
            list.len() < before
        }
        let outgoing = from(&mut self.outgoing, |(one, _)| *one == id);
        let any = outgoing
            || from(&mut self.events, |(one, _, _)| *one == id)
            || from(&mut self.any, |(one, _)| *one == id)
            || from(&mut self.disconnecting, |(one, _)| *one == id)
            || from(&mut self.disconnect, |(one, _)| *one == id);
        Removed { any, outgoing }
    }

    pub(crate) fn remove_all(&mut self, name: &str) -> usize {
        let before = self.events.len();
        self.events.retain(|(_, one, _)| one != name);
        before - self.events.len()
    }

    /// Those for all events, and those for this one. Those that wanted one event only are gone afterwards.
    pub(crate) fn for_event(&mut self, name: &str) -> (Vec<Registered>, Vec<Registered>) {
        let any = self.any.iter().map(|(_, listener)| listener.clone()).collect();
        let named = |(_, one, _): &&(ListenerId, String, Registered)| one == name;
        let event: Vec<_> =
            self.events.iter().filter(named).map(|(_, _, listener)| listener.clone()).collect();
        if event.iter().any(|listener| listener.once) {
            self.events.retain(|(_, one, listener)| one != name || !listener.once);
        }
        (any, event)
    }

    pub(crate) fn outgoing(&self) -> Vec<Outgoing> {
        self.outgoing.iter().map(|(_, listener)| Arc::clone(listener)).collect()
    }

    pub(crate) fn take_disconnect(&mut self) -> AtTheEnd {
        let plain = |list: &mut Vec<(ListenerId, Disconnector)>| {
            std::mem::take(list).into_iter().map(|(_, d)| d).collect()
        };
        AtTheEnd { disconnecting: plain(&mut self.disconnecting), disconnect: plain(&mut self.disconnect) }
    }
}
