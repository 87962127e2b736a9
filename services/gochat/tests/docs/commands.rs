//! Every command and flag that a text names.

use std::collections::BTreeMap;

use crate::{code, documents, help, root};

/// Commands that only a build for clusters has.
const CLUSTER: [&str; 2] = ["config", "topic"];

/// The words of a command line after `gochat`: commands, then flags.
fn parts(line: &str) -> Option<(Vec<&str>, Vec<&str>)> {
    let line = line.trim_start_matches(['$', ' ']);
    let rest = line
        .strip_prefix("gochat ")
        .or_else(|| line.strip_prefix("./target/release/gochat "))?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let is_command = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let commands = words
        .iter()
        .take_while(|word| !word.starts_with('-'))
        .take_while(is_command);
    let commands: Vec<&str> = commands.copied().collect();
    let flags = words.iter().filter(|word| word.starts_with("--"));
    let flags = flags.map(|flag| flag.split(['=', ',', '`', ')']).next().unwrap_or(flag));
    Some((commands, flags.filter(|flag| flag.len() > 2).collect()))
}

#[test]
fn every_command_and_flag_that_help_and_documents_name_exists() {
    let mut lines = Vec::new();
    for line in help(&[]).unwrap().lines() {
        lines.push(("gochat --help".to_owned(), line.trim().to_owned()));
    }
    for (path, text) in documents() {
        let place = path.display().to_string();
        lines.extend(code(&text).into_iter().map(|line| (place.clone(), line)));
    }
    let mut known: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (place, line) in &lines {
        // What follows two blanks in a line of help says what the command does.
        let line = line.split("  ").next().unwrap_or(line);
        let Some((commands, flags)) = parts(line) else {
            continue;
        };
        if commands.first().is_some_and(|c| CLUSTER.contains(c)) && !cfg!(feature = "cluster") {
            continue;
        }
        // Arguments look like commands: the longest row of words that is a command counts.
        let mut found = None;
        for length in (0..=commands.len()).rev() {
            let row = &commands[..length];
            let help = known.entry(row.join(" ")).or_insert_with(|| help(row));
            if let Some(text) = help {
                found = Some((length, text.clone()));
                break;
            }
        }
        let (length, text) = found.unwrap();
        seen += 1;
        if length == 0 && !commands.is_empty() {
            wrong.push(format!("{place}: there is no command `{}`", commands[0]));
        }
        for flag in flags {
            if !text.contains(flag) {
                wrong.push(format!("{place}: `{line}` has no flag {flag}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 10, "only {seen} commands were found");
}

#[test]
fn every_target_of_make_that_documents_name_exists() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    for (path, text) in documents() {
        for line in code(&text) {
            let Some(rest) = line.strip_prefix("make ") else {
                continue;
            };
            let targets = rest
                .split_whitespace()
                .take_while(|w| !w.starts_with(['#', '&', '|']));
            for target in targets.filter(|target| !target.contains('=')) {
                let rule = makefile.lines().any(|l| {
                    let head = l.split(':').next().unwrap_or_default();
                    l.contains(':') && head.split_whitespace().any(|t| t == target)
                });
                assert!(rule, "{}: make has no target `{target}`", path.display());
            }
        }
    }
}
