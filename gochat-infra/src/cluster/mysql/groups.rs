//! Group commands: load, let core judge, write. The conversation's row is held from the first
//! statement on, so every command meets the outcome of the one before.

use gochat_core::ids::{ConversationId, UnixMillis, UserId};
use gochat_core::membership::{GroupCommand, GroupState, GroupWrite, decide};

use super::announcements;
use super::conversations::{existing, held, set_dissolved, unknown};
use super::members::insert_all;
use super::owed_messages::owe;
use super::query::{
    At, Bind, Conn, Rows, binds, execute, execute_rows, json_array, rows, statements,
};
use crate::port::db::{ConversationRow, DbResult, GroupOutcome, UserStatus};
use crate::sql::groups::{Brought, NamedMember, mute_columns, owed, refused, state};

const POINTERS_AT_HEAD: Rows = Rows {
    head: "INSERT INTO user_read_pointers (user_id, conversation_id, last_read_seq_id, updated_at) VALUES ",
    row: "(?, ?, ?, ?)",
    tail: " ON DUPLICATE KEY UPDATE \
           updated_at = IF(VALUES(last_read_seq_id) > last_read_seq_id, VALUES(updated_at), updated_at), \
           last_read_seq_id = GREATEST(last_read_seq_id, VALUES(last_read_seq_id))",
};

statements! {
    // ?1 conversation, ?2 JSON array of users
    RolesOf = "SELECT m.user_id, m.role, m.muted, m.muted_until FROM \
        JSON_TABLE(CONVERT(?2 USING utf8mb4), '$[*]' COLUMNS (id BIGINT PATH '$')) j \
        STRAIGHT_JOIN conversation_members m ON m.conversation_id = ?1 AND m.user_id = j.id";
    // ?1 JSON array of users. Their rows are held, so that none of them is deleted before the
    // commit.
    StatusesOf = "SELECT u.id, u.status FROM \
        JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS (id BIGINT PATH '$')) j \
        STRAIGHT_JOIN users u ON u.id = j.id LOCK IN SHARE MODE";
    DropPointer = "DELETE FROM user_read_pointers WHERE user_id = ?2 AND conversation_id = ?1";
    DropState = "DELETE FROM conversation_states WHERE user_id = ?2 AND conversation_id = ?1";
    DropHidden = "DELETE FROM hidden_messages WHERE user_id = ?2 AND conversation_id = ?1";
    Remove = "DELETE FROM conversation_members WHERE conversation_id = ?1 AND user_id = ?2";
    NoteLeaving = "INSERT INTO left_conversations (user_id, conversation_id, left_at) \
                   VALUES (?2, ?1, ?3) ON DUPLICATE KEY UPDATE left_at = VALUES(left_at)";
    CountDown = "UPDATE conversations SET member_count = member_count - 1, \
                 updated_at = GREATEST(updated_at, ?2) WHERE id = ?1";
    SetRole = "UPDATE conversation_members SET role = ?3, updated_at = ?4 \
               WHERE conversation_id = ?1 AND user_id = ?2";
    SetMute = "UPDATE conversation_members SET muted = ?3, muted_until = ?4, updated_at = ?5 \
               WHERE conversation_id = ?1 AND user_id = ?2";
    SetOwner = "UPDATE conversations SET owner_id = ?2, updated_at = GREATEST(updated_at, ?3) \
                WHERE id = ?1";
}

/// Those whose accounts are deleted. The others stay as they are until the commit.
pub(super) async fn deleted(conn: &mut Conn, users: &[UserId]) -> DbResult<Vec<UserId>> {
    let mut users = users.to_vec();
    users.sort_unstable();
    let list = json_array(&users);
    let found: Vec<(UserId, UserStatus)> = rows::<StatusesOf, _>(conn, &binds![list]).await?;
    let gone = found
        .into_iter()
        .filter(|(_, status)| *status == UserStatus::Deleted);
    Ok(gone.map(|(user, _)| user).collect())
}

/// Holds a group and loads the roles of the users named; `admits` also loads which of them are
/// deleted.
pub(super) async fn loaded(
    conn: &mut Conn,
    id: ConversationId,
    names: &[UserId],
    admits: bool,
) -> DbResult<(ConversationRow, GroupState)> {
    let row = held(conn, id).await?.ok_or_else(unknown)?;
    let named = json_array(names);
    let members: Vec<NamedMember> = rows::<RolesOf, _>(conn, &binds![id, named]).await?;
    let deleted = match admits {
        true => deleted(conn, names).await?,
        false => Vec::new(),
    };
    let state = state(&row, members, deleted);
    Ok((row, state))
}

pub(super) async fn command(
    conn: &mut Conn,
    (id, command, brought, now): &(ConversationId, GroupCommand, Brought, UnixMillis),
) -> DbResult<GroupOutcome> {
    let (row, state) = loaded(conn, *id, &command.names(), command.admits()).await?;
    let decision = decide(&state, command, *now).map_err(refused)?;
    for change in &decision.writes {
        write(conn, &row, change, *now).await?;
    }
    let owed = owed(&row, command, &decision, *brought);
    owe(conn, *id, owed.as_slice(), *now).await?;
    Ok(GroupOutcome {
        conversation: existing(conn, *id).await?,
        decision,
    })
}

async fn write(
    conn: &mut Conn,
    row: &ConversationRow,
    change: &GroupWrite,
    now: UnixMillis,
) -> DbResult<()> {
    let id = row.id;
    match change {
        GroupWrite::Insert(users, role) => add(conn, row, users, *role as i32, now).await?,
        GroupWrite::Delete(user, _) => {
            execute::<Remove>(conn, &binds![id, *user]).await?;
            execute::<DropPointer>(conn, &binds![id, *user]).await?;
            execute::<DropState>(conn, &binds![id, *user]).await?;
            execute::<DropHidden>(conn, &binds![id, *user]).await?;
            announcements::forget(conn, id, *user).await?;
            execute::<NoteLeaving>(conn, &binds![id, *user, At(now)]).await?;
            execute::<CountDown>(conn, &binds![id, At(now)]).await?;
        }
        GroupWrite::Role(user, _, role) => {
            execute::<SetRole>(conn, &binds![id, *user, *role as i32, At(now)]).await?;
        }
        GroupWrite::Owner(user) => {
            execute::<SetOwner>(conn, &binds![id, *user, At(now)]).await?;
        }
        GroupWrite::Mute(user, mute) => {
            let (muted, until) = mute_columns(*mute);
            let binds = binds![id, *user, muted, until.map(At), At(now)];
            execute::<SetMute>(conn, &binds).await?;
        }
        GroupWrite::Dissolve => set_dissolved(conn, id, now).await?,
    }
    Ok(())
}

async fn add(
    conn: &mut Conn,
    row: &ConversationRow,
    users: &[UserId],
    role: i32,
    now: UnixMillis,
) -> DbResult<()> {
    let mut added = insert_all(conn, row.id, users, role, now).await?;
    added.sort_unstable();
    let (text, head) = (row.id.to_string(), row.last_seq_id);
    let values = added
        .iter()
        .flat_map(|user| binds![*user, text.as_str(), head, At(now)]);
    let values: Vec<Bind<'_>> = values.collect();
    execute_rows(conn, &POINTERS_AT_HEAD, 4, &values).await?;
    Ok(())
}
