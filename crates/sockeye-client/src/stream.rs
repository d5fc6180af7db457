//! Events as streams.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use serde::de::DeserializeOwned;
use sockeye_proto::event::{Event, read};
use sockeye_proto::socket::Payload;

use crate::ack::AckSender;
use crate::error::Missed;
use crate::handler::{Listener, Started};
use crate::listeners::ListenerId;
use crate::socket::Socket;
use crate::sync::lock;

/// What a stream keeps for who reads it slowly; beyond, the oldest goes, and the stream says so.
const KEPT: usize = 10_000;

/// One event of the server, unread.
#[derive(Debug)]
pub struct Incoming {
    /// Its name.
    pub name: String,
    /// Its name and arguments; [`Payload::event_arguments`] reads them.
    pub payload: Payload,
    /// The duty to answer, if the server asks for an answer and no handler was asked before.
    pub ack: Option<AckSender>,
}

/// A stream of typed events: [`Socket::events`]. Ends when the client is closed.
///
/// It is a handle of the connection, as the socket is.
#[derive(Debug)]
pub struct Events<E> {
    inner: Received,
    event: PhantomData<fn() -> E>,
}

impl<E: Event + DeserializeOwned + Send + 'static> Events<E> {
    /// The next one; `None` when the client is closed. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<E, Missed>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<E: Event + DeserializeOwned + Send + 'static> Stream for Events<E> {
    type Item = Result<E, Missed>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.inner).poll_next(cx).map(|next| {
            next.map(|incoming| {
                let incoming = incoming?;
                let event = read::<E>(&incoming.payload.event_arguments())?;
                Ok(event)
            })
        })
    }
}

/// A stream of unread events: [`Socket::received`]. Ends when the client is closed.
///
/// It is a handle of the connection, as the socket is.
pub struct Received {
    socket: Socket,
    id: ListenerId,
    shelf: Arc<Mutex<Shelf>>,
}

struct Shelf {
    events: VecDeque<Incoming>,
    lost: u64,
    waker: Option<Waker>,
    closed: bool,
}

impl Received {
    /// The next one; `None` when the client is closed. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Incoming, Missed>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Received {
    type Item = Result<Incoming, Missed>;
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut shelf = lock(&self.shelf);
        if shelf.lost > 0 {
            return Poll::Ready(Some(Err(Missed::Lagged(std::mem::take(&mut shelf.lost)))));
        }
        if let Some(event) = shelf.events.pop_front() {
            return Poll::Ready(Some(Ok(event)));
        }
        if shelf.closed {
            return Poll::Ready(None);
        }
        shelf.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.socket.off(self.id);
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("socket", &self.socket).finish_non_exhaustive()
    }
}

pub(crate) fn events<E: Event>(socket: &Socket) -> Events<E> {
    Events { inner: received(socket, Some(E::NAME)), event: PhantomData }
}

pub(crate) fn received(socket: &Socket, name: Option<&str>) -> Received {
    let shelf = Arc::new(Mutex::new(Shelf { events: VecDeque::new(), lost: 0, waker: None, closed: false }));
    let end = End(Arc::clone(&shelf));
    let listener = Listener::plain("a stream of events", move |mut call| {
        let incoming = Incoming {
            name: call.name().to_owned(),
            payload: call.args().to_payload(),
            ack: call.take_ack(),
        };
        let mut shelf = lock(&end.0);
        shelf.events.push_back(incoming);
        let given_way = if shelf.events.len() > KEPT { shelf.events.pop_front() } else { None };
        shelf.lost = shelf.lost.saturating_add(u64::from(given_way.is_some()));
        let waker = shelf.waker.take();
        drop(shelf);
        if let Some(waker) = waker {
            waker.wake();
        }
        Started::Running(Box::pin(std::future::ready(())))
    });
    let id = socket.listen(name, listener);
    Received { socket: socket.clone(), id, shelf }
}

/// Held by the listener: when the client lets go of it, the stream is at its end.
struct End(Arc<Mutex<Shelf>>);

impl Drop for End {
    fn drop(&mut self) {
        let mut shelf = lock(&self.0);
        shelf.closed = true;
        if let Some(waker) = shelf.waker.take() {
            waker.wake();
        }
    }
}
