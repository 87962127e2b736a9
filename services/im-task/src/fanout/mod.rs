//! Fan-out of large groups, one page of members at a time.
//!
//! Each step takes some tasks, looks up *one* page for each, and writes in one transaction: the records for the
//! gateways, a follow-up task for the next page, and the offsets. So progress is durable page by page without a store of its
//! own, a redelivery never starts over, and huge groups take turns with small ones. Messages of one conversation stay in
//! order for each member, because their tasks keep their order in the queue. Tasks of one conversation at the same page share
//! the lookup.
//!
//! A task that is marked `at_once` waits for nothing. A member who connects during the paging
//! either is found, or is among the arrivals that the database writer serves once the row is
//! written.
//!
//! Tasks of sequencers of before that mark wait for the row of the message, so that a member who
//! connects during the paging finds the message in history. When the row is late the message is
//! delivered without it, and once more, by a task marked `again`, when it is there.

mod page;
mod task;

use std::time::Duration;

use async_trait::async_trait;
use gochat_core::error::Result;
use gochat_infra::port::mq::{Batch, Headers, OutRecord};
use gochat_infra::rpc::Backoff;
use gochat_infra::telemetry::{self, Context, Kind, Span};
use gochat_infra::topics::{self, TASK_FANOUT_GROUP};
use hashbrown::{HashMap, HashSet};
use prost::Message;

use self::page::{Page, PageKey};
use self::task::{Head, Task};
use crate::config::Fanout as Config;
use crate::delivery::{self, Delivery};
use crate::repo::Repo;
use crate::worker::{Done, Handler};
use crate::{clock, dead_letter, metrics};

/// The longest pause when nothing but late rows is left to do.
const LATE_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Pages members and hands their gateways the message.
pub(crate) struct Fanout {
    repo: Repo,
    delivery: Delivery,
    config: Config,
    headers: Headers,
    late: Backoff,
}

impl Fanout {
    pub(crate) fn new(repo: Repo, delivery: Delivery, config: Config) -> Self {
        let late = Backoff::new(Duration::from_millis(50), LATE_PAUSE_MAX);
        Self {
            repo,
            delivery,
            config,
            headers: delivery::headers("FanoutTask"),
            late,
        }
    }

    /// Where the heads of the tasks' conversations are in the database; a conversation that isn't there is absent.
    async fn heads<'t>(
        &self,
        tasks: impl Iterator<Item = &'t Task>,
    ) -> Result<HashMap<String, Head>> {
        let ids: HashSet<&str> = tasks.map(|task| task.conversation_id.as_str()).collect();
        let asked = ids.into_iter().map(|id| (id.to_owned(), Vec::new()));
        let facts = self.repo.facts_now(asked, 0).await?;
        Ok(facts
            .into_iter()
            .filter(|f| f.found)
            .map(|f| {
                (
                    f.conversation_id,
                    Head {
                        seq: f.last_seq_id,
                        rev: f.last_rev,
                    },
                )
            })
            .collect())
    }

    /// Marks tasks whose row is written, waiting a little for those that are late.
    async fn await_rows(&self, tasks: &mut [Task]) {
        let deadline = tokio::time::Instant::now() + Duration::from_millis(self.config.row_wait_ms);
        let mut pause = Duration::from_millis(5);
        loop {
            match self
                .heads(tasks.iter().filter(|task| task.needs_row()))
                .await
            {
                Ok(heads) => tasks.iter_mut().for_each(|task| task.learn(&heads)),
                Err(error) => tracing::debug!(%error, "heads can't be read yet"),
            }
            // Those marked `again` were delivered before; nobody waits for them.
            let waiting = tasks.iter().any(|task| task.needs_row() && !task.again);
            if !waiting || tokio::time::Instant::now() + pause > deadline {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    /// The pages the tasks are at.
    async fn pages(&self, tasks: &[Task]) -> Result<HashMap<PageKey, Page>> {
        let mut pages = HashMap::new();
        for task in tasks.iter().filter(|task| task.is_due()) {
            let key = task.page(self.config.page);
            if !pages.contains_key(&key) {
                let page = Page::load(&self.repo, &self.delivery, &key).await?;
                pages.insert(key, page);
            }
        }
        Ok(pages)
    }

    /// What one task adds to the step.
    fn output(&self, task: Task, pages: &HashMap<PageKey, Page>, outputs: &mut Vec<OutRecord>) {
        if task.is_gone() {
            return metrics::dropped("no_conversation", 1);
        }
        if !task.is_due() {
            return outputs.push(self.follow_up(&task));
        }
        let page = &pages[&task.page(self.config.page)];
        page.deliver(&task, &self.delivery, outputs);
        if task.is_early() {
            outputs.push(self.follow_up(&task.repeat()));
        }
        match &page.next {
            Some(after) => outputs.push(self.follow_up(&task.next(after))),
            None => metrics::fanout_latency((clock::now_s() - task.message_time()) as f64),
        }
    }

    fn follow_up(&self, task: &Task) -> OutRecord {
        let headers = delivery::with_trace(&self.headers, &task.trace_id, task.parent);
        let key = task.conversation_id.clone();
        OutRecord::new(topics::FANOUT, key, task.encode_to_vec()).with_headers(headers)
    }
}

/// The span of a traced message's page: from its task to its records for the gateways.
fn span(parent: Context, task: &Task) -> Span {
    let mut span = Span::child(parent, "fan-out", Kind::Consumer);
    span.set("gochat.seq", task.seq_id);
    if task.again {
        span.set("gochat.again", 1i64);
    }
    span
}

#[async_trait]
impl Handler for Fanout {
    async fn handle(&mut self, batches: &[Batch]) -> Result<Done> {
        let mut outputs = Vec::new();
        let mut tasks = Vec::new();
        let mut spans = Vec::new();
        for batch in batches {
            for record in &batch.records {
                match Task::decode(record.record.value.clone()) {
                    Ok(task) => {
                        let parent = Context::of(&record.record.headers);
                        let span = parent.map(|parent| span(parent, &task));
                        let place = span.as_ref().map(Span::context);
                        spans.extend(span);
                        tasks.push(task.traced(parent, place));
                    }
                    Err(reason) => {
                        outputs.push(dead_letter::record(
                            TASK_FANOUT_GROUP,
                            &batch.tp,
                            record,
                            &reason,
                            1,
                        ));
                    }
                }
            }
        }
        let traced = spans.first().map(Span::context);
        if tasks.iter().any(Task::needs_row) {
            telemetry::within(traced, self.await_rows(&mut tasks)).await;
        }
        if tasks.iter().all(|task| !task.is_due() && !task.is_gone()) && !tasks.is_empty() {
            // Nothing but repeats that wait for their rows: don't write them round and round.
            tokio::time::sleep(self.late.next_delay()).await;
        } else {
            self.late.reset();
        }
        let pages = telemetry::within(traced, self.pages(&tasks)).await?;
        for task in tasks {
            self.output(task, &pages, &mut outputs);
        }
        spans.into_iter().for_each(Span::end);
        Ok(outputs.into())
    }
}
