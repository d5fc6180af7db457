//! Functions that see a socket come and go: connect middlewares, `on_connect`, `on_disconnecting`, `on_disconnect`.

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use super::{BoxFuture, ConnectCall, DisconnectCall};
use crate::extract::{FromConnect, FromDisconnect, Mismatch};
use crate::state::Needs;
use sockeye_proto::event::{IntoRefusal, Refusal};

/// A connect middleware: an async function of up to ten [`FromConnect`] extractors that lets a socket into the
/// namespace or refuses it.
///
/// It returns `()` (in), or `Result<(), E>` where `E` is [`Refusal`] or anything [`IntoRefusal`]: the client then gets
/// CONNECT_ERROR with message and data. An argument that cannot be extracted (a malformed [`crate::Auth`], say)
/// refuses too, with the message `bad handshake`.
///
/// ```
/// use sockeye::{Auth, Refusal, State};
/// # struct Users; impl Users { async fn check(&self, _: &str) -> bool { true } }
/// #[derive(serde::Deserialize)]
/// struct Login { token: String }
///
/// async fn check(Auth(login): Auth<Login>, users: State<Users>) -> Result<(), Refusal> {
///     if users.check(&login.token).await { Ok(()) } else { Err(Refusal::new("who are you?")) }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a connect middleware",
    note = "a middleware is an async fn of `FromConnect` extractors that returns `()` or `Result<(), impl IntoRefusal>`"
)]
pub trait Middleware<M>: Send + Sync + 'static {
    /// Takes the arguments and starts the function.
    fn call(&self, call: ConnectCall<'_>) -> BoxFuture<Result<(), Refusal>>;
    /// Collects what the arguments need from the server.
    fn needs(needs: &mut Needs);
}

/// A function called when a socket has joined: an async function of up to ten [`FromConnect`] extractors.
///
/// Returns `()` or `Result<(), E>`; an error is logged and has no other effect: to keep a socket out, use a
/// [`Middleware`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an `on_connect` handler",
    note = "an `on_connect` handler is an async fn of `FromConnect` extractors that returns `()` or a `Result<(), impl IntoRefusal>`"
)]
pub trait ConnectHandler<M>: Send + Sync + 'static {
    /// Takes the arguments and starts the function.
    fn call(&self, call: ConnectCall<'_>) -> Result<BoxFuture<()>, Mismatch>;
    /// Collects what the arguments need from the server.
    fn needs(needs: &mut Needs);
}

/// A function called when a socket leaves: an async function of up to ten [`FromDisconnect`] extractors.
///
/// Returns `()` or `Result<(), E>`; an error is logged.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a disconnect handler",
    note = "a disconnect handler is an async fn of `FromDisconnect` extractors (`Socket`, `Reason`, `State<T>`, …)"
)]
pub trait DisconnectHandler<M>: Send + Sync + 'static {
    /// Takes the arguments and starts the function.
    fn call(&self, call: DisconnectCall<'_>) -> Result<BoxFuture<()>, Mismatch>;
    /// Collects what the arguments need from the server.
    fn needs(needs: &mut Needs);
}

/// What middlewares and connect handlers return: `()` or `Result<(), E>` with `E:` [`IntoRefusal`].
#[diagnostic::on_unimplemented(
    message = "a connect middleware or handler cannot return `{Self}`",
    note = "return `()` or `Result<(), E>` where `E` is `Refusal` or implements `IntoRefusal`"
)]
pub trait ConnectReply {
    /// The verdict.
    fn verdict(self) -> Result<(), Refusal>;
}

impl ConnectReply for () {
    fn verdict(self) -> Result<(), Refusal> {
        Ok(())
    }
}

impl<E: IntoRefusal> ConnectReply for Result<(), E> {
    fn verdict(self) -> Result<(), Refusal> {
        self.map_err(IntoRefusal::into_refusal)
    }
}

macro_rules! erase {
    ($(#[$doc:meta])* $name:ident $erased:ident $trait:ident $call:ident $out:ty) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub(crate) struct $name(Arc<dyn $erased>);

        impl $name {
            pub(crate) fn new<M: 'static, H: $trait<M>>(handler: H) -> Self {
                let mut needs = Needs::default();
                H::needs(&mut needs);
                Self(Arc::new(Erased { handler, needs, kind: PhantomData::<fn() -> M> }))
            }

            /// Runs the extractors and calls the function. May panic where user code does.
            pub(crate) fn call(&self, call: $call<'_>) -> $out {
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

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.name())
            }
        }

        trait $erased: Send + Sync {
            fn call(&self, call: $call<'_>) -> $out;
            fn needs(&self) -> &Needs;
            fn name(&self) -> &'static str;
        }

        impl<M: 'static, H: $trait<M>> $erased for Erased<H, M> {
            fn call(&self, call: $call<'_>) -> $out {
                self.handler.call(call)
            }
            fn needs(&self) -> &Needs {
                &self.needs
            }
            fn name(&self) -> &'static str {
                type_name::<H>()
            }
        }
    };
}

struct Erased<H, M> {
    handler: H,
    needs: Needs,
    kind: PhantomData<fn() -> M>,
}

erase!(
    /// A connect middleware of whatever arguments.
    Gate ErasedMiddleware Middleware ConnectCall BoxFuture<Result<(), Refusal>>
);
erase!(
    /// An `on_connect` handler of whatever arguments.
    Connector ErasedConnect ConnectHandler ConnectCall Result<BoxFuture<()>, Mismatch>
);
erase!(
    /// A disconnect handler of whatever arguments.
    Disconnector ErasedDisconnect DisconnectHandler DisconnectCall Result<BoxFuture<()>, Mismatch>
);

/// Waits for a function that cannot refuse any more and logs its error.
async fn log_error<R: ConnectReply>(future: impl Future<Output = R>, what: &'static str) {
    if let Err(refusal) = future.await.verdict() {
        tracing::error!(refusal = refusal.message(), cause = refusal.cause(), "{what} failed");
    }
}

macro_rules! handlers {
    ($($arg:ident)*) => {
        impl<F, Fut, $($arg,)*> Middleware<($($arg,)*)> for F
        where
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: ConnectReply,
            $($arg: FromConnect,)*
        {
            #[allow(non_snake_case, unused_mut, unused_variables)]
            fn call(&self, mut call: ConnectCall<'_>) -> BoxFuture<Result<(), Refusal>> {
                $(
                    let $arg = match $arg::from_connect(&mut call) {
                        Ok(value) => value,
                        Err(mismatch) => {
                            let refusal = Refusal::new("bad handshake").because(mismatch);
                            return Box::pin(std::future::ready(Err(refusal)));
                        }
                    };
                )*
                let future = self($($arg),*);
                Box::pin(async move { future.await.verdict() })
            }
            #[allow(unused_variables)]
            fn needs(needs: &mut Needs) {
                $($arg::needs(needs);)*
            }
        }

        impl<F, Fut, $($arg,)*> ConnectHandler<($($arg,)*)> for F
        where
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: ConnectReply,
            $($arg: FromConnect,)*
        {
            #[allow(non_snake_case, unused_mut, unused_variables)]
            fn call(&self, mut call: ConnectCall<'_>) -> Result<BoxFuture<()>, Mismatch> {
                $(let $arg = $arg::from_connect(&mut call)?;)*
                Ok(Box::pin(log_error(self($($arg),*), type_name::<F>())))
            }
            #[allow(unused_variables)]
            fn needs(needs: &mut Needs) {
                $($arg::needs(needs);)*
            }
        }

        impl<F, Fut, $($arg,)*> DisconnectHandler<($($arg,)*)> for F
        where
            F: Fn($($arg),*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            Fut::Output: ConnectReply,
            $($arg: FromDisconnect,)*
        {
            #[allow(non_snake_case, unused_mut, unused_variables)]
            fn call(&self, mut call: DisconnectCall<'_>) -> Result<BoxFuture<()>, Mismatch> {
                $(let $arg = $arg::from_disconnect(&mut call)?;)*
                Ok(Box::pin(log_error(self($($arg),*), type_name::<F>())))
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
