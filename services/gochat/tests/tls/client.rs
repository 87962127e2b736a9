//! Clients over TLS: HTTP by hand, and a WebSocket.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::kit::PATIENCE;

/// A TCP stream that lets go of so many bytes per write at most.
#[derive(Debug)]
pub(crate) struct Crumbs {
    tcp: TcpStream,
    size: usize,
}

pub(crate) type Stream = TlsStream<Crumbs>;

/// How a client connects.
pub(crate) struct Habits {
    pub(crate) receive_buffer: Option<u32>,
    pub(crate) crumbs: usize,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            receive_buffer: None,
            crumbs: usize::MAX,
        }
    }
}

/// Connects and shakes hands.
pub(crate) async fn connect(addr: SocketAddr, config: ClientConfig) -> io::Result<Stream> {
    connect_with(addr, config, &Habits::default()).await
}

pub(crate) async fn connect_with(
    addr: SocketAddr,
    config: ClientConfig,
    habits: &Habits,
) -> io::Result<Stream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = habits.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    let tcp = socket.connect(addr).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").expect("a name");
    let size = habits.crumbs;
    let hands = TlsConnector::from(Arc::new(config)).connect(name, Crumbs { tcp, size });
    tokio::time::timeout(PATIENCE, hands)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// One HTTPS request on a connection of its own: status and JSON body.
pub(crate) async fn https(
    addr: SocketAddr,
    config: ClientConfig,
    head: &str,
    headers: &str,
    body: &str,
) -> (u16, Value) {
    let mut stream = connect(addr, config).await.expect("a handshake");
    let request = format!(
        "{head} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         {headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    // Reads to the end: the server says that the end is meant, or this fails.
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status");
    (
        status.parse().expect("a number"),
        serde_json::from_str(body).unwrap_or(Value::Null),
    )
}

/// The token of a new guest.
pub(crate) async fn guest(addr: SocketAddr, config: ClientConfig) -> String {
    let (status, reply) = https(addr, config, "POST /api/auth/guest", "", "").await;
    assert_eq!(status, 201, "{reply}");
    let token = reply["data"]["accessToken"].as_str();
    token.expect("a token").to_owned()
}

/// A WebSocket over TLS, driven byte by byte.
pub(crate) struct Wss {
    pub(crate) stream: Stream,
}

/// What a server sends.
#[derive(Debug)]
pub(crate) enum Got {
    Text(Value),
    Close(u16),
    Control,
}

impl Wss {
    pub(crate) async fn open(addr: SocketAddr, config: ClientConfig) -> Self {
        Self::open_with(addr, config, &Habits::default()).await
    }

    pub(crate) async fn open_with(addr: SocketAddr, config: ClientConfig, habits: &Habits) -> Self {
        let token = guest(addr, config.clone()).await;
        let mut stream = connect_with(addr, config, habits)
            .await
            .expect("a handshake");
        let request = format!(
            "GET /ws?token={token} HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("written");
        // In crumbs, a long request does not leave with one turn of the runtime.
        stream.flush().await.expect("written");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
        assert!(
            head.starts_with(b"HTTP/1.1 101"),
            "{}",
            String::from_utf8_lossy(&head)
        );
        Self { stream }
    }

    /// Sends a frame; the first byte is given as it is.
    pub(crate) async fn write(&mut self, first: u8, payload: &[u8]) -> io::Result<()> {
        self.stream.write_all(&masked(first, payload)).await?;
        self.stream.flush().await
    }

    /// Sends a text to the world chat.
    pub(crate) async fn say(&mut self, content: &str, client_id: &str) {
        let frame = serde_json::json!({"type": "send-message", "data": {
            "conversationId": "world", "content": content, "messageType": 1, "client_msg_id": client_id}});
        let sent = self.write(0x81, frame.to_string().as_bytes()).await;
        sent.expect("the frame is taken");
    }

    /// The next frame, in time.
    pub(crate) async fn read(&mut self) -> io::Result<Got> {
        let read = async {
            let mut head = [0; 2];
            self.stream.read_exact(&mut head).await?;
            let len = match head[1] {
                126 => u64::from(self.stream.read_u16().await?),
                127 => self.stream.read_u64().await?,
                n => u64::from(n),
            };
            let mut payload = vec![0; usize::try_from(len).map_err(io::Error::other)?];
            self.stream.read_exact(&mut payload).await?;
            let code = payload.first_chunk().map(|c| u16::from_be_bytes(*c));
            Ok(match head[0] {
                0x81 => Got::Text(serde_json::from_slice(&payload)?),
                0x88 => Got::Close(code.unwrap_or(1005)),
                _ => Got::Control,
            })
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The next text frame of a type.
    pub(crate) async fn wait_for(&mut self, kind: &str) -> Value {
        loop {
            match self.read().await.expect("the connection stands") {
                Got::Text(frame) if frame["type"] == kind => return frame,
                Got::Close(code) => panic!("closed with {code} before a {kind}"),
                _ => {}
            }
        }
    }

    /// Whether the server answers on this connection.
    pub(crate) async fn is_alive(&mut self) -> bool {
        self.write(0x81, br#"{"type":"ping"}"#).await.is_ok()
            && self.wait_for("pong").await["type"] == "pong"
    }
}

/// A client frame.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x11, 0x22, 0x33, 0x44];
    let mut frame = vec![first];
    match u16::try_from(payload.len()) {
        Ok(n @ 0..=125) => frame.push(0x80 | n as u8),
        Ok(n) => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&n.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    frame
}

impl AsyncRead for Crumbs {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Crumbs {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let crumb = &bytes[..bytes.len().min(self.size)];
        Pin::new(&mut self.tcp).poll_write(cx, crumb)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
