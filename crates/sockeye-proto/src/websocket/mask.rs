//! Masking (RFC 6455 §5.3): XOR with a repeating key of four bytes.

/// Masks or unmasks `payload`, which starts at the first byte of the key.
pub fn apply(payload: &mut [u8], key: [u8; 4]) {
    // Sixteen bytes at a time: the compiler turns the body into one vector XOR, and blocks of a safe
    // `chunks_exact` need no bounds checks. Frames of chat traffic are short, so the tail matters as well.
    let word = u32::from_ne_bytes(key);
    let wide =
        (u128::from(word) << 96) | (u128::from(word) << 64) | (u128::from(word) << 32) | u128::from(word);
    let (blocks, tail) = payload.as_chunks_mut::<16>();
    for block in blocks {
        *block = (u128::from_ne_bytes(*block) ^ wide).to_ne_bytes();
    }
    let (words, tail) = tail.as_chunks_mut::<4>();
    for bytes in words {
        *bytes = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// Unmasks `payload` on its way to the end of `out`: one pass, where unmasking and then copying are two.
pub(super) fn append(payload: &[u8], key: [u8; 4], out: &mut Vec<u8>) {
    if key == [0; 4] {
        return out.extend_from_slice(payload);
    }
    out.reserve(payload.len());
    // Through a block that the compiler keeps in registers.
    let (blocks, tail) = payload.as_chunks::<64>();
    for block in blocks {
        let mut block = *block;
        apply(&mut block, key);
        out.extend_from_slice(&block);
    }
    let begun = out.len();
    out.extend_from_slice(tail);
    apply(out.get_mut(begun..).unwrap_or_default(), key);
}

/// The key as it continues after `done` bytes: what the rest of a cut frame is masked with.
pub(super) fn turn(mut key: [u8; 4], done: usize) -> [u8; 4] {
    key.rotate_left(done & 3);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition_wherever_it_is_cut() {
        let key = [0x37, 0xFA, 0x21, 0x3D];
        for len in 0..70 {
            let plain: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
            let expected: Vec<u8> = plain.iter().zip(key.iter().cycle()).map(|(a, b)| a ^ b).collect();
            for cut in 0..=plain.len() {
                let mut masked = plain.clone();
                let (front, back) = masked.split_at_mut(cut);
                apply(front, key);
                apply(back, turn(key, cut));
                assert_eq!(masked, expected, "length {len}, cut at {cut}");
            }
        }
    }

    #[test]
    fn appending_unmasks_as_well() {
        let key = [0x37, 0xFA, 0x21, 0x3D];
        for len in 0..200 {
            let masked: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut plain = masked.clone();
            apply(&mut plain, key);
            let mut out = b"before".to_vec();
            append(&masked, key, &mut out);
            assert_eq!(out, [b"before", plain.as_slice()].concat(), "length {len}");
        }
    }
}
