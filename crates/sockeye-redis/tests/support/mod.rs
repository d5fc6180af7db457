//! What the tests share: a redis-server of their own, and ears at the end of a bus.
//!
//! Each test starts the servers it needs on free ports and ends them: some are made to go away in the middle.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockeye_cluster::{Asker, Body, Bus, Inbox, Message, Options, Position, Receive, Refused, State};
use sockeye_proto::socket::Payload;
use tokio::sync::mpsc;

/// Longer than anything here takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A redis-server, ended with this.
pub(crate) struct Server {
    child: Option<Child>,
    directory: tempfile::TempDir,
    arguments: Vec<String>,
    pub(crate) port: u16,
}

impl Server {
    /// One that keeps nothing. `None`, and the reason on standard error, where there is no redis-server.
    pub(crate) fn start() -> Option<Server> {
        Server::start_with(&["--save", "", "--appendonly", "no"])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Option<Server> {
        Server::start_on(free_port(), arguments)
    }

    pub(crate) fn start_on(port: u16, arguments: &[&str]) -> Option<Server> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let directory = tempfile::tempdir().unwrap();
        let mut server = Server { child: None, directory, arguments, port };
        server.run().then_some(server)
    }

    /// Starts it again, where it was and with what it kept.
    pub(crate) fn run(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        // A Sentinel wants its file first.
        let first = self.arguments.first().filter(|argument| argument.starts_with('/'));
        command.args(first);
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(self.directory.path());
        command.args(self.arguments.iter().skip(usize::from(first.is_some())));
        match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(child) => self.child = Some(child),
            Err(error) => {
                eprintln!(
                    "skipped: redis-server cannot be started ({error}); `cargo xtask test` installs it"
                );
                return false;
            }
        }
        let end = std::time::Instant::now() + LIMIT;
        while self
            .say_to(self.port, &["PING"])
            .is_none_or(|answer| answer != "+PONG" && !answer.starts_with("-NOAUTH"))
        {
            assert!(std::time::Instant::now() < end, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn redis(&self) -> sockeye_redis::Redis {
        sockeye_redis::Redis::new(&self.url()).unwrap().heartbeat(Duration::from_millis(200))
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// Says a command, raw; the first line of the answer.
    pub(crate) fn say(&self, words: &[&str]) -> String {
        self.say_to(self.port, words).expect("redis-server answers")
    }

    fn say_to(&self, port: u16, words: &[&str]) -> Option<String> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        say(port, &words)
    }

    /// Publishes raw bytes.
    pub(crate) fn publish(&self, channel: &str, body: &[u8]) {
        say(self.port, &[b"PUBLISH", channel.as_bytes(), body]).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One command on a connection of its own; the first line of the answer.
pub(crate) fn say(port: u16, words: &[&[u8]]) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend(*word);
        bytes.extend(b"\r\n");
    }
    stream.write_all(&bytes).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    Some(line.trim_end().to_owned())
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What came out of a bus.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Came {
    Message(Message, Asker),
    Logged(Message, Option<Position>),
    Refused,
    Gap(Option<String>),
}

/// A node that only notes what it is told.
pub(crate) struct Ears {
    came: mpsc::UnboundedSender<Came>,
    /// Rooms in which somebody is; everybody is in every room, while there are none.
    rooms: Mutex<Vec<String>>,
}

impl Receive for Ears {
    fn message(&self, message: Message, asker: Asker) {
        self.came.send(Came::Message(message, asker)).unwrap();
    }

    fn logged(&self, message: Message, at: Option<Position>) {
        self.came.send(Came::Logged(message, at)).unwrap();
    }

    fn refused(&self, _: &Refused) {
        self.came.send(Came::Refused).unwrap();
    }

    fn gap(&self, namespace: Option<&str>) {
        self.came.send(Came::Gap(namespace.map(str::to_owned))).unwrap();
    }

    fn has_room(&self, _: &str, room: &str) -> bool {
        let rooms = self.rooms.lock().unwrap();
        rooms.is_empty() || rooms.iter().any(|there| there == room)
    }
}

/// A bus and what comes out of it.
pub(crate) struct Node {
    pub(crate) bus: Arc<dyn Bus>,
    came: mpsc::UnboundedReceiver<Came>,
    ears: Arc<Ears>,
}

impl Node {
    /// One that is up and has these namespaces.
    pub(crate) async fn join(bus: impl Bus, namespaces: &[&str]) -> Node {
        Node::join_shared(Arc::new(bus), namespaces).await
    }

    pub(crate) fn begin(bus: impl Bus) -> Node {
        Node::begin_shared(Arc::new(bus))
    }

    fn begin_shared(bus: Arc<dyn Bus>) -> Node {
        let (sender, came) = mpsc::unbounded_channel();
        let ears = Arc::new(Ears { came: sender, rooms: Mutex::default() });
        let receiver: Arc<dyn Receive> = ears.clone();
        bus.start(Inbox::new(Arc::downgrade(&receiver)));
        Node { bus, came, ears }
    }

    pub(crate) async fn join_boxed(bus: Box<dyn Bus>, namespaces: &[&str]) -> Node {
        Node::join_shared(bus.into(), namespaces).await
    }

    async fn join_shared(bus: Arc<dyn Bus>, namespaces: &[&str]) -> Node {
        let node = Node::begin_shared(bus);
        for namespace in namespaces {
            tokio::time::timeout(LIMIT, node.bus.open(namespace)).await.expect("opened in time").unwrap();
        }
        node.up().await;
        node
    }

    /// What came so far does not matter.
    pub(crate) fn forget(&mut self) {
        while self.came.try_recv().is_ok() {}
    }

    pub(crate) async fn up(&self) {
        self.is(State::is_up).await;
    }

    pub(crate) async fn down(&self) {
        self.is(|state| matches!(state, State::Down { .. })).await;
    }

    async fn is(&self, what: impl Fn(&State) -> bool) {
        let mut state = self.bus.state();
        tokio::time::timeout(LIMIT, state.wait_for(|state| what(state))).await.expect("in time").unwrap();
    }

    pub(crate) fn only_rooms(&self, rooms: &[&str]) {
        *self.ears.rooms.lock().unwrap() = rooms.iter().map(|room| (*room).to_owned()).collect();
    }

    /// What comes next.
    pub(crate) async fn next(&mut self) -> Came {
        tokio::time::timeout(LIMIT, self.came.recv()).await.expect("something comes").unwrap()
    }

    /// The next message, which must be one.
    pub(crate) async fn hears(&mut self) -> (Message, Asker) {
        match self.next().await {
            Came::Message(message, asker) => (message, asker),
            other => panic!("{other:?}"),
        }
    }

    /// Nothing came.
    pub(crate) fn heard_nothing(&mut self) {
        if let Ok(came) = self.came.try_recv() {
            panic!("{came:?}");
        }
    }

    /// A message of this node.
    pub(crate) fn message(&self, namespace: &str, body: Body) -> Message {
        Message { from: Some(self.bus.name()), namespace: namespace.into(), body }
    }

    /// Publishes, and waits as long as that is refused.
    pub(crate) fn publish(&self, namespace: &str, body: Body) {
        self.bus.publish(&self.message(namespace, body)).unwrap();
    }
}

/// An event for everybody, or for these rooms.
pub(crate) fn event(name: &str, number: u64, rooms: &[&str]) -> Body {
    Body::Broadcast {
        payload: Payload::event(name, &number).unwrap(),
        options: Options { rooms: rooms.iter().map(|room| (*room).into()).collect(), ..Options::default() },
        request: None,
    }
}

/// The text of a broadcast.
pub(crate) fn text(message: &Message) -> &str {
    match &message.body {
        Body::Broadcast { payload, .. } => payload.text(),
        other => panic!("{other:?}"),
    }
}
