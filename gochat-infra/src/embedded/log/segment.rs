//! Segment files and the index that finds records in them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use hashbrown::HashMap;

use super::topic::PartitionId;

/// A partition gets an index entry at most once per this many journal bytes, so the index stays small.
const INDEX_EVERY: u64 = 256 << 10;

/// What is known about one segment without reading it.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: u64,
    /// Bytes written.
    pub(super) len: u64,
    /// Next offset of every disk partition when the segment began.
    pub(super) heads: HashMap<PartitionId, u64>,
    /// Unix milliseconds of the last write, for retention by age.
    pub(super) written_ms: i64,
    entries: HashMap<PartitionId, Vec<Entry>>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: u64,
    pos: u64,
}

/// A place to read from: the frame at `pos` of `segment`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) pos: u64,
}

/// All segments, oldest first. Never empty once the log is open.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) segments: VecDeque<Segment>,
}

impl Segment {
    pub(super) fn new(id: u64, heads: HashMap<PartitionId, u64>) -> Self {
        Self {
            id,
            len: 0,
            heads,
            written_ms: 0,
            entries: HashMap::new(),
        }
    }

    /// Notes that the frame at `pos` holds records of a partition from `offset` on.
    pub(super) fn note(&mut self, id: PartitionId, offset: u64, pos: u64) {
        let entries = self.entries.entry(id).or_default();
        if entries
            .last()
            .is_none_or(|last| pos >= last.pos + INDEX_EVERY)
        {
            entries.push(Entry { offset, pos });
        }
    }

    /// Where to start reading for `offset`: `None` when the records of this segment all come later.
    fn locate(&self, id: PartitionId, offset: u64) -> Option<u64> {
        let entries = self.entries.get(&id).map_or(&[][..], Vec::as_slice);
        match entries.partition_point(|entry| entry.offset <= offset) {
            0 => (self.heads.get(&id).copied().unwrap_or(0) <= offset).then_some(0),
            n => Some(entries[n - 1].pos),
        }
    }
}

impl Index {
    /// The last place from which reading forward meets `offset`.
    pub(super) fn locate(&self, id: PartitionId, offset: u64) -> Option<Place> {
        let found = |s: &Segment| s.locate(id, offset).map(|pos| Place { segment: s.id, pos });
        self.segments.iter().rev().find_map(found)
    }

    /// The segment with this id.
    pub(super) fn segment(&self, id: u64) -> Option<&Segment> {
        let first = self.segments.front()?.id;
        self.segments
            .get(usize::try_from(id.checked_sub(first)?).ok()?)
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }
}

pub(super) fn path(dir: &Path, id: u64) -> PathBuf {
    dir.join(name(id))
}

pub(super) fn name(id: u64) -> String {
    format!("{id:016}.log")
}

/// Ids of the segments in a directory, ascending.
pub(super) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut ids = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
        let id: Option<u64> = number.and_then(|number| number.parse().ok());
        ids.extend(id);
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Makes created and deleted names durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(dir)?.sync_all()
    } else {
        Ok(())
    }
}

/// Reads frames of one segment one after the other.
pub(super) struct FrameReader {
    file: io::BufReader<File>,
    pub(super) pos: u64,
    end: u64,
    buf: Vec<u8>,
}

impl FrameReader {
    /// Reads the frames in `pos..end`.
    pub(super) fn open(dir: &Path, id: u64, pos: u64, end: u64) -> io::Result<Self> {
        let mut file = File::open(path(dir, id))?;
        file.seek(SeekFrom::Start(pos))?;
        Ok(Self {
            file: io::BufReader::with_capacity(128 << 10, file),
            pos,
            end,
            buf: Vec::new(),
        })
    }

    /// The next frame's position, payload and `synced`; `None` at the end. A bad frame is `InvalidData`, after which
    /// `pos` is where it begins.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, &[u8], u64)>> {
        use super::codec::{HEADER, frame, payload_len};
        if self.pos >= self.end {
            return Ok(None);
        }
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "a frame has a wrong checksum");
        self.buf.resize(HEADER, 0);
        let room = self.end - self.pos;
        if room < HEADER as u64 {
            return Err(bad());
        }
        self.file.read_exact(&mut self.buf)?;
        let len = payload_len(&self.buf).ok_or_else(bad)?;
        if room < (HEADER + len) as u64 {
            return Err(bad());
        }
        self.buf.resize(HEADER + len, 0);
        self.file.read_exact(&mut self.buf[HEADER..])?;
        let (payload, synced) = frame(&self.buf).ok_or_else(bad)?;
        let at = self.pos;
        self.pos += (HEADER + len) as u64;
        Ok(Some((at, payload, synced)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: PartitionId = PartitionId {
        topic: 1,
        partition: 0,
    };

    #[test]
    fn reading_starts_at_the_nearest_entry_before_the_offset() {
        let mut first = Segment::new(5, HashMap::new());
        first.note(ID, 0, 100);
        first.note(ID, 7, 200); // too near to deserve an entry
        first.note(ID, 9, 100 + INDEX_EVERY);
        let second = Segment::new(6, [(ID, 20)].into_iter().collect());
        let index = Index {
            segments: [first, second].into(),
        };
        let place = |offset| index.locate(ID, offset).map(|p| (p.segment, p.pos));
        assert_eq!(place(8), Some((5, 100)));
        assert_eq!(place(15), Some((5, 100 + INDEX_EVERY)));
        assert_eq!(place(20), Some((6, 0)));
        assert_eq!(index.segment(6).map(|s| s.id), Some(6));
        assert!(index.segment(4).is_none() && index.segment(7).is_none());
    }
}
