//! Lies about what users deleted for themselves.

use super::Plant;
use crate::check::deletions::blank;
use crate::check::observe::{Observed, Place, Row, Who};

/// Tells the lie; `None` when there is nothing to lie about.
pub(super) fn lie(observed: &mut Observed, plant: Plant) -> Option<()> {
    let quotes_hidden = plant == Plant::QuotedDeletion;
    let ((who, place), seq) = match plant {
        Plant::ClearedBack => cleared(observed)?,
        _ => hidden(observed, quotes_hidden)?,
    };
    let whole = whole(observed, place, seq)?;
    let rows = observed.history.get_mut(&(who, place))?;
    match plant {
        Plant::DeletedBack => *rows.iter_mut().find(|row| row.seq == seq)? = whole,
        Plant::LostPlace => rows.retain(|row| row.seq != seq),
        Plant::ClearedBack => rows.insert(0, whole),
        Plant::QuotedDeletion => {
            let quotes = rows.iter_mut().filter_map(|row| row.quote.as_mut());
            let mut quotes = quotes.filter(|quote| quote.seq == seq);
            quotes.next()?.excerpt = whole.content;
        }
        Plant::UntoldDeletion => {
            let deletions = observed.deletions.get_mut(&(who, place))?;
            deletions.listed.retain(|(listed, _)| *listed != seq);
        }
        Plant::HiddenFromOthers => {
            let mut others = observed.history.iter_mut();
            let (_, rows) = others.find(|((reader, of), _)| *of == place && *reader != who)?;
            let row = rows.iter_mut().find(|row| row.seq == seq && !row.hidden)?;
            *row = blank(row);
        }
        _ => return None,
    }
    Some(())
}

/// A message whose deletion was acknowledged and is seen; one that is quoted, if need be.
fn hidden(observed: &Observed, is_quoted: bool) -> Option<((Who, Place), u64)> {
    observed.deletions.iter().find_map(|(of, deletions)| {
        let rows = observed.history.get(of)?;
        let quoted = |row: &Row| {
            let mut quotes = rows.iter().filter_map(|row| row.quote.as_ref());
            quotes.any(|quote| quote.seq == row.seq)
        };
        let done = |row: &&Row| {
            let asked = deletions.messages.get(&row.seq);
            row.hidden && asked.is_some_and(|a| a.done) && (!is_quoted || quoted(row))
        };
        Some((*of, rows.iter().find(done)?.seq))
    })
}

/// The last message that somebody cleared.
fn cleared(observed: &Observed) -> Option<((Who, Place), u64)> {
    let mut all = observed.deletions.iter();
    let (of, deletions) = all.find(|(_, deletions)| deletions.cleared > 0)?;
    Some((*of, deletions.cleared))
}

/// A message as a reader sees it who deleted nothing.
fn whole(observed: &Observed, place: Place, seq: u64) -> Option<Row> {
    let mut all = observed.history.iter();
    let (_, rows) = all.find(|(of, _)| of.1 == place && !observed.deletions.contains_key(of))?;
    rows.iter().find(|row| row.seq == seq).cloned()
}
