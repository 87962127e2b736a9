//! Single instances.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gochat_infra::embedded::coord::MemoryCoord;
use gochat_infra::port::coord::Registry;
use gochat_infra::rpc::{ChannelConfig, Directory};
use tokio::net::{TcpListener, TcpStream};

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

/// Passes connections on and counts them: opened, and of those ended.
async fn relay(to: u16) -> (u16, Arc<[AtomicUsize; 2]>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let counted = counts.clone();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            counted[0].fetch_add(1, Ordering::SeqCst);
            let counted = counted.clone();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                counted[1].fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    (port, counts)
}

#[tokio::test]
async fn an_instance_nobody_calls_is_not_connected_to_and_let_go_afterwards() {
    let server = Server::start("gateway-1");
    let mut instance = server.instance();
    let (port, counts) = relay(instance.port).await;
    instance.port = port;
    let seen = || [0, 1].map(|at| counts[at].load(Ordering::SeqCst));
    let coord = MemoryCoord::new();
    let id = instance.id.clone();
    let _lease = coord.register(instance, Duration::from_secs(30)).await;
    let config = ChannelConfig {
        idle: Some(Duration::from_secs(3)),
        ..config()
    };
    let directory = Directory::new(coord.watch("im-test").await.unwrap(), config).unwrap();
    until("it is known", || async { !directory.names().is_empty() }).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(seen(), [0, 0], "nobody has called");

    let channel = directory.channel(&id).unwrap();
    for round in 1..=3 {
        let calls = (who(&channel), who(&channel), who(&channel));
        let (first, second, third) = tokio::join!(calls.0, calls.1, calls.2);
        for answer in [first, second, third] {
            assert_eq!(answer.unwrap(), "gateway-1");
        }
        assert_eq!(seen(), [round, round - 1], "one connection for all");
        until("it is let go", || async { seen() == [round, round] }).await;
    }
}
