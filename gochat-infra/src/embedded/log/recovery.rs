//! Opening a journal: read the checkpoints, replay the last segment, cut a torn tail.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use hashbrown::HashMap;

use super::codec::{self, Section};
use super::segment::{self, FrameReader, Index, Segment};
use super::topic::PartitionId;
use crate::port::mq::{MqError, MqErrorKind, MqResult, TopicSpec};

/// What the journal said.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) topics: HashMap<u32, TopicSpec>,
    pub(super) next_topic: u32,
    /// Next offset per partition.
    pub(super) ends: HashMap<PartitionId, u64>,
    pub(super) committed: HashMap<(Arc<str>, PartitionId), u64>,
    pub(super) index: Index,
    /// Bytes of an unfinished write that were cut off.
    pub(super) cut: u64,
}

/// Reads the directory; an empty one gives an empty result without segments.
///
/// Closed segments were synced before their successor was begun, so only their checkpoints are
/// read; only the last segment can have a torn tail and is replayed frame by frame. A segment that
/// was prepared and not begun is deleted.
pub(super) fn recover(dir: &Path) -> MqResult<Recovered> {
    let mut found = Recovered::default();
    let mut ids = segment::list(dir).map_err(|error| unreadable(dir, error))?;
    while let [.., last] = ids[..]
        && ids.len() > 1
        && !is_begun(dir, last).map_err(|error| unreadable(&segment::path(dir, last), error))?
    {
        let path = segment::path(dir, last);
        let removed = std::fs::remove_file(&path).and_then(|()| segment::sync_dir(dir));
        removed.map_err(|error| unreadable(&path, error))?;
        ids.pop();
    }
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
        let missing = segment::path(dir, pair[0] + 1);
        return Err(corrupt(&missing, 0, "a segment in the middle is missing"));
    }
    for (i, id) in ids.iter().enumerate() {
        found.open_segment(dir, *id)?;
        if i + 1 == ids.len() {
            found.replay(dir, *id)?;
        } else {
            found.end_closed(dir, *id)?;
        }
    }
    Ok(found)
}

impl Recovered {
    /// Starts from the checkpoint of a segment.
    fn open_segment(&mut self, dir: &Path, id: u64) -> MqResult<()> {
        let path = segment::path(dir, id);
        let unreadable = |error| unreadable(&path, error);
        let corrupt = |what| corrupt(&path, 0, what);
        let meta = std::fs::metadata(&path).map_err(unreadable)?;
        let mut reader = FrameReader::open(dir, id, 0, meta.len()).map_err(unreadable)?;
        let head = match reader.next() {
            Ok(Some((_, payload, _))) => payload,
            Ok(None) => return Err(corrupt("a segment is empty")),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(corrupt(
                    "the checkpoint at the head of a segment is damaged",
                ));
            }
            Err(error) => return Err(unreadable(error)),
        };
        self.topics.clear();
        self.ends.clear();
        self.committed.clear();
        for section in codec::sections(head) {
            self.apply(section.map_err(|_| corrupt("a checkpoint is malformed"))?);
        }
        let mut segment = Segment::new(id, self.ends.clone());
        let modified = meta
            .modified()
            .ok()
            .and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
        segment.written_ms =
            modified.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
        segment.len = meta.len();
        self.index.segments.push_back(segment);
        Ok(())
    }

    /// Cuts zeros off that a closed segment still ends in: they are cut in the background when it
    /// is closed.
    fn end_closed(&mut self, dir: &Path, id: u64) -> MqResult<()> {
        let path = segment::path(dir, id);
        let segment = self.index.segments.back_mut().expect("just pushed");
        let end = cut_zeros(dir, id, segment.len).map_err(|error| unreadable(&path, error))?;
        segment.len = end;
        Ok(())
    }

    /// Replays the frames of the last segment, indexes them, and cuts what was never finished.
    fn replay(&mut self, dir: &Path, id: u64) -> MqResult<()> {
        let len = self.index.segments.back().expect("just pushed").len;
        let path = segment::path(dir, id);
        let unreadable = |error| unreadable(&path, error);
        let mut reader = FrameReader::open(dir, id, 0, len).map_err(unreadable)?;
        let mut notes = Vec::new();
        loop {
            match reader.next() {
                Ok(Some((pos, payload, _))) => {
                    for section in codec::sections(payload) {
                        let section =
                            section.map_err(|_| corrupt(&path, pos, "a frame is malformed"))?;
                        if let Section::Records(run) = &section {
                            notes.push((run.id, run.base, pos));
                        }
                        self.apply(section);
                    }
                }
                Ok(None) => break,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    self.cut_tail(dir, id, reader.pos, len)?;
                    break;
                }
                Err(error) => return Err(unreadable(error)),
            }
        }
        let end = reader.pos;
        let segment = self.index.segments.back_mut().expect("just pushed");
        segment.len = end;
        notes
            .into_iter()
            .for_each(|(id, offset, pos)| segment.note(id, offset, pos));
        Ok(())
    }

    /// Cuts the segment at `pos`, unless a later frame proves that the bytes there had been durable.
    fn cut_tail(&mut self, dir: &Path, id: u64, pos: u64, len: u64) -> MqResult<()> {
        let path = segment::path(dir, id);
        let unreadable = |error| unreadable(&path, error);
        let bytes = std::fs::read(&path).map_err(unreadable)?;
        let tail = &bytes[usize::try_from(pos).unwrap_or(usize::MAX).min(bytes.len())..];
        // Zeros were written ahead of the end: nothing was lost.
        if tail.iter().any(|byte| *byte != 0) {
            if holds_proof(tail, pos) {
                return Err(corrupt(
                    &path,
                    pos,
                    "data that was reported durable is damaged in the middle of a segment",
                ));
            }
            self.cut = len - pos;
        }
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(unreadable)?;
        file.set_len(pos)
            .and_then(|()| file.sync_all())
            .map_err(unreadable)?;
        Ok(())
    }

    fn apply(&mut self, section: Section<'_>) {
        match section {
            Section::Records(run) => {
                self.ends.insert(run.id, run.end());
            }
            Section::Offset { group, id, offset } => {
                let at = self
                    .committed
                    .entry((Arc::from(group), id))
                    .or_insert(offset);
                *at = (*at).max(offset);
            }
            Section::Topic { id, spec } => {
                self.next_topic = self.next_topic.max(id + 1);
                self.topics.insert(id, spec);
            }
            Section::TopicDeleted { id } => {
                self.topics.remove(&id);
                self.ends.retain(|p, _| p.topic != id);
                self.committed.retain(|(_, p), _| p.topic != id);
            }
            Section::End { id, next } => {
                self.ends.insert(id, next);
            }
            Section::NextTopic(id) => self.next_topic = self.next_topic.max(id),
        }
    }
}

/// Whether a segment holds more than what was prepared: a checkpoint, or a frame that says that one
/// had been durable.
fn is_begun(dir: &Path, id: u64) -> io::Result<bool> {
    let len = std::fs::metadata(segment::path(dir, id))?.len();
    match FrameReader::open(dir, id, 0, len)?.next() {
        Ok(first) => Ok(first.is_some()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Ok(holds_proof(&std::fs::read(segment::path(dir, id))?, 0))
        }
        Err(error) => Err(error),
    }
}

/// Where the frames of a closed segment end. What lies behind is cut off if it is all zeros.
fn cut_zeros(dir: &Path, id: u64, len: u64) -> io::Result<u64> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(segment::path(dir, id))?;
    let mut last = [1];
    file.read_exact_at(&mut last, len.saturating_sub(1))?;
    if last != [0] {
        return Ok(len);
    }
    let mut reader = FrameReader::open(dir, id, 0, len)?;
    while reader.next().is_ok_and(|frame| frame.is_some()) {}
    let end = reader.pos;
    let bytes = std::fs::read(segment::path(dir, id))?;
    let tail = usize::try_from(end).ok().and_then(|end| bytes.get(end..));
    if end == len || tail.is_none_or(|tail| tail.iter().any(|byte| *byte != 0)) {
        return Ok(len);
    }
    file.set_len(end)?;
    file.sync_all()?;
    Ok(end)
}

/// Whether a good frame in `tail`, which begins at `pos`, says that bytes behind `pos` were durable before it.
fn holds_proof(tail: &[u8], pos: u64) -> bool {
    let windows = tail.windows(codec::MAGIC.len()).enumerate();
    let starts = windows.filter(|(_, window)| **window == codec::MAGIC);
    let mut frames = starts.filter_map(|(at, _)| codec::frame(&tail[at..]));
    frames.any(|(_, synced)| synced > pos)
}

/// Damage, with the file and the byte where it begins.
fn corrupt(path: &Path, offset: u64, what: &'static str) -> MqError {
    let text = format!(
        "{} at byte {offset}: {what}; restore the file from a backup (docs/operations.md, \"Backup and restore\")",
        path.display()
    );
    MqError::new(MqErrorKind::Corrupt, text)
}

fn unreadable(path: &Path, error: io::Error) -> MqError {
    let text = crate::os::explain("read the journal", path.display(), &error);
    MqError::new(MqErrorKind::Unavailable, text)
}
