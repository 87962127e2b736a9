use gochat_core::session::frame::ServerFrame;
use gochat_infra::embedded::log::{EmbeddedLog, LogConfig};
use gochat_infra::rpc::Channel;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::peers::NoPeers;
use crate::tokens::Identity;
use crate::ws::conn::About;
use crate::ws::socket::Socket;
use crate::{Config, Ports};

/// A connection with its task running, and the client's end of it.
struct Rig {
    client: TcpStream,
    gw: Gw,
    task: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

async fn rig(config: Config) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(LogConfig::new(dir.path())).unwrap();
    let ports = Ports {
        mq: Arc::new(log),
        logic: Channel::unavailable("not part of this test"),
        repo: Channel::unavailable("not part of this test"),
        peers: Arc::new(NoPeers),
        first_conn_id: 1,
        known_tokens: None,
    };
    let (gw, _queues) = crate::gateway::assemble(config, ports);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = tokio::join!(client, listener.accept());
    let identity = Identity {
        user: gochat_core::ids::UserId::new(7).unwrap(),
        guest: false,
        username: None,
        session: gochat_core::token::SessionId::new(0),
        issued_at: 0,
        expires_at: i64::MAX,
    };
    let conn = Arc::new(Conn::new(
        1,
        &identity,
        About::default(),
        gw.backlog.clone(),
    ));
    conn.attach(Socket::Plain(server.unwrap().0));
    let task = tokio::spawn(ConnTask::new(gw.clone(), conn, None));
    Rig {
        client: client.unwrap(),
        gw,
        task,
        _dir: dir,
    }
}

/// A masked client frame.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1u8, 2, 3, 4];
    let mut frame = vec![first];
    match payload.len() {
        n @ 0..=125 => frame.push(0x80 | n as u8),
        n @ 126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(n as u16).to_be_bytes());
        }
        n => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(n as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
    frame
}

impl Rig {
    async fn write(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.unwrap();
    }

    /// The next server frame: opcode and payload.
    async fn read(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.client.read_exact(&mut head).await.unwrap();
        let len = match head[1] {
            126 => usize::from(self.client.read_u16().await.unwrap()),
            127 => self.client.read_u64().await.unwrap() as usize,
            n => usize::from(n),
        };
        let mut payload = vec![0; len];
        self.client.read_exact(&mut payload).await.unwrap();
        (head[0] & 0x0F, payload)
    }

    async fn read_error(&mut self) -> String {
        let (opcode, payload) = self.read().await;
        assert_eq!(opcode, 1);
        let text = String::from_utf8(payload).unwrap();
        match ServerFrame::parse(&text).unwrap().0 {
            ServerFrame::ErrorFrame(e) => e.code.into_owned(),
            other => panic!("not an error: {other:?}"),
        }
    }

    async fn read_close(&mut self) -> u16 {
        let (opcode, payload) = self.read().await;
        assert_eq!(opcode, 8);
        u16::from_be_bytes([payload[0], payload[1]])
    }
}

#[tokio::test]
async fn pings_of_both_kinds_are_answered() {
    let mut rig = rig(Config::default()).await;
    rig.write(&masked(0x89, b"hey")).await;
    assert_eq!(rig.read().await, (0xA, b"hey".to_vec()));
    rig.write(&masked(0x81, br#"{"type":"ping"}"#)).await;
    let (opcode, text) = rig.read().await;
    assert_eq!(opcode, 1);
    assert!(text.starts_with(br#"{"type":"pong","timestamp":"#));
}

#[tokio::test]
async fn a_frame_may_arrive_byte_by_byte_and_leaves_no_buffer() {
    let mut rig = rig(Config::default()).await;
    for byte in masked(0x81, br#"{"type":"ping"}"#) {
        rig.write(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.read().await.0, 1);
    assert_eq!(rig.gw.held_bytes.0.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_goodbye_is_answered_and_ends_the_task() {
    let mut rig = rig(Config::default()).await;
    rig.write(&masked(0x88, &1000u16.to_be_bytes())).await;
    assert_eq!(rig.read_close().await, 1000);
    rig.task.await.unwrap();
    assert_eq!(rig.client.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_peer_that_just_leaves_ends_the_task() {
    let rig = rig(Config::default()).await;
    drop(rig.client);
    rig.task.await.unwrap();
}

#[tokio::test]
async fn nonsense_is_an_error_and_the_connection_stays() {
    let mut rig = rig(Config::default()).await;
    let deep = "[".repeat(100_000);
    for text in [
        "",
        "{",
        "[]",
        r#"{"type":"dance"}"#,
        r#"{"type":"typing"}"#,
        &deep,
    ] {
        rig.write(&masked(0x81, text.as_bytes())).await;
        assert_eq!(rig.read_error().await, "INVALID_MESSAGE");
    }
    rig.write(&masked(0x82, b"binary")).await;
    assert_eq!(rig.read_error().await, "INVALID_MESSAGE");
    rig.write(&masked(0x81, br#"{"type":"ping"}"#)).await;
    assert_eq!(rig.read().await.0, 1);
}

#[tokio::test]
async fn a_frame_that_claims_too_much_is_refused_before_it_is_sent() {
    let mut rig = rig(Config::default()).await;
    let mut head = vec![0x81, 0x80 | 127];
    head.extend_from_slice(&(1u64 << 40).to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    rig.write(&head).await;
    assert_eq!(rig.read_error().await, "MESSAGE_TOO_LARGE");
    assert_eq!(rig.read_close().await, 1009);
}

#[tokio::test]
async fn endless_fragments_are_refused() {
    let mut config = Config::default();
    config.websocket.max_fragments = 10;
    let mut rig = rig(config).await;
    rig.write(&masked(0x01, b"a")).await;
    for _ in 0..20 {
        rig.write(&masked(0x00, b"")).await;
    }
    assert_eq!(rig.read_close().await, 4008);
}

#[tokio::test]
async fn bytes_that_are_no_websocket_end_the_connection() {
    for (bytes, code) in [
        (masked(0x81, &[0xFF, 0xFE]), 1007),
        (vec![0x81, 0x01, b'x'], 1002),
        (masked(0xF1, b"x"), 1002),
        (masked(0x83, b"x"), 1002),
        (masked(0x80, b"x"), 1002),
    ] {
        let mut rig = rig(Config::default()).await;
        rig.write(&bytes).await;
        assert_eq!(rig.read_close().await, code, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_flood_is_refused_and_then_closed() {
    let mut config = Config::default();
    (
        config.websocket.rate,
        config.websocket.burst,
        config.websocket.max_refused,
    ) = (1, 2, 3);
    let mut rig = rig(config).await;
    for _ in 0..6 {
        rig.write(&masked(0x81, br#"{"type":"ping"}"#)).await;
    }
    for _ in 0..2 {
        assert_eq!(rig.read().await.0, 1);
    }
    for _ in 0..2 {
        assert_eq!(rig.read_error().await, "RATE_LIMITED");
    }
    assert_eq!(rig.read_close().await, 4008);
}

#[tokio::test]
async fn unfinished_messages_are_bounded_over_all_connections() {
    let mut config = Config::default();
    config.websocket.max_partial_bytes = 100_000;
    let mut rig = rig(config).await;
    let frame = masked(0x81, &vec![b'x'; 900_000]);
    rig.write(&frame[..500_000]).await;
    assert_eq!(rig.read_close().await, 4008);
    assert_eq!(rig.gw.held_bytes.0.load(Ordering::Relaxed), 0);
}

#[test]
fn the_task_of_a_connection_is_small() {
    assert!(size_of::<ConnTask>() <= 128, "{}", size_of::<ConnTask>());
}
