//! The corpora of the fuzz targets (`fuzz/`), as ordinary tests on the stable toolchain.
#![allow(clippy::unwrap_used, reason = "test code")]

#[path = "../../../../fuzz/src/client_json.rs"]
mod client_json;
#[path = "../../../../fuzz/src/config.rs"]
mod config;
#[path = "../../../../fuzz/src/frames.rs"]
mod frames;
#[path = "../../../../fuzz/src/log_recovery.rs"]
mod log_recovery;
#[path = "../../../../fuzz/src/upstream.rs"]
mod upstream;

use std::path::Path;

/// Feeds every file of a corpus to its target, also cut off at a few places.
fn feed(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        println!("{}", path.display());
        run(&bytes);
        for at in [1, 2, 3, bytes.len() / 2, bytes.len().saturating_sub(1)] {
            run(&bytes[..at.min(bytes.len())]);
        }
        files += 1;
    }
    assert!(files > 4, "{target}: {files} files");
}

#[test]
fn frames_of_sockets() {
    feed("frames", frames::run);
}

#[test]
fn json_of_clients() {
    feed("client_json", client_json::run);
}

#[test]
fn records_of_upstream() {
    feed("upstream", upstream::run);
}

#[test]
fn folders_of_the_embedded_log() {
    feed("log_recovery", log_recovery::run);
}

#[test]
fn settings_files() {
    feed("config", config::run);
}
