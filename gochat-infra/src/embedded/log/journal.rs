//! The journal as its writer sees it: append, sync, start new segments, drop old ones.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::RwLock;

use super::ahead::{Ahead, Zeros};
use super::file::{Folder, SegmentFile};
use super::segment::{Index, Segment};
use super::topic::PartitionId;

/// When written bytes are forced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fsync {
    /// Before anything is reported durable. Survives power loss.
    #[default]
    Always,
    /// At most this long after the write. Survives SIGKILL; a power cut loses at most this much time.
    Interval(Duration),
}

/// From this size on a write gains nothing from zeros ahead of it: under full load the disk is better used without.
const LARGE_WRITE: usize = 256 << 10;

/// Room is taken on the disk in steps of at least this many bytes, while there is so much.
const RESERVE: u64 = 1 << 20;
/// Zeros an opened segment begins with; further ones come while it is in use.
const FIRST_ZEROS: u64 = 256 << 10;
/// Zeros beyond the size of a segment, for the group that fills it.
const END_ROOM: u64 = 256 << 10;

/// How the journal writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) fsync: Fsync,
    pub(super) segment_bytes: u64,
    /// Bytes written as zeros ahead of the end, so that most writes replace bytes the file already has.
    pub(super) zero_ahead: u64,
}

/// The open end of the journal. Owned by the writer thread.
pub(super) struct Journal {
    folder: Folder,
    file: Arc<SegmentFile>,
    index: Arc<RwLock<Index>>,
    /// Bytes in the open segment, and how many of them are known to be durable.
    len: u64,
    synced: u64,
    last_sync: Instant,
    options: Options,
    /// Zeros behind the end.
    zeros: Arc<Zeros>,
    /// Bytes the file has room for on the disk, written or not.
    reserved: u64,
    ahead: Ahead,
    syncs: metrics::Counter,
    #[cfg(test)]
    pub(super) fail_after: Option<u64>,
    #[cfg(test)]
    pub(super) full_after: Option<u64>,
}

impl Journal {
    /// Creates an empty segment that begins with `checkpoint` (a whole frame) and makes it the open one.
    pub(super) fn create(
        folder: Folder,
        checkpoint: &[u8],
        options: Options,
        index: Arc<RwLock<Index>>,
        ahead: Ahead,
    ) -> io::Result<Self> {
        let file = create_segment(&folder, 1, checkpoint)?;
        let len = checkpoint.len() as u64;
        index
            .write()
            .segments
            .push_back(begun(1, HashMap::new(), len));
        Ok(Self::over(folder, file, len, options, index, ahead))
    }

    /// Continues the last segment of the index.
    pub(super) fn resume(
        folder: Folder,
        options: Options,
        index: Arc<RwLock<Index>>,
        ahead: Ahead,
    ) -> io::Result<Self> {
        let (id, len) = {
            let index = index.read();
            let last = index.segments.back().expect("recovery found a segment");
            (last.id, last.len)
        };
        let file = Arc::new(folder.open(id)?);
        Ok(Self::over(folder, file, len, options, index, ahead))
    }

    fn over(
        folder: Folder,
        file: Arc<SegmentFile>,
        len: u64,
        options: Options,
        index: Arc<RwLock<Index>>,
        ahead: Ahead,
    ) -> Self {
        let zeros = Zeros::new(file.clone(), len);
        let first = options.zero_ahead.min(FIRST_ZEROS);
        if let Err(error) = zeros.write(len + first) {
            tracing::debug!(%error, "no zeros were written ahead of the journal");
        }
        let mut journal = Self {
            folder,
            file,
            index,
            len,
            synced: len,
            last_sync: Instant::now(),
            options,
            zeros,
            reserved: len,
            ahead,
            syncs: metrics::counter!("gochat_log_syncs_total"),
            #[cfg(test)]
            fail_after: None,
            #[cfg(test)]
            full_after: None,
        };
        journal.look_ahead();
        journal
    }

    /// Position the next byte gets.
    pub(super) fn pos(&self) -> u64 {
        self.len
    }

    /// Everything before this position of the open segment is durable.
    pub(super) fn synced(&self) -> u64 {
        self.synced
    }

    /// Bytes behind the end that the disk is known to have room for.
    pub(super) fn room(&self) -> u64 {
        let end = self.zeros.end().max(self.reserved);
        #[cfg(test)]
        let end = self.full_after.map_or(end, |limit| end.min(limit));
        end.saturating_sub(self.len)
    }

    /// Takes room on the disk for the next `bytes`, so that writing them can't fail for lack of it.
    ///
    /// # Errors
    /// There is no room; the file is as it was.
    pub(super) fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        #[cfg(test)]
        if self
            .full_after
            .is_some_and(|limit| self.len + bytes > limit)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if bytes <= self.room() {
            return Ok(());
        }
        // The zeros did not keep pace.
        self.zeros.take_over();
        if bytes <= self.room() {
            return Ok(());
        }
        for room in [bytes.max(RESERVE), bytes] {
            match self.file.allocate(self.len, room) {
                Ok(()) => {
                    self.reserved = self.len + room;
                    return Ok(());
                }
                Err(error) if room == bytes => return Err(error),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Writes whole frames and notes where their records are: (partition, first offset, frame position).
    pub(super) fn append(
        &mut self,
        frames: &[u8],
        notes: &[(PartitionId, u64, u64)],
    ) -> io::Result<()> {
        #[cfg(test)]
        if self
            .fail_after
            .is_some_and(|limit| self.len + frames.len() as u64 > limit)
        {
            self.file.write_at(&frames[..frames.len() / 2], self.len)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_at(frames, self.len)?;
        self.len += frames.len() as u64;
        let mut index = self.index.write();
        let open = index
            .segments
            .back_mut()
            .expect("a journal has an open segment");
        (open.len, open.written_ms) = (self.len, now_ms());
        for (id, offset, pos) in notes {
            open.note(*id, *offset, *pos);
        }
        drop(index);
        if frames.len() < LARGE_WRITE {
            self.look_ahead();
        }
        Ok(())
    }

    /// Asks for zeros once half of them are used up, and for the next segment in the second half of
    /// the open one.
    fn look_ahead(&mut self) {
        let ahead = self.options.zero_ahead;
        if ahead == 0 {
            return;
        }
        let at = self.zeros.end().max(self.reserved).max(self.len);
        let target = (self.len + ahead).min(self.options.segment_bytes + END_ROOM);
        if at < self.len + ahead / 2 && at < target && self.zeros.is_idle() {
            self.ahead.extend(&self.zeros, at, target);
        }
        if self.len >= self.options.segment_bytes / 2 {
            let zeros = ahead.min(self.options.segment_bytes + END_ROOM);
            self.ahead.prepare(self.next_id(), zeros);
        }
    }

    fn next_id(&self) -> u64 {
        let index = self.index.read();
        let open = index.segments.back();
        open.expect("a journal has an open segment").id + 1
    }

    /// Gives room back that was taken ahead of time, because the disk is full.
    pub(super) fn release(&mut self) -> io::Result<()> {
        self.ahead.release()
    }

    /// Ends the open segment where its last frame ends, durably.
    fn end_segment(&mut self) -> io::Result<()> {
        self.zeros.take_over();
        self.file.set_len(self.len)?;
        self.zeros = Zeros::new(self.file.clone(), self.len);
        (self.reserved, self.synced) = (self.len, self.len);
        self.file.sync_all()
    }

    /// Ends the journal, durably.
    pub(super) fn close(mut self) -> io::Result<()> {
        let stopped = self.ahead.stop();
        self.end_segment().and(stopped)
    }

    /// Makes what was appended durable as the policy asks. `force` ignores the policy.
    pub(super) fn sync(&mut self, force: bool) -> io::Result<()> {
        let due = match self.options.fsync {
            Fsync::Always => true,
            Fsync::Interval(interval) => self.last_sync.elapsed() >= interval,
        };
        if self.synced < self.len && (due || force) {
            self.file.sync_data()?;
            self.syncs.increment(1);
            self.synced = self.len;
            self.last_sync = Instant::now();
        }
        Ok(())
    }

    /// Whether an answer waits for a sync.
    pub(super) fn is_strict(&self) -> bool {
        self.options.fsync == Fsync::Always
    }

    /// How long the writer may sleep before it has to sync again.
    pub(super) fn sync_due_in(&self) -> Option<Duration> {
        match self.options.fsync {
            Fsync::Interval(interval) if self.synced < self.len => {
                Some(interval.saturating_sub(self.last_sync.elapsed()))
            }
            _ => None,
        }
    }

    /// Whether the open segment is full.
    pub(super) fn is_full(&self) -> bool {
        self.len >= self.options.segment_bytes
    }

    /// Whether the next segment can be begun; while it is being prepared the open one grows on.
    pub(super) fn can_roll(&self) -> bool {
        !self.ahead.is_preparing()
    }

    /// Closes the open segment (durable to its last byte) and opens the next one.
    ///
    /// With a prepared segment that is a write: its name is durable already, and the sync that
    /// makes the first group in it durable covers the checkpoint. Recovery goes on in the segment
    /// before when the checkpoint did not get there.
    pub(super) fn roll(
        &mut self,
        heads: HashMap<PartitionId, u64>,
        checkpoint: &[u8],
    ) -> io::Result<()> {
        let (id, len) = (self.next_id(), checkpoint.len() as u64);
        self.sync(true)?;
        let prepared = self.ahead.take(id).filter(|next| next.zeros.end() > len);
        match prepared {
            Some(next) => {
                next.file.write_at(checkpoint, 0)?;
                self.zeros.take_over();
                self.ahead.end(self.file.clone(), self.len);
                (self.file, self.zeros) = (next.file, next.zeros);
                (self.reserved, self.synced) = (0, 0);
            }
            None => {
                self.end_segment()?;
                self.file = create_segment(&self.folder, id, checkpoint)?;
                self.zeros = Zeros::new(self.file.clone(), len);
                (self.reserved, self.synced) = (len, len);
            }
        }
        self.len = len;
        let segment = begun(id, heads, len);
        self.index.write().segments.push_back(segment);
        self.look_ahead();
        Ok(())
    }

    /// Deletes the oldest closed segment.
    pub(super) fn drop_oldest(&mut self) -> io::Result<()> {
        // The checkpoint behind the deleted segment must be durable first.
        self.sync(true)?;
        let oldest = self.index.write().segments.pop_front();
        let oldest = oldest.expect("asked only with a closed segment");
        self.folder.remove(oldest.id)
    }
}

fn begun(id: u64, heads: HashMap<PartitionId, u64>, len: u64) -> Segment {
    let mut segment = Segment::new(id, heads);
    (segment.len, segment.written_ms) = (len, now_ms());
    segment
}

/// The file appears under its name only with a durable checkpoint in it.
fn create_segment(folder: &Folder, id: u64, checkpoint: &[u8]) -> io::Result<Arc<SegmentFile>> {
    let file = folder.draft()?;
    let written = file.write_at(checkpoint, 0).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // On a full disk even this little counts.
        folder.drop_draft()?;
        return Err(error);
    }
    folder.finish_draft(id)?;
    Ok(Arc::new(file))
}

/// Wall clock in Unix milliseconds.
pub(super) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}
