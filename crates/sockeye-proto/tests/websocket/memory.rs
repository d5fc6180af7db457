//! Memory follows bytes received, and there is none between messages.

use sockeye_proto::websocket::deflate::{Options, negotiate};
use sockeye_proto::websocket::{Event, OpCode, Reader, ReaderConfig, Role};

use super::{Seen, feed, fragmented, masked};

const FIXED: usize = 512;

#[test]
fn an_idle_reader_is_small() {
    assert!(size_of::<Reader>() <= 64, "{} bytes", size_of::<Reader>());
    let mut reader = Reader::new(Role::Server, ReaderConfig::default());
    feed(&mut reader, &masked(OpCode::Binary, true, false, &[1; 100_000]));
    feed(&mut reader, &fragmented(OpCode::Binary, false, &[&[1; 100], &[2; 50_000]]));
    assert_eq!((reader.held_bytes(), reader.is_mid_message()), (0, false));
    // A header in pieces lies inline.
    feed(&mut reader, &masked(OpCode::Binary, true, false, &[1; 70_000])[..13]);
    assert_eq!((reader.held_bytes(), reader.is_mid_message()), (0, true));
}

#[test]
fn a_whole_frame_is_borrowed() {
    let mut input = masked(OpCode::Text, true, false, "grüße".as_bytes());
    let mut reader = Reader::new(Role::Server, ReaderConfig::default());
    let range = input.as_ptr_range();
    let (taken, event) = reader.read(&mut input).expect("legal");
    let Some(Event::Text(std::borrow::Cow::Borrowed(text))) = event else { panic!("{event:?}") };
    assert_eq!((taken, text), (13, "grüße"));
    assert!(range.contains(&text.as_ptr()), "inside the input");
}

#[test]
fn an_announced_length_reserves_little() {
    let limit = 1 << 30;
    let config = ReaderConfig { max_message: limit, ..ReaderConfig::default() };
    let mut reader = Reader::new(Role::Server, config);
    let header =
        sockeye_proto::websocket::frame::header(OpCode::Binary, true, false, limit as u64, Some([0; 4]));
    feed(&mut reader, header.as_slice());
    assert!(reader.held_bytes() <= FIXED + 16 * 1024, "{}", reader.held_bytes());
    let mut received = 0;
    for size in [1, 10, 1000, 20_000, 20_000, 70_000, 200_000] {
        feed(&mut reader, &vec![0; size]);
        received += size;
        assert!(
            reader.held_bytes() <= FIXED + 16 * 1024 + 2 * received,
            "{} of {received}",
            reader.held_bytes()
        );
    }
}

#[test]
fn a_message_of_tiny_fragments_holds_no_more_than_the_limit() {
    let limit = 200_000;
    let config = ReaderConfig { max_message: limit, ..ReaderConfig::default() };
    let mut reader = Reader::new(Role::Server, config);
    let mut opcode = OpCode::Binary;
    for _ in 0..limit {
        assert_eq!(feed(&mut reader, &masked(opcode, false, false, &[1])), []);
        opcode = OpCode::Continuation;
        assert!(reader.held_bytes() <= limit + 4096, "{}", reader.held_bytes());
    }
    assert!(reader.held_bytes() >= limit);
    let over = feed(&mut reader, &masked(opcode, false, false, &[1]));
    assert!(matches!(over[..], [Seen::Failed(_)]));
    assert_eq!(reader.held_bytes(), 0);
}

#[test]
fn a_message_of_known_length_ends_in_a_buffer_of_that_length() {
    let mut reader = Reader::new(Role::Server, ReaderConfig::default());
    let mut input = masked(OpCode::Binary, true, false, &[5; 300_000]);
    let (front, back) = input.split_at_mut(100_000);
    assert!(matches!(reader.read(front), Ok((100_000, None))));
    let Ok((_, Some(Event::Binary(bytes)))) = reader.read(back) else { panic!("not whole") };
    assert_eq!(bytes.into_owned().capacity(), 300_000);
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    // 20 MB of zeros in 20 kB, whole and spread over fragments.
    let options = Options::default();
    let (params, _) = negotiate(["permessage-deflate"], &options).expect("acceptable");
    let mut deflater =
        sockeye_proto::websocket::deflate::Deflater::new(params.incoming(Role::Server), options.level);
    let mut bomb = Vec::new();
    deflater.deflate(&vec![0; 20_000_000], &mut bomb);
    assert!(bomb.len() < 30_000);

    let limit = 1_000_000;
    let config = ReaderConfig { max_message: limit, deflate: Some(params), ..ReaderConfig::default() };
    let whole = masked(OpCode::Binary, true, true, &bomb);
    let pieces: Vec<&[u8]> = bomb.chunks(100).collect();
    for input in [whole, fragmented(OpCode::Binary, true, &pieces)] {
        for size in [50, 1000, input.len()] {
            let mut reader = Reader::new(Role::Server, config);
            let mut ended = false;
            for piece in input.chunks(size) {
                match feed(&mut reader, piece)[..] {
                    [] => assert!(reader.held_bytes() <= limit + 64 * 1024, "{}", reader.held_bytes()),
                    [Seen::Failed(violation)] if violation.close_code().get() == 1009 => ended = true,
                    ref other => panic!("{other:?}"),
                }
            }
            assert!(ended);
            assert_eq!(reader.held_bytes(), 0);
        }
    }
}
