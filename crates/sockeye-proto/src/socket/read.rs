//! From the text of arguments to Rust values.
//!
//! `serde_json` does the reading. Arguments without attachments go to it as they are; with attachments, every
//! deserializer, visitor and access on the way is wrapped by [`resolve`](super::resolve).

use std::cell::Cell;
use std::fmt;

use bytes::Bytes;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Error;
use serde_json::value::RawValue;

use super::resolve::Resolve;
use super::write::ARGS;
use super::{Arguments, ReadError, json};

pub(super) fn arg<T: DeserializeOwned>(arguments: &Arguments<'_>) -> Result<T, ReadError> {
    read::<T>(arguments, |reading| T::deserialize(First(reading)))
}

pub(super) fn args<T: DeserializeOwned>(arguments: &Arguments<'_>) -> Result<T, ReadError> {
    read::<T>(arguments, |reading| T::deserialize(All(reading)))
}

fn read<T>(
    arguments: &Arguments<'_>,
    with: impl Fn(&Reading<'_>) -> Result<T, Error>,
) -> Result<T, ReadError> {
    let repaired;
    let text = if arguments.has_surrogates() {
        repaired = json::without_lone_surrogates(arguments.text());
        &repaired
    } else {
        arguments.text()
    };
    let reading = Reading {
        text,
        start: arguments.start(),
        named: arguments.is_named(),
        attachments: arguments.attachments(),
        argument: Cell::new(0),
        expected: Cell::new(std::any::type_name::<T>()),
        origin: Cell::new(arguments.start()),
        missing: Cell::new(false),
        apart: Cell::new(false),
    };
    let mut result = with(&reading);
    // The array around the arguments is a level of nesting, too: one more than `serde_json` may be able to follow.
    if matches!(&result, Err(error) if error.to_string().starts_with("recursion limit exceeded")) {
        reading.apart.set(true);
        result = with(&reading);
    }
    result.map_err(|error| reading.explain(&error))
}

/// What is read, and, for the case of an error, where we are in it.
struct Reading<'de> {
    text: &'de str,
    start: usize,
    named: bool,
    attachments: &'de [Bytes],
    argument: Cell<usize>,
    expected: Cell<&'static str>,
    /// Where in `text` the deserializer began that reports lines and columns.
    origin: Cell<usize>,
    missing: Cell<bool>,
    /// All arguments are read one by one, each by a deserializer of its own.
    apart: Cell<bool>,
}

impl<'de> Reading<'de> {
    fn rest(&self) -> &'de str {
        self.text.get(self.start..).unwrap_or("]")
    }

    fn explain(&self, error: &Error) -> ReadError {
        let (argument, expected) = (self.argument.get(), self.expected.get());
        if self.missing.get() {
            let message = "it is missing".to_owned();
            return ReadError { argument, expected, message, position: self.text.len() };
        }
        let (line, column) = (error.line(), error.column());
        let mut message = error.to_string();
        let suffix = format!(" at line {line} column {column}");
        message.truncate(message.strip_suffix(&suffix).map_or(message.len(), str::len));
        let origin = self.origin.get();
        let before: usize = self
            .text
            .get(origin..)
            .unwrap_or("")
            .split_inclusive('\n')
            .take(line.saturating_sub(1))
            .map(str::len)
            .sum();
        let position = origin.saturating_add(before).saturating_add(column).min(self.text.len());
        ReadError { argument, expected, message, position }
    }
}

/// Reads the first argument, unless it is [`Args`](super::Args) or `()` that is asked for.
struct First<'r, 'de>(&'r Reading<'de>);

macro_rules! first {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Error> {
            first!(self, $method($($name),*), visitor)
        }
    )*};
    ($self:ident, $method:ident($($name:ident),*), $visitor:ident) => {{
        let rest = $self.0.rest();
        if rest.starts_with(']') {
            let result = Missing.$method($($name,)* $visitor);
            $self.0.missing.set(result.is_err());
            return result;
        }
        let mut json = serde_json::Deserializer::from_str(rest);
        match $self.0.attachments {
            [] => json.$method($($name,)* $visitor),
            attachments => Resolve::new(&mut json, attachments).$method($($name,)* $visitor),
        }
    }};
}

impl<'de> Deserializer<'de> for First<'_, 'de> {
    type Error = Error;

    first! {
        deserialize_any() deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32()
        deserialize_i64() deserialize_i128() deserialize_u8() deserialize_u16() deserialize_u32()
        deserialize_u64() deserialize_u128() deserialize_f32() deserialize_f64() deserialize_char()
        deserialize_str() deserialize_string() deserialize_bytes() deserialize_byte_buf()
        deserialize_option() deserialize_unit_struct(name: &'static str) deserialize_seq()
        deserialize_tuple(len: usize) deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_map() deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier() deserialize_ignored_any()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == ARGS {
            return visitor.visit_newtype_struct(All(self.0));
        }
        first!(self, deserialize_newtype_struct(name), visitor)
    }
}

/// Reads all arguments, where a sequence is asked for; else the first.
struct All<'r, 'de>(&'r Reading<'de>);

impl<'de> All<'_, 'de> {
    /// With a known `len`, missing arguments are read as null.
    fn sequence<V: Visitor<'de>>(self, len: Option<usize>, visitor: V) -> Result<V::Value, Error> {
        self.0.origin.set(0);
        let sequence = Sequence { reading: self.0, len, visitor };
        if self.0.apart.get() {
            let elements: Vec<&'de RawValue> = serde_json::from_str(self.0.text)?;
            return sequence.visit_seq(Apart { elements: elements.into_iter(), reading: self.0 });
        }
        serde_json::Deserializer::from_str(self.0.text).deserialize_seq(sequence)
    }
}

/// The elements of the array, which were found without looking into them.
struct Apart<'r, 'de> {
    elements: std::vec::IntoIter<&'de RawValue>,
    reading: &'r Reading<'de>,
}

impl<'de> SeqAccess<'de> for Apart<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(element) = self.elements.next().map(RawValue::get) else { return Ok(None) };
        let origin = element.as_ptr().addr().saturating_sub(self.reading.text.as_ptr().addr());
        self.reading.origin.set(origin);
        seed.deserialize(&mut serde_json::Deserializer::from_str(element)).map(Some)
    }
}

macro_rules! only_first {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, Error> {
            First(self.0).$method($($name,)* visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for All<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.sequence(None, visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.sequence(None, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.sequence(Some(len), visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.sequence(Some(len), visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == ARGS {
            visitor.visit_newtype_struct(self)
        } else {
            First(self.0).deserialize_newtype_struct(name, visitor)
        }
    }

    only_first! {
        deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32()
        deserialize_i64() deserialize_i128() deserialize_u8() deserialize_u16() deserialize_u32()
        deserialize_u64() deserialize_u128() deserialize_f32() deserialize_f64() deserialize_char()
        deserialize_str() deserialize_string() deserialize_bytes() deserialize_byte_buf()
        deserialize_option() deserialize_unit() deserialize_unit_struct(name: &'static str)
        deserialize_map() deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier() deserialize_ignored_any()
    }
}

struct Sequence<'r, 'de, V> {
    reading: &'r Reading<'de>,
    len: Option<usize>,
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Sequence<'_, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<V::Value, A::Error> {
        if self.reading.named {
            seq.next_element::<IgnoredAny>()?;
        }
        let elements =
            Elements { seq: &mut seq, reading: self.reading, len: self.len, next: 0, ended: false };
        let value = self.visitor.visit_seq(elements)?;
        // What nobody asked for is ignored, but has to be passed over.
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(value)
    }
}

struct Elements<'r, 'de, A> {
    seq: A,
    reading: &'r Reading<'de>,
    len: Option<usize>,
    next: usize,
    ended: bool,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<'_, 'de, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, A::Error> {
        if self.len.is_some_and(|len| self.next >= len) {
            return Ok(None);
        }
        self.reading.argument.set(self.next);
        self.reading.expected.set(std::any::type_name::<T::Value>());
        self.next = self.next.saturating_add(1);
        let mut seed = Some(seed);
        if !self.ended {
            let element = Element { seed: &mut seed, attachments: self.reading.attachments };
            if let Some(value) = self.seq.next_element_seed(element)? {
                return Ok(Some(value));
            }
            self.ended = true;
        }
        match (seed, self.len) {
            (Some(seed), Some(_)) => match seed.deserialize(Missing) {
                Ok(value) => Ok(Some(value)),
                Err(error) => {
                    self.reading.missing.set(true);
                    Err(A::Error::custom(error))
                }
            },
            _ => Ok(None),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        None
    }
}

/// The seed stays where it was if there turns out to be no element.
struct Element<'s, 'x, T> {
    seed: &'s mut Option<T>,
    attachments: &'x [Bytes],
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Element<'_, '_, T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        let seed = self.seed.take().ok_or_else(|| D::Error::custom("an element is read once"))?;
        match self.attachments {
            [] => seed.deserialize(deserializer),
            attachments => seed.deserialize(Resolve::new(deserializer, attachments)),
        }
    }
}

/// An argument that is not there: null, also inside of newtypes.
struct Missing;

impl<'de> Deserializer<'de> for Missing {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
