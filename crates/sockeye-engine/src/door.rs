//! The front door: plain requests for the engine on our own listener, answered without an HTTP library between.
//!
//! One task has one connection. It reads a head, has the engine answer it, writes the answer in one piece, and goes on
//! with the next; when the answer is a WebSocket that opens a session, the same task becomes the session's, with nothing
//! left of HTTP but the timer. A connection on which anything but a plain request comes (`head.rs` says what that is) is
//! hyper's from there on, with the bytes in which it came: hyper is the only judge of everything unusual, and serves
//! what is not the engine's.
//!
//! Who may, and what is answered, is decided in `service.rs`, here as under any other host. Nothing here does. A
//! connection owns no buffer while nothing is under way on it.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::Either;
use hyper::body::Incoming;
use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, timeout};

use crate::alarm::Alarm;
use crate::head::{self, Bounds, Head, Shape};
use crate::serve::{Visit, accept, encrypt, hyper};
use crate::service::{Answer, Upgrade};
use crate::stream::Stream;
use crate::task::{Task, with_scratch};
use crate::{Application, Body, Engine, Link, Listener, Peer, ServeOptions, reply};

/// How much is read in one go.
const READ: usize = 64 * 1024;
/// The largest body that is copied behind its head, so that one plain write takes both.
const FLAT: usize = 16 * 1024;

impl<A: Application> Engine<A> {
    /// Accepts connections until `stop` is done, as [`serve`](crate::serve()) does, and answers this engine's requests on
    /// them; all others go to `others`. This is the cheapest way in: a poll costs about half of what it does under
    /// another host.
    pub async fn serve<F, Fut, B>(
        &self,
        listener: impl Into<Listener>,
        options: ServeOptions,
        others: F,
        stop: impl Future<Output = ()>,
    ) where
        F: Fn(Request<Incoming>, Peer) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<B>> + Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let bounds =
            Bounds { head: options.max_head, headers: options.max_headers, body: self.config().max_payload };
        let house = Arc::new(House {
            engine: self.clone(),
            others,
            options: options.clone(),
            bounds,
            stopping: AtomicBool::new(false),
        });
        let stop = async {
            stop.await;
            house.stopping.store(true, Relaxed);
        };
        let receive = |visit| {
            tokio::spawn(Attending::Door(Box::pin(attend(house.clone(), visit))));
        };
        accept(listener.into(), &options, receive, stop).await;
    }
}

/// What all connections of one listener have in common.
struct House<A: Application, F> {
    engine: Engine<A>,
    others: F,
    options: ServeOptions,
    bounds: Bounds,
    /// Connections are to come to an end.
    stopping: AtomicBool,
}

/// A connection's task: at the door first, and then a session's, perhaps.
#[allow(clippy::large_enum_variant, reason = "most of those that live long are sessions")]
enum Attending<L: Link> {
    Door(Pin<Box<dyn Future<Output = Option<Task<L>>> + Send>>),
    Session(Task<L>),
}

impl<L: Link> Future for Attending<L> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut *self {
                Attending::Door(door) => match ready!(door.as_mut().poll(cx)) {
                    Some(task) => *self = Attending::Session(task),
                    None => return Poll::Ready(()),
                },
                Attending::Session(task) => return Pin::new(task).poll(cx),
            }
        }
    }
}

/// Serves a connection until it ends, is to end, or is a session.
async fn attend<A, F, Fut, B>(house: Arc<House<A, F>>, visit: Visit) -> Option<Task<A::Link>>
where
    A: Application,
    F: Fn(Request<Incoming>, Peer) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Visit { stream, peer, mut stopping, place } = visit;
    let end = stopping.clone();
    let mut leave = pin!(async move {
        // The first says that an end is near, the second that it is here.
        let _ = stopping.changed().await;
        let _ = stopping.changed().await;
    });
    let mut door = pin!(at_the_door(&house, stream, peer, end));
    let (mut waits, mut told) = (false, false);
    let task = poll_fn(|cx| {
        if let Poll::Ready(task) = door.as_mut().poll(cx) {
            return Poll::Ready(task);
        }
        // It waits in a list, which is worth looking after only when there is news.
        let stopping = house.stopping.load(Relaxed);
        if !waits || stopping {
            waits = true;
            if leave.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
        }
        if house.stopping.load(Relaxed) && !std::mem::replace(&mut told, true) {
            // It may have looked just before.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
    drop(place);
    task
}

async fn at_the_door<A, F, Fut, B>(
    house: &House<A, F>,
    stream: Stream,
    peer: Peer,
    mut end: tokio::sync::watch::Receiver<()>,
) -> Option<Task<A::Link>>
where
    A: Application,
    F: Fn(Request<Incoming>, Peer) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let House { engine, others, options, .. } = house;
    let (stream, peer) = encrypt(stream, peer, options).await?;
    let mut wire = Wire { stream, unread: Bytes::new(), owed: 0, patience: options.write_timeout };
    let mut alarm = Alarm::new();
    loop {
        let Some(Head { parts, length, body }) = wire.head(house, &mut alarm).await? else {
            let service = |request: Request<Incoming>| async move {
                if engine.wants(request.uri().path()) {
                    engine.handle(request, peer).await.map(Either::Left)
                } else {
                    others(request, peer).await.map(Either::Right)
                }
            };
            drop(alarm);
            let Wire { stream, unread, .. } = wire;
            // Boxed, so that those who never need it have no room for it.
            Box::pin(hyper(unread, stream, options, service, &mut end)).await;
            return None;
        };
        wire.unread.advance(length);
        let Answer { response, upgrade } = if body <= wire.unread.len() {
            let body = Body::new(wire.unread.split_to(body));
            wire.watch(engine.answer(&parts, Some(body), peer)).await?
        } else {
            wire.owed = body;
            engine.answer(&parts, Some(Rest(&mut wire)), peer).await
        };
        if let Some(upgrade) = upgrade {
            drop(parts);
            return wire.upgrade(engine, upgrade, &response, alarm).await;
        }
        keep(parts.headers);
        // Who was answered before all was sent has said things that nobody will look at.
        let last = house.stopping.load(Relaxed) || wire.owed > 0 || reply::closes(response.headers());
        wire.write(response, last).await.ok()?;
        if last {
            let _ = timeout(wire.patience, wire.stream.shutdown()).await;
            return None;
        }
    }
}

/// A connection, and what has been read of it.
struct Wire {
    stream: Stream,
    unread: Bytes,
    /// How much of a body is still to come.
    owed: usize,
    patience: Duration,
}

impl Wire {
    /// Waits for the next head. `None` in it: hyper's business. `None` for it: the connection is over.
    async fn head<A: Application, F>(
        &mut self,
        house: &House<A, F>,
        alarm: &mut Alarm,
    ) -> Option<Option<Head>> {
        let start = Instant::now();
        let mut seen = 0;
        loop {
            if self.unread.len() > seen && head::may_be_complete(&self.unread, seen) {
                match head::read(&self.unread, &house.bounds, spare(), |path| house.engine.wants(path)) {
                    Shape::Plain(head) => return Some(Some(head)),
                    Shape::Odd => return Some(None),
                    Shape::Partial => {}
                }
            }
            if self.unread.len() > house.bounds.head {
                return Some(None);
            }
            seen = self.unread.len();
            poll_fn(|cx| {
                // A request that has begun to come is still answered.
                if self.unread.is_empty() && house.stopping.load(Relaxed) {
                    return Poll::Ready(None);
                }
                match self.poll_more(cx) {
                    Poll::Ready(Ok(count)) => Poll::Ready((count > 0).then_some(())),
                    Poll::Ready(Err(_)) => Poll::Ready(None),
                    Poll::Pending => {
                        let until = start + house.options.head_timeout;
                        alarm.poll(until, Instant::now(), cx).map(|()| None)
                    }
                }
            })
            .await?;
        }
    }

    /// Reads what has come. Gives the number of bytes, 0 at the end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        with_scratch(|scratch| {
            let count = ready!(poll_read(&mut self.stream, cx, &mut scratch[..READ]))?;
            let fresh = &scratch[..count];
            self.unread = match std::mem::take(&mut self.unread) {
                unread if unread.is_empty() => Bytes::copy_from_slice(fresh),
                unread => {
                    let mut all = BytesMut::from(unread);
                    all.extend_from_slice(fresh);
                    all.freeze()
                }
            };
            Poll::Ready(Ok(count))
        })
    }

    /// Waits for an answer, as long as the client does. What that sends meanwhile is kept; behind it nothing is read,
    /// and so nobody's end is seen.
    async fn watch<T>(&mut self, answer: impl Future<Output = T>) -> Option<T> {
        let mut answer = pin!(answer);
        poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(Some(answer));
            }
            if self.unread.is_empty() {
                match self.poll_more(cx) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(None),
                    Poll::Ready(Ok(_)) | Poll::Pending => {}
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Writes an answer. Should the client not take it all, what it carried is lost, and its session hears of it.
    async fn write(&mut self, response: Response<Body>, last: bool) -> io::Result<()> {
        // Most answers are written from a buffer of the thread, in one call.
        let (mut head, mut body) = poll_fn(|cx| Poll::Ready(self.write_now(&response, last, cx))).await?;
        while !head.is_empty() || !body.is_empty() {
            let wrote = timeout(self.patience, poll_fn(|cx| self.poll_write(&head, &body, cx))).await??;
            let of_head = wrote.min(head.len());
            head.advance(of_head);
            body.advance(wrote - of_head);
        }
        // Sockets have nothing to flush.
        if let Stream::Other(stream) = &mut self.stream {
            timeout(self.patience, stream.flush()).await??;
        }
        response.into_body().delivered();
        Ok(())
    }

    /// Writes what can be written at once. Gives what is left of head and body.
    fn write_now(
        &mut self,
        response: &Response<Body>,
        last: bool,
        cx: &mut Context<'_>,
    ) -> io::Result<(Bytes, Bytes)> {
        thread_local! {
            static OUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        let mut out = OUT.take();
        out.clear();
        reply::head(response, last, &mut out);
        let mut body = response.body().bytes().clone();
        if body.len() <= FLAT {
            out.extend_from_slice(&body);
            body = Bytes::new();
        }
        let wrote = match self.poll_write(&out, &body, cx) {
            Poll::Ready(wrote) => wrote?,
            Poll::Pending => 0,
        };
        let of_head = wrote.min(out.len());
        body.advance(wrote - of_head);
        let left = Bytes::copy_from_slice(&out[of_head..]);
        OUT.set(out);
        Ok((left, body))
    }

    fn poll_write(&mut self, head: &[u8], body: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let wrote = ready!(match (head, body) {
            (head, []) => stream.poll_write(cx, head),
            ([], body) => stream.poll_write(cx, body),
            (head, body) => stream.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(body)]),
        })?;
        Poll::Ready(if wrote == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(wrote) })
    }

    /// The connection becomes a WebSocket: of a new session, which is given back, or of one that there is.
    async fn upgrade<A: Application>(
        mut self,
        engine: &Engine<A>,
        upgrade: Upgrade,
        response: &Response<Body>,
        alarm: Alarm,
    ) -> Option<Task<A::Link>> {
        let mut hello = Vec::with_capacity(256);
        reply::head(response, false, &mut hello);
        // A socket that anyone may write takes it together with the session's first packet.
        if !upgrade.opens() || matches!(self.stream, Stream::Other(_)) {
            let write = async {
                self.stream.write_all(&hello).await?;
                self.stream.flush().await
            };
            timeout(self.patience, write).await.ok()?.ok()?;
            hello.clear();
        }
        engine.begin(upgrade, self.stream, self.unread, hello.into(), alarm)
    }
}

/// A body of which not all is here yet.
struct Rest<'a>(&'a mut Wire);

impl http_body::Body for Rest<'_> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let wire = &mut *self.0;
        if wire.owed == 0 {
            return Poll::Ready(None);
        }
        if wire.unread.is_empty() && ready!(wire.poll_more(cx))? == 0 {
            return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
        }
        let data = wire.unread.split_to(wire.owed.min(wire.unread.len()));
        wire.owed -= data.len();
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.owed == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.owed as u64)
    }
}

fn poll_read(stream: &mut Stream, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut room = ReadBuf::new(room);
    ready!(Pin::new(stream).poll_read(cx, &mut room))?;
    Poll::Ready(Ok(room.filled().len()))
}

thread_local! {
    /// An empty map of headers that has been used: most requests find its memory large enough.
    static SPARE: Cell<Option<HeaderMap>> = const { Cell::new(None) };
}

fn spare() -> HeaderMap {
    SPARE.take().unwrap_or_default()
}

fn keep(mut headers: HeaderMap) {
    if headers.capacity() <= 64 {
        headers.clear();
        SPARE.set(Some(headers));
    }
}
