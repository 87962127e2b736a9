//! Helpers and facts of the embedded log.

mod bounds;
mod crash;
mod kill;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use gochat_infra::embedded::log::{EmbeddedLog, LogConfig};
use gochat_infra::port::mq::{Mq, OutRecord};
use gochat_infra::testsuite::mq::Restart;
use tempfile::TempDir;

/// A log whose restart is a crash: the files are copied while it runs, and the copy is opened.
pub(crate) struct CrashedLog {
    dir: TempDir,
    log: Arc<EmbeddedLog>,
    adjust: fn(&mut LogConfig),
}

impl CrashedLog {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(adjust: fn(&mut LogConfig)) -> Self {
        let dir = TempDir::new().unwrap();
        let log = Arc::new(open(dir.path(), adjust));
        Self { dir, log, adjust }
    }
}

#[async_trait]
impl Restart for CrashedLog {
    fn mq(&self) -> Arc<dyn Mq> {
        self.log.clone()
    }

    async fn restart(&mut self) {
        let copy = TempDir::new().unwrap();
        copy_journal(self.dir.path(), copy.path());
        self.log.close();
        self.log = Arc::new(open(copy.path(), self.adjust));
        self.dir = copy;
    }
}

pub(crate) fn open(dir: &Path, adjust: impl FnOnce(&mut LogConfig)) -> EmbeddedLog {
    let mut config = LogConfig::new(dir);
    config.zero_ahead_bytes = 20_000;
    adjust(&mut config);
    EmbeddedLog::open(config).expect("the log opens")
}

pub(crate) fn copy_journal(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// The journal's files, oldest first.
pub(crate) fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut all: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    all.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    all.sort();
    all
}

pub(crate) fn record(topic: &str, partition: u32, value: impl Into<String>) -> OutRecord {
    OutRecord::new(topic, "", value.into()).to_partition(partition)
}
