//! How the application's functions are run: started in order by polling them once right where the event arrived,
//! caught when they panic, counted while they wait.
//!
//! Most handlers are finished after the first poll and cost nothing more. One that waits moves to a task of its own and
//! counts against its socket's bound; at the bound the session stops reading until one has ended.

use std::any::Any;
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use sockeye_engine::{Reason, Session};

use crate::gate;
use crate::handler::{Outcome, Running};
use crate::server::Core;
use crate::socket::Socket;
use crate::sync::lock;

/// What is unfinished of one socket's: handlers that wait in tasks and serial ones that have not started, and, apart
/// from these, what it was started with and what its end started.
#[derive(Default)]
pub(crate) struct Work {
    handlers: Count,
    aside: Count,
}

/// How much is unfinished, and on top whether its socket has left.
#[derive(Default)]
struct Count(AtomicUsize);

const LEFT: usize = 1 << (usize::BITS - 1);

impl Count {
    fn begun(&self, ties: &Ties) {
        if self.0.fetch_add(1, Ordering::AcqRel) & LEFT != 0 {
            ties.left_over(1);
        }
    }

    /// How many there were before.
    fn ended(&self, ties: &Ties) -> usize {
        let before = self.0.fetch_sub(1, Ordering::AcqRel);
        if before & LEFT != 0 {
            ties.ended();
        }
        before & !LEFT
    }

    fn leave(&self, ties: &Ties) {
        let before = self.0.fetch_or(LEFT, Ordering::AcqRel);
        if before & LEFT == 0 {
            ties.left_over(before as isize);
        }
    }
}

impl Work {
    pub(crate) fn unfinished(&self) -> usize {
        self.handlers.0.load(Ordering::Acquire) & !LEFT
    }

    /// The socket has left: what is unfinished counts against its session now. `unstarted` serial handlers never will
    /// start.
    pub(crate) fn leave(&self, unstarted: usize, ties: &Ties) {
        self.handlers.0.fetch_sub(unstarted, Ordering::AcqRel);
        self.handlers.leave(ties);
        self.aside.leave(ties);
    }

    fn ended(&self, socket: &Socket) {
        let before = self.handlers.ended(&socket.0.ties);
        // Only whoever brings it under the bound has a reason to wake the session.
        if before == socket.server().0.config.max_handlers
            && let Some(member) = socket.member()
        {
            member.session.poke();
        }
    }
}

/// What the sockets of one session have in common, and what outlives them there.
#[derive(Default)]
pub(crate) struct Ties {
    /// Somebody called `close()` on one of them.
    pub(crate) close_all: AtomicBool,
    /// What is unfinished of those that have left. A moment too low while one is leaving.
    left_over: AtomicIsize,
    /// The session, while it waits for these to be fewer.
    waiting: Mutex<Option<Session>>,
}

impl Ties {
    fn left_over(&self, more: isize) {
        self.left_over.fetch_add(more, Ordering::AcqRel);
    }

    fn ended(&self) {
        self.left_over.fetch_sub(1, Ordering::AcqRel);
        let waiting = lock(&self.waiting).take();
        if let Some(session) = waiting {
            session.poke();
        }
    }

    /// The session is over, and waits for nothing any more.
    pub(crate) fn cut(&self) {
        let waiting = lock(&self.waiting).take();
        drop(waiting);
    }

    /// Whether there are `most` or more: then the session is poked when one of them has ended. A client that comes and
    /// goes would get around the bound of its sockets otherwise.
    pub(crate) fn too_many(&self, most: usize, session: &Session) -> bool {
        let many = || self.left_over.load(Ordering::Acquire) >= most as isize;
        if !many() {
            return false;
        }
        *lock(&self.waiting) = Some(session.clone());
        // One may have ended just before.
        many()
    }
}

/// The serial handlers of one socket.
#[derive(Default)]
pub(crate) enum Serial {
    #[default]
    Idle,
    /// One is running; these are extracted and wait for their turn.
    #[allow(clippy::box_collection, reason = "every socket has room for this, hardly any has it")]
    Busy(Box<VecDeque<(&'static str, Running)>>),
    /// The socket has left: no handler starts any more.
    Closed,
}

impl Serial {
    /// Closes the line; gives back those that will never start.
    pub(crate) fn close(&mut self) -> VecDeque<(&'static str, Running)> {
        match std::mem::replace(self, Serial::Closed) {
            Serial::Busy(waiting) => *waiting,
            _ => VecDeque::new(),
        }
    }

    /// The next one, or idle.
    fn next(&mut self) -> Option<(&'static str, Running)> {
        match self {
            Serial::Busy(waiting) => {
                let next = waiting.pop_front();
                if next.is_none() {
                    *self = Serial::Idle;
                }
                next
            }
            _ => None,
        }
    }
}

/// Starts a handler: polls it once; goes on with it in a task if it waits.
pub(crate) fn start(socket: &Socket, name: &'static str, running: Running) {
    let mut running = running;
    match poll_once(&mut running) {
        Ok(Poll::Ready(_)) => {}
        Ok(Poll::Pending) => {
            socket.0.work.handlers.begun(&socket.0.ties);
            let on = socket.clone();
            spawn(&socket.server().0, async move {
                finish(&on, name, running).await;
                on.0.work.ended(&on);
            });
        }
        Err(panic) => panicked(socket, name, &*panic),
    }
}

/// Starts a serial handler when all serial ones before it have ended.
pub(crate) fn start_serial(socket: &Socket, name: &'static str, running: Running) {
    {
        let mut serial = lock(&socket.0.serial);
        match &mut *serial {
            Serial::Closed => return,
            Serial::Busy(waiting) => {
                socket.0.work.handlers.begun(&socket.0.ties);
                waiting.push_back((name, running));
                return;
            }
            Serial::Idle => *serial = Serial::Busy(Box::default()),
        }
    }
    let mut running = running;
    match poll_once(&mut running) {
        Ok(Poll::Pending) => {
            socket.0.work.handlers.begun(&socket.0.ties);
            let on = socket.clone();
            spawn(&socket.server().0, async move {
                let (mut name, mut running) = (name, Some(running));
                loop {
                    if let Some(running) = running.take() {
                        finish(&on, name, running).await;
                    }
                    on.0.work.ended(&on);
                    let next = lock(&on.0.serial).next();
                    let Some((called, mut next)) = next else { break };
                    name = called;
                    // Its start, as the order of last things understands it. If the socket has been sent away
                    // meanwhile, it is dropped instead.
                    gate::start(&on, || match poll_once(&mut next) {
                        Ok(Poll::Pending) => running = Some(next),
                        Ok(Poll::Ready(_)) => {}
                        Err(panic) => panicked(&on, called, &*panic),
                    });
                }
            });
            return;
        }
        Ok(Poll::Ready(_)) => {}
        Err(panic) => panicked(socket, name, &*panic),
    }
    // Nothing can have queued behind it: events of a socket come from one place, and that was busy polling this one.
    lock(&socket.0.serial).next();
}

/// Starts something of the application's that no client waits for: connect and disconnect handlers.
pub(crate) fn detach(socket: &Socket, name: &'static str, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
    let mut future = future;
    match poll_once(&mut future) {
        Ok(Poll::Ready(())) => {}
        Ok(Poll::Pending) => {
            socket.0.work.aside.begun(&socket.0.ties);
            let on = socket.clone();
            spawn(&socket.server().0, async move {
                if let Err(panic) = CatchUnwind(future).await {
                    panicked(&on, name, &*panic);
                }
                on.0.work.aside.ended(&on.0.ties);
            });
        }
        Err(panic) => panicked(socket, name, &*panic),
    }
}

/// Calls something of the application's; `None` if it panicked.
pub(crate) fn guarded<R>(socket: &Socket, name: &'static str, call: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => Some(result),
        Err(panic) => {
            panicked(socket, name, &*panic);
            None
        }
    }
}

async fn finish(socket: &Socket, name: &'static str, running: Running) {
    if let Err(panic) = CatchUnwind(running).await {
        panicked(socket, name, &*panic);
    }
}

/// The panic is this socket's: it leaves, unless the server is told to keep such sockets. Nobody else notices.
fn panicked(socket: &Socket, name: &'static str, panic: &(dyn Any + Send)) {
    let core = &socket.server().0;
    core.panicked(name, panic);
    if !core.config.keep_after_panic {
        socket.depart(Reason::ServerError, true);
    }
}

/// What a panic said, as far as it is text.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}

type Panic = Box<dyn Any + Send>;

/// Polls with a waker that wakes nobody; whoever goes on with the future polls it again first.
pub(crate) fn poll_once<F: Future + Unpin>(future: &mut F) -> Result<Poll<F::Output>, Panic> {
    let mut context = Context::from_waker(Waker::noop());
    catch_unwind(AssertUnwindSafe(|| Pin::new(future).poll(&mut context)))
}

/// Runs a future in a task that the server counts.
pub(crate) fn spawn(
    core: &Arc<Core>,
    future: impl Future<Output = ()> + Send + 'static,
) -> Option<tokio::task::AbortHandle> {
    struct Counted(Arc<Core>);
    impl Drop for Counted {
        fn drop(&mut self) {
            if self.0.counters.tasks.fetch_sub(1, Ordering::AcqRel) == 1 {
                self.0.idle.notify_waiters();
            }
        }
    }
    // A socket may be told to leave from a thread outside of the runtime; its handlers still belong inside.
    let Some(runtime) = core.runtime() else {
        tracing::error!("no tokio runtime: a waiting handler was dropped");
        return None;
    };
    core.counters.tasks.fetch_add(1, Ordering::Relaxed);
    let counted = Counted(Arc::clone(core));
    let task = runtime.spawn(async move {
        let _counted = counted;
        future.await;
    });
    Some(task.abort_handle())
}

/// A future whose panic is a value.
pub(crate) struct CatchUnwind<F>(pub(crate) F);

impl<F: Future + Unpin> Future for CatchUnwind<F> {
    type Output = Result<F::Output, Panic>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.0).poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

/// Several listeners of one event as one future: polled in order, done when all are.
pub(crate) struct Together {
    pub(crate) all: Vec<Part>,
    /// Those before only listen in; the event ends as the first from here on does.
    pub(crate) from: usize,
}

/// One of several listeners.
pub(crate) enum Part {
    Going(Running),
    Ended(Outcome),
}

impl Future for Together {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut waiting = false;
        for part in &mut self.all {
            if let Part::Going(running) = part {
                match Pin::new(running).poll(cx) {
                    Poll::Ready(outcome) => *part = Part::Ended(outcome),
                    Poll::Pending => waiting = true,
                }
            }
        }
        if waiting {
            return Poll::Pending;
        }
        Poll::Ready(match self.all.get(self.from) {
            Some(Part::Ended(outcome)) => outcome.clone(),
            _ => Outcome::Unheard,
        })
    }
}
