//! What handlers may take and return, seen from a client.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sockeye::extract::{FromConnect, FromEvent, Mismatch, MismatchKind};
use sockeye::handler::{Call, ConnectCall, Duty, Reply};
use sockeye::{
    Ack, AckSender, Args, Auth, Data, Event, EventName, Handshake, IntoRefusal, Namespace, Outcome, RawArgs,
    Reason, Refusal, Server, Socket, SocketData, State,
};
use sockeye_testkit::{Ended, Received, TestServer, advance, settle};

fn serve(builder: sockeye::ServerBuilder) -> TestServer {
    TestServer::new(builder.build().unwrap())
}

/// The handler was not called, and the client is told so.
fn is_misfit(answer: &Received) -> bool {
    answer.refusal().is_some_and(|(message, data)| message == "bad payload" && data.is_null())
}

// ---- arguments -------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn the_first_argument_as_a_type() {
    #[derive(Deserialize)]
    struct Point {
        x: i32,
        y: i32,
    }
    async fn sum(Data(point): Data<Point>) -> i32 {
        point.x + point.y
    }
    let server = serve(Server::builder().on("sum", sum));
    let client = server.connect().await;
    assert_eq!(client.call("sum", json!({"x": 2, "y": 3})).await.data::<i32>(), 5);
    // Further arguments are ignored, as in JavaScript.
    assert_eq!(client.call("sum", Args((json!({"x": 1, "y": 1}), "more"))).await.data::<i32>(), 2);
}

#[tokio::test(start_paused = true)]
async fn several_arguments_as_a_tuple() {
    async fn mv(Args((piece, to, note)): Args<(String, u8, Option<String>)>) -> Args<(u8, String)> {
        Args((to, format!("{piece}{}", note.unwrap_or_default())))
    }
    let server = serve(Server::builder().on("move", mv));
    let client = server.connect().await;
    let answer = client.call("move", Args(("rook", 8, "!"))).await;
    assert_eq!(answer.args::<(u8, String)>(), (8, "rook!".to_owned()));
    let answer = client.call("move", Args(("rook", 8))).await;
    assert_eq!(answer.args::<(u8, String)>(), (8, "rook".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn raw_and_dynamic_arguments() {
    async fn raw(args: RawArgs, name: EventName) -> Args<(String, usize, String)> {
        Args((args.text().to_owned(), args.attachments().len(), name.0))
    }
    async fn dynamic(Data(value): Data<Value>) -> Value {
        value["deep"]["er"].clone()
    }
    let server = serve(Server::builder().on("raw", raw).on("dynamic", dynamic));
    let client = server.connect().await;
    let answer = client.call("raw", Args((1, Bytes::from_static(b"\0\x01"), "x"))).await;
    let (text, attachments, name) = answer.args::<(String, usize, String)>();
    assert_eq!(text, r#"["raw",1,{"_placeholder":true,"num":0},"x"]"#);
    assert_eq!((attachments, &*name), (1, "raw"));
    assert_eq!(
        client.call("dynamic", json!({"deep": {"er": [1, null]}})).await.data::<Value>(),
        json!([1, null])
    );
}

#[tokio::test(start_paused = true)]
async fn binary_anywhere_both_ways() {
    #[derive(Serialize, Deserialize)]
    struct File {
        name: String,
        #[serde(with = "serde_bytes")]
        content: Vec<u8>,
        thumbs: Vec<Bytes>,
    }
    async fn store(Data(mut file): Data<File>) -> Ack<File> {
        file.content.reverse();
        file.thumbs.push(Bytes::from_static(b"new"));
        Ack(file)
    }
    let server = serve(Server::builder().on("store", store));
    for client in [server.connect().await, server.connect().msgpack().await] {
        let file =
            File { name: "a".to_owned(), content: vec![1, 2, 3], thumbs: vec![Bytes::from_static(b"old")] };
        let back: File = client.call("store", &file).await.data();
        assert_eq!((&*back.name, back.content), ("a", vec![3, 2, 1]));
        assert_eq!(back.thumbs, [Bytes::from_static(b"old"), Bytes::from_static(b"new")]);
    }
}

#[tokio::test(start_paused = true)]
async fn who_and_where() {
    async fn me(socket: Socket, io: Server, namespace: Namespace, handshake: Arc<Handshake>) -> Value {
        assert_eq!(io.of("/den").len(), 1);
        json!({
            "id": socket.id(),
            "namespace": namespace.name(),
            "color": handshake.query_value("color").as_deref(),
            "agent": handshake.header("user-agent"),
        })
    }
    let server = serve(Server::builder().namespace("/den", |den| den.on("me", me)));
    let client =
        server.connect().namespace("/den").query("color", "blue").header("user-agent", "testkit").await;
    let me: Value = client.call("me", ()).await.data();
    assert_eq!(me, json!({"id": client.id(), "namespace": "/den", "color": "blue", "agent": "testkit"}));
}

struct Names {
    all: Vec<&'static str>,
}

#[tokio::test(start_paused = true)]
async fn state_is_lent_and_not_copied() {
    async fn first(names: State<Names>, State(count): State<AtomicUsize>) -> String {
        count.fetch_add(1, Ordering::Relaxed);
        names.all[0].to_owned()
    }
    let server = serve(
        Server::builder().state(Names { all: vec!["Anna"] }).state(AtomicUsize::new(0)).on("first", first),
    );
    let client = server.connect().await;
    assert_eq!(client.call("first", ()).await.data::<String>(), "Anna");
    client.emit("first", ());
    settle().await;
    let count = server.io().state::<AtomicUsize>().unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[test]
fn a_missing_state_is_found_when_the_server_is_built() {
    async fn needy(_: Socket, _: State<Names>) {}
    async fn fine(_: Option<State<Names>>) {}
    let check =
        |builder: sockeye::ServerBuilder| builder.build().map(drop).map_err(|error| error.to_string());

    assert!(check(Server::builder().on("a", fine)).is_ok());
    for builder in [
        Server::builder().on("a", needy),
        Server::builder().on_connect(needy),
        Server::builder().on_disconnect(needy),
        Server::builder().namespace("/x", |x| x.middleware(needy)),
        Server::builder().namespace("/x", |x| x.on_any(needy)),
    ] {
        let error = check(builder).unwrap_err();
        assert!(error.contains("needy") && error.contains("Names"), "{error}");
    }
    assert!(check(Server::builder().on("a", needy).state(Names { all: Vec::new() })).is_ok());
}

#[tokio::test(start_paused = true)]
async fn session_data_is_there_once_it_was_put() {
    struct User(String);
    async fn login(socket: Socket, Data(name): Data<String>) {
        socket.set_data(User(name));
    }
    async fn whoami(user: SocketData<User>) -> String {
        user.0.0.clone()
    }
    async fn maybe(user: Option<SocketData<User>>) -> bool {
        user.is_some()
    }
    let server = serve(Server::builder().on("login", login).on("whoami", whoami).on("maybe", maybe));
    let client = server.connect().await;
    assert!(!client.call("maybe", ()).await.data::<bool>());
    assert!(is_misfit(&client.call("whoami", ()).await));
    client.call("login", "Anna").await;
    assert_eq!(client.call("whoami", ()).await.data::<String>(), "Anna");
    let other = server.connect().await;
    assert!(!other.call("maybe", ()).await.data::<bool>());
}

#[tokio::test(start_paused = true)]
async fn optional_and_fallible_arguments() {
    async fn optional(text: Option<Data<String>>) -> String {
        text.map_or("nothing".to_owned(), |Data(text)| text)
    }
    async fn fallible(number: Result<Data<u8>, Mismatch>) -> String {
        match number {
            Ok(Data(number)) => number.to_string(),
            Err(mismatch) => format!("{:?}", mismatch.kind()),
        }
    }
    let server = serve(Server::builder().on("optional", optional).on("fallible", fallible));
    let client = server.connect().await;
    assert_eq!(client.call("optional", "x").await.data::<String>(), "x");
    assert_eq!(client.call("optional", ()).await.data::<String>(), "nothing");
    // What is there and does not fit is not the same as nothing.
    assert!(is_misfit(&client.call("optional", 5).await));
    assert_eq!(client.call("fallible", 5).await.data::<String>(), "5");
    assert_eq!(client.call("fallible", 500).await.data::<String>(), format!("{:?}", MismatchKind::Payload));
    assert_eq!(client.call("fallible", ()).await.data::<String>(), format!("{:?}", MismatchKind::NoArgument));
}

#[tokio::test(start_paused = true)]
async fn an_extractor_of_ones_own() {
    struct Limits {
        most: usize,
    }
    /// A text that is short enough.
    struct Short(String);

    impl FromEvent for Short {
        fn from_event(call: &mut Call<'_>) -> Result<Self, Mismatch> {
            let limits = State::<Limits>::from_event(call)?;
            let Data(text) = Data::<String>::from_event(call)?;
            if text.len() > limits.most { Err(Mismatch::custom::<Self>("too long")) } else { Ok(Self(text)) }
        }
        fn needs(needs: &mut sockeye::extract::Needs) {
            needs.state::<Limits>();
        }
    }
    struct Country(String);
    impl FromConnect for Country {
        fn from_connect(call: &mut ConnectCall<'_>) -> Result<Self, Mismatch> {
            let country = call.socket().handshake().query_value("country");
            country.map(|country| Self(country.into_owned())).ok_or(Mismatch::custom::<Self>("no country"))
        }
    }
    async fn greet(socket: Socket, Country(country): Country) {
        socket.emit("hello", country).unwrap();
    }
    async fn say(Short(text): Short) -> String {
        text
    }
    assert!(Server::builder().on("say", say).build().is_err());
    let server = serve(Server::builder().on("say", say).on_connect(greet).state(Limits { most: 3 }));
    let mut client = server.connect().query("country", "NZ").await;
    assert_eq!(client.expect("hello").await.data::<String>(), "NZ");
    assert_eq!(client.call("say", "abc").await.data::<String>(), "abc");
    assert!(is_misfit(&client.call("say", "abcd").await));
}

#[tokio::test(start_paused = true)]
async fn up_to_ten_arguments_and_closures() {
    type N = State<()>;
    #[allow(clippy::too_many_arguments)]
    async fn ten(_: N, _: N, _: N, _: N, _: N, _: N, _: N, _: N, _: N, Data(last): Data<u8>) -> u8 {
        last
    }
    let factor = 3;
    let closure = move |Data(number): Data<u64>| async move { number * factor };
    let server = serve(Server::builder().state(()).on("ten", ten).on("times", closure));
    let client = server.connect().await;
    assert_eq!(client.call("ten", 10).await.data::<u8>(), 10);
    assert_eq!(client.call("times", 4).await.data::<u64>(), 12);
}

// ---- answers ---------------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn what_a_handler_returns_is_the_answer() {
    let server = serve(
        Server::builder()
            .on("unit", async || {})
            .on("ack", async || Ack(json!({"a": 1})))
            .on("tuple", async || Ack((1, "two")))
            .on("several", async || Args((1, "two")))
            .on("string", async || "text")
            .on("list", async || vec![1, 2])
            .on("map", async || BTreeMap::from([("k", 1)]))
            .on("ok", async || Ok::<_, Refusal>(7))
            .on("ok unit", async || Ok::<(), Refusal>(()))
            .on("bytes", async || Bytes::from_static(b"\xff")),
    );
    let client = server.connect().await;
    assert!(client.call("unit", ()).await.is_empty());
    assert_eq!(client.call("ack", ()).await.json(), r#"[{"a":1}]"#);
    assert_eq!(client.call("tuple", ()).await.json(), r#"[[1,"two"]]"#);
    assert_eq!(client.call("several", ()).await.json(), r#"[1,"two"]"#);
    assert_eq!(client.call("string", ()).await.json(), r#"["text"]"#);
    assert_eq!(client.call("list", ()).await.json(), "[[1,2]]");
    assert_eq!(client.call("map", ()).await.json(), r#"[{"k":1}]"#);
    assert_eq!(client.call("ok", ()).await.json(), "[7]");
    assert!(client.call("ok unit", ()).await.is_empty());
    assert_eq!(client.call("bytes", ()).await.data::<Bytes>(), Bytes::from_static(b"\xff"));
}

#[tokio::test(start_paused = true)]
async fn errors_are_answers_of_one_form() {
    enum Trouble {
        Full(u32),
    }
    impl IntoRefusal for Trouble {
        fn into_refusal(self) -> Refusal {
            let Self::Full(seats) = self;
            Refusal::new("full").data(json!({"seats": seats}))
        }
    }
    async fn own() -> Result<(), Trouble> {
        Err(Trouble::Full(4))
    }
    async fn question_mark(Data(text): Data<String>) -> Result<u32, Refusal> {
        Ok(text.parse::<u32>()?)
    }
    async fn plain() -> Result<Ack<u8>, &'static str> {
        Err("no")
    }
    let server = serve(Server::builder().on("own", own).on("parse", question_mark).on("plain", plain));
    let client = server.connect().await;
    assert_eq!(client.call("own", ()).await.json(), r#"[{"error":{"message":"full","data":{"seats":4}}}]"#);
    assert_eq!(client.call("plain", ()).await.json(), r#"[{"error":{"message":"no"}}]"#);
    assert_eq!(client.call("parse", "12").await.data::<u32>(), 12);
    // The text of an internal error is nobody's business outside.
    let refused = client.call("parse", "hunter2").await.refusal();
    assert_eq!(refused, Some(("internal error".to_owned(), Value::Null)));
    // Nobody waits: nothing is sent, and nothing breaks.
    let mut client = client;
    client.emit("own", ());
    client.expect_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_ones_own() {
    struct Celsius(f32);
    impl Reply for Celsius {
        fn reply(self, duty: Duty) -> Outcome {
            duty.answer(&Args((self.0, "°C")))
        }
    }
    let server = serve(Server::builder().on("t", async || Celsius(21.5)));
    let client = server.connect().await;
    assert_eq!(client.call("t", ()).await.args::<(f32, String)>(), (21.5, "°C".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn the_duty_to_answer_can_be_taken_along() {
    async fn later(ack: AckSender) -> &'static str {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            ack.send("later").unwrap();
        });
        "not this"
    }
    async fn either(ack: Option<AckSender>, counter: State<AtomicUsize>) {
        counter.fetch_add(1, Ordering::Relaxed);
        if let Some(ack) = ack {
            ack.send(1).unwrap();
        }
    }
    let server = serve(Server::builder().state(AtomicUsize::new(0)).on("later", later).on("either", either));
    let mut client = server.connect().await;
    let mut call = client.call("later", ());
    call.expect_no_answer().await;
    advance(Duration::from_secs(2)).await;
    assert_eq!(call.await.data::<String>(), "later");

    // Without an ack the first does not run (and crashes nothing), the second does.
    client.emit("later", ());
    client.emit("either", ());
    client.expect_nothing().await;
    assert_eq!(server.io().state::<AtomicUsize>().unwrap().load(Ordering::Relaxed), 1);
    assert_eq!(client.call("either", ()).await.data::<u8>(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_does_not_fit() {
    async fn number(_: Data<u8>) -> &'static str {
        "fits"
    }
    let server = serve(Server::builder().on("number", number));
    let mut client = server.connect().await;
    assert!(is_misfit(&client.call("number", "no number").await));
    assert_eq!(client.call("number", 1).await.data::<String>(), "fits");
    // Nobody waits: nothing is said.
    client.emit("number", "no number");
    client.expect_nothing().await;

    let server = serve(Server::builder().error_acks(false).on("number", number));
    let client = server.connect().await;
    client.call("number", "no number").expect_no_answer().await;
    assert_eq!(client.call("number", 1).await.data::<String>(), "fits");
}

// ---- typed events ----------------------------------------------------------------------------------------------

#[derive(Serialize, Deserialize, Event)]
#[event(name = "say", ack = u64)]
struct Say {
    text: String,
}

/// Only ever sent.
#[derive(Serialize, Event)]
struct UserJoined<'a> {
    name: &'a str,
}

/// Only ever heard.
#[derive(Deserialize, Event)]
struct Ping;

#[derive(Serialize, Deserialize, Event)]
#[serde(rename_all = "camelCase")]
enum Move {
    Up(u8),
    Stop,
}

/// Several arguments.
#[derive(Serialize, Deserialize, Event)]
#[event(name = "place")]
struct Place(String, Bytes, Option<u8>);

#[derive(Serialize, Event)]
struct Over;

#[derive(Serialize, Deserialize, Event)]
#[event(name = "wrapped")]
struct Wrapped<T>
where
    T: Clone,
{
    inner: T,
}

#[test]
fn names_of_typed_events() {
    assert_eq!(Say::NAME, "say");
    assert_eq!(UserJoined::NAME, "user_joined");
    assert_eq!(Wrapped::<u8>::NAME, "wrapped");
    let _: u64 = <Say as Event>::Ack::default();
    let () = <Ping as Event>::Ack::default();
}

#[tokio::test(start_paused = true)]
async fn typed_events_are_arguments_and_know_their_name() {
    async fn say(socket: Socket, say: Say, suffix: State<String>) -> u64 {
        let name = &format!("{}{}", say.text, *suffix);
        socket.emit_event(&UserJoined { name }).unwrap();
        say.text.len() as u64
    }
    async fn step(step: Move) -> &'static str {
        match step {
            Move::Up(_) => "up",
            Move::Stop => "stop",
        }
    }
    async fn unwrap(Wrapped { inner }: Wrapped<Vec<u8>>) -> Vec<u8> {
        inner
    }
    let server = serve(
        Server::builder()
            .state("!".to_owned())
            .on_event(say)
            .on_event(step)
            .on_event(unwrap)
            .on_event(async |_: Ping| "pong"),
    );
    let mut client = server.connect().await;
    assert_eq!(client.call("say", json!({"text": "Ben"})).await.data::<u64>(), 3);
    assert_eq!(client.expect("user_joined").await.data::<Value>(), json!({"name": "Ben!"}));
    assert_eq!(client.call("move", json!({"up": 3})).await.data::<String>(), "up");
    assert_eq!(client.call("move", "stop").await.data::<String>(), "stop");
    assert_eq!(client.call("wrapped", json!({"inner": [1]})).await.data::<Vec<u8>>(), [1]);
    assert_eq!(client.call("ping", ()).await.data::<String>(), "pong");
}

#[tokio::test(start_paused = true)]
async fn typed_events_of_several_arguments_and_of_none() {
    async fn place(socket: Socket, place: Place) -> usize {
        let length = place.1.len();
        socket.emit_event(&place).unwrap();
        socket.emit_event(&Over).unwrap();
        length
    }
    let server = serve(Server::builder().on_event(place));
    let mut client = server.connect().await;
    let bytes = Bytes::from_static(b"\xff\xfe");
    assert_eq!(client.call("place", Args(("a", &bytes, 7))).await.data::<usize>(), 2);
    assert_eq!(
        client.expect("place").await.args::<(String, Bytes, u8)>(),
        ("a".to_owned(), bytes.clone(), 7)
    );
    assert!(client.expect("over").await.is_empty());
    // What is left out at the end reads as null.
    assert_eq!(client.call("place", Args(("a", &bytes))).await.data::<usize>(), 2);
    assert!(is_misfit(&client.call("place", "a").await));
}

#[tokio::test(start_paused = true)]
async fn typed_calls() {
    let server = serve(Server::builder());
    let mut client = server.connect().await;
    let socket = server.io().of("/").sockets().pop().unwrap();
    let call = socket.call_event(&Say { text: "hi".to_owned() });
    let asked = client.expect("say").await;
    assert_eq!(asked.data::<Say>().text, "hi");
    asked.answer(2);
    assert_eq!(call.await.unwrap(), 2_u64);
}

#[sockeye::handler]
#[allow(clippy::unused_async)]
async fn checked(_: Socket, _: Say, _: State<String>, _: Option<AckSender>) -> Result<Ack<u8>, Refusal> {
    Ok(Ack(1))
}

#[sockeye::handler(connect)]
async fn checked_connect(_: Socket, _: Auth<Value>) -> Result<(), Refusal> {
    Ok(())
}

#[sockeye::handler(disconnect)]
async fn checked_disconnect(_: Socket, _: Reason) {}

#[test]
fn the_attribute_leaves_handlers_alone() {
    let builder = Server::builder().state(String::new()).on_event(checked).middleware(checked_connect);
    assert!(builder.on_connect(checked_connect).on_disconnect(checked_disconnect).build().is_ok());
}

// ---- coming and going ------------------------------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn middlewares_read_the_auth_payload_and_refuse() {
    #[derive(Deserialize)]
    struct Login {
        token: String,
    }
    async fn check(socket: Socket, Auth(login): Auth<Login>, good: State<String>) -> Result<(), Refusal> {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if login.token != **good {
            return Err(Refusal::new("not you").data(json!({"code": 7})));
        }
        socket.set_data(login);
        Ok(())
    }
    async fn hello(socket: Socket, login: SocketData<Login>) {
        socket.emit("hello", &login.token).unwrap();
    }
    let server = serve(Server::builder().state("t0ken".to_owned()).middleware(check).on_connect(hello));

    let mut client = server.connect().auth(json!({"token": "t0ken"})).await;
    assert_eq!(client.expect("hello").await.data::<String>(), "t0ken");

    let refused = server.connect().auth(json!({"token": "other"})).refused().await;
    assert_eq!((&*refused.message, refused.data), ("not you", Some(json!({"code": 7}))));

    // An argument that cannot be had refuses, and tells nothing of what it wanted.
    let refused = server.connect().auth(json!({"tok": 1})).refused().await;
    assert_eq!((&*refused.message, refused.data), ("bad handshake", None));
    assert_eq!(server.connect().refused().await.message, "bad handshake");
}

#[tokio::test(start_paused = true)]
async fn disconnect_handlers_get_the_reason() {
    let (sender, mut reasons) = tokio::sync::mpsc::unbounded_channel();
    let leaving = move |_: Socket, reason: Reason| {
        let sender = sender.clone();
        async move { sender.send(reason.as_str().to_owned()).unwrap() }
    };
    let server = serve(Server::builder().on_disconnect(leaving).on("kick", async |socket: Socket| {
        socket.disconnect();
    }));

    server.connect().await.disconnect();
    assert_eq!(reasons.recv().await.unwrap(), "client namespace disconnect");
    server.connect().await.close();
    assert_eq!(reasons.recv().await.unwrap(), "transport close");
    server.connect().await.cut();
    assert_eq!(reasons.recv().await.unwrap(), "transport close");
    let mut client = server.connect().await;
    client.emit("kick", ());
    assert_eq!(client.expect_disconnect().await, Ended::ByServer);
    assert_eq!(reasons.recv().await.unwrap(), "server namespace disconnect");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_its_own_sockets_affair() {
    async fn boom(_: Socket) {
        panic!("as the test wants");
    }
    let server = serve(Server::builder().on("boom", boom).on("fine", async || "fine"));
    let mut victim = server.connect().await;
    let other = server.connect().await;
    victim.emit("boom", ());
    victim.expect_disconnect().await;
    assert_eq!(other.call("fine", ()).await.data::<String>(), "fine");
    assert_eq!(server.connect().await.call("fine", ()).await.data::<String>(), "fine");
}
