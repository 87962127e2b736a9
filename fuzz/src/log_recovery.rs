//! Recovery of the embedded log: a folder with any bytes opens or is refused, and what opened once
//! opens again.

use gochat_infra::embedded::log::{EmbeddedLog, LogConfig};

/// Opens a log whose newest segment holds the bytes.
pub(crate) fn run(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["0000000000000000.log", "0000000000000001.log"] {
        let dir = folder.path().join(name);
        std::fs::create_dir(&dir).expect("a folder");
        std::fs::write(dir.join(name), bytes).expect("a file");
        if let Ok(log) = EmbeddedLog::open(LogConfig::new(dir.clone())) {
            drop(log);
            let again = EmbeddedLog::open(LogConfig::new(dir));
            assert!(again.is_ok(), "a log that was recovered opens again");
        }
    }
}
