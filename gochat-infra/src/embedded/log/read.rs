//! Reading records that left memory, from the segments.

use std::io;
use std::path::Path;

use parking_lot::RwLock;

use super::codec::{self, Section};
use super::segment::{FrameReader, Index, Place};
use super::topic::PartitionId;
use crate::port::mq::{InRecord, MqError, MqErrorKind, MqResult};

/// Where the next read of the same partition continues.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    offset: u64,
    place: Place,
}

/// What to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) id: PartitionId,
    pub(super) from: u64,
    /// Exclusive; everything below is in the journal.
    pub(super) upto: u64,
    pub(super) max: usize,
    pub(super) max_bytes: usize,
}

/// Blocking. Returns at least one record unless the range is empty or its segment has just been deleted (`None`: look up the
/// start of the partition again).
pub(super) fn read(
    dir: &Path,
    index: &RwLock<Index>,
    range: Range,
    cursor: Option<Cursor>,
) -> MqResult<Option<(Vec<InRecord>, Option<Cursor>)>> {
    let hint = cursor
        .filter(|cursor| cursor.offset == range.from)
        .map(|cursor| cursor.place);
    let Some(mut place) = hint.or_else(|| index.read().locate(range.id, range.from)) else {
        return Ok(None);
    };
    let mut found = Found {
        range,
        records: Vec::new(),
        bytes: 0,
        full: false,
    };
    while !found.done() {
        let Some(end) = index
            .read()
            .segment(place.segment)
            .map(|segment| segment.len)
        else {
            break;
        };
        match found.scan(dir, &mut place, end) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(damaged(&error)),
        }
        if !found.done() {
            place = Place {
                segment: place.segment + 1,
                pos: 0,
            };
        }
    }
    let next = found.records.last().map(|last| Cursor {
        offset: last.offset + 1,
        place,
    });
    match found.records.is_empty() && range.from < range.upto {
        true => Ok(None),
        false => Ok(Some((found.records, next))),
    }
}

struct Found {
    range: Range,
    records: Vec<InRecord>,
    bytes: usize,
    full: bool,
}

impl Found {
    fn done(&self) -> bool {
        let next = self
            .records
            .last()
            .map_or(self.range.from, |last| last.offset + 1);
        self.full || next >= self.range.upto
    }

    /// Collects from one segment; leaves `place` at the frame where it stopped.
    fn scan(&mut self, dir: &Path, place: &mut Place, end: u64) -> io::Result<()> {
        let mut reader = FrameReader::open(dir, place.segment, place.pos, end)?;
        while let Some((pos, payload, _)) = reader.next()? {
            place.pos = pos;
            for section in codec::sections(payload) {
                let Section::Records(run) = section.map_err(malformed)? else {
                    continue;
                };
                if run.id == self.range.id && run.end() > self.range.from {
                    self.take(&run)?;
                }
                if self.done() {
                    return Ok(());
                }
            }
        }
        place.pos = end;
        Ok(())
    }

    fn take(&mut self, run: &codec::Run<'_>) -> io::Result<()> {
        for record in run.decode() {
            let (offset, record) = record.map_err(malformed)?;
            if offset < self.range.from {
                continue;
            }
            self.bytes += record.size();
            let full = self.records.len() >= self.range.max
                || (self.bytes > self.range.max_bytes && !self.records.is_empty());
            if full || offset >= self.range.upto {
                self.full = true;
                return Ok(());
            }
            self.records.push(InRecord {
                offset,
                timestamp_ms: run.timestamp_ms,
                record,
            });
        }
        Ok(())
    }
}

fn malformed(_: codec::Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a frame is malformed")
}

fn damaged(error: &io::Error) -> MqError {
    let kind = match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => MqErrorKind::Corrupt,
        _ => MqErrorKind::Unavailable,
    };
    MqError::new(kind, format!("a segment can't be read: {error}"))
}
