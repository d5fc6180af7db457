//! For every input: the cuts do not matter, what goes in comes out, and nothing panics.

use proptest::collection::vec;
use proptest::prelude::*;
use sockeye_proto::websocket::deflate::{Deflater, Options, Params, negotiate};
use sockeye_proto::websocket::frame::{self, Control};
use sockeye_proto::websocket::{CloseCode, OpCode, Reader, ReaderConfig, Role};

use super::{Seen, feed};

/// One thing a peer sends, with the places where it is fragmented.
#[derive(Clone, Debug)]
struct Sent {
    seen: Seen,
    compressed: bool,
    cuts: Vec<usize>,
    /// Pings between the fragments.
    pings: bool,
    key: [u8; 4],
}

fn sent() -> impl Strategy<Value = Sent> {
    let control = vec(any::<u8>(), 0..=125);
    let seen = prop_oneof![
        3 => ".{0,400}".prop_map(Seen::Text),
        2 => vec(any::<u8>(), 0..600).prop_map(Seen::Binary),
        1 => (any::<u8>(), 0..70_000usize).prop_map(|(byte, len)| Seen::Binary(vec![byte; len])),
        1 => control.clone().prop_map(Seen::Ping),
        1 => control.prop_map(Seen::Pong),
    ];
    (seen, any::<bool>(), vec(any::<usize>(), 0..4), any::<bool>(), any::<[u8; 4]>())
        .prop_map(|(seen, compressed, cuts, pings, key)| Sent { seen, compressed, cuts, pings, key })
}

fn params(takeover: bool) -> Params {
    let options = Options {
        client_no_context_takeover: !takeover,
        server_no_context_takeover: !takeover,
        ..Options::default()
    };
    negotiate(["permessage-deflate"], &options).expect("acceptable").0
}

/// The bytes of a conversation, and what the other side should see.
fn conversation(role: Role, sent: &[Sent], deflater: &mut Deflater) -> (Vec<u8>, Vec<Seen>) {
    let (mut wire, mut expected) = (Vec::new(), Vec::new());
    for sent in sent {
        let mask = (role == Role::Client).then_some(sent.key);
        let (opcode, payload) = match &sent.seen {
            Seen::Text(text) => (OpCode::Text, text.as_bytes()),
            Seen::Binary(bytes) => (OpCode::Binary, &bytes[..]),
            Seen::Ping(payload) => {
                wire.extend_from_slice(Control::ping(payload, mask).as_slice());
                expected.push(sent.seen.clone());
                continue;
            }
            Seen::Pong(payload) => {
                wire.extend_from_slice(Control::pong(payload, mask).as_slice());
                expected.push(sent.seen.clone());
                continue;
            }
            Seen::Close(_) | Seen::Failed(_) => unreachable!("never generated"),
        };
        let mut deflated = Vec::new();
        let payload = match sent.compressed {
            true => {
                deflater.deflate(payload, &mut deflated);
                &deflated[..]
            }
            false => payload,
        };
        let mut cuts: Vec<usize> = sent.cuts.iter().map(|cut| cut % (payload.len() + 1)).collect();
        cuts.extend([0, payload.len()]);
        cuts.sort_unstable();
        let last = cuts.len() - 2;
        for (i, range) in cuts.windows(2).enumerate() {
            let piece = &payload[range[0]..range[1]];
            let opcode = if i == 0 { opcode } else { OpCode::Continuation };
            let header =
                frame::header(opcode, i == last, sent.compressed && i == 0, piece.len() as u64, mask);
            wire.extend_from_slice(header.as_slice());
            let start = wire.len();
            wire.extend_from_slice(piece);
            if let Some(key) = mask {
                sockeye_proto::websocket::apply_mask(&mut wire[start..], key);
            }
            if sent.pings && i != last {
                wire.extend_from_slice(Control::ping(&[i as u8], mask).as_slice());
                expected.push(Seen::Ping(vec![i as u8]));
            }
        }
        expected.push(sent.seen.clone());
    }
    (wire, expected)
}

fn other(role: Role) -> Role {
    match role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    }
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(Role::Client)]
}

/// Fed in pieces whose sizes are taken from `cuts` in turn.
fn read_cut(reader: &mut Reader, wire: &[u8], cuts: &[usize]) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut rest = wire;
    for size in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*size).clamp(1, rest.len()));
        seen.extend(feed(reader, piece));
        rest = after;
    }
    seen
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![4 => 1..20usize, 1 => 20..5000usize], 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// CODEC: whatever one side says, the other hears, however fragmented, compressed and cut.
    #[test]
    fn what_is_said_is_heard(
        from in role(), takeover in any::<bool>(), sent in vec(sent(), 0..8), cuts in cuts(),
    ) {
        let params = params(takeover);
        let mut deflater = Deflater::new(params.outgoing(from), 6);
        let (wire, expected) = conversation(from, &sent, &mut deflater);
        let config = ReaderConfig { deflate: Some(params), strict_lengths: true, ..ReaderConfig::default() };
        let mut reader = Reader::new(other(from), config);
        prop_assert_eq!(&feed(&mut reader, &wire), &expected);
        prop_assert_eq!((reader.held_bytes(), reader.is_mid_message()), (0, false));
        let mut reader = Reader::new(other(from), config);
        prop_assert_eq!(&read_cut(&mut reader, &wire, &cuts), &expected);
    }

    /// The same for conversations with faults in them: the events and the violation do not depend on the cuts.
    #[test]
    fn cuts_do_not_change_the_verdict(
        from in role(), takeover in any::<bool>(), sent in vec(sent(), 1..6), cuts in cuts(),
        faults in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3), limit in 10..2000usize,
    ) {
        let params = params(takeover);
        let mut deflater = Deflater::new(params.outgoing(from), 6);
        let (mut wire, _) = conversation(from, &sent, &mut deflater);
        for (at, byte) in faults {
            let at = at.index(wire.len());
            wire[at] ^= byte;
        }
        let config = ReaderConfig { max_message: limit, deflate: Some(params), ..ReaderConfig::default() };
        let whole = feed(&mut Reader::new(other(from), config), &wire);
        let bytes = read_cut(&mut Reader::new(other(from), config), &wire, &[1]);
        let pieces = read_cut(&mut Reader::new(other(from), config), &wire, &cuts);
        prop_assert_eq!(&whole, &bytes);
        prop_assert_eq!(&whole, &pieces);
    }

    /// Arbitrary bytes: no panic, the same verdict for any cuts, memory bounded by the limit.
    #[test]
    fn arbitrary_bytes(
        role in role(), wire in vec(any::<u8>(), 0..300), cuts in cuts(), deflate in any::<bool>(), limit in 0..100usize,
    ) {
        let deflate = deflate.then(|| params(true));
        let config = ReaderConfig { max_message: limit, deflate, ..ReaderConfig::default() };
        let whole = feed(&mut Reader::new(role, config), &wire);
        let mut reader = Reader::new(role, config);
        prop_assert_eq!(&whole, &read_cut(&mut reader, &wire, &cuts));
        prop_assert!(reader.held_bytes() <= limit + 1024);
    }

    /// Any text as an extension header: no panic, and an answer only to an offer.
    #[test]
    fn arbitrary_offers(header in "(permessage-deflate|client_max_window_bits|[0-9]{1,2}|[;,=\" \\\\]|.){0,20}") {
        if negotiate([&*header], &Options::default()).is_some() {
            prop_assert!(header.contains("permessage-deflate"));
        }
    }

    /// A close frame survives, its reason cut to whole characters.
    #[test]
    fn close_frames(code in 0..=u16::MAX, reason in ".{0,80}", key in any::<Option<[u8; 4]>>()) {
        let Some(code) = CloseCode::new(code) else { return Ok(()) };
        let frame = Control::close(Some(code), &reason, key);
        let role = if key.is_some() { Role::Server } else { Role::Client };
        let seen = feed(&mut Reader::new(role, ReaderConfig::default()), frame.as_slice());
        let [Seen::Close(Some((got, text)))] = &seen[..] else { panic!("{seen:?}") };
        prop_assert_eq!(*got, code.get());
        prop_assert!(reason.starts_with(&**text) && (text.len() == reason.len() || text.len() > 119));
    }
}
