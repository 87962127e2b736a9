//! Falsifying one observation, to see the audit fail.

use clap::ValueEnum;

use gochat_core::ids::UserId;
use gochat_core::membership::Role;

use super::observe::{Connection, Observed};
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
                |c: &Connection| c.settled.map_or(0, |at| c.pushes.len().saturating_sub(at));
            let connection = observed.connections.iter_mut().max_by_key(|c| settled(c))?;
            let pushes = connection.pushes.get_mut(connection.settled?..)?;
            let place = pushes.first()?.0;
            let mut same = pushes
                .iter_mut()
                .filter_map(|(p, row)| (*p == place).then_some(row));
            std::mem::swap(same.next()?, same.next()?);
        }
        Plant::Altered => {
            observed.sent.get_mut(&ack.client_id)?.push('!');
        }
        Plant::Unread => observed.lists.values_mut().last()?.unread += 1,
        Plant::PointerBack => {
            let (key, read) = observed.read.iter().find(|(_, read)| **read > 0)?;
            let listed = observed.lists.get_mut(key)?;
            listed.last_read = read - 1;
            listed.unread = i64::try_from(listed.last_seq - listed.last_read).ok()?;
        }
        Plant::SdkGap => {
            let mut timelines = observed
                .timelines
                .iter_mut()
                .flat_map(|(_, t)| t.values_mut());
            timelines.find(|rows| rows.len() > 2)?.remove(1);
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

#[cfg(test)]
mod tests {
    use super::super::audit::audit;
    use super::super::observe::{Ack, Crew, Listed, Row};
    use super::super::sessions::History;
    use super::*;

    fn row(seq: u64) -> Row {
        Row {
            seq,
            message_id: format!("{}", 1000 + seq),
            sender: "7".into(),
            client_id: format!("c{seq}"),
            content: format!("content {seq}"),
        }
    }

    /// An account with two sessions: one is renewed, the other signs out.
    fn history() -> History {
        let act = |sent, request, answer| Act {
            sent,
            heard: sent + 10,
            gate: 0,
            request,
            answer,
        };
        let pair = |generation| Answer::Pair {
            generation,
            digest: generation,
        };
        let sign_in = |nth| Request::SignIn { nth, sure: true };
        let line = Line {
            sid: "a".into(),
            nth: Some(0),
            current: true,
        };
        History {
            account: "account".into(),
            acts: vec![
                act(0, sign_in(0), pair(1)),
                act(0, sign_in(1), pair(1)),
                act(100, Request::Refresh(0, 1), pair(2)),
                act(200, Request::SignOut(1), Answer::Done),
                act(300, Request::Use(1), Answer::Refused),
                act(400, Request::List(0), Answer::Sessions(vec![line])),
            ],
            sockets: Vec::new(),
            sids: vec![Some("a".into()), Some("b".into())],
        }
    }

    /// Two users who saw everything as it should be.
    fn clean() -> Observed {
        let rows: Vec<Row> = (1..=9).map(row).collect();
        let mut observed = Observed::default();
        for who in 0..2 {
            observed.history.insert((who, 0), rows.clone());
            let listed = Listed {
                last_seq: 9,
                last_read: 4,
                unread: 5,
            };
            observed.lists.insert((who, 0), listed);
            observed.read.insert((who, 0), 4);
            let pushes = rows.iter().map(|r| (0, r.clone())).collect();
            observed.connections.push(Connection {
                who,
                pushes,
                settled: Some(0),
                strangers: vec![],
            });
            let timeline = [(0, rows[3..].to_vec())].into();
            observed.timelines.push((who, timeline));
        }
        let owner = UserId::new(7).unwrap();
        let crew = Crew {
            owner: Some(owner),
            members: [(owner, Role::Owner)].into(),
            count: 1,
            name: "club".into(),
            version: 0,
            is_dissolved: false,
        };
        observed.crews.push(("g_1".into(), Some(crew)));
        observed.histories.push(history());
        for row in &rows {
            observed
                .sent
                .insert(row.client_id.clone(), row.content.clone());
            observed.acks.push(Ack {
                place: 0,
                client_id: row.client_id.clone(),
                message_id: row.message_id.clone(),
                seq: row.seq,
            });
        }
        observed
    }

    #[test]
    fn a_clean_run_has_no_violation() {
        assert_eq!(audit(&clean()), Vec::<String>::new());
    }

    #[test]
    fn every_planted_bug_is_found() {
        for plant in Plant::value_variants() {
            let mut observed = clean();
            falsify(&mut observed, *plant);
            assert!(!audit(&observed).is_empty(), "{plant:?} went unnoticed");
        }
    }

    #[test]
    fn repeated_pushes_and_acks_are_legal() {
        let mut observed = clean();
        let again = observed.connections[0].pushes[2].clone();
        observed.connections[0].pushes.push(again);
        observed.acks.push(observed.acks[0].clone());
        observed.unknown.insert("never arrived".into());
        assert_eq!(audit(&observed), Vec::<String>::new());
    }
}
