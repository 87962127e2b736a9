//! Pages of one row more than was asked for: whether there is more costs no second statement.

use gochat_core::ids::UserId;

/// Cuts one row more than `limit` to a page, and says whether there was one.
pub(crate) fn cut<T>(rows: &mut Vec<T>, limit: u32) -> bool {
    let limit = size(limit);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    has_more
}

/// Cuts two lists in order of user ids, each of one row more than `limit` at most, to one page: nothing
/// that stands before the page's end is missing from either. Returns the end, or `None` at the end of both.
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
