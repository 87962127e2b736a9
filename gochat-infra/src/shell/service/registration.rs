//! Being found, and finding others.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::port::coord::{Instance, Instances, Registry};
use crate::rpc::Backoff;

/// Longest wait for the registry when the process stops.
const RELEASE: Duration = Duration::from_secs(2);

/// Keeps an instance in the registry until `stop`, whatever happens to the registry meanwhile, then takes it out.
pub(super) async fn keep_registered(
    registry: Arc<dyn Registry>,
    instance: Instance,
    ttl: Duration,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::default();
    loop {
        let registered = tokio::select! {
            () = stop.cancelled() => return,
            registered = registry.register(instance.clone(), ttl) => registered,
        };
        match registered {
            Ok(lease) => {
                backoff.reset();
                tracing::info!(
                    service = instance.name,
                    id = instance.id,
                    address = instance.address,
                    port = instance.port,
                    "registered"
                );
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {
                        let released = tokio::time::timeout(RELEASE, lease.release()).await;
                        if released.is_err() {
                            tracing::warn!(ttl_s = ttl.as_secs(), "the registry does not answer; the entry stays until its lease ends");
                        }
                        return;
                    }
                    () = lease.lost() => tracing::warn!("the registration was lost; registering again"),
                }
            }
            Err(error) => tracing::warn!(%error, "can't register yet"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff.next_delay()) => {}
        }
    }
}

/// The instances of a service, from the first moment on: empty until the registry answers, and the last known ones while
/// it is away.
pub(super) fn follow(
    registry: Arc<dyn Registry>,
    service: &'static str,
    stop: CancellationToken,
) -> (
    watch::Receiver<Instances>,
    impl Future<Output = ()> + Send + use<>,
) {
    let (known, receiver) = watch::channel::<Instances>(Arc::from([]));
    let following = async move {
        let mut backoff = Backoff::default();
        loop {
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = follow_once(&*registry, service, &known) => ended,
            };
            if let Err(error) = ended {
                tracing::warn!(%error, service, "instances can't be followed; the last known ones stay");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff.next_delay()) => {}
            }
        }
    };
    (receiver, following)
}

async fn follow_once(
    registry: &dyn Registry,
    service: &str,
    known: &watch::Sender<Instances>,
) -> gochat_core::error::Result<()> {
    let mut watched = registry.watch(service).await?;
    loop {
        let instances = watched.borrow_and_update().clone();
        known.send_replace(instances);
        if watched.changed().await.is_err() {
            return Ok(());
        }
    }
}

/// The address others reach a listener at: what the operator says, the address it is bound to, or, where that is any
/// address, the one this machine would use to reach `peer` (nothing is sent).
pub(super) fn advertised(said: Option<&str>, bound: IpAddr, peer: Option<&str>) -> String {
    if let Some(said) = said {
        return said.to_owned();
    }
    if !bound.is_unspecified() {
        return bound.to_string();
    }
    let towards = |peer: &str| {
        let bare = peer.split_once("://").map_or(peer, |(_, rest)| rest);
        let any: SocketAddr = ([0, 0, 0, 0], 0).into();
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(bare.trim_end_matches('/')).ok()?;
        socket.local_addr().ok().map(|addr| addr.ip().to_string())
    };
    peer.and_then(towards)
        .unwrap_or_else(|| "127.0.0.1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::coord::MemoryCoord;

    const TTL: Duration = Duration::from_secs(30);

    fn instance(id: &str) -> Instance {
        Instance {
            id: id.into(),
            name: "im-repo".into(),
            address: "10.0.0.1".into(),
            port: 9002,
            metadata: Default::default(),
        }
    }

    #[tokio::test]
    async fn an_instance_comes_back_when_its_entry_was_lost_and_goes_at_the_end() {
        let coord = Arc::new(MemoryCoord::new());
        let stop = CancellationToken::new();
        let keeping = keep_registered(coord.clone(), instance("1"), TTL, stop.clone());
        let keeping = tokio::spawn(keeping);
        let mut seen = coord.watch("im-repo").await.unwrap();
        seen.wait_for(|all| all.len() == 1).await.unwrap();
        // Another entry with the same id takes the lease away; the keeper takes it back.
        let thief = Instance {
            port: 1,
            ..instance("1")
        };
        let stolen = coord.register(thief, TTL).await.unwrap();
        stolen.lost().await;
        stop.cancel();
        keeping.await.unwrap();
        assert!(coord.discover("im-repo").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn instances_are_followed_from_an_empty_list_on() {
        let coord = Arc::new(MemoryCoord::new());
        let stop = CancellationToken::new();
        let (mut known, following) = follow(coord.clone(), "im-repo", stop.clone());
        assert!(known.borrow().is_empty());
        let following = tokio::spawn(following);
        let lease = coord.register(instance("1"), TTL).await.unwrap();
        known.wait_for(|all| all.len() == 1).await.unwrap();
        lease.release().await;
        known.wait_for(|all| all.is_empty()).await.unwrap();
        stop.cancel();
        following.await.unwrap();
    }

    #[test]
    fn the_advertised_address_is_one_that_others_can_use() {
        let any: IpAddr = "0.0.0.0".parse().unwrap();
        let bound: IpAddr = "10.1.2.3".parse().unwrap();
        assert_eq!(advertised(Some("repo-0.repo"), any, None), "repo-0.repo");
        assert_eq!(advertised(None, bound, None), "10.1.2.3");
        assert_eq!(
            advertised(None, any, Some("http://127.0.0.1:2379")),
            "127.0.0.1"
        );
    }
}
