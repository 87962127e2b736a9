//! How many reads began to wait: what `AwaitReaders` tells the writers of rows.

use std::time::Duration;

use tokio::sync::watch;

/// Longest time that a call of `AwaitReaders` stays open. A process that stops waits for the end of
/// open calls.
const LONGEST_AWAIT: Duration = Duration::from_secs(1);

/// Number of reads that began to wait since the start.
#[derive(Default)]
pub(super) struct Begun(watch::Sender<i64>);

impl Begun {
    pub(super) fn one_more(&self) {
        self.0.send_modify(|begun| *begun += 1);
    }

    /// Resolves with the number as soon as it is another one than `seen`, and after
    /// [`LONGEST_AWAIT`] in any case.
    pub(super) async fn other_than(&self, seen: i64) -> i64 {
        let mut begun = self.0.subscribe();
        let other = begun.wait_for(|begun| *begun != seen);
        // The guard that `wait_for` resolves with holds a read lock, so it is dropped here. A
        // second read lock, taken while a writer waits, would deadlock both threads.
        let found = tokio::time::timeout(LONGEST_AWAIT, other)
            .await
            .is_ok_and(|told| told.is_ok());
        // The sender lives as long as `self`: only the time can run out.
        if found { *self.0.borrow() } else { seen }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn readers_that_begin_to_wait_meet_a_writer_that_asks() {
        const READERS: i64 = 300_000;
        let begun = Arc::new(Begun::default());
        let (done, is_done) = channel();
        let reader = Arc::clone(&begun);
        std::thread::spawn(move || (0..READERS).for_each(|_| reader.one_more()));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut seen = 0;
                while seen < READERS {
                    seen = begun.other_than(seen).await;
                }
            });
            done.send(()).unwrap();
        });
        let outcome = is_done.recv_timeout(Duration::from_secs(30));
        assert!(outcome.is_ok(), "both threads stand still");
    }
}
