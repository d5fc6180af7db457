//! What the server is expected to say, as bytes: recognised by comparing, never by parsing.
//!
//! The probe learns the answer once. From then on a message costs one comparison, also when it comes in pieces,
//! which are compared as they come and never copied. Whatever differs goes the long way, through the frame reader.

use sockeye_proto::websocket::{OpCode, frame};

/// Bytes with a number of fixed width in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    head: Vec<u8>,
    digits: usize,
    tail: Vec<u8>,
}

impl Pattern {
    pub(super) fn new(head: impl Into<Vec<u8>>, digits: usize, tail: impl Into<Vec<u8>>) -> Self {
        Self { head: head.into(), digits, tail: tail.into() }
    }

    pub(super) fn len(&self) -> usize {
        self.head.len() + self.digits + self.tail.len()
    }

    /// The number, if the bytes are exactly of this pattern.
    pub(super) fn number(&self, bytes: &[u8]) -> Option<u64> {
        match self.front(bytes) {
            Some((number, [])) => Some(number),
            _ => None,
        }
    }

    /// The number, and what comes behind, if the bytes begin with this pattern.
    fn front<'a>(&self, bytes: &'a [u8]) -> Option<(u64, &'a [u8])> {
        let rest = bytes.strip_prefix(self.head.as_slice())?;
        let (digits, rest) = rest.split_at_checked(self.digits)?;
        let rest = rest.strip_prefix(self.tail.as_slice())?;
        Some((number(digits)?, rest))
    }

    /// The first bytes of the pattern with this number, whose digits may be incomplete.
    fn beginning(&self, matched: &Matcher) -> Vec<u8> {
        let mut bytes = self.head.clone();
        let digits = matched.at.saturating_sub(self.head.len()).min(self.digits);
        if digits > 0 {
            bytes.extend_from_slice(format!("{:0digits$}", matched.number).as_bytes());
        }
        bytes.extend_from_slice(&self.tail);
        bytes.truncate(matched.at);
        bytes
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        digit.is_ascii_digit().then(|| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
    })
}

/// How far a connection is inside an expected message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Matcher {
    at: usize,
    number: u64,
}

/// What became of some received bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// An expected message ended after so many bytes.
    Whole { taken: usize, number: u64 },
    /// All of the bytes belong to an expected message whose end is still to come.
    Part,
    /// Something else: none of these bytes was taken, and these had been taken before.
    Other { before: Vec<u8> },
}

impl Matcher {
    /// Compares the next bytes with the pattern.
    pub(super) fn feed(&mut self, pattern: &Pattern, bytes: &[u8]) -> Fed {
        if self.at == 0
            && let Some((number, rest)) = pattern.front(bytes)
        {
            return Fed::Whole { taken: bytes.len() - rest.len(), number };
        }
        let started = *self;
        let mut taken = 0;
        let digits_end = pattern.head.len() + pattern.digits;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let step = if (pattern.head.len()..digits_end).contains(&self.at) {
                if !rest[0].is_ascii_digit() {
                    return self.differs(pattern, started);
                }
                self.number = self.number.wrapping_mul(10).wrapping_add(u64::from(rest[0] - b'0'));
                1
            } else {
                let expected = match self.at < pattern.head.len() {
                    true => &pattern.head[self.at..],
                    false => &pattern.tail[self.at - digits_end..],
                };
                let step = expected.len().min(rest.len());
                if expected[..step] != rest[..step] {
                    return self.differs(pattern, started);
                }
                step
            };
            self.at += step;
            taken += step;
            if self.at == pattern.len() {
                let number = std::mem::take(self).number;
                return Fed::Whole { taken, number };
            }
        }
        Fed::Part
    }

    fn differs(&mut self, pattern: &Pattern, started: Self) -> Fed {
        *self = Self::default();
        Fed::Other { before: pattern.beginning(&started) }
    }
}

/// An expected message in every outfit.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// As it comes over a WebSocket in one piece, attachment included; `None` if only [`text`](Self::text) can tell,
    /// since the server answers differently each time.
    pub(super) wire: Option<Pattern>,
    /// The text of the packet.
    pub(super) text: Pattern,
    /// Whether only the beginning of the text is known.
    pub(super) open_ended: bool,
    /// The attachment that follows.
    pub(super) attachment: Option<Vec<u8>>,
}

impl Answer {
    /// From the texts of two answers with the same number, which stands at `at`. If they differ (a server that can
    /// recover connections appends an offset to its events), only the first `certain` bytes behind the number are
    /// expected of the next: where they differ by chance says nothing.
    pub(super) fn learned(
        texts: [&str; 2],
        at: usize,
        digits: usize,
        certain: usize,
        attachment: Option<Vec<u8>>,
    ) -> Self {
        let [text, other] = texts.map(str::as_bytes);
        let (head, tail) = (&text[..at], &text[at + digits..]);
        if text != other {
            let text = Pattern::new(head, digits, &tail[..certain.min(tail.len())]);
            return Self { wire: None, text, open_ended: true, attachment };
        }
        let mut wire_head =
            frame::header(OpCode::Text, true, false, text.len() as u64, None).as_slice().to_vec();
        wire_head.extend_from_slice(head);
        let mut wire_tail = tail.to_vec();
        if let Some(bytes) = &attachment {
            let header = frame::header(OpCode::Binary, true, false, bytes.len() as u64, None);
            wire_tail.extend_from_slice(header.as_slice());
            wire_tail.extend_from_slice(bytes);
        }
        Self {
            wire: Some(Pattern::new(wire_head, digits, wire_tail)),
            text: Pattern::new(head, digits, tail),
            open_ended: false,
            attachment,
        }
    }

    /// The number of this packet, if it is an expected one.
    pub(super) fn number(&self, text: &str) -> Option<u64> {
        match self.open_ended {
            true => self.text.front(text.as_bytes()).map(|(number, _)| number),
            false => self.text.number(text.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern() -> Pattern {
        Pattern::new(&b"\x81\x0c43"[..], 4, &b"[\"hi\"]"[..])
    }

    #[test]
    fn is_recognised_wherever_it_is_cut() {
        let bytes = b"\x81\x0c431234[\"hi\"]";
        for cut in 0..bytes.len() {
            let mut matcher = Matcher::default();
            assert_eq!(matcher.feed(&pattern(), &bytes[..cut]), Fed::Part, "cut at {cut}");
            let fed = matcher.feed(&pattern(), &bytes[cut..]);
            assert_eq!(fed, Fed::Whole { taken: bytes.len() - cut, number: 1234 }, "cut at {cut}");
        }
    }

    #[test]
    fn what_differs_comes_back_whole() {
        let bytes = b"\x81\x0c431204[\"hO\"]";
        for cut in 0..bytes.len() {
            let mut matcher = Matcher::default();
            let Fed::Other { before } = (match matcher.feed(&pattern(), &bytes[..cut]) {
                Fed::Part => matcher.feed(&pattern(), &bytes[cut..]),
                other => other,
            }) else {
                panic!("cut at {cut}")
            };
            assert!(before.is_empty() || before == bytes[..cut], "cut at {cut}: {before:?}");
        }
    }

    #[test]
    fn the_same_answer_is_known_as_text_and_on_the_wire() {
        let answer = Answer::learned(["431000[\"a\"]"; 2], 2, 4, 1, None);
        assert_eq!(answer.number("431007[\"a\"]"), Some(1007));
        assert_eq!(answer.number("431007[\"b\"]"), None);
        assert_eq!(answer.wire.unwrap().number(b"\x81\x0b431003[\"a\"]"), Some(1003));
    }

    #[test]
    fn what_differs_from_answer_to_answer_is_not_expected() {
        let answer = Answer::learned([r#"42["n","07x","a.11"]"#, r#"42["n","07x","a.12"]"#], 8, 2, 2, None);
        assert_eq!(answer.number(r#"42["n","12x","a.31"]"#), Some(12));
        assert_eq!(answer.number(r#"42["n","12y","a.31"]"#), None);
        assert!(answer.wire.is_none());
    }
}
