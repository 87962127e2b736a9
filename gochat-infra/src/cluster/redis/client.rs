//! Redis, as the adapters see it: run commands, within a time, and know what a failure means.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gochat_core::error::{Error, ErrorCode, Result};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, ServerError, Value};

use super::config::RedisConfig;
use super::error::{Quietly, Refusal, away, unexpected};
use super::link::Link;
use super::script;

/// A handle on one Redis; clones share the connection.
///
/// Nothing here waits longer than the timeouts of [`RedisConfig`]; while Redis is away, calls fail at once.
#[derive(Clone)]
pub struct Redis {
    link: Arc<Link>,
    prefix: Arc<str>,
    connect_timeout: Duration,
    response_timeout: Duration,
    refusals: Arc<Quietly>,
}

impl Redis {
    /// Connects. A server that is away is no error: the handle goes on trying in the background, and
    /// [`is_up`](Self::is_up) and [`ping`](Self::ping) tell.
    ///
    /// # Errors
    /// `INVALID_PARAMS` for settings that can't work.
    pub async fn connect(config: RedisConfig) -> Result<Self> {
        let link = Link::start(&config)?;
        let redis = Self {
            prefix: config.prefix().into(),
            connect_timeout: config.connect_timeout(),
            response_timeout: config.response_timeout(),
            refusals: Arc::default(),
            link,
        };
        redis.wait_until_up().await;
        Ok(redis)
    }

    /// Waits for the connection, at most the time an attempt to connect may take.
    pub async fn wait_until_up(&self) -> bool {
        let mut up = self.link.watch();
        let wait = up.wait_for(|up| *up);
        tokio::time::timeout(self.connect_timeout, wait)
            .await
            .is_ok_and(|up| up.is_ok())
    }

    /// Whether there is a connection.
    pub fn is_up(&self) -> bool {
        *self.link.watch().borrow()
    }

    /// Asks for a sign of life: the check behind readiness.
    ///
    /// # Errors
    /// When none comes.
    pub async fn ping(&self) -> Result<()> {
        self.one("ping", redis::cmd("PING")).await.map(drop)
    }

    /// A key of ours, from its parts.
    pub(super) fn key(&self, parts: &[&str]) -> String {
        let length = self.prefix.len() + parts.iter().map(|part| part.len()).sum::<usize>();
        let mut key = String::with_capacity(length);
        key.push_str(&self.prefix);
        key.extend(parts.iter().copied());
        key
    }

    /// Runs one command.
    pub(super) async fn one(&self, op: &'static str, command: Cmd) -> Result<Value> {
        let mut answers = self.run(op, vec![command]).await?;
        answers.pop().ok_or(ErrorCode::Internal.into())
    }

    /// Runs commands in one round trip; there is one answer per command, in order.
    ///
    /// Each is atomic, the whole is not: after an `Err` any of them may have been done.
    pub(super) async fn run(&self, op: &'static str, commands: Vec<Cmd>) -> Result<Vec<Value>> {
        self.run_within(self.response_timeout, op, commands).await
    }

    /// [`run`](Self::run) with less patience.
    pub(super) async fn run_within(
        &self,
        patience: Duration,
        op: &'static str,
        commands: Vec<Cmd>,
    ) -> Result<Vec<Value>> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let began = Instant::now();
        let (outcome, answers) = self.attempt(patience, &commands).await;
        metrics::counter!("gochat_redis_calls_total", "op" => op, "outcome" => outcome)
            .increment(1);
        metrics::histogram!("gochat_redis_call_duration_seconds", "op" => op)
            .record(began.elapsed().as_secs_f64());
        answers
    }

    async fn attempt(
        &self,
        patience: Duration,
        commands: &[Cmd],
    ) -> (&'static str, Result<Vec<Value>>) {
        let Some((mut connection, epoch)) = self.link.current() else {
            return ("away", Err(away()));
        };
        let run = run_known(&mut connection, commands);
        match tokio::time::timeout(patience.min(self.response_timeout), run).await {
            Err(_) => {
                self.link.unanswered(epoch);
                ("timeout", Err(ErrorCode::Timeout.into()))
            }
            Ok(Err(Failure::Broken(error))) => {
                self.link.give_up(epoch, &error.to_string());
                ("away", Err(away()))
            }
            Ok(Err(Failure::Refused(error))) => {
                self.link.answered(epoch);
                ("refused", Err(self.refused(epoch, &error)))
            }
            Ok(Ok(answers)) => {
                self.link.answered(epoch);
                ("ok", Ok(answers))
            }
        }
    }

    fn refused(&self, epoch: u64, error: &ServerError) -> Error {
        let refusal = Refusal::of(error);
        if refusal == Refusal::WrongServer {
            self.link.give_up(epoch, "the server is a replica");
        } else if self.refusals.may_log() {
            tracing::error!(%error, "Redis refuses a command");
        }
        refusal.into_error()
    }
}

/// Why commands have no answers.
enum Failure {
    /// The connection is gone.
    Broken(RedisError),
    /// The server said no to one of them.
    Refused(ServerError),
}

/// Runs commands; those whose script the server has forgotten run again after it was loaded.
async fn run_known(
    connection: &mut MultiplexedConnection,
    commands: &[Cmd],
) -> Result<Vec<Value>, Failure> {
    let mut answers = send(connection, commands).await?;
    let forgotten: Vec<usize> = refusals(&answers)
        .filter(|(_, error)| Refusal::of(error) == Refusal::UnknownScript)
        .map(|(at, _)| at)
        .collect();
    if !forgotten.is_empty() {
        // Only these ran not at all; repeating the others would do their work twice.
        let mut again: Vec<Cmd> = script::load_all().collect();
        let loads = again.len();
        again.extend(forgotten.iter().map(|at| commands[*at].clone()));
        let late = send(connection, &again).await?;
        for (at, answer) in forgotten.into_iter().zip(late.into_iter().skip(loads)) {
            answers[at] = answer;
        }
    }
    if let Some((_, error)) = refusals(&answers).next() {
        return Err(Failure::Refused(error.clone()));
    }
    Ok(answers)
}

fn refusals(answers: &[Value]) -> impl Iterator<Item = (usize, &ServerError)> {
    answers
        .iter()
        .enumerate()
        .filter_map(|(at, answer)| match answer {
            Value::ServerError(error) => Some((at, error)),
            _ => None,
        })
}

async fn send(
    connection: &mut MultiplexedConnection,
    commands: &[Cmd],
) -> Result<Vec<Value>, Failure> {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(command.clone());
    }
    let sent = connection.send_packed_commands(&pipeline, 0, commands.len());
    sent.await.map_err(Failure::Broken)
}

/// An answer as the type it should have.
pub(super) fn read<T: FromRedisValue>(answer: Value) -> Result<T> {
    T::from_redis_value(answer).map_err(unexpected)
}

/// A lifetime as Redis takes it: not zero, and far from where its arithmetic ends.
pub(super) fn millis(ttl: Duration) -> u64 {
    const TEN_YEARS: u64 = 10 * 365 * 24 * 60 * 60 * 1_000;
    u64::try_from(ttl.as_millis()).map_or(TEN_YEARS, |ttl| ttl.clamp(1, TEN_YEARS))
}
