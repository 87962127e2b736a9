//! Conversations: creation and change. Members, lists and facts have files of their own.

use async_trait::async_trait;
use diesel::sqlite::SqliteConnection;
use gochat_core::conversation::{Revision, decide_edit};
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, ConversationKind, SeqId, UnixMillis, UserId};
use gochat_core::membership::GroupCommand;

use super::owed_messages::owe;
use super::query::{binds, execute, first, json_ids, one, rows, statements};
use super::{SqliteDatabase, facts, groups, list, members, mentions};
use crate::port::db::{
    ConversationFacts, ConversationHead, ConversationPatch, ConversationRow, ConversationStore,
    Created, DbError, DbResult, FactsRequest, GroupOutcome, ListPage, ListQuery, MemberPage,
    MemberRow, MembersQuery, NewConversation, SearchPage, SearchQuery,
};
use crate::sql::groups::{announced, may_edit, owed_at_creation, owed_of_edit, refused, seen};
use crate::sql::row::columns;

statements! {
    Insert = "INSERT INTO conversations (id, type, name, avatar_url, description, owner_id, \
              settings, created_at, updated_at, data_updated_at) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?8) ON CONFLICT DO NOTHING";
    ById = concat!("SELECT ", columns!(conversation "c"), " FROM conversations c WHERE c.id = ?1");
    ByIds = concat!(
        "SELECT ", columns!(conversation "c"), " FROM conversations c \
         WHERE c.id IN (SELECT value FROM json_each(?1))"
    );
    RevisionOf = "SELECT version, data_updated_at FROM conversations WHERE id = ?1";
    // ?1 JSON array of ids, ?2 a user or 0.
    Heads = concat!("SELECT c.id, c.last_seq_id, ", columns!(last_rev "c"), " FROM conversations c \
             WHERE c.id IN (SELECT value FROM json_each(?1)) \
             AND (?2 = 0 OR c.type = 3 OR EXISTS (SELECT 1 FROM conversation_members m \
                  WHERE m.user_id = ?2 AND m.conversation_id = c.id))");
    Update = "UPDATE conversations SET name = coalesce(?2, name), \
              avatar_url = coalesce(?3, avatar_url), description = coalesce(?4, description), \
              settings = coalesce(?5, settings), updated_at = max(updated_at, ?6), \
              data_updated_at = ?6, version = ?7, announcement = ?8, announcement_version = ?9, \
              announcement_at = ?10, announcement_by = ?11 WHERE id = ?1";
    Dissolve = "UPDATE conversations SET dissolved = 1, updated_at = max(updated_at, ?2), \
                data_updated_at = max(data_updated_at, ?2) WHERE id = ?1 AND dissolved = 0";
}

pub(super) fn by_id(
    conn: &mut SqliteConnection,
    id: ConversationId,
) -> DbResult<Option<ConversationRow>> {
    first::<ById, _>(conn, &binds![id])
}

/// The row, or the refusal that it isn't there.
pub(super) fn existing(
    conn: &mut SqliteConnection,
    id: ConversationId,
) -> DbResult<ConversationRow> {
    by_id(conn, id)?.ok_or_else(|| DbError::not_found(ErrorCode::ConversationNotFound))
}

/// The row of a conversation that may still change.
pub(super) fn living(conn: &mut SqliteConnection, id: ConversationId) -> DbResult<ConversationRow> {
    let row = existing(conn, id)?;
    if row.dissolved {
        return Err(DbError::refused(ErrorCode::ConversationDissolved));
    }
    Ok(row)
}

pub(super) fn set_dissolved(
    conn: &mut SqliteConnection,
    id: ConversationId,
    now: UnixMillis,
) -> DbResult<()> {
    execute::<Dissolve>(conn, &binds![id, now]).map(|_| ())
}

fn create(conn: &mut SqliteConnection, new: &NewConversation) -> DbResult<Created> {
    let kind = new.id.kind();
    let owner = (kind == ConversationKind::Group).then_some(new.creator);
    let inserted = execute::<Insert>(
        conn,
        &binds![
            new.id,
            kind as i32,
            &new.name,
            &new.avatar_url,
            &new.description,
            owner,
            &new.settings,
            new.now,
        ],
    )?;
    // A single chat whose row a message made first has no members yet, so the pair is always added.
    match new.id {
        ConversationId::Single(a, b) => {
            members::insert_all(conn, new.id, &[a, b], 1, new.now)?;
            members::unhide(conn, new.id, new.creator, new.now)?;
        }
        ConversationId::Group(_) if inserted > 0 => {
            let mut members = new.members.clone();
            let users = [&members[..], &[new.creator]].concat();
            let deleted = groups::deleted(conn, &users)?;
            if deleted.contains(&new.creator) {
                return Err(DbError::not_found(ErrorCode::UserNotFound));
            }
            members.retain(|user| !deleted.contains(user));
            members::insert_all(conn, new.id, &[new.creator], 3, new.now)?;
            let added = members::insert_all(conn, new.id, &members, 1, new.now)?;
            let owed = owed_at_creation(&existing(conn, new.id)?, new.creator, &added);
            owe(conn, new.id, owed.as_slice(), new.now)?;
        }
        _ => {}
    }
    Ok(Created {
        conversation: existing(conn, new.id)?,
        already_existed: inserted == 0,
    })
}

fn update(
    conn: &mut SqliteConnection,
    id: ConversationId,
    patch: &ConversationPatch,
    now: UnixMillis,
) -> DbResult<ConversationRow> {
    let before = living(conn, id)?;
    if let Some(user) = patch.by {
        let role = members::one_of(conn, id, user)?.map(|member| member.role);
        may_edit(patch, role).map_err(refused)?;
    }
    let (version, changed_at) = one::<RevisionOf, _>(conn, &binds![id])?;
    let current = Revision {
        version,
        changed_at,
    };
    let next = decide_edit(current, seen(patch), now).map_err(refused)?;
    let announcement = announced(before.announcement.clone(), patch, now);
    execute::<Update>(
        conn,
        &binds![
            id,
            patch.name.as_ref(),
            patch.avatar_url.as_ref(),
            patch.description.as_ref(),
            patch.settings.as_ref(),
            next.changed_at,
            next.version,
            &announcement.text,
            announcement.version,
            announcement.at,
            announcement.by,
        ],
    )?;
    let after = existing(conn, id)?;
    owe(conn, id, &owed_of_edit(&before, &after, patch.by), now)?;
    Ok(after)
}

#[async_trait]
impl ConversationStore for SqliteDatabase {
    async fn create_conversation(&self, new: NewConversation) -> DbResult<Created> {
        self.grow(2 + new.members.len(), move |conn| create(conn, &new))
            .await
    }

    async fn conversation(&self, id: ConversationId) -> DbResult<Option<ConversationRow>> {
        self.read(move |conn| by_id(conn, id)).await
    }

    async fn conversations(&self, ids: &[ConversationId]) -> DbResult<Vec<ConversationRow>> {
        let ids = json_ids(ids.iter().copied());
        self.read(move |conn| rows::<ByIds, _>(conn, &binds![&ids]))
            .await
    }

    async fn heads(
        &self,
        member: Option<UserId>,
        ids: &[ConversationId],
    ) -> DbResult<Vec<ConversationHead>> {
        let ids = json_ids(ids.iter().copied());
        let member = member.map_or(0, UserId::as_i64);
        self.read(move |conn| rows::<Heads, _>(conn, &binds![&ids, member]))
            .await
    }

    async fn update_conversation(
        &self,
        id: ConversationId,
        patch: ConversationPatch,
        now: UnixMillis,
    ) -> DbResult<ConversationRow> {
        self.write(1, move |conn| update(conn, id, &patch, now))
            .await
    }

    async fn command(
        &self,
        id: ConversationId,
        command: GroupCommand,
        now: UnixMillis,
    ) -> DbResult<GroupOutcome> {
        self.write(2 + command.names().len(), move |conn| {
            groups::command(conn, id, &command, None, now)
        })
        .await
    }

    async fn hide(&self, id: ConversationId, user: UserId, now: UnixMillis) -> DbResult<()> {
        self.write(1, move |conn| members::hide(conn, id, user, now))
            .await
    }

    async fn list_for_user(&self, query: ListQuery) -> DbResult<ListPage> {
        self.read(move |conn| list::page(conn, &query)).await
    }

    async fn search_conversations(&self, query: SearchQuery) -> DbResult<SearchPage> {
        self.read(move |conn| list::search(conn, &query)).await
    }

    async fn unread_counts(
        &self,
        user: UserId,
        ids: &[ConversationId],
    ) -> DbResult<Vec<(ConversationId, u64)>> {
        let ids = (!ids.is_empty()).then(|| json_ids(ids.iter().copied()));
        self.read(move |conn| list::unread(conn, user, ids.as_deref()))
            .await
    }

    async fn unread_mentions(
        &self,
        user: UserId,
        read: &[(ConversationId, SeqId)],
    ) -> DbResult<Vec<(ConversationId, u64)>> {
        let read = read.to_vec();
        self.read(move |conn| mentions::unread(conn, user, &read))
            .await
    }

    async fn members(&self, query: MembersQuery) -> DbResult<MemberPage> {
        self.read(move |conn| members::page(conn, &query)).await
    }

    async fn member_ids(
        &self,
        id: ConversationId,
        after: Option<UserId>,
        limit: u32,
    ) -> DbResult<Vec<UserId>> {
        self.read(move |conn| members::ids(conn, id, after, limit))
            .await
    }

    async fn member(&self, id: ConversationId, user: UserId) -> DbResult<Option<MemberRow>> {
        self.read(move |conn| members::one_of(conn, id, user)).await
    }

    async fn members_of_many(
        &self,
        ids: &[ConversationId],
        limit_each: u32,
    ) -> DbResult<Vec<MemberRow>> {
        let ids = json_ids(ids.iter().copied());
        self.read(move |conn| members::of_many(conn, &ids, limit_each))
            .await
    }

    async fn facts(&self, request: FactsRequest) -> DbResult<Vec<ConversationFacts>> {
        self.read(move |conn| facts::load(conn, &request)).await
    }
}
