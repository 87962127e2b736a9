//! A client without manners: raw bytes over a socket.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use gochat::embedded::{self, Running};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::RwLock;

/// How long anything that must happen may take on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Memory is measured of the whole process: tests that measure it run alone, all others side by
/// side.
static ALONE: RwLock<()> = RwLock::const_new(());

/// A guard of [`ALONE`].
type Turn = Box<dyn Any + Send + Sync>;

/// A server of one test. A test has one at a time.
pub(crate) struct Server {
    running: Running,
    panics_before: usize,
    _dir: TempDir,
    _turn: Turn,
}

impl Server {
    /// Starts a server with some settings, `key=value`.
    pub(crate) async fn start(settings: &[&str]) -> Self {
        Self::start_in(Box::new(ALONE.read().await), settings).await
    }

    /// Starts a server while no other test has one, so that memory that grows is this server's.
    pub(crate) async fn start_alone(settings: &[&str]) -> Self {
        Self::start_in(Box::new(ALONE.write().await), settings).await
    }

    async fn start_in(turn: Turn, settings: &[&str]) -> Self {
        count_panics();
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
        let base = [
            format!("data_dir={}", dir.path().display()),
            "gateway.listen=127.0.0.1:0".to_owned(),
            "gateway.rates.disabled=true".to_owned(),
            "logic.passwords.memory_kib=64".to_owned(),
            "logic.passwords.passes=1".to_owned(),
        ];
        let all: Vec<String> = base
            .into_iter()
            .chain(settings.iter().map(|s| (*s).to_owned()))
            .collect();
        let config =
            gochat::config::Config::load(None, std::iter::empty(), &all).expect("valid settings");
        let running = embedded::start(config).await.expect("the server starts");
        Self {
            running,
            panics_before: PANICS.load(Ordering::Relaxed),
            _dir: dir,
            _turn: turn,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.running.addr()
    }

    /// A connection that has not said anything.
    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.addr())
            .await
            .expect("the server accepts")
    }

    /// A connection from another loopback address, which has limits of its own.
    pub(crate) async fn tcp_from(&self, last: [u8; 2]) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        let address = SocketAddr::from(([127, 0, last[0], last[1]], 0));
        socket.bind(address).expect("a loopback address");
        socket
            .connect(self.addr())
            .await
            .expect("the server accepts")
    }

    /// The head of the answer to one request from a loopback address; empty when the connection
    /// ends without one.
    pub(crate) async fn ask_from(&self, last: [u8; 2], line: &str, headers: &str) -> String {
        let mut socket = self.tcp_from(last).await;
        let request = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
        let _ = socket.write_all(request.as_bytes()).await;
        head(&mut socket).await.unwrap_or_default()
    }

    /// One HTTP request on a connection of its own.
    pub(crate) async fn http(&self, head: &str, body: &[u8]) -> (u16, Value) {
        let mut socket = self.tcp().await;
        let request = format!(
            "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        // A server that refuses early may close before it has read everything.
        let _ = socket.write_all(request.as_bytes()).await;
        let _ = socket.write_all(body).await;
        answer(&mut socket).await.expect("an answer")
    }

    /// The token of a new guest.
    pub(crate) async fn guest(&self) -> String {
        let (status, reply) = self.http("POST /api/auth/guest", b"").await;
        assert_eq!(status, 201, "{reply}");
        reply["data"]["accessToken"]
            .as_str()
            .expect("a token")
            .to_owned()
    }

    /// An authenticated WebSocket. `receive_buffer` keeps the kernel from hiding a slow reader.
    pub(crate) async fn open(&self, receive_buffer: Option<u32>) -> Raw {
        let token = self.guest().await;
        let opened = self.try_open(&token, receive_buffer).await;
        opened.unwrap_or_else(|head| panic!("{head}"))
    }

    /// The same with a token that is there; the head of the answer when it is refused.
    pub(crate) async fn try_open(
        &self,
        token: &str,
        receive_buffer: Option<u32>,
    ) -> Result<Raw, String> {
        let socket = TcpSocket::new_v4().expect("a socket");
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes).expect("a small buffer");
        }
        let mut socket = socket
            .connect(self.addr())
            .await
            .expect("the server accepts");
        let request = format!(
            "GET /ws?token={token} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        socket
            .write_all(request.as_bytes())
            .await
            .expect("the request is taken");
        let head = head(&mut socket).await.expect("an answer");
        match head.starts_with("HTTP/1.1 101") {
            true => Ok(Raw { socket }),
            false => Err(head),
        }
    }

    /// Somebody with manners is still served: a message is sent, acknowledged and found in history.
    pub(crate) async fn serves_others(&self) {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let id = format!("polite-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut polite = self.open(None).await;
        polite.say("still here", &id).await;
        let ack = polite.wait_for("message-ack").await;
        assert_eq!(ack["data"]["client_msg_id"], id);
    }

    /// No task of the server has panicked since it started.
    pub(crate) fn never_panicked(&self) {
        assert_eq!(
            PANICS.load(Ordering::Relaxed),
            self.panics_before,
            "something panicked"
        );
    }

    /// Stops the server; must work whatever was done to it.
    pub(crate) async fn stop(self) {
        let Self {
            running,
            _dir,
            _turn,
            ..
        } = self;
        tokio::time::timeout(PATIENCE, running.stop())
            .await
            .expect("stops in time")
            .expect("stops cleanly");
    }
}

fn count_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            usual(info);
        }));
    });
}

/// A WebSocket driven byte by byte.
pub(crate) struct Raw {
    pub(crate) socket: TcpStream,
}

/// What a server sends.
#[derive(Debug)]
pub(crate) enum Got {
    Text(Value),
    Close(u16),
    Control,
}

impl Raw {
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await
    }

    /// Sends a text to the world chat.
    pub(crate) async fn say(&mut self, content: &str, client_id: &str) {
        let frame = serde_json::json!({"type": "send-message", "data": {
            "conversationId": "world", "content": content, "messageType": 1, "client_msg_id": client_id}});
        self.write(&masked(0x81, frame.to_string().as_bytes()))
            .await
            .expect("the frame is taken");
    }

    /// The next frame, in time.
    pub(crate) async fn read(&mut self) -> io::Result<Got> {
        let read = async {
            let mut head = [0; 2];
            self.socket.read_exact(&mut head).await?;
            let len = match head[1] {
                126 => u64::from(self.socket.read_u16().await?),
                127 => self.socket.read_u64().await?,
                n => u64::from(n),
            };
            let mut payload = vec![0; usize::try_from(len).map_err(io::Error::other)?];
            self.socket.read_exact(&mut payload).await?;
            Ok(match head[0] {
                0x81 => Got::Text(serde_json::from_slice(&payload)?),
                0x88 => Got::Close(
                    payload
                        .first_chunk()
                        .map_or(1005, |c| u16::from_be_bytes(*c)),
                ),
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

    /// Reads until the end; the close code, if the server gave one.
    pub(crate) async fn end(&mut self) -> Option<u16> {
        loop {
            match self.read().await {
                Ok(Got::Close(code)) => return Some(code),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::TimedOut => {
                    panic!("the connection does not end")
                }
                Err(_) => return None,
            }
        }
    }
}

/// A client frame; the first byte is given as it is.
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

/// The head of a response.
pub(crate) async fn head(socket: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let read = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await?);
        }
        io::Result::Ok(())
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Status and JSON body of a response on a connection that is closed after it.
pub(crate) async fn answer(socket: &mut TcpStream) -> io::Result<(u16, Value)> {
    let head = head(socket).await?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or_default();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    socket.read_exact(&mut body).await?;
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

/// Whether the peer has closed the connection (or reset it), within [`PATIENCE`].
pub(crate) async fn is_closed(socket: &mut TcpStream) -> bool {
    let mut buffer = [0; 4_096];
    let drained = async { while !matches!(socket.read(&mut buffer).await, Ok(0) | Err(_)) {} };
    tokio::time::timeout(PATIENCE, drained).await.is_ok()
}

/// Repeatable randomness (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.roll() % n.max(1) as u64) as usize
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.roll() as u8).collect()
    }
}

/// Resident memory of this process (server and test) in bytes; 0 where nobody says.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|l| l.split_whitespace().next())
        .and_then(|n| n.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}
