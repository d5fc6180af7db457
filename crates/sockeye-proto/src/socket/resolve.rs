//! Puts attachments back where their placeholders stand, while a value is being read.
//!
//! A wrapper around any deserializer of JSON text in the internal form. Wherever the text has a placeholder, the
//! type that is read is offered bytes; a type that wants something else there gets an error. Nothing is buffered:
//! only the first key of an object is looked at before the object is handed on.
//!
//! An object whose `_placeholder` is `true` is a placeholder: no other such object exists in a packet with
//! attachments, they were all checked when the packet came in or was made.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::value::RawValue;

/// See the module.
pub(super) struct Resolve<'x, D> {
    inner: D,
    attachments: &'x [Bytes],
}

impl<'x, D> Resolve<'x, D> {
    pub(super) fn new(inner: D, attachments: &'x [Bytes]) -> Resolve<'x, D> {
        Resolve { inner, attachments }
    }
}

macro_rules! hand_on {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method($($name,)* Watch { inner: visitor, attachments: self.attachments })
        }
    )*};
}

// A deserializer that is asked for a sequence, a map or bytes complains itself if it finds the other. It must not
// come to that: all of these may turn out to be a placeholder.
macro_rules! may_be_binary {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.deserialize_any(visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Resolve<'_, D> {
    type Error = D::Error;

    hand_on! {
        deserialize_any() deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32()
        deserialize_i64() deserialize_i128() deserialize_u8() deserialize_u16() deserialize_u32()
        deserialize_u64() deserialize_u128() deserialize_f32() deserialize_f64() deserialize_char()
        deserialize_str() deserialize_string() deserialize_option() deserialize_unit()
        deserialize_unit_struct(name: &'static str)
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier()
    }

    may_be_binary! {
        deserialize_bytes() deserialize_byte_buf() deserialize_seq() deserialize_tuple(_len: usize)
        deserialize_tuple_struct(_name: &'static str, _len: usize) deserialize_map()
        deserialize_struct(_name: &'static str, _fields: &'static [&'static str])
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_ignored_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        // `serde_json::value::RawValue` gets the text itself, by an arrangement between it and `serde_json`.
        if name.starts_with("$serde_json::") {
            return self.inner.deserialize_newtype_struct(name, visitor);
        }
        let visitor = Watch { inner: visitor, attachments: self.attachments };
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// A visitor that sees placeholders before the visitor it wraps does.
struct Watch<'x, V> {
    inner: V,
    attachments: &'x [Bytes],
}

macro_rules! visit {
    ($($method:ident($type:ty))*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watch<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visit! {
        visit_bool(bool) visit_i8(i8) visit_i16(i16) visit_i32(i32) visit_i64(i64) visit_i128(i128) visit_u8(u8)
        visit_u16(u16) visit_u32(u32) visit_u64(u64) visit_u128(u128) visit_f32(f32) visit_f64(f64)
        visit_char(char) visit_str(&str) visit_borrowed_str(&'de str) visit_string(String) visit_bytes(&[u8])
        visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Resolve::new(inner, self.attachments))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Resolve::new(inner, self.attachments))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Elements { inner, attachments: self.attachments })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut inner: A) -> Result<V::Value, A::Error> {
        let mut first = match inner.next_key::<Cow<'de, str>>()? {
            None => Peeked::Nothing,
            Some(key) => Peeked::Key(key),
        };
        if matches!(&first, Peeked::Key(key) if key == "_placeholder") {
            let value = inner.next_value::<&'de RawValue>()?;
            if value.get() == "true" {
                return self.binary(inner);
            }
            first = Peeked::Both(value);
        }
        self.inner.visit_map(Entries { inner, first, attachments: self.attachments })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(Enum { inner, attachments: self.attachments })
    }
}

impl<'de, V: Visitor<'de>> Watch<'_, V> {
    /// The rest of a placeholder after its mark.
    fn binary<A: MapAccess<'de>>(self, mut inner: A) -> Result<V::Value, A::Error> {
        let num = match inner.next_key::<Cow<'de, str>>()? {
            Some(key) if key == "num" => inner.next_value::<usize>()?,
            _ => return Err(A::Error::custom("illegal placeholder")),
        };
        match (self.attachments.get(num), inner.next_key::<IgnoredAny>()?) {
            (Some(bytes), None) => self.inner.visit_bytes(bytes),
            _ => Err(A::Error::custom("illegal placeholder")),
        }
    }
}

struct Seed<'x, S> {
    inner: S,
    attachments: &'x [Bytes],
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Resolve::new(deserializer, self.attachments))
    }
}

struct Elements<'x, A> {
    inner: A,
    attachments: &'x [Bytes],
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_element_seed(Seed { inner: seed, attachments: self.attachments })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

/// What was taken from the front of an object to see whether it is a placeholder.
enum Peeked<'de> {
    Nothing,
    Key(Cow<'de, str>),
    /// The key was `_placeholder`, and this, its value, was not `true`.
    Both(&'de RawValue),
    Value(&'de RawValue),
}

struct Entries<'x, 'de, A> {
    inner: A,
    first: Peeked<'de>,
    attachments: &'x [Bytes],
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let (key, first) = match std::mem::replace(&mut self.first, Peeked::Nothing) {
            Peeked::Nothing | Peeked::Value(_) => return self.inner.next_key_seed(seed),
            Peeked::Key(key) => (key, Peeked::Nothing),
            Peeked::Both(value) => (Cow::Borrowed("_placeholder"), Peeked::Value(value)),
        };
        self.first = first;
        seed.deserialize(Key { text: key, error: PhantomData }).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let seed = Seed { inner: seed, attachments: self.attachments };
        match std::mem::replace(&mut self.first, Peeked::Nothing) {
            Peeked::Value(value) | Peeked::Both(value) => {
                let mut json = serde_json::Deserializer::from_str(value.get());
                seed.deserialize(&mut json).map_err(A::Error::custom)
            }
            Peeked::Nothing | Peeked::Key(_) => self.inner.next_value_seed(seed),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        None
    }
}

/// A key that was read already, for whoever wants it. As in `serde_json`, a number may be read from its text.
struct Key<'de, E> {
    text: Cow<'de, str>,
    error: PhantomData<E>,
}

macro_rules! parse {
    ($($method:ident: $visit:ident($type:ty))*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
            match self.text.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de, E: Error> Deserializer<'de> for Key<'de, E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.text {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    parse! {
        deserialize_bool: visit_bool(bool) deserialize_i8: visit_i8(i8) deserialize_i16: visit_i16(i16)
        deserialize_i32: visit_i32(i32) deserialize_i64: visit_i64(i64) deserialize_i128: visit_i128(i128)
        deserialize_u8: visit_u8(u8) deserialize_u16: visit_u16(u16) deserialize_u32: visit_u32(u32)
        deserialize_u64: visit_u64(u64) deserialize_u128: visit_u128(u128) deserialize_f32: visit_f32(f32)
        deserialize_f64: visit_f64(f64)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, E> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, E> {
        visitor.visit_enum(self.text.into_deserializer())
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Enum<'x, A> {
    inner: A,
    attachments: &'x [Bytes],
}

impl<'x, 'de, A: EnumAccess<'de>> EnumAccess<'de> for Enum<'x, A> {
    type Error = A::Error;
    type Variant = Variant<'x, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, inner) = self.inner.variant_seed(seed)?;
        Ok((value, Variant { inner, attachments: self.attachments }))
    }
}

struct Variant<'x, A> {
    inner: A,
    attachments: &'x [Bytes],
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Variant<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Seed { inner: seed, attachments: self.attachments })
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, Watch { inner: visitor, attachments: self.attachments })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, Watch { inner: visitor, attachments: self.attachments })
    }
}
