//! What other servers of a cluster have done here, to sockets of this one.

use std::sync::{Arc, Weak};
use std::time::Duration;

use sockeye_proto::cluster::{Message, Options, SocketDescription};
use sockeye_proto::socket::Payload;

use crate::ack::{CallError, Collector};
use crate::cluster::{self, Answering, Local, Position, audience, flags};
use crate::deliver;
use crate::describe::describe;
use crate::logged;
use crate::namespace::Place;
use crate::run;
use crate::server::Core;
use crate::socket::Socket;
use crate::sync::{lock, read};

/// This server, as its node sees it. Does not keep it alive.
pub(crate) struct Here(Weak<Core>);

/// How long clients asked by another server may answer, if that does not say.
const PATIENCE: Duration = Duration::from_secs(60);

/// However long it says.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Here {
    pub(crate) fn new(core: Weak<Core>) -> Self {
        Self(core)
    }

    fn at(&self, namespace: &str) -> Option<(Arc<Core>, Arc<Place>)> {
        let core = self.0.upgrade()?;
        let place = read(&core.namespaces).get(namespace).cloned()?;
        Some((core, place))
    }

    fn found(&self, namespace: &str, options: &Options) -> Vec<Socket> {
        self.at(namespace).map_or_else(Vec::new, |(_, place)| place.sockets(&audience(options)))
    }
}

impl Local for Here {
    fn broadcast(&self, namespace: &str, payload: Payload, options: &Options, at: Option<Position>) {
        let Some((core, place)) = self.at(namespace) else { return };
        let (audience, flags) = (audience(options), flags(options));
        match &core.logged {
            Some(_) => logged::deliver(&core, &place, &audience, payload, flags, at.as_ref()),
            None => deliver::broadcast(&core, &place, &audience, payload, flags),
        }
    }

    fn ask(&self, namespace: &str, payload: Payload, options: &Options, answers: Answering) {
        struct Forward(Answering);
        impl Collector for Forward {
            fn answered(&self, _: &Arc<str>, answer: Result<Payload, CallError>) {
                if let Ok(payload) = answer {
                    self.0.answer(payload);
                }
            }
        }
        let Some((core, place)) = self.at(namespace) else { return answers.count(0) };
        let forward = Arc::new(Forward(answers.clone()));
        let event = (payload, flags(options).compress);
        let asked = cluster::ask_local(&core, &place, &audience(options), event, forward, |count| {
            answers.count(count);
        });
        if !asked.asked.is_empty() {
            let limit = options.flags.timeout.unwrap_or(PATIENCE).min(LONGEST);
            run::spawn(&core, async move {
                tokio::time::sleep(limit).await;
                drop(asked);
            });
        }
    }

    fn join(&self, namespace: &str, options: &Options, rooms: &[Arc<str>]) {
        for socket in self.found(namespace, options) {
            socket.join(rooms.to_vec());
        }
    }

    fn leave(&self, namespace: &str, options: &Options, rooms: &[Arc<str>]) {
        for socket in self.found(namespace, options) {
            socket.leave(rooms.to_vec());
        }
    }

    fn disconnect(&self, namespace: &str, options: &Options, close: bool) {
        for socket in self.found(namespace, options) {
            if close {
                socket.close();
            } else {
                socket.disconnect();
            }
        }
    }

    fn sockets(&self, namespace: &str, options: &Options) -> Vec<SocketDescription> {
        self.found(namespace, options).iter().map(describe).collect()
    }

    fn ids(&self, namespace: &str, options: &Options) -> Vec<Arc<str>> {
        self.found(namespace, options).into_iter().map(|socket| Arc::clone(&socket.0.id)).collect()
    }

    fn rooms(&self, namespace: &str) -> Vec<Arc<str>> {
        self.at(namespace).map_or_else(Vec::new, |(_, place)| lock(&place.rooms).all_rooms())
    }

    fn has_room(&self, namespace: &str, room: &str) -> bool {
        self.at(namespace).is_some_and(|(_, place)| lock(&place.rooms).has(room))
    }

    fn server_event(&self, namespace: &str, payload: &Payload) -> Option<Payload> {
        let (_, place) = self.at(namespace)?;
        place.server_event(&payload.name()?, &payload.event_arguments())
    }

    fn own(&self, message: Message, at: Option<Position>) {
        // Without recovery it was delivered when it was published.
        if let Some((core, place)) = self.at(&message.namespace)
            && core.logged.is_some()
        {
            logged::came_back(&core, &place, message, at.as_ref());
        }
    }

    fn gap(&self, namespace: Option<&str>) {
        tracing::warn!(namespace, "the log of the bus has gone on without us: clients have missed events");
        let Some(core) = self.0.upgrade() else { return };
        let places: Vec<_> = read(&core.namespaces).values().cloned().collect();
        places
            .iter()
            .filter(|place| namespace.is_none_or(|name| *name == *place.name))
            .for_each(|place| logged::gap(place));
    }
}
