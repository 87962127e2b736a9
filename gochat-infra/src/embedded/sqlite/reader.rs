//! The threads that read, each with a connection of its own.

use std::sync::Arc;

use diesel::sqlite::SqliteConnection;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::job::Job;
use crate::sql::batch::Pending;

/// The queue the readers share.
pub(super) type ReadQueue = Arc<Mutex<mpsc::Receiver<Box<dyn Job>>>>;

/// Runs jobs until every sender is gone. Whoever holds the lock waits for the next job; the others
/// wait for the lock.
pub(super) fn run(mut conn: SqliteConnection, queue: &ReadQueue) {
    loop {
        let job = queue.lock().blocking_recv();
        let Some(mut job) = job else { return };
        job.run(&mut conn, &mut Pending::default());
        job.answer(true);
    }
}
