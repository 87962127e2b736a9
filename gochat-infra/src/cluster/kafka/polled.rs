//! A producer and the thread that takes its delivery reports.
//!
//! The binding's `ThreadedProducer` does the same, but looks every 100 ms whether it should stop, and each look ends in
//! a busy wait of up to a millisecond (timeouts are cut to whole milliseconds): half a percent of a core for every idle
//! producer.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, NoCustomPartitioner, ProducerContext};

use super::error::from_kafka;
use crate::port::mq::{MqError, MqErrorKind, MqResult};

/// How long one look for reports may take. A report is taken at once; this is how late the end is noticed.
const LOOK: Duration = Duration::from_secs(1);

/// See the [module](self). The client ends on its thread, within a second after this is dropped: ending may block.
pub(super) struct Polled<C: ProducerContext<NoCustomPartitioner> + 'static>(Arc<BaseProducer<C>>);

impl<C: ProducerContext<NoCustomPartitioner> + 'static> Polled<C> {
    pub(super) fn new(config: &ClientConfig, context: C) -> MqResult<Self> {
        let failed = |error: KafkaError| from_kafka("a producer", &error);
        let producer = BaseProducer::from_config_and_context(config, context).map_err(failed)?;
        let producer = Arc::new(producer);
        let polled = producer.clone();
        let run = move || {
            // The other one is the handle's.
            while Arc::strong_count(&polled) > 1 {
                polled.poll(LOOK);
            }
        };
        std::thread::Builder::new()
            .name("kafka-reports".into())
            .spawn(run)
            .map_err(|error| {
                MqError::new(MqErrorKind::Unavailable, format!("no thread: {error}"))
            })?;
        Ok(Self(producer))
    }
}

impl<C: ProducerContext<NoCustomPartitioner> + 'static> Deref for Polled<C> {
    type Target = BaseProducer<C>;

    fn deref(&self) -> &BaseProducer<C> {
        &self.0
    }
}
