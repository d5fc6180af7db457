//! Compression of poll answers: which encoding a client takes, and the doing.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::header::{self, HeaderMap, HeaderValue};

/// An encoding that we can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    /// zlib format, which is what the name means in HTTP.
    Deflate,
}

impl Encoding {
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Encoding::Gzip => "gzip",
            Encoding::Deflate => "deflate",
        })
    }

    pub(crate) fn compress(self, body: &[u8], level: u32) -> Vec<u8> {
        let level = Compression::new(level.min(9));
        let out = Vec::with_capacity(body.len() / 2);
        // Writing to a Vec does not fail.
        match self {
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(out, level);
                let _ = encoder.write_all(body);
                encoder.finish().unwrap_or_default()
            }
            Encoding::Deflate => {
                let mut encoder = ZlibEncoder::new(out, level);
                let _ = encoder.write_all(body);
                encoder.finish().unwrap_or_default()
            }
        }
    }
}

/// The encoding that a client likes best among ours; gzip where it likes both the same.
pub(crate) fn choose(headers: &HeaderMap) -> Option<Encoding> {
    let (mut gzip, mut deflate, mut any) = (None, None, None);
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        for one in value.to_str().unwrap_or("").split(',') {
            let mut parts = one.split(';').map(str::trim);
            let name = parts.next().unwrap_or("");
            let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
            let quality =
                quality.map_or(Some(1.0), |q| q.parse::<f32>().ok()).filter(|q| (0.0..=1.0).contains(q));
            let quality = quality.unwrap_or(0.0);
            match name.to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => gzip = Some(quality),
                "deflate" => deflate = Some(quality),
                "*" => any = Some(quality),
                _ => {}
            }
        }
    }
    let gzip = gzip.or(any).unwrap_or(0.0);
    let deflate = deflate.or(any).unwrap_or(0.0);
    match (gzip > 0.0, deflate > 0.0) {
        (true, _) if gzip >= deflate => Some(Encoding::Gzip),
        (_, true) => Some(Encoding::Deflate),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualities_are_honoured() {
        for (accept, chosen) in [
            ("gzip, deflate, br", Some(Encoding::Gzip)),
            ("deflate", Some(Encoding::Deflate)),
            ("gzip;q=0.5, deflate;q=0.8", Some(Encoding::Deflate)),
            ("gzip;q=0, deflate", Some(Encoding::Deflate)),
            ("gzip;q=0", None),
            ("*", Some(Encoding::Gzip)),
            ("*;q=0", None),
            ("gzip;q=0, *", Some(Encoding::Deflate)),
            ("br", None),
            ("", None),
            ("gzip;q=nonsense", None),
            ("GZIP", Some(Encoding::Gzip)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accept));
            assert_eq!(choose(&headers), chosen, "{accept}");
        }
        assert_eq!(choose(&HeaderMap::new()), None);
    }
}
