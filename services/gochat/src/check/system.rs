//! What is checked: a server that runs already, one process of the checker's own, or a cluster of its own.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::CheckArgs;
use super::cluster::Fleet;
use super::load::Control;
use super::server::Server;
use crate::bench::Result;

pub(super) enum System {
    /// Somebody else's; it is not disturbed.
    Running(Vec<String>),
    One(Server),
    Cluster(Fleet),
}

impl System {
    pub(super) async fn start(args: &CheckArgs) -> Result<Self> {
        Ok(if args.cluster.cluster {
            Self::Cluster(Fleet::start(&args.cluster, &args.set).await?)
        } else if args.spawn {
            Self::One(Server::start(&args.set).await?)
        } else {
            Self::Running(args.url.clone())
        })
    }

    /// Where clients connect.
    pub(super) fn urls(&self) -> &[String] {
        match self {
            Self::Running(urls) => urls,
            Self::One(server) => std::slice::from_ref(&server.url),
            Self::Cluster(fleet) => fleet.urls(),
        }
    }

    /// Makes its life hard, for as long as the load lasts.
    pub(super) async fn disturb(
        &mut self,
        args: &CheckArgs,
        seed: u64,
        control: &Arc<Control>,
    ) -> Result<()> {
        match self {
            Self::Running(_) => tokio::time::sleep(Duration::from_secs(args.duration)).await,
            Self::One(server) => server.kill_at_random(args.kills, seed, control).await?,
            Self::Cluster(fleet) => {
                let clubs = args.clubs;
                fleet.strike((&args.cluster, clubs), seed, control).await?;
            }
        }
        Ok(())
    }

    /// What was done to it.
    pub(super) fn faults(&self) -> Value {
        match self {
            Self::Running(_) => json!({}),
            Self::One(server) => json!({ "kill gochat": server.kills }),
            Self::Cluster(fleet) => json!(fleet.struck()),
        }
    }

    /// Processes that ended although nobody killed them.
    pub(super) fn own_ends(&self) -> u32 {
        match self {
            Self::Cluster(fleet) => fleet.own_ends(),
            _ => 0,
        }
    }

    /// The slowest recovery of a cluster after a round of faults, in milliseconds.
    pub(super) fn slowest_recovery_ms(&self) -> Option<u64> {
        match self {
            Self::Cluster(fleet) => u64::try_from(fleet.slowest_recovery().as_millis()).ok(),
            _ => None,
        }
    }

    pub(super) async fn stop(self, is_clean: bool) -> Result<()> {
        match self {
            Self::Running(_) => Ok(()),
            Self::One(server) => {
                server.stop(is_clean).await;
                Ok(())
            }
            Self::Cluster(fleet) => fleet.stop(is_clean).await,
        }
    }
}
