//! Tells how a response ended.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use gochat_core::breaker::Outcome;
use http::{HeaderMap, Response};
use http_body::{Body as _, Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use super::status::is_refusal;

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With a gRPC status.
    Status {
        /// The code.
        code: Code,
        /// Whether it is a refusal of the catalogue rather than a fault on the way.
        refusal: bool,
    },
    /// It broke off without one.
    Failed,
    /// The caller did not wait for it.
    Dropped {
        /// Whether some of it had come: streams end like this when nobody needs them any more.
        heard: bool,
    },
}

impl End {
    /// The code for metrics; calls nobody waited for count as cancelled.
    pub(super) fn code(self) -> Code {
        match self {
            Self::Status { code, .. } => code,
            Self::Failed => Code::Unavailable,
            Self::Dropped { .. } => Code::Cancelled,
        }
    }

    /// What it says about the callee.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Status { code, refusal } => Outcome::of(code as i32, refusal),
            Self::Failed => Outcome::Failure,
            Self::Dropped { .. } => Outcome::Abandoned,
        }
    }

    fn of(headers: &HeaderMap) -> Option<Self> {
        let code = Code::from_bytes(headers.get("grpc-status")?.as_bytes());
        // Details are costly to read and matter for this code alone.
        let refusal = code == Code::ResourceExhausted
            && Status::from_header_map(headers).is_some_and(|status| is_refusal(&status));
        Some(Self::Status { code, refusal })
    }
}

/// Calls `done` once, when the response has ended one way or another.
pub(super) fn on_end<F>(response: Response<Body>, done: F) -> Response<Body>
where
    F: FnOnce(End) + Send + 'static,
{
    if let Some(end) = End::of(response.headers()) {
        done(end);
        return response;
    }
    if !response.status().is_success() || response.body().is_end_stream() {
        done(End::Failed);
        return response;
    }
    response.map(|inner| {
        Body::new(Watched {
            inner,
            heard: false,
            done: Some(done),
        })
    })
}

struct Watched<F: FnOnce(End)> {
    inner: Body,
    heard: bool,
    done: Option<F>,
}

impl<F: FnOnce(End)> Watched<F> {
    fn end(&mut self, end: End) {
        if let Some(done) = self.done.take() {
            done(end);
        }
    }
}

// Nothing in it is pinned in place.
impl<F: FnOnce(End)> Unpin for Watched<F> {}

impl<F: FnOnce(End)> http_body::Body for Watched<F> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.heard = true;
                if let Some(trailers) = frame.trailers_ref() {
                    self.end(End::of(trailers).unwrap_or(End::Failed));
                }
            }
            Poll::Ready(Some(Err(status))) => {
                let end = match status.code() {
                    Code::Unknown => End::Failed,
                    code => End::Status {
                        code,
                        refusal: false,
                    },
                };
                self.end(end);
            }
            Poll::Ready(None) => self.end(End::Failed),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<F: FnOnce(End)> Drop for Watched<F> {
    fn drop(&mut self) {
        let heard = self.heard;
        self.end(End::Dropped { heard });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use gochat_core::error::{Error, ErrorCode};

    use super::*;
    use crate::rpc::status_from;

    fn ended(response: Response<Body>) -> Option<End> {
        let seen: Arc<Mutex<Option<End>>> = Arc::default();
        let slot = seen.clone();
        drop(on_end(response, move |end| {
            *slot.lock().unwrap() = Some(end);
        }));
        *seen.lock().unwrap()
    }

    #[test]
    fn a_status_in_the_headers_ends_it_at_once() {
        let end = ended(Status::not_found("x").into_http());
        let code = Code::NotFound;
        assert_eq!(
            end,
            Some(End::Status {
                code,
                refusal: false
            })
        );
    }

    #[test]
    fn a_full_conversation_is_a_refusal_and_a_full_server_is_not() {
        let full = status_from(&Error::from(ErrorCode::ConversationFull));
        assert_eq!(ended(full.into_http()).unwrap().outcome(), Outcome::Success);
        let server = Status::resource_exhausted("too many streams");
        assert_eq!(
            ended(server.into_http()).unwrap().outcome(),
            Outcome::Failure
        );
    }

    #[tokio::test]
    async fn a_stream_nobody_needs_any_more_had_been_heard() {
        let seen: Arc<Mutex<Option<End>>> = Arc::default();
        let slot = seen.clone();
        let response = Response::new(Body::new(String::from("a word")));
        let mut body = on_end(response, move |end| *slot.lock().unwrap() = Some(end)).into_body();
        let word = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        assert!(word.is_some());
        drop(body);
        assert_eq!(*seen.lock().unwrap(), Some(End::Dropped { heard: true }));
    }

    #[test]
    fn a_response_nobody_read_was_dropped_and_one_without_a_status_failed() {
        let text = Body::new(String::from("unread"));
        let dropped = End::Dropped { heard: false };
        assert_eq!(ended(Response::new(text)), Some(dropped));
        assert_eq!(ended(Response::new(Body::empty())), Some(End::Failed));
    }
}
