//! A small reverse proxy: it ends TLS, takes a path prefix off, and may swallow answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What passed an edge.
#[derive(Default)]
struct Seen {
    /// Method, path and token of every request.
    requests: Vec<(String, String)>,
    /// So many answers to refreshes are swallowed, and their connections cut.
    swallow: usize,
}

#[derive(Clone)]
pub(crate) struct Edge {
    addr: SocketAddr,
    upstream: SocketAddr,
    prefix: &'static str,
    tls: Option<TlsAcceptor>,
    seen: Arc<Mutex<Seen>>,
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

impl Edge {
    /// An edge before `upstream` that serves paths below `prefix`.
    pub(crate) async fn start(
        upstream: SocketAddr,
        prefix: &'static str,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let edge = Self {
            addr: listener.local_addr().expect("bound"),
            upstream,
            prefix,
            tls,
            seen: Arc::default(),
        };
        let serving = edge.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let edge = serving.clone();
                tokio::spawn(async move {
                    let stream: Box<dyn Io> = match &edge.tls {
                        Some(tls) => match tls.accept(tcp).await {
                            Ok(stream) => Box::new(stream),
                            Err(_) => return,
                        },
                        None => Box::new(tcp),
                    };
                    // A connection that ends is the business of its two ends.
                    let _ = edge.serve(stream).await;
                });
            }
        });
        edge
    }

    pub(crate) fn port(&self) -> u16 {
        self.addr.port()
    }

    pub(crate) fn swallow_refreshes(&self, answers: usize) {
        self.seen.lock().expect("whole").swallow = answers;
    }

    /// Requests whose first line begins so.
    pub(crate) fn requests(&self, begins: &str) -> usize {
        let seen = self.seen.lock().expect("whole");
        let found = seen.requests.iter();
        found.filter(|(line, _)| line.starts_with(begins)).count()
    }

    /// Whether a request came with this token.
    pub(crate) fn saw_token(&self, token: &str) -> bool {
        let seen = self.seen.lock().expect("whole");
        seen.requests.iter().any(|(_, used)| used == token)
    }

    async fn serve(&self, client: Box<dyn Io>) -> std::io::Result<()> {
        let mut client = BufReader::new(client);
        let mut server = BufReader::new(TcpStream::connect(self.upstream).await?);
        while let Some((head, body)) = read_message(&mut client).await? {
            let line = head.lines().next().unwrap_or_default();
            let begin = line.find(' ').unwrap_or_default() + 1;
            let Some(rest) = line[begin..].strip_prefix(self.prefix) else {
                let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
                client.write_all(answer.as_bytes()).await?;
                continue;
            };
            let line = format!("{}{rest}", &line[..begin]);
            let token = header(&head, "authorization").unwrap_or_default();
            let token = token.trim_start_matches("Bearer ").to_owned();
            let is_refresh = line.starts_with("POST /api/auth/refresh");
            let (_, headers) = head.split_once("\r\n").unwrap_or_default();
            let is_upgrade = header(&head, "upgrade").is_some();
            self.seen
                .lock()
                .expect("whole")
                .requests
                .push((line.clone(), token));
            let head = format!("{line}\r\n{headers}");
            server.write_all(head.as_bytes()).await?;
            server.write_all(&body).await?;
            if is_upgrade {
                tokio::io::copy_bidirectional(&mut client, &mut server).await?;
                return Ok(());
            }
            let Some((head, body)) = read_message(&mut server).await? else {
                return Ok(());
            };
            if is_refresh && self.swallows() {
                return Ok(());
            }
            client.write_all(head.as_bytes()).await?;
            client.write_all(&body).await?;
            client.flush().await?;
        }
        Ok(())
    }

    fn swallows(&self) -> bool {
        let mut seen = self.seen.lock().expect("whole");
        let swallows = seen.swallow > 0;
        seen.swallow = seen.swallow.saturating_sub(1);
        swallows
    }
}

/// A head with its empty line, and the body that it announces.
pub(super) async fn read_message(
    from: &mut BufReader<impl AsyncRead + Unpin>,
) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    let length = header(&head, "content-length").map_or(0, |n| n.parse().expect("a number"));
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    Ok(Some((head, body)))
}

pub(super) fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}
