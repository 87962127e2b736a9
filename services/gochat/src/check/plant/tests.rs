//! A run that saw everything as it should be, and each lie about it.

use std::collections::BTreeSet;

use gochat_core::ids::MessageId;
use gochat_core::message::SystemMessage;

use super::super::audit::audit;
use super::super::changes::{Counts, Held, Replica, Told};
use super::super::deletions::{Deletions, blank};
use super::super::observe::{Ack, Crew, Listed, Row};
use super::super::people::{Said, Tale};
use super::super::references::{Quote, References};
use super::super::sessions::History;
use super::*;

fn row(seq: u64) -> Row {
    Row {
        seq,
        rev: seq,
        deleted: false,
        edits: 0,
        reactions: Counts::new(),
        pinned: false,
        hidden: false,
        message_id: format!("{}", 1000 + seq),
        sender: "7".into(),
        client_id: format!("c{seq}"),
        content: format!("content {seq}"),
        references: References::default(),
        quote: None,
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

/// The second user cleared the first message and deleted the third and the fourth, which the
/// eighth answers.
fn delete(seen: &mut Vec<Row>, observed: &mut Observed) {
    let mut deletions = Deletions::default();
    for seq in [3, 4] {
        deletions.ask(seq);
        deletions.answer(seq, None);
        let row = &mut seen[usize::try_from(seq).unwrap() - 1];
        *row = blank(row);
    }
    deletions.ask_clear(1);
    deletions.clear(1, 1, deletions.known());
    seen.remove(0);
    seen[6].quote.as_mut().unwrap().excerpt.clear();
    deletions.listed = vec![(3, 1), (4, 2)];
    deletions.around = seen[..4].to_vec();
    observed.deletions.insert((1, 0), deletions);
}

/// A group whose owner gave it another name, after which two members left at once.
fn tale(owner: UserId) -> Tale {
    let [second, third] = [8, 9].map(|id| UserId::new(id).unwrap());
    let mut tale = Tale::new("g_2".into(), owner, "club", &[third, second]);
    let renamed = Said::new(owner, &SystemMessage::renamed("others"));
    let left = [second, third].map(|user| Said::new(user, &SystemMessage::Left));
    let [one, other] = left.clone();
    tale.rounds.push([vec![renamed.clone()]].into());
    tale.rounds
        .push([vec![one.clone(), other.clone()], vec![other, one]].into());
    let created = Said::new(owner, &SystemMessage::created("club", &[second, third]));
    let message_id = MessageId::new(1).unwrap();
    let pinned = SystemMessage::Pinned {
        message_id,
        seq_id: 2,
    };
    tale.pins.push(Said::new(owner, &pinned));
    let pins = tale.pins.clone();
    let told = [created, renamed].into_iter().chain(left).chain(pins);
    tale.told = Some((1..).zip(told).collect());
    tale
}

/// Two users who saw everything as it should be.
fn clean() -> Observed {
    let mut sent: Vec<Row> = (1..=9).map(row).collect();
    // The eighth answers the fourth, the ninth names the second user.
    sent[7].references.answered = sent[3].message_id.clone();
    sent[8].references.mentions.insert("8".into());
    let mut rows = sent.clone();
    rows[7].quote = Some(Quote {
        seq: 4,
        excerpt: "edited".into(),
        state: "edited".into(),
    });
    let mut observed = Observed {
        users: vec!["7".into(), "8".into()],
        ..Observed::default()
    };
    for row in &sent[7..] {
        let refers = row.references.clone();
        observed.references.insert(row.client_id.clone(), refers);
    }
    // The fourth was edited, the fifth taken back, the sixth got a reaction, the seventh was
    // pinned.
    (rows[3].rev, rows[3].edits, rows[3].content) = (10, 1, "edited".into());
    (rows[4].rev, rows[4].deleted, rows[4].content) = (11, true, String::new());
    (rows[5].rev, rows[5].reactions) = (12, [("👍".to_owned(), 1)].into());
    (rows[6].rev, rows[6].pinned) = (13, true);
    observed.mine.insert((0, 0), [(6, "👍".to_owned())].into());
    observed.mine.insert((1, 0), BTreeSet::new());
    let mut told = Vec::new();
    for (row, id, kind, content) in [
        (&rows[3], "e", ChangeKind::Edit, "edited"),
        (&rows[4], "r", ChangeKind::Recall, ""),
        (&rows[5], "k", ChangeKind::React, "👍"),
        (&rows[6], "p", ChangeKind::Pin, ""),
    ] {
        let wish = Wish {
            who: 0,
            place: 0,
            message_id: row.message_id.clone(),
            seq: row.seq,
            kind,
            content: content.to_owned(),
        };
        told.push((
            0,
            Told {
                seq: row.seq,
                rev: row.rev,
                message_id: row.message_id.clone(),
                kind: kind.name().to_owned(),
                content: if kind == ChangeKind::Edit {
                    content.to_owned()
                } else {
                    String::new()
                },
                reactions: row.reactions.clone(),
            },
        ));
        observed.changes.wishes.insert(id.into(), wish);
        observed.changes.acks.push(ChangeAck {
            place: 0,
            client_id: id.into(),
            message_id: row.message_id.clone(),
            seq: row.seq,
            rev: row.rev,
        });
    }
    observed.head_revs.insert(0, 13);
    let held = rows.iter().map(|row| {
        let held = Held {
            rev: row.rev,
            content: row.content.clone(),
            deleted: row.deleted,
            reactions: row.reactions.clone(),
            pinned: row.pinned,
        };
        (row.seq, held)
    });
    let replica = Replica {
        complete: 13,
        messages: held.collect(),
    };
    observed.replicas.insert((0, 0), replica);
    for who in 0..2 {
        let mut seen = rows.clone();
        if who == 1 {
            delete(&mut seen, &mut observed);
        }
        observed.history.insert((who, 0), seen);
        let listed = Listed {
            last_seq: 9,
            last_read: 4,
            unread: 5,
            mentions: u64::from(who == 1),
            hidden: 2 * u64::from(who == 1),
            cleared: u64::from(who == 1),
        };
        observed.lists.insert((who, 0), listed);
        observed.read.insert((who, 0), 4);
        let pushes = sent.iter().map(|r| (0, r.clone())).collect();
        observed.connections.push(Connection {
            who,
            pushes,
            changes: told.clone(),
            order: (1..=9).map(|seq| (0, seq)).collect(),
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
        ..Crew::default()
    };
    observed.crews.push(("g_1".into(), Some(crew)));
    observed.histories.push(history());
    observed.tales.push(tale(owner));
    for row in &sent {
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
fn a_planted_bug_is_called_by_its_name() {
    for (plant, words) in [
        (Plant::DeletedBack, "deleted message 3 is back"),
        (Plant::HiddenFromOthers, "message 3 is hidden, which"),
        (Plant::LostPlace, "history has 7 messages after 1, and 8"),
        (Plant::ClearedBack, "history begins after 0"),
        (Plant::UntoldDeletion, "different in [3]"),
        (Plant::QuotedDeletion, "message 8 reads"),
        (Plant::Untold, "after its message 1, where round 1"),
        (Plant::ToldTwice, "which did not happen"),
        (Plant::ToldLie, "which did not happen"),
        (Plant::ToldDisorder, "after its message 0, where round 0"),
        (Plant::UntoldPin, "tells pins [] instead"),
        (Plant::ToldOfAnother, "after its message 1, where round 1"),
    ] {
        let mut observed = clean();
        falsify(&mut observed, plant);
        let wrong = audit(&observed);
        let is_named = wrong.iter().any(|fault| fault.contains(words));
        assert!(is_named, "{plant:?}: {wrong:?}");
    }
}

#[test]
fn a_deletion_without_an_answer_may_hold_or_not() {
    for holds in [false, true] {
        let mut observed = clean();
        let deletions = observed.deletions.get_mut(&(1, 0)).unwrap();
        deletions.ask(6);
        if holds {
            let row = &mut observed.history.get_mut(&(1, 0)).unwrap()[4];
            *row = blank(row);
        }
        assert_eq!(audit(&observed), Vec::<String>::new(), "{holds}");
    }
}

#[test]
fn repeated_pushes_and_acks_are_legal() {
    let mut observed = clean();
    let connection = &mut observed.connections[0];
    connection.pushes.push(connection.pushes[2].clone());
    connection.changes.push(connection.changes[0].clone());
    connection.order.push((0, 3));
    observed.changes.acks.push(observed.changes.acks[0].clone());
    observed.acks.push(observed.acks[0].clone());
    observed.unknown.insert("never arrived".into());
    assert_eq!(audit(&observed), Vec::<String>::new());
}
