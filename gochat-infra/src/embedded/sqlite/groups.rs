//! Group commands: load, let core judge, write. The writing connection runs one job at a time, so
//! every command meets the outcome of the one before.

use diesel::sqlite::SqliteConnection;
use gochat_core::ids::{ConversationId, UnixMillis, UserId};
use gochat_core::membership::{GroupCommand, GroupState, GroupWrite, decide};

use super::announcements;
use super::conversations::{existing, set_dissolved};
use super::members::insert_all;
use super::owed_messages::owe;
use super::query::{binds, execute, json_array, rows, statements};
use crate::port::db::{ConversationRow, DbResult, GroupOutcome};
use crate::sql::groups::{Brought, NamedMember, mute_columns, owed, refused, state};

statements! {
    RolesOf = "SELECT m.user_id, m.role, m.muted, m.muted_until FROM json_each(?2) j CROSS JOIN conversation_members m \
               ON m.conversation_id = ?1 AND m.user_id = j.value";
    Deleted = "SELECT u.id FROM json_each(?1) j CROSS JOIN users u ON u.id = j.value \
               WHERE u.status = 2";
    PointerAtHead = "INSERT INTO user_read_pointers \
        (user_id, conversation_id, last_read_seq_id, updated_at) VALUES (?2, ?1, ?3, ?4) \
        ON CONFLICT DO UPDATE SET last_read_seq_id = excluded.last_read_seq_id, \
        updated_at = excluded.updated_at \
        WHERE excluded.last_read_seq_id > user_read_pointers.last_read_seq_id";
    DropPointer = "DELETE FROM user_read_pointers WHERE user_id = ?2 AND conversation_id = ?1";
    DropState = "DELETE FROM conversation_states WHERE user_id = ?2 AND conversation_id = ?1";
    DropHidden = "DELETE FROM hidden_messages WHERE user_id = ?2 AND conversation_id = ?1";
    Remove = "DELETE FROM conversation_members WHERE conversation_id = ?1 AND user_id = ?2";
    NoteLeaving = "INSERT INTO left_conversations (user_id, conversation_id, left_at) \
                   VALUES (?2, ?1, ?3) ON CONFLICT DO UPDATE SET left_at = excluded.left_at";
    CountDown = "UPDATE conversations SET member_count = member_count - 1, \
                 updated_at = max(updated_at, ?2) WHERE id = ?1";
    SetRole = "UPDATE conversation_members SET role = ?3, updated_at = ?4 \
               WHERE conversation_id = ?1 AND user_id = ?2";
    SetMute = "UPDATE conversation_members SET muted = ?3, muted_until = ?4, updated_at = ?5 \
               WHERE conversation_id = ?1 AND user_id = ?2";
    SetOwner = "UPDATE conversations SET owner_id = ?2, updated_at = max(updated_at, ?3) \
                WHERE id = ?1";
}

/// Those whose accounts are deleted.
pub(super) fn deleted(conn: &mut SqliteConnection, users: &[UserId]) -> DbResult<Vec<UserId>> {
    let users = json_array(users);
    rows::<Deleted, _>(conn, &binds![&users])
}

/// A group with the roles of the users named; `admits` also loads which of them are deleted.
pub(super) fn loaded(
    conn: &mut SqliteConnection,
    id: ConversationId,
    names: &[UserId],
    admits: bool,
) -> DbResult<(ConversationRow, GroupState)> {
    let row = existing(conn, id)?;
    let named = json_array(names);
    let members: Vec<NamedMember> = rows::<RolesOf, _>(conn, &binds![id, &named])?;
    let deleted = match admits {
        true => deleted(conn, names)?,
        false => Vec::new(),
    };
    let state = state(&row, members, deleted);
    Ok((row, state))
}

pub(super) fn command(
    conn: &mut SqliteConnection,
    id: ConversationId,
    command: &GroupCommand,
    brought: Brought,
    now: UnixMillis,
) -> DbResult<GroupOutcome> {
    let (row, state) = loaded(conn, id, &command.names(), command.admits())?;
    let decision = decide(&state, command, now).map_err(refused)?;
    for change in &decision.writes {
        write(conn, &row, change, now)?;
    }
    let owed = owed(&row, command, &decision, brought);
    owe(conn, id, owed.as_slice(), now)?;
    Ok(GroupOutcome {
        conversation: existing(conn, id)?,
        decision,
    })
}

fn write(
    conn: &mut SqliteConnection,
    row: &ConversationRow,
    change: &GroupWrite,
    now: UnixMillis,
) -> DbResult<()> {
    let id = row.id;
    match change {
        GroupWrite::Insert(users, role) => {
            for user in insert_all(conn, id, users, *role as i32, now)? {
                execute::<PointerAtHead>(conn, &binds![id, user, row.last_seq_id, now])?;
            }
        }
        GroupWrite::Delete(user, _) => {
            execute::<Remove>(conn, &binds![id, *user])?;
            execute::<DropPointer>(conn, &binds![id, *user])?;
            execute::<DropState>(conn, &binds![id, *user])?;
            execute::<DropHidden>(conn, &binds![id, *user])?;
            announcements::forget(conn, id, *user)?;
            execute::<NoteLeaving>(conn, &binds![id, *user, now])?;
            execute::<CountDown>(conn, &binds![id, now])?;
        }
        GroupWrite::Role(user, _, role) => {
            execute::<SetRole>(conn, &binds![id, *user, *role as i32, now])?;
        }
        GroupWrite::Owner(user) => {
            execute::<SetOwner>(conn, &binds![id, *user, now])?;
        }
        GroupWrite::Mute(user, mute) => {
            let (muted, until) = mute_columns(*mute);
            execute::<SetMute>(conn, &binds![id, *user, muted, until, now])?;
        }
        GroupWrite::Dissolve => set_dissolved(conn, id, now)?,
    }
    Ok(())
}
