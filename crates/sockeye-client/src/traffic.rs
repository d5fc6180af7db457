//! What crosses the network, shown to whoever asked for it.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use sockeye_proto::client::{Frame, Wire};
use sockeye_proto::engine::{Content, Protocol};

use crate::wire::Report;

/// One thing that crossed the network: [`Builder::tap`](crate::Builder::tap).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Traffic<'a> {
    /// A GET left.
    Poll,
    /// Its answer: a payload of packets.
    Polled {
        /// The payload.
        body: &'a [u8],
        /// Its kind.
        content: Content,
    },
    /// A POST left.
    Post {
        /// The payload.
        body: &'a [u8],
        /// Its kind.
        content: Content,
    },
    /// Its answer.
    Posted,
    /// A request brought nothing, and why.
    Failed(&'a str),
    /// A WebSocket is being opened.
    Dial,
    /// It is open.
    Opened,
    /// A text frame.
    Text {
        /// By us, or else by the server.
        sent: bool,
        /// All of it.
        text: &'a str,
    },
    /// A binary frame.
    Binary {
        /// By us, or else by the server.
        sent: bool,
        /// All of it.
        bytes: &'a [u8],
    },
    /// The WebSocket is gone, and why if not in order.
    Closed(Option<&'a str>),
}

/// Somebody who looks on.
#[derive(Clone)]
pub(crate) struct Tap(pub(crate) Arc<dyn Fn(Traffic<'_>) + Send + Sync>);

impl Tap {
    pub(crate) fn ordered(&self, wire: &Wire, protocol: Protocol) {
        match wire {
            Wire::Get { .. } => self.see(Traffic::Poll),
            Wire::Post { payload, .. } => {
                self.see(Traffic::Post { body: &payload.body, content: payload.content });
            }
            Wire::Dial { .. } => self.see(Traffic::Dial),
            Wire::Write(frames) => frames.iter().for_each(|frame| match frame {
                Frame::Packet(text) => self.see(Traffic::Text { sent: true, text }),
                Frame::Message(message) if message.is_binary() && protocol == Protocol::V3 => {
                    self.see(Traffic::Binary { sent: true, bytes: &[&[4], message.packet()].concat() });
                }
                Frame::Message(message) if message.is_binary() => {
                    self.see(Traffic::Binary { sent: true, bytes: message.packet() });
                }
                Frame::Message(message) => {
                    let text = std::str::from_utf8(message.packet()).unwrap_or_default();
                    self.see(Traffic::Text { sent: true, text });
                }
            }),
            Wire::HangUp | Wire::Abandon => {}
        }
    }

    pub(crate) fn reported(&self, report: &Report) {
        self.see(match report {
            Report::Polled(body, content) => Traffic::Polled { body, content: *content },
            Report::Posted => Traffic::Posted,
            Report::Failed(_, why) => Traffic::Failed(why),
            Report::Opened => Traffic::Opened,
            Report::Text(text) => Traffic::Text { sent: false, text },
            Report::Binary(bytes) => Traffic::Binary { sent: false, bytes },
            Report::Written => return,
            Report::Gone(why) => Traffic::Closed(why.as_deref()),
        });
    }

    /// A panic of the application's stays there.
    fn see(&self, traffic: Traffic<'_>) {
        if std::panic::catch_unwind(AssertUnwindSafe(|| (self.0)(traffic))).is_err() {
            tracing::error!("a tap panicked");
        }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap(…)")
    }
}
