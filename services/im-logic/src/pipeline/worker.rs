//! One worker: a member of the group, and the loop around its machines.

use std::time::Duration;

use gochat_core::error::Error;
use gochat_infra::port::mq::{Batch, Consumer, MqError, MqErrorKind, MqResult, Poll, Progress};
use gochat_infra::rpc::Backoff;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::lag::Lag;
use super::stats::Stats;
use super::{PipelineConfig, PipelinePorts};

/// Longest wait of an idle poll.
const IDLE: Duration = Duration::from_millis(500);
/// How often the machines learn how far the database is.
const SWEEP: Duration = Duration::from_secs(1);

/// Why a batch didn't go through.
enum Failure {
    /// Nothing was written: the same records are taken again.
    Hold(Error),
    /// The write failed and may have worked all the same: the log knows where to go on.
    Write(MqError),
}

/// What a poll brought.
enum Brought {
    Nothing,
    Records,
}

pub(super) struct Worker {
    consumer: Box<dyn Consumer>,
    context: Context,
    lag: Lag,
}

impl Worker {
    pub(super) fn new(
        config: &PipelineConfig,
        ports: &PipelinePorts,
        consumer: Box<dyn Consumer>,
    ) -> Self {
        Self {
            consumer,
            context: Context::new(config, ports),
            lag: Lag::new(ports.mq.clone()),
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
                Ok(Brought::Records) => backoff.reset(),
                Err(failure) => {
                    let delay = backoff.next_delay();
                    note(failure, delay)?;
                    paused_until = Instant::now() + delay;
                }
            }
            if swept_at.elapsed() >= SWEEP {
                swept_at = Instant::now();
                self.context.sweep().await;
                self.lag.measure();
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
        for batch in batches {
            self.context
                .own(batch.tp.partition)
                .await
                .map_err(Failure::Hold)?;
        }
        let mut stats = Stats::default();
        stats.consumed(batches.iter().map(|batch| batch.records.len()).sum());
        let mut decoded = self.context.decode(batches).map_err(Failure::Write)?;
        self.context
            .look_up(&mut decoded)
            .await
            .map_err(Failure::Hold)?;
        let outputs = self
            .context
            .decide(&decoded, &mut stats)
            .map_err(Failure::Hold)?;
        let offsets = batches
            .iter()
            .filter_map(|batch| batch.progress())
            .collect();
        self.consumer
            .transact(outputs, offsets)
            .await
            .map_err(Failure::Write)?;
        batches
            .iter()
            .for_each(|batch| self.context.committed(batch.tp.partition));
        stats.publish();
        Ok(())
    }

    /// Nothing was written: the machines forget the batch, and the log hands it out again.
    fn take_again(&mut self, batches: &[&Batch]) {
        let mut positions = Vec::with_capacity(batches.len());
        for batch in batches {
            self.context.aborted(batch.tp.partition);
            let first = batch.records.first().map(|record| record.offset);
            positions.extend(first.map(|offset| Progress {
                tp: batch.tp.clone(),
                offset,
            }));
        }
        // A partition that was lost meanwhile is reported by the next poll.
        if let Err(error) = self.consumer.seek(&positions) {
            tracing::info!(%error, "a batch can't be taken again here");
        }
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
            MqErrorKind::Closed
            | MqErrorKind::Poisoned
            | MqErrorKind::Corrupt
            | MqErrorKind::Locked => return Err(error),
            MqErrorKind::Fenced => tracing::info!(%error, "a partition went to another owner"),
            _ => tracing::warn!(%error, delay_ms, "a step failed and is taken again"),
        },
    }
    Ok(())
}
