//! What is measured: the rows of docs/benchmarks.md.

use std::time::Duration;

use super::super::Result;
use super::figures::{Better, Figure, Source};

/// A benchmark, and what is read from its result.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: &'static str,
    pub(super) what: &'static str,
    /// Words after `gochat bench`; none: only the start of the server is measured.
    pub(super) load: &'static str,
    /// How long the server rests before its memory is looked at again.
    pub(super) rest: Duration,
    /// Whether it runs only when it is named: it takes minutes.
    pub(super) is_long: bool,
    pub(super) figures: &'static [Figure],
}

const fn lower(name: &'static str, unit: &'static str, source: Source) -> Figure {
    Figure {
        name,
        unit,
        source,
        better: Better::Lower,
    }
}

const fn higher(name: &'static str, unit: &'static str, source: Source) -> Figure {
    Figure {
        name,
        unit,
        source,
        better: Better::Higher,
    }
}

const fn row(
    id: &'static str,
    what: &'static str,
    load: &'static str,
    figures: &'static [Figure],
) -> Row {
    Row {
        id,
        what,
        load,
        rest: Duration::ZERO,
        is_long: false,
        figures,
    }
}

use Source::{Median, Per, Value};

const DELIVERED: Figure = higher("deliveries", "/s", Value("delivered_per_second"));
const P50: Figure = lower("delivery p50", "ms", Value("delivery_ms.p50"));
const P90: Figure = lower("delivery p90", "ms", Value("delivery_ms.p90"));
const P99: Figure = lower("delivery p99", "ms", Value("delivery_ms.p99"));
const P999: Figure = lower("delivery p99.9", "ms", Value("delivery_ms.p999"));
const CPU: Figure = lower("CPU of the server", "s", Value("server.cpu_seconds"));
const PER_MESSAGE: Figure = lower(
    "CPU per message",
    "ms",
    Per("server.cpu_seconds", "counts.sent", 1_000.0),
);
const PER_DELIVERY: Figure = lower(
    "CPU per delivery",
    "µs",
    Per("server.cpu_seconds", "counts.delivered", 1e6),
);
const MEMORY: Figure = lower("memory afterwards", "MB", Per("server.pss_after", "", 1e-6));
const TIMED: &[Figure] = &[P50, P90, P99, P999, PER_MESSAGE, MEMORY];
const WORLD: &[Figure] = &[
    higher("deliveries", "/s", Value("deliveries_per_second")),
    P50,
    P99,
    PER_DELIVERY,
];
const GROUP: &[Figure] = &[DELIVERED, P50, P99, PER_DELIVERY];

/// Every row.
pub(super) static ROWS: &[Row] = &[
    row(
        "P1",
        "idle connections",
        "connections -n 18000 --per-user 5 --duration 3",
        &[
            lower(
                "memory per connection",
                "B",
                Value("per_connection.pss_bytes"),
            ),
            lower("CPU of connecting", "s", Value("server.cpu_seconds")),
            lower("connecting", "s", Value("connect_seconds")),
            MEMORY,
        ],
    ),
    row(
        "P2.world",
        "world chat, 1,000 connections",
        "fanout -n 1000 --per-user 100 --in-flight 8 --duration 6",
        WORLD,
    ),
    row(
        "P2.world10k",
        "world chat, 10,000 connections",
        "fanout -n 10000 --per-user 100 --duration 8",
        WORLD,
    ),
    row(
        "P2.group400",
        "group of 400, as fast as it goes",
        "pipeline --pairs 1 --groups 1 --group-size 400 --rate 0 --window 8 --duration 6",
        GROUP,
    ),
    row(
        "P2.group1k",
        "group of 1,000, as fast as it goes",
        "pipeline --pairs 1 --groups 1 --group-size 1000 --rate 0 --window 8 --duration 6",
        GROUP,
    ),
    row(
        "P2.group1k20",
        "group of 1,000, 20 messages/s",
        "pipeline --pairs 1 --groups 1 --group-size 1000 --rate 20 --duration 10",
        GROUP,
    ),
    row(
        "P3",
        "messages in 100 pairs, as fast as they go",
        "pipeline --pairs 100 --rate 0 --window 64 --duration 8",
        &[
            higher("acknowledged", "/s", Value("acked_per_second")),
            DELIVERED,
            PER_MESSAGE,
            MEMORY,
        ],
    ),
    row(
        "P4.500",
        "500 messages/s in 100 pairs; P10",
        "pipeline --pairs 100 --rate 500 --duration 10",
        TIMED,
    ),
    row(
        "P4.8000",
        "8,000 messages/s in 100 pairs",
        "pipeline --pairs 100 --rate 8000 --duration 10",
        TIMED,
    ),
    row(
        "P5",
        "2,000 messages/s in 10,000 conversations",
        "pipeline --pairs 100 --conversations 10000 --rate 2000 --duration 10",
        TIMED,
    ),
    row(
        "P6.list",
        "list of a user in 1,000 conversations",
        "conversations --count 1000 --duration 6",
        &[
            lower("list p50", "ms", Value("list_ms.p50")),
            lower("list p99", "ms", Value("list_ms.p99")),
            CPU,
        ],
    ),
    row(
        "P6.history",
        "history pages of 50 among 10,000 messages",
        "history --fill 10000 --duration 6",
        &[
            lower("page p50", "ms", Value("page_ms.p50")),
            lower("page p99", "ms", Value("page_ms.p99")),
            higher("sends by HTTP", "/s", Value("http_sends_per_second")),
            CPU,
        ],
    ),
    row(
        "P7",
        "10,000 connections come back, three times",
        "reconnect -n 10000 --per-user 5 --rounds 3",
        &[
            higher(
                "handshakes",
                "/s",
                Median("rounds", "handshakes_per_second"),
            ),
            lower("handshake p99", "ms", Median("rounds", "handshake_ms.p99")),
            CPU,
            MEMORY,
        ],
    ),
    row(
        "P9",
        "size of the program, start on an empty folder",
        "",
        &[
            lower("program", "MB", Per("program_bytes", "", 1e-6)),
            lower("start", "ms", Value("start_ms")),
            lower("memory when idle", "MB", Per("server.pss_after", "", 1e-6)),
        ],
    ),
    row(
        "P12",
        "from the acknowledgement to the row, at 1,000 messages/s",
        "pipeline --pairs 50 --rate 1000 --read-back 50 --duration 10",
        &[
            lower("row p50", "ms", Value("read_back.row_ms.p50")),
            lower("row p99", "ms", Value("read_back.row_ms.p99")),
            PER_MESSAGE,
        ],
    ),
    Row {
        rest: Duration::from_secs(60),
        is_long: true,
        ..row(
            "P11",
            "a million messages in 1,000 chats and a minute of rest",
            "pipeline --pairs 1000 --rate 20000 --warmup 0 --duration 50",
            &[
                lower("memory at the end", "MB", Per("server.pss_after", "", 1e-6)),
                lower(
                    "memory after the rest",
                    "MB",
                    Per("rested.pss_after", "", 1e-6),
                ),
            ],
        )
    },
];

/// The rows that are asked for, in their order: a name, or what begins with it and a dot (`P2`).
///
/// # Errors
/// Names the word that fits no row.
pub(super) fn chosen(words: &[String]) -> Result<Vec<&'static Row>> {
    let fits = |row: &Row, word: &String| {
        let rest = row.id.strip_prefix(word.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    if let Some(word) = words
        .iter()
        .find(|word| !ROWS.iter().any(|row| fits(row, word)))
    {
        return Err(format!(
            "There is no row \"{word}\"; `gochat bench compare --list` names them."
        )
        .into());
    }
    let is_chosen = |row: &&Row| {
        if words.is_empty() {
            !row.is_long
        } else {
            words.iter().any(|word| fits(row, word))
        }
    };
    Ok(ROWS.iter().filter(is_chosen).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(words: &[&str]) -> Vec<&'static str> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        chosen(&words).unwrap().iter().map(|row| row.id).collect()
    }

    #[test]
    fn rows_are_chosen_by_name_or_family() {
        assert_eq!(ids(&["P4"]), ["P4.500", "P4.8000"]);
        assert_eq!(ids(&["P1"]), ["P1"], "P11 and P12 are others");
        assert_eq!(ids(&["P7", "P3"]), ["P3", "P7"]);
        assert!(!ids(&[]).contains(&"P11"), "long rows are asked for");
        assert!(chosen(&["P99".to_owned()]).is_err());
    }

    #[test]
    fn every_row_is_a_command_of_this_program() {
        use clap::Parser;

        #[derive(Parser)]
        struct Bench {
            #[command(flatten)]
            _args: crate::bench::BenchArgs,
        }

        for row in ROWS.iter().filter(|row| !row.load.is_empty()) {
            let words = std::iter::once("bench").chain(row.load.split(' '));
            let parsed = Bench::try_parse_from(words);
            assert!(parsed.is_ok(), "{}", row.id);
        }
    }
}
