//! Records for gateways.

use std::sync::Arc;

use bytes::Bytes;
use gochat_infra::port::mq::{Headers, Mq, OutRecord};
use gochat_infra::telemetry::Context;
use gochat_infra::topics;
use gochat_proto::mq::v1::DownstreamMessage;
use hashbrown::HashMap;
use parking_lot::Mutex;
use prost::Message;

/// Makes one record per gateway out of a message and its recipients.
#[derive(Clone)]
pub(crate) struct Delivery {
    mq: Arc<dyn Mq>,
    /// Topic names by gateway; as many as there are instance ids.
    topics: Arc<Mutex<HashMap<String, Arc<str>>>>,
    headers: Headers,
}

impl Delivery {
    pub(crate) fn new(mq: Arc<dyn Mq>) -> Self {
        let headers = headers("DownstreamMessage");
        Self {
            mq,
            topics: Arc::default(),
            headers,
        }
    }

    /// Where records for a gateway go; `None` when it has no topic (any more).
    pub(crate) fn topic(&self, gateway: &str) -> Option<Arc<str>> {
        let mut topics = self.topics.lock();
        let topic = match topics.get(gateway) {
            Some(topic) => topic.clone(),
            None => {
                let topic = topics::downstream(gateway);
                topics.insert(gateway.to_owned(), topic.clone());
                topic
            }
        };
        self.mq.partitions(&topic).is_ok().then_some(topic)
    }

    /// The record with these targets; `body` keeps everything but its targets. `traced` when its message is.
    pub(crate) fn record(
        &self,
        topic: Arc<str>,
        body: &mut DownstreamMessage,
        targets: Vec<String>,
        traced: Option<Context>,
    ) -> OutRecord {
        body.target_user_ids = targets;
        let headers = with_trace(&self.headers, &body.trace_id, traced);
        OutRecord::new(topic, body.conversation_id.clone(), body.encode_to_vec())
            .with_headers(headers)
    }
}

/// Headers and what belongs to one message: its trace id, and its place in a trace.
pub(crate) fn with_trace(headers: &Headers, trace_id: &str, traced: Option<Context>) -> Headers {
    let trace = Bytes::copy_from_slice(trace_id.as_bytes());
    let headers = headers.clone().with("X-Trace-ID", trace);
    match traced {
        Some(context) => context.on(headers),
        None => headers,
    }
}

/// Headers every record of this service carries; `name` is a message of package `gochat.mq.v1`.
pub(crate) fn headers(name: &str) -> Headers {
    Headers::none()
        .with(
            "content-type",
            format!("application/x-protobuf; type=gochat.mq.v1.{name}"),
        )
        .with("X-Source", Bytes::from_static(b"im-task"))
}

/// Groups users by gateway: each user at every gateway that holds a session of theirs.
pub(crate) fn by_gateway<'a>(
    users: impl IntoIterator<Item = &'a str>,
    online: &'a HashMap<String, Vec<String>>,
) -> HashMap<&'a str, Vec<String>> {
    let mut groups: HashMap<&str, Vec<String>> = HashMap::new();
    for user in users {
        for gateway in online.get(user).into_iter().flatten() {
            groups.entry(gateway).or_default().push(user.to_owned());
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_with_sessions_on_two_gateways_is_a_target_of_both() {
        let online = HashMap::from([
            ("1".to_owned(), vec!["a".to_owned(), "b".to_owned()]),
            ("2".to_owned(), vec!["b".to_owned()]),
        ]);
        let groups = by_gateway(["1", "2", "3"], &online);
        assert_eq!(groups["a"], ["1"]);
        assert_eq!(groups["b"], ["1", "2"]);
        assert_eq!(groups.len(), 2);
    }
}
