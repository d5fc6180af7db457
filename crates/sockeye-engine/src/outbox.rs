//! API first; filled next.
use crate::{Message, Protocol, Reason, SendError, Session, Transport};
use std::net::SocketAddr;
use std::task::{Context, Poll};

pub(crate) struct Shared {
    pub(crate) id: Box<str>,
    pub(crate) protocol: Protocol,
    pub(crate) remote: Option<SocketAddr>,
}

impl Shared {
    pub(crate) fn transport(&self) -> Transport {
        todo!()
    }
    pub(crate) fn is_open(&self) -> bool {
        todo!()
    }
    pub(crate) fn send<'a>(
        &self,
        _: &Session,
        _: impl Iterator<Item = &'a Message> + Clone,
    ) -> Result<(), SendError> {
        todo!()
    }
    pub(crate) fn send_volatile<'a>(
        &self,
        _: &Session,
        _: impl Iterator<Item = &'a Message> + Clone,
    ) -> bool {
        todo!()
    }
    pub(crate) fn writable(&self) -> bool {
        todo!()
    }
    pub(crate) fn poll_ready(&self, _: usize, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        todo!()
    }
    pub(crate) fn queued(&self) -> usize {
        todo!()
    }
    pub(crate) fn poke(&self) {
        todo!()
    }
    pub(crate) fn settle(&self) {
        todo!()
    }
    pub(crate) fn close(&self, _: Reason, _: bool) {
        todo!()
    }
    pub(crate) fn overflow(&self) {
        todo!()
    }
}

/// Runs `f`; whatever it sends to any session is written once per session when it is done.
///
/// A handler that emits three events, or a broadcast from inside a handler, so costs one write per recipient. Every
/// call of a [`Link`](crate::Link) already is a turn. Turns nest; the outermost one writes.
pub fn turn<R>(f: impl FnOnce() -> R) -> R {
    f()
}
