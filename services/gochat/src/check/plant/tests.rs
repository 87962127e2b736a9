//! A run that saw everything as it should be, and each lie about it.

use std::collections::BTreeSet;

use super::super::audit::audit;
use super::super::changes::{Counts, Held, Replica, Told};
use super::super::observe::{Ack, Crew, Listed, Row};
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
        observed.history.insert((who, 0), rows.clone());
        let listed = Listed {
            last_seq: 9,
            last_read: 4,
            unread: 5,
            mentions: u64::from(who == 1),
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
        version: 0,
        is_dissolved: false,
    };
    observed.crews.push(("g_1".into(), Some(crew)));
    observed.histories.push(history());
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
