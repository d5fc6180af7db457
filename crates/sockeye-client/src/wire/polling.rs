//! Long-polling: GETs and POSTs through hyper's pool.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use sockeye_proto::engine::{Content, EncodedPayload};

use super::dial::Dialer;
use super::{Report, Settings};

/// How much of a refusal is read and repeated.
const REFUSAL: usize = 4096;

/// Sends requests. A GET that waits and a POST take a connection each; both are kept for the next.
pub(super) struct Polling {
    settings: Arc<Settings>,
    http: Client<Dialer, Full<Bytes>>,
}

impl Polling {
    pub(super) fn new(settings: Arc<Settings>) -> Polling {
        let http =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(2).build(settings.dialer.clone());
        Polling { settings, http }
    }

    /// Asks what the server has to say. Waits as long as the machine does.
    pub(super) fn get(&self, query: &str) -> impl Future<Output = Result<Report, String>> + Send + 'static {
        let request = self.request(Method::GET, query, Bytes::new());
        let (settings, http) = (Arc::clone(&self.settings), self.http.clone());
        async move {
            let response = http.request(request?).await.map_err(|error| in_words(&error))?;
            settings.learn(response.headers());
            let content = match response.headers().get(header::CONTENT_TYPE) {
                Some(value) if value.as_bytes().starts_with(b"application/octet-stream") => Content::Binary,
                _ => Content::Text,
            };
            let body = taken(response, settings.max_message).await?;
            Ok(Report::Polled(body.into(), content))
        }
    }

    /// Says something.
    pub(super) fn post(
        &self,
        query: &str,
        payload: EncodedPayload,
    ) -> impl Future<Output = Result<Report, String>> + Send + 'static {
        let kind = match payload.content {
            Content::Text => "text/plain;charset=UTF-8",
            Content::Binary => "application/octet-stream",
        };
        let request = self.request(Method::POST, query, payload.body.into()).map(|mut request| {
            request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
            request
        });
        let (settings, http) = (Arc::clone(&self.settings), self.http.clone());
        async move {
            let exchange = async {
                let response = http.request(request?).await.map_err(|error| in_words(&error))?;
                settings.learn(response.headers());
                taken(response, REFUSAL).await.map(|_| Report::Posted)
            };
            match tokio::time::timeout(settings.request_timeout, exchange).await {
                Ok(done) => done,
                Err(_) => Err(format!("no answer within {:?}", settings.request_timeout)),
            }
        }
    }

    fn request(&self, method: Method, query: &str, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
        let settings = &self.settings;
        // Caches that do not know better would answer the second poll with the first's body.
        let path = settings.path_and_query(&format!("{query}&t={}", cache_buster()));
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", settings.target))
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        settings.put_headers(request.headers_mut());
        Ok(request)
    }
}

/// The body of an answer of status 200.
async fn taken(response: Response<Incoming>, limit: usize) -> Result<Bytes, String> {
    let status = response.status();
    if status != StatusCode::OK {
        let body = Limited::new(response.into_body(), REFUSAL).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        return Err(refusal(status, &body));
    }
    match Limited::new(response.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(format!("the answer is longer than {limit} bytes, see `max_message`"))
        }
        Err(error) => Err(format!("the answer broke off: {error}")),
    }
}

/// `status 400: Session ID unknown`.
pub(super) fn refusal(status: StatusCode, body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Said {
        message: String,
    }
    let said = match serde_json::from_slice::<Said>(body) {
        Ok(said) => said.message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
    match said.trim() {
        "" => format!("status {}", status.as_u16()),
        said => format!("status {}: {said}", status.as_u16()),
    }
}

/// The innermost cause says what happened; hyper's own words are only where.
fn in_words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Eight characters that no request had before.
fn cache_buster() -> String {
    let mut random = [0_u8; 8];
    // Without randomness a cache may get in the way, which few do: not worth an error.
    getrandom::fill(&mut random).ok();
    let digits = b"0123456789abcdefghijklmnopqrstuvwxyz";
    random.iter().map(|byte| char::from(digits[usize::from(*byte) % digits.len()])).collect()
}
