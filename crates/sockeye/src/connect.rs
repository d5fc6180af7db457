//! From a CONNECT to a verdict: which namespace, which socket, and what the middlewares say.
//!
//! It runs as a future of its own, polled once where the CONNECT arrived; nothing here touches the session's table of
//! sockets. Whatever the application's code does, one verdict comes out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use sockeye_engine::{Handshake, Protocol, Reason, Session};

use crate::data::Data;
use crate::handler::ConnectCall;
use crate::id;
use crate::logged::Comeback;
use crate::namespace::{Namespace, Place, Tenancy};
use crate::recovery::{Lost, RecoveryFailure};
use crate::run::{self, CatchUnwind, Ties};
use crate::server::{Core, Legacy, Server};
use crate::socket::{Birth, Recovery, Socket};
use crate::stats::count;
use crate::sync::lock;
use sockeye_proto::event::Refusal;

/// A client wants to join a namespace.
pub(crate) struct Wish {
    pub(crate) core: Arc<Core>,
    pub(crate) session: Session,
    pub(crate) handshake: Arc<Handshake>,
    pub(crate) name: String,
    pub(crate) auth: Arc<str>,
    pub(crate) ties: Arc<Ties>,
}

/// What came of it.
pub(crate) enum Verdict {
    Admitted(Box<Newcomer>),
    Refused { message: String, data: Option<String> },
}

/// A socket on its way in. Dropped before it got there, it is gone, whoever else holds a handle of it.
pub(crate) struct Newcomer {
    pub(crate) socket: Socket,
    /// The session it takes up again.
    pub(crate) lost: Option<Returning>,
    inside: bool,
}

impl Newcomer {
    pub(crate) fn settled(&mut self) {
        self.inside = true;
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        if !self.inside {
            self.socket.discard();
        }
    }
}

/// What a socket takes over from the one it continues.
pub(crate) struct Inheritance {
    /// The client's secret.
    pub(crate) pid: Arc<str>,
    pub(crate) id: Arc<str>,
    /// Without its own.
    pub(crate) rooms: Vec<Arc<str>>,
    pub(crate) data: Data,
}

/// A session that is taken up again.
pub(crate) enum Returning {
    /// From this server's memory.
    Kept(Taken),
    /// From the log of a bus.
    Logged(Comeback),
}

impl Returning {
    fn legacy(&self) -> Option<Inheritance> {
        match self {
            Self::Kept(Taken { inner: Some((pid, lost)), .. }) => {
                let Legacy { id, data } = lost.state.clone();
                Some(Inheritance { pid: Arc::clone(pid), id, rooms: lost.rooms.clone(), data })
            }
            Self::Kept(_) => None,
            Self::Logged(comeback) => comeback.legacy(),
        }
    }

    /// Its client was refused.
    pub(crate) fn spend(self) {
        match self {
            Self::Kept(taken) => taken.spend(),
            Self::Logged(comeback) => comeback.spend(),
        }
    }
}

/// A session taken out of the store. Goes back when it is dropped before anybody was told.
pub(crate) struct Taken {
    core: Arc<Core>,
    inner: Option<(Arc<str>, Lost<Legacy>)>,
}

impl Taken {
    /// What the new socket needs of it, while the store is locked by the caller.
    pub(crate) fn redeem(mut self) -> Option<Lost<Legacy>> {
        self.inner.take().map(|(_, lost)| lost)
    }

    /// Its client was refused: the session cannot be taken up again, and expires in its time.
    pub(crate) fn spend(mut self) {
        if let (Some((pid, lost)), Some(recovery)) = (self.inner.take(), &self.core.recovery) {
            lock(&recovery.store).spend(pid, lost);
            self.core.sweep();
        }
    }

    pub(crate) fn lost(&self) -> Option<&Lost<Legacy>> {
        self.inner.as_ref().map(|(_, lost)| lost)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let (Some((pid, lost)), Some(recovery)) = (self.inner.take(), &self.core.recovery) {
            lock(&recovery.store).put_back(pid, lost);
            self.core.sweep();
        }
    }
}

/// Finds the namespace, makes the socket, asks the middlewares.
pub(crate) async fn decide(wish: Wish) -> Verdict {
    let core = Arc::clone(&wish.core);
    let Some((place, tenancy)) = find(&wish).await else {
        return Verdict::Refused { message: "Invalid namespace".to_owned(), data: None };
    };
    core.cluster.opened(&place.name).await;
    let namespace = Namespace { server: Server(Arc::clone(&core)), place };
    let taken = take(&wish, &namespace).await;
    let mut newcomer = Box::new(make(&wish, namespace, tenancy, taken));
    let socket = newcomer.socket.clone();
    let skip = newcomer.lost.is_some() && core.config.skip_middlewares;
    let gates = if skip { &[][..] } else { socket.0.namespace.place.rules.gates.as_slice() };
    for gate in gates {
        let name = gate.name();
        let called =
            catch_unwind(AssertUnwindSafe(|| gate.call(ConnectCall::new(&socket, &wish.auth, &core.states))));
        let verdict = match called {
            Ok(future) => CatchUnwind(future).await,
            Err(panic) => Err(panic),
        };
        let refusal = match verdict {
            Ok(Ok(())) => continue,
            Ok(Err(refusal)) => refusal,
            Err(panic) => {
                core.panicked(name, &*panic);
                Refusal::new("internal error")
            }
        };
        tracing::debug!(middleware = name, refusal = refusal.message(), cause = refusal.cause(), "refused");
        // A pid that was shown once and refused is spent.
        if let Some(taken) = newcomer.lost.take() {
            taken.spend();
        }
        let data = refusal.data_json().map(str::to_owned);
        return Verdict::Refused { message: refusal.message().to_owned(), data };
    }
    Verdict::Admitted(newcomer)
}

/// The namespace and a place in it: by its name, else a child of the first dynamic one that wants it.
async fn find(wish: &Wish) -> Option<(Arc<Place>, Tenancy)> {
    let core = &wish.core;
    if let Some(found) = core.enter(&wish.name) {
        return Some(found);
    }
    for parent in &core.parents {
        // The application's own predicate may panic, which is a no.
        match CatchUnwind(Box::pin(parent.allows(&wish.name, &wish.auth))).await {
            Ok(true) => return Some(core.enter_child(&wish.name, parent)),
            Ok(false) => {}
            Err(panic) => core.panicked("dynamic namespace", &*panic),
        }
    }
    None
}

/// The socket: the one that comes back, or a new one.
fn make(
    wish: &Wish,
    namespace: Namespace,
    tenancy: Tenancy,
    taken: Option<Result<Returning, RecoveryFailure>>,
) -> Newcomer {
    let core = &wish.core;
    let eio4 = wish.session.protocol() == Protocol::V4;
    let mut failure = None;
    let taken = match taken {
        Some(Ok(taken)) => Some(taken),
        Some(Err(why)) => {
            count(&core.counters.not_recovered);
            tracing::debug!(reason = why.as_str(), "not recovered");
            failure = Some(why);
            None
        }
        None => None,
    };
    let (pid, id, rooms, data) = match taken.as_ref().and_then(Returning::legacy) {
        Some(Inheritance { pid, id, rooms, data }) => (Some(pid), id, rooms, data),
        None => (None, fresh_id(wish, eio4), Vec::new(), Data::default()),
    };
    let recovery = (core.live().is_some() && eio4).then(|| {
        let pid = pid.unwrap_or_else(|| id::random().into());
        Box::new(Recovery { pid, recovered: taken.is_some(), failure, since: OnceLock::new() })
    });
    let auth = Arc::clone(&wish.auth);
    let handshake = Arc::clone(&wish.handshake);
    let ties = Arc::clone(&wish.ties);
    let socket = Socket::new(Birth { id, namespace, handshake, auth, recovery, data, rooms, tenancy, ties });
    Newcomer { socket, lost: taken, inside: false }
}

/// Clients of protocols 2 and 1 take the session's id for their socket's, and put the namespace before it.
fn fresh_id(wish: &Wish, eio4: bool) -> Arc<str> {
    if eio4 {
        return id::random().into();
    }
    match wish.name.as_str() {
        "/" => wish.session.id().into(),
        name => format!("{name}#{}", wish.session.id()).into(),
    }
}

/// `None` if the client does not ask to be recovered.
async fn take(wish: &Wish, namespace: &Namespace) -> Option<Result<Returning, RecoveryFailure>> {
    /// Whatever else is in there is the application's; what is not text is not from us.
    #[derive(Deserialize)]
    struct Claim {
        pid: Option<serde_json::Value>,
        offset: Option<serde_json::Value>,
    }
    let eio4 = wish.session.protocol() == Protocol::V4;
    let live = wish.core.live().filter(|_| eio4)?;
    let claim: Claim = serde_json::from_str(&wish.auth).ok()?;
    let pid = claim.pid?;
    let Some(pid) = pid.as_str() else { return Some(Err(RecoveryFailure::Unknown)) };
    let offset = match &claim.offset {
        None | Some(serde_json::Value::Null) => None,
        Some(serde_json::Value::String(offset)) => Some(offset.as_str()),
        Some(_) => return Some(Err(RecoveryFailure::BadOffset)),
    };
    // Its old connection may be dead without anybody having noticed: that socket goes first, and is stored by that.
    let live = lock(live).get(pid).and_then(|socket| socket.upgrade()).map(Socket);
    if let Some(old) = live.filter(|old| old.namespace() == namespace) {
        let member = old.member();
        old.depart(Reason::ForcedClose, false);
        if let Some(member) = member
            && member.session != wish.session
        {
            member.session.abort(Reason::ForcedClose);
        }
    }
    let core = &wish.core;
    if let Some(logged) = &core.logged {
        return Some(logged.restore(core, &namespace.place, pid, offset).await.map(Returning::Logged));
    }
    let recovery = core.recovery.as_ref()?;
    let taken = lock(&recovery.store).take(recovery.now(), pid, namespace.name(), offset);
    Some(taken.map(|inner| Returning::Kept(Taken { core: Arc::clone(core), inner: Some(inner) })))
}

/// Runs what the namespace does with new sockets.
pub(crate) fn welcome(socket: &Socket) {
    let core = &socket.server().0;
    for handler in &socket.0.namespace.place.rules.connect {
        // The one before may have sent the client away. If somebody else has just done that, there is a disconnect to
        // come, and what has no beginning should have no end.
        if socket.0.gate.is_taken() {
            return;
        }
        let name = handler.name();
        let call = || handler.call(ConnectCall::new(socket, socket.auth_shared(), &core.states));
        match run::guarded(socket, name, call) {
            Some(Ok(future)) => run::detach(socket, name, future),
            Some(Err(mismatch)) => core.mismatch(name, &mismatch),
            None => {}
        }
    }
}
