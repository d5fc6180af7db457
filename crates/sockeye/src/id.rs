//! Ids that nobody can guess.

/// 20 characters from `A-Za-z0-9-_`: 120 bits from the system's random source.
///
/// # Panics
/// When the system has no randomness to give. There is nothing sensible left to do then: an id that can be guessed
/// would hand one client's session to another.
pub(crate) fn random() -> String {
    let mut bytes = [0_u8; 15];
    getrandom::fill(&mut bytes).expect("the system's random source works");
    let mut id = String::with_capacity(20);
    for three in bytes.chunks_exact(3) {
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for shift in [18, 12, 6, 0] {
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            id.push(char::from(alphabet[(bits >> shift) as usize & 63]));
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_harmless_characters_never_the_same() {
        let (one, two) = (random(), random());
        assert_eq!(one.len(), 20);
        assert!(one.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_ne!(one, two);
    }
}
