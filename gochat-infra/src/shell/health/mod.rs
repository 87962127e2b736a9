//! Whether the process is alive, and whether it should get work.
//!
//! *Liveness* depends on the process alone: restarting it doesn't bring a database back. *Readiness* follows the
//! dependencies; one that is away for longer than its tolerance makes the process not ready, or only degraded when the
//! process can do its work without.

mod http;
mod probe;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

pub use http::router;
pub use probe::Probe;

use super::build;

/// What the absence of a dependency means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Not ready once it is away for this long. Until it was seen for the first time: not ready.
    Required(Duration),
    /// Worth telling, but the process can do its work.
    Helpful,
}

/// State of the process as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Ready, everything is there.
    Ok,
    /// Ready; something helpful is away.
    Degraded,
    /// Not everything was there yet since the start.
    Starting,
    /// Something required is away.
    Unavailable,
    /// Stopping; nothing new is taken.
    Draining,
    /// Only a restart helps.
    Failed,
}

impl Status {
    /// Whether the process should get work.
    pub fn is_ready(self) -> bool {
        matches!(self, Self::Ok | Self::Degraded)
    }
}

/// What `/health` and `/ready` answer.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// All of it in a word.
    pub status: Status,
    /// The service.
    pub server: &'static str,
    /// Name of the instance, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Version of the build.
    pub version: &'static str,
    /// Commit of the build.
    pub commit: &'static str,
    /// Unix seconds.
    pub timestamp: u64,
    /// Why only a restart helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Each dependency: `ok`, or what is wrong with it.
    pub dependencies: BTreeMap<&'static str, String>,
    /// Required dependencies that are away.
    pub missing: Vec<&'static str>,
}

/// The state of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    service: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    instance: Option<String>,
    started: bool,
    draining: bool,
    failure: Option<String>,
    dependencies: BTreeMap<&'static str, Known>,
}

/// What is known about a dependency.
#[derive(Debug)]
struct Known {
    need: Need,
    seen: bool,
    away: Option<(Instant, String)>,
}

impl Known {
    fn is_missing(&self) -> bool {
        let Need::Required(tolerance) = self.need else {
            return false;
        };
        match &self.away {
            None => false,
            Some((since, _)) => !self.seen || since.elapsed() > tolerance,
        }
    }
}

impl Health {
    /// A process that has just begun.
    pub fn new(service: &'static str) -> Self {
        metrics::describe_gauge!("gochat_dependency_up", "1 while the dependency answers.");
        Self {
            inner: Arc::new(Inner {
                service,
                state: Mutex::default(),
            }),
        }
    }

    /// Declares a dependency; it counts as away until [`Dependency::up`].
    pub fn depend(&self, name: &'static str, need: Need) -> Dependency {
        let away = Some((Instant::now(), "not seen yet".to_owned()));
        let known = Known {
            need,
            seen: false,
            away,
        };
        self.inner.state.lock().dependencies.insert(name, known);
        Dependency {
            health: self.clone(),
            name,
        }
    }

    /// Names the instance.
    pub fn set_instance(&self, name: impl Into<String>) {
        self.inner.state.lock().instance = Some(name.into());
    }

    /// Everything is bound and runs.
    pub fn set_started(&self) {
        self.inner.state.lock().started = true;
    }

    /// The process stops.
    pub fn set_draining(&self) {
        self.inner.state.lock().draining = true;
    }

    /// Only a restart helps: liveness fails from now on.
    pub fn fail(&self, why: impl Into<String>) {
        let why = why.into();
        tracing::error!(why, "this instance can't go on; it must be restarted");
        self.inner.state.lock().failure.get_or_insert(why);
    }

    /// Whether the process should be left alone.
    pub fn is_alive(&self) -> bool {
        self.inner.state.lock().failure.is_none()
    }

    /// Whether the process should get work.
    pub fn is_ready(&self) -> bool {
        self.report().status.is_ready()
    }

    /// All of it.
    pub fn report(&self) -> Report {
        let state = self.inner.state.lock();
        let missing: Vec<_> = state
            .dependencies
            .iter()
            .filter(|(_, known)| known.is_missing())
            .map(|(name, _)| *name)
            .collect();
        let describe = |known: &Known| match &known.away {
            None => "ok".to_owned(),
            Some((since, why)) => format!("away for {} s: {why}", since.elapsed().as_secs()),
        };
        Report {
            status: state.status(missing.is_empty()),
            server: self.inner.service,
            instance: state.instance.clone(),
            version: build::VERSION,
            commit: build::COMMIT,
            timestamp: crate::ids::now_ms() / 1_000,
            failure: state.failure.clone(),
            dependencies: state
                .dependencies
                .iter()
                .map(|(name, known)| (*name, describe(known)))
                .collect(),
            missing,
        }
    }

    fn note(&self, name: &'static str, outcome: Result<(), String>) {
        let mut state = self.inner.state.lock();
        let Some(known) = state.dependencies.get_mut(name) else {
            return;
        };
        metrics::gauge!("gochat_dependency_up", "dependency" => name).set(if outcome.is_ok() {
            1.0
        } else {
            0.0
        });
        match (outcome, &mut known.away) {
            (Ok(()), away) => {
                if let Some((since, _)) = away.take() {
                    let after_ms = since.elapsed().as_millis();
                    tracing::info!(dependency = name, after_ms, "a dependency is there");
                }
                known.seen = true;
            }
            // The first failure counts; later ones must not move it.
            (Err(why), Some((_, reason))) => *reason = why,
            (Err(why), away @ None) => {
                tracing::warn!(dependency = name, why, "a dependency is away");
                *away = Some((Instant::now(), why));
            }
        }
    }
}

impl State {
    fn status(&self, nothing_missing: bool) -> Status {
        if self.failure.is_some() {
            Status::Failed
        } else if self.draining {
            Status::Draining
        } else if !self.started {
            Status::Starting
        } else if !nothing_missing {
            Status::Unavailable
        } else if self.dependencies.values().any(|d| d.away.is_some()) {
            Status::Degraded
        } else {
            Status::Ok
        }
    }
}

/// One thing the process depends on. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Dependency {
    health: Health,
    name: &'static str,
}

impl Dependency {
    /// It answers.
    pub fn up(&self) {
        self.health.note(self.name, Ok(()));
    }

    /// It doesn't.
    pub fn down(&self, why: impl Into<String>) {
        self.health.note(self.name, Err(why.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn readiness_follows_required_dependencies_and_liveness_does_not() {
        let health = Health::new("im-logic");
        let kafka = health.depend("kafka", Need::Required(TOLERANCE));
        health.set_started();
        assert_eq!(
            health.report().status,
            Status::Unavailable,
            "never seen is away, tolerance or not"
        );
        kafka.up();
        assert_eq!(health.report().status, Status::Ok);
        kafka.down("no route");
        assert!(health.is_ready(), "a short absence is tolerated");
        tokio::time::advance(TOLERANCE + Duration::from_secs(1)).await;
        let report = health.report();
        assert_eq!(report.status, Status::Unavailable);
        assert_eq!(report.missing, ["kafka"]);
        assert_eq!(
            report.dependencies["kafka"], "away for 11 s: no route",
            "it says what is away, how long and why"
        );
        assert!(health.is_alive());
        kafka.up();
        assert!(health.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_helpful_dependency_only_degrades() {
        let health = Health::new("im-repo");
        let etcd = health.depend("etcd", Need::Helpful);
        health.set_started();
        etcd.down("refused");
        assert_eq!(health.report().status, Status::Degraded);
        assert!(health.is_ready());
    }

    #[test]
    fn a_lost_instance_number_ends_liveness() {
        let health = Health::new("im-logic");
        health.set_started();
        health.fail("the instance number was taken by another");
        assert!(!health.is_alive() && !health.is_ready());
        let json = serde_json::to_value(health.report()).unwrap();
        assert_eq!(json["status"], "failed");
    }
}
