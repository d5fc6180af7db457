//! This node's part in the cluster: requests that wait for answers, and what other nodes ask of us.
//!
//! One table of requests, each with a bound in time; an entry goes when its asker stops waiting. Responses that nobody
//! waits for are ignored.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use sockeye_proto::broadcast::Broadcast;
use sockeye_proto::socket::Payload;
use tokio::sync::mpsc;

use crate::ack::{CallError, Collector, Waiter};
use crate::adapter::LocalAdapter;
use crate::adapter::{
    Adapter, AdapterError, Answer, NodeId, Request, RequestId, Response, SocketDescription,
};
use crate::deliver;
use crate::emit::Flags;
use crate::id;
use crate::namespace::Place;
use crate::rooms::Audience;
use crate::run;
use crate::server::Core;
use crate::socket::Socket;
use crate::stats::count;
use crate::sync::{lock, read};

/// The adapter and the requests that wait.
pub(crate) struct Cluster {
    adapter: Arc<dyn Adapter>,
    /// Nobody else is there, so nothing needs to be made ready for sending.
    alone: bool,
    waiting: Arc<Mutex<Waiting>>,
}

type Waiting = HashMap<RequestId, mpsc::UnboundedSender<Answer>>;

/// How long other servers have for [`fetch_sockets`](crate::Operator::fetch_sockets) and server events.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

impl Cluster {
    /// Without an adapter, a cluster of one.
    pub(crate) fn new(adapter: Option<Arc<dyn Adapter>>) -> Self {
        let alone = adapter.is_none();
        Self { adapter: adapter.unwrap_or_else(|| Arc::new(LocalAdapter)), alone, waiting: Arc::default() }
    }

    /// Whether there can be no other node.
    pub(crate) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Hands the adapter its way in.
    pub(crate) fn start(&self, core: &Arc<Core>) {
        self.adapter.start(LocalNode { core: Arc::downgrade(core), waiting: Arc::clone(&self.waiting) });
    }

    pub(crate) fn namespace_opened(&self, name: &str) {
        self.adapter.namespace_opened(name);
    }

    pub(crate) fn namespace_closed(&self, name: &str) {
        self.adapter.namespace_closed(name);
    }

    /// Sends a request to the others; a failure is counted and changes nothing here.
    pub(crate) fn publish(&self, core: &Core, namespace: &str, request: &Request) {
        if let Err(error) = self.adapter.publish(namespace, request) {
            count(&core.counters.publish_failed);
            tracing::warn!(%error, namespace, "not published");
        }
    }

    pub(crate) async fn server_count(&self, namespace: &str) -> Result<usize, AdapterError> {
        self.adapter.server_count(namespace).await
    }

    pub(crate) fn server_event(&self, namespace: &str, payload: Payload) -> Result<(), AdapterError> {
        self.adapter.publish(namespace, &Request::ServerEvent { payload, id: None })
    }

    pub(crate) async fn server_call(
        &self,
        namespace: &str,
        payload: Payload,
    ) -> Result<Vec<Payload>, AdapterError> {
        let mut expected = self.server_count(namespace).await?.saturating_sub(1);
        let mut answers = Vec::with_capacity(expected);
        if expected == 0 {
            return Ok(answers);
        }
        let mut asked = self.ask();
        // Where nobody was asked, nobody answers.
        self.adapter.publish(namespace, &Request::ServerEvent { payload, id: Some(asked.id.clone()) })?;
        let all = async {
            while expected > 0 {
                match asked.answers.recv().await {
                    Some(Answer::ServerEvent(payload)) => {
                        expected -= 1;
                        answers.push(payload);
                    }
                    Some(_) => {}
                    None => break,
                }
            }
        };
        match tokio::time::timeout(PATIENCE, all).await {
            Ok(()) => Ok(answers),
            Err(_) => Err(AdapterError::TimedOut { missing: expected, answers }),
        }
    }

    /// Descriptions of the sockets on the other nodes.
    pub(crate) async fn fetch(
        &self,
        namespace: &str,
        audience: Audience,
        timeout: Duration,
    ) -> Result<Vec<SocketDescription>, AdapterError> {
        let mut expected = self.server_count(namespace).await?.saturating_sub(1);
        let mut found = Vec::new();
        if expected == 0 {
            return Ok(found);
        }
        let mut asked = self.ask();
        self.adapter.publish(namespace, &Request::FetchSockets { id: asked.id.clone(), audience })?;
        let all = async {
            while expected > 0 {
                match asked.answers.recv().await {
                    Some(Answer::Sockets(sockets)) => {
                        expected -= 1;
                        found.extend(sockets);
                    }
                    Some(_) => {}
                    None => break,
                }
            }
        };
        match tokio::time::timeout(timeout, all).await {
            Ok(()) => Ok(found),
            Err(_) => Err(AdapterError::TimedOut { missing: expected, answers: Vec::new() }),
        }
    }

    /// A new request; its entry goes when this is dropped.
    pub(crate) fn ask(&self) -> AskedNodes {
        let id = RequestId(id::random().into());
        let (sender, answers) = mpsc::unbounded_channel();
        lock(&self.waiting).insert(id.clone(), sender);
        AskedNodes { id, answers, waiting: Arc::clone(&self.waiting) }
    }

    pub(crate) async fn close(&self) {
        if let Err(error) = self.adapter.close().await {
            tracing::warn!(%error, "the adapter did not close");
        }
    }
}

/// A request under way.
pub(crate) struct AskedNodes {
    pub(crate) id: RequestId,
    pub(crate) answers: mpsc::UnboundedReceiver<Answer>,
    waiting: Arc<Mutex<Waiting>>,
}

impl Drop for AskedNodes {
    fn drop(&mut self) {
        lock(&self.waiting).remove(&self.id);
    }
}

/// The way in for an [`Adapter`]: what other nodes ask and answer. Cheap to clone; does not keep the server alive.
#[derive(Clone)]
pub struct LocalNode {
    core: Weak<Core>,
    waiting: Arc<Mutex<Waiting>>,
}

impl LocalNode {
    /// Another node asks something. What it wants answered is answered through [`Adapter::respond`], now or later.
    pub fn request(&self, namespace: &str, from: &NodeId, request: Request) {
        let Some(core) = self.core.upgrade() else { return };
        let Some(place) = read(&core.namespaces).get(namespace).cloned() else {
            return absent(&core, namespace, from, &request);
        };
        let respond = |id, answer| respond(&core, namespace, from, id, answer);
        match request {
            Request::Broadcast { audience, payload, volatile, compress, acks: None } => {
                deliver::broadcast(&core, &place, &audience, payload, Flags { volatile, compress });
            }
            Request::Broadcast { audience, payload, compress, acks: Some((id, timeout)), .. } => {
                ask_clients(&core, &place, namespace, from, id, timeout, (audience, payload, compress));
            }
            Request::Join { audience, rooms } => {
                for socket in place.sockets(&audience) {
                    socket.join(rooms.clone());
                }
            }
            Request::Leave { audience, rooms } => {
                for socket in place.sockets(&audience) {
                    socket.leave(rooms.clone());
                }
            }
            Request::Disconnect { audience, close } => {
                for socket in place.sockets(&audience) {
                    if close {
                        socket.close();
                    } else {
                        socket.disconnect();
                    }
                }
            }
            Request::FetchSockets { id, audience } => {
                let sockets = place.sockets(&audience).iter().map(describe).collect();
                respond(id, Answer::Sockets(sockets));
            }
            Request::ServerEvent { payload, id } => {
                let Some(name) = event_name(&payload) else { return };
                let answer = place.server_event(&name, &payload.event_arguments());
                if let (Some(id), Some(answer)) = (id, answer) {
                    respond(id, Answer::ServerEvent(answer));
                }
            }
        }
    }

    /// Another node answers.
    pub fn response(&self, response: Response) {
        if let Some(asker) = lock(&self.waiting).get(&response.id) {
            // The asker may have stopped listening; the answer is then nobody's.
            let _ = asker.send(response.answer);
        }
    }
}

impl fmt::Debug for LocalNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalNode")
    }
}

fn respond(core: &Core, namespace: &str, to: &NodeId, id: RequestId, answer: Answer) {
    if let Err(error) = core.cluster.adapter.respond(namespace, to, &Response { id, answer }) {
        count(&core.counters.publish_failed);
        tracing::warn!(%error, namespace, "not answered");
    }
}

/// A node without the namespace has nobody in it, which is an answer too.
fn absent(core: &Core, namespace: &str, from: &NodeId, request: &Request) {
    match request {
        Request::Broadcast { acks: Some((id, _)), .. } => {
            respond(core, namespace, from, id.clone(), Answer::ClientCount(0));
        }
        Request::FetchSockets { id, .. } => {
            respond(core, namespace, from, id.clone(), Answer::Sockets(Vec::new()))
        }
        _ => {}
    }
}

/// The name of an event.
fn event_name(payload: &Payload) -> Option<String> {
    let mut names = serde_json::Deserializer::from_str(payload.text().get(1..)?).into_iter::<String>();
    names.next()?.ok()
}

/// What other nodes may know of a socket.
pub(crate) fn describe(socket: &Socket) -> SocketDescription {
    let handshake = socket.handshake();
    SocketDescription {
        rooms: socket.rooms(),
        info: socket.info_json(),
        address: handshake.client_ip().map(|ip| ip.to_string()),
        secure: handshake.secure(),
        xdomain: handshake.xdomain(),
        issued: handshake.issued(),
        ..SocketDescription::new(Arc::clone(&socket.0.id))
    }
}

/// Another node's broadcast that wants answers: counts our clients, and passes on what they say while there is time.
fn ask_clients(
    core: &Arc<Core>,
    place: &Arc<Place>,
    namespace: &str,
    from: &NodeId,
    request: RequestId,
    timeout: Duration,
    (audience, payload, compress): (Audience, Payload, bool),
) {
    struct Forward {
        core: Weak<Core>,
        namespace: Arc<str>,
        to: NodeId,
        request: RequestId,
    }
    impl Collector for Forward {
        fn answered(&self, socket: &Arc<str>, answer: Result<Payload, CallError>) {
            if let (Ok(payload), Some(core)) = (answer, self.core.upgrade()) {
                let answer = Answer::Ack { socket: Some(Arc::clone(socket)), payload };
                respond(&core, &self.namespace, &self.to, self.request.clone(), answer);
            }
        }
    }
    let forward = Forward {
        core: Arc::downgrade(core),
        namespace: namespace.into(),
        to: from.clone(),
        request: request.clone(),
    };
    let asked = ask_local(core, place, &audience, payload, compress, Arc::new(forward));
    respond(core, namespace, from, request, Answer::ClientCount(asked.asked.len()));
    if !asked.asked.is_empty() {
        let limit = timeout.min(Duration::from_secs(24 * 3600));
        run::spawn(core, async move {
            tokio::time::sleep(limit).await;
            drop(asked);
        });
    }
}

/// Sends an event that wants answers to the audience on this node.
pub(crate) fn ask_local(
    core: &Arc<Core>,
    place: &Arc<Place>,
    audience: &Audience,
    payload: Payload,
    compress: bool,
    collector: Arc<dyn Collector>,
) -> AskedSockets {
    let id = place.next_ack();
    let roll = place.roll(audience);
    deliver::tell_outgoing(place, &roll, &payload);
    let mut asked = Vec::with_capacity(roll.at_most());
    // Everybody waits before anybody can answer.
    roll.for_each(|member| {
        if let Some(socket) = member.socket.upgrade()
            && socket.expect_ack(id, Waiter::Many(Arc::clone(&collector)))
        {
            asked.push(socket);
        }
    });
    let broadcast = Broadcast::asking(Arc::clone(&place.name), payload, compress, id);
    deliver::fan_out(&core.counters, &roll, &broadcast, false, |_, _| {});
    AskedSockets {
        id,
        asked: asked.iter().map(|socket| (Arc::clone(&socket.id), Arc::downgrade(socket))).collect(),
    }
}

/// The sockets that were asked; forgets their debts when dropped.
pub(crate) struct AskedSockets {
    id: u64,
    pub(crate) asked: Vec<(Arc<str>, Weak<crate::socket::Inner>)>,
}

impl Drop for AskedSockets {
    fn drop(&mut self) {
        for (_, socket) in &self.asked {
            if let Some(socket) = socket.upgrade() {
                socket.forget_ack(self.id);
            }
        }
    }
}
