//! Single instances.

use std::time::Duration;

use gochat_infra::embedded::coord::MemoryCoord;
use gochat_infra::port::coord::Registry;
use gochat_infra::rpc::Directory;

use crate::server::{Server, config, until, who};

#[tokio::test]
async fn each_instance_is_reached_by_its_name() {
    let coord = MemoryCoord::new();
    let directory = Directory::new(coord.watch("im-test").await.unwrap(), config()).unwrap();
    assert!(directory.any().is_none() && directory.channel("gateway-1").is_none());

    let servers = ["gateway-1", "gateway-2"].map(Server::start);
    let mut leases = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        // As im-gateway registers: the name of the instance is in the metadata.
        let mut instance = server.instance();
        instance.id = number.to_string();
        instance
            .metadata
            .insert("instance_id".into(), server.name.clone());
        instance
            .metadata
            .insert("grpc_port".into(), instance.port.to_string());
        instance.port = 1;
        leases.push(
            coord
                .register(instance, Duration::from_secs(30))
                .await
                .unwrap(),
        );
    }
    until("both are known", || async { directory.names().len() == 2 }).await;
    for name in ["gateway-1", "gateway-2"] {
        let channel = directory.channel(name).unwrap();
        for _ in 0..10 {
            assert_eq!(who(&channel).await.unwrap(), name);
        }
    }
    assert!(who(&directory.any().unwrap()).await.is_ok());

    let second = directory.channel("gateway-2").unwrap();
    leases.pop().unwrap().release().await;
    until("it is forgotten", || async {
        directory.channel("gateway-2").is_none()
    })
    .await;
    assert!(
        who(&second).await.unwrap_err().is_retryable(),
        "an old handle says so"
    );
    assert_eq!(who(&directory.any().unwrap()).await.unwrap(), "gateway-1");
}
