//! Connection state recovery in memory: what a client that comes back in time would have missed.
//!
//! A pure structure with the time as a parameter; the hall holds it behind one lock and keeps that lock while a
//! stored packet enters the outboxes, so that the order in the log is the order in every outbox. Without that, a
//! client could hold the offset of a packet that overtook another, and would miss the other for ever.
//!
//! # What an offset means here
//!
//! The log numbers packets from 1. A client's offset says "I have everything addressed to me up to this number".
//! The official client takes the offset from the last string argument of *any* event, so every event the server sends
//! without an ack carries one, stored or not; and it has none before its first event. Both cases are decided by what
//! the node itself remembers for each socket: the number of the first and of the last packet it put in that socket's
//! outbox, and of the first that did not get in any more. So a client that was never sent anything is recovered from the moment its connection was lost, and a
//! quiet client whose last packet has long left the log is recovered as well.
//!
//! # What it must never do
//!
//! Leave a gap. When a packet that the client might need has left the log (bytes or age), the answer is
//! "not recovered", never a shorter list.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::rooms::Audience;

/// Why a client that asked for recovery got a fresh socket instead.
///
/// Told to the application only ([`Socket::recovery_failure`](crate::Socket::recovery_failure)); the client cannot
/// tell one from the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecoveryFailure {
    /// Nothing is stored for this `pid`: it never existed here, was redeemed already, or its socket left for good. Of a
    /// bus with a log, also: what its client missed is not there as a whole any more.
    Unknown,
    /// The window has passed since the connection was lost.
    Expired,
    /// The `pid` belongs to a socket of another namespace.
    OtherNamespace,
    /// The offset is not one that this node gave to this client.
    BadOffset,
    /// Packets the client may need have left the log, by age or because of the byte limit.
    Evicted,
    /// The bus whose log has the session could not be asked.
    Unavailable,
}

impl RecoveryFailure {
    /// A fixed text, for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown pid",
            Self::Expired => "expired",
            Self::OtherNamespace => "other namespace",
            Self::BadOffset => "bad offset",
            Self::Evicted => "evicted",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for RecoveryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one socket was given of the log, kept with the socket and updated under the log's lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Given {
    /// The first packet put in its outbox; 0 for none.
    pub(crate) first: u64,
    /// The last.
    pub(crate) last: u64,
    /// The first that was for it and did not get in, because the connection was lost and nobody knew yet; 0 for none.
    pub(crate) refused: u64,
}

impl Given {
    pub(crate) fn note(&mut self, number: u64) {
        if self.first == 0 {
            self.first = number;
        }
        self.last = number;
    }

    pub(crate) fn note_refused(&mut self, number: u64) {
        if self.refused == 0 {
            self.refused = number;
        }
    }
}

/// A session of a namespace whose connection is lost, waiting to be taken up again.
#[derive(Debug)]
pub(crate) struct Lost<S> {
    pub(crate) namespace: Arc<str>,
    pub(crate) given: Given,
    pub(crate) rooms: Vec<Arc<str>>,
    /// Whatever else goes on: the id and the data.
    pub(crate) state: S,
    /// The log's number when the connection was lost.
    at: u64,
    expires: Duration,
    /// Everything up to here has reached the client.
    from: u64,
    /// Its pid was shown and refused: nobody can take it up again, and nobody has been told yet that it is over.
    spent: bool,
    bytes: usize,
}

/// The log of packets and the table of lost sessions of one node.
pub(crate) struct Store<S, P> {
    window: Duration,
    retention: Duration,
    max_bytes: usize,
    bytes: usize,
    /// Marks the offsets of this process, so that one from before a restart is never taken for ours.
    epoch: String,
    last: u64,
    log: VecDeque<Kept<P>>,
    lost: HashMap<Arc<str>, Lost<S>>,
    /// In order of expiry, which is the order of loss.
    queue: VecDeque<(Duration, Arc<str>)>,
}

struct Kept<P> {
    namespace: Arc<str>,
    audience: Audience,
    packet: P,
    bytes: usize,
    stored: Duration,
}

/// Room for the strings and counters around one packet.
const OVERHEAD: usize = 160;
/// Room for one lost session, and for each of its rooms.
const SESSION: usize = 400;
const ROOM: usize = 32;

impl<S, P: Clone> Store<S, P> {
    /// `retention` is how long a packet stays: the window and the time in which a dead peer goes unnoticed.
    pub(crate) fn new(window: Duration, retention: Duration, max_bytes: usize, epoch: String) -> Self {
        Self {
            window,
            retention,
            max_bytes,
            bytes: 0,
            epoch,
            last: 0,
            log: VecDeque::new(),
            lost: HashMap::new(),
            queue: VecDeque::new(),
        }
    }

    /// The number the next stored packet gets.
    pub(crate) fn next(&self) -> u64 {
        self.last + 1
    }

    /// The offset that says "everything so far".
    pub(crate) fn now(&self) -> String {
        self.offset(self.last)
    }

    /// How an offset looks to clients: this process's mark, a dot, the number in base 36.
    pub(crate) fn offset(&self, mut number: u64) -> String {
        let mut digits = [0_u8; 13];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize];
            number /= 36;
            if number == 0 {
                break;
            }
        }
        let digits = str::from_utf8(&digits[at..]).unwrap_or_default();
        format!("{}.{digits}", self.epoch)
    }

    fn number(&self, offset: &str) -> Option<u64> {
        let digits = offset.strip_prefix(self.epoch.as_str())?.strip_prefix('.')?;
        // One text for each number, and no sign: what is not exactly ours is not ours.
        let canonical = !digits.is_empty()
            && digits.len() <= 13
            && digits.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
            && (digits == "0" || !digits.starts_with('0'));
        canonical.then(|| u64::from_str_radix(digits, 36).ok()).flatten()
    }

    /// Keeps a packet and returns its number. The caller puts it in the outboxes before it lets go of the lock.
    pub(crate) fn store(
        &mut self,
        now: Duration,
        namespace: &Arc<str>,
        audience: Audience,
        packet: P,
        bytes: usize,
    ) -> u64 {
        self.last += 1;
        let names: usize = audience.rooms.iter().chain(&audience.except).map(|room| room.len()).sum();
        let bytes = bytes + names + OVERHEAD;
        self.bytes += bytes;
        self.log.push_back(Kept { namespace: Arc::clone(namespace), audience, packet, bytes, stored: now });
        // Only packets: who waits for a session to expire must hear of it, from `sweep`.
        while self.bytes > self.max_bytes && !self.log.is_empty() {
            self.drop_oldest();
        }
        self.drop_old(now);
        self.last
    }

    fn drop_old(&mut self, now: Duration) {
        while self.log.front().is_some_and(|kept| now.saturating_sub(kept.stored) > self.retention) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(kept) = self.log.pop_front() {
            self.bytes -= kept.bytes;
        }
    }

    /// The number of the oldest packet still here.
    fn oldest(&self) -> u64 {
        self.last + 1 - self.log.len() as u64
    }

    /// Drops what is too old, packets and sessions. Returns the sessions that expired unredeemed.
    pub(crate) fn sweep(&mut self, now: Duration) -> Vec<Lost<S>> {
        self.drop_old(now);
        let mut expired = Vec::new();
        while self.queue.front().is_some_and(|(expires, _)| *expires <= now) {
            let Some((expires, pid)) = self.queue.pop_front() else { break };
            // The entry may have been redeemed and lost again since: then a later queue entry speaks for it.
            if self.lost.get(&pid).is_some_and(|lost| lost.expires == expires) {
                expired.extend(self.remove(&pid).map(|(_, lost)| lost));
            }
        }
        if self.log.is_empty() && self.lost.is_empty() {
            self.log.shrink_to(0);
            self.queue.shrink_to(0);
        }
        expired
    }

    fn insert(&mut self, pid: Arc<str>, lost: Lost<S>) {
        self.bytes += lost.bytes;
        if let Some(before) = self.lost.insert(pid, lost) {
            self.bytes -= before.bytes;
        }
    }

    fn remove(&mut self, pid: &str) -> Option<(Arc<str>, Lost<S>)> {
        let found = self.lost.remove_entry(pid)?;
        self.bytes -= found.1.bytes;
        Some(found)
    }

    /// Keeps a session whose connection is lost; `bytes` is what its state takes. Returns the sessions that have to
    /// go for it, the oldest, where there are no packets left to drop instead.
    pub(crate) fn lose(
        &mut self,
        now: Duration,
        pid: Arc<str>,
        namespace: Arc<str>,
        given: Given,
        rooms: Vec<Arc<str>>,
        (state, bytes): (S, usize),
    ) -> Vec<Lost<S>> {
        let expires = now + self.window;
        self.queue.push_back((expires, Arc::clone(&pid)));
        let at = self.last;
        let bytes = bytes + rooms.iter().map(|room| room.len() + ROOM).sum::<usize>() + SESSION;
        self.insert(pid, Lost { namespace, given, rooms, state, at, expires, from: 0, spent: false, bytes });
        let mut gone = Vec::new();
        while self.bytes > self.max_bytes {
            if !self.log.is_empty() {
                self.drop_oldest();
            } else if let Some((expires, pid)) = self.queue.pop_front() {
                if self.lost.get(&pid).is_some_and(|lost| lost.expires == expires) {
                    gone.extend(self.remove(&pid).map(|(_, lost)| lost));
                }
            } else {
                break;
            }
        }
        gone
    }

    /// Puts a taken session back whose new connection went before it was told anything.
    pub(crate) fn put_back(&mut self, pid: Arc<str>, lost: Lost<S>) {
        // Its entry in the queue may have been passed over meanwhile. In its place: the sweep stops at the first that
        // is not due.
        let at = self.queue.partition_point(|(expires, _)| *expires < lost.expires);
        if self.queue.get(at).is_none_or(|(_, other)| *other != pid) {
            self.queue.insert(at, (lost.expires, Arc::clone(&pid)));
        }
        self.insert(pid, lost);
    }

    /// Puts a taken session back for its end to be noticed, when its client was refused. It cannot be taken again.
    pub(crate) fn spend(&mut self, pid: Arc<str>, lost: Lost<S>) {
        self.put_back(pid, Lost { spent: true, ..lost });
    }

    /// Redeems a pid, once: whatever the answer, it is no good afterwards. Whether the packets are there is asked
    /// by [`Store::missed`].
    pub(crate) fn take(
        &mut self,
        now: Duration,
        pid: &str,
        namespace: &str,
        offset: Option<&str>,
    ) -> Result<(Arc<str>, Lost<S>), RecoveryFailure> {
        let Some(lost) = self.lost.get(pid).filter(|lost| !lost.spent) else {
            return Err(RecoveryFailure::Unknown);
        };
        // Asking in the wrong place must not cost the owner its session.
        if *lost.namespace != *namespace {
            return Err(RecoveryFailure::OtherNamespace);
        }
        // What cannot be taken stays until the sweep, which tells that it is over.
        if lost.expires <= now {
            return Err(RecoveryFailure::Expired);
        }
        match self.from(lost, offset) {
            Ok(from) => {
                let (pid, lost) = self.remove(pid).ok_or(RecoveryFailure::Unknown)?;
                Ok((pid, Lost { from, ..lost }))
            }
            Err(failure) => {
                if let Some(lost) = self.lost.get_mut(pid) {
                    lost.spent = true;
                }
                Err(failure)
            }
        }
    }

    /// Up to which packet a client has everything, going by the offset it shows.
    fn from(&self, lost: &Lost<S>, offset: Option<&str>) -> Result<u64, RecoveryFailure> {
        let claimed = match offset {
            Some(offset) => self.number(offset).ok_or(RecoveryFailure::BadOffset)?,
            None => lost.given.first.saturating_sub(1),
        };
        if claimed > lost.at {
            return Err(RecoveryFailure::BadOffset);
        }
        // With nothing given after what the client has, all that can be missing was refused or came after the loss.
        let last = lost.given.last.max(1);
        let from = match lost.given.refused {
            _ if claimed < lost.given.last => claimed,
            0 => lost.at,
            refused => refused.max(last) - 1,
        };
        if from + 1 < self.oldest() { Err(RecoveryFailure::Evicted) } else { Ok(from) }
    }

    /// The packets a taken session missed up to now, in order, with their numbers.
    pub(crate) fn missed(&self, lost: &Lost<S>, own: &str) -> Result<Vec<(u64, P)>, RecoveryFailure> {
        let oldest = self.oldest();
        let Some(skip) = (lost.from + 1).checked_sub(oldest) else { return Err(RecoveryFailure::Evicted) };
        // The log may be long, and this is done under its lock.
        let many: HashSet<&str> =
            if lost.rooms.len() > 8 { lost.rooms.iter().map(|r| &**r).collect() } else { HashSet::new() };
        let joined = |name: &Arc<str>| match lost.rooms.len() {
            0..=8 => lost.rooms.contains(name),
            _ => many.contains(&**name),
        };
        let rooms = |name: &Arc<str>| **name == *own || joined(name);
        let missed = self.log.iter().enumerate().skip(skip as usize).filter(|(_, kept)| {
            (Arc::ptr_eq(&kept.namespace, &lost.namespace) || kept.namespace == lost.namespace)
                && (kept.audience.rooms.is_empty() || kept.audience.rooms.iter().any(rooms))
                && !kept.audience.except.iter().any(rooms)
        });
        Ok(missed.map(|(at, kept)| (oldest + at as u64, kept.packet.clone())).collect())
    }

    /// When [`Store::sweep`] next has something to do.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let session = self.queue.front().map(|(expires, _)| *expires);
        let packet = self.log.front().map(|kept| kept.stored + self.retention + Duration::from_nanos(1));
        session.into_iter().chain(packet).min()
    }

    /// Bytes of packets and sessions held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sessions waiting to be taken up again.
    pub(crate) fn sessions(&self) -> usize {
        self.lost.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smallvec::smallvec;

    use super::*;

    type Plain = Store<&'static str, u32>;

    fn name(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn store(max_bytes: usize) -> Plain {
        Store::new(secs(120), secs(180), max_bytes, "epoch".to_owned())
    }

    fn to(room: &str) -> Audience {
        Audience { rooms: smallvec![name(room)], except: smallvec![] }
    }

    fn all() -> Audience {
        Audience::default()
    }

    fn lose(store: &mut Plain, now: Duration, pid: &str, given: Given, rooms: &[&str]) {
        let rooms = rooms.iter().map(|room| name(room)).collect();
        assert_eq!(store.lose(now, name(pid), name("/"), given, rooms, ("data", 0)).len(), 0);
    }

    fn back(
        store: &mut Plain,
        now: Duration,
        pid: &str,
        offset: Option<&str>,
    ) -> Result<Vec<u32>, RecoveryFailure> {
        let (_, lost) = store.take(now, pid, "/", offset)?;
        Ok(store.missed(&lost, "own")?.into_iter().map(|(_, packet)| packet).collect())
    }

    #[test]
    fn what_came_after_the_offset_and_was_for_it() {
        let mut store = store(1 << 20);
        let ns = name("/");
        let mut given = Given::default();
        given.note(store.store(secs(0), &ns, all(), 1, 1));
        let offset = store.now();
        given.note(store.store(secs(0), &ns, to("r"), 2, 1));
        lose(&mut store, secs(1), "p", given, &["r"]);
        store.store(secs(2), &ns, to("r"), 3, 1);
        store.store(secs(2), &ns, to("other"), 4, 1);
        store.store(secs(2), &name("/x"), all(), 5, 1);
        store.store(secs(2), &ns, to("own"), 6, 1);
        store.store(secs(2), &ns, Audience { rooms: smallvec![], except: smallvec![name("r")] }, 7, 1);
        store.store(secs(2), &ns, all(), 8, 1);
        assert_eq!(back(&mut store, secs(3), "p", Some(&offset)), Ok(vec![2, 3, 6, 8]));
        assert_eq!(
            back(&mut store, secs(3), "p", Some(&offset)),
            Err(RecoveryFailure::Unknown),
            "redeemed once"
        );
    }

    #[test]
    fn works_without_a_first_event() {
        let mut store = store(1 << 20);
        let ns = name("/");
        store.store(secs(0), &ns, to("other"), 1, 1);
        lose(&mut store, secs(500), "p", Given::default(), &[]);
        store.store(secs(501), &ns, all(), 2, 1);
        assert_eq!(back(&mut store, secs(502), "p", None), Ok(vec![2]));

        // It was sent two packets of which none arrived.
        let mut given = Given::default();
        given.note(store.store(secs(503), &ns, all(), 3, 1));
        given.note(store.store(secs(503), &ns, all(), 4, 1));
        lose(&mut store, secs(503), "p", given, &[]);
        assert_eq!(back(&mut store, secs(504), "p", None), Ok(vec![3, 4]));
    }

    #[test]
    fn what_was_sent_to_a_connection_nobody_knew_was_lost() {
        let mut store = store(1 << 20);
        let ns = name("/");
        let mut given = Given::default();
        given.note(store.store(secs(0), &ns, all(), 1, 1));
        let offset = store.now();
        store.store(secs(0), &ns, to("other"), 2, 1);
        given.note_refused(store.store(secs(0), &ns, all(), 3, 1));
        given.note_refused(store.store(secs(0), &ns, all(), 4, 1));
        lose(&mut store, secs(1), "p", given, &[]);
        assert_eq!(back(&mut store, secs(2), "p", Some(&offset)), Ok(vec![3, 4]));
        let mut given = Given::default();
        given.note_refused(store.store(secs(3), &ns, all(), 5, 1));
        lose(&mut store, secs(3), "p", given, &[]);
        assert_eq!(back(&mut store, secs(4), "p", None), Ok(vec![5]));
    }

    #[test]
    fn a_quiet_client_whose_last_packet_has_left_the_log() {
        let mut store = store(1 << 20);
        let ns = name("/");
        let mut given = Given::default();
        given.note(store.store(secs(0), &ns, all(), 1, 1));
        let offset = store.now();
        store.store(secs(9_999), &ns, to("other"), 2, 1);
        lose(&mut store, secs(10_000), "p", given, &[]);
        store.store(secs(10_001), &ns, all(), 3, 1);
        assert_eq!(back(&mut store, secs(10_002), "p", Some(&offset)), Ok(vec![3]));
    }

    #[test]
    fn refusals_and_their_reasons() {
        let mut store = store(1 << 20);
        let ns = name("/");
        let fresh = |store: &mut Plain| lose(store, secs(1), "p", Given::default(), &[]);
        fresh(&mut store);
        for bad in
            ["", "epoch", "epoch.", "epoch.+0", "epoch.00", "other.0", "epoch.5", "epoch.zzzzzzzzzzzzzz", "é"]
        {
            assert_eq!(back(&mut store, secs(2), "p", Some(bad)), Err(RecoveryFailure::BadOffset), "{bad}");
            fresh(&mut store);
        }
        assert_eq!(store.take(secs(2), "p", "/x", None).err(), Some(RecoveryFailure::OtherNamespace));
        assert_eq!(back(&mut store, secs(121), "p", None), Err(RecoveryFailure::Expired));
        assert_eq!(back(&mut store, secs(2), "nobody", None), Err(RecoveryFailure::Unknown));
        fresh(&mut store);
        store.store(secs(2), &ns, all(), 1, 1);
        assert_eq!(store.sweep(secs(300)).len(), 1);
        assert_eq!((store.sessions(), store.bytes()), (0, 0));
    }

    #[test]
    fn the_byte_limit_never_leaves_a_gap() {
        let mut store = store(3 * (100 + OVERHEAD) + 2 * SESSION);
        let ns = name("/");
        lose(&mut store, secs(0), "early", Given::default(), &[]);
        for n in 1..=3 {
            store.store(secs(1), &ns, all(), n, 100);
        }
        lose(&mut store, secs(1), "late", Given::default(), &[]);
        store.store(secs(1), &ns, all(), 4, 100);
        assert!(store.bytes() <= 3 * (100 + OVERHEAD) + 2 * SESSION);
        assert_eq!(back(&mut store, secs(2), "early", None), Err(RecoveryFailure::Evicted));
        assert_eq!(back(&mut store, secs(2), "late", None), Ok(vec![4]));
    }

    #[test]
    fn put_back_can_be_taken_again_until_it_expires() {
        let mut store = store(1 << 20);
        lose(&mut store, secs(0), "p", Given::default(), &[]);
        let (pid, lost) = store.take(secs(1), "p", "/", None).unwrap();
        assert_eq!(store.take(secs(1), "p", "/", None).err(), Some(RecoveryFailure::Unknown));
        store.put_back(pid, lost);
        assert!(store.take(secs(2), "p", "/", None).is_ok());
        lose(&mut store, secs(0), "p", Given::default(), &[]);
        let (pid, lost) = store.take(secs(1), "p", "/", None).unwrap();
        store.put_back(pid, lost);
        assert_eq!(store.sweep(secs(120)).len(), 1);
    }

    #[test]
    fn every_session_that_is_not_recovered_is_told_once() {
        let mut store = store(1 << 20);
        let ns = name("/");
        for (pid, offset, why) in [
            ("expired", None, RecoveryFailure::Expired),
            ("forged", Some("epoch.zz"), RecoveryFailure::BadOffset),
        ] {
            lose(&mut store, secs(0), pid, Given::default(), &[]);
            // Others go on sending while it expires.
            store.store(secs(120), &ns, all(), 1, 1);
            let now = if offset.is_some() { secs(1) } else { secs(121) };
            assert_eq!(back(&mut store, now, pid, offset), Err(why));
            let again = if offset.is_some() { RecoveryFailure::Unknown } else { why };
            assert_eq!(back(&mut store, now, pid, None), Err(again), "spent");
            assert_eq!(store.sweep(secs(119)).len(), 0);
            assert_eq!(store.sweep(secs(121)).len(), 1, "{pid}");
            assert_eq!(store.sweep(secs(1_000)).len(), 0);
        }
        lose(&mut store, secs(2_000), "refused", Given::default(), &[]);
        let (pid, lost) = store.take(secs(2_001), "refused", "/", None).unwrap();
        store.spend(pid, lost);
        assert_eq!(store.take(secs(2_001), "refused", "/", None).err(), Some(RecoveryFailure::Unknown));
        assert_eq!(store.sweep(secs(2_120)).len(), 1);
        assert_eq!((store.sessions(), store.bytes()), (0, 0));
    }

    #[test]
    fn sessions_count_against_the_byte_limit() {
        let mut store = store(10 * SESSION);
        let ns = name("/");
        store.store(secs(0), &ns, all(), 1, 1);
        let mut gone = 0;
        for n in 0..100 {
            let rooms = vec![name("r")];
            gone +=
                store.lose(secs(n), name(&n.to_string()), name("/"), Given::default(), rooms, ("d", 5)).len();
            assert!(store.bytes() <= 10 * SESSION);
        }
        assert_eq!(gone + store.sessions(), 100, "the oldest go, and are told");
        assert!(store.sessions() >= 8);
        assert_eq!(back(&mut store, secs(100), "1", None), Err(RecoveryFailure::Unknown));
        assert_eq!(back(&mut store, secs(100), "99", None), Ok(vec![]));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        // RECOVER of guarantees.md: all of what was for it after the offset, or a refusal.
        #[test]
        fn all_or_nothing(sent in proptest::collection::vec((0..3_u8, any::<bool>()), 1..60),
                          cut in 0..60_usize, heard in 0..60_usize, limit in 1..40_usize, dead in 0..10_usize) {
            let mut store = store(limit * (1 + OVERHEAD + 1) + SESSION + ROOM + 1);
            let ns = name("/");
            let mine = |kind: u8| kind != 2;
            let cut = cut.min(sent.len());
            let mut given = Given::default();
            let mut offsets = vec![(0_usize, None)];
            for (n, (kind, _)) in sent.iter().take(cut).enumerate() {
                let audience = match kind { 0 => all(), 1 => to("r"), _ => to("x") };
                let number = store.store(secs(1), &ns, audience, n as u32, 1);
                if mine(*kind) && n + dead >= cut {
                    // The connection is lost already, and nobody knows.
                    given.note_refused(number);
                } else if mine(*kind) {
                    given.note(number);
                    offsets.push((n + 1, Some(store.offset(number))));
                }
            }
            let (heard, offset) = offsets[heard % offsets.len()].clone();
            lose(&mut store, secs(1), "p", given, &["r"]);
            for (n, (kind, _)) in sent.iter().enumerate().skip(cut) {
                let audience = match kind { 0 => all(), 1 => to("r"), _ => to("x") };
                store.store(secs(1), &ns, audience, n as u32, 1);
            }
            let expected: Vec<u32> = sent.iter().enumerate().skip(heard)
                .filter(|(_, (kind, _))| mine(*kind)).map(|(n, _)| n as u32).collect();
            match back(&mut store, secs(2), "p", offset.as_deref()) {
                Ok(got) => prop_assert_eq!(got, expected),
                Err(why) => {
                    prop_assert_eq!(why, RecoveryFailure::Evicted);
                    prop_assert!(sent.len() > limit.min(sent.len()) - 1);
                }
            }
        }
    }
}
