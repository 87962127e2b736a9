//! Pages of one row more than was asked for: whether there is more costs no second statement.

use gochat_core::ids::{ConversationId, SeqId, UserId};

use crate::port::db::{DbError, DbResult, ListQuery, MAX_PAGE, MAX_REMOVED};

/// Cuts one row more than `limit` to a page, and says whether there was one.
pub(crate) fn cut<T>(rows: &mut Vec<T>, limit: u32) -> bool {
    let limit = size(limit);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    has_more
}

/// Cuts two lists in order of user ids, each of one row more than `limit` at most, to one page:
/// nothing that stands before the page's end is missing from either. Returns the end, or `None` at
/// the end of both.
pub(crate) fn merge<T>(
    kept: &mut Vec<T>,
    gone: &mut Vec<UserId>,
    limit: u32,
    id: impl Fn(&T) -> UserId,
) -> Option<UserId> {
    let limit = size(limit);
    let end = |last: Option<UserId>, len: usize| last.filter(|_| len > limit);
    let at = limit.saturating_sub(1);
    let ends = [
        end(kept.get(at).map(&id), kept.len()),
        end(gone.get(at).copied(), gone.len()),
    ];
    let end = ends.into_iter().flatten().min()?;
    kept.retain(|row| id(row) <= end);
    gone.retain(|user| *user <= end);
    Some(end)
}

/// How much of a list a page reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Maximum number of entries.
    pub(crate) entries: u32,
    /// Maximum number of removed ids.
    pub(crate) removed: u32,
}

impl Limits {
    /// What the query asks for, within bounds. A list that is told whole has lost nothing.
    pub(crate) fn of(query: &ListQuery) -> Self {
        let removed = query.updated_after.map_or(0, |_| query.removed_limit);
        Self {
            entries: query.limit.min(MAX_PAGE),
            removed: removed.min(MAX_REMOVED),
        }
    }

    /// Entries to read: one more tells whether there are more; none when none are wanted.
    pub(crate) fn entries_read(self) -> u32 {
        read(self.entries)
    }

    /// Removed ids to read.
    pub(crate) fn removed_read(self) -> u32 {
        read(self.removed)
    }
}

fn read(limit: u32) -> u32 {
    if limit == 0 { 0 } else { limit + 1 }
}

/// Reads a JSON array of conversation ids, one more than `limit` at most, in the order of their
/// text.
pub(crate) fn removed(json: &str, limit: u32) -> DbResult<(Vec<ConversationId>, bool)> {
    let mut ids: Vec<&str> = serde_json::from_str(json).map_err(DbError::internal)?;
    // A database may gather an array in any order.
    ids.sort_unstable();
    let has_more = cut(&mut ids, limit);
    let ids = ids.into_iter().map(str::parse).collect::<Result<_, _>>();
    Ok((ids.map_err(DbError::internal)?, has_more))
}

/// Reads a JSON array of pairs of a conversation id and its head.
pub(crate) fn heads(json: &str) -> DbResult<Vec<(ConversationId, SeqId)>> {
    serde_json::from_str(json).map_err(DbError::internal)
}

fn size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(ids: &[u64]) -> Vec<UserId> {
        ids.iter().map(|id| UserId::new(*id).unwrap()).collect()
    }

    /// All pages of two lists, read one after the other.
    fn walk(kept: &[u64], gone: &[u64], limit: u32) -> (Vec<UserId>, Vec<UserId>, usize) {
        let (mut met, mut left, mut pages) = (Vec::new(), Vec::new(), 0);
        let mut after = 0;
        loop {
            pages += 1;
            let page = |all: &[u64]| {
                let behind = all.iter().copied().filter(|id| *id > after);
                users(&behind.take(limit as usize + 1).collect::<Vec<_>>())
            };
            let (mut a, mut b) = (page(kept), page(gone));
            let end = merge(&mut a, &mut b, limit, |id| *id);
            assert!(a.len() <= limit as usize && b.len() <= limit as usize);
            met.extend(a);
            left.extend(b);
            match end {
                Some(end) => after = end.get(),
                None => return (met, left, pages),
            }
        }
    }

    #[test]
    fn a_page_reads_no_more_than_its_limits_and_one() {
        let mut query = ListQuery::first(users(&[1])[0], u32::MAX);
        query.removed_limit = u32::MAX;
        let limits = Limits::of(&query);
        assert_eq!(
            (limits.entries_read(), limits.removed_read()),
            (MAX_PAGE + 1, 0)
        );
        query.updated_after = Some(1);
        assert_eq!(Limits::of(&query).removed_read(), MAX_REMOVED + 1);
        query.limit = 0;
        assert_eq!(Limits::of(&query).entries_read(), 0);
    }

    #[test]
    fn removed_ids_come_in_the_order_of_their_text() {
        let json = r#"["g_9","s_1_2","g_10","world"]"#;
        let (ids, has_more) = removed(json, 3).unwrap();
        let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(
            (texts, has_more),
            (vec!["g_10".to_owned(), "g_9".into(), "s_1_2".into()], true)
        );
        assert!(removed("[1]", 3).is_err() && removed(r#"["x"]"#, 3).is_err());
    }

    #[test]
    fn every_row_of_both_lists_is_met_once() {
        let kept: Vec<u64> = (1..50).filter(|n| n % 3 > 0).collect();
        let gone: Vec<u64> = (1..50).filter(|n| n % 3 == 0 || *n > 40).collect();
        for limit in [1, 2, 7, 100] {
            let (met, left, _) = walk(&kept, &gone, limit);
            assert_eq!((met, left), (users(&kept), users(&gone)));
        }
        assert_eq!(walk(&kept, &[], 7).2, 5);
        assert_eq!(walk(&[], &[], 7).2, 1);
    }
}
