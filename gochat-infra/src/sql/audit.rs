//! Values that a query for audit records binds.

use crate::port::db::AuditQuery;

/// The id below which records are listed.
pub(crate) fn before(query: &AuditQuery) -> i64 {
    match query.before_id {
        0 => i64::MAX,
        id => id,
    }
}

/// The pattern for actions whose part before the first dot is `action`; matches nothing when
/// `action` is not made of lower-case letters, so that no wildcard gets in.
pub(crate) fn pattern(action: &str) -> String {
    let is_family = !action.is_empty() && action.bytes().all(|b| b.is_ascii_lowercase());
    if is_family {
        format!("{action}.%")
    } else {
        String::new()
    }
}
