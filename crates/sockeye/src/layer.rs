//! Layers: functions around every incoming event of a namespace, for limits, rights, logs and figures.
//!
//! Where none is registered nothing in here runs. Where one is, the event is copied out of the read buffer first,
//! because a layer may wait before it lets the handlers see it.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use serde::de::DeserializeOwned;
use sockeye_proto::socket::Arguments;

use crate::ack::AckSender;
use crate::extract::Mismatch;
use crate::handler::{BoxFuture, Outcome, Running};
use crate::socket::Socket;
use sockeye_proto::event::{IntoRefusal, Refusal};

/// Something around every event of a namespace: an async function of the event and of what comes [`Next`].
///
/// It decides whether and when `next.run()` lets the next layer and in the end the handlers see the event, and learns
/// from it how that ended. It returns that [`Outcome`], or an error: then the event ends there, and a client that
/// awaits an answer gets the error answer (see [`Refusal`]). To drop an event silently, return
/// [`Outcome::Dropped`] without running `next`.
///
/// Events keep their order as long as no layer waits before `next.run()`.
///
/// ```
/// use sockeye::layer::{Incoming, Next};
/// use sockeye::{Outcome, Refusal};
/// use std::time::Instant;
///
/// async fn log(event: Incoming, next: Next) -> Outcome {
///     let start = Instant::now();
///     let outcome = next.run().await;
///     println!("{} ({} bytes): {outcome:?} in {:?}", event.name(), event.size(), start.elapsed());
///     outcome
/// }
///
/// async fn members_only(event: Incoming, next: Next) -> Result<Outcome, Refusal> {
///     if event.name().starts_with("admin:") {
///         return Err(Refusal::new("members only"));
///     }
///     Ok(next.run().await)
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer",
    note = "a layer is an async fn of (`Incoming`, `Next`) that returns `Outcome` or `Result<Outcome, impl IntoRefusal>`"
)]
pub trait Layer<M>: Send + Sync + 'static {
    /// Sees one event.
    fn see(&self, event: Incoming, next: Next) -> BoxFuture<Result<Outcome, Refusal>>;
}

impl<F, Fut> Layer<()> for F
where
    F: Fn(Incoming, Next) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: LayerReply,
{
    fn see(&self, event: Incoming, next: Next) -> BoxFuture<Result<Outcome, Refusal>> {
        let future = self(event, next);
        Box::pin(async move { future.await.result() })
    }
}

/// What a layer returns: an [`Outcome`], or a `Result` of it with an error for the client.
#[diagnostic::on_unimplemented(
    message = "a layer cannot return `{Self}`",
    note = "return the `Outcome` that `next.run().await` gave, or `Result<Outcome, E>` where `E` is `Refusal` or implements `IntoRefusal`"
)]
pub trait LayerReply {
    /// The outcome, or the refusal.
    fn result(self) -> Result<Outcome, Refusal>;
}

impl LayerReply for Outcome {
    fn result(self) -> Result<Outcome, Refusal> {
        Ok(self)
    }
}

impl<E: IntoRefusal> LayerReply for Result<Outcome, E> {
    fn result(self) -> Result<Outcome, Refusal> {
        self.map_err(IntoRefusal::into_refusal)
    }
}

/// An event on its way to the handlers. Cheap to clone.
#[derive(Clone)]
pub struct Incoming(Arc<Inner>);

struct Inner {
    socket: Socket,
    name: Box<str>,
    args: Arguments<'static>,
    wants_ack: bool,
}

impl Incoming {
    /// The socket that sent it.
    pub fn socket(&self) -> &Socket {
        &self.0.socket
    }

    /// The event's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Bytes of JSON text and attachments.
    pub fn size(&self) -> usize {
        self.0.args.text().len() + self.0.args.attachments().iter().map(|bytes| bytes.len()).sum::<usize>()
    }

    /// Whether the client awaits an answer.
    pub fn wants_ack(&self) -> bool {
        self.0.wants_ack
    }

    /// The arguments as they came.
    pub fn args(&self) -> &Arguments<'static> {
        &self.0.args
    }

    /// Reads the first argument.
    ///
    /// # Errors
    /// When it does not fit `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Mismatch> {
        self.0.args.arg().map_err(|error| Mismatch::payload::<T>(error.argument, &error.message))
    }
}

impl fmt::Debug for Incoming {
    // Never the arguments: they are the users' secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("name", &self.name())
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

/// What comes behind a layer: the next layer, or the handlers.
pub struct Next {
    at: usize,
    passage: Arc<Passage>,
}

impl Next {
    /// Lets the event go on; tells how it ended.
    ///
    /// Dropping the returned future stops the handlers where they are waiting.
    pub async fn run(self) -> Outcome {
        self.passage.enter(self.at).await
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Next")
    }
}

/// The layers of a namespace, outermost first.
#[derive(Clone, Default)]
pub(crate) struct Layers(Arc<[Arc<dyn ErasedLayer>]>);

impl Layers {
    /// Adds one inside of those that are there.
    pub(crate) fn push<M: 'static, L: Layer<M>>(&mut self, layer: L) {
        let layer: Arc<dyn ErasedLayer> = Arc::new(Erased(layer, std::marker::PhantomData::<fn() -> M>));
        self.0 = self.0.iter().cloned().chain([layer]).collect();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends an event through all layers. `handlers` is called by the innermost, at most once: it starts the
    /// handlers and gives a future of how they end. Nothing has run when this returns; poll the result.
    pub(crate) fn run(
        &self,
        socket: &Socket,
        name: &str,
        args: &Arguments<'_>,
        ack: Option<AckSender>,
        handlers: impl FnOnce(&Incoming, Option<AckSender>) -> Running + Send + 'static,
    ) -> Running {
        let event = Incoming(Arc::new(Inner {
            socket: socket.clone(),
            name: name.into(),
            args: args.clone().into_owned(),
            wants_ack: ack.is_some(),
        }));
        let core = Core { ack, handlers: Some(Box::new(handlers)), panic: None };
        let passage = Arc::new(Passage { layers: self.clone(), event, core: Mutex::new(core) });
        Running::new(async move {
            let outcome = Arc::clone(&passage).enter(0).await;
            // The layers have seen it as an outcome; whoever deals with panics must see it as what it is.
            let panic = passage.core().panic.take();
            match panic {
                Some(panic) => resume_unwind(panic),
                None => outcome,
            }
        })
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Layers({})", self.0.len())
    }
}

/// One event on its way through the layers.
struct Passage {
    layers: Layers,
    event: Incoming,
    core: Mutex<Core>,
}

type Handlers = Box<dyn FnOnce(&Incoming, Option<AckSender>) -> Running + Send>;

/// What the innermost layer reaches; taken by whoever comes first, the handlers or a refusal.
struct Core {
    ack: Option<AckSender>,
    handlers: Option<Handlers>,
    /// What a handler panicked with.
    panic: Option<Box<dyn Any + Send>>,
}

impl Passage {
    fn enter(self: Arc<Self>, at: usize) -> BoxFuture<Outcome> {
        let Some(layer) = self.layers.0.get(at).cloned() else {
            return Box::pin(async move { self.handle().await });
        };
        Box::pin(async move {
            let next = Next { at: at + 1, passage: Arc::clone(&self) };
            match layer.see(self.event.clone(), next).await {
                Ok(outcome) => outcome,
                Err(refusal) => self.refuse(&refusal),
            }
        })
    }

    async fn handle(&self) -> Outcome {
        let (handlers, ack) = {
            let mut core = self.core();
            (core.handlers.take(), core.ack.take())
        };
        // `Next` is consumed by `run`, so nobody comes here twice.
        let Some(handlers) = handlers else { return Outcome::Dropped };
        let ended = match catch_unwind(AssertUnwindSafe(|| handlers(&self.event, ack))) {
            Ok(running) => caught(running).await,
            Err(panic) => Err(panic),
        };
        ended.unwrap_or_else(|panic| {
            self.core().panic = Some(panic);
            Outcome::Panicked
        })
    }

    fn refuse(&self, refusal: &Refusal) -> Outcome {
        let ack = self.core().ack.take();
        tracing::debug!(refusal = refusal.message(), cause = refusal.cause(), "a layer refused an event");
        if let Some(ack) = ack {
            ack.refuse(refusal);
        }
        Outcome::Refused { message: refusal.message().to_owned() }
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handler's outcome, or its panic. After a panic the future is not touched again, so nothing broken is seen.
async fn caught(mut running: Running) -> Result<Outcome, Box<dyn Any + Send>> {
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut running).poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(outcome)) => Poll::Ready(Ok(outcome)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

trait ErasedLayer: Send + Sync {
    fn see(&self, event: Incoming, next: Next) -> BoxFuture<Result<Outcome, Refusal>>;
}

struct Erased<L, M>(L, std::marker::PhantomData<fn() -> M>);

impl<M, L: Layer<M>> ErasedLayer for Erased<L, M> {
    fn see(&self, event: Incoming, next: Next) -> BoxFuture<Result<Outcome, Refusal>> {
        self.0.see(event, next)
    }
}
