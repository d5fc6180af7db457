//! Bare Engine.IO: every message is sent back as it came.

use std::sync::Arc;

use bytes::Bytes;
use sockeye::engine::{Application, Flow, Handshake, Incoming, Link, Message, Reason, SendError, Session};

/// The application, and the echo of one session.
pub(crate) struct Echo;

/// One session's echo. What does not fit the outbox waits here, and nothing more is read meanwhile: a client that
/// does not read is not read either.
pub(crate) struct Mirror {
    session: Session,
    waiting: Option<Message>,
}

impl Application for Echo {
    type Link = Mirror;

    fn open(&self, session: &Session, _: &Arc<Handshake>) -> Mirror {
        session.settle();
        Mirror { session: session.clone(), waiting: None }
    }
}

impl Link for Mirror {
    fn received(&mut self, message: Incoming<'_>) -> Flow {
        self.waiting = Some(match message {
            Incoming::Text(text) => Message::text(&text),
            Incoming::Binary(bytes) => Message::binary(Bytes::from(bytes.into_owned())),
        });
        self.woken()
    }

    fn woken(&mut self) -> Flow {
        if let Some(message) = &self.waiting
            && self.session.send([message]) == Err(SendError::Full)
        {
            return Flow::Pause;
        }
        self.waiting = None;
        Flow::Continue
    }

    fn closed(self, _: &Reason) {}
}
