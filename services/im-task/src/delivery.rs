//! Records for gateways.

use std::hash::Hash;
use std::sync::Arc;

use bytes::Bytes;
use gochat_core::audience::Audience;
use gochat_core::ids::UserId;
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

    /// The record with these targets, or with none for a broadcast or a signal, which names its
    /// own; `body` keeps everything else. `traced` when its message is.
    pub(crate) fn record(
        &self,
        topic: Arc<str>,
        body: &mut DownstreamMessage,
        targets: Targets,
        traced: Option<Context>,
    ) -> OutRecord {
        body.target_user_ids = targets.into_ids();
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

/// Users of one gateway who are told something: a part of an [`Audience`], and made of nothing
/// else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Targets(Vec<String>);

impl Targets {
    /// No list: the record is for everybody on a gateway, or carries its list elsewhere.
    pub(crate) const NONE: Self = Self(Vec::new());

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that are not excluded.
    pub(crate) fn without(&self, excluded: impl Fn(&str) -> bool) -> Self {
        let kept = self.0.iter().filter(|user| !excluded(user));
        Self(kept.cloned().collect())
    }

    /// The same in parts of at most `most` users.
    pub(crate) fn parts(self, most: usize) -> impl Iterator<Item = Self> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let later = rest.split_off(most.max(1).min(rest.len()));
            Some(Self(std::mem::replace(&mut rest, later)))
        })
    }

    /// The ids, for the wire.
    pub(crate) fn into_ids(self) -> Vec<String> {
        self.0
    }
}

/// Groups an audience by gateway: each user at every gateway that `gateways_of` names.
pub(crate) fn by_gateway<G, I>(
    audience: &Audience,
    mut gateways_of: impl FnMut(UserId) -> I,
) -> HashMap<G, Targets>
where
    G: Eq + Hash,
    I: IntoIterator<Item = G>,
{
    let mut groups: HashMap<G, Targets> = HashMap::new();
    for user in audience.users() {
        let id = user.to_string();
        for gateway in gateways_of(*user) {
            let Targets(users) = groups.entry(gateway).or_default();
            if users.last() != Some(&id) {
                users.push(id.clone());
            }
        }
    }
    groups
}

/// The gateways of a user by what presence answered.
pub(crate) fn found(
    online: &HashMap<String, Vec<String>>,
    user: UserId,
) -> impl Iterator<Item = &str> {
    let found = online.get(&user.to_string());
    found.into_iter().flatten().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use gochat_core::audience::Roster;

    use super::*;

    #[test]
    fn a_user_with_sessions_on_two_gateways_is_a_target_of_both() {
        let online = HashMap::from([
            ("1".to_owned(), vec!["a".to_owned(), "b".to_owned()]),
            ("2".to_owned(), vec!["b".to_owned()]),
        ]);
        let users = [1, 2, 3].map(|n| UserId::new(n).unwrap());
        let audience = Roster::loaded(users).everyone();
        let groups = by_gateway(&audience, |user| found(&online, user));
        assert_eq!(groups["a"].clone().into_ids(), ["1"]);
        assert_eq!(groups["b"].clone().into_ids(), ["1", "2"]);
        assert_eq!(groups.len(), 2);
    }

    #[test]
    fn parts_hold_every_target_once() {
        let targets = Targets((1..=5).map(|n: u64| n.to_string()).collect());
        let parts: Vec<_> = targets.parts(2).map(|part| part.into_ids().len()).collect();
        assert_eq!(parts, [2, 2, 1]);
    }
}
