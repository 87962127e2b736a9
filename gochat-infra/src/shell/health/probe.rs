//! Asking dependencies, in the background: a scraper that asks for health costs no call.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Dependency;

/// How a dependency is asked.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// Pause between two questions.
    pub every: Duration,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

impl Default for Probe {
    /// Every 2 s, 5 s for an answer.
    fn default() -> Self {
        Self {
            every: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
        }
    }
}

impl Probe {
    /// Asks until `shutdown`.
    pub async fn run<F, Fut>(self, of: Dependency, shutdown: CancellationToken, ask: F)
    where
        F: Fn() -> Fut + Send,
        Fut: Future<Output = Result<(), String>> + Send,
    {
        loop {
            let asked = tokio::select! {
                () = shutdown.cancelled() => return,
                asked = tokio::time::timeout(self.timeout, ask()) => asked,
            };
            match asked {
                Ok(Ok(())) => of.up(),
                Ok(Err(why)) => of.down(why),
                Err(_) => of.down(format!("no answer within {} ms", self.timeout.as_millis())),
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(self.every) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Health, Need};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_dependency_that_hangs_is_away() {
        let health = Health::new("im-repo");
        let mysql = health.depend("mysql", Need::Required(Duration::ZERO));
        health.set_started();
        let shutdown = CancellationToken::new();
        let asking = tokio::spawn(Probe::default().run(mysql, shutdown.clone(), || {
            std::future::pending::<Result<(), String>>()
        }));
        tokio::time::sleep(Duration::from_secs(6)).await;
        let report = health.report();
        assert!(report.dependencies["mysql"].contains("no answer within 5000 ms"));
        shutdown.cancel();
        asking.await.unwrap();
    }
}
