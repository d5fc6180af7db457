//! The ways in besides a raw stream: a tower service, and a listener of our own.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use sockeye::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_layer::Layer;
use tower_service::Service;

use crate::support::{Log, eventually};

#[derive(Clone)]
struct Inner;

impl Service<Request<Empty<Bytes>>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Empty<Bytes>>) -> Self::Future {
        ready(Ok(Response::new(Full::from("inner"))))
    }
}

async fn get<S, B>(service: &mut S, url: &str) -> (StatusCode, String)
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes, Error = Infallible>,
{
    let request = Request::get(url).header("Host", "test.example").body(Empty::new()).unwrap();
    let response = service.call(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_layer_takes_its_own_path_and_passes_on_the_rest() {
    let log = Log::default();
    let noted = log.clone();
    let server = Server::builder()
        .on_connection_error(move |_, refused| {
            noted.note(format!("{:?} {}", refused.code, refused.message));
            panic!("a listener may");
        })
        .build()
        .unwrap();
    let mut service = server.layer().layer(Inner);
    assert_eq!(get(&mut service, "/").await, (StatusCode::OK, "inner".to_owned()));
    assert_eq!(get(&mut service, "/socket.iofoo").await.1, "inner");
    let (status, body) = get(&mut service, "/socket.io/?EIO=4&transport=polling").await;
    assert!(status == StatusCode::OK && body.starts_with("0{\"sid\""), "{body}");
    assert_eq!(get(&mut service, "/socket.io/?EIO=4&transport=pigeon").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(log.take(), ["Some(0) Transport unknown"]);
    assert_eq!(get(&mut server.service(), "/elsewhere").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_listener_of_our_own_until_the_server_closes() {
    let server = Server::builder().build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = server.clone();
    let serving = tokio::spawn(async move { serving.serve(listener).await });
    let ask = async |path: &str| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    assert!(ask("/socket.io/?EIO=4&transport=polling").await.contains("0{\"sid\""));
    assert!(ask("/elsewhere").await.starts_with("HTTP/1.1 404"));
    assert_eq!(server.stats().engine.sessions, 1);
    server.close().await;
    tokio::time::timeout(Duration::from_secs(15), serving).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
    eventually(|| server.stats().engine.sessions == 0).await;
}
