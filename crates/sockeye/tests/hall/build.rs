//! What the builder checks before anything runs.

use std::time::Duration;

use sockeye::{BuildError, ConnectionStateRecovery, Server, State};

struct Db;

async fn save(_db: State<Db>) {}

#[test]
fn a_missing_state_names_handler_and_type() {
    for builder in [
        Server::builder().on("save", save),
        Server::builder().on_any(save),
        Server::builder().middleware(save),
        Server::builder().on_connect(save),
        Server::builder().on_disconnect(save),
        Server::builder().on_disconnecting(save),
        Server::builder().namespace("/x", |ns| ns.on("save", save)),
        Server::builder().dynamic_namespace("/{x}", |ns| ns.on("save", save)),
    ] {
        let error = builder.build().unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, BuildError::MissingState { .. }), "{text}");
        assert!(text.contains("build::save") && text.contains("build::Db"), "{text}");
    }
    assert!(Server::builder().state(Db).on("save", save).build().is_ok());
}

#[test]
fn impossible_settings_are_refused() {
    let zero = Server::builder().connect_timeout(Duration::ZERO).build().unwrap_err();
    assert_eq!(zero.to_string(), "connect_timeout must not be zero");
    assert!(matches!(Server::builder().path("x").build(), Err(BuildError::Engine(_))));
    assert!(matches!(Server::builder().ping_interval(Duration::ZERO).build(), Err(BuildError::Engine(_))));
    let reserved = Server::builder().on("disconnect", async || {}).build();
    assert!(matches!(reserved, Err(BuildError::ReservedEvent { .. })));
    let comma = Server::builder().namespace("/a,b", |ns| ns).build();
    assert!(matches!(comma, Err(BuildError::BadNamespace(_))));
}

#[test]
fn namespaces_are_found_and_made() {
    let server =
        Server::builder().namespace("chat", |ns| ns).dynamic_namespace("/{x}", |ns| ns).build().unwrap();
    assert_eq!(server.of("").name(), "/");
    assert_eq!(server.of("chat"), server.of("/chat"));
    assert!(server.find("/child").is_none());
    assert_eq!(server.of("/child").name(), "/child");
    assert!(server.find("/child").is_some());
    assert_eq!(server.namespaces().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn for_ever_is_a_time_like_any_other() {
    let server = Server::builder()
        .connect_timeout(Duration::MAX)
        .ping_interval(Duration::MAX)
        .ping_timeout(Duration::MAX)
        .connection_state_recovery(ConnectionStateRecovery::new().window(Duration::MAX))
        .middleware(async || tokio::task::yield_now().await)
        .build()
        .unwrap();
    let (client, _) = crate::support::Client::join(&server).await;
    drop(server.call::<u8>("never answered", ()).timeout(Duration::MAX));
    let asking = {
        let server = server.clone();
        tokio::spawn(async move { server.call::<u8>("answered by leaving", ()).timeout(Duration::MAX).await })
    };
    crate::support::settle().await;
    drop(client);
    assert_eq!(asking.await.unwrap().silent.len(), 1);
    server.drain(Duration::MAX).await;
}
