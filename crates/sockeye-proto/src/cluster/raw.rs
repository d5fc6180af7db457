//! A value as it came, JSON or MessagePack: checked as a whole once, then looked into where needed, never built.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Limits, Refused};
use crate::socket::json;
use crate::socket::msgpack::{Input, Item, string_inside, to_text_lossy};

/// One value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw<'a> {
    /// Valid JSON without white space around it.
    Json(&'a str),
    /// One whole value.
    Msgpack(&'a [u8]),
}

/// What a container holds.
enum Container {
    List,
    Map,
}

impl<'a> Raw<'a> {
    /// A message in whichever encoding: all servers tell them apart by the first byte.
    pub(super) fn message(bytes: &'a [u8], limits: &Limits) -> Result<Raw<'a>, Refused> {
        if bytes.len() > limits.message {
            return Err(Refused::TooLarge);
        }
        if bytes.first() == Some(&b'{') {
            let text = std::str::from_utf8(bytes).map_err(|_| Refused::Malformed)?;
            return Ok(Raw::Json(json::value(text, limits.outer_depth())?));
        }
        Raw::msgpack(bytes, limits)
    }

    /// A message that is MessagePack whatever its first byte.
    pub(super) fn msgpack(bytes: &'a [u8], limits: &Limits) -> Result<Raw<'a>, Refused> {
        if bytes.len() > limits.message {
            return Err(Refused::TooLarge);
        }
        let mut input = Input::lossy(bytes);
        let value = input.skip()?;
        if input.rest.is_empty() { Ok(Raw::Msgpack(value)) } else { Err(Refused::Malformed) }
    }

    /// These members of a map, the last of equals; undefined is absent. Everything else in it is passed over.
    pub(super) fn fields<const N: usize>(
        self,
        what: &'static str,
        names: [&str; N],
    ) -> Result<[Option<Raw<'a>>; N], Refused> {
        let mut found = [None; N];
        self.each(&Container::Map, what, |key, value| {
            for (name, found) in names.iter().zip(&mut found) {
                if *name == key {
                    *found = (!value.is_undefined()).then_some(value);
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The entries of a list.
    pub(super) fn entries(self, what: &'static str, limit: usize) -> Result<Vec<Raw<'a>>, Refused> {
        let mut entries = Vec::new();
        self.each(&Container::List, what, |_, value| {
            if entries.len() >= limit {
                return Err(Refused::TooMany);
            }
            entries.push(value);
            Ok(())
        })?;
        Ok(entries)
    }

    pub(super) fn is_map(self) -> bool {
        match self {
            Raw::Json(text) => text.starts_with('{'),
            Raw::Msgpack(bytes) => matches!(Input::lossy(bytes).item(), Ok(Item::Map(_))),
        }
    }

    /// Null or undefined.
    pub(super) fn is_nothing(self) -> bool {
        match self {
            Raw::Json(text) => text == "null",
            Raw::Msgpack(bytes) => matches!(Input::lossy(bytes).item(), Ok(Item::Nil | Item::Undefined)),
        }
    }

    fn is_undefined(self) -> bool {
        matches!(self, Raw::Msgpack(bytes) if matches!(Input::lossy(bytes).item(), Ok(Item::Undefined)))
    }

    pub(super) fn string(self) -> Option<Cow<'a, str>> {
        match self {
            Raw::Json(text) => Some(json::unescape(text.strip_prefix('"')?.strip_suffix('"')?)),
            Raw::Msgpack(bytes) => match Input::lossy(bytes).item().ok()? {
                Item::Str(text) => Some(Cow::Borrowed(text)),
                Item::Broken(text) => Some(String::from_utf8_lossy(text)),
                _ => None,
            },
        }
    }

    /// The name of a room: a string, or a number as JavaScript would print it, if it is a whole one.
    pub(super) fn name(self) -> Option<Cow<'a, str>> {
        self.string().or_else(|| match self {
            Raw::Json(text) => {
                text.starts_with(|c: char| c == '-' || c.is_ascii_digit()).then_some(Cow::Borrowed(text))
            }
            Raw::Msgpack(bytes) => match Input::lossy(bytes).item().ok()? {
                Item::Integer(number) => Some(Cow::Owned(number.to_string())),
                Item::Float(number) => Some(Cow::Owned(number.to_string())),
                _ => None,
            },
        })
    }

    /// A whole number that is not negative.
    pub(super) fn number(self) -> Option<u64> {
        match self {
            Raw::Json(text) => text.parse().ok(),
            Raw::Msgpack(bytes) => match Input::lossy(bytes).item().ok()? {
                Item::Integer(number) => number.try_into().ok(),
                _ => None,
            },
        }
    }

    pub(super) fn bool(self) -> Option<bool> {
        match self {
            Raw::Json(text) => text.parse().ok(),
            Raw::Msgpack(bytes) => match Input::lossy(bytes).item().ok()? {
                Item::Bool(value) => Some(value),
                _ => None,
            },
        }
    }

    /// As JSON text with placeholders, and at most so many binary values beside it.
    pub(super) fn text(
        self,
        limits: &Limits,
        attachments: usize,
    ) -> Result<(Cow<'a, str>, Vec<Bytes>), Refused> {
        match self {
            Raw::Json(text) => Ok((Cow::Borrowed(text), Vec::new())),
            Raw::Msgpack(bytes) => {
                let (text, attachments) = to_text_lossy(bytes, &limits.translation(attachments))?;
                Ok((Cow::Owned(text), attachments))
            }
        }
    }

    /// Visits the members of a container; those of a list have no key.
    fn each(
        self,
        wanted: &Container,
        what: &'static str,
        mut visit: impl FnMut(&str, Raw<'a>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        match (self, wanted) {
            (Raw::Json(text), Container::Map) if text.starts_with('{') => {
                Members { rest: text.get(1..).unwrap_or("") }.try_for_each(|text| {
                    let key = text.get(1..).and_then(string_inside).ok_or(Refused::Malformed)?;
                    let value = text.get(key.len().saturating_add(2)..).ok_or(Refused::Malformed)?;
                    let value = value.trim_start_matches([':', ' ', '\t', '\n', '\r']);
                    visit(&json::unescape(key), Raw::Json(value))
                })
            }
            (Raw::Json(text), Container::List) if text.starts_with('[') => {
                Members { rest: text.get(1..).unwrap_or("") }.try_for_each(|text| visit("", Raw::Json(text)))
            }
            (Raw::Msgpack(bytes), _) => {
                let mut input = Input::lossy(bytes);
                match (input.item()?, wanted) {
                    (Item::Array(length), Container::List) => {
                        (0..length).try_for_each(|_| visit("", Raw::Msgpack(input.skip()?)))
                    }
                    (Item::Map(length), Container::Map) => (0..length).try_for_each(|_| {
                        let key = match input.item()? {
                            Item::Str(key) => Cow::Borrowed(key),
                            Item::Broken(key) => String::from_utf8_lossy(key),
                            Item::Integer(key) => Cow::Owned(key.to_string()),
                            _ => return Err(Refused::Malformed),
                        };
                        visit(&key, Raw::Msgpack(input.skip()?))
                    }),
                    _ => Err(Refused::Field(what)),
                }
            }
            _ => Err(Refused::Field(what)),
        }
    }
}

/// The first value of a JSON list, as it is written.
pub(super) fn first(list: &str) -> Option<&str> {
    Members { rest: list.get(1..)? }.next()
}

/// The members of a valid JSON container behind its opening bracket; those of an object with key and colon.
struct Members<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest.trim_start_matches([' ', '\t', '\n', '\r', ',']);
        let mut depth = 0_usize;
        let mut at = 0_usize;
        // Only quotes and brackets can hide a comma.
        loop {
            let tail = text.get(at..)?;
            let found = tail.find(['"', '[', '{', ']', '}', ','])?;
            let byte = *tail.as_bytes().get(found)?;
            at = at.saturating_add(found);
            match byte {
                b'"' => {
                    let inside = string_inside(text.get(at.saturating_add(1)..)?)?;
                    at = at.saturating_add(inside.len()).saturating_add(2);
                    continue;
                }
                b'[' | b'{' => depth = depth.saturating_add(1),
                b',' if depth > 0 => {}
                b']' | b'}' if depth > 0 => depth = depth.saturating_sub(1),
                _ => {
                    // Its own end or that of the container.
                    let member = text.get(..at)?.trim_ascii_end();
                    self.rest = text.get(at..)?;
                    return (!member.is_empty()).then_some(member);
                }
            }
            at = at.saturating_add(1);
        }
    }
}
