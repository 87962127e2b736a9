//! Parts of a process that are stopped one after the other.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Why the process could not start, go on or stop.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct Failed {
    what: String,
    cause: Box<dyn std::error::Error + Send + Sync>,
}

/// Turns any error into [`Failed`], naming the part it came from.
pub fn because<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    what: impl Into<String>,
) -> impl FnOnce(E) -> Failed {
    let what = what.into();
    move |cause| Failed {
        what,
        cause: cause.into(),
    }
}

/// Running parts in the order in which they are stopped: the edge first, storage last.
#[derive(Debug, Default)]
pub struct Stages {
    stages: Vec<Stage>,
}

/// A part and the switch that stops it.
#[derive(Debug)]
struct Stage {
    name: &'static str,
    stop: CancellationToken,
    tasks: JoinSet<Result<(), String>>,
}

impl Stages {
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a part; it is stopped after those that were added before.
    pub fn add<F>(&mut self, name: &'static str, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(run(stop.clone()));
        self.stages.push(Stage { name, stop, tasks });
    }

    /// Adds the parts of another list behind these.
    pub fn append(&mut self, others: Stages) {
        self.stages.extend(others.stages);
    }

    /// Resolves when a part ends although nobody stopped it: the process should end, and restart.
    pub async fn failed(&mut self) -> Failed {
        let ended = self.stages.iter_mut().map(|s| Box::pin(s.ended()));
        let ended: Vec<_> = ended.collect();
        if ended.is_empty() {
            return std::future::pending().await;
        }
        futures_util::future::select_all(ended).await.0
    }

    /// Stops the parts in order.
    ///
    /// # Errors
    /// The first one that did not stop cleanly; the others are stopped all the same.
    pub async fn stop(self) -> Result<(), Failed> {
        let mut outcome = Ok(());
        for stage in self.stages {
            outcome = outcome.and(stage.stop().await);
        }
        outcome
    }

    /// Stops the parts in order and gives up after `deadline`.
    ///
    /// # Errors
    /// As [`stop`](Self::stop), and when time is up.
    pub async fn stop_within(self, deadline: Duration) -> Result<(), Failed> {
        let late = |_| because("stop")(format!("did not stop within {} s", deadline.as_secs()));
        tokio::time::timeout(deadline, self.stop())
            .await
            .map_err(late)?
    }
}

impl Stage {
    async fn stop(mut self) -> Result<(), Failed> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended
                .map_err(because(self.name))?
                .map_err(because(self.name))?;
        }
        tracing::debug!(part = self.name, "stopped");
        Ok(())
    }

    async fn ended(&mut self) -> Failed {
        match self.tasks.join_next().await {
            Some(Ok(Ok(()))) | None => because(self.name)("ended without being asked"),
            Some(Ok(Err(cause))) => because(self.name)(cause),
            Some(Err(cause)) => because(self.name)(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[tokio::test]
    async fn parts_stop_in_the_order_they_were_added() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut stages = Stages::new();
        for name in ["edge", "middle", "storage"] {
            let order = order.clone();
            stages.add(name, |stop| async move {
                stop.cancelled().await;
                order.lock().push(name);
                Ok(())
            });
        }
        stages.stop().await.unwrap();
        assert_eq!(*order.lock(), ["edge", "middle", "storage"]);
    }

    #[tokio::test]
    async fn a_part_that_ends_by_itself_is_named() {
        let mut stages = Stages::new();
        stages.add("idle", |stop| async move {
            stop.cancelled().await;
            Ok(())
        });
        stages.add("broken", |_| async { Err("the disk is full".to_owned()) });
        assert_eq!(
            stages.failed().await.to_string(),
            "broken: the disk is full"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_hangs_does_not_hold_the_process_for_ever() {
        let mut stages = Stages::new();
        stages.add("stuck", |_| std::future::pending());
        let error = stages
            .stop_within(Duration::from_secs(10))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("10 s"));
    }
}
