//! Records between the port and librdkafka.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Bytes, BytesMut};
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};

use crate::port::mq::{Headers, InRecord, Record};

/// When the record was produced, RFC 3339.
pub(super) const TIMESTAMP: &str = "X-Timestamp";
/// Who produced it.
pub(super) const SOURCE: &str = "X-Source";

/// What the producer adds to records of stamped topics; made once per call.
pub(super) struct Seal<'a> {
    pub(super) time: String,
    pub(super) source: &'a str,
}

/// Headers on the wire; `None` when there are none.
pub(super) fn to_wire(headers: &Headers, seal: Option<&Seal<'_>>) -> Option<OwnedHeaders> {
    let extra = if seal.is_some() { 2 } else { 0 };
    let count = headers.len() + extra;
    if count == 0 {
        return None;
    }
    let mut wire = OwnedHeaders::new_with_capacity(count);
    for (key, value) in headers.iter() {
        let value = Some(value.as_ref());
        wire = wire.insert(Header { key, value });
    }
    if let Some(seal) = seal {
        for (key, value) in [(TIMESTAMP, &*seal.time), (SOURCE, seal.source)] {
            let value = Some(value);
            wire = wire.insert(Header { key, value });
        }
    }
    Some(wire)
}

/// A record as the port hands it out. Key and value share one piece of memory.
pub(super) fn from_wire(message: &BorrowedMessage<'_>) -> InRecord {
    let key = message.key().unwrap_or_default();
    let value = message.payload().unwrap_or_default();
    let mut bytes = BytesMut::with_capacity(key.len() + value.len());
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(value);
    let mut value = bytes.freeze();
    let key = value.split_to(key.len());
    InRecord {
        offset: u64::try_from(message.offset()).unwrap_or_default(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
        record: Record {
            key,
            value,
            headers: headers_of(message),
        },
    }
}

fn headers_of(message: &BorrowedMessage<'_>) -> Headers {
    let Some(wire) = message.headers() else {
        return Headers::none();
    };
    // The binding panics on a name that is not UTF-8. Records of ours have none such; a stranger's record must not
    // take the consumer down.
    let read = || {
        let ours = wire
            .iter()
            .filter(|header| header.key != TIMESTAMP && header.key != SOURCE);
        ours.fold(Headers::none(), |headers, header| {
            let value = Bytes::copy_from_slice(header.value.unwrap_or_default());
            headers.with(header.key.to_owned(), value)
        })
    };
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_default()
}

/// RFC 3339 in UTC, to the millisecond.
pub(super) fn rfc3339(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    // Days since 0000-03-01, in eras of 400 years (Howard Hinnant's algorithm).
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    let (s, ms) = (ms / 1_000, ms % 1_000);
    let (h, m, s) = (s / 3_600, s / 60 % 60, s % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        let known = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
        ];
        for (ms, text) in known {
            assert_eq!(rfc3339(ms), text);
        }
    }

    #[test]
    fn a_seal_adds_two_headers_and_nothing_makes_none() {
        assert!(to_wire(&Headers::none(), None).is_none());
        let seal = Seal {
            time: rfc3339(0),
            source: "im-logic",
        };
        let wire = to_wire(&Headers::none().with("X-Trace-ID", "t"), Some(&seal)).unwrap();
        let names: Vec<_> = wire.iter().map(|header| header.key).collect();
        assert_eq!(names, ["X-Trace-ID", TIMESTAMP, SOURCE]);
    }
}
