//! The loop every consumer runs: poll, handle, commit; hold back while a dependency is away.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::{Error, ErrorCode};
use gochat_infra::port::mq::{Batch, Consumer, ConsumerConfig, Mq, MqError, MqErrorKind, Progress};
use gochat_infra::rpc::Backoff;
use tokio_util::sync::CancellationToken;

/// How long one poll waits for records.
const POLL_WAIT: Duration = Duration::from_secs(1);

/// Handles batches of one consumer group.
pub(crate) trait Handler: Send {
    /// Does everything the batches ask for. `Err` means "not now": the same batches come again, so what was done
    /// must be harmless to do twice. Records that can never succeed are the handler's to put aside.
    fn handle(&mut self, batches: &[Batch]) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Consumes until `shutdown`, then leaves the group. Survives failures of the log by joining again.
pub(crate) async fn run<H: Handler>(
    mq: Arc<dyn Mq>,
    config: ConsumerConfig,
    max: usize,
    mut handler: H,
    shutdown: CancellationToken,
) {
    let mut backoff = Backoff::default();
    while !shutdown.is_cancelled() {
        let session = async {
            let mut consumer = mq.consumer(config.clone()).await?;
            let outcome = consume(consumer.as_mut(), max, &mut handler, &shutdown, &mut backoff).await;
            let left = consumer.close().await;
            outcome.and(left)
        };
        if let Err(error) = session.await {
            let group = config.group.as_deref().unwrap_or_default();
            tracing::error!(%error, group, "consumer ended; joining again");
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(backoff.next_delay()) => {}
            }
        }
    }
}

async fn consume<H: Handler>(
    consumer: &mut dyn Consumer,
    max: usize,
    handler: &mut H,
    shutdown: &CancellationToken,
    backoff: &mut Backoff,
) -> Result<(), MqError> {
    loop {
        let polled = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            polled = consumer.poll(max, POLL_WAIT) => polled?,
        };
        let mut batches = polled.batches;
        while !batches.is_empty() {
            let Err(error) = handler.handle(&batches).await else {
                backoff.reset();
                commit(consumer, &batches).await?;
                break;
            };
            tracing::warn!(%error, records = records(&batches), "holding back; nothing is skipped");
            if !hold_back(consumer, &mut batches, backoff.next_delay(), shutdown).await? {
                return Ok(());
            }
        }
    }
}

/// Waits while staying in the group; forgets batches whose partition moved away. `false` = shutting down.
async fn hold_back(
    consumer: &mut dyn Consumer,
    batches: &mut Vec<Batch>,
    delay: Duration,
    shutdown: &CancellationToken,
) -> Result<bool, MqError> {
    let until = tokio::time::Instant::now() + delay;
    loop {
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        if left.is_zero() {
            return Ok(true);
        }
        let polled = tokio::select! {
            () = shutdown.cancelled() => return Ok(false),
            polled = consumer.poll(0, left) => polled?,
        };
        batches.retain(|batch| !polled.revoked.contains(&batch.tp));
        if batches.is_empty() {
            return Ok(true);
        }
    }
}

async fn commit(consumer: &mut dyn Consumer, batches: &[Batch]) -> Result<(), MqError> {
    let done: Vec<Progress> = batches.iter().filter_map(Batch::progress).collect();
    match consumer.commit(done).await {
        // The partition moved: its new owner repeats what we did, which is harmless.
        Err(error) if error.kind == MqErrorKind::Fenced => Ok(()),
        outcome => outcome,
    }
}

fn records(batches: &[Batch]) -> usize {
    batches.iter().map(|batch| batch.records.len()).sum()
}

/// What a failed write to the log means for a handler: not now.
pub(crate) fn not_now(error: MqError) -> Error {
    Error::new(ErrorCode::ServiceUnavailable, error.to_string())
}
