//! A page of members, grouped by the gateways that hold them.

use std::sync::Arc;

use gochat_core::error::Result;
use gochat_infra::port::mq::OutRecord;

use super::task::Task;
use crate::delivery::{Delivery, by_gateway};
use crate::repo::Repo;

/// Which page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PageKey {
    pub(super) conversation_id: String,
    pub(super) after_user_id: String,
    pub(super) size: u32,
}

/// Members of one page who are connected.
pub(super) struct Page {
    gateways: Vec<(Arc<str>, Vec<String>)>,
    /// Last user of this page when there are more.
    pub(super) next: Option<String>,
}

impl Page {
    pub(super) async fn load(repo: &Repo, delivery: &Delivery, key: &PageKey) -> Result<Self> {
        let page = repo
            .page(&key.conversation_id, &key.after_user_id, key.size)
            .await?;
        let ids: Vec<String> = page
            .members
            .into_iter()
            .filter_map(|m| Some(m.user?.id))
            .collect();
        let online = repo.gateways_of(ids.iter().map(String::as_str)).await?;
        let groups = by_gateway(ids.iter().map(String::as_str), &online);
        let known = |(gateway, users)| Some((delivery.topic(gateway)?, users));
        let gateways = groups.into_iter().filter_map(known).collect();
        let next = page.has_more.then(|| ids.last().cloned()).flatten();
        Ok(Self { gateways, next })
    }

    /// One record per gateway.
    pub(super) fn deliver(&self, task: &Task, delivery: &Delivery, outputs: &mut Vec<OutRecord>) {
        let mut body = task.body();
        for (topic, users) in &self.gateways {
            let targets: Vec<_> = users
                .iter()
                .filter(|user| !task.excludes(user))
                .cloned()
                .collect();
            if !targets.is_empty() {
                outputs.push(delivery.record(topic.clone(), &mut body, targets, task.place));
            }
        }
    }
}
