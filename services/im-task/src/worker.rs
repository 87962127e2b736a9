//! The consumer loop all parts share: take, work until it is done, commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gochat_core::error::Result;
use gochat_infra::port::mq::{
    self, Batch, Consumer, ConsumerConfig, Mq, MqError, MqErrorKind, MqResult, OutRecord, Poll,
    Progress, TopicPartition,
};
use gochat_infra::rpc::Backoff;
use tokio_util::sync::CancellationToken;

use crate::demand::Listener;
use crate::metrics;
use crate::stopped::{self, Refused, StoppedPartitions};

/// How long a poll waits when there is nothing to do.
const IDLE: Duration = Duration::from_millis(500);
/// After so many failures in a row the group is joined anew.
const REJOIN_AFTER: u32 = 5;
/// How often the lag is measured.
const LAG_EVERY: Duration = Duration::from_secs(5);

/// Work on records.
#[async_trait]
pub(crate) trait Handler: Send {
    /// Finishes the work of these records and returns what has to be written together with their offsets.
    ///
    /// # Errors
    /// Nothing is committed; the same records come again after a pause. Records that can never
    /// succeed must not end in an error: they are [`Done::refused`] when an acknowledgement may
    /// hang on them, else dead letters among the outputs.
    async fn handle(&mut self, batches: &[Batch]) -> Result<Done>;

    /// Called when nothing came for a while. What it returns is written without offsets.
    async fn idle(&mut self) -> Vec<OutRecord> {
        Vec::new()
    }

    /// What was returned last is written.
    fn committed(&mut self) {}

    /// What was returned last may be written or not; records of the last batch come again unless it is.
    fn aborted(&mut self) {}
}

/// What became of some records.
#[derive(Default)]
pub(crate) struct Done {
    /// Records to be written in one step with the offsets.
    pub(crate) outputs: Vec<OutRecord>,
    /// Records that must not be passed: their partitions stop in front of them.
    pub(crate) refused: Vec<Refused>,
}

impl From<Vec<OutRecord>> for Done {
    fn from(outputs: Vec<OutRecord>) -> Self {
        let refused = Vec::new();
        Self { outputs, refused }
    }
}

/// What a worker consumes.
pub(crate) struct Plan {
    /// Group to join; also its label in metrics.
    pub(crate) group: &'static str,
    pub(crate) topics: Vec<&'static str>,
    /// Unique among live workers.
    pub(crate) transactional: String,
    /// Records per step.
    pub(crate) max: usize,
    /// Time every batch that isn't full waits for more records.
    pub(crate) linger: Duration,
    /// Minimum time between the beginnings of two batches, the linger aside. A batch after a longer
    /// rest begins at once, and so does a batch that a reader waits for.
    pub(crate) pace: Duration,
    /// Tells of readers that wait; `None`: the pace is kept in any case.
    pub(crate) demand: Option<Listener>,
    pub(crate) backoff: Backoff,
    /// Pauses between attempts at a record that was refused.
    pub(crate) refused_backoff: Backoff,
}

impl Plan {
    /// How long a batch that isn't full waits, when the batch before it began so long ago.
    fn wait(&self, rested: Option<Duration>) -> Duration {
        let owed = rested.map(|rested| self.pace.saturating_sub(rested));
        self.linger.max(owed.unwrap_or_default())
    }

    /// Waits that long: the linger in any case, the rest until a reader waits.
    async fn rest(&mut self, wait: Duration) {
        if !self.linger.is_zero() {
            tokio::time::sleep(self.linger).await;
        }
        let owed = wait.saturating_sub(self.linger);
        match &mut self.demand {
            _ if owed.is_zero() => {}
            Some(demand) => {
                let _demanded_or_time = tokio::time::timeout(owed, demand.demanded()).await;
            }
            None => tokio::time::sleep(owed).await,
        }
    }
}

/// One member of a consumer group.
pub(crate) struct Worker<H> {
    mq: Arc<dyn Mq>,
    join: ConsumerConfig,
    /// The consumer's position is not known: it must be replaced.
    broken: bool,
    /// Failures in a row that this consumer may never get over.
    failures: u32,
    consumer: Box<dyn Consumer>,
    plan: Plan,
    handler: H,
    /// When the last batch began; `None` before the first one.
    began: Option<tokio::time::Instant>,
    owned: Vec<TopicPartition>,
    stopped: StoppedPartitions,
    /// Workers that can't go on right now; shared with readiness.
    stalled: Arc<AtomicUsize>,
    lag_measured: Instant,
}

impl<H: Handler> Worker<H> {
    /// Joins the group.
    pub(crate) async fn join(
        mq: Arc<dyn Mq>,
        plan: Plan,
        handler: H,
        stalled: Arc<AtomicUsize>,
    ) -> MqResult<Self> {
        let config = ConsumerConfig::group(plan.group, plan.topics.iter().copied())
            .transactional(plan.transactional.clone())
            .max_poll_interval(Duration::from_secs(60));
        let consumer = mq.consumer(config.clone()).await?;
        let lag_measured = Instant::now();
        let stopped = StoppedPartitions::new(plan.group, plan.refused_backoff.clone());
        Ok(Self {
            mq,
            join: config,
            broken: false,
            failures: 0,
            consumer,
            plan,
            handler,
            began: None,
            owned: Vec::new(),
            stopped,
            stalled,
            lag_measured,
        })
    }

    /// Works until `shutdown`; the batch in hand is finished or left uncommitted.
    ///
    /// # Errors
    /// When only a new start of the process can help.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> MqResult<()> {
        let mut backoff = self.plan.backoff.clone();
        while !shutdown.is_cancelled() {
            let step = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                polled = self.take() => polled,
            };
            let outcome = match step {
                Ok(polled) => self.step(polled, &shutdown).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => {
                    backoff.reset();
                    self.failures = 0;
                }
                Err(error) if error.kind.is_final() => return Err(error),
                Err(error) => {
                    self.failures += u32::from(!error.is_retryable());
                    tracing::warn!(%error, group = self.plan.group, "the log refused; trying again");
                    self.pause(backoff.next_delay(), &shutdown).await;
                }
            }
            if self.broken || self.failures >= REJOIN_AFTER {
                self.rejoin(&shutdown, &mut backoff).await?;
            }
        }
        self.consumer.close().await
    }

    /// Leaves the group and joins it again: everything is read from the committed offsets then.
    async fn rejoin(
        &mut self,
        shutdown: &CancellationToken,
        backoff: &mut Backoff,
    ) -> MqResult<()> {
        while !shutdown.is_cancelled() {
            match self.mq.consumer(self.join.clone()).await {
                Ok(consumer) => {
                    let old = std::mem::replace(&mut self.consumer, consumer);
                    self.owned.clear();
                    self.stopped.clear();
                    (self.broken, self.failures) = (false, 0);
                    if let Err(error) = old.close().await {
                        tracing::debug!(%error, "the old consumer was dropped");
                    }
                    return Ok(());
                }
                Err(error) if error.kind.is_final() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, group = self.plan.group, "the group can't be joined again yet");
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = tokio::time::sleep(backoff.next_delay()) => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Polls. A batch that isn't full waits for more records until its time has come.
    async fn take(&mut self) -> MqResult<Poll> {
        let mut polled = self.consumer.poll(self.plan.max, IDLE).await?;
        let missing = self.plan.max.saturating_sub(polled.len());
        let wait = self.plan.wait(self.began.map(|began| began.elapsed()));
        if !wait.is_zero() && missing > 0 && missing < self.plan.max {
            self.plan.rest(wait).await;
            // What is in hand is worked off first; the main loop meets the same error and decides.
            let Ok(more) = self.consumer.poll(missing, Duration::ZERO).await else {
                return Ok(polled);
            };
            polled
                .batches
                .retain(|batch| !more.revoked.contains(&batch.tp));
            polled.revoked.extend(more.revoked);
            polled.assigned.extend(more.assigned);
            for batch in more.batches {
                match polled.batches.iter_mut().find(|b| b.tp == batch.tp) {
                    Some(begun) => begun.records.extend(batch.records),
                    None => polled.batches.push(batch),
                }
            }
        }
        if !polled.batches.is_empty() {
            self.began = Some(tokio::time::Instant::now());
        }
        Ok(polled)
    }

    /// Works off what a poll brought, however often it takes.
    async fn step(&mut self, polled: Poll, shutdown: &CancellationToken) -> MqResult<()> {
        self.note(&polled);
        let mut batches = polled.batches;
        // They are read again once the partition goes on.
        batches.retain(|batch| !self.stopped.contains(&batch.tp));
        self.measure_lag(&batches).await;
        batches.extend(self.stopped.due(tokio::time::Instant::now()));
        if batches.is_empty() {
            let outputs = self.handler.idle().await;
            let sent = self.mq.producer().send(outputs).await.map(drop);
            match sent {
                Ok(()) => self.handler.committed(),
                Err(_) => self.handler.aborted(),
            }
            return sent;
        }
        let mut backoff = self.plan.backoff.clone();
        loop {
            match self.handler.handle(&batches).await {
                Ok(done) => {
                    let behind = self.stop_at(done.refused, &mut batches);
                    self.commit(done.outputs, &batches).await?;
                    return self.go_on(behind);
                }
                Err(error) => {
                    let records = batches.iter().map(|batch| batch.records.len()).sum();
                    metrics::consumed(&batches[0].tp.topic, "retry", records);
                    tracing::warn!(%error, group = self.plan.group, records, "work failed; trying again");
                }
            }
            let lost = self.pause(backoff.next_delay(), shutdown).await;
            batches.retain(|batch| !lost.contains(&batch.tp));
            if batches.is_empty() || shutdown.is_cancelled() {
                return Ok(());
            }
        }
    }

    /// Takes refused records, and those behind them, out of the batches. Returns where partitions
    /// go on that were stopped and are not any more.
    fn stop_at(&mut self, refused: Vec<Refused>, batches: &mut [Batch]) -> Vec<Progress> {
        let now = tokio::time::Instant::now();
        let mut going_on = Vec::new();
        for batch in batches {
            let refused = refused.iter().filter(|refused| refused.tp == batch.tp);
            match refused.min_by_key(|refused| refused.offset) {
                Some(Refused { offset, reason, .. }) => {
                    let rest = stopped::split_at(batch, *offset);
                    self.stopped.stop(rest, reason, now);
                }
                None if self.stopped.contains(&batch.tp) => going_on.extend(batch.progress()),
                None => {}
            }
        }
        going_on
    }

    /// Reads partitions on behind the records that had stopped them.
    fn go_on(&mut self, behind: Vec<Progress>) -> MqResult<()> {
        for place in behind {
            if self.stopped.release(&place.tp) {
                tracing::info!(tp = %place.tp, offset = place.offset, group = self.plan.group,
                    "the partition goes on");
                match self.consumer.seek(&[place]) {
                    Err(error) if error.kind != MqErrorKind::Fenced => {
                        self.broken = true;
                        return Err(error);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Makes the outputs and the progress one step; nothing to write makes it a plain commit.
    async fn commit(&mut self, outputs: Vec<OutRecord>, batches: &[Batch]) -> MqResult<()> {
        let offsets: Vec<Progress> = batches.iter().filter_map(Batch::progress).collect();
        let done = match (outputs.is_empty(), offsets.is_empty()) {
            (true, true) => Ok(()),
            (true, false) => self.consumer.commit(offsets).await,
            // All partitions at hand stand still.
            (false, true) => self.mq.producer().send(outputs).await.map(drop),
            (false, false) => self.consumer.transact(outputs, offsets).await,
        };
        for batch in batches {
            metrics::consumed(
                &batch.tp.topic,
                if done.is_ok() { "ok" } else { "retry" },
                batch.records.len(),
            );
        }
        match done {
            Ok(()) => self.handler.committed(),
            Err(_) => self.handler.aborted(),
        }
        match done {
            // Somebody else owns a partition now and does its work again; receivers drop repeats. The offsets of the
            // others are not committed either: go back to what is.
            Err(MqError {
                kind: MqErrorKind::Fenced,
                ..
            }) => self.rewind(batches),
            Err(error) => self.rewind(batches).and(Err(error)),
            Ok(()) => Ok(()),
        }
    }

    /// Reads these records once more, as far as their partitions are still ours.
    fn rewind(&mut self, batches: &[Batch]) -> MqResult<()> {
        // A partition that was stopped, and whose record is done but not committed, is read from
        // that record again.
        for batch in batches.iter().filter(|batch| !batch.records.is_empty()) {
            self.stopped.release(&batch.tp);
        }
        let outcome = mq::rewind(&mut *self.consumer, batches);
        self.broken |= outcome.is_err();
        outcome
    }

    /// Waits without leaving the group. Returns the partitions that were lost meanwhile.
    async fn pause(
        &mut self,
        delay: Duration,
        shutdown: &CancellationToken,
    ) -> Vec<TopicPartition> {
        self.stalled.fetch_add(1, Ordering::Relaxed);
        let end = tokio::time::Instant::now() + delay;
        let mut lost = Vec::new();
        loop {
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            if left.is_zero() {
                break;
            }
            let polled = tokio::select! {
                () = shutdown.cancelled() => break,
                polled = self.consumer.poll(0, left) => polled,
            };
            match polled {
                Ok(polled) => {
                    self.note(&polled);
                    lost.extend(polled.revoked);
                }
                // The main loop meets the same error and decides.
                Err(_) => tokio::time::sleep(left).await,
            }
        }
        self.stalled.fetch_sub(1, Ordering::Relaxed);
        lost
    }

    fn note(&mut self, polled: &Poll) {
        self.owned.retain(|tp| !polled.revoked.contains(tp));
        for tp in &polled.revoked {
            self.stopped.release(tp);
            metrics::lag(self.plan.group, tp, 0);
        }
        self.owned
            .extend(polled.assigned.iter().map(|progress| progress.tp.clone()));
        for batch in &polled.batches {
            metrics::dropped(
                "skipped",
                usize::try_from(batch.skipped).unwrap_or(usize::MAX),
            );
        }
    }

    async fn measure_lag(&mut self, batches: &[Batch]) {
        if self.lag_measured.elapsed() < LAG_EVERY {
            return;
        }
        self.lag_measured = Instant::now();
        for tp in &self.owned {
            let in_hand = batches
                .iter()
                .find(|batch| batch.tp == *tp)
                .map_or(0, |b| b.records.len());
            let committed = self.mq.committed(self.plan.group, tp).await.ok().flatten();
            if let (Ok(end), Some(committed)) = (self.mq.end_offset(tp).await, committed) {
                let mut behind = end.saturating_sub(committed).saturating_sub(in_hand as u64);
                // The end may lie beyond the last record.
                if behind > 0
                    && let Ok(next) = self.mq.read(tp, committed + in_hand as u64, 1).await
                    && next.is_empty()
                {
                    behind = 0;
                }
                metrics::lag(self.plan.group, tp, behind);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::Demand;

    fn plan(pace: u64, linger: u64) -> Plan {
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
        Plan {
            group: "test",
            topics: Vec::new(),
            transactional: String::new(),
            max: 10,
            linger: Duration::from_millis(linger),
            pace: Duration::from_millis(pace),
            demand: None,
            backoff: backoff.clone(),
            refused_backoff: backoff,
        }
    }

    #[test]
    fn a_batch_after_a_rest_is_worked_off_at_once_and_a_quick_one_waits_for_its_turn() {
        let ms = Duration::from_millis;
        let paced = plan(3, 0);
        assert_eq!(paced.wait(None), ms(0));
        assert_eq!(paced.wait(Some(ms(1))), ms(2));
        assert_eq!(paced.wait(Some(ms(3))), ms(0));
        assert_eq!(paced.wait(Some(ms(900))), ms(0));
        let lingering = plan(3, 20);
        assert_eq!(lingering.wait(None), ms(20));
        assert_eq!(lingering.wait(Some(ms(1))), ms(20));
        assert_eq!(plan(0, 0).wait(Some(ms(0))), ms(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_ends_the_pace_and_not_the_linger() {
        let ms = Duration::from_millis;
        let demand = Demand::default();
        let mut plan = plan(100, 20);
        plan.demand = Some(demand.listen());
        let began = tokio::time::Instant::now();
        plan.rest(ms(100)).await;
        assert_eq!(began.elapsed(), ms(100), "no reader waits");
        demand.raise();
        plan.rest(ms(100)).await;
        assert_eq!(began.elapsed(), ms(120));
        let later = demand.clone();
        tokio::spawn(async move {
            tokio::time::sleep(ms(50)).await;
            later.raise();
        });
        plan.rest(ms(100)).await;
        assert_eq!(began.elapsed(), ms(170));
    }
}
