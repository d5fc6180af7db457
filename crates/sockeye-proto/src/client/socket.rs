//! One namespace: what waits, what is awaited, and how a session is taken up again.

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::socket::{Arguments, Payload};

/// Names a socket of one [`Client`](super::Client).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub(super) usize);

/// Names an emit that waits for its answer, among all of one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call(pub(super) u64);

/// An event of the server that waits for our answer. It cannot be cloned, so that nothing is answered twice, and an
/// answer to a connection that is over is not sent.
#[derive(Debug, PartialEq, Eq)]
pub struct AckId {
    pub(super) socket: SocketId,
    pub(super) joined: u64,
    pub(super) id: u64,
}

/// One question for `auth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(pub(super) u64);

/// What is sent with each CONNECT.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Auth {
    /// Nothing.
    #[default]
    None,
    /// JSON text of an object.
    Value(String),
    /// The driver is asked each time: [`Output::AuthWanted`](super::Output::AuthWanted).
    Ask,
}

impl fmt::Debug for Auth {
    /// Which kind: tokens are not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Auth::None => "None",
            Auth::Value(_) => "Value(…)",
            Auth::Ask => "Ask",
        })
    }
}

/// A cap on what waits while there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// Most packets. Default 10 000.
    pub packets: usize,
    /// Most bytes of arguments and attachments. Default 16 MiB.
    pub bytes: usize,
    /// Which packet gives way. Default the oldest.
    pub when_full: WhenFull,
}

impl Default for Cap {
    fn default() -> Cap {
        Cap { packets: 10_000, bytes: 16 << 20, when_full: WhenFull::DropOldest }
    }
}

/// Which packet gives way when a [`Cap`] is reached. Each one is reported, as
/// [`Output::Dropped`](super::Output::Dropped).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// What has waited longest.
    #[default]
    DropOldest,
    /// What was just emitted.
    DropNewest,
}

/// How one socket behaves.
#[derive(Debug, Clone, Default)]
pub struct SocketOptions {
    /// Sent with each CONNECT.
    pub auth: Auth,
    /// More than 0: events that are not volatile go out one at a time, each as often again as this until it is
    /// acknowledged. At least once: the receiver has to deduplicate. Default 0.
    ///
    /// A try ends with its acknowledgement, with the `ack_timeout`, or with the connection.
    pub retries: u32,
    /// How long an answer may take where an [`Emit`] does not say. Default: as long as the connection lasts.
    pub ack_timeout: Option<Duration>,
    /// What may wait to be sent: for the connection, and in the line of `retries`.
    pub cap: Cap,
}

/// How one event is emitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emit {
    /// Asks for an answer.
    pub ack: bool,
    /// How long that may take, from now on, waiting for the connection included; in the line of `retries`, each try.
    /// Default: [`SocketOptions::ack_timeout`].
    pub timeout: Option<Duration>,
    /// May be lost rather than wait: sent only if it would leave right now. Never buffered, never retried.
    pub volatile: bool,
    /// Whether a transport may compress it. Default true.
    pub compress: bool,
}

impl Default for Emit {
    fn default() -> Emit {
        Emit { ack: false, timeout: None, volatile: false, compress: true }
    }
}

/// An event was not taken. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The dialect cannot say it.
    #[error(transparent)]
    Encode(#[from] crate::socket::EncodeError),
    /// Connected, but the network takes less than is emitted: [`Config::outbox`](super::Config::outbox) is full.
    #[error("the outbox is full")]
    Full,
    /// A volatile event, and it would not have left right now.
    #[error("not writable right now")]
    NotWritable,
    /// The socket belongs to another client.
    #[error("no such socket")]
    UnknownSocket,
    /// [`Client::close`](super::Client::close) was called.
    #[error("the client is closed")]
    Closed,
}

/// Why a call gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unanswered {
    /// Time is up.
    #[error("operation has timed out")]
    TimedOut,
    /// It was sent, and the connection is over. The server may or may not have heard it.
    #[error("socket has been disconnected")]
    Disconnected,
    /// It gave way in a full buffer, and was never sent.
    #[error("the send buffer is full")]
    Dropped,
    /// It waited for a connection, and could not be sent in the end: the dialect cannot say it.
    #[error("cannot be encoded")]
    Unsent,
}

/// The server refused a CONNECT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// What a JavaScript client finds in `err.message`.
    pub message: String,
    /// JSON text of what a JavaScript client finds in `err.data`.
    pub data: Option<String>,
}

/// Where a socket stands.
#[derive(Debug, PartialEq)]
pub(super) enum State {
    /// Not wanted by the application, or turned away by the server.
    Inactive,
    /// There is no connection, or nothing has been sent on it yet.
    Away,
    /// The driver was asked for `auth`.
    Asking(Ticket),
    /// CONNECT was sent. Events may come before its answer: the missed ones of a recovered session.
    Joining { early: Vec<Early>, bytes: usize },
    /// Left before CONNECT was answered: the answer is answered with DISCONNECT.
    Leaving,
    /// Connected.
    Joined { sid: String },
}

/// An event that came before the answer to CONNECT.
#[derive(Debug, PartialEq)]
pub(super) struct Early {
    pub(super) name: String,
    pub(super) args: Arguments<'static>,
    pub(super) id: Option<u64>,
}

/// What makes a session recoverable. The `pid` is a secret.
pub(super) struct Recovery {
    pub(super) pid: String,
    pub(super) offset: Option<String>,
}

/// An event that waits for the connection.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) payload: Payload,
    pub(super) ack: Option<u64>,
    pub(super) compress: bool,
}

/// An event in the line of `retries`.
#[derive(Debug)]
pub(super) struct InLine {
    pub(super) payload: Payload,
    pub(super) call: Option<Call>,
    pub(super) timeout: Option<Duration>,
    pub(super) compress: bool,
    pub(super) tries: u32,
    /// The acknowledgement of the try that is under way.
    pub(super) pending: Option<u64>,
}

/// Whose answer it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Asker {
    Call(Call),
    /// The head of the line of `retries`.
    Line,
}

/// What happened inside, to be told by the machine.
#[derive(Debug)]
pub(super) enum News {
    Unanswered(Call, Unanswered),
    Dropped(Payload),
}

pub(super) struct Socket {
    pub(super) namespace: String,
    pub(super) options: SocketOptions,
    pub(super) state: State,
    pub(super) recovery: Option<Recovery>,
    /// Grows with each time it is joined.
    pub(super) joined: u64,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    line: VecDeque<InLine>,
    line_bytes: usize,
    acks: BTreeMap<u64, (Asker, Option<Duration>)>,
    due: BTreeSet<(Duration, u64)>,
    next_ack: u64,
    next_call: u64,
}

impl Socket {
    pub(super) fn new(namespace: String, options: SocketOptions) -> Socket {
        Socket {
            namespace,
            options,
            state: State::Inactive,
            recovery: None,
            joined: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            line: VecDeque::new(),
            line_bytes: 0,
            acks: BTreeMap::new(),
            due: BTreeSet::new(),
            next_ack: 0,
            next_call: 0,
        }
    }

    pub(super) fn is_active(&self) -> bool {
        !matches!(self.state, State::Inactive | State::Leaving)
    }

    pub(super) fn is_joined(&self) -> bool {
        matches!(self.state, State::Joined { .. })
    }

    pub(super) fn call(&mut self) -> Call {
        self.next_call = self.next_call.wrapping_add(1);
        Call(self.next_call)
    }

    /// Expects an acknowledgement, and gives the id to ask for it with. Ids are never used again, also not on the
    /// next connection.
    pub(super) fn expect(&mut self, asker: Asker, timeout: Option<Duration>, now: Duration) -> u64 {
        let id = self.next_ack;
        self.next_ack = self.next_ack.wrapping_add(1);
        let due = timeout.map(|timeout| now.saturating_add(timeout));
        self.acks.insert(id, (asker, due));
        self.due.extend(due.map(|due| (due, id)));
        id
    }

    /// The acknowledgement came, or will not come. Unknown ones are nobody's.
    pub(super) fn settle(&mut self, id: u64) -> Option<Asker> {
        let (asker, due) = self.acks.remove(&id)?;
        if let Some(due) = due {
            self.due.remove(&(due, id));
        }
        Some(asker)
    }

    pub(super) fn forget(&mut self, call: Call) {
        for entry in self.line.iter_mut().filter(|entry| entry.call == Some(call)) {
            entry.call = None;
        }
        let asked = self.acks.iter().find(|(_, (asker, _))| *asker == Asker::Call(call));
        if let Some(id) = asked.map(|(id, _)| *id) {
            self.settle(id);
            self.unsend(id);
        }
    }

    /// Takes an event back that has not left yet.
    fn unsend(&mut self, id: u64) {
        if let Some(at) = self.waiting.iter().position(|each| each.ack == Some(id))
            && let Some(waiting) = self.waiting.remove(at)
        {
            self.waiting_bytes = self.waiting_bytes.saturating_sub(waiting.payload.size());
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Keeps an event until there is a connection; what gives way for it is told.
    pub(super) fn wait(&mut self, waiting: Waiting, news: &mut Vec<News>) {
        self.waiting_bytes = self.waiting_bytes.saturating_add(waiting.payload.size());
        self.waiting.push_back(waiting);
        let cap = self.options.cap;
        while self.waiting.len() > cap.packets || self.waiting_bytes > cap.bytes {
            let dropped = match cap.when_full {
                WhenFull::DropOldest => self.waiting.pop_front(),
                WhenFull::DropNewest => self.waiting.pop_back(),
            };
            let Some(dropped) = dropped else { break };
            self.waiting_bytes = self.waiting_bytes.saturating_sub(dropped.payload.size());
            if let Some(Asker::Call(call)) = dropped.ack.and_then(|id| self.settle(id)) {
                news.push(News::Unanswered(call, Unanswered::Dropped));
            }
            news.push(News::Dropped(dropped.payload));
        }
    }

    /// All that waited, in order.
    pub(super) fn take_waiting(&mut self) -> VecDeque<Waiting> {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    /// Joins the line of `retries`; the head, which may be on its way, never gives way.
    pub(super) fn line_up(&mut self, entry: InLine, news: &mut Vec<News>) {
        self.line_bytes = self.line_bytes.saturating_add(entry.payload.size());
        self.line.push_back(entry);
        let cap = self.options.cap;
        let first = usize::from(self.line.front().is_some_and(|head| head.tries > 0));
        while self.line.len() > first && (self.line.len() > cap.packets || self.line_bytes > cap.bytes) {
            let dropped = match cap.when_full {
                WhenFull::DropOldest => self.line.remove(first),
                WhenFull::DropNewest => self.line.pop_back(),
            };
            let Some(dropped) = dropped else { break };
            self.line_bytes = self.line_bytes.saturating_sub(dropped.payload.size());
            news.extend(dropped.call.map(|call| News::Unanswered(call, Unanswered::Dropped)));
            news.push(News::Dropped(dropped.payload));
        }
    }

    /// The next try of the head, if it is not being tried: with the id that asks for its acknowledgement.
    pub(super) fn next_try(&mut self, now: Duration) -> Option<(Payload, u64, bool)> {
        let head = self.line.front()?;
        if head.pending.is_some() || !self.is_joined() {
            return None;
        }
        let timeout = head.timeout.or(self.options.ack_timeout);
        let id = self.expect(Asker::Line, timeout, now);
        let head = self.line.front_mut()?;
        head.tries = head.tries.saturating_add(1);
        head.pending = Some(id);
        Some((head.payload.clone(), id, head.compress))
    }

    /// The head of the line was acknowledged, or given up.
    pub(super) fn leave_line(&mut self) -> Option<InLine> {
        let entry = self.line.pop_front()?;
        self.line_bytes = self.line_bytes.saturating_sub(entry.payload.size());
        Some(entry)
    }

    /// A try of the head came to nothing.
    fn try_failed(&mut self, why: Unanswered, news: &mut Vec<News>) {
        let Some(head) = self.line.front_mut() else { return };
        head.pending = None;
        if head.tries > self.options.retries
            && let Some(entry) = self.leave_line()
        {
            news.extend(entry.call.map(|call| News::Unanswered(call, why)));
            news.push(News::Dropped(entry.payload));
        }
    }

    /// Lets go of all that is overdue.
    pub(super) fn timer(&mut self, now: Duration, news: &mut Vec<News>) {
        while let Some(&(due, id)) = self.due.first()
            && due <= now
        {
            match self.settle(id) {
                Some(Asker::Call(call)) => {
                    // It has not left yet: nobody waits for it any more.
                    self.unsend(id);
                    news.push(News::Unanswered(call, Unanswered::TimedOut));
                }
                Some(Asker::Line) => self.try_failed(Unanswered::TimedOut, news),
                // Cannot be: both maps are changed together.
                None => {
                    self.due.remove(&(due, id));
                }
            }
        }
    }

    /// The connection is over. What was sent and not answered will not be; what still waits goes on waiting.
    pub(super) fn cut(&mut self, news: &mut Vec<News>) {
        let waiting: BTreeSet<u64> = self.waiting.iter().filter_map(|each| each.ack).collect();
        let lost: Vec<u64> = self.acks.keys().copied().filter(|id| !waiting.contains(id)).collect();
        for id in lost {
            match self.settle(id) {
                Some(Asker::Call(call)) => news.push(News::Unanswered(call, Unanswered::Disconnected)),
                Some(Asker::Line) => self.try_failed(Unanswered::Disconnected, news),
                None => {}
            }
        }
    }

    /// Remembers where in the session an event stands: with a server that recovers sessions, every event without an
    /// acknowledgement ends in its offset.
    pub(super) fn saw(&mut self, args: &Arguments<'_>, id: Option<u64>) {
        if let (Some(recovery), None, Some(offset)) = (&mut self.recovery, id, last_string(args.text())) {
            recovery.offset = Some(offset.to_owned());
        }
    }

    /// What goes into CONNECT: the application's `auth`, over what recovers the session.
    ///
    /// # Errors
    /// When `auth` is not JSON text of an object.
    pub(super) fn connect_data(&self, auth: Option<&str>) -> Result<Option<String>, serde_json::Error> {
        let mut data = serde_json::Map::new();
        if let Some(recovery) = &self.recovery {
            data.insert("pid".to_owned(), recovery.pid.as_str().into());
            if let Some(offset) = &recovery.offset {
                data.insert("offset".to_owned(), offset.as_str().into());
            }
        }
        if let Some(auth) = auth {
            data.extend(serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(auth)?);
        }
        Ok((!data.is_empty()).then(|| serde_json::Value::Object(data).to_string()))
    }
}

/// The last element of an array in JSON, if it is a plain string and not the first. Offsets are: a string with an
/// escape in it is none.
fn last_string(text: &str) -> Option<&str> {
    let text = text.trim_end().strip_suffix(']')?.trim_end().strip_suffix('"')?;
    let (before, last) = text.rsplit_once('"')?;
    // Behind a backslash it would be a quote inside the string, and the comma then is not where it is looked for.
    (before.trim_end().ends_with(',') && !last.contains('\\') && last.len() <= 256).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::last_string;

    #[test]
    fn offsets_are_plain_last_strings() {
        assert_eq!(last_string(r#"["a",1,"Q7vVRcK.0"]"#), Some("Q7vVRcK.0"));
        assert_eq!(last_string(r#"["a" , "b" ] "#), Some("b"));
        assert_eq!(last_string(r#"["a"]"#), None, "the name is no offset");
        assert_eq!(last_string(r#"["a",["b","c"]]"#), None);
        assert_eq!(last_string(r#"["a",{"b":"c"}]"#), None);
        assert_eq!(last_string(r#"["a","x\",y"]"#), None);
        assert_eq!(last_string(r#"["a","x\\"]"#), None);
        assert_eq!(last_string("]"), None);
    }
}
