//! The byte streams that WebSockets run on.
//!
//! TCP and Unix sockets are kept by name, because they can be written through a shared reference: whoever holds the
//! outbox writes at once. Anything else (TLS, a test's pipe) is a boxed stream that only the session's task touches.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
#[cfg(feature = "axum")]
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, tcp};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};

use crate::patient::Patient;

/// Any stream that can be boxed.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// A connection, whole.
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Other(Box<dyn Io>),
}

/// The end that the session's task reads from. For `Other` it is the whole stream.
pub(crate) enum ReadEnd {
    Tcp(tcp::OwnedReadHalf),
    #[cfg(unix)]
    Unix(unix::OwnedReadHalf),
    /// Boxed once more: ten thousand idle ones are mostly the others.
    Other(Box<Box<dyn Io>>),
}

/// The end that everybody with the outbox in hand may write to. Dropping it ends the stream (FIN).
pub(crate) enum WriteEnd {
    Tcp(tcp::OwnedWriteHalf),
    #[cfg(unix)]
    Unix(unix::OwnedWriteHalf),
}

impl Stream {
    /// Takes a generic stream by its real type where we know it.
    pub(crate) fn new<S: Io>(stream: S) -> Stream {
        let mut slot = Some(stream);
        let any: &mut dyn std::any::Any = &mut slot;
        if let Some(tcp) = any.downcast_mut::<Option<TcpStream>>().and_then(Option::take) {
            return Stream::Tcp(tcp);
        }
        #[cfg(unix)]
        if let Some(unix) = any.downcast_mut::<Option<UnixStream>>().and_then(Option::take) {
            return Stream::Unix(unix);
        }
        match slot {
            Some(other) => Stream::Other(Box::new(other)),
            None => Stream::Other(Box::new(tokio::io::empty())),
        }
    }

    /// Takes the stream out of what hyper hands over, so that hyper's buffers go away, and the bytes that it had
    /// read beyond the request.
    pub(crate) fn from_upgraded(upgraded: Upgraded) -> (Stream, Bytes) {
        let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => return (Stream::Tcp(parts.io.into_inner()), parts.read_buf),
            Err(upgraded) => upgraded,
        };
        // What our own accept loop makes.
        let upgraded = match upgraded.downcast::<TokioIo<Patient>>() {
            Ok(parts) => {
                // What hyper has read of it came first.
                let (stream, rest) = parts.io.into_inner().into_inner();
                let early =
                    if rest.is_empty() { parts.read_buf } else { [parts.read_buf, rest].concat().into() };
                return (stream, early);
            }
            Err(upgraded) => upgraded,
        };
        #[cfg(unix)]
        let upgraded = match upgraded.downcast::<TokioIo<UnixStream>>() {
            Ok(parts) => return (Stream::Unix(parts.io.into_inner()), parts.read_buf),
            Err(upgraded) => upgraded,
        };
        // What `axum::serve` makes.
        #[cfg(feature = "axum")]
        let upgraded = match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
            Ok(parts) => return (Stream::Tcp(parts.io.into_inner()), parts.read_buf),
            Err(upgraded) => upgraded,
        };
        #[cfg(all(unix, feature = "axum"))]
        let upgraded = match auto::upgrade::downcast::<TokioIo<UnixStream>>(upgraded) {
            Ok(parts) => return (Stream::Unix(parts.io.into_inner()), parts.read_buf),
            Err(upgraded) => upgraded,
        };
        (Stream::Other(Box::new(TokioIo::new(upgraded))), Bytes::new())
    }

    pub(crate) fn split(self) -> (ReadEnd, Option<WriteEnd>) {
        match self {
            Stream::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (ReadEnd::Tcp(read), Some(WriteEnd::Tcp(write)))
            }
            #[cfg(unix)]
            Stream::Unix(stream) => {
                let (read, write) = stream.into_split();
                (ReadEnd::Unix(read), Some(WriteEnd::Unix(write)))
            }
            Stream::Other(stream) => (ReadEnd::Other(Box::new(stream)), None),
        }
    }
}

/// Calls a method on whichever stream it is.
macro_rules! each {
    ($self:expr, $type:ident, $stream:ident => $call:expr) => {
        match $self {
            $type::Tcp($stream) => $call,
            #[cfg(unix)]
            $type::Unix($stream) => $call,
            #[allow(unreachable_patterns)]
            $type::Other($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), Stream, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), Stream, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), Stream, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, Stream, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), Stream, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), Stream, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

impl ReadEnd {
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        let done = each!(self, ReadEnd, stream => Pin::new(stream).poll_read(cx, &mut buf));
        done.map_ok(|()| buf.filled().len())
    }

    /// The whole stream, if it is one that only the task may write to.
    pub(crate) fn other(&mut self) -> Option<&mut Box<dyn Io>> {
        match self {
            ReadEnd::Other(stream) => Some(stream),
            _ => None,
        }
    }
}

impl WriteEnd {
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            WriteEnd::Tcp(stream) => stream.try_write(bytes),
            #[cfg(unix)]
            WriteEnd::Unix(stream) => stream.try_write(bytes),
        }
    }

    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            WriteEnd::Tcp(stream) => stream.try_write_vectored(slices),
            #[cfg(unix)]
            WriteEnd::Unix(stream) => stream.try_write_vectored(slices),
        }
    }

    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            WriteEnd::Tcp(stream) => stream.as_ref().poll_write_ready(cx),
            #[cfg(unix)]
            WriteEnd::Unix(stream) => stream.as_ref().poll_write_ready(cx),
        }
    }
}
