//! The `Sec-WebSocket-Extensions` header, as far as permessage-deflate needs it (RFC 6455 §9.1, RFC 7692 §7.1).
//!
//! One pass, no backtracking: a hostile header costs what its length costs.

use super::{Options, Params, Window};

const NAME: &str = "permessage-deflate";

/// A server's choice among a client's offers.
///
/// `offers`: the values of all `Sec-WebSocket-Extensions` headers, in order. The first acceptable offer wins;
/// one that is malformed, unknown or asks for the impossible is passed over, and the handshake goes on. Returns
/// what was agreed and the value of the response's `Sec-WebSocket-Extensions`, or `None`: uncompressed.
pub fn negotiate<'a>(
    offers: impl IntoIterator<Item = &'a str>,
    options: &Options,
) -> Option<(Params, String)> {
    offers.into_iter().flat_map(elements).filter_map(Terms::parse).find_map(|offer| accept(offer, options))
}

/// A client's offer: the value of the request's `Sec-WebSocket-Extensions`.
pub fn offer(options: &Options) -> String {
    let client = match options.client_max_window_bits {
        Window::Any => Some(Asked::Open),
        Window::Refuse => None,
        Window::Bits(_) => options.client_max_window_bits.bits().map(Asked::Bits),
    };
    Terms {
        server_no_context_takeover: options.server_no_context_takeover,
        client_no_context_takeover: options.client_no_context_takeover,
        server_max_window_bits: options.server_max_window_bits.bits(),
        client_max_window_bits: client,
    }
    .write()
}

/// A client's look at the response's `Sec-WebSocket-Extensions` values: what was agreed, `None` for no compression.
/// `options` are those of [`offer`]; `None` if nothing was offered.
pub fn accept_response<'a>(
    values: impl IntoIterator<Item = &'a str>,
    options: Option<&Options>,
) -> Result<Option<Params>, ResponseFault> {
    let mut elements = values.into_iter().flat_map(elements);
    let Some(element) = elements.next() else { return Ok(None) };
    let options = options.ok_or(ResponseFault)?;
    let terms = Terms::parse(element).filter(|_| elements.next().is_none()).ok_or(ResponseFault)?;

    let server = terms.server_max_window_bits.unwrap_or(15);
    if options.server_max_window_bits.bits().is_some_and(|asked| server > asked)
        || (options.server_no_context_takeover && !terms.server_no_context_takeover)
    {
        return Err(ResponseFault);
    }
    let own = options.client_max_window_bits.bits().unwrap_or(15);
    let client = match (terms.client_max_window_bits, options.client_max_window_bits) {
        (None, _) => own,
        (Some(Asked::Bits(bits @ 9..)), Window::Any | Window::Bits(_)) if bits <= own => bits,
        _ => return Err(ResponseFault),
    };
    Ok(Some(Params {
        server_no_context_takeover: terms.server_no_context_takeover,
        client_no_context_takeover: terms.client_no_context_takeover || options.client_no_context_takeover,
        server_max_window_bits: server,
        client_max_window_bits: client,
    }))
}

/// The server accepted an extension that was not offered, or on terms that were not: the connection must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server's answer does not match the offered extensions")]
pub struct ResponseFault;

fn accept(offer: Terms, options: &Options) -> Option<(Params, String)> {
    let server = match (offer.server_max_window_bits, options.server_max_window_bits) {
        // zlib cannot deflate raw with 8 bits: it would use 9, and the client could not follow.
        (Some(..9), _) | (Some(_), Window::Refuse) => return None,
        (asked, Window::Bits(_)) => {
            let own = options.server_max_window_bits.bits();
            if asked < own && asked.is_some() {
                return None;
            }
            own
        }
        (asked, _) => asked,
    };
    let client = match (offer.client_max_window_bits, options.client_max_window_bits) {
        (None, Window::Bits(_)) => return None,
        (Some(Asked::Bits(asked)), Window::Bits(_)) => {
            options.client_max_window_bits.bits().map(|own| own.min(asked))
        }
        (Some(Asked::Open), Window::Bits(_)) => options.client_max_window_bits.bits(),
        (Some(Asked::Bits(asked)), Window::Any) => Some(asked),
        (Some(Asked::Open), Window::Any) | (Some(_), Window::Refuse) | (None, _) => None,
    };
    let answer = Terms {
        server_no_context_takeover: offer.server_no_context_takeover || options.server_no_context_takeover,
        client_no_context_takeover: offer.client_no_context_takeover || options.client_no_context_takeover,
        server_max_window_bits: server,
        client_max_window_bits: client.map(Asked::Bits),
    };
    let params = Params {
        server_no_context_takeover: answer.server_no_context_takeover,
        client_no_context_takeover: answer.client_no_context_takeover,
        server_max_window_bits: server.unwrap_or(15),
        client_max_window_bits: client.unwrap_or(15),
    };
    Some((params, answer.write()))
}

/// One offer or answer.
#[derive(Clone, Copy, Debug, Default)]
struct Terms {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<Asked>,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    /// Without a value: the server may choose.
    Open,
    Bits(u8),
}

impl Terms {
    /// `None`: another extension, an unknown or repeated parameter, a value missing, unasked or out of range.
    fn parse(element: &str) -> Option<Self> {
        let mut parts = split(element, b';').map(trim);
        if parts.next() != Some(NAME) {
            return None;
        }
        let mut terms = Self::default();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (trim(name), Some(unquote(trim(value)))),
                None => (part, None),
            };
            match (name, value) {
                ("server_no_context_takeover", None) if !terms.server_no_context_takeover => {
                    terms.server_no_context_takeover = true;
                }
                ("client_no_context_takeover", None) if !terms.client_no_context_takeover => {
                    terms.client_no_context_takeover = true;
                }
                ("server_max_window_bits", Some(value)) if terms.server_max_window_bits.is_none() => {
                    terms.server_max_window_bits = Some(window_bits(value)?);
                }
                ("client_max_window_bits", value) if terms.client_max_window_bits.is_none() => {
                    let asked = match value {
                        Some(value) => Asked::Bits(window_bits(value)?),
                        None => Asked::Open,
                    };
                    terms.client_max_window_bits = Some(asked);
                }
                _ => return None,
            }
        }
        Some(terms)
    }

    fn write(&self) -> String {
        let mut value = String::from(NAME);
        if self.server_no_context_takeover {
            value.push_str("; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            value.push_str("; client_no_context_takeover");
        }
        if let Some(bits) = self.server_max_window_bits {
            value.push_str("; server_max_window_bits=");
            value.push_str(itoa::Buffer::new().format(bits));
        }
        match self.client_max_window_bits {
            Some(Asked::Open) => value.push_str("; client_max_window_bits"),
            Some(Asked::Bits(bits)) => {
                value.push_str("; client_max_window_bits=");
                value.push_str(itoa::Buffer::new().format(bits));
            }
            None => {}
        }
        value
    }
}

/// 8 to 15, decimal, without leading zeros (RFC 7692 §7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    match value {
        "8" => Some(8),
        "9" => Some(9),
        "10" => Some(10),
        "11" => Some(11),
        "12" => Some(12),
        "13" => Some(13),
        "14" => Some(14),
        "15" => Some(15),
        _ => None,
    }
}

/// The elements of a header's list. Empty ones are legal and skipped.
fn elements(header: &str) -> impl Iterator<Item = &str> {
    split(header, b',').map(trim).filter(|element| !element.is_empty())
}

/// Splits at a separator outside of quotes. After a quote that never ends nothing is left: that element holds
/// the rest, and will not parse.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let at = text.bytes().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => return byte == separator && !quoted,
            }
            false
        });
        // The separator is ASCII: both sides of it are whole characters.
        let (element, after) =
            at.and_then(|at| text.split_at_checked(at)).map_or((text, None), |(a, b)| (a, Some(b)));
        rest = after.map(|after| after.get(1..).unwrap_or(""));
        Some(element)
    })
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// A quoted string's content. Our values need no escapes; with one in it, the value is not among them.
fn unquote(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}
