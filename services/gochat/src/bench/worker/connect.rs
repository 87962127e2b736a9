//! Opening connections, many at a time.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinSet, spawn_local};

use super::super::plan::{Connection, Word};
use super::super::stats::Latency;
use super::receive;
use super::say;
use super::shared::{Open, Shared};
use super::upgrade::upgrade;
use super::writer::Writer;

/// Longest handshake.
const TIMEOUT: Duration = Duration::from_secs(20);

struct Tally {
    latency: Latency,
    open: usize,
    failed: usize,
    retried: u64,
}

/// Opens the next `n` connections of the plan and says how it went.
pub(super) async fn open_more(shared: &Rc<Shared>, n: usize) {
    let started = Instant::now();
    let from = shared.next_connection.get();
    let to = (from + n).min(shared.plan.connections.len());
    let mut tally = Tally {
        latency: Latency::new(),
        open: 0,
        failed: 0,
        retried: 0,
    };
    let mut tasks = JoinSet::new();
    for index in from..to {
        if tasks.len() >= shared.plan.concurrency.max(1)
            && let Some(outcome) = tasks.join_next().await
        {
            tally.count(shared, outcome);
        }
        let shared = shared.clone();
        tasks.spawn_local(async move { open(&shared, index).await });
    }
    while let Some(outcome) = tasks.join_next().await {
        tally.count(shared, outcome);
    }
    shared.next_connection.set(to);
    shared.arm();
    say(&Word::Connected {
        open: tally.open,
        failed: tally.failed,
        retried: tally.retried,
        micros: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        latency: tally.latency.export(),
    });
}

struct Opened {
    index: usize,
    stream: Option<(TcpStream, Vec<u8>)>,
    retried: u64,
    micros: u64,
}

impl Tally {
    fn count(&mut self, shared: &Rc<Shared>, outcome: Result<Opened, tokio::task::JoinError>) {
        let Ok(Opened {
            index,
            stream,
            retried,
            micros,
        }) = outcome
        else {
            self.failed += 1;
            return;
        };
        self.retried += retried;
        let Some((stream, rest)) = stream else {
            self.failed += 1;
            return;
        };
        self.open += 1;
        self.latency.record(micros);
        let writer = Writer::new(stream);
        let reader = spawn_local(receive::run(index, writer.clone(), rest, shared.clone()));
        shared.open.borrow_mut().push(Open {
            index,
            writer,
            reader: reader.abort_handle(),
        });
    }
}

async fn open(shared: &Shared, index: usize) -> Opened {
    let mut connection;
    let mut opened = Opened {
        index,
        stream: None,
        retried: 0,
        micros: 0,
    };
    let started = Instant::now();
    for attempt in 0..shared.plan.tries.max(1) {
        // By the token that is good now.
        connection = shared.plan.connection(index, &shared.tokens.borrow());
        let connection = &connection;
        let opening = async {
            let stream = connect(connection).await?;
            if shared.plan.bare {
                Ok((stream, Vec::new()))
            } else {
                upgrade(stream, connection).await
            }
        };
        match tokio::time::timeout(TIMEOUT, opening).await {
            Ok(Ok(stream)) => {
                opened.stream = Some(stream);
                break;
            }
            // One line in a thousand says enough; the count says the rest.
            Ok(Err(error)) if attempt == 0 && index.is_multiple_of(1000) => {
                eprintln!("handshake {index}: {error}");
            }
            _ => {}
        }
        opened.retried += 1;
        tokio::time::sleep(Duration::from_millis(50 << attempt.min(6))).await;
    }
    opened.micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    opened
}

pub(crate) async fn connect(connection: &Connection) -> io::Result<TcpStream> {
    let server: SocketAddr = match connection.server.parse() {
        Ok(server) => server,
        Err(_) => tokio::net::lookup_host(&connection.server)
            .await?
            .find(SocketAddr::is_ipv4)
            .ok_or(io::ErrorKind::NotFound)?,
    };
    let socket = if server.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if let Some(source) = connection.source {
        socket.bind((source, 0).into())?;
    }
    let stream = socket.connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
