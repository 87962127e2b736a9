//! A page of members, grouped by the gateways that hold them.

use std::sync::Arc;

use gochat_core::error::Result;
use gochat_infra::port::mq::OutRecord;

use super::task::Task;
use crate::delivery::{Delivery, Targets, by_gateway, found};
use crate::repo::{Repo, roster_of_page};

/// Which page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PageKey {
    pub(super) conversation_id: String,
    pub(super) after_user_id: String,
    pub(super) size: u32,
}

/// Members of one page who are connected.
pub(super) struct Page {
    gateways: Vec<(Arc<str>, Targets)>,
    /// Last user of this page when there are more.
    pub(super) next: Option<String>,
}

impl Page {
    pub(super) async fn load(repo: &Repo, delivery: &Delivery, key: &PageKey) -> Result<Self> {
        let page = repo
            .page(&key.conversation_id, &key.after_user_id, key.size)
            .await?;
        let audience = roster_of_page(&page).everyone();
        let online = repo.gateways_of_all(&audience).await?;
        let groups = by_gateway(&audience, |user| found(&online, user));
        let known = |(gateway, users)| Some((delivery.topic(gateway)?, users));
        let gateways = groups.into_iter().filter_map(known).collect();
        let last = page.members.last().and_then(|member| member.user.as_ref());
        let next = last.filter(|_| page.has_more).map(|user| user.id.clone());
        Ok(Self { gateways, next })
    }

    /// One record per gateway.
    pub(super) fn deliver(&self, task: &Task, delivery: &Delivery, outputs: &mut Vec<OutRecord>) {
        let mut body = task.body();
        for (topic, users) in &self.gateways {
            let targets = users.without(|user| task.excludes(user));
            if !targets.is_empty() {
                outputs.push(delivery.record(topic.clone(), &mut body, targets, task.place));
            }
        }
    }
}
