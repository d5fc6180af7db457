//! Messages in, packets out: the incoming side of one session.

use std::borrow::Cow;
use std::sync::Arc;

use super::assembly::{self, Assembly, Read};
use super::{Dialect, Limits, Packet, PacketDecoder, Protocol, Violation, msgpack};

/// Which dialect the sessions of a server speak.
#[derive(Debug, Clone, Default)]
pub enum Choice {
    /// JSON, or msgpack if a session's very first message is binary (nothing else on the wire names the dialect).
    #[default]
    Detect,
    /// JSON only: a session that starts with a binary message is refused.
    Json,
    /// msgpack only.
    Msgpack,
    /// A parser of the application.
    Custom(Arc<dyn super::Parser>),
}

/// Decodes what one session sends.
///
/// Idle, it is 48 bytes and owns nothing (a [custom parser](super::Parser) may own more). While a packet's
/// attachments are on their way it holds that packet and those attachments, and nothing else.
///
/// ```
/// use sockeye_proto::socket::{Choice, Decoder, Dialect, Limits, Protocol};
///
/// let mut decoder = Decoder::choose(&Choice::Detect, Protocol::V5, Limits::default().into());
/// assert!(decoder.text("0")?.is_some());
/// assert!(decoder.text(r#"51-["pic",{"_placeholder":true,"num":0}]"#)?.is_none());
/// assert!(decoder.is_pending());
/// let packet = decoder.binary(vec![1, 2, 3].into())?.expect("that was the last attachment");
/// assert_eq!(packet.namespace, "/");
/// # Ok::<(), sockeye_proto::socket::Violation>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    limits: Arc<Limits>,
    dialect: Dialect,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing has arrived, and the first message decides on the dialect.
    Undecided,
    /// Between packets.
    Ready,
    /// A JSON packet waits for attachments. Boxed: hardly any session is ever here.
    Assembling(Box<Assembly>),
    /// Boxed twice, so that everybody else's state stays at two words.
    Custom(Box<Box<dyn PacketDecoder>>),
}

impl Decoder {
    /// A decoder for a session that speaks `dialect`.
    pub fn new(dialect: Dialect, limits: Arc<Limits>) -> Decoder {
        let state = match &dialect {
            Dialect::Custom(parser) => State::Custom(Box::new(parser.decoder(limits.clone()))),
            Dialect::Json(_) | Dialect::Msgpack(_) => State::Ready,
        };
        Decoder { limits, dialect, state }
    }

    /// A decoder for a session of a server that is configured with `choice`.
    pub fn choose(choice: &Choice, protocol: Protocol, limits: Arc<Limits>) -> Decoder {
        let dialect = match choice {
            Choice::Detect => {
                return Decoder { limits, dialect: Dialect::Json(protocol), state: State::Undecided };
            }
            Choice::Json => Dialect::Json(protocol),
            Choice::Msgpack => Dialect::Msgpack(protocol),
            Choice::Custom(parser) => Dialect::Custom(parser.clone()),
        };
        Decoder::new(dialect, limits)
    }

    /// A text message arrived. The packet is borrowed from it.
    ///
    /// # Errors
    /// When the peer broke the protocol. Close the session: what this decoder does afterwards has no meaning.
    pub fn text<'a>(&mut self, text: &'a str) -> Result<Option<Packet<'a>>, Violation> {
        match &mut self.state {
            State::Custom(decoder) => return decoder.text(text),
            State::Assembling(_) => {
                self.state = State::Ready;
                return Err(Violation::TextBetweenAttachments);
            }
            State::Undecided => {
                // Protocol 4 sends the packets without arguments as JSON objects when it speaks msgpack.
                if text.starts_with('{') && matches!(self.dialect, Dialect::Json(Protocol::V4)) {
                    self.dialect = Dialect::Msgpack(Protocol::V4);
                }
                self.state = State::Ready;
            }
            State::Ready => {}
        }
        match self.dialect {
            Dialect::Msgpack(protocol) => msgpack::decode_text(text, protocol, &self.limits).map(Some),
            Dialect::Json(protocol) => match assembly::read(text, protocol, &self.limits)? {
                Read::Packet(packet) => Ok(Some(packet)),
                Read::Announced(assembly) => {
                    self.state = State::Assembling(assembly);
                    Ok(None)
                }
            },
            // Its state is `State::Custom`, always.
            Dialect::Custom(_) => Err(Violation::UnexpectedText),
        }
    }

    /// A binary message arrived: a whole packet (msgpack), or the next attachment of a JSON packet, which is
    /// handed out with its last one. An owned vector is kept without a copy.
    ///
    /// # Errors
    /// When the peer broke the protocol. Close the session: what this decoder does afterwards has no meaning.
    pub fn binary(&mut self, data: Cow<'_, [u8]>) -> Result<Option<Packet<'static>>, Violation> {
        match std::mem::replace(&mut self.state, State::Ready) {
            State::Custom(mut decoder) => {
                let result = decoder.binary(data);
                self.state = State::Custom(decoder);
                return result;
            }
            State::Assembling(mut assembly) => {
                assembly.attach(data, &self.limits)?;
                if assembly.is_complete() {
                    return Ok(Some(assembly.finish()));
                }
                self.state = State::Assembling(assembly);
                return Ok(None);
            }
            State::Undecided => {
                if let Dialect::Json(protocol) = self.dialect {
                    self.dialect = Dialect::Msgpack(protocol);
                }
            }
            State::Ready => {}
        }
        match self.dialect {
            Dialect::Msgpack(protocol) => msgpack::decode(&data, protocol, &self.limits).map(Some),
            Dialect::Json(_) | Dialect::Custom(_) => Err(Violation::UnexpectedBinary),
        }
    }

    /// True while a packet waits for attachments. The driver gives it 30 seconds, then closes the session.
    pub fn is_pending(&self) -> bool {
        match &self.state {
            State::Assembling(_) => true,
            State::Custom(decoder) => decoder.is_pending(),
            State::Undecided | State::Ready => false,
        }
    }

    /// What to answer in. While nothing has arrived and the dialect is to be detected: JSON.
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }
}
