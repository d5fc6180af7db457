//! Every rule of RFC 6455 a peer can break, the code it is told, and the neighbours that are fine.

use sockeye_proto::websocket::{
    CloseCode, CloseFrame, CloseHandshake, OpCode, Reader, ReaderConfig, Role, Violation, frame,
};

use super::{Seen, feed, feed_cut, fragmented, masked};

/// The bytes after good ones end in `expected`, however they are cut, and the good ones still came out.
#[track_caller]
fn check(config: ReaderConfig, bytes: &[u8], expected: Violation, code: u16) {
    let mut input = masked(OpCode::Text, true, false, "before".as_bytes());
    input.extend_from_slice(bytes);
    input.extend(masked(OpCode::Text, true, false, b"after"));
    for size in [1, 2, 3, 7, input.len()] {
        let mut reader = Reader::new(Role::Server, config);
        let mut seen = feed_cut(&mut reader, &input, size);
        assert_eq!(seen.pop(), Some(Seen::Failed(expected)), "cut at {size}");
        assert_eq!(seen.first(), Some(&Seen::Text("before".into())));
        assert!(!seen.contains(&Seen::Text("after".into())));
        assert_eq!(reader.held_bytes(), 0, "a reader that is over holds nothing");
    }
    assert_eq!(expected.close_code().get(), code);
}

fn default() -> ReaderConfig {
    ReaderConfig::default()
}

#[test]
fn table() {
    let text = |payload: &[u8]| masked(OpCode::Text, true, false, payload);
    let close = |payload: &[u8]| masked(OpCode::Close, true, false, payload);
    let first = |byte: u8| vec![byte, 0x80, 1, 2, 3, 4];

    check(default(), &[0x81, 1, b'x'], Violation::Unmasked, 1002);
    check(default(), &[0x89, 0], Violation::Unmasked, 1002);
    for rsv in [0xC1, 0xA1, 0x91, 0xF1, 0xC2, 0xC9, 0xC8] {
        check(default(), &first(rsv), Violation::ReservedBit, 1002);
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        check(default(), &first(0x80 | opcode), Violation::ReservedOpcode, 1002);
    }
    for opcode in [8, 9, 10] {
        check(default(), &first(opcode), Violation::FragmentedControl, 1002);
        check(default(), &[0x80 | opcode, 0xFE, 0, 126], Violation::LongControl, 1002);
        check(default(), &[0x80 | opcode, 0xFF], Violation::LongControl, 1002);
    }
    check(default(), &first(0x80), Violation::OrphanContinuation, 1002);
    check(default(), &first(0x00), Violation::OrphanContinuation, 1002);
    for begin in [0x81, 0x82, 0x01, 0x02] {
        let mut bytes = masked(OpCode::Text, false, false, b"a");
        bytes.extend(first(begin));
        check(default(), &bytes, Violation::Interleaved, 1002);
    }
    // A message that is over does not go on.
    let mut bytes = fragmented(OpCode::Text, false, &[b"a", b"b"]);
    bytes.extend(first(0x80));
    check(default(), &bytes, Violation::OrphanContinuation, 1002);

    check(default(), &close(&[3]), Violation::BadClose, 1002);
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        check(default(), &close(&code.to_be_bytes()), Violation::BadClose, 1002);
    }
    check(default(), &close(&[3, 232, 0xFF]), Violation::InvalidUtf8, 1007);
    check(default(), &close(&[3, 232, 0xE2, 0x82]), Violation::InvalidUtf8, 1007);
    for bad in [&b"\xC3\x28"[..], b"\xC0\x80", b"\xED\xA0\x80", b"\xF4\x90\x80\x80", b"ok\xE2\x82", b"\x80"] {
        check(default(), &text(bad), Violation::InvalidUtf8, 1007);
    }
}

#[test]
fn control_frames_never_carry_rsv1_even_with_deflate() {
    let params = sockeye_proto::websocket::deflate::negotiate(["permessage-deflate"], &Default::default());
    let config = ReaderConfig { deflate: params.map(|(params, _)| params), ..default() };
    for first in [0xC8, 0xC9, 0xCA] {
        check(config, &[first, 0x80, 1, 2, 3, 4], Violation::ReservedBit, 1002);
    }
    let mut bytes = masked(OpCode::Text, false, false, b"a");
    bytes.extend([0xC0, 0x80, 1, 2, 3, 4]);
    check(config, &bytes, Violation::ReservedBit, 1002);
    check(config, &masked(OpCode::Binary, true, true, &[0xFF; 5]), Violation::InvalidDeflate, 1007);
}

#[test]
fn lengths_are_judged_before_any_payload() {
    let config = ReaderConfig { max_message: 100_000, ..default() };
    let huge = |len: u64| [&[0x82, 0xFF][..], &len.to_be_bytes()].concat();
    for len in [100_001, 1 << 32, 1 << 53, 1 << 63, u64::MAX, i64::MAX as u64] {
        // Not even the mask has come.
        let mut reader = Reader::new(Role::Server, config);
        assert_eq!(feed(&mut reader, &huge(len)), [Seen::Failed(Violation::TooBig)]);
        check(config, &huge(len), Violation::TooBig, 1009);
    }
    // Without a limit, 2^53 is one all the same.
    let unlimited = ReaderConfig { max_message: usize::MAX, ..default() };
    check(unlimited, &huge(1 << 53), Violation::TooBig, 1009);
    check(unlimited, &huge(u64::MAX), Violation::TooBig, 1009);
    let mut reader = Reader::new(Role::Server, unlimited);
    assert_eq!(feed(&mut reader, &huge((1 << 53) - 1)), []);
}

#[test]
fn the_limit_counts_the_whole_message_and_lets_its_own_size_pass() {
    let config = ReaderConfig { max_message: 10, ..default() };
    let mut reader = Reader::new(Role::Server, config);
    let exact = masked(OpCode::Binary, true, false, &[7; 10]);
    assert_eq!(feed(&mut reader, &exact), [Seen::Binary(vec![7; 10])]);
    let exact = fragmented(OpCode::Binary, false, &[&[7; 4], &[7; 5], &[7; 1]]);
    assert_eq!(feed(&mut reader, &exact), [Seen::Binary(vec![7; 10])]);

    check(config, &masked(OpCode::Binary, true, false, &[7; 11]), Violation::TooBig, 1009);
    check(config, &fragmented(OpCode::Binary, false, &[&[7; 4], &[7; 5], &[7; 2]]), Violation::TooBig, 1009);
    // Control frames are not part of it.
    let mut input = masked(OpCode::Binary, false, false, &[7; 9]);
    input.extend(masked(OpCode::Ping, true, false, &[1; 125]));
    input.extend(masked(OpCode::Continuation, true, false, &[7; 1]));
    assert_eq!(feed(&mut reader, &input), [Seen::Ping(vec![1; 125]), Seen::Binary(vec![7; 10])]);
}

#[test]
fn long_forms_are_counted_or_refused() {
    let forms: [&[u8]; 2] =
        [&[0x81, 0xFE, 0, 2, 0, 0, 0, 0], &[0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]];
    for form in forms {
        let input = [form, b"hi"].concat();
        for size in [1, input.len()] {
            let mut reader = Reader::new(Role::Server, default());
            assert_eq!(feed_cut(&mut reader, &input, size), [Seen::Text("hi".into())]);
            assert_eq!(reader.long_forms(), 1);
        }
        check(ReaderConfig { strict_lengths: true, ..default() }, &input, Violation::LongForm, 1002);
    }
    // The shortest forms of the same lengths' neighbours are no long forms.
    let mut reader = Reader::new(Role::Server, ReaderConfig { strict_lengths: true, ..default() });
    for len in [0, 125, 126, 65_535, 65_536] {
        assert_eq!(feed(&mut reader, &masked(OpCode::Binary, true, false, &vec![1; len])).len(), 1);
    }
    assert_eq!(reader.long_forms(), 0);
}

#[test]
fn empty_fragments_are_bounded_and_others_are_not() {
    let empty = |opcode| masked(opcode, false, false, b"");
    let mut flood = empty(OpCode::Text);
    for _ in 0..1024 {
        flood.extend(empty(OpCode::Continuation));
    }
    check(default(), &flood, Violation::EmptyFragments, 1008);
    // A ping in between is no progress.
    flood.truncate(flood.len() - 6);
    flood.extend(masked(OpCode::Ping, true, false, b""));
    flood.extend(empty(OpCode::Continuation));
    let seen = feed(&mut Reader::new(Role::Server, default()), &flood);
    assert_eq!(seen, [Seen::Ping(vec![]), Seen::Failed(Violation::EmptyFragments)]);

    // 1024 in a row, a byte, 1023 more and the end: legal.
    let mut legal = empty(OpCode::Text);
    for _ in 0..1023 {
        legal.extend(empty(OpCode::Continuation));
    }
    legal.extend(masked(OpCode::Continuation, false, false, b"x"));
    for _ in 0..1023 {
        legal.extend(empty(OpCode::Continuation));
    }
    legal.extend(masked(OpCode::Continuation, true, false, b""));
    assert_eq!(feed(&mut Reader::new(Role::Server, default()), &legal), [Seen::Text("x".into())]);

    // One-byte fragments are slow but honest.
    let bytes: Vec<&[u8]> = vec![b"y"; 20_000];
    let seen = feed(&mut Reader::new(Role::Server, default()), &fragmented(OpCode::Text, false, &bytes));
    assert_eq!(seen, [Seen::Text("y".repeat(20_000))]);
}

#[test]
fn bad_text_fails_at_its_first_bad_byte() {
    // Good, then a byte that nothing could make good; the frame and the message are not over.
    for (good, bad) in [
        ("κόσμε".as_bytes(), &[0xFF][..]),
        (b"a\xF4", &[0x90]),
        (b"\xED", &[0xA0]),
        (b"\xE0", &[0x80]),
        (b"\xF0\x90", &[0x41]),
        (b"", &[0xC0]),
        (b"", &[0xF5]),
    ] {
        // Inside one frame that promises more.
        let whole = masked(OpCode::Text, true, false, &[good, bad, b"more to come"].concat());
        let until = 6 + good.len();
        let mut reader = Reader::new(Role::Server, default());
        assert_eq!(feed(&mut reader, &whole[..until]), [], "{good:?} is not bad yet");
        assert_eq!(feed(&mut reader, &whole[until..until + 1]), [Seen::Failed(Violation::InvalidUtf8)]);

        // In the next fragment.
        let mut reader = Reader::new(Role::Server, default());
        assert_eq!(feed(&mut reader, &masked(OpCode::Text, false, false, good)), []);
        let bad = masked(OpCode::Continuation, false, false, bad);
        assert_eq!(feed(&mut reader, &bad), [Seen::Failed(Violation::InvalidUtf8)]);
    }
}

#[test]
fn a_client_refuses_masks_and_a_server_needs_them() {
    let mut unmasked = Vec::new();
    frame::encode(OpCode::Text, false, b"hi", None, &mut unmasked);
    let masked = masked(OpCode::Text, true, false, b"hi");
    let run = |role, input: &[u8]| feed(&mut Reader::new(role, default()), input);
    assert_eq!(run(Role::Client, &unmasked), [Seen::Text("hi".into())]);
    assert_eq!(run(Role::Server, &masked), [Seen::Text("hi".into())]);
    assert_eq!(run(Role::Client, &masked), [Seen::Failed(Violation::Masked)]);
    assert_eq!(run(Role::Server, &unmasked), [Seen::Failed(Violation::Unmasked)]);
}

#[test]
fn nothing_comes_after_a_close() {
    let mut input = masked(OpCode::Text, false, false, b"never finished");
    input.extend(masked(OpCode::Close, true, false, &[3, 233, b'b', b'y', b'e']));
    input.extend(masked(OpCode::Close, true, false, b""));
    input.extend([0xFF; 40]);
    for size in [1, 5, input.len()] {
        let mut reader = Reader::new(Role::Server, default());
        assert_eq!(feed_cut(&mut reader, &input, size), [Seen::Close(Some((1001, "bye".into())))]);
        assert_eq!((reader.held_bytes(), reader.is_mid_message()), (0, false));
    }
}

#[test]
fn the_close_handshake_from_both_sides() {
    let bye = CloseFrame { code: CloseCode::GOING_AWAY, reason: "bye".into() };

    // The peer closes: answered once with its code, and it is the server that hangs up.
    let mut close = CloseHandshake::Open;
    assert!(close.may_send() && !close.hang_up(Role::Server));
    let answer = close.received(Some(&bye), None).expect("an answer");
    assert_eq!(answer.as_slice(), [0x88, 2, 3, 233]);
    assert!(!close.may_send() && close.hang_up(Role::Server) && !close.hang_up(Role::Client));
    assert!(close.received(Some(&bye), None).is_none() && close.start(None, "", None).is_none());

    // An empty close is answered with an empty one.
    assert_eq!(CloseHandshake::Open.received(None, None).expect("an answer").as_slice(), [0x88, 0]);

    // We close: once, then wait for the peer's, which needs no answer.
    let mut close = CloseHandshake::Open;
    let frame = close.start(Some(CloseCode::NORMAL), "ok", None).expect("a frame");
    assert_eq!(frame.as_slice(), [0x88, 4, 3, 232, b'o', b'k']);
    assert!(!close.may_send() && !close.hang_up(Role::Server));
    assert!(close.start(Some(CloseCode::NORMAL), "", None).is_none());
    assert!(close.received(Some(&bye), None).is_none() && close.hang_up(Role::Server));
}

#[test]
fn reasons_and_payloads_are_cut_to_what_a_control_frame_carries() {
    let close = frame::Control::close(Some(CloseCode::NORMAL), &"€".repeat(60), None);
    assert_eq!(close.as_slice().len(), 2 + 2 + 123, "41 of three bytes each");
    let close = frame::Control::close(Some(CloseCode::NORMAL), &("x".to_owned() + &"€".repeat(60)), None);
    assert_eq!(close.as_slice().len(), 2 + 2 + 121, "no half character");
    assert_eq!(frame::Control::ping(&[1; 200], None).as_slice().len(), 127);
    let pong = frame::Control::pong(&[1; 125], Some([9; 4]));
    assert_eq!(feed(&mut Reader::new(Role::Server, default()), pong.as_slice()), [Seen::Pong(vec![1; 125])]);
}
