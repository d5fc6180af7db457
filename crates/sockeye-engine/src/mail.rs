//! What the HTTP side and the handles say to a session's task, and the slots for its answers.
//!
//! Plain values. A dropped slot is an answer, too: the session ended around the request.

use std::task::Waker;

use bytes::Bytes;
use sockeye_proto::engine::EncodedPayload;
use sockeye_proto::websocket::deflate;
use tokio::sync::oneshot;

use crate::Reason;
use crate::body::Undelivered;
use crate::stream::Stream;

/// What others want of the task. Rare enough to be boxed.
#[derive(Default)]
pub(crate) struct Mail {
    pub(crate) commands: Vec<Command>,
    /// Why to close, and whether at once.
    pub(crate) close: Option<(Reason, bool)>,
    /// The answer to the latest ping, where it could not be queued yet.
    pub(crate) pong: Option<Bytes>,
    /// Who waits for room: until no more than so much is queued.
    pub(crate) waiters: Vec<(usize, Waker)>,
}

/// What the HTTP side says to the task.
pub(crate) enum Command {
    /// A GET has come.
    Poll(oneshot::Sender<PollReply>),
    /// A POST has come, with its body if that was there at once.
    Post { body: Option<PostBody>, reply: oneshot::Sender<PostReply> },
    /// The body of the POST.
    PostBody(PostBody),
    /// The body will not come.
    PostFailed(PostFailure),
    /// A WebSocket wants to take over.
    Candidate(Box<Candidate>),
    /// End now, whatever it costs.
    Cut,
}

/// A WebSocket that wants to take over.
pub(crate) struct Candidate {
    /// What has to be written before anything else. Only for sockets that may be written by anyone.
    pub(crate) hello: Bytes,
    pub(crate) stream: Stream,
    pub(crate) early: Bytes,
    pub(crate) deflate: Option<deflate::Params>,
    pub(crate) b64: bool,
}

/// The body of a POST, checked to be text where it has to be.
pub(crate) enum PostBody {
    Text(String),
    Binary(Bytes),
    /// To be text, and is not.
    Garbage,
    /// A form without its field: answered, and ignored.
    Nothing,
}

pub(crate) enum PostFailure {
    /// Its connection was lost.
    Lost,
    /// Not a kind of body that this revision has. The HTTP side answers.
    InvalidContent,
    /// Larger than the limit. The HTTP side answers.
    TooLarge,
    /// Slower than the limit. The HTTP side answers.
    TooSlow,
}

/// The answer to a GET.
pub(crate) enum PollReply {
    Payload { payload: EncodedPayload, undelivered: Option<Undelivered> },
    Overlap,
    Mismatch,
    Gone,
}

/// The answer to a POST. A dropped sender means: cut the connection.
pub(crate) enum PostReply {
    Done,
    Overlap,
    Mismatch,
    Gone,
}
