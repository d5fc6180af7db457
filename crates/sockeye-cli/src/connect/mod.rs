//! `sockeye connect`: a conversation with a server, typed.

mod command;
mod layers;
mod line;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use sockeye_client::{
    AckSender, Client, ConnectError, Incoming, Missed, Notice, Payload, Socket, Traffic, Transport, Value,
};
use tokio::sync::mpsc;

use crate::doctor::escaped;
use crate::listen::{matches, told};
use crate::options::{Server, seconds};
use crate::session::{self, code};
use crate::values;
use command::Command;
use layers::Layers;
use line::{Heard, Lines, Screen, Shared};

/// The flags of `sockeye connect`.
#[derive(Args)]
#[command(after_help = format!("\
At the prompt:
{}

Lines that are piped in are done one after another, so that scripts work: printf 'call hello\\n' | sockeye connect URL

Examples:
  sockeye connect http://localhost:3000
  sockeye connect https://example.org/admin --auth '{{\"token\":\"…\"}}'
  sockeye connect http://localhost:3000 --transport polling --raw     every packet, and .upgrade moves on

Exit codes: 0 left; 1 no connection, or refused; 2 wrong usage.", indented()))]
pub(crate) struct ConnectArgs {
    #[command(flatten)]
    server: Server,

    /// Begin with every frame shown, as .raw does
    #[arg(long)]
    raw: bool,

    /// Seconds that the answer to a call may take
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    timeout: Duration,

    /// Remember no lines from one time to the next
    #[arg(long)]
    no_history: bool,
}

fn indented() -> String {
    let lines: Vec<String> = command::HELP.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

impl ConnectArgs {
    /// Connects and converses until there is nothing more to say.
    ///
    /// # Errors
    /// When the flags cannot be used, or the terminal cannot.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let builder = session::builder(&self.server)?;
        let heard = Shared::default();
        let counts = Arc::new(Counts { raw: AtomicBool::new(self.raw), ..Counts::default() });
        let late = Arc::new(Mutex::new(None::<Screen>));
        let tap = {
            let (counts, late) = (Arc::clone(&counts), Arc::clone(&late));
            let layers = Mutex::new(Layers::new(self.server.eio, self.server.parser));
            move |traffic: Traffic<'_>| {
                counts.count(&traffic);
                // Read always: a packet whose beginning was missed cannot be understood.
                let lines = layers.lock().unwrap_or_else(PoisonError::into_inner).read(&traffic);
                if counts.raw.load(Relaxed)
                    && let Some(screen) = &*late.lock().unwrap_or_else(PoisonError::into_inner)
                {
                    lines.iter().for_each(|line| screen.dim(line));
                }
            }
        };
        let builder = builder.tap(tap);
        let history = if self.no_history { None } else { line::history() };
        let runtime = session::runtime()?;
        runtime.block_on(async {
            let socket = builder.start()?;
            // The terminal is taken only now: what is wrong with the flags has been told.
            let lines = line::start(&heard, history)?;
            *late.lock().unwrap_or_else(PoisonError::into_inner) = Some(lines.screen.clone());
            let (events, arriving) = mpsc::channel(64);
            let talk = Talk {
                server: &self.server,
                client: socket.client(),
                sockets: BTreeMap::new(),
                current: socket.namespace().to_owned(),
                rules: Vec::new(),
                asked: BTreeMap::new(),
                asked_last: 0,
                counts,
                heard,
                screen: lines.screen.clone(),
                events,
                timeout: self.timeout,
                begun: Instant::now(),
            };
            talk.go(socket, lines, arriving).await
        })
    }
}

/// What has gone to and fro.
#[derive(Default)]
struct Counts {
    raw: AtomicBool,
    polls: AtomicU64,
    posts: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
    events: AtomicU64,
    emitted: AtomicU64,
    connections: AtomicU64,
}

impl Counts {
    fn count(&self, traffic: &Traffic<'_>) {
        let add =
            |to: &AtomicU64, bytes: usize| to.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Relaxed);
        match *traffic {
            Traffic::Poll => add(&self.polls, 1),
            Traffic::Post { body, .. } => {
                add(&self.posts, 1);
                add(&self.bytes_sent, body.len())
            }
            Traffic::Polled { body, .. } => add(&self.bytes_received, body.len()),
            Traffic::Text { sent: true, text } => {
                add(&self.sent, 1);
                add(&self.bytes_sent, text.len())
            }
            Traffic::Text { sent: false, text } => {
                add(&self.received, 1);
                add(&self.bytes_received, text.len())
            }
            Traffic::Binary { sent: true, bytes } => {
                add(&self.sent, 1);
                add(&self.bytes_sent, bytes.len())
            }
            Traffic::Binary { sent: false, bytes } => {
                add(&self.received, 1);
                add(&self.bytes_received, bytes.len())
            }
            _ => 0,
        };
    }
}

/// An event, and the namespace that it came to.
type Arrived = (String, Result<Incoming, Missed>);

struct Talk<'a> {
    server: &'a Server,
    client: Client,
    sockets: BTreeMap<String, Socket>,
    /// The namespace that is spoken to.
    current: String,
    /// What to show and to hide, by pattern; the last that fits says which.
    rules: Vec<(bool, String)>,
    /// Events that wait for an answer, by the number they were shown with.
    asked: BTreeMap<u64, AckSender>,
    asked_last: u64,
    counts: Arc<Counts>,
    heard: Shared,
    screen: Screen,
    events: mpsc::Sender<Arrived>,
    timeout: Duration,
    begun: Instant,
}

impl Talk<'_> {
    async fn go(
        mut self,
        socket: Socket,
        lines: Lines,
        mut arriving: mpsc::Receiver<Arrived>,
    ) -> anyhow::Result<ExitCode> {
        let mut notices = self.client.notices();
        self.follow(socket.clone());
        // A first failure ends it: the address is wrong more often than the network.
        match socket.connect().await {
            Ok(()) => {}
            Err(ConnectError::Setup(error)) => return Err(error.into()),
            Err(error) => {
                self.screen.bad(&format!("sockeye: {}", session::explain(&error, self.server)));
                return Ok(ExitCode::from(code::FAILED));
            }
        }
        while let Ok(notice) = tokio::time::timeout(Duration::ZERO, notices.next()).await {
            notice.iter().for_each(|notice| self.noticed(notice));
        }
        self.prompt();
        let Lines { mut typed, go, .. } = lines;
        go.send(()).ok();
        loop {
            self.prompt();
            tokio::select! {
                Some((namespace, event)) = arriving.recv() => self.arrived(&namespace, event),
                Some(notice) = notices.next() => self.noticed(&notice),
                line = typed.recv() => {
                    let Some((line, done)) = line else { break };
                    let go_on = match Command::read(&line) {
                        Ok(Command::Quit) => false,
                        Ok(command) => {
                            if let Err(error) = self.obey(command).await {
                                self.screen.bad(&format!("{error:#}"));
                            }
                            true
                        }
                        Err(error) => {
                            self.screen.bad(&format!("{error:#}"));
                            true
                        }
                    };
                    // What is here already is told before the next line is asked for.
                    while let Ok((namespace, event)) = arriving.try_recv() {
                        self.arrived(&namespace, event);
                    }
                    self.prompt();
                    if !go_on {
                        break;
                    }
                    done.send(()).ok();
                }
            }
        }
        self.client.close().await;
        Ok(ExitCode::SUCCESS)
    }

    async fn obey(&mut self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Nothing | Command::Quit => {}
            Command::Help => command::HELP.lines().for_each(|line| self.screen.say(line)),
            Command::Emit(name, values) => {
                let payload = self.payload(&name, values)?;
                self.socket()?.emit_payload(payload)?;
            }
            Command::Call(name, values) => self.call(name, values).await?,
            Command::Answer(number, values) => {
                let Some(ack) = self.asked.remove(&number) else {
                    anyhow::bail!("no event #{number} waits for an answer");
                };
                ack.send_payload(&Payload::args(&sockeye_client::Args(values))?)?;
            }
            Command::Show(show, Some(pattern)) => {
                self.rules.retain(|(_, known)| *known != pattern);
                self.rules.push((show, pattern));
            }
            Command::Show(_, None) => {
                if self.rules.is_empty() {
                    self.screen.say("every event is shown");
                }
                let line = |(show, pattern): &(bool, String)| {
                    format!("{} {pattern}", if *show { "on" } else { "off" })
                };
                self.rules.iter().for_each(|rule| self.screen.say(&line(rule)));
            }
            Command::Namespace(None) => {
                for (name, socket) in &self.sockets {
                    let here = if *name == self.current { "*" } else { " " };
                    let id = socket.id().unwrap_or_else(|| "not connected".to_owned());
                    self.screen.say(&format!("{here} {name} {id}"));
                }
            }
            Command::Namespace(Some(name)) => self.move_to(name).await?,
            Command::Raw(on) => {
                let on = on.unwrap_or(!self.counts.raw.load(Relaxed));
                self.counts.raw.store(on, Relaxed);
                self.screen.dim(if on { "every frame is shown" } else { "frames are not shown any more" });
            }
            Command::Upgrade => {
                if !self.client.upgrade() {
                    anyhow::bail!(match self.client.transport() {
                        Some(Transport::WebSocket) => "it is on a WebSocket already",
                        Some(Transport::Polling) => "a move is under way",
                        None => "there is no connection",
                    });
                }
            }
            Command::Drop => self.client.cut(),
            Command::Stats => self.stats(),
        }
        Ok(())
    }

    /// Who types goes on typing; a script waits for each answer.
    async fn call(&mut self, name: String, values: Vec<Value>) -> anyhow::Result<()> {
        let payload = self.payload(&name, values)?;
        let asked = self.socket()?.call_payload::<()>(payload).timeout(self.timeout);
        let (screen, begun) = (self.screen.clone(), Instant::now());
        let wait = async move {
            let answer = asked.raw().await;
            let took = begun.elapsed().as_secs_f64() * 1000.0;
            match answer {
                Ok(answer) => {
                    let took = screen.painted("2", &format!("({took:.1} ms)"));
                    screen.say(&format!("= {} {took}", values::shown(&values::answer(&answer))));
                }
                Err(error) => screen.bad(&format!("= {}: {error}", escaped(&name, 100))),
            }
        };
        if self.screen.is_live() {
            tokio::spawn(wait);
        } else {
            wait.await;
        }
        Ok(())
    }

    async fn move_to(&mut self, name: String) -> anyhow::Result<()> {
        if !self.sockets.contains_key(&name) {
            let mut namespace = self.client.namespace(&name);
            if let Some(auth) = session::auth(self.server)? {
                namespace = namespace.auth(auth);
            }
            let socket = namespace.start()?;
            self.follow(socket.clone());
            if let Err(error) = socket.connect().await {
                self.sockets.remove(&name);
                anyhow::bail!("{name}: {}", session::explain(&error, self.server));
            }
        }
        self.current = name;
        Ok(())
    }

    /// Everything that comes to this socket is told from now on.
    fn follow(&mut self, socket: Socket) {
        let (name, events) = (socket.namespace().to_owned(), self.events.clone());
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).namespaces.insert(name.clone());
        let mut received = socket.received();
        self.sockets.insert(name.clone(), socket);
        tokio::spawn(async move {
            while let Some(event) = received.next().await {
                if events.send((name.clone(), event)).await.is_err() {
                    break;
                }
            }
        });
    }

    fn arrived(&mut self, namespace: &str, event: Result<Incoming, Missed>) {
        let mut event = match event {
            Ok(event) => event,
            Err(missed) => return self.screen.bad(&missed.to_string()),
        };
        self.counts.events.fetch_add(1, Relaxed);
        self.lock().event(&event.name);
        let rule = self.rules.iter().rev().find(|(_, pattern)| matches(pattern, &event.name));
        if rule.is_some_and(|(show, _)| !show) {
            return;
        }
        let number = event.ack.take().map(|ack| {
            self.asked_last += 1;
            self.asked.insert(self.asked_last, ack);
            // Nobody answers them all: the oldest give way, and the server's own time runs out over them.
            while self.asked.len() > 100 {
                self.asked.pop_first();
            }
            format!(" #{} asks for an answer", self.asked_last)
        });
        let at =
            if namespace == self.current { String::new() } else { format!("{} ", escaped(namespace, 255)) };
        let name = self.screen.painted("36", &escaped(&event.name, 512));
        let args = values::shown(&values::arguments(&event.payload));
        self.screen.say(&format!("< {at}{name} {args}{}", number.unwrap_or_default()));
    }

    fn noticed(&mut self, notice: &Notice) {
        match notice {
            Notice::Connected { .. } => {
                self.counts.connections.fetch_add(1, Relaxed);
            }
            Notice::Upgraded => self.screen.dim("* upgraded to WebSocket"),
            _ => {}
        }
        if let Some(text) = told(notice) {
            self.screen.dim(&format!("* {}", escaped(&text, 1000)));
        }
    }

    fn stats(&self) {
        let count = |of: &AtomicU64| of.load(Relaxed);
        let counts = &self.counts;
        let transport = self.client.transport().map_or("none", Transport::as_str);
        for line in [
            format!("transport  {transport}, up for {:.0?}", self.begun.elapsed()),
            format!("events     {} sent, {} received", count(&counts.emitted), count(&counts.events)),
            format!("frames     {} sent, {} received", count(&counts.sent), count(&counts.received)),
            format!("requests   {} polls, {} posts", count(&counts.polls), count(&counts.posts)),
            format!(
                "bytes      {} sent, {} received",
                count(&counts.bytes_sent),
                count(&counts.bytes_received)
            ),
            format!(
                "waiting    {} bytes for the network, {} events for an answer",
                self.client.queued(),
                self.asked.len()
            ),
            format!("connects   {} of all namespaces", count(&counts.connections)),
        ] {
            self.screen.say(&line);
        }
    }

    fn payload(&self, name: &str, values: Vec<Value>) -> anyhow::Result<Payload> {
        let payload = values::event(name, values)?;
        self.lock().event(name);
        self.counts.emitted.fetch_add(1, Relaxed);
        Ok(payload)
    }

    fn socket(&self) -> anyhow::Result<&Socket> {
        self.sockets.get(&self.current).ok_or_else(|| anyhow::anyhow!("no namespace; .ns NAME goes to one"))
    }

    fn prompt(&self) {
        let connected = self.sockets.get(&self.current).is_some_and(Socket::is_connected);
        let away = if connected { "" } else { " (away)" };
        self.lock().prompt = format!("{}{away}> ", escaped(&self.current, 100));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
