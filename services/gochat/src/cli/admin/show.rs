//! How `gochat admin` prints what it found.

use std::time::{SystemTime, UNIX_EPOCH};

use gochat_proto::common::v1::UserStatus;
use gochat_proto::im::logic::v1::{AuditEntry, KeyInfo, ShowUserResponse};
use serde_json::{Value, json};

/// An account, a line per fact.
pub(super) fn user(answer: &ShowUserResponse) {
    let user = answer.user.clone().unwrap_or_default();
    let status = match user.status() {
        UserStatus::Disabled => "disabled",
        UserStatus::Deleted => "deleted",
        _ => "normal",
    };
    println!("name      {}", user.username);
    println!("id        {}", user.id);
    println!("status    {status}");
    println!("guest     {}", if user.is_guest { "yes" } else { "no" });
    println!("created   {}", time(user.created_at));
    println!("sessions  {}", answer.live_sessions);
    println!("online    {}", if answer.online { "yes" } else { "no" });
}

/// A table of keys.
pub(super) fn keys(keys: &[KeyInfo]) {
    println!(
        "{:<34} {:<9} {:<10} {:<20} {:<20} RETIRES",
        "KID", "ALGORITHM", "STATE", "CREATED", "SIGNS FROM"
    );
    for key in keys {
        println!(
            "{:<34} {:<9} {:<10} {:<20} {:<20} {}",
            if key.kid.is_empty() { "-" } else { &key.kid },
            key.algorithm,
            key.state,
            time(key.created_at),
            time(key.signs_from),
            time(key.retires_at),
        );
    }
}

/// The head of the table of audit records.
pub(super) fn audit_head() {
    println!(
        "{:<20} {:<22} {:<28} {:<22} {:<16} {:<24} DETAIL",
        "TIME", "ACTOR", "ACTION", "TARGET", "ADDRESS", "OUTCOME"
    );
}

/// A line of the table of audit records.
pub(super) fn audit(r: &AuditEntry) {
    let or_dash = |text: &str| match text {
        "" => "-".to_owned(),
        text => printable(text),
    };
    println!(
        "{:<20} {:<22} {:<28} {:<22} {:<16} {:<24} {}",
        time(r.at_ms / 1_000),
        or_dash(&r.actor),
        or_dash(&r.action),
        or_dash(&r.target),
        or_dash(&r.address),
        or_dash(&r.outcome),
        printable(&r.detail),
    );
}

/// A record as JSON.
pub(super) fn audit_json(r: &AuditEntry) -> Value {
    json!({
        "id": r.id.to_string(),
        "at": r.at_ms,
        "actor": r.actor,
        "action": r.action,
        "target": r.target,
        "address": r.address,
        "outcome": r.outcome,
        "detail": serde_json::from_str::<Value>(&r.detail).unwrap_or(Value::Null),
    })
}

/// Control characters of a client's text must not reach the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// A Unix second as UTC, `2026-11-29 17:00:00`; a dash for 0.
pub(super) fn time(seconds: i64) -> String {
    if seconds <= 0 {
        return "-".to_owned();
    }
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// The date of a day counted from 1970-01-01 (Howard Hinnant's algorithm).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A span back from now (`30m`, `12h`, `7d`) or Unix seconds, as Unix seconds.
pub(super) fn since(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text} is neither a span such as 30m, 12h or 7d nor Unix seconds");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return text.parse().ok().filter(|s| *s >= 0).ok_or_else(wrong),
    };
    let count: i64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(0));
    let span = count
        .checked_mul(unit)
        .filter(|s| *s >= 0)
        .ok_or_else(wrong)?;
    Ok(now.saturating_sub(span).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        assert_eq!(time(0), "-");
        assert_eq!(time(1), "1970-01-01 00:00:01Z");
        assert_eq!(time(951_782_400), "2000-02-29 00:00:00Z");
        assert_eq!(time(1_764_430_508), "2025-11-29 15:35:08Z");
        assert_eq!(time(4_107_542_399), "2100-02-28 23:59:59Z");
    }

    #[test]
    fn a_span_counts_back_from_now() {
        let hour = since("1h").unwrap();
        assert_eq!(since("60m").unwrap().abs_diff(hour) / 5, 0);
        assert_eq!(since("1700000000"), Ok(1_700_000_000));
        for wrong in ["", "h", "-5m", "yesterday", "9223372036854775807d"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn control_characters_stay_off_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb"), "a?[2Jb");
    }
}
