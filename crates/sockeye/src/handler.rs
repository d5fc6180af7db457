//! From an incoming packet to the application's function and back to an answer.
//!
//! The hall hands over a [`Call`]; every argument of the function is an extractor that takes what it needs from it
//! ([`crate::extract`]), straight from the bytes in the read buffer; the function makes a future, which is boxed
//! once and goes back to the hall together with the ack that its result will answer. Nothing else is allocated.
//!
//! Nothing in here may wait, spawn, or know a namespace's listeners: when a handler runs, beside what, and what
//! happens when it panics is the hall's business.

mod call;
mod connect;
mod reply;

pub use call::{Call, ConnectCall, DisconnectCall};
pub use connect::{ConnectHandler, ConnectReply, DisconnectHandler, Middleware};
pub(crate) use connect::{Connector, Disconnector, Gate};
pub use reply::{Duty, Reply};
pub use sockeye_proto::event::Ack;

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::ack::AckSender;
use crate::extract::{FromEvent, Mismatch};
use crate::state::Needs;

/// A future that has been put in its box.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What an event handler is: an async function or closure of up to ten extractors.
///
/// Every argument implements [`FromEvent`] (see [`crate::extract`] for the list), the result implements [`Reply`].
/// When the compiler refuses a function here, put `#[sockeye::handler]` above it: it then says which argument or
/// result is the reason.
///
/// Not implemented by hand: `M` only tells apart functions of different arguments.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event handler",
    label = "every argument must be an extractor, the result a reply",
    note = "a handler is an async fn or closure of up to ten extractors (`Socket`, `Data<T>`, `State<T>`, …)",
    note = "put `#[sockeye::handler]` above the function to learn which argument is wrong"
)]
pub trait Handler<M>: Send + Sync + 'static {
    /// The event named by a typed argument (`#[derive(Event)]`), if there is one.
    const EVENT: Option<&'static str>;
    /// Takes the arguments from `call` and starts the function.
    fn call(&self, call: Call<'_>) -> Started;
    /// Collects what the arguments need from the server.
    fn needs(needs: &mut Needs);
}

/// How far a handler came while the event was still in the read buffer.
#[derive(Debug)]
pub enum Started {
    /// The function was called; this is its future, not polled yet. It answers the ack itself.
    Running(Running),
    /// An argument did not fit; the function was not called. The ack comes back, for whoever decides on an error
    /// answer.
    Mismatch(Mismatch, Option<AckSender>),
}

/// A handler under way. Polling and dropping it run the application's code, which may panic.
pub struct Running(BoxFuture<Outcome>);

impl Running {
    pub(crate) fn new(future: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl Future for Running {
    type Output = Outcome;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Running")
    }
}

/// How an event ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The handler ended and answered nothing: nobody waits, or an [`AckSender`] of its own answers later.
    Done,
    /// The answer was sent.
    Answered {
        /// Bytes of the answer's packet as the client's dialect writes it, attachments included.
        bytes: usize,
    },
    /// The handler returned an error, of this message; sent as an error answer if one was awaited.
    Failed {
        /// What the client may read of it.
        message: String,
    },
    /// A layer refused the event before any handler saw it.
    Refused {
        /// What the client may read of it.
        message: String,
    },
    /// A layer dropped the event silently.
    Dropped,
    /// The payload did not fit the handler's arguments.
    Mismatch,
    /// The handler panicked.
    Panicked,
    /// No handler listens to this event.
    Unheard,
}

/// An event handler of whatever arguments, as a namespace keeps it.
#[derive(Clone)]
pub(crate) struct Listener(Arc<dyn ErasedHandler>);

impl Listener {
    pub(crate) fn new<M: 'static, H: Handler<M>>(handler: H) -> Self {
        let mut needs = Needs::default();
        H::needs(&mut needs);
        Self(Arc::new(Erased { handler, needs, kind: std::marker::PhantomData::<fn() -> M> }))
    }

    /// Runs the extractors and calls the function. May panic where user code does.
    pub(crate) fn call(&self, call: Call<'_>) -> Started {
        self.0.call(call)
    }

    /// What must be there when the server is built.
    pub(crate) fn needs(&self) -> &Needs {
        self.0.needs()
    }

    /// The function's path, for errors and logs.
    pub(crate) fn name(&self) -> &'static str {
        self.0.name()
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({})", self.name())
    }
}

trait ErasedHandler: Send + Sync {
    fn call(&self, call: Call<'_>) -> Started;
    fn needs(&self) -> &Needs;
    fn name(&self) -> &'static str;
}

struct Erased<H, M> {
    handler: H,
    needs: Needs,
    kind: std::marker::PhantomData<fn() -> M>,
}

impl<M: 'static, H: Handler<M>> ErasedHandler for Erased<H, M> {
    fn call(&self, call: Call<'_>) -> Started {
        self.handler.call(call)
    }
    fn needs(&self) -> &Needs {
        &self.needs
    }
    fn name(&self) -> &'static str {
        type_name::<H>()
    }
}

pin_project_lite::pin_project! {
    // By hand and not as an async block, which would keep room for the function's future twice.
    struct Answering<F> {
        #[pin]
        future: F,
        ack: Option<AckSender>,
    }
}

impl<F> Future for Answering<F>
where
    F: Future,
    F::Output: Reply,
{
    type Output = Outcome;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = self.project();
        let result = ready!(this.future.poll(cx));
        Poll::Ready(result.reply(Duty::of::<F>(this.ack.take())))
    }
}

/// The first of the arguments' events.
const fn event_of(events: &[Option<&'static str>]) -> Option<&'static str> {
    let mut at = 0;
    while at < events.len() {
        if events[at].is_some() {
            return events[at];
        }
        at += 1;
    }
    None
}

macro_rules! handlers {
    ($($arg:ident)*) => {
        impl<F, Fut, $($arg,)*> Handler<($($arg,)*)> for F
        where
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: Reply,
            $($arg: FromEvent,)*
        {
            const EVENT: Option<&'static str> = event_of(&[$($arg::EVENT),*]);

            #[allow(non_snake_case, unused_mut)]
            fn call(&self, mut call: Call<'_>) -> Started {
                $(
                    let $arg = match $arg::from_event(&mut call) {
                        Ok(value) => value,
                        Err(mismatch) => return Started::Mismatch(mismatch, call.take_ack()),
                    };
                )*
                let future = self($($arg),*);
                Started::Running(Running::new(Answering { future, ack: call.take_ack() }))
            }
            #[allow(unused_variables)]
            fn needs(needs: &mut Needs) {
                $($arg::needs(needs);)*
            }
        }
    };
}

handlers!();
handlers!(A);
handlers!(A B);
handlers!(A B C);
handlers!(A B C D);
handlers!(A B C D E);
handlers!(A B C D E G);
handlers!(A B C D E G H);
handlers!(A B C D E G H I);
handlers!(A B C D E G H I J);
handlers!(A B C D E G H I J K);
