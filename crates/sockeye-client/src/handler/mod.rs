//! From an event of the server to the application's function and back to an answer.
//!
//! Every argument of the function is an extractor ([`crate::extract`]); the function makes a future, which is polled
//! once right there, and goes to a task of its own if it waits. What it returns answers the server's acknowledgement.

mod reply;

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sockeye_proto::client::Reason;
use sockeye_proto::socket::Arguments;

pub use reply::{Duty, Reply};
pub use sockeye_proto::event::Ack;

use crate::ack::AckSender;
use crate::extract::{FromEvent, Mismatch};
use crate::socket::Socket;
use crate::states::States;

/// A future that has been put in its box.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One incoming event, for extractors to take from.
pub struct Call<'a> {
    socket: &'a Socket,
    name: &'a str,
    args: &'a Arguments<'a>,
    ack: Option<AckSender>,
    states: &'a States,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        socket: &'a Socket,
        name: &'a str,
        args: &'a Arguments<'a>,
        ack: Option<AckSender>,
        states: &'a States,
    ) -> Self {
        Self { socket, name, args, ack, states }
    }

    /// The socket that heard it.
    pub fn socket(&self) -> &'a Socket {
        self.socket
    }

    /// The event's name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The arguments, unread.
    pub fn args(&self) -> &'a Arguments<'a> {
        self.args
    }

    /// Whether the server awaits an answer that no extractor has taken over yet.
    pub fn wants_ack(&self) -> bool {
        self.ack.is_some()
    }

    /// Takes over the duty to answer; the handler's return value then answers nothing.
    pub fn take_ack(&mut self) -> Option<AckSender> {
        self.ack.take()
    }

    pub(crate) fn states(&self) -> &'a States {
        self.states
    }
}

impl fmt::Debug for Call<'_> {
    // Never the arguments: they are the users' secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("name", &self.name)
            .field("ack", &self.ack.is_some())
            .finish_non_exhaustive()
    }
}

/// What an event handler is: an async function or closure of up to eight extractors.
///
/// Every argument implements [`FromEvent`], the result implements [`Reply`]. Not implemented by hand: `M` only tells
/// apart functions of different arguments.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event handler",
    label = "every argument must be an extractor, the result a reply",
    note = "a handler is an async fn or closure of up to eight extractors (`Socket`, `Data<T>`, `State<T>`, …)"
)]
pub trait Handler<M>: Send + Sync + 'static {
    /// The event named by a typed argument (`#[derive(Event)]`), if there is one.
    const EVENT: Option<&'static str>;
    /// Takes the arguments from `call` and starts the function.
    fn call(&self, call: Call<'_>) -> Started;
}

/// How far a handler came at once.
pub enum Started {
    /// The function was called; this is its future, not polled yet. It answers by itself.
    Running(BoxFuture<()>),
    /// An argument did not fit; the function was not called. The duty to answer comes back.
    Mismatch(Mismatch, Option<AckSender>),
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(_) => f.write_str("Running"),
            Self::Mismatch(mismatch, _) => f.debug_tuple("Mismatch").field(mismatch).finish(),
        }
    }
}

/// An event handler of whatever arguments, or a stream.
#[derive(Clone)]
pub(crate) struct Listener {
    /// For logs.
    pub(crate) name: &'static str,
    call: Arc<dyn Fn(Call<'_>) -> Started + Send + Sync>,
}

impl Listener {
    pub(crate) fn new<M: 'static, H: Handler<M>>(handler: H) -> Self {
        Self { name: type_name::<H>(), call: Arc::new(move |call| handler.call(call)) }
    }

    pub(crate) fn plain(
        name: &'static str,
        call: impl Fn(Call<'_>) -> Started + Send + Sync + 'static,
    ) -> Self {
        Self { name, call: Arc::new(call) }
    }

    /// May panic where the application does.
    pub(crate) fn call(&self, call: Call<'_>) -> Started {
        (self.call)(call)
    }
}

/// Hears that a namespace accepted.
pub(crate) type Connected = Arc<dyn Fn(Socket) -> BoxFuture<()> + Send + Sync>;
/// Hears that it is over.
pub(crate) type Disconnected = Arc<dyn Fn(Socket, Reason) -> BoxFuture<()> + Send + Sync>;
/// Hears why there is no connection.
pub(crate) type Turned = Arc<dyn Fn(Socket, crate::ConnectError) -> BoxFuture<()> + Send + Sync>;

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
    ($($arg:ident $via:ident),*) => {
        impl<F, Fut, $($arg, $via,)*> Handler<(($($arg,)*), ($($via,)*))> for F
        where
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: Reply,
            $($arg: FromEvent<$via>,)*
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
                let duty = Duty::of::<Fut>(call.take_ack());
                let future = self($($arg),*);
                Started::Running(Box::pin(async move { future.await.reply(duty) }))
            }
        }
    };
}

handlers!();
handlers!(A VA);
handlers!(A VA, B VB);
handlers!(A VA, B VB, C VC);
handlers!(A VA, B VB, C VC, D VD);
handlers!(A VA, B VB, C VC, D VD, E VE);
handlers!(A VA, B VB, C VC, D VD, E VE, G VG);
handlers!(A VA, B VB, C VC, D VD, E VE, G VG, H VH);
handlers!(A VA, B VB, C VC, D VD, E VE, G VG, H VH, I VI);
