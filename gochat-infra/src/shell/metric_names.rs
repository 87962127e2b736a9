//! What every metric counts and in which unit: the `# HELP` lines of `/metrics`.
//!
//! Metrics of im-gateway are described in im-gateway. A test (`services/gochat/tests/docs`) fails
//! for a metric that is described nowhere.

/// How a metric behaves.
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

use Kind::{Counter, Gauge, Histogram};

/// Kind, name, and a sentence with the unit.
const METRICS: &[(Kind, &str, &str)] = &[
    (
        Counter,
        "gochat_repo_pages_cut_total",
        "Pages that ended at their size in bytes before their count.",
    ),
    (
        Gauge,
        "breaker_state",
        "State of a circuit breaker: 0 closed, 1 half open, 2 open.",
    ),
    (
        Counter,
        "breaker_calls_total",
        "Calls through circuit breakers, by outcome.",
    ),
    (
        Counter,
        "gochat_repo_row_waits_total",
        "Reads that waited for a row on its way, by outcome.",
    ),
    (
        Histogram,
        "gochat_repo_row_wait_seconds",
        "Seconds that a read waited for a row on its way.",
    ),
    (
        Counter,
        "gochat_repo_row_waits_refused_total",
        "Reads answered as behind at once because too many waited.",
    ),
    (
        Counter,
        "gochat_proofs_refused_total",
        "Guests refused because their proof of work was missing, wrong or used.",
    ),
    (
        Counter,
        "gochat_proofs_bridged_total",
        "Proofs of work remembered by one instance alone because the shared state was away.",
    ),
    (
        Counter,
        "gochat_password_guesses_refused_total",
        "Sign-ins refused because an account had too many wrong passwords.",
    ),
    (
        Counter,
        "gochat_budgets_refused_total",
        "Commands refused by a budget of cost, by budget.",
    ),
    (
        Counter,
        "gochat_budgets_bridged_total",
        "Commands judged by one instance alone because the shared budgets were away.",
    ),
    (
        Counter,
        "gochat_auth_refresh_reuse_total",
        "Old refresh tokens that were presented; each ended its session.",
    ),
    (
        Counter,
        "grpc_server_handled_total",
        "Answered gRPC calls by service, method and code.",
    ),
    (
        Histogram,
        "grpc_server_handling_seconds",
        "Seconds until a gRPC call was answered.",
    ),
    (
        Counter,
        "grpc_client_handled_total",
        "gRPC calls made to other services by service, method and code.",
    ),
    (
        Histogram,
        "grpc_client_handling_seconds",
        "Seconds until a gRPC call to another service was answered.",
    ),
    (
        Counter,
        "gochat_message_send_total",
        "Messages accepted; by kind of conversation where they are sequenced.",
    ),
    (
        Counter,
        "gochat_message_send_failures_total",
        "Messages refused, by error code.",
    ),
    (
        Counter,
        "gochat_message_replays_total",
        "Repeated messages that were answered with their first ids.",
    ),
    (
        Histogram,
        "gochat_conversation_load_duration_seconds",
        "Seconds to load the facts of a conversation that the sequencer did not hold.",
    ),
    (
        Histogram,
        "gochat_fanout_latency_seconds",
        "Seconds from the sequencing of a message to the sockets of a gateway.",
    ),
    (
        Counter,
        "gochat_logic_rpc_total",
        "Calls answered by im-logic, by method and code.",
    ),
    (
        Histogram,
        "gochat_logic_rpc_seconds",
        "Seconds until im-logic answered a call.",
    ),
    (
        Counter,
        "gochat_logic_steps_failed_total",
        "Steps of the sequencer that were taken again.",
    ),
    (
        Counter,
        "gochat_logic_rejoins_total",
        "Consumers that the sequencer built anew.",
    ),
    (
        Counter,
        "gochat_logic_presence_unknown_total",
        "Batches pushed to every gateway because presence was unknown.",
    ),
    (
        Counter,
        "gochat_logic_events_lost_total",
        "Events that could not be published.",
    ),
    (
        Counter,
        "gochat_logic_send_timeouts_total",
        "Sends over gRPC that were not answered in time.",
    ),
    (
        Counter,
        "gochat_logic_late_acks_total",
        "Answers to sends that came after the time was up.",
    ),
    (
        Counter,
        "gochat_logic_system_messages_total",
        "System messages of groups, by what became of them.",
    ),
    (
        Counter,
        "gochat_messages_persisted_total",
        "Message rows written by im-task.",
    ),
    (
        Gauge,
        "gochat_id_clock_drift_seconds",
        "Seconds that ids are ahead of the clock; below 0 they are behind.",
    ),
    (
        Counter,
        "gochat_id_lease_failures_total",
        "Leases of time for ids that could not be renewed.",
    ),
    (
        Gauge,
        "gochat_partition_stopped",
        "1 while a partition waits because an acknowledged message can't be saved, else 0.",
    ),
    (
        Counter,
        "gochat_signals_total",
        "Signals pushed, by kind and result.",
    ),
    (
        Counter,
        "gochat_downstream_dropped_total",
        "Frames that could not be delivered, by reason.",
    ),
    (
        Counter,
        "gochat_dlq_total",
        "Records moved to the dead letters, by topic.",
    ),
    (
        Counter,
        "gochat_audit_records_total",
        "Audit records written.",
    ),
    (
        Counter,
        "gochat_audit_dropped_total",
        "Audit records that were not written, by reason.",
    ),
    (
        Counter,
        "gochat_auth_refresh_reuse_total",
        "Old refresh tokens that were presented; each ended its session.",
    ),
    (
        Counter,
        "gochat_auth_requests_total",
        "Sign-ins, registrations and guests, by type.",
    ),
    (
        Counter,
        "gochat_auth_failures_total",
        "Refused sign-ins and registrations, by reason.",
    ),
    (
        Counter,
        "gochat_sync_requests_total",
        "Conversations, messages and friends fetched, by type of request.",
    ),
    (
        Histogram,
        "gochat_sync_duration_seconds",
        "Seconds to fetch conversations, messages or friends.",
    ),
    (
        Counter,
        "gochat_cache_operations_total",
        "Cache look-ups and evictions, by operation.",
    ),
    (
        Gauge,
        "gochat_cache_hit_ratio",
        "Share of hits among the newest cache look-ups, 0 to 1.",
    ),
    (
        Counter,
        "gochat_cache_late_fills_total",
        "Values that came too late to be cached.",
    ),
    (
        Gauge,
        "gochat_cache_deletions_owed",
        "Keys whose copies the cache could not delete yet; they are not believed.",
    ),
    (
        Counter,
        "gochat_cache_deletions_dropped_total",
        "Keys that were not deleted from the cache because too many waited; their copies run out.",
    ),
    (
        Counter,
        "gochat_kafka_messages_total",
        "Records produced and consumed, by topic, direction and result.",
    ),
    (
        Gauge,
        "gochat_kafka_consumer_lag",
        "Records that a consumer group has not passed, by topic and group.",
    ),
    (
        Histogram,
        "gochat_kafka_transaction_seconds",
        "Seconds of a Kafka transaction, by result.",
    ),
    (
        Counter,
        "gochat_kafka_connection_changes_total",
        "Connections to Kafka lost and found again.",
    ),
    (
        Counter,
        "gochat_kafka_consumer_rebuilds_total",
        "Kafka consumers that were made anew.",
    ),
    (
        Counter,
        "gochat_kafka_producer_rebuilds_total",
        "Kafka producers that were made anew.",
    ),
    (
        Histogram,
        "gochat_db_commit_seconds",
        "Seconds of a commit of the embedded database.",
    ),
    (
        Counter,
        "gochat_db_written_rows_total",
        "Rows written to the database.",
    ),
    (
        Histogram,
        "gochat_db_acquire_seconds",
        "Seconds of waiting for a database connection.",
    ),
    (
        Counter,
        "gochat_db_pool_exhausted_total",
        "Waits for a database connection that were given up.",
    ),
    (
        Counter,
        "gochat_db_repeats_total",
        "Database transactions that were run again, by reason.",
    ),
    (
        Counter,
        "gochat_db_timeouts_total",
        "Database statements without an answer in time.",
    ),
    (
        Counter,
        "gochat_db_replica_reads_total",
        "Reads answered by replicas of the database.",
    ),
    (
        Gauge,
        "gochat_db_replica_lag_seconds",
        "Seconds that a replica of the database is behind.",
    ),
    (
        Counter,
        "gochat_db_message_conflicts_total",
        "Messages whose place in the conversation or id another message holds.",
    ),
    (Gauge, "gochat_redis_up", "1 while Redis answers, else 0."),
    (
        Counter,
        "gochat_redis_connections_total",
        "Connections made to Redis.",
    ),
    (
        Counter,
        "gochat_redis_calls_total",
        "Calls to Redis, by operation and outcome.",
    ),
    (
        Histogram,
        "gochat_redis_call_duration_seconds",
        "Seconds of a call to Redis, by operation.",
    ),
    (
        Counter,
        "gochat_presence_retries_total",
        "Registrations of presence that were repeated after a conflict.",
    ),
    (
        Counter,
        "gochat_ratelimit_bridged_total",
        "Requests judged without the rate limits that instances share.",
    ),
    (
        Counter,
        "gochat_budgets_refused_total",
        "Acts refused because a budget was used up, by budget.",
    ),
    (
        Counter,
        "gochat_password_guesses_refused_total",
        "Passwords not compared because too many wrong ones came before.",
    ),
    (
        Counter,
        "gochat_budgets_bridged_total",
        "Acts judged by an im-logic alone because im-repo gave no answer.",
    ),
    (
        Gauge,
        "gochat_memory_bytes",
        "Bytes that a part keeps in memory for speed.",
    ),
    (
        Gauge,
        "gochat_memory_limit_bytes",
        "Maximum number of bytes that a part keeps in memory for speed.",
    ),
    (
        Gauge,
        "gochat_log_disk_bytes",
        "Bytes of the embedded log on disk.",
    ),
    (
        Counter,
        "gochat_log_segments_dropped_total",
        "Segments of the embedded log that were removed by retention.",
    ),
    (
        Counter,
        "gochat_log_consumers_expired_total",
        "Consumers of the embedded log that were silent too long.",
    ),
    (
        Counter,
        "gochat_log_skipped_records_total",
        "Records that a consumer group missed through retention.",
    ),
    (
        Gauge,
        "gochat_log_poisoned",
        "1 when the journal of the embedded log could not be written, else 0.",
    ),
    (
        Counter,
        "gochat_log_syncs_total",
        "Syncs of commits of the embedded log.",
    ),
    (
        Counter,
        "gochat_log_full_total",
        "Writes to the embedded log that were refused because the disk has no room.",
    ),
    (
        Gauge,
        "gochat_disk_free_bytes",
        "Bytes that are free on the file system of the data folder.",
    ),
    (
        Gauge,
        "gochat_disk_low",
        "1 while new data is refused because the disk is full, else 0.",
    ),
    (
        Gauge,
        "world_chat_message_rate",
        "Messages per second in the world chat.",
    ),
    (
        Gauge,
        "world_chat_active_users",
        "Users who wrote to the world chat in the last five minutes.",
    ),
    (
        Histogram,
        "world_chat_fanout_latency",
        "Seconds from the sequencing of a world message to the sockets of a gateway.",
    ),
    (
        Counter,
        "gochat_trace_spans_total",
        "Spans of traces, by result of their export.",
    ),
];

/// Describes every metric of the table to the installed recorder.
pub(super) fn describe() {
    for (kind, name, help) in METRICS {
        match kind {
            Counter => metrics::describe_counter!(*name, *help),
            Gauge => metrics::describe_gauge!(*name, *help),
            Histogram => metrics::describe_histogram!(*name, *help),
        }
    }
}
