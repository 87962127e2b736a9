//! The tables for people, and the line of JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::args::CompareArgs;
use super::figures::{Better, Compared, Spread};
use super::rows::{ROWS, Row};

/// Ratios that differ by less say nothing.
const SAME: f64 = 0.05;

/// The rows with their commands.
pub(super) fn rows() -> String {
    let mut text = String::new();
    for row in ROWS {
        let long = if row.is_long {
            " (only when named)"
        } else {
            ""
        };
        let _ = writeln!(text, "{:<13} {}{long}", row.id, row.what);
        if !row.load.is_empty() {
            let _ = writeln!(text, "{:<13} gochat bench {}", "", row.load);
        }
    }
    text
}

/// A row's figures.
pub(super) fn table(row: &Row, [before, now]: [&str; 2], figures: &[Compared]) -> String {
    let mut text = format!("{}  {}\n", row.id, row.what);
    let (before, now) = (short(before), short(now));
    let _ = writeln!(text, "  {:<26}{before:>28}{now:>28}{:>8}", "", "ratio");
    for compared in figures {
        let name = format!("{}, {}", compared.figure.name, compared.figure.unit);
        let _ = writeln!(
            text,
            "  {name:<26}{:>28}{:>28}{:>8.2}  {}",
            spread(compared.before),
            spread(compared.now),
            compared.ratio(),
            verdict(compared)
        );
    }
    text
}

fn verdict(compared: &Compared) -> &'static str {
    let gain = compared.gain();
    match (gain < 1.0 - SAME, gain > 1.0 + SAME, compared.is_clear()) {
        (true, _, true) => "worse",
        (true, _, false) => "worse, within the spread",
        (_, true, true) => "better",
        (_, true, false) => "better, within the spread",
        _ => "",
    }
}

/// The median, with the least and the most of several runs.
fn spread(spread: Spread) -> String {
    let Spread {
        runs,
        least,
        median,
        most,
    } = spread;
    if runs == 1 {
        return number(median);
    }
    format!("{} ({}-{})", number(median), number(least), number(most))
}

/// Three digits that count.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// The end of a name: what tells two paths or commits apart.
fn short(name: &str) -> &str {
    let from = name.len().saturating_sub(26);
    name.get(from..).unwrap_or(name)
}

/// The whole comparison for programs.
pub(super) fn line(
    args: &CompareArgs,
    [before, now]: [&str; 2],
    compared: &[(&Row, Vec<Compared>)],
) -> Value {
    let row = |(row, figures): &(&Row, Vec<Compared>)| {
        let figure = |c: &Compared| {
            let spread =
                |s: Spread| json!({ "least": s.least, "median": s.median, "most": s.most });
            let better = match c.figure.better {
                Better::Lower => "lower",
                Better::Higher => "higher",
            };
            json!({
                "figure": c.figure.name, "unit": c.figure.unit, "better": better,
                "before": spread(c.before), "now": spread(c.now),
                "ratio": c.ratio(), "clear": c.is_clear(),
            })
        };
        let figures: Vec<Value> = figures.iter().map(figure).collect();
        let command = match row.load {
            "" => "gochat".to_owned(),
            load => format!("gochat bench {load}"),
        };
        json!({ "row": row.id, "command": command, "figures": figures })
    };
    let rows: Vec<Value> = compared.iter().map(row).collect();
    json!({ "bench": "compare", "before": before, "now": now, "rounds": args.rounds, "rows": rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let texts = [0.1234, 1.234, 12.34, 80_069.4].map(number);
        assert_eq!(texts, ["0.123", "1.23", "12.3", "80069"]);
    }

    #[test]
    fn long_names_keep_their_end() {
        assert_eq!(short("gochat"), "gochat");
        assert_eq!(
            short("/a/very/long/folder/of/programs/gochat-new"),
            "older/of/programs/gochat-new".get(2..).unwrap()
        );
    }
}
