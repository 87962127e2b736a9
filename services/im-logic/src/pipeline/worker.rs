//! One worker: a member of the group, and the loop around its machines.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gochat_core::error::Error;
use gochat_infra::port::mq::{
    self, Batch, Consumer, ConsumerConfig, Mq, MqError, MqErrorKind, MqResult, Poll,
};
use gochat_infra::rpc::Backoff;
use gochat_infra::telemetry;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::lag::Lag;
use super::stats::Stats;
use super::world::World;
use super::{PipelineConfig, PipelinePorts};

/// Longest wait of an idle poll.
const IDLE: Duration = Duration::from_millis(500);
/// How often the machines learn how far the database is.
const SWEEP: Duration = Duration::from_secs(1);

/// After so many failures in a row the group is joined anew.
const REJOIN_AFTER: u32 = 5;

/// Why a batch didn't go through.
enum Failure {
    /// Nothing was written: the same records are taken again.
    Hold(Error),
    /// The write failed and may have worked all the same: the log knows where to go on.
    Write(MqError),
}

impl Failure {
    /// Whether another consumer may get over what this one can't.
    fn is_of_the_consumer(&self) -> bool {
        matches!(self, Self::Write(error) if !error.is_retryable())
    }
}

/// What a poll brought.
enum Brought {
    Nothing,
    Records,
}

pub(super) struct Worker {
    log: Arc<dyn Mq>,
    join: ConsumerConfig,
    consumer: Box<dyn Consumer>,
    context: Context,
    lag: Lag,
    world: World,
    /// The consumer's position is not known: it must not be used any more.
    broken: bool,
    /// Failures in a row that the same consumer may never get over.
    failures: u32,
}

impl Worker {
    /// Joins the group; waits for a log that is away. `None` when `stop` came first.
    ///
    /// # Errors
    /// What only a new start can mend.
    pub(super) async fn join(
        config: &PipelineConfig,
        ports: &PipelinePorts,
        join: ConsumerConfig,
        stop: &CancellationToken,
    ) -> MqResult<Option<Self>> {
        let mut backoff = Backoff::default();
        loop {
            let error = match ports.mq.consumer(join.clone()).await {
                Ok(consumer) => {
                    return Ok(Some(Self {
                        log: Arc::clone(&ports.mq),
                        join,
                        consumer,
                        context: Context::new(config, ports),
                        lag: Lag::new(Arc::clone(&ports.mq)),
                        world: World::default(),
                        broken: false,
                        failures: 0,
                    }));
                }
                Err(error) if error.kind.is_final() => return Err(error),
                Err(error) => error,
            };
            let delay = backoff.next_delay();
            tracing::warn!(%error, "the sequencers' group can't be joined yet");
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// Works until `stop`, or until an error that only a new start can mend.
    pub(super) async fn run(mut self, stop: CancellationToken) -> MqResult<()> {
        let mut backoff = Backoff::default();
        let (mut paused_until, mut swept_at) = (Instant::now(), Instant::now());
        loop {
            // A paused worker keeps polling, for nothing: that is how it stays in the group.
            let pause = paused_until.saturating_duration_since(Instant::now());
            let (max, wait) = if pause.is_zero() {
                (self.context.config.batch_max, IDLE)
            } else {
                (0, pause)
            };
            // A broken consumer hands nothing out until it is replaced.
            let max = if self.broken { 0 } else { max };
            let polled = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                polled = self.consumer.poll(max, wait) => polled,
            };
            let outcome = match polled {
                Ok(poll) => self.handle(&poll).await,
                Err(error) => Err(Failure::Write(error)),
            };
            match outcome {
                Ok(Brought::Nothing) => {}
                Ok(Brought::Records) => {
                    backoff.reset();
                    self.failures = 0;
                }
                Err(failure) => {
                    let delay = backoff.next_delay();
                    self.failures += u32::from(failure.is_of_the_consumer());
                    note(failure, delay)?;
                    paused_until = Instant::now() + delay;
                }
            }
            if (self.broken || self.failures >= REJOIN_AFTER)
                && let Err(error) = self.rejoin().await
            {
                tracing::warn!(%error, "the group can't be joined again yet");
            }
            if swept_at.elapsed() >= SWEEP {
                swept_at = Instant::now();
                self.context.sweep().await;
                self.lag.measure();
                self.world.publish();
            }
        }
        self.consumer.close().await
    }

    async fn handle(&mut self, poll: &Poll) -> Result<Brought, Failure> {
        self.lag.follow(poll);
        let assigned = poll.assigned.iter().map(|progress| &progress.tp);
        for changed in poll.revoked.iter().chain(assigned) {
            self.context.disown(changed.partition);
        }
        let batches: Vec<&Batch> = poll
            .batches
            .iter()
            .filter(|b| !b.records.is_empty())
            .collect();
        if batches.is_empty() {
            return Ok(Brought::Nothing);
        }
        self.context.follow_settings();
        match self.step(&batches).await {
            Ok(()) => Ok(Brought::Records),
            Err(Failure::Hold(error)) => {
                self.take_again(&batches);
                Err(Failure::Hold(error))
            }
            Err(failure) => {
                // What the machines assigned may stand or not: they start from the log.
                batches
                    .iter()
                    .for_each(|batch| self.context.disown(batch.tp.partition));
                Err(failure)
            }
        }
    }

    /// One atomic step over all batches.
    async fn step(&mut self, batches: &[&Batch]) -> Result<(), Failure> {
        // Where the spans of traced messages begin.
        let came_at = SystemTime::now();
        for batch in batches {
            self.context
                .own(batch.tp.partition)
                .await
                .map_err(Failure::Hold)?;
        }
        let mut stats = Stats::default();
        stats.consumed(batches.iter().map(|batch| batch.records.len()).sum());
        let hold = |error: MqError| Failure::Hold(error.into());
        let mut decoded = self.context.decode(batches, came_at).map_err(hold)?;
        let traced = decoded.iter().find_map(|part| part.spans.first());
        telemetry::within(traced, self.context.look_up(&mut decoded))
            .await
            .map_err(Failure::Hold)?;
        let outputs = self
            .context
            .decide(&mut decoded, &mut stats)
            .map_err(Failure::Hold)?;
        let offsets = batches
            .iter()
            .filter_map(|batch| batch.progress())
            .collect();
        self.consumer
            .transact(outputs, offsets)
            .await
            .map_err(Failure::Write)?;
        decoded.into_iter().for_each(|part| part.spans.end());
        batches
            .iter()
            .for_each(|batch| self.context.committed(batch.tp.partition));
        self.world.note(stats.world_authors());
        stats.publish();
        Ok(())
    }

    /// Nothing was written: the machines forget the batch, and the log hands it out again.
    fn take_again(&mut self, batches: &[&Batch]) {
        for batch in batches {
            self.context.aborted(batch.tp.partition);
        }
        // A partition that was lost meanwhile is reported by the next poll.
        if let Err(error) = mq::rewind(&mut *self.consumer, batches.iter().copied()) {
            tracing::warn!(%error, "a batch can't be taken again by this consumer");
            self.broken = true;
        }
    }

    /// Leaves the group and joins it again: everything is read from the committed offsets then.
    async fn rejoin(&mut self) -> MqResult<()> {
        let fresh = self.log.consumer(self.join.clone()).await?;
        let old = std::mem::replace(&mut self.consumer, fresh);
        self.context.disown_all();
        self.lag = Lag::new(Arc::clone(&self.log));
        (self.broken, self.failures) = (false, 0);
        metrics::counter!("gochat_logic_rejoins_total").increment(1);
        if let Err(error) = old.close().await {
            tracing::debug!(%error, "the old consumer was dropped");
        }
        Ok(())
    }
}

/// Whether to go on after a failure.
fn note(failure: Failure, delay: Duration) -> MqResult<()> {
    let delay_ms = delay.as_millis() as u64;
    metrics::counter!("gochat_logic_steps_failed_total").increment(1);
    match failure {
        Failure::Hold(error) => {
            tracing::warn!(%error, delay_ms, "upstream records are held back");
        }
        Failure::Write(error) => match error.kind {
            kind if kind.is_final() => return Err(error),
            MqErrorKind::Fenced => tracing::info!(%error, "a partition went to another owner"),
            _ => tracing::warn!(%error, delay_ms, "a step failed and is taken again"),
        },
    }
    Ok(())
}
