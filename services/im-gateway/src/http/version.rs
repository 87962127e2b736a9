//! Versions of what people edit: `ETag` on answers, `If-Match` on edits.

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderValue, header};

use super::reply::ApiError;
use crate::state::Gw;

/// The version an edit was made on, from the `If-Match` header; `None` without the header and
/// for `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IfMatch(pub(crate) Option<i64>);

impl FromRequestParts<Gw> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Gw) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Ok(Self(None));
        };
        let malformed = || ApiError::invalid("`If-Match` is not an ETag of this server.");
        let text = value.to_str().map_err(|_| malformed())?;
        parse(text).map(Self).ok_or_else(malformed)
    }
}

/// `Some(None)` for `*`, `None` for anything but one ETag of ours.
fn parse(text: &str) -> Option<Option<i64>> {
    let text = text.trim();
    if text == "*" {
        return Some(None);
    }
    let number = text.strip_prefix('"')?.strip_suffix('"')?;
    let version: i64 = number.parse().ok()?;
    (version >= 0 && version.to_string() == number).then_some(Some(version))
}

impl IfMatch {
    /// The version of the header or of the body.
    ///
    /// # Errors
    /// `INVALID_PARAMS` when the two disagree.
    pub(crate) fn or(self, body: Option<i64>) -> Result<Option<i64>, ApiError> {
        match (self.0, body) {
            (Some(header), Some(body)) if header != body => Err(ApiError::invalid(
                "`If-Match` and `version` name different versions.",
            )),
            (header, body) => Ok(header.or(body)),
        }
    }
}

/// The `ETag` of a version.
pub(crate) fn etag(version: i64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_read_back() {
        let tag = etag(17);
        assert_eq!(parse(tag.to_str().unwrap()), Some(Some(17)));
        assert_eq!(parse("*"), Some(None));
    }

    #[test]
    fn anything_else_is_malformed() {
        for text in [
            "",
            "17",
            "\"",
            "\"x\"",
            "\"-1\"",
            "\"01\"",
            "\"1\", \"2\"",
            "W/\"1\"",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn header_and_body_may_agree_but_not_differ() {
        assert_eq!(IfMatch(Some(3)).or(Some(3)).ok(), Some(Some(3)));
        assert_eq!(IfMatch(None).or(Some(3)).ok(), Some(Some(3)));
        assert!(IfMatch(Some(3)).or(Some(4)).is_err());
    }
}
