//! One connection over a WebSocket, from its first packet to its last.

use std::io;

use sockeye_proto::websocket::{Reader, ReaderConfig, Role};

use super::answer::Matcher;
use super::stream::Stream;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// TCP is not there yet.
    Connecting,
    /// The request for a WebSocket is out.
    Upgrading,
    /// The session's opening packet is to come.
    Opening,
    /// The namespace's answer is to come.
    Joining,
    /// In the namespace.
    Ready,
    /// We said goodbye; the server hangs up.
    Leaving,
}

impl State {
    /// What was waited for, for people.
    pub(super) fn waiting_for(self) -> &'static str {
        match self {
            Self::Connecting => "TCP to connect",
            Self::Upgrading => "the upgrade to WebSocket",
            Self::Opening => "the opening packet",
            Self::Joining => "the namespace to let in",
            Self::Ready => "messages",
            Self::Leaving => "the server to hang up",
        }
    }
}

pub(super) struct Line {
    pub(super) stream: Stream,
    pub(super) state: State,
    pub(super) reader: Reader,
    pub(super) matcher: Matcher,
    /// The number of an answer whose attachment is to come.
    pub(super) awaiting: Option<u64>,
    /// The head of the answer to the upgrade, as far as it came.
    pub(super) head: Vec<u8>,
    /// What is to be written at the end of the turn.
    pub(super) out: Vec<u8>,
    /// How much of it the socket has taken.
    written: usize,
    /// When this connection was due.
    pub(super) due: u64,
    /// Does not read: a slow consumer.
    pub(super) muted: bool,
}

impl Line {
    pub(super) fn new(stream: Stream, due: u64) -> Self {
        // As long as a message may be with the servers' usual limits, and then some.
        let config = ReaderConfig { max_message: 64 << 20, ..ReaderConfig::default() };
        Self {
            stream,
            state: State::Connecting,
            reader: Reader::new(Role::Client, config),
            matcher: Matcher::default(),
            awaiting: None,
            head: Vec::new(),
            out: Vec::new(),
            written: 0,
            due,
            muted: false,
        }
    }

    /// Whether a message has begun and not ended in the reader.
    pub(super) fn is_mid_message(&self) -> bool {
        self.awaiting.is_some() || self.reader.is_mid_message()
    }

    /// Writes what is waiting, as much as the socket takes; everything of a turn in one call.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.state == State::Connecting {
            return Ok(());
        }
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }
}
