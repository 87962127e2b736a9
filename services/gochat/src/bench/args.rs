//! Flags.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::{Serialize, Serializer};

/// Flags of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    pub(super) mode: Mode,
}

#[derive(Debug, Subcommand)]
pub(super) enum Mode {
    /// Hold idle connections; memory per connection.
    Connections(HoldArgs),
    /// Messages per second and latency, from send to ack and from send to receive.
    Pipeline(PipelineArgs),
    /// One world-chat message to every connection.
    Fanout(FanoutArgs),
    /// Handshakes per second when everybody comes back at once.
    Reconnect(StormArgs),
    /// Latency of the conversation list of a user with many conversations.
    Conversations(ListArgs),
    /// Latency of history pages.
    History(HistoryArgs),
    /// Two programs, or two states of the source, in turn on fresh data; ratios with their spread.
    Compare(CompareArgs),
    /// The limit of this machine: a bare loop of writes to N sockets with draining readers.
    Bare(BareArgs),
    #[command(hide = true)]
    Worker,
    #[command(hide = true)]
    BareWriter,
}

/// Where the server is and how to reach it.
#[derive(Debug, Clone, Args, Serialize)]
pub(super) struct Target {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub(super) url: String,
    /// Further addresses of the same system (other gateways); connections are spread over all.
    #[arg(long, value_delimiter = ',')]
    pub(super) also: Vec<String>,
    /// Process whose memory and CPU time are reported; may be repeated.
    #[arg(long, value_delimiter = ',')]
    pub(super) server_pid: Vec<u32>,
    /// Local addresses to connect from, for more than 28,000 connections.
    #[arg(long, value_name = "NET/BITS")]
    pub(super) source_addrs: Option<String>,
    /// Worker processes; default: as many as the connections need.
    #[arg(long)]
    pub(super) processes: Option<usize>,
    /// Handshakes under way at a time, per worker process.
    #[arg(long, default_value_t = 128)]
    pub(super) concurrency: usize,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(super) struct HoldArgs {
    #[command(flatten)]
    pub(super) target: Target,
    /// Connections to hold.
    #[arg(short = 'n', long, default_value_t = 1000)]
    pub(super) connections: usize,
    /// Connections per user; the server's `sessions_per_user` must allow it.
    #[arg(long, default_value_t = 5)]
    pub(super) per_user: usize,
    /// Connections after which memory is measured first; the slope starts here.
    #[arg(long, default_value_t = 1000)]
    pub(super) first: usize,
    /// How long to hold them.
    #[serde(serialize_with = "as_seconds")]
    #[arg(long, value_parser = seconds, default_value = "10")]
    pub(super) duration: Duration,
    /// Finally send one world message and count whom it reaches.
    #[arg(long)]
    pub(super) reach: bool,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(super) struct PipelineArgs {
    #[command(flatten)]
    pub(super) target: Target,
    /// Pairs of users that talk (each a registered sender and a guest who listens).
    #[arg(long, default_value_t = 100)]
    pub(super) pairs: usize,
    /// Conversations among them; more than pairs means several per user.
    #[arg(long)]
    pub(super) conversations: Option<usize>,
    /// Groups instead of pairs.
    #[arg(long, default_value_t = 0)]
    pub(super) groups: usize,
    /// Members of each group, the sender included.
    #[arg(long, default_value_t = 10)]
    pub(super) group_size: usize,
    /// Messages per second in all. 0: as fast as the window allows.
    #[arg(long, default_value_t = 1000.0)]
    pub(super) rate: f64,
    /// With rate 0: messages each sender keeps on their way.
    #[arg(long, default_value_t = 16)]
    pub(super) window: u32,
    /// Messages per second of one more user, who reads history after each acknowledgement: the time
    /// until the message is there. 0: none.
    #[arg(long, default_value_t = 0.0)]
    pub(super) read_back: f64,
    /// Edit every n-th message once it is acknowledged. 0: none.
    #[arg(long, default_value_t = 0)]
    pub(super) edit_every: u64,
    /// Bytes of content.
    #[arg(long, default_value_t = 200)]
    pub(super) size: usize,
    /// How long to measure.
    #[serde(serialize_with = "as_seconds")]
    #[arg(long, value_parser = seconds, default_value = "10")]
    pub(super) duration: Duration,
    /// How long to run before measuring.
    #[serde(serialize_with = "as_seconds")]
    #[arg(long, value_parser = seconds, default_value = "2")]
    pub(super) warmup: Duration,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(super) struct FanoutArgs {
    #[command(flatten)]
    pub(super) target: Target,
    /// Connections that listen.
    #[arg(short = 'n', long, default_value_t = 1000)]
    pub(super) connections: usize,
    /// Connections per user.
    #[arg(long, default_value_t = 5)]
    pub(super) per_user: usize,
    /// Messages per second. 0: the next one as soon as an earlier one has reached everybody.
    #[arg(long, default_value_t = 0.0)]
    pub(super) rate: f64,
    /// With rate 0: messages on their way at a time.
    #[arg(long, default_value_t = 2)]
    pub(super) in_flight: usize,
    /// Bytes of content.
    #[arg(long, default_value_t = 200)]
    pub(super) size: usize,
    /// How long to measure.
    #[serde(serialize_with = "as_seconds")]
    #[arg(long, value_parser = seconds, default_value = "10")]
    pub(super) duration: Duration,
    /// How long to run before measuring.
    #[serde(serialize_with = "as_seconds")]
    #[arg(long, value_parser = seconds, default_value = "1")]
    pub(super) warmup: Duration,
    /// Also measure the bare write loop with the same number of sockets, and give the ratio.
    #[arg(long)]
    pub(super) bare: bool,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(super) struct StormArgs {
    #[command(flatten)]
    pub(super) target: Target,
    /// Connections that come back.
    #[arg(short = 'n', long, default_value_t = 1000)]
    pub(super) connections: usize,
    /// Connections per user.
    #[arg(long, default_value_t = 5)]
    pub(super) per_user: usize,
    /// How often everything is dropped and comes back.
    #[arg(long, default_value_t = 1)]
    pub(super) rounds: u32,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(super) struct ListArgs {
    #[command(flatten)]
    pub(super) target: Target,
    /// Conversations of the user.
    #[arg(long, default_value_t = 1000)]
    pub(super) count: usize,
    /// Conversations per page.
    #[arg(long, default_value_t = 20)]
    pub(super) page: u32,
    /// Requests per second.
    #[arg(long, default_value_t = 50.0)]
    pub(super) rate: f64,
    /// How long to measure.
    #[serde(serialize_with = "as_seconds")]
    #[arg(long, value_parser = seconds, default_value = "10")]
    pub(super) duration: Duration,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    pub(super) target: Target,
    /// Messages the conversation must hold; the missing ones are sent first.
    #[arg(long, default_value_t = 1000)]
    pub(super) fill: u64,
    /// Messages per page.
    #[arg(long, default_value_t = 50)]
    pub(super) page: u32,
    /// Requests per second.
    #[arg(long, default_value_t = 50.0)]
    pub(super) rate: f64,
    /// How long to measure.
    #[serde(serialize_with = "as_seconds")]
    #[arg(long, value_parser = seconds, default_value = "10")]
    pub(super) duration: Duration,
}

#[derive(Debug, Clone, Args, Serialize)]
pub(super) struct BareArgs {
    /// Sockets to write to.
    #[arg(short = 'n', long, default_value_t = 1000)]
    pub(super) connections: usize,
    /// Bytes per write.
    #[arg(long, default_value_t = 200)]
    pub(super) size: usize,
    /// How long to measure.
    #[serde(serialize_with = "as_seconds")]
    #[arg(long, value_parser = seconds, default_value = "5")]
    pub(super) duration: Duration,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = COMPARE_HELP)]
pub(super) struct CompareArgs {
    /// State to compare with: a program, a commit (built first, kept in target/compare), or `.` for
    /// the work tree.
    #[arg(value_name = "A", required_unless_present = "list", default_value = "")]
    pub(super) before: String,
    /// State to judge, named in the same way.
    #[arg(value_name = "B", required_unless_present = "list", default_value = "")]
    pub(super) now: String,
    /// Rows to measure, as `--list` names them; `P4` means all of its kind. All but the long ones
    /// without it.
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    pub(super) rows: Vec<String>,
    /// Runs of each program per row.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub(super) rounds: u32,
    /// Setting of both servers; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Setting of A's server only; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set_before: Vec<String>,
    /// Setting of B's server only; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set_now: Vec<String>,
    /// Processors of the server, such as 0,2-3; the first one without it.
    #[arg(long, value_name = "LIST")]
    pub(super) server_cpus: Option<String>,
    /// Processors of the load; the others without it.
    #[arg(long, value_name = "LIST")]
    pub(super) load_cpus: Option<String>,
    /// Exit with 1 when a figure of B is worse than this part of A's, such as 0.95.
    #[arg(long, value_name = "PART")]
    pub(super) floor: Option<f64>,
    /// Show the rows and their commands.
    #[arg(long)]
    pub(super) list: bool,
}

/// Shown below the flags of `bench compare`.
const COMPARE_HELP: &str = "\
Try it:
  gochat bench compare v0.1.0 . --rows P3,P4             the work tree against a commit
  gochat bench compare ./old ./new --rounds 3            two programs, every row
  gochat bench compare . . --rows P4 --set-now task.persist.pace_ms=20
                                                         one program with two settings

Tables go to stdout as rows end, and one line of JSON at the end.";

fn as_seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// Seconds, possibly with a fraction.
fn seconds(text: &str) -> Result<Duration, String> {
    let value: f64 = text
        .trim_end_matches('s')
        .parse()
        .map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(value).map_err(|e| e.to_string())
}
