//! When a breaker opens, and for how long.

use serde::Deserialize;

/// The figures of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Failures in a row that open it.
    pub failure_threshold: u32,
    /// Successes that close it again.
    pub success_threshold: u32,
    /// Milliseconds it stays open.
    pub open_ms: u64,
}

impl Default for Policy {
    /// 5 failures, 2 successes, 5 seconds.
    ///
    /// The contract's example says a minute. An instance that is away is left out by its callers, so a breaker opens when a
    /// whole service is, and the minute would turn a restart of two seconds into a minute without it.
    fn default() -> Self {
        Self {
            failure_threshold: 5,
            success_threshold: 2,
            open_ms: 5_000,
        }
    }
}

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a breaker policy: {0}")]
pub struct BadPolicy(String);

/// A policy as it is written down.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    #[serde(default, alias = "failure_threshold")]
    failure_threshold: i64,
    #[serde(default, alias = "success_threshold")]
    success_threshold: i64,
    #[serde(default, alias = "open_state_timeout")]
    open_state_timeout: Option<String>,
    #[serde(default, rename = "description")]
    _description: Option<serde_json::Value>,
}

impl Policy {
    /// Reads the JSON form: `{"failureThreshold": 5, "successThreshold": 2, "openStateTimeout": "1m"}`. What is
    /// missing, zero or negative has its default.
    ///
    /// # Errors
    /// Text that is no such object, or a duration nobody can read.
    ///
    /// ```
    /// use gochat_core::breaker::Policy;
    /// let policy = Policy::from_json(r#"{"failureThreshold": 3, "openStateTimeout": "1m30s"}"#).unwrap();
    /// assert_eq!((policy.failure_threshold, policy.open_ms), (3, 90_000));
    /// ```
    pub fn from_json(text: &str) -> Result<Self, BadPolicy> {
        let bad = |error: serde_json::Error| BadPolicy(error.to_string());
        // By way of a map: a list would do for a struct otherwise.
        let object: serde_json::Map<_, _> = serde_json::from_str(text).map_err(bad)?;
        let written: Written = serde_json::from_value(object.into()).map_err(bad)?;
        let standard = Self::default();
        let open_ms = match written.open_state_timeout {
            Some(text) => duration_ms(&text).ok_or_else(|| {
                BadPolicy(format!("{text:?} is not a duration such as \"1m30s\""))
            })?,
            None => 0,
        };
        let count = |given: i64, standard: u32| match u32::try_from(given) {
            Ok(0) | Err(_) if given <= 0 => standard,
            Ok(given) => given,
            Err(_) => u32::MAX,
        };
        Ok(Self {
            failure_threshold: count(written.failure_threshold, standard.failure_threshold),
            success_threshold: count(written.success_threshold, standard.success_threshold),
            open_ms: if open_ms == 0 {
                standard.open_ms
            } else {
                open_ms
            },
        })
    }
}

/// Reads durations such as `500ms`, `1.5s`, `1m30s`; negative ones count as zero.
fn duration_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = (!rest.is_empty()).then_some(0.0)?;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ms" => 1.0,
            "s" => 1_000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            _ => return None,
        };
        rest = &rest[end..];
        total += number * unit;
    }
    Some(if negative { 0 } else { total as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_zero_or_negative_has_its_default() {
        for text in [
            "{}",
            r#"{"failureThreshold": 0, "successThreshold": -3, "openStateTimeout": "-5s"}"#,
            r#"{"openStateTimeout": "0"}"#,
        ] {
            assert_eq!(Policy::from_json(text), Ok(Policy::default()), "{text}");
        }
    }

    #[test]
    fn durations_read_as_they_are_written() {
        for (text, ms) in [
            ("500ms", 500),
            ("1.5s", 1_500),
            ("1m", 60_000),
            ("1h2m3s4ms", 3_723_004),
        ] {
            assert_eq!(duration_ms(text), Some(ms), "{text}");
        }
        for text in ["", "-", "5", "s", "5 parsecs", "1s5", "1..2s"] {
            assert_eq!(duration_ms(text), None, "{text}");
        }
    }

    #[test]
    fn text_that_is_no_policy_is_refused() {
        for text in [
            "",
            "[]",
            r#"{"failureThreshold": "many"}"#,
            r#"{"failures": 3}"#,
            r#"{"openStateTimeout": "soon"}"#,
        ] {
            assert!(Policy::from_json(text).is_err(), "{text}");
        }
    }
}
