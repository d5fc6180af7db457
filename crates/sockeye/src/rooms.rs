//! Who is where: the rooms of one namespace on this node.
//!
//! A pure structure, tested alone: it knows members (anything behind an `Arc`), ids and room names; it never sends,
//! locks, awaits or calls anybody. Its two jobs pull in different directions, and the shape follows from that:
//!
//! * *Broadcasts read, joins write, neither waits for the other.* A broadcast takes a [`Roll`]: a snapshot that
//!   costs one reference count per room, whatever the size. Lists are copy-on-write in chunks, so a join that meets a
//!   running broadcast copies one chunk and the list of chunks, not the room.
//! * *Order of joining.* Every join draws a ticket; lists are sorted by ticket because they only grow at the end, and
//!   leaving finds its place by bisection. No holes, no renumbering.
//!
//! A member's own room (named by its id) is its entry in the table of members and costs nothing beyond it: `to(id)` is
//! one lookup, as cheap as talking to the socket.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use smallvec::SmallVec;

/// Something that happened to a room; reported in order by the operations below.
///
/// Own rooms are reported as well, as in the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomEvent {
    /// The first member is about to join.
    Created {
        /// The room.
        room: Arc<str>,
    },
    /// A socket joined; a socket that was there already does not join again.
    Joined {
        /// The room.
        room: Arc<str>,
        /// The socket.
        socket: Arc<str>,
    },
    /// A socket left.
    Left {
        /// The room.
        room: Arc<str>,
        /// The socket.
        socket: Arc<str>,
    },
    /// The last member left.
    Deleted {
        /// The room.
        room: Arc<str>,
    },
}

/// Whom a broadcast is for: the union of `rooms` (everybody, if there are none) minus the union of `except`.
///
/// A socket id is a room like any other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audience {
    /// The rooms; empty means the whole namespace.
    pub rooms: SmallVec<[Arc<str>; 1]>,
    /// The rooms whose members are left out, whatever other room they are in.
    pub except: SmallVec<[Arc<str>; 1]>,
}

/// The rooms of one namespace.
pub(crate) struct Rooms<M> {
    members: HashMap<Arc<str>, Seat<M>>,
    everyone: List<M>,
    rooms: HashMap<Arc<str>, List<M>>,
    tickets: u64,
}

struct Seat<M> {
    member: Arc<M>,
    ticket: u64,
    /// A socket may leave the room named by its own id.
    in_own_room: bool,
    /// Others have joined the room named by this id, so there is a list of that name.
    visited: bool,
    joined: Joined,
}

impl<M> Default for Rooms<M> {
    fn default() -> Self {
        Self { members: HashMap::new(), everyone: List::default(), rooms: HashMap::new(), tickets: 0 }
    }
}

impl<M> Rooms<M> {
    /// Adds a member, which is then in its own room. False, and nothing changes, if the id is taken.
    pub(crate) fn add(&mut self, id: &Arc<str>, member: Arc<M>, mut tell: impl FnMut(RoomEvent)) -> bool {
        if self.members.contains_key(id) {
            return false;
        }
        let ticket = self.ticket();
        self.everyone.push(ticket, Arc::clone(&member));
        let visited = self.rooms.contains_key(id);
        let seat = Seat { member, ticket, in_own_room: true, visited, joined: Joined::default() };
        self.members.insert(Arc::clone(id), seat);
        if !visited {
            tell(RoomEvent::Created { room: Arc::clone(id) });
        }
        tell(RoomEvent::Joined { room: Arc::clone(id), socket: Arc::clone(id) });
        true
    }

    /// Takes a member out of all its rooms and the namespace. False if it was not there.
    pub(crate) fn remove(&mut self, id: &str, mut tell: impl FnMut(RoomEvent)) -> bool {
        let Some((id, mut seat)) = self.members.remove_entry(id) else { return false };
        self.everyone.remove(seat.ticket);
        if seat.in_own_room {
            tell(RoomEvent::Left { room: Arc::clone(&id), socket: Arc::clone(&id) });
            if !self.rooms.contains_key(&id) {
                tell(RoomEvent::Deleted { room: Arc::clone(&id) });
            }
        }
        for (room, ticket) in seat.joined.drain() {
            self.vacate(&room, ticket, &id, &mut tell);
        }
        true
    }

    /// Puts a member into a room. False if the member is unknown or there already.
    pub(crate) fn join(&mut self, id: &str, room: &Arc<str>, mut tell: impl FnMut(RoomEvent)) -> bool {
        let ticket = self.ticket();
        let Some((id, _)) = self.members.get_key_value(id) else { return false };
        let id = Arc::clone(id);
        let occupied = self.members.get(room).is_some_and(|seat| seat.in_own_room);
        let Some(seat) = self.members.get_mut(&id) else { return false };
        if *id == **room {
            if seat.in_own_room {
                return false;
            }
            seat.in_own_room = true;
            if !self.rooms.contains_key(room) {
                tell(RoomEvent::Created { room: Arc::clone(room) });
            }
        } else {
            if !seat.joined.insert(room, ticket) {
                return false;
            }
            let member = Arc::clone(&seat.member);
            match self.rooms.get_mut(room) {
                Some(list) => list.push(ticket, member),
                None => {
                    if !occupied {
                        tell(RoomEvent::Created { room: Arc::clone(room) });
                    }
                    let mut list = List::default();
                    list.push(ticket, member);
                    self.rooms.insert(Arc::clone(room), list);
                    if let Some(host) = self.members.get_mut(room) {
                        host.visited = true;
                    }
                }
            }
        }
        tell(RoomEvent::Joined { room: Arc::clone(room), socket: id });
        true
    }

    /// Takes a member out of a room. False if it was not in it.
    pub(crate) fn leave(&mut self, id: &str, room: &str, mut tell: impl FnMut(RoomEvent)) -> bool {
        let Some((id, _)) = self.members.get_key_value(id) else { return false };
        let id = Arc::clone(id);
        let Some(seat) = self.members.get_mut(&id) else { return false };
        if *id == *room {
            if !std::mem::take(&mut seat.in_own_room) {
                return false;
            }
            tell(RoomEvent::Left { room: Arc::clone(&id), socket: Arc::clone(&id) });
            if !self.rooms.contains_key(room) {
                tell(RoomEvent::Deleted { room: id });
            }
            return true;
        }
        let Some((room, ticket)) = seat.joined.remove(room) else { return false };
        self.vacate(&room, ticket, &id, &mut tell);
        true
    }

    fn vacate(&mut self, room: &Arc<str>, ticket: u64, id: &Arc<str>, tell: &mut impl FnMut(RoomEvent)) {
        let Some(list) = self.rooms.get_mut(room) else { return };
        list.remove(ticket);
        let empty = list.len() == 0;
        if empty {
            self.rooms.remove(room);
        }
        tell(RoomEvent::Left { room: Arc::clone(room), socket: Arc::clone(id) });
        if !empty {
            return;
        }
        let host = self.members.get_mut(room);
        if !host.as_ref().is_some_and(|host| host.in_own_room) {
            tell(RoomEvent::Deleted { room: Arc::clone(room) });
        }
        if let Some(host) = host {
            host.visited = false;
        }
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// The member with this id.
    pub(crate) fn member(&self, id: &str) -> Option<&Arc<M>> {
        self.members.get(id).map(|seat| &seat.member)
    }

    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// How many rooms there are, own rooms included.
    pub(crate) fn rooms_len(&self) -> usize {
        let own = self
            .members
            .iter()
            .filter(|(id, seat)| seat.in_own_room && !self.rooms.contains_key(*id))
            .count();
        own + self.rooms.len()
    }

    /// The rooms a member is in, its own first.
    pub(crate) fn rooms_of(&self, id: &str) -> Vec<Arc<str>> {
        let Some((id, seat)) = self.members.get_key_value(id) else { return Vec::new() };
        let mut rooms = Vec::with_capacity(1 + seat.joined.len());
        if seat.in_own_room {
            rooms.push(Arc::clone(id));
        }
        seat.joined.for_each(|room| rooms.push(Arc::clone(room)));
        rooms
    }

    /// Whether a member is in a room.
    pub(crate) fn is_in(&self, id: &str, room: &str) -> bool {
        self.members.get(id).is_some_and(|seat| match id == room {
            true => seat.in_own_room,
            false => seat.joined.contains(room),
        })
    }

    /// Whether anybody is in a room.
    pub(crate) fn has(&self, room: &str) -> bool {
        self.rooms.contains_key(room) || self.members.get(room).is_some_and(|seat| seat.in_own_room)
    }

    /// All rooms, own rooms included, in no particular order.
    pub(crate) fn all_rooms(&self) -> Vec<Arc<str>> {
        let own = self.members.iter().filter(|(id, seat)| seat.in_own_room && !self.rooms.contains_key(*id));
        self.rooms.keys().cloned().chain(own.map(|(id, _)| Arc::clone(id))).collect()
    }

    /// A snapshot of who `audience` is at this moment. Cheap under a lock; walk it outside.
    pub(crate) fn roll(&self, audience: &Audience) -> Roll<M> {
        let mut included = SmallVec::new();
        if audience.rooms.is_empty() {
            included.push(self.everyone.clone());
        }
        for room in &audience.rooms {
            self.collect(room, &mut included);
        }
        let mut excluded = SmallVec::new();
        for room in &audience.except {
            self.collect(room, &mut excluded);
        }
        Roll { included, excluded }
    }

    fn collect(&self, room: &Arc<str>, lists: &mut SmallVec<[List<M>; 1]>) {
        if let Some(seat) = self.members.get(room) {
            if seat.in_own_room {
                lists.push(List::Single(Arc::clone(&seat.member)));
            }
            if !seat.visited {
                return;
            }
        }
        if let Some(list) = self.rooms.get(room) {
            lists.push(list.clone());
        }
    }
}

/// The members of an [`Audience`] at one moment. Holding it delays nobody.
pub(crate) struct Roll<M> {
    included: SmallVec<[List<M>; 1]>,
    excluded: SmallVec<[List<M>; 1]>,
}

impl<M> Roll<M> {
    /// Calls `visit` once per member, room by room, in order of joining.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Arc<M>)) {
        let out = Excluded::new(&self.excluded);
        match self.included.as_slice() {
            [] => {}
            [only] => only.for_each(|member| {
                if !out.contains(member) {
                    visit(member);
                }
            }),
            many => {
                let mut seen = HashSet::new();
                for list in many {
                    list.for_each(|member| {
                        if !out.contains(member) && seen.insert(Arc::as_ptr(member)) {
                            visit(member);
                        }
                    });
                }
            }
        }
    }

    /// The member, where there is one and it takes no looking to know that.
    pub(crate) fn only(&self) -> Option<&Arc<M>> {
        match (self.included.as_slice(), self.excluded.as_slice()) {
            ([List::Single(member)], []) => Some(member),
            ([List::Small(chunk)], []) => match chunk.as_slice() {
                [(_, member)] => Some(member),
                _ => None,
            },
            _ => None,
        }
    }

    /// An upper bound of the number of members, exact for one room without exceptions.
    pub(crate) fn at_most(&self) -> usize {
        self.included.iter().map(List::len).sum()
    }
}

/// The usual case is one socket (the sender); a set is only built for more.
enum Excluded<M> {
    Nobody,
    One(*const M),
    Many(HashSet<*const M>),
}

impl<M> Excluded<M> {
    fn new(lists: &[List<M>]) -> Self {
        match lists {
            [] => Self::Nobody,
            [List::Single(member)] => Self::One(Arc::as_ptr(member)),
            lists => {
                let mut set = HashSet::new();
                for list in lists {
                    list.for_each(|member| {
                        set.insert(Arc::as_ptr(member));
                    });
                }
                Self::Many(set)
            }
        }
    }

    fn contains(&self, member: &Arc<M>) -> bool {
        match self {
            Self::Nobody => false,
            Self::One(out) => std::ptr::eq(*out, Arc::as_ptr(member)),
            Self::Many(out) => out.contains(&Arc::as_ptr(member)),
        }
    }
}

/// Members in order of joining. Cloning is one reference count; a change copies only what a clone still holds.
enum List<M> {
    Single(Arc<M>),
    Small(Arc<Chunk<M>>),
    Large(Arc<Vec<Arc<Chunk<M>>>>, usize),
}

type Chunk<M> = Vec<(u64, Arc<M>)>;

/// Large enough that walking is a walk over arrays, small enough that copying one while a broadcast runs is nothing.
const CHUNK: usize = 128;

impl<M> Default for List<M> {
    fn default() -> Self {
        Self::Small(Arc::default())
    }
}

impl<M> Clone for List<M> {
    fn clone(&self) -> Self {
        match self {
            Self::Single(member) => Self::Single(Arc::clone(member)),
            Self::Small(chunk) => Self::Small(Arc::clone(chunk)),
            Self::Large(chunks, len) => Self::Large(Arc::clone(chunks), *len),
        }
    }
}

impl<M> List<M> {
    fn len(&self) -> usize {
        match self {
            Self::Single(_) => 1,
            Self::Small(chunk) => chunk.len(),
            Self::Large(_, len) => *len,
        }
    }

    fn push(&mut self, ticket: u64, member: Arc<M>) {
        match self {
            Self::Small(chunk) if chunk.len() < CHUNK => Arc::make_mut(chunk).push((ticket, member)),
            Self::Small(chunk) => {
                *self = Self::Large(
                    Arc::new(vec![Arc::clone(chunk), Arc::new(vec![(ticket, member)])]),
                    CHUNK + 1,
                );
            }
            Self::Large(chunks, len) => {
                *len += 1;
                let chunks = Arc::make_mut(chunks);
                match chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
                    Some(chunk) => Arc::make_mut(chunk).push((ticket, member)),
                    None => {
                        let mut chunk = Vec::with_capacity(CHUNK / 4);
                        chunk.push((ticket, member));
                        chunks.push(Arc::new(chunk));
                    }
                }
            }
            Self::Single(_) => unreachable!("own rooms are not stored as lists"),
        }
    }

    fn remove(&mut self, ticket: u64) {
        match self {
            Self::Small(chunk) => {
                if let Ok(at) = chunk.binary_search_by_key(&ticket, |(t, _)| *t) {
                    let chunk = Arc::make_mut(chunk);
                    chunk.remove(at);
                    if chunk.len() * 4 < chunk.capacity() {
                        chunk.shrink_to(chunk.len() * 2);
                    }
                }
            }
            Self::Large(chunks, len) => {
                let after = chunks.partition_point(|chunk| chunk.first().is_some_and(|(t, _)| *t <= ticket));
                let Some(which) = after.checked_sub(1) else { return };
                let Ok(at) = chunks[which].binary_search_by_key(&ticket, |(t, _)| *t) else { return };
                *len -= 1;
                let chunks = Arc::make_mut(chunks);
                Arc::make_mut(&mut chunks[which]).remove(at);
                Self::tidy(chunks, which);
                if let [only] = chunks.as_slice() {
                    *self = Self::Small(Arc::clone(only));
                }
            }
            Self::Single(_) => unreachable!("own rooms are not stored as lists"),
        }
    }

    /// Keeps the number of chunks in proportion to the members: an empty chunk goes, a sparse one joins its neighbour.
    fn tidy(chunks: &mut Vec<Arc<Chunk<M>>>, which: usize) {
        if chunks[which].is_empty() {
            chunks.remove(which);
        } else if chunks[which].len() <= CHUNK / 4 && which > 0 && chunks[which - 1].len() <= CHUNK / 2 {
            let moved = chunks.remove(which);
            Arc::make_mut(&mut chunks[which - 1]).extend(moved.iter().map(|(t, m)| (*t, Arc::clone(m))));
        }
    }

    fn for_each(&self, mut visit: impl FnMut(&Arc<M>)) {
        match self {
            Self::Single(member) => visit(member),
            Self::Small(chunk) => chunk.iter().for_each(|(_, member)| visit(member)),
            Self::Large(chunks, _) => {
                for chunk in chunks.iter() {
                    chunk.iter().for_each(|(_, member)| visit(member));
                }
            }
        }
    }
}

/// The rooms of one member with the tickets that find it in their lists. Most members are in a handful.
enum Joined {
    Few(Vec<(Arc<str>, u64)>),
    #[expect(clippy::box_collection, reason = "the rare case must not make every member larger")]
    Many(Box<HashMap<Arc<str>, u64>>),
}

const FEW: usize = 8;

impl Default for Joined {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Joined {
    fn len(&self) -> usize {
        match self {
            Self::Few(rooms) => rooms.len(),
            Self::Many(rooms) => rooms.len(),
        }
    }

    fn contains(&self, room: &str) -> bool {
        match self {
            Self::Few(rooms) => rooms.iter().any(|(name, _)| **name == *room),
            Self::Many(rooms) => rooms.contains_key(room),
        }
    }

    fn insert(&mut self, room: &Arc<str>, ticket: u64) -> bool {
        if self.contains(room) {
            return false;
        }
        match self {
            Self::Few(rooms) if rooms.len() < FEW => rooms.push((Arc::clone(room), ticket)),
            Self::Few(rooms) => {
                let mut many: HashMap<_, _> = std::mem::take(rooms).into_iter().collect();
                many.insert(Arc::clone(room), ticket);
                *self = Self::Many(Box::new(many));
            }
            Self::Many(rooms) => {
                rooms.insert(Arc::clone(room), ticket);
            }
        }
        true
    }

    fn remove(&mut self, room: &str) -> Option<(Arc<str>, u64)> {
        match self {
            Self::Few(rooms) => {
                let at = rooms.iter().position(|(name, _)| **name == *room)?;
                Some(rooms.remove(at))
            }
            Self::Many(rooms) => rooms.remove_entry(room),
        }
    }

    fn drain(&mut self) -> Vec<(Arc<str>, u64)> {
        match std::mem::take(self) {
            Self::Few(rooms) => rooms,
            Self::Many(rooms) => {
                let mut rooms: Vec<_> = rooms.into_iter().collect();
                rooms.sort_unstable_by_key(|(_, ticket)| *ticket);
                rooms
            }
        }
    }

    fn for_each(&self, mut visit: impl FnMut(&Arc<str>)) {
        match self {
            Self::Few(rooms) => rooms.iter().for_each(|(room, _)| visit(room)),
            Self::Many(rooms) => rooms.keys().for_each(visit),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Arc<str> {
        Arc::from(text)
    }

    fn audience(rooms: &[&str], except: &[&str]) -> Audience {
        Audience {
            rooms: rooms.iter().map(|room| name(room)).collect(),
            except: except.iter().map(|room| name(room)).collect(),
        }
    }

    fn who(rooms: &Rooms<String>, audience: &Audience) -> Vec<String> {
        let mut out = Vec::new();
        rooms.roll(audience).for_each(|member| out.push(String::clone(member)));
        out
    }

    fn filled(ids: &[&str]) -> Rooms<String> {
        let mut rooms = Rooms::default();
        for id in ids {
            assert!(rooms.add(&name(id), Arc::new((*id).to_owned()), |_| {}));
        }
        rooms
    }

    #[test]
    fn union_minus_exceptions_once_each_in_order_of_joining() {
        let mut rooms = filled(&["a", "b", "c", "d"]);
        for (id, room) in [("c", "x"), ("a", "x"), ("b", "y"), ("a", "y")] {
            assert!(rooms.join(id, &name(room), |_| {}));
        }
        assert_eq!(who(&rooms, &audience(&[], &[])), ["a", "b", "c", "d"]);
        assert_eq!(who(&rooms, &audience(&["x"], &[])), ["c", "a"]);
        assert_eq!(who(&rooms, &audience(&["x", "y"], &[])), ["c", "a", "b"]);
        assert_eq!(who(&rooms, &audience(&["x", "y"], &["a"])), ["c", "b"]);
        assert_eq!(who(&rooms, &audience(&["x", "y"], &["a", "y"])), ["c"]);
        assert_eq!(who(&rooms, &audience(&["d"], &[])), ["d"]);
        assert_eq!(who(&rooms, &audience(&["nowhere"], &[])), [""; 0]);
        assert_eq!(who(&rooms, &audience(&[], &["x"])), ["b", "d"]);
    }

    #[test]
    fn one_in_a_room_is_known_without_looking() {
        let mut rooms = filled(&["a", "b"]);
        for (id, room) in [("a", "alone"), ("a", "both"), ("b", "both")] {
            assert!(rooms.join(id, &name(room), |_| {}));
        }
        let only = |to: &[&str], except: &[&str]| {
            rooms.roll(&audience(to, except)).only().map(|member| String::clone(member))
        };
        assert_eq!(only(&["a"], &[]).as_deref(), Some("a"));
        assert_eq!(only(&["alone"], &[]).as_deref(), Some("a"));
        // Nobody, several, the same one twice, and one that is left out.
        assert_eq!(only(&["nowhere"], &[]), None);
        assert_eq!(only(&["both"], &[]), None);
        assert_eq!(only(&["a", "alone"], &[]), None);
        assert_eq!(only(&["alone"], &["a"]), None);
    }

    #[test]
    fn somebody_elses_own_room_can_be_joined() {
        let mut rooms = filled(&["a", "b"]);
        assert!(rooms.join("b", &name("a"), |_| {}));
        assert_eq!(who(&rooms, &audience(&["a"], &[])), ["a", "b"]);
        assert!(rooms.leave("a", "a", |_| {}));
        assert!(!rooms.leave("a", "a", |_| {}));
        assert_eq!(who(&rooms, &audience(&["a"], &[])), ["b"]);
        assert!(rooms.remove("a", |_| {}));
        assert_eq!(who(&rooms, &audience(&["a"], &[])), ["b"]);
        assert_eq!(rooms.rooms_of("b"), [name("b"), name("a")]);
    }

    #[test]
    fn events_in_the_reference_order() {
        let mut rooms = Rooms::default();
        let mut said = Vec::new();
        let mut tell = |event: RoomEvent| {
            said.push(match event {
                RoomEvent::Created { room } => format!("create {room}"),
                RoomEvent::Joined { room, socket } => format!("join {room} {socket}"),
                RoomEvent::Left { room, socket } => format!("leave {room} {socket}"),
                RoomEvent::Deleted { room } => format!("delete {room}"),
            })
        };
        rooms.add(&name("a"), Arc::new(()), &mut tell);
        rooms.add(&name("b"), Arc::new(()), &mut tell);
        rooms.join("a", &name("x"), &mut tell);
        rooms.join("a", &name("x"), &mut tell);
        rooms.join("b", &name("x"), &mut tell);
        rooms.leave("a", "x", &mut tell);
        rooms.remove("b", &mut tell);
        let expected = "create a,join a a,create b,join b b,create x,join x a,join x b,leave x a,\
                        leave b b,delete b,leave x b,delete x";
        assert_eq!(said.join(","), expected);
    }

    #[test]
    fn a_roll_is_not_changed_by_what_follows() {
        let ids: Vec<String> = (0..1_000).map(|n| format!("{n:04}")).collect();
        let mut rooms = Rooms::default();
        for id in &ids {
            rooms.add(&name(id), Arc::new(id.clone()), |_| {});
            rooms.join(id, &name("all"), |_| {});
        }
        let roll = rooms.roll(&audience(&["all"], &[]));
        for id in &ids[..900] {
            rooms.leave(id, "all", |_| {});
        }
        rooms.add(&name("late"), Arc::new("late".into()), |_| {});
        rooms.join("late", &name("all"), |_| {});
        let mut seen = Vec::new();
        roll.for_each(|member| seen.push(String::clone(member)));
        assert_eq!(seen, ids);
        let mut left: Vec<_> = ids[900..].to_vec();
        left.push("late".into());
        assert_eq!(who(&rooms, &audience(&["all"], &[])), left);
    }

    #[test]
    fn nothing_is_left_when_all_are_gone() {
        let mut rooms = Rooms::default();
        for n in 0..500 {
            let id = name(&n.to_string());
            rooms.add(&id, Arc::new(n), |_| {});
            for room in 0..20 {
                rooms.join(&id, &name(&format!("r{}", (n + room) % 37)), |_| {});
            }
        }
        for n in (0..500).rev() {
            assert!(rooms.remove(&n.to_string(), |_| {}));
        }
        assert_eq!((rooms.len(), rooms.rooms_len(), rooms.rooms.len()), (0, 0, 0));
        assert_eq!(rooms.everyone.len(), 0);
    }

    #[derive(Debug, Clone)]
    enum Op {
        Add(u8),
        Remove(u8),
        Join(u8, u8),
        Leave(u8, u8),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            2 => any::<u8>().prop_map(|id| Op::Add(id % 200)),
            1 => any::<u8>().prop_map(|id| Op::Remove(id % 200)),
            6 => (any::<u8>(), 0..6_u8).prop_map(|(id, room)| Op::Join(id % 200, room)),
            2 => (any::<u8>(), 0..6_u8).prop_map(|(id, room)| Op::Leave(id % 200, room)),
        ];
        proptest::collection::vec(op, 0..600)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        // ROOM of guarantees.md against the plainest model: lists of ids.
        #[test]
        fn is_what_the_plain_model_says(ops in ops(), to in proptest::collection::vec(0..7_u8, 0..3),
                                        except in proptest::collection::vec(0..7_u8, 0..3)) {
            let mut rooms: Rooms<u8> = Rooms::default();
            let mut everyone: Vec<u8> = Vec::new();
            let mut model: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
            let id = |n: u8| name(&format!("s{n}"));
            let room = |n: u8| if n == 6 { name("s1") } else { name(&format!("r{n}")) };
            for op in ops {
                match op {
                    Op::Add(n) => {
                        let new = !everyone.contains(&n);
                        if new { everyone.push(n); }
                        prop_assert_eq!(rooms.add(&id(n), Arc::new(n), |_| {}), new);
                    }
                    Op::Remove(n) => {
                        let there = everyone.contains(&n);
                        everyone.retain(|m| *m != n);
                        for list in model.values_mut() { list.retain(|m| *m != n); }
                        prop_assert_eq!(rooms.remove(&id(n), |_| {}), there);
                    }
                    Op::Join(n, r) => {
                        let list = model.entry(r).or_default();
                        let joins = everyone.contains(&n) && !list.contains(&n);
                        if joins { list.push(n); }
                        prop_assert_eq!(rooms.join(&id(n), &room(r), |_| {}), joins);
                    }
                    Op::Leave(n, r) => {
                        let list = model.entry(r).or_default();
                        let leaves = list.contains(&n);
                        list.retain(|m| *m != n);
                        prop_assert_eq!(rooms.leave(&id(n), &room(r), |_| {}), leaves);
                    }
                }
            }
            let list = |r: &u8| match r {
                6 => everyone.iter().copied().filter(|n| *n == 1).collect(),
                r => model.get(r).cloned().unwrap_or_default(),
            };
            let out: BTreeSet<u8> = except.iter().flat_map(list).collect();
            let mut expected: Vec<u8> = Vec::new();
            let from: Vec<u8> = if to.is_empty() { everyone.clone() } else { to.iter().flat_map(list).collect() };
            for n in from {
                if !out.contains(&n) && !expected.contains(&n) { expected.push(n); }
            }
            let audience = Audience {
                rooms: to.iter().map(|r| room(*r)).collect(),
                except: except.iter().map(|r| room(*r)).collect(),
            };
            let mut got = Vec::new();
            rooms.roll(&audience).for_each(|member| got.push(**member));
            prop_assert_eq!(got, expected);
            prop_assert_eq!(rooms.len(), everyone.len());
            for (r, members) in &model {
                for n in &everyone {
                    prop_assert_eq!(rooms.is_in(&id(*n), &room(*r)), members.contains(n));
                }
            }
        }
    }
}
