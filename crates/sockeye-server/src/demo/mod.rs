//! The chat demo on the main namespace: handlers between sockets and [`Chat`]. The events are those of
//! `assets/PROTOCOL.md`; nothing here knows a transport.

mod chat;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chat::{Chat, Entry, Image, Person, Refused, RoomInfo};
use serde::{Deserialize, Serialize};
use sockeye::{Ack, Data, Refusal, Server, ServerBuilder, Socket, State};

/// Adds the demo's handlers to the main namespace.
pub(crate) fn add_to(builder: ServerBuilder) -> ServerBuilder {
    builder
        .state(Demo::new())
        .on("hello", hello)
        .on("join", join)
        .on("leave", leave)
        .on("say", say)
        .on("image", image)
        .on("typing", typing)
        .on("whisper", whisper)
        .on("echo", echo)
        .on_disconnect(goodbye)
}

/// The chat, shared by all handlers.
#[derive(Clone)]
struct Demo(Arc<Inner>);

struct Inner {
    chat: Mutex<Chat>,
    /// Whether the list of rooms is about to be told to everybody.
    rooms_due: AtomicBool,
}

/// The list of rooms is sent this long after a change, so that a crowd joining costs four lists a second.
const ROOMS_DELAY: Duration = Duration::from_millis(250);

impl Demo {
    fn new() -> Self {
        Self(Arc::new(Inner { chat: Mutex::new(Chat::new(now())), rooms_due: AtomicBool::new(false) }))
    }

    fn chat(&self) -> MutexGuard<'_, Chat> {
        self.0.chat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce_rooms(&self, io: &Server) {
        if self.0.rooms_due.swap(true, Ordering::Relaxed) {
            return;
        }
        let (demo, io) = (self.clone(), io.clone());
        tokio::spawn(async move {
            tokio::time::sleep(ROOMS_DELAY).await;
            demo.0.rooms_due.store(false, Ordering::Relaxed);
            let rooms = demo.chat().rooms();
            io.emit("rooms", Rooms { rooms }).ok();
        });
    }
}

#[derive(Serialize)]
struct Rooms {
    rooms: Vec<RoomInfo>,
}

#[derive(Deserialize)]
struct Hello {
    name: String,
}

#[derive(Serialize)]
struct Welcome {
    id: String,
    name: String,
    rooms: Vec<RoomInfo>,
}

async fn hello(socket: Socket, Data(hello): Data<Hello>, demo: State<Demo>) -> Result<Ack<Welcome>, Refusal> {
    let (person, was, rooms, own) = {
        let mut chat = demo.chat();
        let (person, was) = chat.hello(socket.id(), &hello.name)?;
        let own = chat.rooms_of(socket.id());
        (person, was, chat.rooms(), own)
    };
    if let Some(was) = was.filter(|_| !own.is_empty()) {
        #[derive(Serialize)]
        struct Renamed<'a> {
            member: &'a Person,
            was: String,
        }
        socket.to(own).emit("renamed", Renamed { member: &person, was }).ok();
    }
    Ok(Ack(Welcome { id: person.id, name: person.name, rooms }))
}

#[derive(Deserialize)]
struct InRoom {
    room: String,
}

#[derive(Serialize)]
struct Inside {
    room: String,
    members: Vec<Person>,
    history: Vec<Entry>,
}

#[derive(Serialize)]
struct Membership<'a> {
    room: &'a str,
    member: &'a Person,
}

async fn join(
    socket: Socket,
    io: Server,
    Data(wanted): Data<InRoom>,
    demo: State<Demo>,
) -> Result<Ack<Inside>, Refusal> {
    let (member, room, is_new, members, history) = {
        let mut chat = demo.chat();
        let member = chat.person(socket.id())?;
        let (room, is_new) = chat.join(socket.id(), &wanted.room)?;
        // Joined under the same lock as the history is read: no entry falls between the two.
        socket.join(&room);
        let (members, history) = (chat.members(&room), chat.history(&room));
        (member, room, is_new, members, history)
    };
    if is_new {
        socket.to(&room).emit("joined", Membership { room: &room, member: &member }).ok();
        demo.announce_rooms(&io);
    }
    Ok(Ack(Inside { room, members, history }))
}

#[derive(Serialize)]
struct Nothing {}

async fn leave(
    socket: Socket,
    io: Server,
    Data(InRoom { room }): Data<InRoom>,
    demo: State<Demo>,
) -> Result<Ack<Nothing>, Refusal> {
    let member = demo.chat().person(socket.id())?;
    if demo.chat().leave(socket.id(), &room) {
        socket.leave(&room);
        socket.to(&room).emit("left", Membership { room: &room, member: &member }).ok();
        demo.announce_rooms(&io);
    }
    Ok(Ack(Nothing {}))
}

#[derive(Deserialize)]
struct Say {
    room: String,
    text: String,
}

#[derive(Serialize)]
struct Said {
    id: String,
    at: u64,
}

async fn say(socket: Socket, Data(say): Data<Say>, demo: State<Demo>) -> Result<Ack<Said>, Refusal> {
    // Sent under the lock, so that everybody sees the room's entries in the order of its history.
    let mut chat = demo.chat();
    let entry = chat.say(socket.id(), &say.room, &say.text, now())?;
    socket.to(&say.room).emit("said", &entry).ok();
    Ok(Ack(Said { id: entry.id, at: entry.at }))
}

#[derive(Deserialize)]
struct Show {
    room: String,
    #[serde(flatten)]
    image: Image,
}

async fn image(socket: Socket, Data(show): Data<Show>, demo: State<Demo>) -> Result<Ack<Said>, Refusal> {
    let mut chat = demo.chat();
    let entry = chat.show(socket.id(), &show.room, show.image, now())?;
    socket.to(&show.room).emit("image", &entry).ok();
    Ok(Ack(Said { id: entry.id, at: entry.at }))
}

#[derive(Deserialize)]
struct Typing {
    room: String,
    on: bool,
}

async fn typing(socket: Socket, Data(typing): Data<Typing>, demo: State<Demo>) {
    #[derive(Serialize)]
    struct IsTyping<'a> {
        room: &'a str,
        from: Person,
        on: bool,
    }
    let Ok(from) = demo.chat().person(socket.id()) else { return };
    if socket.is_in(&typing.room) {
        let packet = IsTyping { room: &typing.room, from, on: typing.on };
        socket.to(&typing.room).volatile().emit("typing", packet).ok();
    }
}

#[derive(Deserialize)]
struct Whisper {
    to: String,
    text: String,
}

async fn whisper(
    socket: Socket,
    Data(whisper): Data<Whisper>,
    demo: State<Demo>,
) -> Result<Ack<Said>, Refusal> {
    #[derive(Serialize)]
    struct Whispered {
        id: String,
        from: Person,
        at: u64,
        text: String,
    }
    let (entry, text) = {
        let mut chat = demo.chat();
        chat.person(&whisper.to).map_err(|_| Refused("They have left."))?;
        chat.whisper(socket.id(), &whisper.text, now())?
    };
    let said = Said { id: entry.id.clone(), at: entry.at };
    socket
        .to(&whisper.to)
        .emit("whispered", Whispered { id: entry.id, from: entry.from, at: entry.at, text })
        .ok();
    Ok(Ack(said))
}

async fn echo() -> Ack<Nothing> {
    Ack(Nothing {})
}

async fn goodbye(socket: Socket, io: Server, demo: State<Demo>) {
    let Some((member, rooms)) = demo.chat().goodbye(socket.id()) else { return };
    for room in &rooms {
        io.to(room).emit("left", Membership { room, member: &member }).ok();
    }
    demo.announce_rooms(&io);
}

impl From<Refused> for Refusal {
    fn from(Refused(text): Refused) -> Self {
        Refusal::new(text)
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
