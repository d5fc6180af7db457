//! Names that nobody else has and nobody guesses.

/// 16 hexadecimal digits: what servers and questions are called by all adapters but the classic one.
///
/// # Panics
/// When the system has no randomness to give: a name that can be guessed could be answered by anybody.
pub fn hex() -> String {
    random::<8>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 6 characters of `A-Za-z0-9-_`: what servers and questions are called by the classic Redis adapter.
///
/// # Panics
/// As [`hex`].
pub fn short() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    random::<6>().iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system's random source works");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_form() {
        let (long, brief) = (hex(), short());
        assert!(long.len() == 16 && long.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        assert!(
            brief.len() == 6 && brief.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        );
        assert_ne!(hex(), long);
    }
}
