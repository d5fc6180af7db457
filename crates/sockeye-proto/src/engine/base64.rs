//! Base64 as this protocol wants it: standard alphabet; written with padding; read with or without, and nothing else.

use ::base64::Engine as _;
use ::base64::alphabet::STANDARD as ALPHABET;
use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `None` for foreign characters, impossible lengths, and bits that would be thrown away.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// How many characters [`encode`] writes for so many bytes.
pub(crate) fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3).saturating_mul(4)
}

/// Appends the base64 of `bytes` to `out`.
pub(crate) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let end = start.saturating_add(encoded_len(bytes.len()));
    out.resize(end, 0);
    let written = match out.get_mut(start..) {
        Some(room) => STANDARD.encode_slice(bytes, room).unwrap_or(0),
        None => 0,
    };
    out.truncate(start.saturating_add(written));
}
