//! Calls of services in the same process, without HTTP between them.
//!
//! A caller and a callee that share a process need no frames, headers and bodies. The callee lists
//! its busy methods in a [`Local`], and [`Channel::call`](super::Channel::call) hands their
//! requests over as they are. Deadlines, errors, metrics and trace ids are those of any other call.
//! A call that is sampled for a trace takes the long way, whose layers make its spans.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use tonic::{Code, Response, Status};

use super::meters::Meters;

type Message = Box<dyn Any + Send>;
type Answer = Pin<Box<dyn Future<Output = Result<Message, Status>> + Send>>;

/// Methods of a service that callers in the same process call directly.
#[derive(Clone, Default)]
pub struct Local {
    methods: Arc<HashMap<&'static str, Method>>,
}

/// One method of a service.
pub(super) struct Method {
    path: &'static str,
    call: Box<dyn Fn(Message) -> Option<Answer> + Send + Sync>,
    meters: Meters,
}

impl Local {
    /// Adds a method. `path` is that of its requests over HTTP/2, `/package.Service/Method`.
    ///
    /// # Panics
    /// Panics if the list was cloned before: a list is complete once it is shared.
    #[must_use]
    pub fn method<Q, R, F, Fut>(mut self, path: &'static str, method: F) -> Self
    where
        Q: Send + 'static,
        R: Send + 'static,
        F: Fn(Q) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response<R>, Status>> + Send + 'static,
    {
        let call = move |request: Message| -> Option<Answer> {
            let answer = method(*request.downcast::<Q>().ok()?);
            let answer = async move { Ok(Box::new(answer.await?) as Message) };
            Some(Box::pin(answer))
        };
        let methods = Arc::get_mut(&mut self.methods).expect("methods are added before the use");
        let method = Method {
            path,
            call: Box::new(call),
            meters: Meters::default(),
        };
        methods.insert(path, method);
        self
    }

    pub(super) fn find(&self, path: &str) -> Option<&Method> {
        self.methods.get(path)
    }
}

impl Method {
    pub(super) async fn call<Q, R>(&self, request: Q) -> Result<Response<R>, Status>
    where
        Q: Send + 'static,
        R: Send + 'static,
    {
        let mut timed = Timed {
            method: self,
            began: Instant::now(),
            code: Code::Cancelled,
        };
        let answer = match (self.call)(Box::new(request)) {
            Some(answer) => under_trace(answer).await,
            None => Err(self.wrong_message()),
        };
        timed.code = answer.as_ref().err().map_or(Code::Ok, Status::code);
        let answer = answer?.downcast::<Response<R>>();
        answer
            .map(|answer| *answer)
            .map_err(|_| self.wrong_message())
    }

    fn wrong_message(&self) -> Status {
        Status::internal(format!("{} has other messages", self.path))
    }
}

/// Runs a call under the trace id of the call that it belongs to, or under a new one.
async fn under_trace(answer: Answer) -> Result<Message, Status> {
    #[cfg(feature = "grpc")]
    if super::trace::current().is_none() {
        return super::trace::scope(super::trace::made_up(), answer).await;
    }
    answer.await
}

/// A call that is counted when it ends, also when its caller goes away.
struct Timed<'m> {
    method: &'m Method,
    began: Instant,
    code: Code,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        let (path, seconds) = (self.method.path, self.began.elapsed().as_secs_f64());
        self.method.meters.note(path, self.code, seconds);
    }
}
