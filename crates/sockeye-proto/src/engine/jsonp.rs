//! JSONP: polling for browsers that could load scripts from elsewhere and nothing more.
//!
//! A response is a script that calls `___eio[<n>]` with the payload as a JSON string; a POST is a form with the
//! payload in its field `d`. Chosen at the handshake by the query key `j`. Such a client never takes binary.

use super::pairs;

/// The script that hands `payload` to the client. `j` is the handshake's; only its digits are used.
pub fn response(j: &str, payload: &str) -> String {
    let quoted = serde_json::Value::from(payload).to_string();
    let mut script = String::with_capacity(quoted.len().saturating_add(24));
    script.push_str("___eio[");
    script.extend(j.chars().filter(char::is_ascii_digit));
    script.push_str("](");
    // Both are fine in JSON and end a line in the JavaScript of those browsers.
    for piece in quoted.split_inclusive(['\u{2028}', '\u{2029}']) {
        match piece.char_indices().next_back() {
            Some((at, '\u{2028}')) => {
                script.push_str(piece.get(..at).unwrap_or_default());
                script.push_str("\\u2028");
            }
            Some((at, '\u{2029}')) => {
                script.push_str(piece.get(..at).unwrap_or_default());
                script.push_str("\\u2029");
            }
            _ => script.push_str(piece),
        }
    }
    script.push_str(");");
    script
}

/// The payload in a form body. `None` without exactly one field `d`: such a POST is answered `ok` and ignored.
///
/// The client writes a line feed as `\n`, and a `\n` that was there already as `\\n`, because browsers change line
/// feeds in forms; both are undone here.
pub fn form_payload(body: &str) -> Option<String> {
    let mut values = pairs(body).filter(|(key, _)| key == "d").map(|(_, value)| value);
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    Some(unescape(&value))
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        // A run of backslashes before an `n`: one alone is a line feed; of more, the last two were one.
        let more = after.bytes().take_while(|&byte| byte == b'\\').count();
        let after_run = after.get(more..).unwrap_or_default();
        if !after_run.starts_with('n') {
            out.extend(core::iter::repeat_n('\\', more.saturating_add(1)));
            rest = after_run;
        } else if more == 0 {
            out.push('\n');
            rest = after_run.get(1..).unwrap_or_default();
        } else {
            out.extend(core::iter::repeat_n('\\', more));
            rest = after_run;
        }
    }
    out.push_str(rest);
    out
}
