//! The log on a real Kafka: the contract suite, and what only a cluster has to prove.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are test code")]

mod kafka_log;

mod contract {
    use super::kafka_log::Reconnected;
    use gochat_infra::testsuite::mq::Restart;

    async fn make() -> Box<dyn Restart> {
        Box::new(Reconnected::new().await)
    }

    gochat_infra::mq_suite!(make());
}
