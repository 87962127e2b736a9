//! Bytes of the journal: frames with a checksum, made of sections.
//!
//! ```text
//! frame   = magic(4) length(u32) crc32(u32) synced(u64) payload
//! payload = section*
//! ```
//!
//! Numbers are little endian; `varint` is LEB128. The checksum covers length, `synced` and payload. `synced` is the
//! position in the segment up to which everything was known to be durable when the frame was written: recovery
//! uses it to tell a torn tail (may be cut) from damage inside durable data (must be reported).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::topic::PartitionId;
use crate::port::mq::{Headers, Record, TopicSpec, VisibleOn};

pub(super) const MAGIC: [u8; 4] = *b"GCL1";
/// Bytes before the payload.
pub(super) const HEADER: usize = 20;
/// No payload is longer; a length beyond it is damage.
pub(super) const MAX_PAYLOAD: usize = 256 << 20;

const RECORDS: u8 = 1;
const OFFSET: u8 = 2;
const TOPIC: u8 = 3;
const TOPIC_DELETED: u8 = 4;
const END: u8 = 5;
const NEXT_TOPIC: u8 = 6;

/// The bytes don't follow the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Consecutive records of one partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) id: PartitionId,
    pub(super) base: u64,
    pub(super) timestamp_ms: i64,
    pub(super) count: u32,
    body: &'a [u8],
}

/// One entry of a frame.
#[derive(Debug, Clone)]
pub(super) enum Section<'a> {
    Records(Run<'a>),
    /// A group's committed offset.
    Offset {
        group: &'a str,
        id: PartitionId,
        offset: u64,
    },
    /// A topic was created or its spec changed.
    Topic {
        id: u32,
        spec: TopicSpec,
    },
    TopicDeleted {
        id: u32,
    },
    /// Checkpoint only: the next offset of a partition.
    End {
        id: PartitionId,
        next: u64,
    },
    /// Checkpoint only: the next topic id.
    NextTopic(u32),
}

/// Builds frames in one buffer that is written with one call.
#[derive(Debug, Default)]
pub(super) struct FrameBuf {
    buf: Vec<u8>,
    frame: Option<usize>,
}

impl FrameBuf {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buf
    }

    pub(super) fn clear(&mut self) {
        self.buf.clear();
        self.buf.shrink_to(16 << 20);
        self.frame = None;
    }

    /// Opens a frame unless one is open; tells where it starts in the buffer.
    pub(super) fn begin(&mut self) -> usize {
        if let Some(start) = self.frame {
            return start;
        }
        let start = self.buf.len();
        self.buf.extend_from_slice(&[0; HEADER]);
        self.frame = Some(start);
        start
    }

    /// Payload bytes of the open frame.
    pub(super) fn payload_len(&self) -> usize {
        self.frame
            .map_or(0, |start| self.buf.len() - start - HEADER)
    }

    /// Closes the open frame, if any.
    pub(super) fn finish(&mut self, synced: u64) {
        let Some(start) = self.frame.take() else {
            return;
        };
        let len =
            u32::try_from(self.buf.len() - start - HEADER).expect("frames are cut far below 4 GiB");
        let head = &mut self.buf[start..];
        head[..4].copy_from_slice(&MAGIC);
        head[4..8].copy_from_slice(&len.to_le_bytes());
        head[12..20].copy_from_slice(&synced.to_le_bytes());
        let crc = checksum(head);
        head[8..12].copy_from_slice(&crc.to_le_bytes());
    }

    /// Adds records `base..` of one partition.
    pub(super) fn records<'r>(
        &mut self,
        id: PartitionId,
        base: u64,
        timestamp_ms: i64,
        records: impl Iterator<Item = &'r Record>,
    ) {
        self.begin();
        self.buf.push(RECORDS);
        self.partition(id);
        self.varint(base);
        self.varint(timestamp_ms.max(0) as u64);
        let patch = self.buf.len();
        self.buf.extend_from_slice(&[0; 8]);
        let mut count = 0u32;
        for record in records {
            self.record(record);
            count += 1;
        }
        let body =
            u32::try_from(self.buf.len() - patch - 8).expect("frames are cut far below 4 GiB");
        self.buf[patch..patch + 4].copy_from_slice(&count.to_le_bytes());
        self.buf[patch + 4..patch + 8].copy_from_slice(&body.to_le_bytes());
    }

    pub(super) fn offset(&mut self, group: &str, id: PartitionId, offset: u64) {
        self.begin();
        self.buf.push(OFFSET);
        self.slice(group.as_bytes());
        self.partition(id);
        self.varint(offset);
    }

    pub(super) fn topic(&mut self, id: u32, spec: &TopicSpec) {
        self.begin();
        self.buf.push(TOPIC);
        self.varint(id.into());
        self.slice(spec.name.as_bytes());
        self.varint(spec.partitions.into());
        self.buf
            .push(u8::from(spec.visible_on == VisibleOn::Append));
        self.varint(spec.retention.as_secs());
        self.varint(spec.consumers.len() as u64);
        for group in &spec.consumers {
            self.slice(group.as_bytes());
        }
    }

    pub(super) fn topic_deleted(&mut self, id: u32) {
        self.begin();
        self.buf.push(TOPIC_DELETED);
        self.varint(id.into());
    }

    pub(super) fn end(&mut self, id: PartitionId, next: u64) {
        self.begin();
        self.buf.push(END);
        self.partition(id);
        self.varint(next);
    }

    pub(super) fn next_topic(&mut self, id: u32) {
        self.begin();
        self.buf.push(NEXT_TOPIC);
        self.varint(id.into());
    }

    fn record(&mut self, record: &Record) {
        self.varint(record.key.len() as u64);
        self.varint(record.value.len() as u64);
        self.varint(record.headers.len() as u64);
        for (name, value) in record.headers.iter() {
            self.slice(name.as_bytes());
            self.slice(value);
        }
        self.buf.extend_from_slice(&record.key);
        self.buf.extend_from_slice(&record.value);
    }

    fn partition(&mut self, id: PartitionId) {
        self.varint(id.topic.into());
        self.varint(id.partition.into());
    }

    fn slice(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.buf.extend_from_slice(bytes);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.buf.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.buf.push(value as u8);
    }
}

fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[4..8]);
    hasher.update(&frame[12..]);
    hasher.finalize()
}

/// What a frame's first [`HEADER`] bytes say, if they can be a header at all.
pub(super) fn payload_len(header: &[u8]) -> Option<usize> {
    let len = u32::from_le_bytes(header.get(4..8)?.try_into().ok()?) as usize;
    (header[..4] == MAGIC && len <= MAX_PAYLOAD).then_some(len)
}

/// A whole frame at the start of `bytes` with a right checksum: (payload, synced).
pub(super) fn frame(bytes: &[u8]) -> Option<(&[u8], u64)> {
    let len = payload_len(bytes.get(..HEADER)?)?;
    let frame = bytes.get(..HEADER + len)?;
    let stored = u32::from_le_bytes(frame[8..12].try_into().ok()?);
    let synced = u64::from_le_bytes(frame[12..20].try_into().ok()?);
    (checksum(frame) == stored).then_some((&frame[HEADER..], synced))
}

/// Iterates the sections of a payload; ends after the first malformed one.
pub(super) fn sections(payload: &[u8]) -> impl Iterator<Item = Result<Section<'_>, Malformed>> {
    let mut input = Input(payload);
    std::iter::from_fn(move || {
        if input.0.is_empty() {
            return None;
        }
        let section = input.section();
        if section.is_err() {
            input.0 = &[];
        }
        Some(section)
    })
}

impl<'a> Run<'a> {
    /// Decodes the records, each copied out of the frame so that none of them pins it.
    pub(super) fn decode(
        &self,
    ) -> impl Iterator<Item = Result<(u64, Record), Malformed>> + use<'a> {
        let mut input = Input(self.body);
        let base = self.base;
        (0..u64::from(self.count)).map(move |i| input.record().map(|record| (base + i, record)))
    }

    /// Offset after the last record.
    pub(super) fn end(&self) -> u64 {
        self.base + u64::from(self.count)
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn section(&mut self) -> Result<Section<'a>, Malformed> {
        Ok(match self.byte()? {
            RECORDS => {
                let (id, base) = (self.partition()?, self.varint()?);
                let timestamp_ms = self.varint()? as i64;
                let (count, len) = (self.fixed()?, self.fixed()?);
                Section::Records(Run {
                    id,
                    base,
                    timestamp_ms,
                    count,
                    body: self.take(len as usize)?,
                })
            }
            OFFSET => Section::Offset {
                group: self.str()?,
                id: self.partition()?,
                offset: self.varint()?,
            },
            TOPIC => Section::Topic {
                id: self.number()?,
                spec: self.spec()?,
            },
            TOPIC_DELETED => Section::TopicDeleted { id: self.number()? },
            END => Section::End {
                id: self.partition()?,
                next: self.varint()?,
            },
            NEXT_TOPIC => Section::NextTopic(self.number()?),
            _ => return Err(Malformed),
        })
    }

    fn spec(&mut self) -> Result<TopicSpec, Malformed> {
        let mut spec = TopicSpec::disk(self.str()?, self.number()?);
        spec.visible_on = if self.byte()? == 1 {
            VisibleOn::Append
        } else {
            VisibleOn::Durable
        };
        spec.retention = Duration::from_secs(self.varint()?);
        for _ in 0..self.varint()? {
            spec.consumers.push(Arc::from(self.str()?));
        }
        Ok(spec)
    }

    fn record(&mut self) -> Result<Record, Malformed> {
        let (key, value, headers) = (self.len()?, self.len()?, self.len()?);
        let mut list = Headers::none();
        for _ in 0..headers {
            let name = self.str()?.to_owned();
            list = list.with(name, Bytes::copy_from_slice(self.slice()?));
        }
        let both = Bytes::copy_from_slice(self.take(key + value)?);
        Ok(Record {
            key: both.slice(..key),
            value: both.slice(key..),
            headers: list,
        })
    }

    fn partition(&mut self) -> Result<PartitionId, Malformed> {
        Ok(PartitionId {
            topic: self.number()?,
            partition: self.number()?,
        })
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    fn fixed(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(
            self.take(4)?.try_into().map_err(|_| Malformed)?,
        ))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn number(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.varint()?).map_err(|_| Malformed)
    }

    /// A length inside a frame, so that sums of two can't overflow.
    fn len(&mut self) -> Result<usize, Malformed> {
        self.number().map(|n| n as usize)
    }

    fn slice(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.len()?;
        self.take(len)
    }

    fn str(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.slice()?).map_err(|_| Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: PartitionId = PartitionId {
        topic: 7,
        partition: 3,
    };

    fn sample() -> FrameBuf {
        let mut buf = FrameBuf::default();
        let records = [
            Record::new("k", "value"),
            Record {
                headers: Headers::none().with("h", "x"),
                ..Record::new("", vec![0u8; 300])
            },
        ];
        buf.records(ID, 41, 1_700_000_000_123, records.iter());
        buf.offset("group", ID, 9);
        buf.topic(
            7,
            &TopicSpec::disk("t", 4)
                .consumed_by("g")
                .visible_on(VisibleOn::Append),
        );
        buf.end(ID, 43);
        buf.finish(128);
        buf
    }

    #[test]
    fn a_frame_comes_back_as_it_was_written() {
        let buf = sample();
        let (payload, synced) = frame(buf.bytes()).expect("a good frame");
        assert_eq!(synced, 128);
        let all: Vec<_> = sections(payload)
            .collect::<Result<_, _>>()
            .expect("well formed");
        let Section::Records(run) = &all[0] else {
            panic!("records first")
        };
        assert_eq!(
            (run.id, run.base, run.end(), run.timestamp_ms),
            (ID, 41, 43, 1_700_000_000_123)
        );
        let records: Vec<_> = run.decode().collect::<Result<_, _>>().expect("well formed");
        assert_eq!(records[0], (41, Record::new("k", "value")));
        assert_eq!(
            records[1].1.headers.find("h").map(|v| &v[..]),
            Some(&b"x"[..])
        );
        assert!(matches!(
            all[1],
            Section::Offset {
                group: "group",
                id: ID,
                offset: 9
            }
        ));
        let Section::Topic { id: 7, spec } = &all[2] else {
            panic!("topic third")
        };
        assert_eq!(
            *spec,
            TopicSpec::disk("t", 4)
                .consumed_by("g")
                .visible_on(VisibleOn::Append)
        );
        assert!(matches!(all[3], Section::End { id: ID, next: 43 }));
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let good = sample().bytes().to_vec();
        for len in 0..good.len() {
            assert!(frame(&good[..len]).is_none(), "cut at {len}");
        }
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(frame(&bad).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn malformed_sections_are_errors_not_panics() {
        for payload in [
            &[9u8][..],
            &[1, 0x80],
            &[1, 1, 1, 1, 1, 9, 0, 0, 0, 9, 0, 0, 0],
            &[2, 200, 1],
        ] {
            assert!(sections(payload).any(|s| s.is_err()));
        }
    }
}
