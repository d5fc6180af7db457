//! Compression beyond the vectors: both sides of takeover, every window, sharing, strange but legal streams.

use sockeye_proto::websocket::deflate::{
    Deflater, Direction, Options, Params, Window, accept_response, negotiate, offer,
};
use sockeye_proto::websocket::{OpCode, Reader, ReaderConfig, Role, Violation};

use super::{Seen, feed, feed_cut, fragmented, masked};

fn both(direction: Direction) -> Params {
    Params {
        server_no_context_takeover: !direction.takeover,
        client_no_context_takeover: !direction.takeover,
        server_max_window_bits: direction.window_bits,
        client_max_window_bits: direction.window_bits,
    }
}

fn reader(role: Role, direction: Direction) -> Reader {
    Reader::new(role, ReaderConfig { deflate: Some(both(direction)), ..ReaderConfig::default() })
}

/// Text that compresses, but not to nothing, and repeats over more than the smallest window.
fn prose(len: usize) -> String {
    let mut seed = 1u32;
    let mut text = String::new();
    while text.len() < len {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(["rooms ", "events ", "größe ", "ack ", "42[\"say\"] "][(seed >> 16) as usize % 5]);
    }
    while text.len() > len {
        text.pop();
    }
    text
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut seed = 0x2545_F491_4F6C_DD1Du64;
    let next = std::iter::repeat_with(|| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 32) as u8
    });
    next.take(len).collect()
}

#[test]
fn every_window_with_and_without_takeover() {
    for window_bits in 8..=15 {
        for takeover in [false, true] {
            let direction = Direction { window_bits, takeover };
            let mut deflater = Deflater::new(direction, 6);
            let mut reader = reader(Role::Server, direction);
            for len in [0, 1, 10, 300, 0, 70_000, 70_000, 5, 200_000] {
                let text = prose(len);
                let mut payload = Vec::new();
                deflater.deflate(text.as_bytes(), &mut payload);
                assert!(len < 300 || payload.len() < len / 2, "compresses");
                let input = masked(OpCode::Text, true, true, &payload);
                assert_eq!(feed_cut(&mut reader, &input, 1000), [Seen::Text(text)], "{direction:?}");
                // And one uncompressed in between, which disturbs nothing.
                let plain = masked(OpCode::Text, true, false, b"plain");
                assert_eq!(feed(&mut reader, &plain), [Seen::Text("plain".into())]);
            }
        }
    }
}

#[test]
fn takeover_makes_repetition_cheap_and_its_absence_makes_messages_equal() {
    let text = prose(2000);
    let sizes = |takeover| {
        let mut deflater = Deflater::new(Direction { window_bits: 15, takeover }, 6);
        [0; 3].map(|_| deflater.frame(OpCode::Text, text.as_bytes()).len())
    };
    let [first, second, third] = sizes(true);
    assert!(second < first / 4 && third < first / 4, "{first} {second} {third}");
    let [first, second, third] = sizes(false);
    assert!(first == second && second == third);
}

#[test]
fn one_frame_serves_all_recipients_without_takeover() {
    let direction = Direction { window_bits: 15, takeover: false };
    let mut deflater = Deflater::new(direction, 6);
    for len in [0, 20, 200, 70_000] {
        let text = prose(len);
        let frame = deflater.frame(OpCode::Text, text.as_bytes());
        for _ in 0..3 {
            let mut client = reader(Role::Client, direction);
            assert_eq!(feed(&mut client, &frame), [Seen::Text(text.clone())]);
        }
    }
    // What does not get smaller is sent as it is.
    let noise: Vec<u8> = noise(1000);
    let frame = deflater.frame(OpCode::Binary, &noise);
    assert_eq!((frame[0], frame.len()), (0x82, 4 + noise.len()));
    assert_eq!(feed(&mut reader(Role::Client, direction), &frame), [Seen::Binary(noise)]);
}

#[test]
fn with_takeover_even_noise_goes_through_the_shared_window() {
    let direction = Direction { window_bits: 15, takeover: true };
    let mut deflater = Deflater::new(direction, 6);
    let mut client = reader(Role::Client, direction);
    for _ in 0..3 {
        let noise = noise(1000);
        let frame = deflater.frame(OpCode::Binary, &noise);
        assert_eq!(feed(&mut client, &frame), [Seen::Binary(noise)]);
    }
}

#[test]
fn a_released_deflater_goes_on() {
    let direction = Direction { window_bits: 15, takeover: true };
    let mut deflater = Deflater::new(direction, 6);
    let mut client = reader(Role::Client, direction);
    for _ in 0..3 {
        let text = prose(5000);
        let frame = deflater.frame(OpCode::Text, text.as_bytes());
        assert_eq!(feed(&mut client, &frame), [Seen::Text(text)]);
        deflater.release();
    }
}

#[test]
fn streams_that_end_inside_a_message() {
    let direction = Direction { window_bits: 15, takeover: true };
    // "Hello" as a stream of its own (BFINAL), RFC 7692 §7.2.3.4 without the byte that the sender should add.
    let ended = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
    let with_zero = [&ended[..], &[0]].concat();
    let twice = [&ended[..], &with_zero[..]].concat();
    for (payload, text) in [(&ended[..], "Hello"), (&with_zero, "Hello"), (&twice, "HelloHello")] {
        for size in [1, 100] {
            let mut reader = reader(Role::Server, direction);
            for _ in 0..2 {
                let input = masked(OpCode::Text, true, true, payload);
                assert_eq!(feed_cut(&mut reader, &input, size), [Seen::Text(text.into())]);
            }
            // The next ordinary message is understood.
            let input = masked(OpCode::Text, true, true, &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]);
            assert_eq!(feed_cut(&mut reader, &input, size), [Seen::Text("Hello".into())]);
        }
    }
    // Many of them cost us more than the peer: bounded.
    let payload = [0x03, 0x00].repeat(10_000);
    let seen = feed(&mut reader(Role::Server, direction), &masked(OpCode::Text, true, true, &payload));
    assert_eq!(seen, [Seen::Failed(Violation::InvalidDeflate)]);
}

#[test]
fn fragments_share_one_stream_and_only_the_first_says_so() {
    let direction = Direction { window_bits: 15, takeover: false };
    let text = prose(5000);
    let mut payload = Vec::new();
    Deflater::new(direction, 6).deflate(text.as_bytes(), &mut payload);
    let pieces: Vec<&[u8]> = payload.chunks(7).collect();
    let input = fragmented(OpCode::Text, true, &pieces);
    assert_eq!(feed(&mut reader(Role::Server, direction), &input), [Seen::Text(text)]);
    // An empty fragment at either end changes nothing.
    let hello = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
    let input = fragmented(OpCode::Text, true, &[b"", &hello, b""]);
    assert_eq!(feed(&mut reader(Role::Server, direction), &input), [Seen::Text("Hello".into())]);
}

#[test]
fn compressed_text_is_checked_as_it_inflates() {
    let direction = Direction { window_bits: 15, takeover: false };
    let mut payload = Vec::new();
    Deflater::new(direction, 0).deflate(&[&b"good "[..], &[0xFF], &[b'x'; 500]].concat(), &mut payload);
    let input = masked(OpCode::Text, true, true, &payload);
    let mut server = reader(Role::Server, direction);
    assert_eq!(
        feed(&mut server, &input[..100]),
        [Seen::Failed(Violation::InvalidUtf8)],
        "long before the end"
    );
}

#[test]
fn of_several_faults_the_first_in_the_message_counts_however_it_is_cut() {
    let direction = Direction { window_bits: 15, takeover: false };
    // A stored block, then one of a type that does not exist.
    let stored = |text: &[u8]| {
        let len = text.len() as u16;
        [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes(), text].concat()
    };
    let bad_block = [0x06];
    for (text, expected) in [
        (&b"all good"[..], Violation::InvalidDeflate),
        (b"bad \xFF", Violation::InvalidUtf8),
        (b"exactly 10", Violation::InvalidDeflate),
        (b"one over 10", Violation::TooBig),
        (b"ten and ok\xFF", Violation::TooBig),
        (b"nine, bad\xFFand over", Violation::InvalidUtf8),
    ] {
        let input = masked(OpCode::Text, true, true, &[&stored(text)[..], &bad_block].concat());
        let config =
            ReaderConfig { max_message: 10, deflate: Some(both(direction)), ..ReaderConfig::default() };
        for size in 1..=input.len() {
            let seen = feed_cut(&mut Reader::new(Role::Server, config), &input, size);
            assert_eq!(seen, [Seen::Failed(expected)], "{text:?} cut at {size}");
        }
    }
}

#[test]
fn the_limit_holds_after_inflation_and_lets_its_own_size_pass() {
    let direction = Direction { window_bits: 15, takeover: false };
    for (len, good) in [(999, true), (1000, true), (1001, false), (500_000, false)] {
        let mut payload = Vec::new();
        Deflater::new(direction, 6).deflate(&vec![b'a'; len], &mut payload);
        let config =
            ReaderConfig { max_message: 1000, deflate: Some(both(direction)), ..ReaderConfig::default() };
        for size in [1, 1000] {
            let input = masked(OpCode::Binary, true, true, &payload);
            let seen = feed_cut(&mut Reader::new(Role::Server, config), &input, size);
            match good {
                true => assert_eq!(seen, [Seen::Binary(vec![b'a'; len])]),
                false => assert_eq!(seen, [Seen::Failed(Violation::TooBig)]),
            }
        }
    }
    // What does not compress is a little longer on the wire, and still passes.
    let noise: Vec<u8> = noise(1000);
    let mut payload = Vec::new();
    Deflater::new(direction, 0).deflate(&noise, &mut payload);
    assert!(payload.len() > 1000);
    let config =
        ReaderConfig { max_message: 1000, deflate: Some(both(direction)), ..ReaderConfig::default() };
    let input = masked(OpCode::Binary, true, true, &payload);
    assert_eq!(feed(&mut Reader::new(Role::Server, config), &input), [Seen::Binary(noise)]);
}

#[test]
fn bad_offers_are_passed_over_one_by_one() {
    let options = Options {
        client_no_context_takeover: false,
        server_no_context_takeover: false,
        ..Options::default()
    };
    let answer = |offers: &[&str]| negotiate(offers.iter().copied(), &options).map(|(_, value)| value);
    let plain = Some("permessage-deflate".to_owned());
    for bad in [
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=abc",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=10; client_max_window_bits=10",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; client_no_context_takeover=true",
        "permessage-deflate; foo",
        "permessage-deflate; __proto__=1",
        "permessage-deflate; constructor",
        "permessage-deflate;",
        "permessage-deflatex",
        "x-webkit-deflate-frame",
        "hasOwnProperty",
        "\"permessage-deflate\"",
        "permessage-deflate permessage-deflate",
        "permessage-deflate; größe",
        "=;=;=",
        ";",
    ] {
        assert_eq!(answer(&[bad]), None, "{bad}");
        assert_eq!(answer(&[&format!("{bad}, permessage-deflate")]), plain, "{bad}");
        assert_eq!(answer(&[bad, "permessage-deflate"]), plain, "{bad}");
    }
    // A quote that never ends takes the rest with it, but not the next header.
    let open = "permessage-deflate; server_max_window_bits=\"10, permessage-deflate";
    assert_eq!(answer(&[open]), None);
    assert_eq!(answer(&[open, "permessage-deflate"]), plain);
    assert_eq!(answer(&["foo=\"a,b;\\\" , permessage-deflate\", permessage-deflate"]), plain);
    assert_eq!(answer(&[" ,\t, permessage-deflate ;  client_max_window_bits , ,"]), plain);
    assert_eq!(answer(&[""]), None);
    assert_eq!(answer(&[]), None);
}

#[test]
fn long_hostile_headers_cost_their_length() {
    let options = Options::default();
    for unit in [" ", ",", ";", "\"", "a ", "\\\"", "permessage-deflate;", "permessage-deflate; foo,"] {
        let header = unit.repeat(1_000_000 / unit.len());
        assert_eq!(negotiate([&*header], &options), None);
    }
}

#[test]
fn both_ends_agree() {
    let windows = [Window::Any, Window::Bits(9), Window::Bits(12), Window::Refuse];
    let mut agreed = 0;
    for bits in 0..16 {
        let flag = |bit: u32| bits & (1 << bit) != 0;
        for server_window in windows {
            for client_window in windows {
                let client = Options {
                    server_no_context_takeover: flag(0),
                    client_no_context_takeover: flag(1),
                    server_max_window_bits: server_window,
                    client_max_window_bits: client_window,
                    ..Options::default()
                };
                let server = Options {
                    server_no_context_takeover: flag(2),
                    client_no_context_takeover: flag(3),
                    ..Options::default()
                };
                let offer = offer(&client);
                let Some((params, value)) = negotiate([&*offer], &server) else { panic!("{offer}") };
                let there = accept_response([&*value], Some(&client)).expect(&value).expect("agreed");
                assert_eq!(there.server_no_context_takeover, params.server_no_context_takeover);
                assert_eq!(there.server_max_window_bits, params.server_max_window_bits);
                // The client may do less than it may: what it sends, the server must understand.
                assert!(there.client_no_context_takeover || !params.client_no_context_takeover);
                assert!(there.client_max_window_bits <= params.client_max_window_bits);
                agreed += 1;
            }
        }
    }
    assert_eq!(agreed, 256);
}

#[test]
fn a_client_fails_on_terms_it_did_not_offer() {
    let open = Options {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        ..Options::default()
    };
    let windows = Options {
        server_max_window_bits: Window::Bits(10),
        client_max_window_bits: Window::Bits(10),
        ..open
    };
    let closed = Options { client_max_window_bits: Window::Refuse, ..open };
    let demanding = Options { server_no_context_takeover: true, ..open };
    for (answer, options, good) in [
        ("permessage-deflate", Some(&open), true),
        ("permessage-deflate; server_no_context_takeover", Some(&open), true),
        ("permessage-deflate; client_no_context_takeover", Some(&open), true),
        ("permessage-deflate; server_max_window_bits=9", Some(&open), true),
        ("permessage-deflate; client_max_window_bits=9", Some(&open), true),
        ("permessage-deflate", None, false),
        ("foo", Some(&open), false),
        ("permessage-deflate; foo", Some(&open), false),
        ("permessage-deflate, permessage-deflate", Some(&open), false),
        ("permessage-deflate; client_max_window_bits", Some(&open), false),
        ("permessage-deflate; client_max_window_bits=8", Some(&open), false),
        ("permessage-deflate; client_max_window_bits=9", Some(&closed), false),
        ("permessage-deflate; client_max_window_bits=11", Some(&windows), false),
        ("permessage-deflate; client_max_window_bits=9; server_max_window_bits=9", Some(&windows), true),
        ("permessage-deflate", Some(&windows), false),
        ("permessage-deflate", Some(&demanding), false),
        ("permessage-deflate; server_no_context_takeover", Some(&demanding), true),
    ] {
        assert_eq!(accept_response([answer], options).is_ok(), good, "{answer}");
    }
    assert_eq!(accept_response([], Some(&open)), Ok(None));
}
