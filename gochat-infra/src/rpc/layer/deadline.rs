//! A call has a deadline: `grpc-timeout`, which also tells the callee.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tonic::Status;
use tonic::body::Body;

use super::{Calls, forward, layer};

const HEADER: &str = "grpc-timeout";
/// gRPC's longest: eight digits.
const MAX_DIGITS: usize = 8;

layer! {
    /// Ends calls with `DEADLINE_EXCEEDED` after their `grpc-timeout`; without one after `standard`, if there is any.
    Deadline { standard: Option<Duration> } => Deadlined
}

impl Deadline {
    async fn run<S: Calls>(self, inner: S, mut request: Request<Body>) -> Response<Body> {
        let given = given(request.headers());
        let Some(limit) = given.or(self.standard) else {
            return forward(inner, request).await;
        };
        if given.is_none() {
            request.headers_mut().insert(HEADER, written(limit));
        }
        let until = Instant::now() + limit;
        match timeout_at(until, forward(inner, request)).await {
            Ok(response) => response.map(|inner| {
                Body::new(Limited {
                    inner,
                    until: Box::pin(sleep_until(until)),
                })
            }),
            Err(_) => exceeded().into_http(),
        }
    }
}

fn exceeded() -> Status {
    Status::deadline_exceeded("no answer before the deadline")
}

/// The deadline a caller gave.
pub(in crate::rpc) fn given(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > MAX_DIGITS {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

fn written(limit: Duration) -> HeaderValue {
    let text = match limit.as_millis() {
        ms @ 0..100_000_000 => format!("{ms}m"),
        _ => format!("{}S", limit.as_secs().min(99_999_999)),
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("10S"))
}

/// A body that must end in time.
struct Limited {
    inner: Body,
    until: Pin<Box<Sleep>>,
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        self.until.as_mut().poll(cx).map(|()| Some(Err(exceeded())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;

    use tower::{Layer, ServiceExt, service_fn};

    use super::*;

    fn headers(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HEADER.parse().unwrap(), HeaderValue::from_static(text))])
    }

    #[test]
    fn every_unit_is_read_and_nonsense_is_not() {
        for (text, wanted) in [
            ("1H", Duration::from_secs(3_600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("250m", Duration::from_millis(250)),
            ("9u", Duration::from_micros(9)),
            ("99999999n", Duration::from_nanos(99_999_999)),
        ] {
            assert_eq!(given(&headers(text)), Some(wanted), "{text}");
        }
        for text in ["", "S", "5", "5x", "123456789S", "-1S"] {
            assert_eq!(given(&headers(text)), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_the_same() {
        for limit in [1, 10_000, 99_999_999, 200_000_000].map(Duration::from_millis) {
            let written = HeaderMap::from_iter([(HEADER.parse().unwrap(), written(limit))]);
            assert_eq!(given(&written), Some(limit));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_ends_at_its_deadline() {
        let silent = service_fn(|request: Request<Body>| async move {
            assert!(request.headers().contains_key(HEADER), "the callee is told");
            pending::<Result<Response<Body>, Infallible>>().await
        });
        let standard = Some(Duration::from_secs(10));
        let service = Deadline { standard }.layer(silent);
        let begun = Instant::now();
        let answer = service.clone().oneshot(Request::default()).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "4");
        assert_eq!(begun.elapsed().as_secs(), 10);

        let mut request = Request::default();
        *request.headers_mut() = headers("1S");
        service.oneshot(request).await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), 11, "the caller's own counts");
    }
}
