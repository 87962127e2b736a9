//! The rules of messaging inside a server of your own.
//!
//! `gochat-core` brings no network, no storage, no clock and no runtime. This program keeps a
//! conversation in a `Vec` and lets core decide: what is a valid message, which number it
//! gets, whether it is a repetition, and what is unread.

use std::time::{SystemTime, UNIX_EPOCH};

use gochat_core::error::{Error, ErrorCode};
use gochat_core::ids::{ConversationId, MessageId, UserId};
use gochat_core::message::{Draft, DraftLimits, Writer};
use gochat_core::read::ReadPointer;
use gochat_core::sequence::{Admitted, Assigned, ClientKey, ConversationLog};
use gochat_core::snowflake::{Lease, Snowflake};

/// All a chat room needs. Core decides, this struct stores.
struct Room {
    id: ConversationId,
    log: ConversationLog,
    ids: Snowflake,
    messages: Vec<(Assigned, UserId, String)>,
}

impl Room {
    /// Accepts a message, or recognises it.
    fn send(&mut self, from: UserId, client_id: &str, text: &str) -> Result<Assigned, Error> {
        if self.id.peer_of(from).is_none() {
            return Err(ErrorCode::NotConversationMember.into());
        }
        let draft = Draft::check(
            1,
            text,
            client_id,
            "",
            Writer::Client,
            &DraftLimits::default(),
        )?;
        let key = ClientKey::new(from, draft.client_msg_id);
        let now = now_ms();
        let fresh = self.ids.next(now).ok().and_then(MessageId::new);
        let fresh = fresh.ok_or(ErrorCode::ServiceUnavailable)?;
        match self.log.admit(key, now, || fresh) {
            Admitted::Replay(first) => Ok(first),
            Admitted::New(assigned) => {
                // Here your server would write to its database; had that failed, it would roll back.
                self.messages
                    .push((assigned, from, draft.content.to_owned()));
                self.log.commit(now);
                Ok(assigned)
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A server that restarts stores the end of the lease first, and begins the next one there.
    let mut ids = Snowflake::new(1).ok_or("instance numbers end at 1023")?;
    let from = now_ms();
    ids.grant(Lease {
        from,
        until: from + 3_600_000,
    });
    let ann = UserId::new(1).ok_or("not an id")?;
    let ben = UserId::new(2).ok_or("not an id")?;
    let mut room = Room {
        id: ConversationId::single(ann, ben).ok_or("one user alone is no conversation")?,
        log: ConversationLog::default(),
        ids,
        messages: Vec::new(),
    };

    let first = room.send(ann, "a-1", "Are you there?")?;
    let again = room.send(ann, "a-1", "Are you there?")?;
    assert_eq!(first, again, "a repetition is the same message");
    room.send(ben, "b-1", "I am.")?;
    room.send(ann, "a-2", "Good.")?;

    for (assigned, from, text) in &room.messages {
        println!("#{} {from}: {text}", assigned.seq);
    }
    for (who, from, text) in [
        ("too long", ann, "x".repeat(5001)),
        ("a stranger", carol(), "hi".into()),
    ] {
        if let Err(refusal) = room.send(from, "x-1", &text) {
            println!("{who}: {refusal}");
        }
    }

    let read = ReadPointer::START.advance(1, room.log.head().seq);
    println!(
        "ben has read up to {}, {} unread",
        read.after.seq(),
        read.unread
    );
    Ok(())
}

fn carol() -> UserId {
    UserId::new(3).unwrap_or_default()
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
