//! The embedded log: the contract suite, and what only a journal on disk has to prove.

#![allow(clippy::unwrap_used, reason = "helpers of tests are test code")]

mod mq_log;

mod contract {
    use super::mq_log::CrashedLog;
    use gochat_infra::testsuite::mq::Restart;

    async fn make() -> Box<dyn Restart> {
        Box::new(CrashedLog::new())
    }

    gochat_infra::mq_suite!(make());

    mod from_disk {
        use super::super::mq_log::CrashedLog;
        use gochat_infra::testsuite::mq::Restart;

        /// Nothing stays in memory and segments are tiny: every read comes back from files.
        async fn make() -> Box<dyn Restart> {
            Box::new(CrashedLog::with(|config| {
                config.cache_bytes = 0;
                config.segment_bytes = 1_000;
            }))
        }

        gochat_infra::mq_suite!(make());
    }
}
