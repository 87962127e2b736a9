//! The servers of the cluster. The one place of the shell that names adapters.

use std::time::Duration;

use gochat_core::error::{Error, Result};
use std::sync::Arc;
use tokio::task::JoinSet;

use super::late::Late;
use super::settings::Coord;
use crate::cluster::etcd::{EtcdConfig, EtcdCoord};
use crate::cluster::kafka::{KafkaConfig, KafkaMq};
use crate::port::mq::Mq;

/// Pause between rounds of attempts; each round is as patient as the settings say.
const AGAIN: Duration = Duration::from_secs(1);

/// etcd, which may answer later.
pub(super) type LateEtcd = Late<EtcdCoord>;

/// Begins to connect to etcd, and waits for it as long as the start waits for settings.
pub(super) async fn coord(settings: &Coord, background: &mut JoinSet<()>) -> LateEtcd {
    let late = Late::new();
    background.spawn(connect_etcd(settings.etcd.clone(), late.clone()));
    let patience = Duration::from_millis(settings.load_timeout_ms);
    if !late.wait(patience).await {
        tracing::warn!(
            endpoints = settings.etcd.endpoints.join(","),
            "etcd does not answer; starting without it: file and environment, fixed addresses of services"
        );
    }
    late
}

async fn connect_etcd(config: EtcdConfig, late: LateEtcd) {
    loop {
        match EtcdCoord::connect(config.clone()).await {
            Ok(coord) => return late.set(coord),
            Err(error) => tracing::warn!(%error, "etcd can't be used yet"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The first endpoint of etcd: where this process would go to be found.
pub(super) fn first_endpoint(settings: &Coord) -> Option<String> {
    settings.etcd.endpoints.first().cloned()
}

/// Kafka.
pub(super) async fn kafka(config: KafkaConfig) -> Result<Arc<dyn Mq>> {
    let mq = KafkaMq::connect(config).await.map_err(Error::from)?;
    Ok(Arc::new(mq))
}
