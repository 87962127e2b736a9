//! The body of a request: watched, so that a peer that stops sending is not waited for, and so that
//! the connection knows whether a body is still coming when it has been answered.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::gate::Visitor;
use crate::metrics as names;

/// See the module.
pub(super) struct Upload {
    inner: Incoming,
    visitor: Arc<Visitor>,
    patience: Duration,
    /// Armed while the peer owes bytes.
    wait: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    pub(super) fn new(inner: Incoming, visitor: Arc<Visitor>, patience: Duration) -> Self {
        Self {
            inner,
            visitor,
            patience,
            wait: None,
        }
    }
}

/// The peer sent nothing for too long, or something that is no body.
#[derive(Debug)]
pub(super) enum UploadError {
    /// No byte came for the time a read may take.
    Stalled,
    /// The connection or the encoding broke.
    Broken(hyper::Error),
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stalled => f.write_str("the body stopped coming"),
            Self::Broken(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for UploadError {}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.wait = None;
                if frame.is_none() || this.inner.is_end_stream() {
                    this.visitor.set_uploading(false);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(UploadError::Broken)))
            }
            Poll::Pending => {
                let patience = this.patience;
                let wait = this
                    .wait
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                if wait.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                names::count(names::CONNECTIONS_CUT, "reason", "read");
                this.visitor.set_stalled();
                Poll::Ready(Some(Err(UploadError::Stalled)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
