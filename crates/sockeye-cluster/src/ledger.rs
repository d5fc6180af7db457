//! [`Ledger`]: the questions that are open, who was asked, and who has answered.
//!
//! A pure structure: no task, no clock, no dice; the time is a parameter. Where a wire says who answers, an answer
//! counts once for each server; where it does not, answers are counted. Nothing in here is kept for anybody who does
//! not wait: an answer without its question is a stray.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::cluster::{EMITTER, SocketDescription};
use sockeye_proto::socket::Payload;

use crate::bus::Peers;
use crate::error::Missing;

/// Bytes of answers that one question may gather. What comes beyond is not taken, and who sent it counts as silent.
pub(crate) const MOST_BYTES: usize = 256 << 20;

/// Names remembered of one namespace. More are not servers but somebody who makes them up.
const MOST_NAMES: usize = 1024;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sockets,
    Rooms,
    ServerEvent,
    /// Clients are asked: every server says how many it has, and passes on what they say. With `single`, the first
    /// answer is enough.
    Clients {
        single: bool,
    },
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Sockets(Vec<SocketDescription>),
    Rooms(Vec<Arc<str>>),
    ServerEvent(Payload),
    Count(u64),
    Ack(Payload),
}

/// What became of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken<W> {
    /// It is in; this is who waits.
    Yes(W),
    /// This server has answered already, or one of its clients more than it announced.
    Again,
    /// There is no such question, or it asked for something else.
    Stray,
    /// There are too many bytes already.
    TooMuch,
}

/// What a question has gathered.
#[derive(Debug, PartialEq)]
pub(crate) struct Gathered {
    pub(crate) replies: Vec<Reply>,
    /// Servers that did not answer.
    pub(crate) missing: Missing,
    /// How many clients of other servers were asked and did not answer, as far as their servers told.
    pub(crate) silent: u64,
}

/// The questions of one server.
pub(crate) struct Ledger<W> {
    open: HashMap<Arc<str>, Question<W>>,
    /// The namespaces that this server has.
    here: HashMap<Arc<str>, Presence>,
}

/// Who is in a namespace, as far as they have told.
#[derive(Default)]
struct Presence {
    /// Names heard, and when last.
    heard: HashMap<Arc<str>, Duration>,
    /// When this server said something last.
    spoke: Duration,
}

struct Question<W> {
    namespace: Arc<str>,
    kind: Kind,
    asked: Duration,
    waiter: W,
    /// Not known at first: a count may have to be asked for.
    expected: Option<Peers>,
    named: HashSet<Arc<str>>,
    unnamed: usize,
    clients: HashMap<Option<Arc<str>>, Clients>,
    replies: Vec<Reply>,
    bytes: usize,
    /// Servers that have gone meanwhile: neither they nor their clients will answer any more.
    gone: HashSet<Arc<str>>,
    /// Whoever has not answered yet is gone, whatever its name.
    over: bool,
}

/// The clients of one server, or of all that do not say who they are.
#[derive(Default)]
struct Clients {
    announced: Option<u64>,
    answered: u64,
}

impl<W: Clone> Ledger<W> {
    pub(crate) fn new() -> Self {
        Self { open: HashMap::new(), here: HashMap::new() }
    }

    /// Opens a question under an id that nobody can guess.
    pub(crate) fn ask(&mut self, now: Duration, id: Arc<str>, namespace: &Arc<str>, kind: Kind, waiter: W) {
        let question = Question {
            namespace: Arc::clone(namespace),
            kind,
            asked: now,
            waiter,
            expected: None,
            named: HashSet::new(),
            unnamed: 0,
            clients: HashMap::new(),
            replies: Vec::new(),
            bytes: 0,
            gone: HashSet::new(),
            over: false,
        };
        self.open.insert(id, question);
    }

    /// Says who is expected to answer: first when that is known, then again in a while. Whoever has gone meanwhile
    /// without an answer is not waited for, and is missing.
    pub(crate) fn expect(&mut self, id: &str, peers: Peers) {
        let Some(question) = self.open.get_mut(id) else { return };
        let Some(before) = &question.expected else {
            question.expected = Some(peers);
            return;
        };
        match (before, &peers) {
            (Peers::Named(asked), Peers::Named(there)) => {
                question.gone = asked.iter().filter(|name| !there.contains(name)).cloned().collect();
            }
            _ => {
                let fewer = peers.others() < before.others();
                question.over = fewer && question.answerers() >= peers.others();
            }
        }
    }

    /// Takes an answer. `from` is the server's name, where its wire tells.
    pub(crate) fn reply(&mut self, from: Option<&Arc<str>>, id: &str, reply: Reply) -> Taken<W> {
        let Some(question) = self.open.get_mut(id) else { return Taken::Stray };
        if !question.asked_for(&reply) {
            return Taken::Stray;
        }
        let bytes = size(&reply);
        if question.bytes.saturating_add(bytes) > MOST_BYTES {
            return Taken::TooMuch;
        }
        let fresh = match &reply {
            Reply::Ack(_) => question.client_answers(from),
            Reply::Count(count) => question.answers(from) && question.announce(from, *count),
            _ => question.answers(from),
        };
        if !fresh {
            return Taken::Again;
        }
        if !matches!(reply, Reply::Count(_)) {
            question.bytes = question.bytes.saturating_add(bytes);
            question.replies.push(reply);
        }
        Taken::Yes(question.waiter.clone())
    }

    /// Whether there is nothing more to wait for.
    pub(crate) fn is_done(&self, id: &str) -> bool {
        self.open.get(id).is_none_or(Question::is_done)
    }

    /// Closes a question and gives what it gathered.
    pub(crate) fn close(&mut self, id: &str) -> Option<Gathered> {
        let question = self.open.remove(id)?;
        let missing = self.missing(&question);
        if missing.is_empty() && !question.named.is_empty() {
            // All have told who they are, so whoever else was heard of before is not there any more.
            if let Some(here) = self.here.get_mut(&question.namespace) {
                here.heard.retain(|name, last| question.named.contains(name) || *last >= question.asked);
            }
        }
        let silent = question.clients.values().fold(0, |sum: u64, clients| {
            let announced = clients.announced.unwrap_or(0);
            sum.saturating_add(announced.saturating_sub(clients.answered))
        });
        Some(Gathered { replies: question.replies, missing, silent })
    }

    fn missing(&self, question: &Question<W>) -> Missing {
        match &question.expected {
            None => Missing::default(),
            Some(Peers::Named(names)) if question.unnamed == 0 => {
                let names: Vec<_> =
                    names.iter().filter(|name| !question.named.contains(*name)).cloned().collect();
                Missing::new(names.len(), names)
            }
            Some(peers) => {
                let count = peers.others().saturating_sub(question.answerers());
                // A count does not say who; but if just as many were heard of and have not answered, it is they.
                let names: Vec<_> = match self.here.get(&question.namespace) {
                    Some(here) if question.unnamed == 0 => {
                        here.heard.keys().filter(|name| !question.named.contains(*name)).cloned().collect()
                    }
                    _ => Vec::new(),
                };
                Missing::new(count, if names.len() == count { names } else { Vec::new() })
            }
        }
    }

    /// Somebody said something in a namespace.
    pub(crate) fn heard(&mut self, now: Duration, namespace: &Arc<str>, name: &Arc<str>) {
        if **name == *EMITTER {
            return;
        }
        let Some(Presence { heard: names, .. }) = self.here.get_mut(namespace) else { return };
        if let Some(last) = names.get_mut(name) {
            *last = now;
        } else if names.len() < MOST_NAMES {
            names.insert(Arc::clone(name), now);
        }
    }

    /// A server said that it goes.
    pub(crate) fn left(&mut self, namespace: &str, name: &str) {
        if let Some(here) = self.here.get_mut(namespace) {
            here.heard.remove(name);
        }
    }

    /// Who was heard in a namespace since `since`.
    pub(crate) fn alive(&mut self, namespace: &str, since: Duration) -> Vec<Arc<str>> {
        let Some(here) = self.here.get_mut(namespace) else { return Vec::new() };
        here.heard.retain(|_, last| *last >= since);
        here.heard.keys().cloned().collect()
    }

    /// A namespace is there: names are remembered from now on.
    pub(crate) fn opened(&mut self, namespace: &Arc<str>) {
        self.here.entry(Arc::clone(namespace)).or_default();
    }

    /// A namespace is gone.
    pub(crate) fn closed(&mut self, namespace: &str) {
        self.here.remove(namespace);
    }

    /// This server said something in a namespace, which tells the others that it is alive.
    pub(crate) fn spoke(&mut self, now: Duration, namespace: &str) {
        if let Some(here) = self.here.get_mut(namespace) {
            here.spoke = now;
        }
    }

    /// The namespaces in which this server has said nothing for so long, and has to.
    pub(crate) fn quiet(&self, now: Duration, interval: Duration) -> Vec<Arc<str>> {
        let due = self.here.iter().filter(|(_, here)| now.saturating_sub(here.spoke) >= interval);
        due.map(|(namespace, _)| Arc::clone(namespace)).collect()
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

impl<W> Question<W> {
    fn asked_for(&self, reply: &Reply) -> bool {
        match self.kind {
            Kind::Sockets => matches!(reply, Reply::Sockets(_)),
            Kind::Rooms => matches!(reply, Reply::Rooms(_)),
            Kind::ServerEvent => matches!(reply, Reply::ServerEvent(_)),
            Kind::Clients { .. } => matches!(reply, Reply::Count(_) | Reply::Ack(_)),
        }
    }

    fn answerers(&self) -> usize {
        self.named.len().saturating_add(self.unnamed)
    }

    /// False if this server has answered already.
    fn answers(&mut self, from: Option<&Arc<str>>) -> bool {
        match from {
            Some(name) => self.named.insert(Arc::clone(name)),
            None => {
                self.unnamed = self.unnamed.saturating_add(1);
                true
            }
        }
    }

    fn announce(&mut self, from: Option<&Arc<str>>, count: u64) -> bool {
        let clients = self.clients.entry(from.cloned()).or_default();
        clients.announced = Some(clients.announced.unwrap_or(0).saturating_add(count));
        true
    }

    /// False if this server has not so many clients. Counts and answers may overtake each other.
    fn client_answers(&mut self, from: Option<&Arc<str>>) -> bool {
        let clients = self.clients.entry(from.cloned()).or_default();
        if from.is_some() && clients.announced.is_some_and(|announced| clients.answered >= announced) {
            return false;
        }
        clients.answered = clients.answered.saturating_add(1);
        true
    }

    fn is_done(&self) -> bool {
        let all = self.over
            || match &self.expected {
                None => false,
                Some(Peers::Named(names)) if self.unnamed == 0 => {
                    names.iter().all(|name| self.named.contains(name) || self.gone.contains(name))
                }
                Some(peers) => self.answerers() >= peers.others(),
            };
        match self.kind {
            Kind::Clients { single: true } if !self.replies.is_empty() => true,
            Kind::Clients { .. } => {
                all && !self.clients.iter().any(|(server, clients)| self.owes(server, clients))
            }
            _ => all,
        }
    }

    fn owes(&self, server: &Option<Arc<str>>, clients: &Clients) -> bool {
        let gone = server.as_ref().is_some_and(|server| self.gone.contains(server));
        !gone && clients.announced.unwrap_or(0) > clients.answered
    }
}

fn size(reply: &Reply) -> usize {
    let names = |names: &[Arc<str>]| names.iter().map(|name| name.len() + 32).sum::<usize>();
    match reply {
        Reply::Sockets(sockets) => sockets
            .iter()
            .map(|socket| {
                let handshake = socket.handshake.as_ref().map_or(0, |handshake| {
                    handshake.headers.len()
                        + handshake.query.len()
                        + handshake.auth.len()
                        + handshake.url.len()
                });
                socket.id.len() + names(&socket.rooms) + socket.data.size() + handshake + 256
            })
            .sum(),
        Reply::Rooms(rooms) => names(rooms),
        Reply::ServerEvent(payload) | Reply::Ack(payload) => payload.size() + 64,
        Reply::Count(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// A conversation, line by line:
    ///
    /// ```text
    /// ask sockets | rooms | event | clients | one      the question, always called q, in /
    /// expect 3 | expect b c                            a count (with ourselves), or names
    /// b sockets 2                                      b answers; `?` does not say its name
    /// b says                                           b is heard, in whatever matter
    /// b leaves
    /// done? yes | no
    /// close: replies=2 missing=1 [c] silent=0
    /// ```
    fn check(script: &str) {
        let mut ledger: Ledger<()> = Ledger::new();
        let slash: Arc<str> = "/".into();
        ledger.opened(&slash);
        let mut now = secs(0);
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            now += Duration::from_millis(1);
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["ask", kind] => {
                    let kind = match *kind {
                        "sockets" => Kind::Sockets,
                        "rooms" => Kind::Rooms,
                        "event" => Kind::ServerEvent,
                        "clients" => Kind::Clients { single: false },
                        "one" => Kind::Clients { single: true },
                        other => panic!("{other}"),
                    };
                    ledger.ask(now, "q".into(), &slash, kind, ());
                }
                ["expect", count] if count.parse::<usize>().is_ok() => {
                    ledger.expect("q", Peers::Count(count.parse().unwrap()));
                }
                ["expect", names @ ..] => {
                    ledger.expect("q", Peers::Named(names.iter().map(|name| Arc::from(*name)).collect()));
                }
                ["done?", expected] => {
                    assert_eq!(ledger.is_done("q"), *expected == "yes", "{line} in:\n{script}");
                }
                ["close:", ..] => {
                    let gathered = ledger.close("q").unwrap();
                    let mut names = gathered.missing.names.clone();
                    names.sort();
                    let got = format!(
                        "close: replies={} missing={} [{}] silent={}",
                        gathered.replies.len(),
                        gathered.missing.count,
                        names.join(","),
                        gathered.silent
                    );
                    assert_eq!(got, line, "in:\n{script}");
                    assert!(ledger.is_empty());
                }
                [who, "says"] => ledger.heard(now, &slash, &Arc::from(*who)),
                [who, "leaves"] => ledger.left("/", who),
                [who, what, rest @ ..] => {
                    let name: Option<Arc<str>> = (*who != "?").then(|| Arc::from(*who));
                    let number = rest.first().and_then(|n| n.parse().ok()).unwrap_or(0);
                    let payload = || Payload::args(&number).unwrap();
                    let reply = match *what {
                        "sockets" => Reply::Sockets(Vec::new()),
                        "rooms" => Reply::Rooms(Vec::new()),
                        "event" => Reply::ServerEvent(payload()),
                        "count" => Reply::Count(number),
                        "ack" => Reply::Ack(payload()),
                        other => panic!("{other}"),
                    };
                    let taken = match ledger.reply(name.as_ref(), "q", reply) {
                        Taken::Yes(()) => "",
                        Taken::Again => "again",
                        Taken::Stray => "stray",
                        Taken::TooMuch => "much",
                    };
                    let expected = match rest.last() {
                        Some(word) if word.parse::<u64>().is_err() => *word,
                        _ => "",
                    };
                    assert_eq!(taken, expected, "{line} in:\n{script}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn every_server_answers_once() {
        check(
            "ask sockets
             b sockets
             done? no
             expect 3
             done? no
             b sockets again
             done? no
             c sockets
             done? yes
             close: replies=2 missing=0 [] silent=0",
        );
        check(
            "ask rooms
             expect b c
             c rooms
             done? no
             b rooms
             done? yes
             close: replies=2 missing=0 [] silent=0",
        );
    }

    #[test]
    fn nobody_else_is_there() {
        check("ask event\nexpect 1\ndone? yes\nclose: replies=0 missing=0 [] silent=0");
        // What the broker counts may be less than ourselves, just after it came back.
        check("ask event\nexpect 0\ndone? yes\nclose: replies=0 missing=0 [] silent=0");
    }

    #[test]
    fn the_missing_have_names_where_that_is_known() {
        check("ask sockets\nexpect b c\nb sockets\ndone? no\nclose: replies=1 missing=1 [c] silent=0");
        check(
            "b says
             c says
             ask sockets
             expect 3
             b sockets
             close: replies=1 missing=1 [c] silent=0",
        );
        // Three were heard of, two are counted: which of them it is nobody knows.
        check(
            "b says
             c says
             d says
             ask sockets
             expect 3
             b sockets
             close: replies=1 missing=1 [] silent=0",
        );
        // The third has left since; and an emitter is nobody's neighbour.
        check(
            "b says
             c says
             d says
             emitter says
             d leaves
             ask sockets
             expect 3
             b sockets
             close: replies=1 missing=1 [c] silent=0",
        );
    }

    #[test]
    fn the_dead_are_forgotten_when_all_others_have_answered() {
        check(
            "b says
             c says
             d says
             ask sockets
             expect 3
             b sockets
             c sockets
             close: replies=2 missing=0 [] silent=0
             ask sockets
             expect 3
             b sockets
             close: replies=1 missing=1 [c] silent=0",
        );
    }

    #[test]
    fn who_dies_meanwhile_is_missing_and_not_waited_for() {
        check(
            "ask sockets
             expect b c
             b sockets
             expect b c
             done? no
             expect b
             done? yes
             close: replies=1 missing=1 [c] silent=0",
        );
        check(
            "ask event
             expect 3
             ? event
             expect 3
             done? no
             expect 2
             done? yes
             close: replies=1 missing=1 [] silent=0",
        );
        // A newcomer in its place was not asked.
        check(
            "ask event
             expect b c
             b event
             expect b d
             done? yes
             close: replies=1 missing=1 [c] silent=0",
        );
    }

    #[test]
    fn answers_without_names_are_counted() {
        check(
            "ask rooms
             ? rooms
             expect 3
             done? no
             ? rooms
             done? yes
             close: replies=2 missing=0 [] silent=0",
        );
        check("b says\nask rooms\nexpect 3\n? rooms\nclose: replies=1 missing=1 [] silent=0");
    }

    #[test]
    fn clients_answer_before_and_after_their_server_counts_them() {
        check(
            "ask clients
             b ack 1
             b count 2
             expect b c
             b ack 2
             done? no
             c count 0
             done? yes
             b ack 3 again
             c ack 1 again
             close: replies=2 missing=0 [] silent=0",
        );
        check(
            "ask clients
             expect 3
             ? count 2
             ? count 1
             done? no
             ? ack 1
             ? ack 1
             done? no
             ? ack 1
             done? yes
             close: replies=3 missing=0 [] silent=0",
        );
        check(
            "ask clients
             expect b c
             b count 3
             b ack 1
             close: replies=1 missing=1 [c] silent=2",
        );
    }

    #[test]
    fn clients_are_waited_for_as_long_as_their_server_is_there() {
        check(
            "ask clients
             expect b c
             b count 2
             c count 1
             c ack 1
             expect b c
             done? no
             expect c
             done? yes
             close: replies=1 missing=0 [] silent=2",
        );
    }

    #[test]
    fn one_answer_is_enough_where_one_is_asked() {
        check("ask one\nexpect b c\nb count 0\nc ack 1\ndone? yes\nclose: replies=1 missing=1 [c] silent=0");
    }

    #[test]
    fn what_was_not_asked_is_stray() {
        check("ask sockets\nexpect 2\nb rooms stray\nb ack 1 stray\nb count 1 stray\ndone? no");
        let mut ledger: Ledger<()> = Ledger::new();
        assert_eq!(ledger.reply(None, "nobody", Reply::Count(1)), Taken::Stray);
    }

    #[test]
    fn silence_is_noticed_on_both_sides() {
        let mut ledger: Ledger<()> = Ledger::new();
        let slash = Arc::from("/");
        ledger.opened(&slash);
        ledger.heard(secs(1), &slash, &"b".into());
        ledger.heard(secs(9), &slash, &"c".into());
        assert_eq!(ledger.alive("/", secs(5)), [Arc::from("c")]);
        assert_eq!(ledger.alive("/", secs(0)), [Arc::from("c")], "forgotten");
        ledger.spoke(secs(3), "/");
        assert_eq!(ledger.quiet(secs(7), secs(5)).len(), 0);
        assert_eq!(ledger.quiet(secs(8), secs(5)), [slash]);
        ledger.closed("/");
        assert_eq!(ledger.quiet(secs(90), secs(5)).len(), 0);
    }

    #[test]
    fn answers_are_bounded() {
        let mut ledger: Ledger<()> = Ledger::new();
        ledger.ask(secs(0), "q".into(), &"/".into(), Kind::Clients { single: false }, ());
        let large = Payload::args(&"x".repeat(MOST_BYTES / 4)).unwrap();
        let said: Vec<_> = (0..5).map(|_| ledger.reply(None, "q", Reply::Ack(large.clone()))).collect();
        assert_eq!(said[..3], [Taken::Yes(()), Taken::Yes(()), Taken::Yes(())]);
        assert_eq!(said[4], Taken::TooMuch);
        ledger.opened(&"/".into());
        for n in 0..2 * MOST_NAMES {
            ledger.heard(secs(1), &"/".into(), &n.to_string().into());
            ledger.heard(secs(1), &"/not/there".into(), &n.to_string().into());
        }
        assert_eq!(ledger.alive("/", secs(0)).len(), MOST_NAMES);
        assert_eq!(ledger.alive("/not/there", secs(0)).len(), 0);
    }
}
