//! Checks JSON text in one pass, without recursion, and finds in it what a packet needs to know: the event name,
//! where the arguments start, and the placeholders of attachments.
//!
//! Reading values out of the text is left to `serde_json`, when a handler asks. Nothing here allocates unless
//! there are placeholders or the nesting is deep, and nothing is ever changed: what is relayed stays as it came.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::Violation;

/// What was found in an array of arguments. Positions count from the start of the text given.
#[derive(Debug)]
pub(super) struct Array<'a> {
    /// The array, without the white space after it.
    pub(super) text: &'a str,
    /// The first element, if one was asked for.
    pub(super) name: Cow<'a, str>,
    /// Where the arguments start, or the closing bracket if there are none.
    pub(super) start: usize,
    /// Some escape is half a surrogate pair.
    pub(super) surrogates: bool,
    /// In order of appearance.
    pub(super) placeholders: Vec<Placeholder>,
}

/// `{"_placeholder":true,"num":k}`, however it was spelled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placeholder {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) num: usize,
}

/// What to look for in an array of arguments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// The first element is an event name of at most so many bytes.
    pub(super) name: Option<usize>,
    /// As many placeholders, each index once. Without any, placeholders are ordinary objects.
    pub(super) attachments: usize,
    /// Levels of nesting, the array itself being the first.
    pub(super) depth: usize,
}

/// Checks an array of arguments that makes up the whole text.
pub(super) fn array<'a>(text: &'a str, wanted: Wanted) -> Result<Array<'a>, Violation> {
    let mut scanner = Scanner::new(text.as_bytes(), wanted.depth, wanted.attachments);
    if !scanner.eat(b'[') {
        return Err(Violation::Payload);
    }
    scanner.white();
    let mut name = Cow::Borrowed("");
    let mut more = scanner.rest.first() != Some(&b']');
    if let Some(limit) = wanted.name {
        name = scanner.name(text)?;
        if name.len() > limit || super::RESERVED.contains(&&*name) {
            return Err(Violation::EventName);
        }
        scanner.white();
        more = scanner.eat(b',');
        scanner.white();
    }
    let start = scanner.at();
    while more {
        scanner.value()?;
        scanner.white();
        more = scanner.eat(b',');
    }
    if !scanner.eat(b']') {
        return Err(Violation::Json);
    }
    let text = text.get(..scanner.at()).ok_or(Violation::Json)?;
    scanner.end()?;
    if scanner.found.len() != wanted.attachments {
        return Err(Violation::Placeholder);
    }
    Ok(Array { text, name, start, surrogates: scanner.surrogates, placeholders: scanner.found })
}

/// Checks a single value that makes up the whole text; returns it without the white space around it.
pub(crate) fn value(text: &str, depth: usize) -> Result<&str, Violation> {
    let mut scanner = Scanner::new(text.as_bytes(), depth.saturating_add(1), 0);
    scanner.value()?;
    let text = text.get(..scanner.at()).ok_or(Violation::Json)?;
    scanner.end()?;
    Ok(text.trim_ascii_start())
}

/// What a string literal says, given what stands between its quotes. Halves of surrogate pairs become U+FFFD.
pub(crate) fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut chars = escape.chars();
        match chars.next() {
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => {
                let (unit, tail) = unit(escape.as_bytes()).unwrap_or((0xFFFD, &[]));
                let second = tail.strip_prefix(b"\\").and_then(unit_of_pair);
                let (code, tail) = match second {
                    Some((low, tail)) if is_high(unit) => (pair(unit, low), tail),
                    _ => (u32::from(unit), tail),
                };
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                let used = escape.len().saturating_sub(tail.len());
                rest = escape.get(used..).unwrap_or("");
                continue;
            }
            Some(other) => out.push(other),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The same text with every half surrogate pair escaped as `\ufffd` instead, byte for byte as long as before, so
/// that positions stay true.
pub(super) fn without_lone_surrogates(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let bytes = escape.as_bytes();
        let length = match unit(bytes) {
            Some((high, tail)) if is_high(high) => {
                tail.strip_prefix(b"\\").and_then(unit_of_pair).map(|_| 11)
            }
            Some((low, _)) if is_low(low) => None,
            Some(_) => Some(5),
            // `\"` and `\\` must be passed over whole: their second byte is not the start of anything.
            None => Some(1),
        };
        match length {
            Some(length) => {
                out.push('\\');
                out.push_str(escape.get(..length).unwrap_or(escape));
                rest = escape.get(length..).unwrap_or("");
            }
            None => {
                out.push_str("\\ufffd");
                rest = escape.get(5..).unwrap_or("");
            }
        }
    }
    out.push_str(rest);
    out
}

/// Writes `text` with everything above U+007E as `\uXXXX`. Correct for whole JSON texts, since outside of strings
/// they are ASCII anyway.
pub(super) fn write_ascii(text: &str, out: &mut impl std::io::Write) -> std::io::Result<()> {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte > 0x7E) {
        let (plain, tail) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.write_all(plain.as_bytes())?;
        let mut chars = tail.chars();
        if let Some(character) = chars.next() {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
        }
        rest = chars.as_str();
    }
    out.write_all(rest.as_bytes())
}

/// Writes a string literal, byte for byte as `serde_json` does. With `ascii`, everything above U+007E is escaped.
pub(super) fn write_string(text: &str, ascii: bool, out: &mut impl std::io::Write) -> std::io::Result<()> {
    out.write_all(b"\"")?;
    let mut rest = text;
    loop {
        let (plain, tail) = rest.split_at_checked(plain_length(rest.as_bytes())).unwrap_or((rest, ""));
        if ascii {
            write_ascii(plain, out)?;
        } else {
            out.write_all(plain.as_bytes())?;
        }
        let Some((special, tail)) = tail.split_at_checked(1) else { break };
        match special.as_bytes() {
            [b'"'] => out.write_all(b"\\\"")?,
            [b'\\'] => out.write_all(b"\\\\")?,
            [b'\n'] => out.write_all(b"\\n")?,
            [b'\r'] => out.write_all(b"\\r")?,
            [b'\t'] => out.write_all(b"\\t")?,
            [0x08] => out.write_all(b"\\b")?,
            [0x0C] => out.write_all(b"\\f")?,
            control => write!(out, "\\u{:04x}", control.first().copied().unwrap_or_default())?,
        }
        rest = tail;
    }
    out.write_all(b"\"")
}

/// How many bytes there are in front of the first that has to be escaped.
fn plain_length(text: &[u8]) -> usize {
    let special = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    // Sixteen at a time, each looked at whatever the others are: the compiler makes a handful of vector operations of it.
    let (chunks, _) = text.as_chunks::<16>();
    let any = |chunk: &[u8; 16]| chunk.iter().fold(0, |any, byte| any | u8::from(special(*byte))) != 0;
    let passed = chunks.iter().position(any).unwrap_or(chunks.len()).saturating_mul(16);
    let rest = text.get(passed..).unwrap_or_default();
    passed.saturating_add(rest.iter().position(|byte| special(*byte)).unwrap_or(rest.len()))
}

struct Scanner<'a> {
    length: usize,
    rest: &'a [u8],
    /// Levels that may be opened inside the array.
    depth: usize,
    attachments: usize,
    found: Vec<Placeholder>,
    /// The innermost open object, as long as it contains no other container: a placeholder contains none.
    leaf: Option<Leaf>,
    surrogates: bool,
}

struct Leaf {
    start: usize,
    keys: usize,
    marked: bool,
    num: Option<usize>,
}

/// A string literal that was passed over.
struct Passed<'a> {
    raw: &'a [u8],
    escapes: bool,
}

impl<'a> Scanner<'a> {
    fn new(bytes: &'a [u8], depth: usize, attachments: usize) -> Scanner<'a> {
        Scanner {
            length: bytes.len(),
            rest: bytes,
            depth: depth.saturating_sub(1),
            attachments,
            found: Vec::new(),
            leaf: None,
            surrogates: false,
        }
    }

    fn at(&self) -> usize {
        self.length.saturating_sub(self.rest.len())
    }

    fn white(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', tail @ ..] = self.rest {
            self.rest = tail;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, tail @ ..] if *first == byte => {
                self.rest = tail;
                true
            }
            _ => false,
        }
    }

    fn end(&mut self) -> Result<(), Violation> {
        self.white();
        if self.rest.is_empty() { Ok(()) } else { Err(Violation::Json) }
    }

    /// An event name: a string, or a number, which stays as it is written.
    fn name(&mut self, text: &'a str) -> Result<Cow<'a, str>, Violation> {
        let from = self.at();
        match self.rest {
            [b'"', tail @ ..] => {
                self.rest = tail;
                self.string()?;
                let inside = from.saturating_add(1)..self.at().saturating_sub(1);
                Ok(unescape(text.get(inside).ok_or(Violation::EventName)?))
            }
            [b'-' | b'0'..=b'9', ..] => {
                self.number()?;
                Ok(Cow::Borrowed(text.get(from..self.at()).ok_or(Violation::EventName)?))
            }
            // `2[]`, too: an event has a name.
            _ => Err(Violation::EventName),
        }
    }

    /// One value and the white space before it. Two states, with the open brackets on a stack: a value is due,
    /// or one is finished and its container says how it goes on.
    fn value(&mut self) -> Result<(), Violation> {
        let mut open: SmallVec<[u8; 128]> = SmallVec::new();
        loop {
            self.white();
            match self.rest {
                [b'"', tail @ ..] => {
                    self.rest = tail;
                    self.string()?;
                }
                [bracket @ (b'{' | b'['), tail @ ..] => {
                    if open.len() >= self.depth {
                        return Err(Violation::Depth);
                    }
                    if self.attachments > 0 {
                        self.opened(*bracket)?;
                    }
                    self.rest = tail;
                    open.push(*bracket);
                    self.white();
                    match (bracket, self.rest) {
                        // Empty: closed below, as any container.
                        (b'{', [b'}', ..]) | (b'[', [b']', ..]) => {}
                        (b'{', _) => {
                            self.key()?;
                            continue;
                        }
                        _ => continue,
                    }
                }
                [b't', b'r', b'u', b'e', tail @ ..]
                | [b'f', b'a', b'l', b's', b'e', tail @ ..]
                | [b'n', b'u', b'l', b'l', tail @ ..] => self.rest = tail,
                [b'-' | b'0'..=b'9', ..] => self.number()?,
                _ => return Err(Violation::Json),
            }
            loop {
                let Some(&bracket) = open.last() else { return Ok(()) };
                self.white();
                match (bracket, self.rest) {
                    (b'[', [b',', tail @ ..]) => {
                        self.rest = tail;
                        break;
                    }
                    (b'{', [b',', tail @ ..]) => {
                        self.rest = tail;
                        self.white();
                        self.key()?;
                        break;
                    }
                    (b'[', [b']', tail @ ..]) | (b'{', [b'}', tail @ ..]) => {
                        self.rest = tail;
                        open.pop();
                        if self.attachments > 0 {
                            self.closed()?;
                        }
                    }
                    _ => return Err(Violation::Json),
                }
            }
        }
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<(), Violation> {
        if !self.eat(b'"') {
            return Err(Violation::Json);
        }
        let key = self.string()?;
        self.white();
        if !self.eat(b':') {
            return Err(Violation::Json);
        }
        if self.attachments > 0 { self.entered(&key) } else { Ok(()) }
    }

    /// The rest of a string whose opening quote is behind us.
    fn string(&mut self) -> Result<Passed<'a>, Violation> {
        let from = self.rest;
        let mut escapes = false;
        loop {
            // Eight bytes at a time up to the first that is a quote, a backslash or a control character.
            while let Some((chunk, tail)) = self.rest.split_first_chunk::<8>() {
                let special = special_bytes(u64::from_le_bytes(*chunk));
                if special != 0 {
                    let plain = usize::try_from(special.trailing_zeros() >> 3).unwrap_or(0);
                    self.rest = self.rest.get(plain..).unwrap_or(&[]);
                    break;
                }
                self.rest = tail;
            }
            match self.rest {
                [b'"', tail @ ..] => {
                    let length = from.len().saturating_sub(self.rest.len());
                    self.rest = tail;
                    return Ok(Passed { raw: from.get(..length).unwrap_or(&[]), escapes });
                }
                [b'\\', tail @ ..] => {
                    escapes = true;
                    self.rest = tail;
                    self.escape()?;
                }
                [0..=0x1F, ..] | [] => return Err(Violation::Json),
                [_, tail @ ..] => self.rest = tail,
            }
        }
    }

    /// The rest of an escape whose backslash is behind us.
    fn escape(&mut self) -> Result<(), Violation> {
        if let [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', tail @ ..] = self.rest {
            self.rest = tail;
            return Ok(());
        }
        let (first, tail) = unit(self.rest).ok_or(Violation::Json)?;
        self.rest = tail;
        if is_high(first) {
            match tail.strip_prefix(b"\\").and_then(unit_of_pair) {
                Some((_, tail)) => self.rest = tail,
                None => self.surrogates = true,
            }
        } else if is_low(first) {
            self.surrogates = true;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Violation> {
        self.eat(b'-');
        if !self.eat(b'0') && self.digits() == 0 {
            return Err(Violation::Json);
        }
        if self.eat(b'.') && self.digits() == 0 {
            return Err(Violation::Json);
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            if self.digits() == 0 {
                return Err(Violation::Json);
            }
        }
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let before = self.rest.len();
        while let [b'0'..=b'9', tail @ ..] = self.rest {
            self.rest = tail;
        }
        before.saturating_sub(self.rest.len())
    }

    // The four notes below are taken only where a packet announces attachments. An object with
    // `"_placeholder": true` is then a placeholder, and must be one to the letter: JavaScript receivers replace
    // it whatever else it contains, so to keep it as data would let a relay turn one thing into another.

    fn opened(&mut self, bracket: u8) -> Result<(), Violation> {
        if self.leaf.as_ref().is_some_and(|leaf| leaf.marked) {
            return Err(Violation::Placeholder);
        }
        let start = self.at();
        self.leaf = (bracket == b'{').then_some(Leaf { start, keys: 0, marked: false, num: None });
        Ok(())
    }

    fn entered(&mut self, key: &Passed<'a>) -> Result<(), Violation> {
        self.white();
        let value = self.rest;
        let is_mark = key.says(b"_placeholder") && value.starts_with(b"true");
        match &mut self.leaf {
            Some(leaf) => {
                leaf.keys = leaf.keys.saturating_add(1);
                leaf.marked |= is_mark;
                if key.says(b"num") {
                    leaf.num = index(value);
                }
                Ok(())
            }
            None if is_mark => Err(Violation::Placeholder),
            None => Ok(()),
        }
    }

    fn closed(&mut self) -> Result<(), Violation> {
        let Some(leaf) = self.leaf.take().filter(|leaf| leaf.marked) else { return Ok(()) };
        match leaf.num {
            Some(num)
                if leaf.keys == 2
                    && num < self.attachments
                    && self.found.len() < self.attachments
                    && self.found.iter().all(|earlier| earlier.num != num) =>
            {
                self.found.push(Placeholder { start: leaf.start, end: self.at(), num });
                Ok(())
            }
            _ => Err(Violation::Placeholder),
        }
    }
}

impl Passed<'_> {
    fn says(&self, key: &[u8]) -> bool {
        if !self.escapes {
            return self.raw == key;
        }
        std::str::from_utf8(self.raw).is_ok_and(|raw| unescape(raw).as_bytes() == key)
    }
}

/// A whole number written in digits, at the front of a value that ends behind it.
fn index(value: &[u8]) -> Option<usize> {
    let mut number = 0_usize;
    let mut digits = 0_u8;
    let mut rest = value;
    while let [digit @ b'0'..=b'9', tail @ ..] = rest {
        number = number.checked_mul(10)?.checked_add(usize::from(digit.wrapping_sub(b'0')))?;
        digits = digits.saturating_add(1);
        rest = tail;
    }
    let ends = matches!(rest, [b' ' | b'\t' | b'\n' | b'\r' | b',' | b'}', ..]);
    (digits > 0 && ends).then_some(number)
}

/// Reads `uXXXX`.
fn unit(text: &[u8]) -> Option<(u16, &[u8])> {
    let [b'u', digits @ ..] = text else { return None };
    let (digits, tail) = digits.split_first_chunk::<4>()?;
    let mut unit = 0_u16;
    for digit in digits {
        let digit = char::from(*digit).to_digit(16).and_then(|digit| u16::try_from(digit).ok())?;
        unit = (unit << 4) | digit;
    }
    Some((unit, tail))
}

/// Reads `uXXXX` if it is the second half of a surrogate pair.
fn unit_of_pair(text: &[u8]) -> Option<(u16, &[u8])> {
    unit(text).filter(|(unit, _)| is_low(*unit))
}

fn is_high(unit: u16) -> bool {
    (0xD800..=0xDBFF).contains(&unit)
}

fn is_low(unit: u16) -> bool {
    (0xDC00..=0xDFFF).contains(&unit)
}

fn pair(high: u16, low: u16) -> u32 {
    0x1_0000_u32.saturating_add((u32::from(high & 0x3FF) << 10) | u32::from(low & 0x3FF))
}

/// The top bit of each byte of eight that ends or interrupts a string; exact up to and including the lowest one
/// set. The classic trick: a borrow out of a byte shows that it was smaller.
fn special_bytes(chunk: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    const QUOTES: u64 = 0x2222_2222_2222_2222;
    const BACKSLASHES: u64 = 0x5C5C_5C5C_5C5C_5C5C;
    const SPACES: u64 = 0x2020_2020_2020_2020;
    let quotes = chunk ^ QUOTES;
    let backslashes = chunk ^ BACKSLASHES;
    let is_quote = quotes.wrapping_sub(ONES) & !quotes;
    let is_backslash = backslashes.wrapping_sub(ONES) & !backslashes;
    let is_control = chunk.wrapping_sub(SPACES) & !chunk;
    (is_quote | is_backslash | is_control) & TOPS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(attachments: usize) -> Wanted {
        Wanted { name: Some(16), attachments, depth: 8 }
    }

    #[test]
    fn accepts_what_serde_json_accepts_and_nothing_else() {
        let good =
            ["0", "-0", "1.5e+7", "1E2", "\"\\u00e9\\n\"", "[]", "{}", " [ 1 , {\"a\" : [ ] } ] ", "true"];
        let bad = [
            "",
            "01",
            "-",
            "1.",
            "1e",
            ".5",
            "+1",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "[1,]",
            "{\"a\"}",
            "{,}",
            "{\"a\":1,}",
            "[",
            "]",
            "{\"a\":1",
            "nul",
            "NaN",
            "\"\n\"",
            "1 2",
            "[1}",
            "{1:2}",
            "\u{feff}1",
        ];
        for text in good {
            assert!(serde_json::from_str::<serde_json::Value>(text).is_ok());
            assert!(value(text, 8).is_ok(), "{text}");
        }
        for text in bad {
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err());
            assert!(value(text, 8).is_err(), "{text}");
        }
    }

    #[test]
    fn special_bytes_finds_the_first() {
        for (at, byte) in (0..8).zip([b'"', b'\\', 0, 0x1F, b'"', b'\n', b'\\', 7]) {
            for fill in [b' ', b'a', 0x7F, 0x80, 0xFF, 0x21, 0x23] {
                let mut chunk = [fill; 8];
                assert_eq!(special_bytes(u64::from_le_bytes(chunk)), 0, "{fill}");
                chunk[at] = byte;
                assert_eq!(special_bytes(u64::from_le_bytes(chunk)).trailing_zeros() as usize / 8, at);
            }
        }
    }

    #[test]
    fn strings_are_written_as_serde_json_does() {
        let check = |text: &str| {
            let (mut plain, mut ascii) = (Vec::new(), Vec::new());
            write_string(text, false, &mut plain).expect("memory");
            assert_eq!(String::from_utf8_lossy(&plain), serde_json::to_string(text).expect("a string"));
            write_string(text, true, &mut ascii).expect("memory");
            assert!(ascii.is_ascii());
            assert_eq!(serde_json::from_slice::<String>(&ascii).expect("a string"), text);
        };
        // Every character that is special anywhere, at every place of a chunk and behind it.
        for character in (0..=0x82).filter_map(char::from_u32).chain(['\u{7FF}', 'ä', '€', '\u{2028}', '🐟'])
        {
            for before in 0..18 {
                for after in [0, 1, 7, 8, 9] {
                    check(&format!("{}{character}{}", "x".repeat(before), "é".repeat(after)));
                    check(&format!("{}{character}{character}{}", "x".repeat(before), "y".repeat(after)));
                }
            }
        }
    }

    #[test]
    fn depth_counts_the_array_itself() {
        let nested = |levels: usize| format!("[\"x\",{}{}]", "[".repeat(levels), "]".repeat(levels));
        assert!(array(&nested(7), wanted(0)).is_ok());
        assert_eq!(array(&nested(8), wanted(0)).unwrap_err(), Violation::Depth);
    }

    #[test]
    fn placeholders_in_any_spelling() {
        let found = array(
            r#"["x", { "num" : 1 , "\u005fplaceholder" : true },[{"_placeholder":true,"num":0}]]"#,
            wanted(2),
        );
        let nums: Vec<_> = found.unwrap().placeholders.iter().map(|found| found.num).collect();
        assert_eq!(nums, [1, 0]);
    }

    #[test]
    fn half_placeholders_are_refused() {
        for bad in [
            r#"{"_placeholder":true,"num":0,"x":1}"#,
            r#"{"_placeholder":true,"num":{}}"#,
            r#"{"a":[],"_placeholder":true,"num":0}"#,
            r#"{"_placeholder":false,"_placeholder":true}"#,
            r#"{"_placeholder":true,"num":00}"#,
            r#"{"_placeholder":true,"num":0.0}"#,
            r#"{"_placeholder":true,"num":1}"#,
            r#"{"_placeholder":true}"#,
            r#"{"_placeholder":1,"num":0}"#,
        ] {
            let text = format!("[\"x\",{bad}]");
            assert!(array(&text, wanted(1)).is_err(), "{bad}");
        }
    }

    #[test]
    fn surrogates() {
        for (raw, read, repaired) in [
            (r"\ud83d\ude00", "😀", r"\ud83d\ude00"),
            (r"\ud83dx\ude00", "\u{fffd}x\u{fffd}", r"\ufffdx\ufffd"),
            (r"\\ud800", r"\ud800", r"\\ud800"),
            (r"\ud800\ud83d\ude00\n", "\u{fffd}😀\n", r"\ufffd\ud83d\ude00\n"),
            (r"é\u00e9\/", "éé/", r"é\u00e9\/"),
        ] {
            assert_eq!(unescape(raw), read);
            assert_eq!(without_lone_surrogates(raw), repaired);
            assert!(value(&format!("\"{raw}\""), 1).is_ok());
        }
    }

    #[test]
    fn ascii() {
        let mut out = Vec::new();
        write_ascii("[\"é😀\u{7f}~\"]", &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), r#"["\u00e9\ud83d\ude00\u007f~"]"#);
    }
}
