//! `bench conversations` and `bench history`: latency of reading.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Result;
use super::api::{Account, Api};
use super::args::{HistoryArgs, ListArgs};
use super::procfs;
use super::report::{self, round};
use super::seed;
use super::stats::Latency;
use super::tokens::{self, Renewal};

/// Requests of a timetable that may be unanswered; beyond it the server is too slow to measure.
const MAX_OPEN: usize = 1000;
/// Messages sent ahead while filling a conversation.
const FILL_AT_ONCE: usize = 64;

pub(super) async fn conversations(args: ListArgs) -> Result<ExitCode> {
    let api = Api::new(&args.target.url);
    let run = seed::run_id();
    let owner = Arc::new(seed::members(&api, run, 1).await?);
    let peers = Arc::new(seed::guests(&api, args.count).await?);
    let chats = seed::chats(&api, &owner, &peers, args.count).await?;
    eprintln!("one message in each of {} chats", chats.len());
    let (chats, one) = (Arc::new(chats), args.count);
    seed::gather(one, FILL_AT_ONCE, |n| {
        let (api, chats, owner) = (api.clone(), chats.clone(), owner.clone());
        async move { send(&api, &owner[0], &chats[n], &format!("{run:x}-{n}")).await }
    })
    .await?;
    let path = format!("/conversations?page=1&size={}", args.page);
    let expected = args.count.min(args.page as usize);
    let check =
        move |data: &Value| data["conversations"].as_array().map_or(0, Vec::len) >= expected;
    let before = procfs::usage(&args.target.server_pid);
    let _renewal = keep_alone(&api, &owner);
    let load = Load {
        api,
        account: owner[0].clone(),
        rate: args.rate,
        duration: args.duration,
    };
    let outcome = load.run(move |_| path.clone(), check).await;
    let after = procfs::usage(&args.target.server_pid);
    let body = json!({ "list_ms": outcome.latency.summary(), "requests": outcome.latency.len(),
        "failed": outcome.failed, "late_ms": outcome.late.summary(),
        "server": procfs::compare(before, after) });
    Ok(report::print("conversations", &args, outcome.failed, body))
}

pub(super) async fn history(args: HistoryArgs) -> Result<ExitCode> {
    let api = Api::new(&args.target.url);
    let run = seed::run_id();
    let owner = Arc::new(seed::members(&api, run, 1).await?);
    let peer = Arc::new(seed::guests(&api, 1).await?);
    let chat = Arc::new(seed::chats(&api, &owner, &peer, 1).await?.remove(0));
    eprintln!("filling the conversation with {} messages", args.fill);
    let started = Instant::now();
    seed::gather(usize::try_from(args.fill)?, FILL_AT_ONCE, |n| {
        let (api, chat, owner) = (api.clone(), chat.clone(), owner.clone());
        async move { send(&api, &owner[0], &chat, &format!("{run:x}-{n}")).await }
    })
    .await?;
    let filled = args.fill as f64 / started.elapsed().as_secs_f64().max(1e-6);
    wait_written(&api, &owner[0], &chat, args.fill).await?;
    let (fill, page) = (args.fill, args.page);
    let path = move |_| {
        let cursor = 2 + rand::random::<u64>() % fill.max(1);
        format!("/conversations/{chat}/messages?cursor={cursor}&limit={page}")
    };
    let check = |data: &Value| gapless_descending(&data["messages"]);
    let before = procfs::usage(&args.target.server_pid);
    let _renewal = keep_alone(&api, &owner);
    let load = Load {
        api,
        account: owner[0].clone(),
        rate: args.rate,
        duration: args.duration,
    };
    let outcome = load.run(path, check).await;
    let after = procfs::usage(&args.target.server_pid);
    let body = json!({ "page_ms": outcome.latency.summary(), "requests": outcome.latency.len(),
        "failed": outcome.failed, "late_ms": outcome.late.summary(),
        "http_sends_per_second": round(filled), "server": procfs::compare(before, after) });
    Ok(report::print("history", &args, outcome.failed, body))
}

/// Renews the tokens of a run without workers.
fn keep_alone(api: &Api, accounts: &[Account]) -> Renewal {
    let tokens = accounts.iter().map(|a| a.tokens.clone()).collect();
    let (sender, _) = tokio::sync::mpsc::unbounded_channel();
    tokens::keep(vec![api.clone()], tokens, sender)
}

async fn send(api: &Api, by: &Account, chat: &str, id: &str) -> Result<()> {
    let path = format!("/conversations/{chat}/messages");
    let body = json!({ "messageType": 1, "content": "x".repeat(100), "client_msg_id": id });
    api.call(Method::POST, &path, &by.token(), Some(&body))
        .await
        .map(drop)
}

/// Acknowledged is not yet written: history follows within moments.
async fn wait_written(api: &Api, by: &Account, chat: &str, last: u64) -> Result<()> {
    let path = format!("/conversations/{chat}/messages?limit=1");
    for _ in 0..600 {
        let data = api.call(Method::GET, &path, &by.token(), None).await?;
        if data["messages"][0]["seqId"].as_u64() >= Some(last) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err("the messages did not reach the database within a minute".into())
}

fn gapless_descending(messages: &Value) -> bool {
    let seqs: Vec<u64> = messages
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|m| m["seqId"].as_u64())
        .collect();
    !seqs.is_empty() && seqs.windows(2).all(|w| w[0] == w[1] + 1)
}

/// Requests by a timetable.
struct Load {
    api: Api,
    account: Account,
    rate: f64,
    duration: Duration,
}

struct Outcome {
    /// From the intended moment to the answer.
    latency: Latency,
    /// From the intended moment to the request: the generator's own delay.
    late: Latency,
    failed: u64,
}

impl Load {
    async fn run(
        self,
        path: impl Fn(u64) -> String,
        check: impl Fn(&Value) -> bool + Clone + Send + Sync + 'static,
    ) -> Outcome {
        let latency = Arc::new(Mutex::new(Latency::new()));
        let (mut late, mut failed, mut tasks) = (Latency::new(), 0u64, JoinSet::new());
        let start = Instant::now();
        for k in 0u64.. {
            let intended = start + Duration::from_secs_f64(k as f64 / self.rate.max(0.001));
            if intended >= start + self.duration {
                break;
            }
            tokio::time::sleep_until(intended.into()).await;
            late.record(micros_since(intended));
            let (api, token, path) = (self.api.clone(), self.account.token(), path(k));
            let (latency, check) = (latency.clone(), check.clone());
            tasks.spawn(async move {
                let answer = api.once(Method::GET, &path, &token, None).await;
                let micros = micros_since(intended);
                latency
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .record(micros);
                matches!(answer, Ok((200, answer)) if check(&answer["data"]))
            });
            while let Some(done) = tasks.try_join_next() {
                failed += u64::from(!done.unwrap_or(false));
            }
            if tasks.len() > MAX_OPEN {
                failed += tasks.len() as u64;
                break;
            }
        }
        while let Some(done) = tasks.join_next().await {
            failed += u64::from(!done.unwrap_or(false));
        }
        let latency = latency
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Outcome {
            latency,
            late,
            failed,
        }
    }
}

fn micros_since(then: Instant) -> u64 {
    u64::try_from(then.elapsed().as_micros()).unwrap_or(u64::MAX)
}
