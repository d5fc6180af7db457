//! What a session on long-polling has besides a session on WebSocket: a GET that waits, a POST half read, and a
//! WebSocket that wants to take over.
//!
//! Boxed beside the session and dropped after an upgrade, so that a session that came by polling ends up as small as
//! one that did not. The HTTP side (`service.rs`) hands requests over with a slot for the answer each; here they meet
//! the rules. Nothing here knows HTTP.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use sockeye_proto::engine::{Admission, Content, EncodedPayload, Fault, Form, Lane, Payload, PollAnswer};
use sockeye_proto::websocket::{CloseCode, Reader, Role, frame};
use tokio::io::{AsyncRead as _, AsyncReadExt, AsyncWrite as _, AsyncWriteExt, ReadBuf};
use tokio::sync::oneshot;

use crate::body::Undelivered;
use crate::common::{Alive, Common};
use crate::life::Life;
use crate::mail::{Candidate, Command, PollReply, PostBody, PostFailure, PostReply};
use crate::stream::Stream;
use crate::task::reader_config;
use crate::{Link, Reason, Transport};

/// See the module.
pub(crate) struct Polling {
    form: Form,
    get: Option<oneshot::Sender<PollReply>>,
    post: Option<Post>,
    pub(crate) candidate: Option<Box<Probe>>,
}

/// A POST that has the slot.
struct Post {
    reply: oneshot::Sender<PostReply>,
    /// `None` while it is being read.
    body: Option<PostBody>,
    /// How much of the body has been looked at.
    at: usize,
}

/// A WebSocket that wants to take over, and what has to be written to it.
pub(crate) struct Probe {
    pub(crate) socket: Candidate,
    pub(crate) reader: Reader,
    pub(crate) out: Vec<u8>,
}

impl Polling {
    /// For a session that begins with the GET to be answered through `get`.
    pub(crate) fn new(form: Form, get: oneshot::Sender<PollReply>) -> Box<Self> {
        Box::new(Polling { form, get: Some(get), post: None, candidate: None })
    }

    /// Whether there is nothing here to wait for.
    pub(crate) fn is_idle(&self) -> bool {
        self.get.is_none() && self.post.is_none() && self.candidate.is_none()
    }

    /// Whether the client of the waiting GET has gone away.
    pub(crate) fn poll_given_up(&mut self, cx: &mut Context<'_>) -> bool {
        let gone = self.get.as_mut().is_some_and(|get| get.poll_closed(cx).is_ready());
        if gone {
            self.get = None;
        }
        gone
    }
}

/// A request has come, or gone on.
pub(crate) fn command<L: Link>(life: &mut Life<L>, command: Command) {
    let time = life.time();
    match command {
        Command::Poll(reply) => match life.machine.handle_poll(time) {
            Admission::Held => {
                if let Some(polling) = &mut life.polling {
                    polling.get = Some(reply);
                }
            }
            Admission::Overlap => send(reply, PollReply::Overlap),
            Admission::Mismatch => send(reply, PollReply::Mismatch),
            Admission::Gone => send(reply, PollReply::Gone),
        },
        Command::Post { body, reply } => match life.machine.handle_post(time) {
            Admission::Held => {
                if let Some(polling) = &mut life.polling {
                    polling.post = Some(Post { reply, body, at: 0 });
                }
            }
            Admission::Overlap => send(reply, PostReply::Overlap),
            Admission::Mismatch => send(reply, PostReply::Mismatch),
            Admission::Gone => send(reply, PostReply::Gone),
        },
        Command::PostBody(body) => {
            if let Some(post) = life.polling.as_mut().and_then(|polling| polling.post.as_mut()) {
                post.body = Some(body);
            }
        }
        Command::PostFailed(failure) => {
            if life.polling.as_mut().and_then(|polling| polling.post.take()).is_none() {
                return;
            }
            let fault = match failure {
                PostFailure::Lost => Fault::PostLost,
                PostFailure::InvalidContent => Fault::InvalidContent,
                // The reference keeps the session open here, and its client gives it up. One end is better.
                PostFailure::TooLarge => Fault::TooBig,
                PostFailure::TooSlow => Fault::PostLost,
            };
            life.machine.handle_post_failed(fault, time);
        }
        Command::Candidate(_) | Command::Cut => {}
    }
    life.drain();
}

/// A WebSocket wants to take over, and the rules have said whether it may try.
pub(crate) fn admit_candidate<L: Link>(life: &mut Life<L>, candidate: Candidate, admission: Admission) {
    let reader = Reader::new(Role::Server, reader_config(life.common(), &candidate));
    let probe = Box::new(Probe { socket: candidate, reader, out: Vec::new() });
    match (admission, &mut life.polling) {
        (Admission::Held, Some(polling)) => polling.candidate = Some(probe),
        _ => probe.goodbye(&life.session.0.common),
    }
}

/// Answers the GET that waits.
pub(crate) fn answer<L: Link>(life: &mut Life<L>, answer: PollAnswer) {
    let Some(polling) = &mut life.polling else { return };
    let form = polling.form;
    let Some(get) = polling.get.take() else { return };
    let shared = &life.session.0;
    let payload = match answer {
        PollAnswer::Packets(owed) => {
            let open =
                if owed.open { shared.common.open(&shared.id, Transport::Polling) } else { String::new() };
            shared.lock().payload(shared, form, owed, &open)
        }
        PollAnswer::Noop => Ok(fixed(form, "6", "1:6")),
        PollAnswer::Close => Ok(fixed(form, "1", "1:1")),
        PollAnswer::NoopClose => Ok(fixed(form, "6\u{1e}1", "1:61:1")),
    };
    let Ok(payload) = payload else {
        // A raw text with the separator in it: this revision of polling cannot say it.
        send(get, PollReply::Payload { payload: fixed(form, "1", "1:1"), undelivered: None });
        return life.shut(Reason::ServerError, true);
    };
    // Should the request be gone, or go before it has taken the answer, the session hears of it through its outbox.
    let undelivered = (payload.taken > 0).then(|| Undelivered(Some(life.session.clone())));
    send(get, PollReply::Payload { payload, undelivered });
}

fn fixed(form: Form, v4: &str, v3: &str) -> EncodedPayload {
    let body = if form == Form::V4 { v4 } else { v3 };
    EncodedPayload { body: body.as_bytes().to_vec(), content: Content::Text, taken: 0, compress: false }
}

/// The POST has been dealt with.
pub(crate) fn answer_post<L: Link>(life: &mut Life<L>) {
    if let Some(post) = life.polling.as_mut().and_then(|polling| polling.post.take()) {
        send(post.reply, PostReply::Done);
    }
}

/// The POST's connection is to be cut: its answer never comes.
pub(crate) fn drop_post<L: Link>(life: &mut Life<L>) {
    if let Some(polling) = &mut life.polling {
        polling.post = None;
    }
}

/// A receiver that is gone has nothing to be told.
fn send<T>(slot: oneshot::Sender<T>, reply: T) {
    let _ = slot.send(reply);
}

impl<L: Link> Life<L> {
    /// Goes through the body of the POST, packet by packet, until it is used up or the link wants a break.
    pub(crate) fn poll_post(&mut self, cx: &mut Context<'_>) {
        let Some(post) = self.polling.as_mut().and_then(|polling| polling.post.as_mut()) else { return };
        let Some(body) = post.body.take() else { return };
        let at = post.at;
        let used = match &body {
            PostBody::Text(text) => {
                let rest = text.get(at..).unwrap_or_default();
                self.feed_payload(Payload::text(rest, self.machine.protocol()), rest.len(), cx)
            }
            PostBody::Binary(bytes) => {
                let rest = bytes.get(at..).unwrap_or_default();
                self.feed_payload(Payload::binary(rest), rest.len(), cx)
            }
            PostBody::Garbage => {
                self.undecodable(Lane::Polling);
                None
            }
            PostBody::Nothing => None,
        };
        match (used, self.polling.as_mut().and_then(|polling| polling.post.as_mut())) {
            (Some(used), Some(post)) => {
                post.at = at + used;
                post.body = Some(body);
            }
            (None, _) => {
                let time = self.time();
                self.machine.handle_post_done(time);
                self.drain();
            }
            (Some(_), None) => {}
        }
    }

    /// Returns how much was used, or `None` if all is done.
    fn feed_payload(
        &mut self,
        mut payload: Payload<'_>,
        length: usize,
        cx: &mut Context<'_>,
    ) -> Option<usize> {
        const BUDGET: usize = 64 * 1024;
        loop {
            let used = length - payload.unread()?;
            if self.signs.closed {
                return None;
            }
            if !self.may_take_packets() {
                return Some(used);
            }
            // A megabyte of two-byte packets is work for a while: let others have their turn.
            if used >= BUDGET {
                cx.waker().wake_by_ref();
                return Some(used);
            }
            match payload.next()? {
                Ok(packet) => self.packet(Lane::Polling, packet),
                Err(_) => self.undecodable(Lane::Polling),
            }
            self.choke(cx);
        }
    }
}

impl Probe {
    /// Writes what is waiting.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let count = std::task::ready!(Pin::new(&mut self.socket.stream).poll_write(cx, &self.out))?;
            self.out.drain(..count);
        }
        Pin::new(&mut self.socket.stream).poll_flush(cx)
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        let done = Pin::new(&mut self.socket.stream).poll_read(cx, &mut buf);
        done.map_ok(|()| buf.filled().len())
    }

    /// The socket, its reader, and what is still to be written.
    pub(crate) fn into_parts(self) -> (Candidate, Reader, Vec<u8>) {
        (self.socket, self.reader, self.out)
    }

    /// Ends it with a close frame, aside: the session does not wait for it.
    pub(crate) fn goodbye(mut self, common: &std::sync::Arc<Common>) {
        let close = frame::Control::close(Some(CloseCode::NORMAL), "", None);
        self.out.extend_from_slice(close.as_slice());
        tokio::spawn(goodbye(self.socket.stream, self.out, Alive::new(common)));
    }
}

/// Writes the last bytes and ends the stream; gives the peer a second to do the same.
async fn goodbye(mut stream: Stream, last: Vec<u8>, alive: Alive) {
    let farewell = async {
        stream.write_all(&last).await?;
        stream.shutdown().await?;
        let mut ignored = [0; 512];
        while stream.read(&mut ignored).await? > 0 {}
        io::Result::Ok(())
    };
    // Nobody is left who would care how it went.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(1), farewell).await;
    drop(alive);
}
