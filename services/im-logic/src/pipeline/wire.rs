//! Protobuf by hand, for the records of the hot path.
//!
//! A message passes here as slices of the record it came in: nothing is copied but into the
//! records that go out. The tests hold every function against the generated types.

use std::str;

/// Wire types that the payloads use or a stranger may send.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED32: u32 = 5;

/// A value as it stands in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// A type none of our fields has.
    Other,
}

impl<'a> Value<'a> {
    /// The text of a string field; `None` for other types and for bytes that aren't UTF-8.
    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Self::Bytes(bytes) => str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// What stands in a message field, a packed list or a string.
    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The number of an integer field.
    pub(super) fn number(self) -> Option<u64> {
        match self {
            Self::Varint(number) => Some(number),
            _ => None,
        }
    }
}

/// The fields of an encoded message, in order.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field: `Ok(None)` at the end, `Err` when the bytes are no message.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, ()> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?).map_err(drop)?;
        let value = match key & 7 {
            VARINT => Value::Varint(self.varint()?),
            LENGTH => {
                let length = usize::try_from(self.varint()?).map_err(drop)?;
                Value::Bytes(self.take(length)?)
            }
            FIXED64 => self.take(8).map(|_| Value::Other)?,
            FIXED32 => self.take(4).map(|_| Value::Other)?,
            _ => return Err(()),
        };
        match key >> 3 {
            0 => Err(()),
            tag => Ok(Some((tag, value))),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ()> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(())?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, ()> {
        let mut value = 0u64;
        for (i, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        Err(())
    }
}

/// Appends a varint.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends an integer field; proto3 leaves zero out.
pub(super) fn put_number(out: &mut Vec<u8>, tag: u32, value: u64) {
    if value != 0 {
        put_varint(out, u64::from(tag << 3 | VARINT));
        put_varint(out, value);
    }
}

/// Appends a string, bytes or message field; proto3 leaves empty strings out.
pub(super) fn put_bytes(out: &mut Vec<u8>, tag: u32, value: &[u8]) {
    if !value.is_empty() {
        put_varint(out, u64::from(tag << 3 | LENGTH));
        put_varint(out, value.len() as u64);
        out.extend_from_slice(value);
    }
}

/// Appends a packed list of fixed64; proto3 leaves an empty one out.
pub(super) fn put_fixed(out: &mut Vec<u8>, tag: u32, values: impl ExactSizeIterator<Item = u64>) {
    if values.len() > 0 {
        put_varint(out, u64::from(tag << 3 | LENGTH));
        put_varint(out, 8 * values.len() as u64);
        values.for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
    }
}

/// Appends a number as a field of decimal text, the form of user ids.
pub(super) fn put_decimal(out: &mut Vec<u8>, tag: u32, mut value: u64) {
    let mut text = [0u8; 20];
    let mut start = text.len();
    loop {
        start -= 1;
        text[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    put_bytes(out, tag, &text[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = Vec::new();
        put_number(&mut out, 1, 0);
        put_number(&mut out, 2, u64::MAX);
        put_bytes(&mut out, 16, b"text");
        put_decimal(&mut out, 3, 0);
        put_decimal(&mut out, 3, u64::MAX);
        let mut fields = Fields::of(&out);
        assert_eq!(fields.next(), Ok(Some((2, Value::Varint(u64::MAX)))));
        assert_eq!(
            fields.next().map(|f| f.and_then(|f| f.1.text())),
            Ok(Some("text"))
        );
        assert_eq!(
            fields.next().map(|f| f.and_then(|f| f.1.text())),
            Ok(Some("0"))
        );
        let largest = u64::MAX.to_string();
        assert_eq!(
            fields.next(),
            Ok(Some((3, Value::Bytes(largest.as_bytes()))))
        );
        assert_eq!(fields.next(), Ok(None));
    }

    #[test]
    fn broken_bytes_are_an_error_and_never_a_panic() {
        let broken: [&[u8]; 6] = [
            &[0x80],
            &[0x0a, 5, 1],
            &[0x00, 1],
            &[0x0b],
            &[0x09, 1],
            &[0xff; 11],
        ];
        for bytes in broken {
            assert_eq!(Fields::of(bytes).next(), Err(()), "{bytes:?}");
        }
    }
}
