//! Judgements that need more than the facts of a conversation: what is changed, what is referred to,
//! and who sent when.

use super::facts::Facts;
use super::record::{Change, Changed, Referred, Sender, Submission};
use super::store::Slot;
use crate::error::{Error, ErrorCode};
use crate::ids::{UnixMillis, UserId};
use crate::message::{ChangeKind, State, Windows, Wish};

/// The state of a message before and after a change that is allowed.
pub(super) fn judge_change(
    slot: &Slot,
    facts: &Facts,
    change: Change,
    operator: UserId,
    sender: Sender,
    now: UnixMillis,
    edit: u64,
) -> Result<(State, Changed), Error> {
    let Change { kind, emoji, .. } = change;
    let standing = facts.judge_change(slot.id, change, operator, sender, now)?;
    let found = slot.state(change, operator, now);
    let state = found
        .ok_or(ErrorCode::ServiceUnavailable)?
        .ok_or(ErrorCode::MessageNotFound)?;
    let windows = Windows {
        edit,
        recall: facts.recall_window,
    };
    state.judge(&Wish {
        kind,
        emoji,
        operator,
        moderator: standing.privileged,
        now,
        windows,
    })?;
    let changed = Changed {
        kind,
        operator,
        state: state.clone().after(kind, emoji),
        keeps_former: kind == ChangeKind::Edit && facts.keeps_former_texts,
        // Putting a pin on top is no news.
        tells: kind == ChangeKind::Pin && facts.system_messages && !state.target.pinned,
    };
    Ok((state, changed))
}

/// Slow mode: a plain member leaves some time between two messages. Who sent when is read from the
/// idempotency window, so a new owner knows it as well; of its last 10,000 messages and changes, a
/// member's older ones are forgotten.
pub(super) fn judge_slow_mode(
    slot: &Slot,
    facts: &Facts,
    user: UserId,
    now: UnixMillis,
) -> Result<(), Error> {
    let interval = facts.interval_of(slot.id, user);
    if interval == 0 {
        return Ok(());
    }
    let since = now.saturating_sub(interval);
    let last = slot.log.last_sent(user, since).unwrap_or(0);
    // Clocks of two owners differ: nobody waits for longer than the interval.
    match last
        .saturating_add(interval)
        .saturating_sub(now)
        .min(interval)
    {
        0 => Ok(()),
        wait => {
            let text = "This group is in slow mode; wait before you write again.";
            Err(Error::new(ErrorCode::SlowMode, text).after(wait))
        }
    }
}

/// What a message refers to, as far as it is true: a message that exists, users who are members.
pub(super) fn judge_references(
    slot: &Slot,
    facts: &Facts,
    submission: &Submission,
    now: UnixMillis,
) -> Result<Option<Box<Referred>>, Error> {
    let Some(refers) = &submission.refers else {
        return Ok(None);
    };
    if refers.mention_all {
        facts.judge_mention_all(slot.id, submission.sender())?;
    }
    let reply = match refers.reply_to {
        None => None,
        Some(id) => {
            let quoted = slot.quoted(id, !facts.hides_earlier, now);
            let found = quoted.ok_or(ErrorCode::ServiceUnavailable)?;
            Some(found.ok_or(ErrorCode::MessageNotFound)?)
        }
    };
    Ok(Some(Box::new(Referred {
        reply,
        mentions: slot.members_among(facts, &refers.mentions)?,
        mention_all: refers.mention_all,
    })))
}
