//! From Rust values to the JSON text of an array of arguments, and the binary values beside it.

use std::cell::Cell;
use std::io;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use serde_json::ser::{CompactFormatter, Formatter};

use super::{EncodeError, json};
use crate::engine::MessageBuilder;

/// Several arguments: `Args(("a", 1))` is sent as two, where the tuple alone would be one (an array). Also the
/// way to receive several: see [`Arguments::arg`](super::Arguments::arg).
///
/// Any sequence will do instead of a tuple. Inside of other values, `Args` is what it wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Args<T>(pub T);

/// How [`Args`] tells serializers and deserializers of this module that it is no ordinary newtype.
pub(super) const ARGS: &str = "$sockeye::Args";

impl<T: Serialize> Serialize for Args<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(ARGS, &self.0)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Args<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Args<T>, D::Error> {
        struct Inner<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Inner<T> {
            type Value = Args<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("arguments")
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Args<T>, D::Error> {
                T::deserialize(inner).map(Args)
            }
        }
        deserializer.deserialize_newtype_struct(ARGS, Inner(std::marker::PhantomData))
    }
}

/// Where text is written: a vector, or a message being built.
pub(super) trait Buffer: io::Write {
    fn written(&self) -> &[u8];
    fn truncate_to(&mut self, len: usize);
}

impl Buffer for Vec<u8> {
    fn written(&self) -> &[u8] {
        self
    }

    fn truncate_to(&mut self, len: usize) {
        self.truncate(len);
    }
}

impl Buffer for MessageBuilder {
    fn written(&self) -> &[u8] {
        self.payload()
    }

    fn truncate_to(&mut self, len: usize) {
        self.truncate(len);
    }
}

/// Writes the array `[name, args…]` and returns the binary values that were in it. With `ascii`, everything above
/// U+007E is escaped.
pub(super) fn array<B: Buffer>(
    out: &mut B,
    name: Option<&str>,
    args: &(impl Serialize + ?Sized),
    ascii: bool,
) -> Result<Vec<Bytes>, EncodeError> {
    let failed = |error: serde_json::Error| EncodeError::Serialize(error.to_string());
    let broken = |error: io::Error| EncodeError::Serialize(error.to_string());
    let from = out.written().len();
    let mut attachments = Vec::new();
    let spread = Cell::new(false);

    out.write_all(b"[").map_err(broken)?;
    if let Some(name) = name {
        if super::RESERVED.contains(&name) {
            return Err(EncodeError::ReservedName(name.to_owned()));
        }
        json::write_string(name, ascii, out).map_err(broken)?;
    }
    // The comma is taken back if there turns out to be no argument.
    let after_name = out.written().len();
    if name.is_some() {
        out.write_all(b",").map_err(broken)?;
    }
    let before_args = out.written().len();
    let format = Format { attachments: &mut attachments, spread: &spread, depth: 0, ascii };
    args.serialize(Top { out: &mut *out, format, json: &mut None }).map_err(failed)?;
    if out.written().len() == before_args {
        out.truncate_to(after_name);
    }
    out.write_all(b"]").map_err(broken)?;

    if !attachments.is_empty() {
        let text =
            out.written().get(from..).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        let wanted = json::Wanted {
            name: name.map(|_| usize::MAX),
            attachments: attachments.len(),
            depth: usize::MAX,
        };
        json::array(text, wanted).map_err(|_| EncodeError::PlaceholderInData)?;
    }
    Ok(attachments)
}

/// `serde_json`'s compact form, except that bytes become placeholders, and that the outermost brackets are left
/// out for [`Args`].
struct Format<'a> {
    attachments: &'a mut Vec<Bytes>,
    spread: &'a Cell<bool>,
    depth: usize,
    ascii: bool,
}

impl Format<'_> {
    /// Goes one level down; true if that level has no brackets of its own.
    fn down(&mut self) -> bool {
        self.depth = self.depth.saturating_add(1);
        self.depth == 1 && self.spread.get()
    }

    fn up(&mut self) -> bool {
        self.depth = self.depth.saturating_sub(1);
        self.depth == 0 && self.spread.get()
    }
}

impl Formatter for Format<'_> {
    fn write_byte_array<W: ?Sized + io::Write>(&mut self, out: &mut W, value: &[u8]) -> io::Result<()> {
        let mut digits = itoa::Buffer::new();
        out.write_all(PLACEHOLDER.as_bytes())?;
        out.write_all(digits.format(self.attachments.len()).as_bytes())?;
        self.attachments.push(Bytes::copy_from_slice(value));
        out.write_all(b"}")
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        if self.down() { Ok(()) } else { CompactFormatter.begin_array(out) }
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        if self.up() { Ok(()) } else { CompactFormatter.end_array(out) }
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.down();
        CompactFormatter.begin_object(out)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.up();
        CompactFormatter.end_object(out)
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        mut out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        if self.ascii { json::write_ascii(text, &mut out) } else { out.write_all(text.as_bytes()) }
    }

    fn write_raw_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        self.write_string_fragment(out, text)
    }
}

/// How every placeholder begins that is written here; the number and a brace follow.
pub(crate) const PLACEHOLDER: &str = "{\"_placeholder\":true,\"num\":";

/// The outermost call of a `Serialize` implementation tells how many arguments there are: none, several, or one.
///
/// One string is what most events carry. It is written right here, several times as fast as by `serde_json`, which has
/// to look at each byte; for anything else there is a serializer as soon as it is wanted.
struct Top<'a, 's, B> {
    out: &'a mut B,
    format: Format<'s>,
    json: &'a mut Option<Json<'a, 's, B>>,
}

type Json<'a, 's, B> = serde_json::Serializer<&'a mut B, Format<'s>>;

impl<'a, 's, B: Buffer> Top<'a, 's, B> {
    fn json(self) -> &'a mut Json<'a, 's, B> {
        self.json.insert(serde_json::Serializer::with_formatter(self.out, self.format))
    }
}

macro_rules! forward {
    ($($method:ident($type:ty))*) => {$(
        fn $method(self, value: $type) -> Result<(), serde_json::Error> {
            self.json().$method(value)
        }
    )*};
}

/// What `serde_json` writes containers with.
type Inside<'a, 's, B> = serde_json::ser::Compound<'a, &'a mut B, Format<'s>>;

impl<'a, 's, B: Buffer> Serializer for Top<'a, 's, B> {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Inside<'a, 's, B>;
    type SerializeTuple = Inside<'a, 's, B>;
    type SerializeTupleStruct = Inside<'a, 's, B>;
    type SerializeTupleVariant = Inside<'a, 's, B>;
    type SerializeMap = Inside<'a, 's, B>;
    type SerializeStruct = Inside<'a, 's, B>;
    type SerializeStructVariant = Inside<'a, 's, B>;

    fn serialize_str(self, value: &str) -> Result<(), serde_json::Error> {
        json::write_string(value, self.format.ascii, self.out).map_err(serde_json::Error::io)
    }

    fn serialize_unit(self) -> Result<(), serde_json::Error> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), serde_json::Error> {
        if name != ARGS {
            return self.json().serialize_newtype_struct(name, value);
        }
        self.format.spread.set(true);
        value.serialize(self)
    }

    forward! {
        serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_i128(i128) serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
        serialize_u128(u128) serialize_f32(f32) serialize_f64(f64) serialize_char(char)
        serialize_bytes(&[u8]) serialize_unit_struct(&'static str)
    }

    fn serialize_none(self) -> Result<(), serde_json::Error> {
        self.json().serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), serde_json::Error> {
        self.json().serialize_some(value)
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<(), serde_json::Error> {
        self.json().serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), serde_json::Error> {
        self.json().serialize_newtype_variant(name, index, variant, value)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, serde_json::Error> {
        self.json().serialize_seq(len)
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, serde_json::Error> {
        self.json().serialize_tuple(len)
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, serde_json::Error> {
        self.json().serialize_tuple_struct(name, len)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, serde_json::Error> {
        self.json().serialize_tuple_variant(name, index, variant, len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, serde_json::Error> {
        self.json().serialize_map(len)
    }

    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStruct, serde_json::Error> {
        self.json().serialize_struct(name, len)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, serde_json::Error> {
        self.json().serialize_struct_variant(name, index, variant, len)
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<(), serde_json::Error> {
        self.json().collect_str(value)
    }
}
