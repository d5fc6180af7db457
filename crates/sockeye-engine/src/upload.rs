//! A POST: its body is read within limits of size and time, and handed to the session's task, which answers.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::{Buf, Bytes};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http_body::Frame;
use sockeye_proto::engine::{BadRequest, ConnectionError, Content, jsonp};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, timeout_at};

use crate::engine::Engine;
use crate::mail::{Command, PostBody, PostFailure, PostReply};
use crate::service::{Answer, empty, no_store, status};
use crate::{Application, Body, Cause, Protocol, Refused, Session, Transport};

impl<A: Application> Engine<A> {
    /// A POST with a session's id.
    pub(crate) async fn post<B>(
        &self,
        parts: &Parts,
        session: Session,
        body: Option<B>,
    ) -> Result<Answer, Refused>
    where
        B: http_body::Body + Send,
        B::Data: Send,
    {
        let headers = &parts.headers;
        let encoded = headers.get(header::CONTENT_ENCODING);
        if encoded.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Ok(self.plain_refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, Cause::ContentEncoding).into());
        }
        let binary = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/octet-stream");
        let content = if binary { Content::Binary } else { Content::Text };

        let (reply, mut answer) = oneshot::channel();
        let mut guard = PostGuard { session: &session, open: true };
        let mut collect = pin!(collect(self.config(), headers, body));
        // Most bodies are there when their head is: then the session's task is woken once instead of twice.
        let ready = poll_fn(|cx| Poll::Ready(collect.as_mut().poll(cx))).await;
        let refuse = |failure: PostFailure, mut guard: PostGuard<'_>| {
            guard.open = false;
            let (status, cause) = match failure {
                PostFailure::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Some(Cause::TooLarge)),
                PostFailure::TooSlow => (StatusCode::REQUEST_TIMEOUT, Some(Cause::TooSlow)),
                PostFailure::InvalidContent => (StatusCode::BAD_REQUEST, Some(Cause::InvalidContent)),
                PostFailure::Lost => (StatusCode::BAD_REQUEST, None),
            };
            session.0.command(Command::PostFailed(failure));
            match cause {
                Some(cause) => self.plain_refusal(status, cause),
                None => empty(status),
            }
        };
        if binary && session.protocol() == Protocol::V4 {
            session.0.command(Command::Post { body: None, reply });
            return Ok(refuse(PostFailure::InvalidContent, guard).into());
        }
        let pending = match ready {
            Poll::Ready(Ok(bytes)) => {
                let body = Some(self.body(&session, content, bytes));
                session.0.command_here(Command::Post { body, reply });
                guard.open = false;
                false
            }
            Poll::Ready(Err(failure)) => {
                session.0.command(Command::Post { body: None, reply });
                return Ok(refuse(failure, guard).into());
            }
            Poll::Pending => {
                session.0.command(Command::Post { body: None, reply });
                true
            }
        };
        let early = if pending {
            tokio::select! {
                biased;
                early = &mut answer => Some(early),
                bytes = collect => match bytes {
                    Ok(bytes) => {
                        session.0.command(Command::PostBody(self.body(&session, content, bytes)));
                        None
                    }
                    Err(failure) => return Ok(refuse(failure, guard).into()),
                },
            }
        } else {
            None
        };
        guard.open = false;
        let answer = match early {
            Some(early) => early,
            None => answer.await,
        };
        match answer {
            Ok(PostReply::Done) => {
                let mut response = status(StatusCode::OK);
                no_store(parts, response.headers_mut());
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
                *response.body_mut() = Body::new(Bytes::from_static(b"ok"));
                Ok(response.into())
            }
            Ok(PostReply::Overlap) => Ok(self.plain_refusal(StatusCode::BAD_REQUEST, Cause::Overlap).into()),
            Ok(PostReply::Mismatch) => {
                let previous = Transport::WebSocket;
                Err(ConnectionError::from(BadRequest::TransportMismatch { previous }).into())
            }
            // The session ended around it.
            Ok(PostReply::Gone) | Err(_) => Err(ConnectionError::SessionUnknown.into()),
        }
    }

    /// The body in the form in which its packets lie.
    fn body(&self, session: &Session, content: Content, bytes: Bytes) -> PostBody {
        if content == Content::Binary {
            return PostBody::Binary(bytes);
        }
        match String::from_utf8(bytes.into()) {
            Err(_) => PostBody::Garbage,
            Ok(text) if session.0.jsonp.is_some() => match jsonp::form_payload(&text) {
                Some(text) => PostBody::Text(text),
                None => PostBody::Nothing,
            },
            Ok(text) => PostBody::Text(text),
        }
    }
}

/// Tells the session when the client goes away in the middle of a body.
struct PostGuard<'a> {
    session: &'a Session,
    open: bool,
}

impl Drop for PostGuard<'_> {
    fn drop(&mut self) {
        if self.open {
            self.session.0.command(Command::PostFailed(PostFailure::Lost));
        }
    }
}

/// Reads a body within the limits of size and time.
async fn collect<B: http_body::Body>(
    config: &crate::Config,
    headers: &HeaderMap,
    body: Option<B>,
) -> Result<Bytes, PostFailure> {
    let Some(body) = body else { return Err(PostFailure::Lost) };
    let limit = config.max_payload;
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(PostFailure::TooLarge);
    }
    let mut start = None;
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut all = Vec::new();
    loop {
        let received = first.len() + all.len();
        // The clock runs for bodies that are waited for only.
        let ready = poll_fn(|cx| Poll::Ready(next(body.as_mut().poll_frame(cx)))).await;
        let frame = match ready {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                // Slow at first is fine; after five seconds there is a least rate.
                let rate = Duration::from_secs_f64(received as f64 / f64::from(config.upload_rate.max(1)));
                let patience = (Duration::from_secs(5) + rate).min(config.upload_timeout);
                let deadline = *start.get_or_insert_with(Instant::now) + patience;
                let frame = poll_fn(|cx| next(body.as_mut().poll_frame(cx)));
                timeout_at(deadline, frame).await.map_err(|_| PostFailure::TooSlow)?
            }
        };
        let Some(frame) = frame? else { break };
        let Ok(mut data) = frame.into_data() else { continue };
        if received + data.remaining() > limit {
            return Err(PostFailure::TooLarge);
        }
        let bytes = data.copy_to_bytes(data.remaining());
        if received == 0 {
            first = bytes;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&bytes);
        }
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

/// What a body says next. What went wrong with it is nobody's business.
fn next<D, E>(frame: Poll<Option<Result<Frame<D>, E>>>) -> Poll<Result<Option<Frame<D>>, PostFailure>> {
    frame.map(|frame| frame.transpose().map_err(|_| PostFailure::Lost))
}
