//! A place in a sampled trace, and its form in headers.

use bytes::Bytes;
use http::HeaderValue;

use crate::port::mq::Headers;

/// The header of W3C Trace Context, on records and on calls.
pub const TRACEPARENT: &str = "traceparent";

/// `00-<32 digits>-<16 digits>-<2 digits>`.
const LENGTH: usize = 55;
/// The flag "sampled".
const SAMPLED: u8 = 1;

/// A span of a sampled trace, as others refer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Context {
    pub(super) trace: u128,
    pub(super) span: u64,
}

impl Context {
    /// Reads a `traceparent`. `None` for one that is not valid, and for one that is not sampled: both mean that
    /// nothing is traced.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let known = text.get(..LENGTH)?;
        let version = digits(&known[..2])?;
        // Later versions may add to the end, and version ff does not exist.
        let well_formed = match version {
            0 => text.len() == LENGTH,
            0xff => false,
            _ => text.len() == LENGTH || text[LENGTH] == b'-',
        };
        let dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        let (trace, span) = (digits(&known[3..35])?, digits(&known[36..52])?);
        let sampled = digits(&known[53..])? as u8 & SAMPLED != 0;
        (well_formed && dashes && sampled && trace != 0 && span != 0).then_some(Self {
            trace,
            span: span as u64,
        })
    }

    /// What a record carries; nothing but a look at a pointer for a record without headers.
    pub fn of(headers: &Headers) -> Option<Self> {
        Self::parse(headers.find(TRACEPARENT)?)
    }

    /// What a call carries.
    pub fn of_call(headers: &http::HeaderMap) -> Option<Self> {
        Self::parse(headers.get(TRACEPARENT)?.as_bytes())
    }

    /// The `traceparent` of this place.
    pub fn text(&self) -> String {
        format!("00-{:032x}-{:016x}-01", self.trace, self.span)
    }

    /// Adds the header to a record's.
    #[must_use]
    pub fn on(&self, headers: Headers) -> Headers {
        headers.with(TRACEPARENT, Bytes::from(self.text()))
    }

    /// The value of the header of a call.
    pub fn value(&self) -> Option<HeaderValue> {
        HeaderValue::from_maybe_shared(Bytes::from(self.text())).ok()
    }

    /// Id of the trace.
    pub fn trace_id(&self) -> u128 {
        self.trace
    }

    /// Id of the span.
    pub fn span_id(&self) -> u64 {
        self.span
    }
}

/// Lower-case hexadecimal digits, as the standard wants them; at most 32.
fn digits(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0, |number: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_is_read_and_written_again() {
        let context = Context::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(context.span_id(), 0x00f0_67aa_0ba9_02b7);
        assert_eq!(context.text(), GOOD);
        assert_eq!(context.value().unwrap(), GOOD);
        let headers = context.on(Headers::none().with("X-Source", "test"));
        assert_eq!(Context::of(&headers), Some(context));
        assert_eq!(Context::of(&Headers::none()), None);
    }

    #[test]
    fn what_is_not_valid_or_not_sampled_is_no_context() {
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        ] {
            assert_eq!(Context::parse(bad.as_bytes()), None, "{bad}");
        }
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more";
        assert!(Context::parse(later.as_bytes()).is_some());
    }
}
