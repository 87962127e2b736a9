//! Metrics of what a client reads to be up to date: conversations, messages, friends.

use std::time::Duration;

/// What an RPC synchronises; most of them change something instead.
fn kind(rpc: &str) -> Option<&'static str> {
    match rpc {
        "get_conversations" | "get_conversations_optimized" => Some("conversations"),
        "get_messages" => Some("messages"),
        "get_friends" | "get_friends_with_sync" => Some("friends"),
        _ => None,
    }
}

/// Counts and times an RPC if it synchronises something.
pub(super) fn measured(rpc: &str, took: Duration) {
    let Some(kind) = kind(rpc) else { return };
    metrics::counter!("gochat_sync_requests_total", "type" => kind).increment(1);
    metrics::histogram!("gochat_sync_duration_seconds", "type" => kind).record(took);
    if kind == "conversations" {
        metrics::histogram!("gochat_conversation_load_duration_seconds").record(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reads_that_bring_a_client_up_to_date_count() {
        assert_eq!(kind("get_conversations_optimized"), Some("conversations"));
        assert_eq!(kind("get_messages"), Some("messages"));
        assert_eq!(kind("get_friends_with_sync"), Some("friends"));
        assert_eq!(kind("send_message"), None);
    }
}
