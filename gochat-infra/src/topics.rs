//! Names of topics and consumer groups, and what each topic looks like. The one place that knows.

use std::sync::Arc;
use std::time::Duration;

use crate::port::mq::{TopicSpec, VisibleOn};

/// Messages on their way to the sequencer; key = conversation id.
pub const UPSTREAM: &str = "gochat.messages.upstream";
/// Sequenced messages on their way to the database; same partitions and keys as [`UPSTREAM`].
pub const PERSIST: &str = "gochat.messages.persist";
/// Fan-out of large groups; key = conversation id.
pub const FANOUT: &str = "gochat.tasks.fanout";
/// Events about users; key = user id.
pub const USER_EVENTS: &str = "gochat.user-events";
/// Events about messages; key = conversation id.
pub const MESSAGE_EVENTS: &str = "gochat.message-events";
/// Events about conversations; key = conversation id.
pub const CONVERSATION_EVENTS: &str = "gochat.conversation-events";
/// What users should be told; key = conversation id, else target user id.
pub const NOTIFICATIONS: &str = "gochat.notifications";
/// Events about friendships; key = user id.
pub const FRIEND_EVENTS: &str = "gochat.friend-events";
/// Revoked tokens; every gateway reads all of it from the end.
pub const TOKEN_EVENTS: &str = "gochat.token-events";

/// im-logic's sequencers.
pub const LOGIC_UPSTREAM_GROUP: &str = "logic.upstream.group";
/// im-task's database writer.
pub const TASK_PERSIST_GROUP: &str = "task.persist.group";
/// im-task's fan-out workers.
pub const TASK_FANOUT_GROUP: &str = "task.fanout.group";
/// im-task's event reactions.
pub const TASK_EVENTS_GROUP: &str = "task.events.group";

/// Topics im-task reacts to.
pub const EVENT_TOPICS: [&str; 5] = [
    USER_EVENTS,
    MESSAGE_EVENTS,
    CONVERSATION_EVENTS,
    NOTIFICATIONS,
    FRIEND_EVENTS,
];

/// What the topics of all gateways are called where one name must stand for them, as in metrics.
pub const DOWNSTREAM: &str = "gochat.messages.downstream";

/// The name of a topic in metrics: instances come and go, and must not add a series each.
pub fn metric_label(topic: &str) -> &str {
    if topic.starts_with(DOWNSTREAM) {
        DOWNSTREAM
    } else {
        topic
    }
}

/// Topic of the records for one gateway (or for an im-logic instance that waits for acks).
pub fn downstream(gateway_id: &str) -> Arc<str> {
    format!("{DOWNSTREAM}.{gateway_id}").into()
}

/// Group of the one consumer of [`downstream`].
pub fn downstream_group(gateway_id: &str) -> Arc<str> {
    format!("gateway.downstream.group.{gateway_id}").into()
}

/// Where a group puts records that can never succeed.
pub fn dead_letters(group: &str) -> Arc<str> {
    format!("gochat.dlq.{group}").into()
}

/// Every topic but the ones per gateway. `partitions` is the number of [`UPSTREAM`] and [`PERSIST`].
///
/// [`UPSTREAM`] is visible on append: its only consumer acts through `transact`, so what it derives can't become
/// durable before the record it came from.
pub fn specs(partitions: u32) -> Vec<TopicSpec> {
    let day = Duration::from_secs(86_400);
    let mut specs = vec![
        TopicSpec::disk(UPSTREAM, partitions)
            .visible_on(VisibleOn::Append)
            .consumed_by(LOGIC_UPSTREAM_GROUP),
        TopicSpec::disk(PERSIST, partitions).consumed_by(TASK_PERSIST_GROUP),
        TopicSpec::disk(FANOUT, 3).consumed_by(TASK_FANOUT_GROUP),
        TopicSpec::memory(TOKEN_EVENTS, 1),
    ];
    let events = EVENT_TOPICS.map(|topic| TopicSpec::disk(topic, 3).consumed_by(TASK_EVENTS_GROUP));
    specs.extend(events);
    let groups = [
        LOGIC_UPSTREAM_GROUP,
        TASK_PERSIST_GROUP,
        TASK_FANOUT_GROUP,
        TASK_EVENTS_GROUP,
    ];
    specs.extend(groups.map(|g| TopicSpec::disk(dead_letters(g), 1).retention(30 * day)));
    specs
}

/// The topic of one gateway: in memory, because a socket that is gone repairs itself by history.
pub fn downstream_spec(gateway_id: &str) -> TopicSpec {
    TopicSpec::memory(downstream(gateway_id), 1).max_partition_bytes(64 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn persist_answers_upstream_partition_by_partition() {
        let specs = specs(7);
        let partitions = |name| {
            specs
                .iter()
                .find(|s| &*s.name == name)
                .map(|s| s.partitions)
        };
        assert_eq!(partitions(UPSTREAM), Some(7));
        assert_eq!(partitions(PERSIST), partitions(UPSTREAM));
    }
}
