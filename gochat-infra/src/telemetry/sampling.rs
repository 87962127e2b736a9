//! What is traced: decided once, where a message or request comes in.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::HeaderMap;

use super::context::Context;
use super::number;
use super::span::{Kind, Span};

/// How many of 2^64 are sampled; 0 = none, the largest number = all.
static CHANCE: AtomicU64 = AtomicU64::new(0);
/// Whether callers from outside may have their requests traced.
static ACCEPT: AtomicBool = AtomicBool::new(false);

/// How much is traced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Share of messages and requests, 0 to 1.
    pub ratio: f64,
    /// Whether a `traceparent` of a client counts. Any client could have everything traced then.
    pub accept_parent: bool,
}

/// Changes how much is traced, from now on.
pub fn set_sampling(sampling: &Sampling) {
    // Out of range is cut off: `as` saturates.
    let chance = (sampling.ratio * 2f64.powi(64)) as u64;
    CHANCE.store(chance, Ordering::Relaxed);
    ACCEPT.store(sampling.accept_parent, Ordering::Relaxed);
}

/// Begins a trace, or not: one load when nothing is sampled.
///
/// The lot is drawn here and not from the id, which clients may choose. The trace gets the number `trace_id` stands
/// for when that is a UUID or 32 digits, so that logs and traces meet; else a new one, and the text as an attribute.
#[inline]
pub fn root(name: &'static str, kind: Kind, trace_id: &str) -> Option<Span> {
    match CHANCE.load(Ordering::Relaxed) {
        0 => return None,
        u64::MAX => {}
        chance if number::draw() < chance => {}
        _ => return None,
    }
    Some(begin(name, kind, trace_id))
}

#[cold]
fn begin(name: &'static str, kind: Kind, trace_id: &str) -> Span {
    let same = uuid_number(trace_id);
    let drawn = || u128::from(number::id()) << 64 | u128::from(number::id());
    let trace = same.unwrap_or_else(drawn);
    let mut span = Span::root(trace, name, kind);
    if same.is_none() {
        span.set("gochat.trace_id", trace_id.to_owned());
    }
    span
}

/// The context a request from outside brings along, when such are accepted.
pub fn accepted(headers: &HeaderMap) -> Option<Context> {
    ACCEPT
        .load(Ordering::Relaxed)
        .then(|| Context::of_call(headers))
        .flatten()
}

/// The number a UUID is, with its dashes or without.
fn uuid_number(text: &str) -> Option<u128> {
    let places: &[usize] = match text.len() {
        32 => &[],
        36 => &[8, 13, 18, 23],
        _ => return None,
    };
    let mut number: u128 = 0;
    for (at, byte) in text.bytes().enumerate() {
        if places.contains(&at) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        number = number << 4 | u128::from(char::from(byte).to_digit(16)?);
    }
    (number != 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_the_trace_and_other_text_is_not() {
        let dashed = "0190a5c8-7b3e-7000-8000-0000000000AB";
        let number = 0x0190_a5c8_7b3e_7000_8000_0000_0000_00ab;
        assert_eq!(uuid_number(dashed), Some(number));
        assert_eq!(uuid_number(&dashed.replace('-', "")), Some(number));
        for text in [
            "",
            "abc",
            "0190a5c8-7b3e-7000-8000-0000000000ag",
            "0190a5c87-b3e-7000-8000-000000000000",
            "00000000000000000000000000000000",
        ] {
            assert_eq!(uuid_number(text), None, "{text}");
        }
    }

    /// One test, because the setting is one per process.
    #[test]
    fn the_share_that_is_traced_is_the_one_that_was_asked_for() {
        let traced = |ratio| {
            set_sampling(&Sampling {
                ratio,
                accept_parent: false,
            });
            let asked = || root("x", Kind::Internal, "t").is_some();
            (0..20_000).filter(|_| asked()).count()
        };
        assert_eq!(traced(0.0), 0);
        assert_eq!(traced(1.0), 20_000);
        let tenth = traced(0.1);
        assert!((1_600..2_400).contains(&tenth), "{tenth}");

        let mut headers = HeaderMap::new();
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        headers.insert(super::super::TRACEPARENT, parent.parse().unwrap());
        assert_eq!(accepted(&headers), None);
        set_sampling(&Sampling {
            ratio: 0.0,
            accept_parent: true,
        });
        assert!(accepted(&headers).is_some());
        set_sampling(&Sampling {
            ratio: 0.0,
            accept_parent: false,
        });
    }
}
