//! What help, README and docs name exists: settings, commands, flags, paths, metrics.
#![allow(clippy::unwrap_used, reason = "test code")]

mod commands;
mod metrics;
mod paths;
mod settings;

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
fn root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.join("../..").canonicalize().unwrap()
}

/// The documents of the repository, by path.
fn documents() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for folder in [root(), root().join("docs")] {
        let entries = std::fs::read_dir(&folder).unwrap();
        let found = entries.map(|entry| entry.unwrap().path());
        files.extend(found.filter(|path| path.extension().is_some_and(|e| e == "md")));
    }
    files.retain(|path| !path.ends_with("CHANGELOG.md"));
    assert!(files.len() > 8, "{files:?}");
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    };
    files.into_iter().map(read).collect()
}

/// The help of a command of `gochat`; `None` when there is no such command.
fn help(command: &[&str]) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_gochat"))
        .args(command)
        .arg("--help")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    output.status.success().then_some(text)
}

/// What stands in code: spans between back-ticks, and the lines of code blocks.
fn code(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if is_block {
            found.push(line.trim().to_owned());
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// Words of a text, as far as they consist of these characters.
fn words(text: &str, is_part: impl Fn(char) -> bool) -> Vec<&str> {
    let words = text.split(move |c| !is_part(c));
    words.filter(|word| !word.is_empty()).collect()
}
