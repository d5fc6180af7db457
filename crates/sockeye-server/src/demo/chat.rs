//! What the chat knows: people, rooms, histories. Plain data, no I/O; the rules are those of `assets/PROTOCOL.md`.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

const MAX_NAME: usize = 32;
const MAX_FILE_NAME: usize = 100;
const MAX_TEXT: usize = 4000;
const MAX_IMAGE: usize = 900_000;
const MAX_ROOMS: usize = 64;
const MAX_ROOMS_PER_PERSON: usize = 8;
const HISTORY: usize = 50;
/// An ack may carry ten attachments; four leave room for the page to grow.
const IMAGES_PER_ROOM: usize = 4;
const IMAGE_BYTES: usize = 16 << 20;
const IMAGE_TYPES: [&str; 5] = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];

/// The room that always exists.
pub(crate) const LOBBY: &str = "lobby";

/// Someone who said hello.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// A room as the list of rooms shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RoomInfo {
    pub(crate) name: String,
    pub(crate) count: usize,
}

/// One line of a room's history.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) room: String,
    pub(crate) from: Person,
    pub(crate) at: u64,
    #[serde(flatten)]
    pub(crate) content: Content,
}

/// Who said something, and when; with an id of its own.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Said {
    pub(crate) id: String,
    pub(crate) from: Person,
    pub(crate) at: u64,
}

/// What an [`Entry`] carries.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Content {
    Text(String),
    Image(Image),
}

/// A picture; its bytes are dropped before its place in the history is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Image {
    #[serde(rename = "type")]
    pub(crate) media_type: String,
    pub(crate) name: String,
    pub(crate) bytes: Option<Bytes>,
}

/// The whole chat.
#[derive(Debug)]
pub(crate) struct Chat {
    people: HashMap<String, Member>,
    rooms: BTreeMap<String, Room>,
    /// Distinguishes this run of the server in the ids of entries, which must never repeat.
    run: u64,
    entries: u64,
    image_bytes: usize,
}

#[derive(Debug)]
struct Member {
    name: String,
    rooms: Vec<String>,
}

#[derive(Debug, Default)]
struct Room {
    members: Vec<String>,
    history: VecDeque<Entry>,
}

/// A rule said no; the text is for people.
#[derive(Debug, PartialEq)]
pub(crate) struct Refused(pub(crate) &'static str);

impl Chat {
    /// An empty chat; `run` tells this run of the server from any other, for instance the time of its start.
    pub(crate) fn new(run: u64) -> Self {
        let rooms = BTreeMap::from([(LOBBY.to_owned(), Room::default())]);
        Self { people: HashMap::new(), rooms, run, entries: 0, image_bytes: 0 }
    }

    /// Lets a person in or renames them. Returns them and the name they had.
    pub(crate) fn hello(&mut self, id: &str, name: &str) -> Result<(Person, Option<String>), Refused> {
        let name = clean(name, MAX_NAME).ok_or(Refused("Please choose a name of 1 to 32 characters."))?;
        let was = match self.people.get_mut(id) {
            Some(member) if member.name == name => None,
            Some(member) => Some(std::mem::replace(&mut member.name, name.clone())),
            None => {
                self.people.insert(id.to_owned(), Member { name: name.clone(), rooms: Vec::new() });
                None
            }
        };
        Ok((Person { id: id.to_owned(), name }, was))
    }

    /// The person, if they said hello.
    pub(crate) fn person(&self, id: &str) -> Result<Person, Refused> {
        let member = self.people.get(id).ok_or(Refused("Please say hello first."))?;
        Ok(Person { id: id.to_owned(), name: member.name.clone() })
    }

    /// The rooms a person is in.
    pub(crate) fn rooms_of(&self, id: &str) -> Vec<String> {
        self.people.get(id).map(|member| member.rooms.clone()).unwrap_or_default()
    }

    /// Brings a person into a room. Returns its cleaned name and whether they were not in it before.
    pub(crate) fn join(&mut self, id: &str, room: &str) -> Result<(String, bool), Refused> {
        let name = clean(room, MAX_NAME).ok_or(Refused("A room's name has 1 to 32 characters."))?;
        let full = self.rooms.len() >= MAX_ROOMS;
        let member = self.people.get_mut(id).ok_or(Refused("Please say hello first."))?;
        if member.rooms.contains(&name) {
            return Ok((name, false));
        }
        if member.rooms.len() >= MAX_ROOMS_PER_PERSON {
            return Err(Refused("You are in eight rooms already; leave one first."));
        }
        if full && !self.rooms.contains_key(&name) {
            return Err(Refused("There are 64 rooms already; join one of them."));
        }
        member.rooms.push(name.clone());
        self.rooms.entry(name.clone()).or_default().members.push(id.to_owned());
        Ok((name, true))
    }

    /// Takes a person out of a room; true if they were in it.
    pub(crate) fn leave(&mut self, id: &str, room: &str) -> bool {
        let Some(member) = self.people.get_mut(id) else { return false };
        let Some(index) = member.rooms.iter().position(|name| name == room) else { return false };
        member.rooms.remove(index);
        self.remove_from_room(id, room);
        true
    }

    /// Forgets a person. Returns them and the rooms they were in.
    pub(crate) fn goodbye(&mut self, id: &str) -> Option<(Person, Vec<String>)> {
        let member = self.people.remove(id)?;
        for room in &member.rooms {
            self.remove_from_room(id, room);
        }
        Some((Person { id: id.to_owned(), name: member.name }, member.rooms))
    }

    /// Everybody in a room, in order of joining.
    pub(crate) fn members(&self, room: &str) -> Vec<Person> {
        let Some(room) = self.rooms.get(room) else { return Vec::new() };
        room.members.iter().filter_map(|id| self.person(id).ok()).collect()
    }

    /// The newest entries of a room, oldest first.
    pub(crate) fn history(&self, room: &str) -> Vec<Entry> {
        self.rooms.get(room).map(|room| room.history.iter().cloned().collect()).unwrap_or_default()
    }

    /// Every room and how many are in it.
    pub(crate) fn rooms(&self) -> Vec<RoomInfo> {
        self.rooms
            .iter()
            .map(|(name, room)| RoomInfo { name: name.clone(), count: room.members.len() })
            .collect()
    }

    /// A text said in a room; `at` in milliseconds since 1970.
    pub(crate) fn say(&mut self, id: &str, room: &str, text: &str, at: u64) -> Result<Entry, Refused> {
        let text = checked_text(text)?;
        self.record(id, room, Content::Text(text), at)
    }

    /// A picture shown in a room.
    pub(crate) fn show(&mut self, id: &str, room: &str, image: Image, at: u64) -> Result<Entry, Refused> {
        if !IMAGE_TYPES.contains(&image.media_type.as_str()) {
            return Err(Refused("Only PNG, JPEG, GIF, WebP and AVIF pictures."));
        }
        let size = image.bytes.as_ref().map_or(0, Bytes::len);
        if size == 0 || size > MAX_IMAGE {
            return Err(Refused("A picture has 1 to 900,000 bytes."));
        }
        let name = clean(&image.name, MAX_FILE_NAME).unwrap_or_else(|| "picture".into());
        self.record(id, room, Content::Image(Image { name, ..image }), at)
    }

    /// A text for one person, which is not kept; also the text as it was cleaned.
    pub(crate) fn whisper(&mut self, id: &str, text: &str, at: u64) -> Result<(Said, String), Refused> {
        let (from, text) = (self.person(id)?, checked_text(text)?);
        Ok((Said { id: self.next_id(), from, at }, text))
    }

    fn record(&mut self, id: &str, room: &str, content: Content, at: u64) -> Result<Entry, Refused> {
        let from = self.person(id)?;
        if !self.people[id].rooms.iter().any(|name| name == room) {
            return Err(Refused("You are not in that room."));
        }
        let entry = Entry { id: self.next_id(), room: room.to_owned(), from, at, content };
        self.image_bytes += entry.image_bytes();
        let history = &mut self.rooms.get_mut(room).expect("a member's room exists").history;
        history.push_back(entry.clone());
        while history.len() > HISTORY {
            self.image_bytes -= history.pop_front().map_or(0, |old| old.image_bytes());
        }
        let mut kept = 0;
        for old in history.iter_mut().rev().filter(|old| old.image_bytes() > 0) {
            kept += 1;
            if kept > IMAGES_PER_ROOM {
                self.image_bytes -= old.drop_image();
            }
        }
        self.drop_oldest_images();
        Ok(entry)
    }

    fn drop_oldest_images(&mut self) {
        while self.image_bytes > IMAGE_BYTES {
            let oldest = self
                .rooms
                .values_mut()
                .flat_map(|room| room.history.iter_mut())
                .filter(|entry| entry.image_bytes() > 0)
                .min_by_key(|entry| entry.at);
            let Some(oldest) = oldest else { return };
            self.image_bytes -= oldest.drop_image();
        }
    }

    fn remove_from_room(&mut self, id: &str, name: &str) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        room.members.retain(|member| member != id);
        if room.members.is_empty() && name != LOBBY {
            self.image_bytes -= room.history.iter().map(Entry::image_bytes).sum::<usize>();
            self.rooms.remove(name);
        }
    }

    fn next_id(&mut self) -> String {
        self.entries += 1;
        format!("{:x}-{:x}", self.run, self.entries)
    }
}

impl Entry {
    fn image_bytes(&self) -> usize {
        match &self.content {
            Content::Image(Image { bytes: Some(bytes), .. }) => bytes.len(),
            _ => 0,
        }
    }

    fn drop_image(&mut self) -> usize {
        match &mut self.content {
            Content::Image(image) => image.bytes.take().map_or(0, |bytes| bytes.len()),
            Content::Text(_) => 0,
        }
    }
}

fn checked_text(text: &str) -> Result<String, Refused> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_TEXT {
        return Err(Refused("A message has 1 to 4000 characters."));
    }
    Ok(text.to_owned())
}

/// Trimmed, without control characters, 1 to `limit` characters.
fn clean(name: &str, limit: usize) -> Option<String> {
    let name: String = name.chars().filter(|char| !char.is_control()).collect();
    let name = name.trim();
    (1..=limit).contains(&name.chars().count()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat_with(ids: &[&str]) -> Chat {
        let mut chat = Chat::new(7);
        for id in ids {
            chat.hello(id, id).unwrap();
        }
        chat
    }

    fn picture(size: usize) -> Image {
        Image { media_type: "image/png".into(), name: "p.png".into(), bytes: Some(vec![0; size].into()) }
    }

    #[test]
    fn hello_cleans_the_name_and_tells_a_rename() {
        let mut chat = Chat::new(7);
        assert_eq!(chat.hello("a", " Ann\u{7} ").unwrap().0.name, "Ann");
        assert_eq!(chat.hello("a", "Anna").unwrap().1.as_deref(), Some("Ann"));
        assert_eq!(chat.hello("a", "Anna").unwrap().1, None);
        assert!(chat.hello("b", " \n ").is_err());
        assert!(chat.hello("b", &"x".repeat(33)).is_err());
    }

    #[test]
    fn nobody_speaks_before_hello_or_outside_a_room() {
        let mut chat = chat_with(&["a"]);
        assert!(chat.join("stranger", LOBBY).is_err());
        assert_eq!(chat.say("a", LOBBY, "hi", 1).unwrap_err(), Refused("You are not in that room."));
        chat.join("a", LOBBY).unwrap();
        assert!(chat.say("a", LOBBY, "hi", 1).is_ok());
        assert!(chat.say("a", LOBBY, "  ", 1).is_err());
    }

    #[test]
    fn a_room_goes_with_its_last_member_but_the_lobby_stays() {
        let mut chat = chat_with(&["a", "b"]);
        chat.join("a", "tea").unwrap();
        chat.join("b", "tea").unwrap();
        chat.show("a", "tea", picture(10), 1).unwrap();
        assert!(chat.leave("a", "tea"));
        assert!(!chat.leave("a", "tea"));
        assert_eq!(chat.goodbye("b").unwrap().1, ["tea"]);
        assert_eq!(chat.rooms(), [RoomInfo { name: LOBBY.into(), count: 0 }]);
        assert_eq!(chat.image_bytes, 0);
    }

    #[test]
    fn histories_and_their_images_are_bounded() {
        let mut chat = chat_with(&["a"]);
        chat.join("a", LOBBY).unwrap();
        for at in 0..60 {
            chat.show("a", LOBBY, picture(900_000), at).unwrap();
        }
        let history = chat.history(LOBBY);
        assert_eq!(history.len(), HISTORY);
        assert_eq!(history.iter().filter(|entry| entry.image_bytes() > 0).count(), IMAGES_PER_ROOM);
        assert_eq!(chat.image_bytes, IMAGES_PER_ROOM * 900_000);
        assert!(chat.show("a", LOBBY, picture(900_001), 61).is_err());
    }

    #[test]
    fn images_over_all_rooms_are_bounded_and_the_oldest_go_first() {
        let mut chat = chat_with(&["a"]);
        for room in 0..8 {
            let (room, _) = chat.join("a", &format!("room {room}")).unwrap();
            for at in 0..4 {
                chat.show("a", &room, picture(900_000), at).unwrap();
            }
        }
        assert!(chat.image_bytes <= IMAGE_BYTES);
        assert!(chat.join("a", "a ninth").is_err());
    }

    #[test]
    fn ids_of_entries_never_repeat() {
        let mut chat = chat_with(&["a"]);
        let first = chat.whisper("a", "psst", 1).unwrap().0.id;
        assert_ne!(first, chat.whisper("a", "psst", 1).unwrap().0.id);
        let mut restarted = Chat::new(8);
        restarted.hello("a", "a").unwrap();
        assert_ne!(first, restarted.whisper("a", "psst", 1).unwrap().0.id);
    }
}
