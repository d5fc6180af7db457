//! Futures whose panics end with them.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// What ran has panicked; the panic's message was printed by the process's hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Calls `f`, and catches its panic.
pub(crate) fn guarded<T>(f: impl FnOnce() -> T) -> Result<T, Panicked> {
    // What it may have left half done is the application's, which asked for this.
    catch_unwind(AssertUnwindSafe(f)).map_err(|_| Panicked)
}

pin_project_lite::pin_project! {
    /// A future, and its panic as a value.
    pub(crate) struct Guarded<F> {
        #[pin]
        future: F,
    }
}

impl<F> Guarded<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future }
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output, Panicked>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        match guarded(|| future.poll(cx)) {
            Ok(poll) => poll.map(Ok),
            Err(panicked) => Poll::Ready(Err(panicked)),
        }
    }
}
