//! Received bytes to events.
//!
//! One whole frame in the input is the common case and has a page of its own, [`Reader::read`]: unmasked in
//! place, checked, handed out borrowed, nothing allocated. Everything else (cut frames, fragments, compressed
//! messages) goes piece by piece into one buffer of its message, in [`Reader::pieces`].
//!
//! This module must never: reserve more than 16 KiB on the word of a length field; keep an object per fragment
//! or per chunk; let the way the bytes were cut change what comes out.

use std::borrow::Cow;

use super::close::{CloseCode, CloseFrame};
use super::deflate::{self, Inflater};
use super::frame::{MAX_CONTROL, MAX_HEADER, OpCode};
use super::mask;
use super::{Role, Violation};

/// What a [`Reader`] accepts.
#[derive(Clone, Copy, Debug)]
pub struct ReaderConfig {
    /// Longest message in bytes, all fragments together and after inflation. One of exactly this size passes.
    /// Socket.IO calls it `maxHttpBufferSize`; default 1 000 000. `usize::MAX`: no limit.
    pub max_message: usize,
    /// Refuse frames whose length is not in its shortest form (1002). RFC 6455 demands it of the sender, most
    /// receivers do not care; default `false`: accepted and counted ([`Reader::long_forms`]).
    pub strict_lengths: bool,
    /// What the handshake agreed on; `None` (the default) refuses compressed messages.
    pub deflate: Option<deflate::Params>,
}

impl Default for ReaderConfig {
    fn default() -> Self {
        Self { max_message: 1_000_000, strict_lengths: false, deflate: None }
    }
}

/// What came. Borrowed from the input where a message was whole in it, uncompressed and in one frame; but a long binary
/// message is owned, because whoever gets it keeps it, and unmasking it on the way spares a pass over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message; valid UTF-8.
    Text(Cow<'a, str>),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// Answer with a pong of the same payload; only the latest ping needs an answer.
    Ping(Cow<'a, [u8]>),
    /// An answer to a ping of ours, or unasked; never an error.
    Pong(Cow<'a, [u8]>),
    /// The peer says goodbye. The last event: what follows is ignored.
    Close(Option<CloseFrame<'a>>),
}

/// Turns received bytes into [`Event`]s. Idle, it is these few bytes and no heap (with context takeover agreed
/// on, also the inflater's window from the first compressed message on).
#[derive(Debug)]
pub struct Reader {
    max_message: usize,
    /// What has begun and not ended; `None` between messages.
    inside: Option<Box<Inside>>,
    inflater: Option<Box<Inflater>>,
    /// The bytes of a header that has not come whole.
    head: Head,
    long_forms: u32,
    deflate: Option<deflate::Direction>,
    strict_lengths: bool,
    role: Role,
    /// A close frame or a violation was the last thing to come out.
    over: bool,
}

#[derive(Debug, Default)]
struct Inside {
    /// The frame whose payload is still coming.
    frame: Option<Frame>,
    /// The payload so far, if that is a control frame.
    control: Vec<u8>,
    /// The unfinished message, which control frames may interrupt.
    message: Option<Message>,
}

#[derive(Debug)]
struct Message {
    text: bool,
    compressed: bool,
    /// What came so far, inflated.
    bytes: Vec<u8>,
    /// How much of `bytes` is known to be whole characters.
    checked: usize,
    /// Payload bytes announced so far, as on the wire.
    wire: usize,
    /// Empty fragments in a row.
    empty: u16,
}

#[derive(Clone, Copy, Debug, Default)]
struct Head {
    bytes: [u8; MAX_HEADER],
    len: u8,
}

/// A header that passed every check.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: OpCode,
    fin: bool,
    rsv1: bool,
    key: [u8; 4],
    /// Payload bytes still to come.
    left: usize,
    /// Bytes of the header itself.
    size: usize,
    /// The length was not in its shortest form.
    long_form: bool,
}

impl Reader {
    /// A reader at the start of a connection, after the handshake.
    pub fn new(role: Role, config: ReaderConfig) -> Self {
        Self {
            max_message: config.max_message,
            inside: None,
            inflater: None,
            head: Head::default(),
            long_forms: 0,
            deflate: config.deflate.map(|params| params.incoming(role)),
            strict_lengths: config.strict_lengths,
            role,
            over: false,
        }
    }

    /// Consumes bytes from the front of `input` (unmasking them in place) up to the end of the next event.
    ///
    /// Returns how many bytes were taken, and the event they completed. Call again with the rest until all is
    /// taken; `None` comes only with the whole input taken. What is unfinished is kept inside.
    ///
    /// After a [`Violation`] or a close frame everything is taken and nothing comes any more.
    pub fn read<'a>(&mut self, input: &'a mut [u8]) -> Result<(usize, Option<Event<'a>>), Violation> {
        if self.inside.is_some() || self.head.len != 0 || self.over {
            return self.pieces(input);
        }
        let frame = match self.parse(input) {
            Ok(Some(frame)) => frame,
            Ok(None) => return self.pieces(input),
            Err(violation) => return self.fail(violation),
        };
        let end = frame.size.saturating_add(frame.left);
        if !frame.fin || frame.rsv1 || end > input.len() {
            return self.pieces(input);
        }
        self.long_forms = self.long_forms.saturating_add(u32::from(frame.long_form));
        let payload = input.get_mut(frame.size..end).unwrap_or_default();
        if frame.opcode == OpCode::Binary && payload.len() >= OWNED {
            let mut owned = Vec::new();
            mask::append(payload, frame.key, &mut owned);
            return Ok((end, Some(Event::Binary(Cow::Owned(owned)))));
        }
        if self.role == Role::Server {
            mask::apply(payload, frame.key);
        }
        let payload = &*payload;
        let event = match frame.opcode {
            OpCode::Text => match simdutf8::basic::from_utf8(payload) {
                Ok(text) => Event::Text(Cow::Borrowed(text)),
                Err(_) => return self.fail(Violation::InvalidUtf8),
            },
            OpCode::Binary | OpCode::Continuation => Event::Binary(Cow::Borrowed(payload)),
            OpCode::Ping => Event::Ping(Cow::Borrowed(payload)),
            OpCode::Pong => Event::Pong(Cow::Borrowed(payload)),
            OpCode::Close => match close_frame(payload) {
                Ok(close) => {
                    self.end();
                    Event::Close(close)
                }
                Err(violation) => return self.fail(violation),
            },
        };
        Ok((end, Some(event)))
    }

    /// Whether a frame or message has begun and not ended: the caller's deadline for it runs.
    pub fn is_mid_message(&self) -> bool {
        self.head.len != 0 || self.inside.is_some()
    }

    /// How many frames announced their length in more bytes than needed.
    pub fn long_forms(&self) -> u32 {
        self.long_forms
    }

    /// Heap bytes held for an unfinished message; 0 between messages. A kept inflater (context takeover) is
    /// not counted: its size is about 40 KiB.
    pub fn held_bytes(&self) -> usize {
        self.inside.as_ref().map_or(0, |inside| {
            let message = inside.message.as_ref().map_or(0, |message| message.bytes.capacity());
            size_of::<Inside>().saturating_add(inside.control.capacity()).saturating_add(message)
        })
    }

    /// The long way: headers and payloads in any number of pieces.
    fn pieces<'a>(&mut self, input: &'a mut [u8]) -> Result<(usize, Option<Event<'a>>), Violation> {
        let mut at = 0;
        match self.take_pieces(input, &mut at) {
            Ok(event) => Ok((at, event)),
            Err(violation) => self.fail(violation),
        }
    }

    fn take_pieces(&mut self, input: &mut [u8], at: &mut usize) -> Result<Option<Event<'static>>, Violation> {
        loop {
            if self.over {
                *at = input.len();
                return Ok(None);
            }
            let mut frame = match self.inside.as_ref().and_then(|inside| inside.frame) {
                Some(frame) => frame,
                None => match self.take_header(input, at)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let have = frame.left.min(input.len().saturating_sub(*at));
            let end = at.saturating_add(have);
            let piece = input.get_mut(*at..end).unwrap_or_default();
            *at = end;
            let key = frame.key;
            frame.key = mask::turn(key, have);
            frame.left = frame.left.saturating_sub(have);
            let event = if frame.opcode.is_control() {
                mask::apply(piece, key);
                self.control_piece(frame, piece)?
            } else {
                self.message_piece(frame, piece, key)?
            };
            if event.is_some() {
                return Ok(event);
            }
            if frame.left > 0 {
                return Ok(None);
            }
        }
    }

    /// Collects a header, parses it and begins its frame. `None`: the input is used up.
    fn take_header(&mut self, input: &[u8], at: &mut usize) -> Result<Option<Frame>, Violation> {
        let had = usize::from(self.head.len);
        let fresh = input.get(*at..).unwrap_or_default();
        let mut head = self.head;
        let mut filled = had;
        for (to, from) in head.bytes.iter_mut().skip(had).zip(fresh) {
            *to = *from;
            filled = filled.saturating_add(1);
        }
        let Some(frame) = self.parse(head.bytes.get(..filled).unwrap_or_default())? else {
            // A whole header fits in `head`, so an unfinished one has swallowed the whole input.
            head.len = filled as u8;
            self.head = head;
            *at = input.len();
            return Ok(None);
        };
        self.long_forms = self.long_forms.saturating_add(u32::from(frame.long_form));
        self.head.len = 0;
        *at = at.saturating_add(frame.size.saturating_sub(had));

        if frame.opcode.is_control() {
            return Ok(Some(frame));
        }
        let inside = self.inside.get_or_insert_default();
        let message = inside.message.get_or_insert_with(|| Message {
            text: frame.opcode == OpCode::Text,
            compressed: frame.rsv1,
            bytes: Vec::new(),
            checked: 0,
            wire: 0,
            empty: 0,
        });
        message.wire = message.wire.saturating_add(frame.left);
        message.empty = if frame.left > 0 || frame.fin { 0 } else { message.empty.saturating_add(1) };
        if message.empty > MAX_EMPTY_FRAGMENTS {
            return Err(Violation::EmptyFragments);
        }
        Ok(Some(frame))
    }

    fn control_piece(&mut self, frame: Frame, piece: &[u8]) -> Result<Option<Event<'static>>, Violation> {
        let inside = self.inside.get_or_insert_default();
        inside.control.extend_from_slice(piece);
        if frame.left > 0 {
            inside.frame = Some(frame);
            return Ok(None);
        }
        let payload = std::mem::take(&mut inside.control);
        inside.frame = None;
        if inside.message.is_none() {
            self.inside = None;
        }
        Ok(Some(match frame.opcode {
            OpCode::Close => {
                let close = close_frame(&payload)?.map(CloseFrame::into_owned);
                self.end();
                Event::Close(close)
            }
            OpCode::Pong => Event::Pong(Cow::Owned(payload)),
            _ => Event::Ping(Cow::Owned(payload)),
        }))
    }

    fn message_piece(
        &mut self,
        frame: Frame,
        piece: &mut [u8],
        key: [u8; 4],
    ) -> Result<Option<Event<'static>>, Violation> {
        let Some(inside) = &mut self.inside else { return Ok(None) };
        let Some(message) = &mut inside.message else { return Ok(None) };
        let last = frame.fin && frame.left == 0;
        if message.compressed {
            mask::apply(piece, key);
            // Dropped after the message unless it may be needed by the next: an idle connection holds no window.
            let direction = self.deflate.unwrap_or_default();
            let inflater =
                self.inflater.get_or_insert_with(|| Box::new(Inflater::new(direction.window_bits)));
            let limit = self.max_message;
            let mut inflated = inflater.feed(piece, &mut message.bytes, limit);
            if last {
                inflated = inflated.and_then(|()| inflater.finish(&mut message.bytes, limit));
            }
            if last && !direction.takeover {
                self.inflater = None;
            }
            if inflated.is_err() {
                // Text that went bad before the inflater did is reported as such, else the way the bytes were cut
                // would decide between the two.
                message.bytes.truncate(limit);
                message.check_text()?;
            }
            inflated?;
        } else {
            message.make_room(piece.len(), &frame, self.max_message);
            mask::append(piece, key, &mut message.bytes);
        }
        message.check_text()?;
        if !last {
            inside.frame = (frame.left > 0).then_some(frame);
            return Ok(None);
        }
        let message = inside.message.take();
        self.inside = None;
        message.map(Message::into_event).transpose()
    }

    /// Checks a header byte by byte in the order in which they come, so that the verdict is the same however
    /// they were cut. `None`: not whole yet, and nothing wrong so far.
    fn parse(&self, bytes: &[u8]) -> Result<Option<Frame>, Violation> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
        let message = self.inside.as_ref().and_then(|inside| inside.message.as_ref());
        let (fin, rsv1) = (first & 0x80 != 0, first & 0x40 != 0);
        if first & 0x30 != 0 {
            return Err(Violation::ReservedBit);
        }
        let opcode = OpCode::new(first & 0x0F).ok_or(Violation::ReservedOpcode)?;
        let begins = matches!(opcode, OpCode::Text | OpCode::Binary);
        if rsv1 && !(begins && self.deflate.is_some()) {
            return Err(Violation::ReservedBit);
        }
        match (self.role, second & 0x80 != 0) {
            (Role::Server, false) => return Err(Violation::Unmasked),
            (Role::Client, true) => return Err(Violation::Masked),
            _ => {}
        }
        let short = second & 0x7F;
        if opcode.is_control() {
            if !fin {
                return Err(Violation::FragmentedControl);
            }
            if usize::from(short) > MAX_CONTROL {
                return Err(Violation::LongControl);
            }
        } else if begins && message.is_some() {
            return Err(Violation::Interleaved);
        } else if !begins && message.is_none() {
            return Err(Violation::OrphanContinuation);
        }

        let (len, shortest, rest) = match short {
            126 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), 126, rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from_be_bytes(*len), 0x1_0000, rest),
                None => return Ok(None),
            },
            len => (u64::from(len), 0, rest),
        };
        let long_form = len < shortest;
        if long_form && self.strict_lengths {
            return Err(Violation::LongForm);
        }
        let before = message.map_or(0, |message| message.wire);
        let compressed = message.map_or(rsv1, |message| message.compressed);
        let left = self.fits(opcode, len, before, compressed).ok_or(Violation::TooBig)?;
        let (key, rest) = match (self.role, rest.split_first_chunk::<4>()) {
            (Role::Server, Some((key, rest))) => (*key, rest),
            (Role::Server, None) => return Ok(None),
            (Role::Client, _) => ([0; 4], rest),
        };
        let size = bytes.len().saturating_sub(rest.len());
        Ok(Some(Frame { opcode, fin, rsv1, key, left, size, long_form }))
    }

    /// The announced length, if it fits into what the message may still take.
    fn fits(&self, opcode: OpCode, len: u64, before: usize, compressed: bool) -> Option<usize> {
        let len = usize::try_from(len).ok().filter(|_| len < 1 << 53)?;
        if opcode.is_control() {
            return Some(len);
        }
        // What inflates into the limit may be a little longer than the limit itself (5 bytes per stored block).
        let limit = match compressed {
            false => self.max_message,
            true => self.max_message.saturating_add(self.max_message >> 6).saturating_add(64),
        };
        (before.checked_add(len)? <= limit).then_some(len)
    }

    fn end(&mut self) {
        self.over = true;
        self.inside = None;
        self.inflater = None;
        self.head.len = 0;
    }

    #[cold]
    fn fail<T>(&mut self, violation: Violation) -> Result<T, Violation> {
        self.end();
        Err(violation)
    }
}

impl Message {
    /// Fails at the first byte that no text can have there; a character cut at the end may go on.
    fn check_text(&mut self) -> Result<(), Violation> {
        if !self.text {
            return Ok(());
        }
        let fresh = self.bytes.get(self.checked..).unwrap_or_default();
        let good = match simdutf8::compat::from_utf8(fresh) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Err(Violation::InvalidUtf8),
        };
        self.checked = self.checked.saturating_add(good);
        Ok(())
    }

    /// Room for `piece` more bytes: doubling, at least for what is announced as far as that is believed; never
    /// beyond the limit, nor beyond the end of the message where that is known.
    fn make_room(&mut self, piece: usize, frame: &Frame, limit: usize) {
        let need = self.bytes.len().saturating_add(piece);
        if need <= self.bytes.capacity() {
            return;
        }
        let believed = need.saturating_add(frame.left.min(BELIEVED));
        // What was announced passed the limit already, so the end of a final frame lies within it.
        let end = if frame.fin { need.saturating_add(frame.left) } else { limit };
        let goal = self.bytes.capacity().saturating_mul(2).max(believed).min(end).max(need);
        self.bytes.reserve_exact(goal.saturating_sub(self.bytes.len()));
    }

    fn into_event(self) -> Result<Event<'static>, Violation> {
        if !self.text {
            return Ok(Event::Binary(Cow::Owned(self.bytes)));
        }
        let text = String::from_utf8(self.bytes).map_err(|_| Violation::InvalidUtf8)?;
        Ok(Event::Text(Cow::Owned(text)))
    }
}

fn close_frame(payload: &[u8]) -> Result<Option<CloseFrame<'_>>, Violation> {
    if payload.is_empty() {
        return Ok(None);
    }
    let (code, reason) = payload.split_first_chunk().ok_or(Violation::BadClose)?;
    let code = CloseCode::new(u16::from_be_bytes(*code)).ok_or(Violation::BadClose)?;
    let reason = std::str::from_utf8(reason).map_err(|_| Violation::InvalidUtf8)?;
    Ok(Some(CloseFrame { code, reason: Cow::Borrowed(reason) }))
}

/// A length field is taken at its word up to here; beyond, memory follows the bytes that really came.
const BELIEVED: usize = 16 * 1024;

/// From this length on a binary message is unmasked into memory of its own.
const OWNED: usize = 4096;

/// A fragment without bytes costs the peer six bytes and us a turn; RFC 6455 sets no bound.
const MAX_EMPTY_FRAGMENTS: u16 = 1024;
