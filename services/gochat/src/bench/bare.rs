//! `bench bare`: what this machine can do at most.
//!
//! Writer processes hold the accepting ends of N TCP connections and write to one after the
//! other in a plain loop; the same worker processes as in the other benchmarks read and throw
//! away. Nobody parses anything. What a server reaches is compared with this.

use std::io::{BufRead as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::Result;
use super::args::BareArgs;
use super::plan::{Place, Plan};
use super::report::{self, round};
use super::swarm::{self, Swarm};

/// Sockets of one writer process.
const PER_WRITER: usize = 18_000;

pub(super) async fn run(args: BareArgs) -> Result<ExitCode> {
    let rate = measure_for(args.connections, args.size, args.duration).await?;
    let body =
        json!({ "writes_per_second": round(rate), "microseconds_per_write": round(1e6 / rate) });
    Ok(report::print("bare", &args, 0, body))
}

/// Writes per second to `n` sockets with draining readers.
pub(super) async fn measure(n: usize, size: usize) -> Result<f64> {
    measure_for(n, size, Duration::from_secs(3)).await
}

async fn measure_for(n: usize, size: usize, duration: Duration) -> Result<f64> {
    let mut writers = Vec::new();
    for at in 0..n.div_ceil(PER_WRITER) {
        let sockets = PER_WRITER.min(n - at * PER_WRITER);
        writers.push(Writer::start(sockets, size, duration).await?);
    }
    let place = |index: usize| Place {
        server: u32::try_from(index / PER_WRITER).unwrap_or(u32::MAX),
        token: 0,
        device: 0,
        source: None,
    };
    let plan = Plan {
        servers: writers.iter().map(|w| w.address.clone()).collect(),
        tokens: vec![String::new()],
        connections: (0..n).map(place).collect(),
        concurrency: 64,
        tries: 3,
        bare: true,
        ..Plan::default()
    };
    let mut swarm = Swarm::start(swarm::split(plan, swarm::processes(None, n))).await?;
    let connected = swarm.connect(n).await?;
    if connected.failed > 0 {
        return Err(format!("{} bare connections failed", connected.failed).into());
    }
    let mut rate = 0.0;
    for writer in &mut writers {
        writer.go().await?;
    }
    for writer in &mut writers {
        rate += writer.result().await?;
    }
    swarm.finish().await?;
    Ok(rate)
}

/// The parent's view of a writer process.
struct Writer {
    child: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
    address: String,
}

impl Writer {
    async fn start(sockets: usize, size: usize, duration: Duration) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "bare-writer"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
        let stdin = child.stdin.as_mut().ok_or("no stdin")?;
        let order = format!("{sockets} {size} {}\n", duration.as_millis());
        stdin.write_all(order.as_bytes()).await?;
        let address = lines.next_line().await?.ok_or("the writer says nothing")?;
        Ok(Self {
            child,
            lines,
            address,
        })
    }

    async fn go(&mut self) -> Result<()> {
        let stdin = self.child.stdin.as_mut().ok_or("no stdin")?;
        Ok(stdin.write_all(b"go\n").await?)
    }

    async fn result(&mut self) -> Result<f64> {
        Ok(self
            .lines
            .next_line()
            .await?
            .ok_or("the writer is gone")?
            .parse()?)
    }
}

/// A writer process: reads `sockets size milliseconds`, says its address, and after `go` its writes per second.
pub(super) async fn writer() -> Result<ExitCode> {
    tokio::task::spawn_blocking(write_loop).await??;
    Ok(ExitCode::SUCCESS)
}

fn write_loop() -> Result<()> {
    let mut lines = std::io::stdin().lock().lines();
    let order = lines.next().ok_or("no order")??;
    let numbers: Vec<u64> = order.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let &[sockets, size, millis] = numbers.as_slice() else {
        return Err("bad order".into());
    };
    let listener = TcpListener::bind("127.0.0.1:0")?;
    say(&listener.local_addr()?.to_string())?;
    let mut streams = Vec::new();
    for _ in 0..sockets {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    lines.next().ok_or("no go")??;
    // Header of a text frame and its payload: the bytes a broadcast writes.
    let payload = vec![b'x'; usize::try_from(size)? + 4];
    let writes = round_and_round(&mut streams, &payload, Duration::from_millis(millis))?;
    say(&writes.to_string())
}

/// Blocking writes: a full socket slows the loop down, as it should.
fn round_and_round(streams: &mut [TcpStream], payload: &[u8], time: Duration) -> Result<f64> {
    let (started, mut writes) = (Instant::now(), 0u64);
    while started.elapsed() < time {
        for stream in &mut *streams {
            stream.write_all(payload)?;
            writes += 1;
        }
    }
    Ok(writes as f64 / started.elapsed().as_secs_f64())
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
