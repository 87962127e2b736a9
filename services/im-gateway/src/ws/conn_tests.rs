use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use gochat_core::session::wire;

use super::*;

const LIMITS: QueueLimits = QueueLimits {
    frames: 8,
    bytes: 1 << 20,
};

fn conn() -> Arc<Conn> {
    Conn::for_test(7, 1)
}

/// Two ends of a loopback connection whose kernel buffers are small.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let near = socket.connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(near, listener.accept());
    let far = far.unwrap().0;
    far.writable().await.unwrap();
    (far, near.unwrap())
}

fn frame(byte: u8, len: usize) -> Bytes {
    Bytes::from(vec![byte; len])
}

/// Plays the connection's task as far as writing goes.
async fn finish_writes(conn: &Conn) -> bool {
    std::future::poll_fn(|cx| conn.poll_flush(cx)).await.is_ok()
}

#[tokio::test]
async fn what_was_sent_before_the_socket_is_there_goes_out_first_and_in_order() {
    let (server, mut client) = pair().await;
    let conn = conn();
    assert_eq!(conn.send(&frame(b'a', 3), LIMITS), Sent::Accepted);
    assert_eq!(
        conn.enqueue(&frame(b'b', 2), LIMITS),
        (Sent::Accepted, false)
    );
    conn.attach(Socket::Plain(server));
    assert_eq!(conn.send(&frame(b'c', 1), LIMITS), Sent::Accepted);
    assert!(finish_writes(&conn).await);
    let mut got = [0; 6];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"aaabbc");
}

#[tokio::test]
async fn several_frames_leave_with_one_flush() {
    let (server, mut client) = pair().await;
    let conn = conn();
    conn.attach(Socket::Plain(server));
    for (i, byte) in (b'a'..=b'e').enumerate() {
        assert_eq!(
            conn.enqueue(&frame(byte, 1), LIMITS),
            (Sent::Accepted, i == 0)
        );
    }
    conn.flush();
    let mut got = [0; 5];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"abcde");
    assert_eq!(
        conn.out.lock().queue.capacity(),
        0,
        "an idle connection holds no queue"
    );
}

#[tokio::test]
async fn a_frame_the_kernel_takes_in_parts_arrives_whole() {
    let (server, mut client) = pair().await;
    let conn = conn();
    conn.attach(Socket::Plain(server));
    let big = frame(b'x', 8 << 20);
    let limits = QueueLimits {
        frames: 8,
        bytes: 16 << 20,
    };
    assert_eq!(conn.send(&big, limits), Sent::Accepted);
    assert_eq!(conn.send(&frame(b'y', 10), limits), Sent::Accepted);
    let reader = tokio::spawn(async move {
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        got
    });
    assert!(finish_writes(&conn).await);
    drop(conn);
    let got = reader.await.unwrap();
    assert_eq!(got.len(), (8 << 20) + 10);
    assert!(got.ends_with(b"xyyyyyyyyyy"));
}

#[tokio::test]
async fn what_waits_over_all_connections_is_bounded_and_given_back() {
    let (server, _client) = pair().await;
    let backlog = Arc::new(Backlog::new(64 * 64 * 1024));
    let conn = Conn::with_backlog(7, 1, backlog.clone());
    conn.attach(Socket::Plain(server));
    let limits = QueueLimits {
        frames: 10_000,
        bytes: 1 << 20,
    };
    let taken = (0..10_000)
        .take_while(|_| conn.send(&frame(b'x', 1_000), limits) == Sent::Accepted)
        .count();
    assert!(!conn.is_open(), "{taken} frames were taken");
    assert!(backlog.bytes() < 2_000, "{} wait", backlog.bytes());

    let (server, _client) = pair().await;
    let conn = Conn::with_backlog(7, 2, backlog.clone());
    conn.attach(Socket::Plain(server));
    // One frame waits for a connection, whatever its size.
    assert_eq!(conn.send(&frame(b'x', 8 << 20), limits), Sent::Accepted);
    conn.flush();
    assert!(backlog.bytes() > 1 << 20, "{} wait", backlog.bytes());
    assert_eq!(conn.send(&frame(b'y', 1), limits), Sent::Overflow);
    drop(conn);
    assert!(backlog.bytes() < 2_000, "{} wait", backlog.bytes());
}

#[tokio::test]
async fn a_slow_reader_is_closed_with_a_complete_frame_and_a_goodbye() {
    let (server, mut client) = pair().await;
    let conn = conn();
    conn.attach(Socket::Plain(server));
    let big = frame(b'x', 4 << 20);
    let limits = QueueLimits {
        frames: 3,
        bytes: 64 << 20,
    };
    let fates: Vec<_> = (0..6).map(|_| conn.send(&big, limits)).collect();
    let first_overflow = fates
        .iter()
        .position(|fate| *fate == Sent::Overflow)
        .unwrap();
    assert!((3..=4).contains(&first_overflow), "{fates:?}");
    assert!(
        fates[first_overflow + 1..]
            .iter()
            .all(|fate| *fate == Sent::Closed)
    );
    let reader = tokio::spawn(async move {
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        got
    });
    assert!(finish_writes(&conn).await);
    drop(conn);
    let got = reader.await.unwrap();
    let goodbye = wire::close(1013, CloseCode::SlowConsumer.reason());
    assert!(got.ends_with(goodbye.as_bytes()));
    let frames = got.len() - goodbye.as_bytes().len();
    assert_eq!(frames % big.len(), 0, "no frame is cut");
}

#[tokio::test]
async fn the_queue_is_bounded_by_bytes_too() {
    let conn = conn();
    let limits = QueueLimits {
        frames: 100,
        bytes: 10,
    };
    assert_eq!(
        conn.send(&frame(b'x', 50), limits),
        Sent::Accepted,
        "one frame always fits"
    );
    assert_eq!(conn.send(&frame(b'y', 1), limits), Sent::Overflow);
}

#[tokio::test]
async fn last_words_come_before_the_goodbye_and_nothing_after_it() {
    let (server, mut client) = pair().await;
    let conn = conn();
    conn.attach(Socket::Plain(server));
    assert!(conn.close(CloseCode::Replaced, Some(&frame(b'w', 3))));
    assert!(!conn.close(CloseCode::Normal, None), "once");
    assert_eq!(conn.send(&frame(b'z', 1), LIMITS), Sent::Closed);
    assert!(finish_writes(&conn).await);
    drop(conn);
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    let goodbye = wire::close(4001, CloseCode::Replaced.reason());
    assert_eq!(got, [b"www", goodbye.as_bytes()].concat());
}

#[tokio::test]
async fn a_write_without_progress_and_an_unanswered_goodbye_end() {
    let (server, _client) = pair().await;
    let stuck = conn();
    stuck.attach(Socket::Plain(server));
    let limits = QueueLimits {
        frames: 8,
        bytes: 64 << 20,
    };
    stuck.send(&frame(b'x', 16 << 20), limits);
    stuck.flush();
    let now = clock::ticks_s();
    assert!(!stuck.enforce_deadlines(now + 9, 10));
    assert!(stuck.enforce_deadlines(now + 11, 10));
    assert!(stuck.is_dead());

    let polite = conn();
    polite.close(CloseCode::GoingAway, None);
    polite.enforce_deadlines(now, 10);
    assert!(!polite.is_dead());
    polite.enforce_deadlines(now + 5, 10);
    assert!(polite.is_dead());
}

#[tokio::test]
async fn a_peer_that_is_gone_is_noticed_by_the_writer() {
    let (server, mut client) = pair().await;
    let conn = conn();
    conn.attach(Socket::Plain(server));
    client.shutdown().await.unwrap();
    drop(client);
    // The first writes may still be taken by the kernel; the reset they cause ends the rest.
    while conn.send(&frame(b'x', 1_000), LIMITS) == Sent::Accepted {
        tokio::task::yield_now().await;
    }
    assert!(!conn.is_open());
}

#[test]
fn a_connection_is_small() {
    // With the two counts of its `Arc`, a connection fits the allocator's class of 256 bytes: the
    // next one is 320.
    assert!(size_of::<Conn>() <= 240, "{}", size_of::<Conn>());
    assert!(size_of::<About>() <= 80, "{}", size_of::<About>());
}
