//! The log of arrivals: a stream whose ids are `{run}-{number}`.
//!
//! Numbers of a run have no gap, so a reader can tell whether it missed some; the run changes when the log
//! was lost.

use gochat_core::error::{ErrorCode, Result};
use redis::Value;

use crate::cluster::redis::client::{Redis, read};
use crate::cluster::redis::script::ARRIVALS;
use crate::port::presence::{Arrival, Arrivals};

/// Most entries of one answer.
const READ_MAX: usize = 10_000;

type Entry = (String, Vec<String>);

pub(super) async fn read_after(
    redis: &Redis,
    key: &str,
    after: &str,
    limit: usize,
) -> Result<Arrivals> {
    let position = parse(after);
    let (run, number) = match (after, position) {
        ("", _) => ("", 0),
        // A run nobody has: the position means nothing here.
        (_, None) => ("?", 0),
        (_, Some(known)) => known,
    };
    let mut command = ARRIVALS.call(&[key]);
    command.arg(run).arg(number).arg(limit.min(READ_MAX));
    let answer = redis.one("presence_arrivals", command).await?;
    if answer == Value::Nil {
        // Nobody ever came; the next reading begins at the end again.
        return Ok(Arrivals {
            gap: true,
            ..Arrivals::default()
        });
    }
    let (run_now, first, last, entries): (String, u64, u64, Vec<Entry>) = read(answer)?;
    let known = run == run_now && number <= last;
    let next = match entries.last() {
        Some((id, _)) => id.as_str().into(),
        None if known => after.into(),
        None => format!("{run_now}-{last}").into(),
    };
    Ok(Arrivals {
        list: entries.into_iter().map(arrival).collect::<Result<_>>()?,
        next,
        gap: !known || number + 1 < first,
    })
}

fn parse(position: &str) -> Option<(&str, u64)> {
    let (run, number) = position.split_once('-')?;
    Some((run, number.parse().ok()?))
}

fn arrival((_, fields): Entry) -> Result<Arrival> {
    let field = |name: &str| {
        let at = fields.chunks_exact(2).find(|field| field[0] == name);
        at.map(|field| field[1].as_str()).ok_or(ErrorCode::Internal)
    };
    Ok(Arrival {
        user: field("user")?.parse().map_err(|_| ErrorCode::Internal)?,
        gateway: field("gateway")?.into(),
        at: field("at")?.parse().map_err(|_| ErrorCode::Internal)?,
    })
}
