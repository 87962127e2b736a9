//! Reading one's own message beside the load: the time from an acknowledgement to the row.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};

use super::api::{Account, Api};
use super::stats::Latency;
use super::{Result, seed};

/// One user who sends, and reads what was just acknowledged.
pub(super) struct ReadBack {
    api: Api,
    user: Account,
    chat: String,
    run: u64,
}

/// What the user saw.
pub(super) struct Seen {
    /// From the acknowledgement to the history page that holds the message.
    row: Latency,
    /// The same request once the row is known to be there: what reading costs by itself.
    settled: Latency,
    /// Pages without the message.
    missed: u64,
}

impl ReadBack {
    pub(super) async fn prepare(api: &Api, run: u64) -> Result<Self> {
        let mut users = seed::members(api, run + (1 << 41), 1).await?;
        let peer = api.guest().await?;
        let user = users.remove(0);
        let chat = json!({ "type": 1, "members": [peer.id] });
        let chat = api.open(&user, &chat).await?;
        let api = api.clone();
        Ok(Self {
            api,
            user,
            chat,
            run,
        })
    }

    /// Sends and reads `rate` times a second, one after the other, from `start` on for `duration`.
    pub(super) async fn run(self, rate: f64, start: Instant, duration: Duration) -> Result<Seen> {
        let mut seen = Seen {
            row: Latency::new(),
            settled: Latency::new(),
            missed: 0,
        };
        for n in 0_u32.. {
            let moment = start + Duration::from_secs_f64(f64::from(n) / rate);
            if moment >= start + duration {
                break;
            }
            tokio::time::sleep_until(moment.into()).await;
            let seq = self.send(n).await?;
            for latency in [&mut seen.row, &mut seen.settled] {
                let began = Instant::now();
                let newest = self.newest().await?;
                latency.record(u64::try_from(began.elapsed().as_micros())?);
                seen.missed += u64::from(newest != seq);
            }
        }
        Ok(seen)
    }

    async fn send(&self, n: u32) -> Result<Value> {
        let path = format!("/conversations/{}/messages", self.chat);
        let id = format!("{:x}-row-{n}", self.run);
        let body = json!({ "messageType": 1, "content": "x".repeat(100), "client_msg_id": id });
        let token = self.user.token();
        let sent = self.api.call(Method::POST, &path, &token, Some(&body));
        Ok(sent.await?["seqId"].take())
    }

    async fn newest(&self) -> Result<Value> {
        let path = format!("/conversations/{}/messages?limit=1", self.chat);
        let token = self.user.token();
        let page = self.api.call(Method::GET, &path, &token, None);
        Ok(page.await?["messages"][0]["seqId"].take())
    }
}

impl Seen {
    pub(super) fn missed(&self) -> u64 {
        self.missed
    }

    pub(super) fn body(&self) -> Value {
        json!({ "row_ms": self.row.summary(), "settled_ms": self.settled.summary(),
            "missed": self.missed })
    }
}
