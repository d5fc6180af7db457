//! How a socket comes in and how it leaves: each once, in one order, whoever is the cause.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sockeye_engine::Reason;
use sockeye_proto::socket::disconnected;

use super::{Connecting, Early, HAS_OUTGOING, Member, Phase, Socket};
use crate::data::Data;
use crate::emit::EmitError;
use crate::handler::{DisconnectCall, Disconnector};
use crate::logged;
use crate::run;
use crate::sync::lock;

/// Leaving.
impl Socket {
    /// Takes the socket out of its namespace: the client is told and does not come back by itself. Its session and
    /// its other namespaces go on. Reason: `server namespace disconnect`. False if it had left already.
    ///
    /// All of it has happened when this returns, but for one case: while another thread is just starting a handler of
    /// this socket, rooms and disconnect handlers wait until that handler has first waited or ended.
    pub fn disconnect(&self) -> bool {
        self.depart(Reason::ServerNamespaceDisconnect, true)
    }

    /// The same with a reason of the application's own, which disconnect handlers see. (The protocol has no room to
    /// tell the client.)
    pub fn disconnect_with(&self, reason: impl Into<Arc<str>>) -> bool {
        self.depart(Reason::Custom(reason.into()), true)
    }

    /// Takes all sockets of this client out of their namespaces, each told, and closes the connection: what the
    /// reference calls `disconnect(true)`.
    pub fn close(&self) {
        let member = self.member();
        self.disconnect();
        if let Some(member) = member {
            self.0.ties.close_all.store(true, Ordering::Release);
            member.session.poke();
        }
    }

    /// Closes the connection below, after what is queued has been sent: the client sees `transport close` and comes
    /// back by itself, here or, behind a load balancer, elsewhere. All its sockets leave with the reason
    /// `forced close`, and can be recovered. The reference's `conn.close()`.
    pub fn close_connection(&self) {
        if let Some(member) = self.member() {
            member.session.close(Reason::ForcedClose);
        }
    }

    /// The one way out. `tell` says whether the client gets a DISCONNECT. Everything here happens once.
    pub(crate) fn depart(&self, reason: Reason, tell: bool) -> bool {
        let member = {
            let mut phase = lock(&self.0.phase);
            match &mut *phase {
                Phase::Connected { leaving: Some(_), .. } | Phase::Gone(_) => return false,
                Phase::Connected { leaving, member, .. } => {
                    *leaving = Some(Box::new(reason));
                    Arc::clone(member)
                }
                Phase::Connecting(_) => {
                    // Whoever carries its CONNECT finds it gone and refuses the client.
                    let before = std::mem::replace(&mut *phase, Phase::Gone(Some(Box::new(reason))));
                    drop(phase);
                    drop(before);
                    self.release();
                    return true;
                }
            }
        };
        if tell && let Ok(packet) = disconnected(&self.0.namespace.place.name, &member.dialect) {
            // A client that cannot take even this finds out when its session ends.
            let goodbye = || {
                let _ = member.session.send(packet.messages());
            };
            match &self.server().0.logged {
                Some(_) => logged::farewell(self, &member, goodbye),
                None => goodbye(),
            }
        }
        if self.0.gate.leave(self) {
            self.carry_out_departure();
        }
        if tell {
            // The session may have stopped reading because of this socket.
            member.session.poke();
        }
        true
    }

    /// The rest of [`depart`](Self::depart), by whoever the gate says.
    pub(crate) fn carry_out_departure(&self) {
        let (member, reason) = match &*lock(&self.0.phase) {
            Phase::Connected { member, leaving: Some(reason), .. } => {
                (Arc::clone(member), reason.as_ref().clone())
            }
            _ => return,
        };
        let place = &self.0.namespace.place;
        let core = &self.0.namespace.server.0;

        // Rooms are still there and the socket still counts as connected.
        let own = match &mut lock(&self.0.extra).listeners {
            Some(listeners) => listeners.take_disconnect(),
            None => Default::default(),
        };
        for handler in place.rules.disconnecting.iter().chain(&own.disconnecting) {
            self.tell_disconnect(handler, &reason);
        }

        core.lose(self, &member, &reason);
        let (before, tenancy) = {
            let mut phase = lock(&self.0.phase);
            match std::mem::replace(&mut *phase, Phase::Gone(Some(Box::new(reason.clone())))) {
                Phase::Connected { tenancy, member, .. } => (Some(member), Some(tenancy)),
                _ => (None, None),
            }
        };
        drop(before);
        self.release();
        for handler in place.rules.disconnect.iter().chain(&own.disconnect) {
            self.tell_disconnect(handler, &reason);
        }
        core.counters.sockets.fetch_sub(1, Ordering::Relaxed);
        tracing::debug!(namespace = ?place.name, socket = %self.0.id, reason = reason.as_str(), "disconnected");
        drop(tenancy);
    }

    /// Lets go of everything that a handle kept by the application must not hold on to.
    fn release(&self) {
        let extra = std::mem::take(&mut *lock(&self.0.extra));
        let had = self.0.has.swap(0, Ordering::AcqRel);
        if had & HAS_OUTGOING != 0 {
            let outgoing = extra.listeners.as_ref().map_or(0, |listeners| listeners.outgoing().len());
            self.0.namespace.place.outgoing_removed(outgoing);
        }
        extra.waiting.fail(&self.0.id);
        drop(extra.listeners);
        let unstarted = lock(&self.0.serial).close();
        self.0.work.leave(unstarted.len(), &self.0.ties);
    }

    fn tell_disconnect(&self, handler: &Disconnector, reason: &Reason) {
        let states = &self.0.namespace.server.0.states;
        let name = handler.name();
        match run::guarded(self, name, || handler.call(DisconnectCall::new(self, reason, states))) {
            Some(Ok(future)) => run::detach(self, name, future),
            Some(Err(mismatch)) => self.0.namespace.server.0.mismatch(name, &mismatch),
            None => {}
        }
    }
}

/// The way in: used by whoever carries the CONNECT.
impl Socket {
    /// Takes what was joined so far.
    pub(crate) fn early_rooms(&self) -> Option<Vec<Arc<str>>> {
        match &mut *lock(&self.0.phase) {
            Phase::Connecting(connecting) => Some(std::mem::take(&mut connecting.rooms)),
            _ => None,
        }
    }

    /// From connecting to connected. What the middlewares emitted goes out first. False if the socket has left
    /// meanwhile.
    pub(crate) fn enter(&self, member: &Arc<Member>) -> bool {
        loop {
            let waiting = {
                let mut phase = lock(&self.0.phase);
                match std::mem::replace(&mut *phase, Phase::Gone(None)) {
                    Phase::Connecting(connecting) if connecting.early.is_empty() => {
                        let Connecting { rooms, tenancy, .. } = *connecting;
                        *phase = Phase::Connected { member: Arc::clone(member), tenancy, leaving: None };
                        drop(phase);
                        if !rooms.is_empty() {
                            self.0.namespace.place.join(&self.0.id, &rooms);
                        }
                        return true;
                    }
                    Phase::Connecting(mut connecting) => {
                        let early = std::mem::take(&mut connecting.early);
                        connecting.bytes = 0;
                        *phase = Phase::Connecting(connecting);
                        early
                    }
                    other => {
                        *phase = other;
                        return false;
                    }
                }
            };
            for Early { id, payload, flags } in waiting {
                self.tell_outgoing(&payload);
                if let Err(EmitError::Full) = self.transmit(member, id, &payload, flags) {
                    // Whoever emitted it was told that it would go.
                    member.session.overflow();
                }
            }
        }
    }

    /// Forgets a socket that never got in.
    pub(crate) fn discard(&self) {
        // Dropped outside of the lock: it may be the last of its namespace.
        let before = std::mem::replace(&mut *lock(&self.0.phase), Phase::Gone(None));
        drop(before);
        self.release();
    }

    pub(crate) fn auth_shared(&self) -> &Arc<str> {
        &self.0.auth
    }

    /// What goes over to the socket that recovers this one.
    pub(crate) fn heritage(&self) -> Data {
        lock(&self.0.data).as_deref().cloned().unwrap_or_default()
    }
}
