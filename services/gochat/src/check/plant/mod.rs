//! Falsifying one observation, to see the audit fail.

mod deletions;
#[cfg(test)]
mod tests;
mod told;

use clap::ValueEnum;

use gochat_core::ids::UserId;
use gochat_core::membership::Role;
use gochat_core::message::ChangeKind;

use super::changes::{ChangeAck, Wish};
use super::observe::{Connection, Observed, Row};
use super::sessions::{Act, Answer, Line, Request, Socket};

/// Which lie to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Plant {
    /// An acknowledged message is gone from everybody's history.
    Lost,
    /// A message is in history twice.
    Duplicate,
    /// A number is missing.
    Gap,
    /// One reader sees two messages in the other order.
    Disagree,
    /// An acknowledgement named another number.
    WrongAck,
    /// Two pushes came in the wrong order.
    Reorder,
    /// A content was changed.
    Altered,
    /// An unread count is off by one.
    Unread,
    /// A read pointer went back.
    PointerBack,
    /// The SDK missed a message.
    SdkGap,
    /// Somebody was pushed a stranger's message.
    Leak,
    /// A group lost its owner.
    Ownerless,
    /// A group has two owners.
    TwoOwners,
    /// Two commands were carried out that no order explains.
    Disorder,
    /// A client is signed out for no reason.
    SignedOut,
    /// The end of a session was acknowledged and dropped: its refresh token is good.
    DroppedEnd,
    /// A refresh ended another session.
    WrongSession,
    /// An access token outlives its session.
    OutlivingToken,
    /// A socket outlives its session.
    OutlivingSocket,
    /// A refresh that was repeated gave another pair.
    SecondPair,
    /// Somebody has a session that nobody made.
    GhostSession,
    /// An acknowledged change is gone from everybody's history.
    LostChange,
    /// A change had effect twice.
    ChangedTwice,
    /// An older change of a message overwrote a newer one.
    OlderChange,
    /// An edit brought a recalled message back.
    Resurrected,
    /// A client holds a message as it was before its last change.
    StaleClient,
    /// An SDK missed the last change of a message.
    StaleSdk,
    /// Somebody was pushed another change than was made.
    WrongChange,
    /// A repeated change was acknowledged under another number.
    SecondChange,
    /// An acknowledged reaction is gone from everybody's history.
    LostReaction,
    /// A reaction was counted twice.
    CountedTwice,
    /// Somebody is told that a reaction of theirs is not.
    NotMine,
    /// A pinned message isn't pinned any more.
    LostPin,
    /// A reaction was pushed with another count.
    WrongCount,
    /// An answer answers nothing any more.
    LostAnswer,
    /// A quote says what its message said before.
    StaleQuote,
    /// A member who is named isn't.
    LostMention,
    /// An unread mention is counted twice.
    NamedTwice,
    /// A message that its reader deleted is back.
    DeletedBack,
    /// A message is hidden from somebody who didn't delete it.
    HiddenFromOthers,
    /// A deleted message is gone without its place.
    LostPlace,
    /// What was cleared is back.
    ClearedBack,
    /// A second device isn't told of a deleted message.
    UntoldDeletion,
    /// An answer quotes a message that its reader deleted.
    QuotedDeletion,
    /// A change of a group isn't told in its timeline.
    Untold,
    /// A change of a group is told twice.
    ToldTwice,
    /// A change of a group is told that never happened.
    ToldLie,
    /// Changes of a group are told in another order.
    ToldDisorder,
    /// A change of a group is told as one of somebody else.
    ToldOfAnother,
    /// A pin isn't told in the timeline of its group.
    UntoldPin,
}

/// Tells the lie; it does nothing when there is nothing to lie about.
pub(super) fn falsify(observed: &mut Observed, plant: Plant) {
    let changed = tell(observed, plant);
    if changed.is_none() {
        eprintln!("nothing to plant: too little was observed");
    }
}

fn tell(observed: &mut Observed, plant: Plant) -> Option<()> {
    let ack = observed.acks.get(observed.acks.len() / 2)?.clone();
    let of_place = |place: usize| move |((_, p), _): &(&(usize, usize), _)| *p == place;
    match plant {
        Plant::Lost => {
            for ((_, place), rows) in &mut observed.history {
                if *place == ack.place {
                    rows.retain(|row| row.seq != ack.seq);
                    rows.iter_mut()
                        .zip(1..)
                        .for_each(|(row, seq)| row.seq = seq);
                }
            }
        }
        Plant::Duplicate => {
            for ((_, place), rows) in &mut observed.history {
                if *place == ack.place {
                    let mut again = rows.iter().find(|row| row.seq == ack.seq)?.clone();
                    again.seq = rows.last()?.seq + 1;
                    again.message_id.push('0');
                    rows.push(again);
                }
            }
        }
        Plant::Gap => {
            for ((_, place), rows) in &mut observed.history {
                if *place == ack.place {
                    rows.retain(|row| row.seq != ack.seq);
                }
            }
        }
        Plant::Disagree => {
            let key = *observed
                .history
                .iter()
                .filter(of_place(ack.place))
                .nth(1)?
                .0;
            let rows = observed.history.get_mut(&key)?;
            let first = rows.first()?.message_id.clone();
            rows.last_mut()?.message_id = first;
        }
        Plant::WrongAck => observed.acks.last_mut()?.seq += 1,
        Plant::Reorder => {
            let settled =
                |c: &Connection| c.settled.map_or(0, |at| c.order.len().saturating_sub(at));
            let connection = observed.connections.iter_mut().max_by_key(|c| settled(c))?;
            let pushes = connection.order.get_mut(connection.settled?..)?;
            let place = pushes.first()?.0;
            let mut same = pushes
                .iter_mut()
                .filter_map(|(p, rev)| (*p == place).then_some(rev));
            std::mem::swap(same.next()?, same.next()?);
        }
        Plant::Altered => {
            let rows = observed.history.values().flatten();
            let untouched = rows.filter(|row| row.is_untouched());
            let id = untouched
                .map(|row| row.client_id.clone())
                .find(|id| observed.sent.contains_key(id))?;
            observed.sent.get_mut(&id)?.push('!');
        }
        Plant::Unread => observed.lists.values_mut().last()?.unread += 1,
        Plant::PointerBack => {
            let (key, read) = observed.read.iter().find(|(_, read)| **read > 0)?;
            let listed = observed.lists.get_mut(key)?;
            listed.last_read = read - 1;
            listed.unread = i64::try_from(listed.last_seq - listed.last_read).ok()?;
        }
        Plant::SdkGap => {
            // Messages that were taken back may be missing.
            let histories = observed.history.iter();
            let gone = histories.flat_map(|((_, place), rows)| {
                let gone = rows.iter().filter(|row| row.deleted);
                gone.map(|row| (*place, row.seq))
            });
            let gone: Vec<(usize, u64)> = gone.collect();
            let timelines = observed.timelines.iter_mut();
            let timelines = timelines.flat_map(|(_, timeline)| timeline.iter_mut());
            let (rows, at) = timelines.into_iter().find_map(|(place, rows)| {
                let is_due = |row: &Row| !gone.contains(&(*place, row.seq));
                let at = (1..rows.len()).find(|at| is_due(&rows[*at]))?;
                Some((rows, at))
            })?;
            rows.remove(at);
        }
        Plant::Leak => {
            observed
                .connections
                .first_mut()?
                .strangers
                .push("a conversation".to_owned());
        }
        Plant::Ownerless => {
            let crew = observed
                .crews
                .iter_mut()
                .filter_map(|(_, crew)| crew.as_mut())
                .find(|crew| !crew.is_dissolved)?;
            let owner = crew.owner?;
            crew.members.remove(&owner);
            crew.count -= 1;
        }
        Plant::TwoOwners => {
            let crew = observed
                .crews
                .iter_mut()
                .filter_map(|(_, crew)| crew.as_mut())
                .find(|crew| !crew.is_dissolved)?;
            let second = UserId::new(1)?;
            crew.members.insert(second, Role::Owner);
            crew.count = crew.members.len() as u64;
        }
        Plant::LostChange
        | Plant::ChangedTwice
        | Plant::OlderChange
        | Plant::Resurrected
        | Plant::StaleClient
        | Plant::StaleSdk
        | Plant::WrongChange
        | Plant::SecondChange => return changes(observed, plant),
        Plant::LostReaction
        | Plant::CountedTwice
        | Plant::NotMine
        | Plant::LostPin
        | Plant::WrongCount => return marks(observed, plant),
        Plant::LostAnswer | Plant::StaleQuote | Plant::LostMention | Plant::NamedTwice => {
            return references(observed, plant);
        }
        Plant::DeletedBack
        | Plant::HiddenFromOthers
        | Plant::LostPlace
        | Plant::ClearedBack
        | Plant::UntoldDeletion
        | Plant::QuotedDeletion => return deletions::lie(observed, plant),
        Plant::Untold
        | Plant::ToldTwice
        | Plant::ToldLie
        | Plant::ToldDisorder
        | Plant::ToldOfAnother
        | Plant::UntoldPin => return told::lie(observed, plant),
        Plant::Disorder => observed.unexplained.push("two commands".to_owned()),
        Plant::SignedOut => observed.signed_out.push("client".to_owned()),
        Plant::DroppedEnd
        | Plant::WrongSession
        | Plant::OutlivingToken
        | Plant::OutlivingSocket
        | Plant::SecondPair
        | Plant::GhostSession => return sessions(observed, plant),
    }
    Some(())
}

/// Lies about changes.
fn changes(observed: &mut Observed, plant: Plant) -> Option<()> {
    // The last change of a message that was edited and not taken back.
    let is_last = |ack: &&ChangeAck| {
        let rows = observed
            .history
            .iter()
            .filter(|((_, place), _)| *place == ack.place);
        let mut rows = rows.flat_map(|(_, rows)| rows);
        rows.any(|row| (row.seq, row.rev, row.deleted) == (ack.seq, ack.rev, false))
    };
    let ack = observed.changes.acks.iter().find(is_last)?.clone();
    let everywhere = |observed: &mut Observed, lie: &dyn Fn(&mut Row)| {
        rewrite(observed, &ack, lie);
    };
    match plant {
        Plant::LostChange => everywhere(observed, &|row| {
            (row.edits, row.rev) = (row.edits - 1, row.rev - 1);
            row.content.push('?');
        }),
        Plant::ChangedTwice => {
            everywhere(observed, &|row| row.edits += 1);
            *observed.head_revs.get_mut(&ack.place)? += 1;
        }
        Plant::OlderChange => everywhere(observed, &|row| row.content = "as it was".into()),
        Plant::Resurrected => {
            let wish = observed.changes.wishes.get_mut(&ack.client_id)?;
            wish.kind = ChangeKind::Recall;
        }
        Plant::StaleClient => {
            let mut replicas = observed.replicas.iter_mut();
            let (_, replica) = replicas.find(|((_, place), _)| *place == ack.place)?;
            replica.messages.get_mut(&ack.seq)?.content = "as it was".into();
        }
        Plant::StaleSdk => {
            let timelines = observed.timelines.iter_mut();
            let mut rows = timelines.flat_map(|(_, t)| t.values_mut()).flatten();
            let row = rows.find(|row| row.edits > 0 && !row.deleted)?;
            (row.rev, row.edits, row.content) = (row.rev - 1, row.edits - 1, "as it was".into());
        }
        Plant::WrongChange => {
            let mut told = observed.connections.iter_mut().flat_map(|c| &mut c.changes);
            told.next()?.1.content.push('!');
        }
        Plant::SecondChange => {
            let again = ChangeAck {
                rev: ack.rev + 1,
                ..ack.clone()
            };
            observed.changes.acks.push(again);
        }
        _ => return None,
    }
    Some(())
}

/// Tells another history of the message of a change, and clients believe it.
fn rewrite(observed: &mut Observed, ack: &ChangeAck, lie: &dyn Fn(&mut Row)) {
    let histories = observed.history.iter_mut();
    for (_, rows) in histories.filter(|((_, place), _)| *place == ack.place) {
        rows.iter_mut()
            .filter(|row| row.seq == ack.seq)
            .for_each(lie);
    }
    let timelines = observed.timelines.iter_mut();
    let timelines = timelines.flat_map(|(_, timeline)| timeline.iter_mut());
    for (_, rows) in timelines.filter(|(place, _)| **place == ack.place) {
        rows.iter_mut()
            .filter(|row| row.seq == ack.seq)
            .for_each(lie);
    }
    let replicas = observed.replicas.iter_mut();
    for (_, replica) in replicas.filter(|((_, place), _)| *place == ack.place) {
        if let Some(held) = replica.messages.get_mut(&ack.seq) {
            let mut row = Row {
                seq: ack.seq,
                rev: held.rev,
                deleted: held.deleted,
                edits: 1,
                reactions: held.reactions.clone(),
                pinned: held.pinned,
                hidden: false,
                message_id: String::new(),
                sender: String::new(),
                client_id: String::new(),
                content: held.content.clone(),
                references: Default::default(),
                quote: None,
            };
            lie(&mut row);
            (held.rev, held.deleted, held.content) = (row.rev, row.deleted, row.content);
            (held.reactions, held.pinned) = (row.reactions, row.pinned);
        }
    }
}

/// Lies about reactions and pins.
fn marks(observed: &mut Observed, plant: Plant) -> Option<()> {
    let wanted = if plant == Plant::LostPin {
        ChangeKind::Pin
    } else {
        ChangeKind::React
    };
    let rows = observed.history.iter();
    let shown: Vec<(usize, u64)> = rows
        .flat_map(|((_, place), rows)| rows.iter().map(move |row| (*place, row)))
        .filter(|(_, row)| !row.deleted && (row.pinned || wanted == ChangeKind::React))
        .map(|(place, row)| (place, row.seq))
        .collect();
    let ack = observed.changes.acks.iter().find(|ack| {
        let wish = observed.changes.wishes.get(&ack.client_id);
        let is_it = wish.is_some_and(|wish| wish.kind == wanted && is_there(observed, wish));
        is_it && shown.contains(&(ack.place, ack.seq))
    })?;
    let (ack, wish) = (
        ack.clone(),
        observed.changes.wishes.get(&ack.client_id)?.clone(),
    );
    match plant {
        Plant::LostReaction => rewrite(observed, &ack, &|row| row.reactions.clear()),
        Plant::CountedTwice => rewrite(observed, &ack, &|row| {
            row.reactions.values_mut().for_each(|count| *count += 1);
        }),
        Plant::LostPin => rewrite(observed, &ack, &|row| row.pinned = false),
        Plant::NotMine => {
            let mine = observed.mine.get_mut(&(wish.who, wish.place))?;
            mine.remove(&(wish.seq, wish.content)).then_some(())?;
        }
        Plant::WrongCount => {
            let told = observed.connections.iter_mut().flat_map(|c| &mut c.changes);
            let (_, told) = told.into_iter().find(|(place, told)| {
                (*place, told.seq, told.rev) == (ack.place, ack.seq, ack.rev)
            })?;
            *told.reactions.entry(wish.content).or_default() += 1;
        }
        _ => return None,
    }
    Some(())
}

/// Lies about what messages refer to.
fn references(observed: &mut Observed, plant: Plant) -> Option<()> {
    if plant == Plant::NamedTwice {
        observed.lists.values_mut().last()?.mentions += 1;
        return Some(());
    }
    let fits = |row: &Row| match plant {
        Plant::LostMention => !row.references.mentions.is_empty(),
        _ => row.quote.is_some(),
    };
    let mut all = observed.history.iter();
    let (place, seq) = all.find_map(|((_, place), rows)| {
        let row = rows.iter().find(|row| fits(row))?;
        Some((*place, row.seq))
    })?;
    let histories = observed.history.iter_mut();
    for (_, rows) in histories.filter(|((_, of), _)| *of == place) {
        for row in rows.iter_mut().filter(|row| row.seq == seq) {
            match plant {
                Plant::LostAnswer => (row.references.answered, row.quote) = (String::new(), None),
                Plant::LostMention => row.references.mentions.clear(),
                _ => row.quote.as_mut()?.excerpt.push('!'),
            }
        }
    }
    Some(())
}

/// Whether a reaction is shown as its user's own.
fn is_there(observed: &Observed, wish: &Wish) -> bool {
    let mine = observed.mine.get(&(wish.who, wish.place));
    let reaction = (wish.seq, wish.content.clone());
    wish.kind == ChangeKind::Pin || mine.is_some_and(|mine| mine.contains(&reaction))
}

/// Lies about sessions.
fn sessions(observed: &mut Observed, plant: Plant) -> Option<()> {
    let told = |act: &&Act| {
        matches!(
            (&act.answer, act.request),
            (Answer::Done, Request::SignOut(_))
        )
    };
    let mut histories = observed.histories.iter_mut();
    let history = histories.find(|history| history.acts.iter().any(|a| told(&a)))?;
    let end = history.acts.iter().find(told)?.clone();
    let Request::SignOut(ended) = end.request else {
        return None;
    };
    // Long after it, whatever was disturbed.
    let later = history.acts.iter().map(|act| act.heard).max()? + 60_000;
    let act = |request, answer| Act {
        sent: later,
        heard: later + 1,
        gate: 0,
        request,
        answer,
    };
    let pair = |generation, digest| Answer::Pair { generation, digest };
    match plant {
        Plant::DroppedEnd => history
            .acts
            .push(act(Request::Refresh(ended, 1), pair(2, 0))),
        Plant::OutlivingToken => history.acts.push(act(Request::Use(ended), Answer::Done)),
        Plant::OutlivingSocket => history.sockets.push(Socket {
            session: ended,
            gate: 0,
            since: 0,
            until: later,
            code: None,
            expires: u64::MAX,
        }),
        Plant::WrongSession => {
            // One that nobody else touched.
            let nth = history.sids.len();
            history.sids.push(Some("another".to_owned()));
            let request = Request::SignIn { nth, sure: true };
            history.acts.push(act(request, pair(1, 0)));
            history.acts.push(act(Request::Use(nth), Answer::Refused));
        }
        Plant::SecondPair => {
            let granted = |act: &&Act| {
                let is_refresh = matches!(act.request, Request::Refresh(..));
                is_refresh && matches!(act.answer, Answer::Pair { .. })
            };
            let mut again = history.acts.iter().find(granted)?.clone();
            if let Answer::Pair { digest, .. } = &mut again.answer {
                *digest ^= 1;
            }
            history.acts.push(again);
        }
        Plant::GhostSession => {
            let lists = history.acts.iter_mut().rev();
            let lines = lists.filter_map(|act| match &mut act.answer {
                Answer::Sessions(lines) => Some(lines),
                _ => None,
            });
            lines.into_iter().next()?.push(Line {
                sid: "ghost".to_owned(),
                nth: None,
                current: false,
            });
        }
        _ => return None,
    }
    Some(())
}
