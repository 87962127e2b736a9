//! Conversations: creation and change. Members, lists and facts have files of their own.

use async_trait::async_trait;
use gochat_core::conversation::{Revision, decide_edit};
use gochat_core::error::ErrorCode;
use gochat_core::ids::{ConversationId, ConversationKind, SeqId, UnixMillis, UserId};
use gochat_core::membership::GroupCommand;

use super::fault::{self, Class};
use super::owed_messages::owe;
use super::query::{At, Conn, binds, execute, first, json_ids, one, rows, statements};
use super::replica::Key;
use super::run::{Around, work};
use super::{MysqlDatabase, facts, groups, list, members, mentions};
use crate::port::db::{
    ConversationFacts, ConversationHead, ConversationPatch, ConversationRow, ConversationStore,
    Created, DbError, DbResult, FactsRequest, GroupOutcome, ListPage, ListQuery, MAX_MEMBER_PAGE,
    MemberPage, MemberRow, MembersQuery, NewConversation, SearchPage, SearchQuery,
};
use crate::sql::groups::{announced, may_edit, owed_at_creation, owed_of_edit, refused, seen};
use crate::sql::row::columns;

statements! {
    Insert = "INSERT INTO conversations (id, type, name, avatar_url, description, owner_id, \
              settings, created_at, updated_at, data_updated_at) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?8)";
    ById = concat!("SELECT ", columns!(conversation "c"), " FROM conversations c WHERE c.id = ?1");
    Held = concat!(
        "SELECT ", columns!(conversation "c"), " FROM conversations c WHERE c.id = ?1 FOR UPDATE"
    );
    ByIds = concat!(
        "SELECT ", columns!(conversation "c"), " FROM (SELECT DISTINCT id FROM \
         JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS (id VARCHAR(64) PATH '$')) j) d \
         STRAIGHT_JOIN conversations c ON c.id = d.id COLLATE utf8mb4_bin"
    );
    RevisionOf = "SELECT version, data_updated_at FROM conversations WHERE id = ?1";
    // ?1 JSON array of ids, ?2 a user or 0.
    Heads = concat!("SELECT c.id, c.last_seq_id, ", columns!(last_rev "c"), " FROM (SELECT DISTINCT id FROM \
             JSON_TABLE(CONVERT(?1 USING utf8mb4), '$[*]' COLUMNS (id VARCHAR(64) PATH '$')) j) d \
             STRAIGHT_JOIN conversations c ON c.id = d.id COLLATE utf8mb4_bin \
             WHERE ?2 = 0 OR c.type = 3 OR EXISTS (SELECT 1 FROM conversation_members m \
                   WHERE m.user_id = ?2 AND m.conversation_id = c.id)");
    Update = "UPDATE conversations SET name = COALESCE(?2, name), \
              avatar_url = COALESCE(?3, avatar_url), description = COALESCE(?4, description), \
              settings = COALESCE(?5, settings), updated_at = GREATEST(updated_at, ?6), \
              data_updated_at = ?6, version = ?7, announcement = ?8, announcement_version = ?9, \
              announcement_at = ?10, announcement_by = ?11 WHERE id = ?1";
    Dissolve = "UPDATE conversations SET dissolved = 1, updated_at = GREATEST(updated_at, ?2), \
                data_updated_at = GREATEST(data_updated_at, ?2) WHERE id = ?1 AND dissolved = 0";
}

async fn by_id(conn: &mut Conn, id: &ConversationId) -> DbResult<Option<ConversationRow>> {
    first::<ById, _>(conn, &binds![*id]).await
}

async fn heads(conn: &mut Conn, (ids, member): &(String, i64)) -> DbResult<Vec<ConversationHead>> {
    rows::<Heads, _>(conn, &binds![ids, *member]).await
}

async fn by_ids(conn: &mut Conn, ids: &String) -> DbResult<Vec<ConversationRow>> {
    rows::<ByIds, _>(conn, &binds![ids]).await
}

pub(super) fn unknown() -> DbError {
    DbError::not_found(ErrorCode::ConversationNotFound)
}

/// The row, or the refusal that it isn't there.
pub(super) async fn existing(conn: &mut Conn, id: ConversationId) -> DbResult<ConversationRow> {
    by_id(conn, &id).await?.ok_or_else(unknown)
}

/// The row, held until the transaction ends: everything that changes a conversation or its members
/// begins with it.
pub(super) async fn held(conn: &mut Conn, id: ConversationId) -> DbResult<Option<ConversationRow>> {
    first::<Held, _>(conn, &binds![id]).await
}

/// The row of a conversation that may still change, held.
pub(super) async fn living(conn: &mut Conn, id: ConversationId) -> DbResult<ConversationRow> {
    let row = held(conn, id).await?.ok_or_else(unknown)?;
    if row.dissolved {
        return Err(DbError::refused(ErrorCode::ConversationDissolved));
    }
    Ok(row)
}

/// Makes the row; `false` when somebody else just did.
async fn insert(conn: &mut Conn, new: &NewConversation) -> DbResult<bool> {
    let kind = new.id.kind();
    let owner = (kind == ConversationKind::Group).then_some(new.creator);
    let binds = binds![
        new.id,
        kind as i32,
        &new.name,
        &new.avatar_url,
        &new.description,
        owner,
        &new.settings,
        At(new.now),
    ];
    match execute::<Insert>(conn, &binds).await {
        Ok(_) => Ok(true),
        Err(e) if fault::class(&e) == Class::Duplicate => {
            held(conn, new.id).await?;
            Ok(false)
        }
        Err(e) => Err(e),
    }
}

async fn create(conn: &mut Conn, new: &NewConversation) -> DbResult<Created> {
    // Held first: a creator that met the row by its insert would share the lock with others who did,
    // and each would wait for the other.
    let made = held(conn, new.id).await?.is_none() && insert(conn, new).await?;
    if !made && !matches!(new.id, ConversationId::Single(..)) {
        return Ok(Created {
            conversation: existing(conn, new.id).await?,
            already_existed: true,
        });
    }
    // A single chat whose row a message made first has no members yet, so the pair is always added.
    match new.id {
        ConversationId::Single(a, b) => {
            members::insert_all(conn, new.id, &[a, b], 1, new.now).await?;
            members::unhide(conn, new.id, new.creator, new.now).await?;
        }
        ConversationId::Group(_) => {
            let mut members = new.members.clone();
            let users = [&members[..], &[new.creator]].concat();
            let deleted = groups::deleted(conn, &users).await?;
            if deleted.contains(&new.creator) {
                return Err(DbError::not_found(ErrorCode::UserNotFound));
            }
            members.retain(|user| !deleted.contains(user));
            members::insert_all(conn, new.id, &[new.creator], 3, new.now).await?;
            let added = members::insert_all(conn, new.id, &members, 1, new.now).await?;
            let row = existing(conn, new.id).await?;
            let owed = owed_at_creation(&row, new.creator, &added);
            owe(conn, new.id, owed.as_slice(), new.now).await?;
        }
        ConversationId::World => {}
    }
    Ok(Created {
        conversation: existing(conn, new.id).await?,
        already_existed: !made,
    })
}

async fn update(
    conn: &mut Conn,
    (id, patch, now): &(ConversationId, ConversationPatch, UnixMillis),
) -> DbResult<ConversationRow> {
    let before = living(conn, *id).await?;
    if let Some(user) = patch.by {
        let role = members::one_of(conn, &(*id, user)).await?;
        may_edit(patch, role.map(|member| member.role)).map_err(refused)?;
    }
    let (version, changed_at) = one::<RevisionOf, _>(conn, &binds![*id]).await?;
    let current = Revision {
        version,
        changed_at,
    };
    let next = decide_edit(current, seen(patch), *now).map_err(refused)?;
    let announcement = announced(before.announcement.clone(), patch, *now);
    let binds = binds![
        *id,
        patch.name.as_ref(),
        patch.avatar_url.as_ref(),
        patch.description.as_ref(),
        patch.settings.as_ref(),
        At(next.changed_at),
        next.version,
        &announcement.text,
        announcement.version,
        At(announcement.at),
        announcement.by,
    ];
    execute::<Update>(conn, &binds).await?;
    let after = existing(conn, *id).await?;
    owe(conn, *id, &owed_of_edit(&before, &after, patch.by), *now).await?;
    Ok(after)
}

pub(super) async fn set_dissolved(
    conn: &mut Conn,
    id: ConversationId,
    now: UnixMillis,
) -> DbResult<()> {
    let done = execute::<Dissolve>(conn, &binds![id, At(now)]).await;
    done.map(|_| ())
}

#[async_trait]
impl ConversationStore for MysqlDatabase {
    async fn create_conversation(&self, new: NewConversation) -> DbResult<Created> {
        let keys = [Key::Conversation(new.id)];
        self.write(false, &keys, new, work!(create)).await
    }

    async fn conversation(&self, id: ConversationId) -> DbResult<Option<ConversationRow>> {
        self.read(id, work!(by_id)).await
    }

    async fn conversations(&self, ids: &[ConversationId]) -> DbResult<Vec<ConversationRow>> {
        self.read(json_ids(ids.iter().copied()), work!(by_ids))
            .await
    }

    async fn heads(
        &self,
        member: Option<UserId>,
        ids: &[ConversationId],
    ) -> DbResult<Vec<ConversationHead>> {
        let member = member.map_or(0, UserId::as_i64);
        self.read((json_ids(ids.iter().copied()), member), work!(heads))
            .await
    }

    async fn update_conversation(
        &self,
        id: ConversationId,
        patch: ConversationPatch,
        now: UnixMillis,
    ) -> DbResult<ConversationRow> {
        // A second run after a lost commit would meet its own change.
        let again = patch.expected_updated_at.is_none() && patch.expected_version.is_none();
        self.write(again, &[], (id, patch, now), work!(update))
            .await
    }

    async fn command(
        &self,
        id: ConversationId,
        command: GroupCommand,
        now: UnixMillis,
    ) -> DbResult<GroupOutcome> {
        let keys = [Key::Conversation(id)];
        self.write(
            false,
            &keys,
            (id, command, None, now),
            work!(groups::command),
        )
        .await
    }

    async fn hide(&self, id: ConversationId, user: UserId, now: UnixMillis) -> DbResult<()> {
        let keys = [Key::Conversation(id)];
        self.write(true, &keys, (id, user, now), work!(members::hide))
            .await
    }

    async fn list_for_user(&self, query: ListQuery) -> DbResult<ListPage> {
        self.read(query, work!(list::page)).await
    }

    async fn search_conversations(&self, query: SearchQuery) -> DbResult<SearchPage> {
        self.read(query, work!(list::search)).await
    }

    async fn unread_counts(
        &self,
        user: UserId,
        ids: &[ConversationId],
    ) -> DbResult<Vec<(ConversationId, u64)>> {
        let ids = (!ids.is_empty()).then(|| json_ids(ids.iter().copied()));
        self.read((user, ids), work!(list::unread)).await
    }

    async fn unread_mentions(
        &self,
        user: UserId,
        read: &[(ConversationId, SeqId)],
    ) -> DbResult<Vec<(ConversationId, u64)>> {
        self.read((user, read.to_vec()), work!(mentions::unread))
            .await
    }

    async fn members(&self, query: MembersQuery) -> DbResult<MemberPage> {
        let key = Key::Conversation(query.conversation);
        self.read_late(key, Around::Snapshot, query, work!(members::page))
            .await
    }

    async fn member_ids(
        &self,
        id: ConversationId,
        after: Option<UserId>,
        limit: u32,
    ) -> DbResult<Vec<UserId>> {
        let args = (id, after, limit.min(MAX_MEMBER_PAGE));
        self.read(args, work!(members::ids)).await
    }

    async fn member(&self, id: ConversationId, user: UserId) -> DbResult<Option<MemberRow>> {
        self.read((id, user), work!(members::one_of)).await
    }

    async fn members_of_many(
        &self,
        ids: &[ConversationId],
        limit_each: u32,
    ) -> DbResult<Vec<MemberRow>> {
        let limit = limit_each.min(MAX_MEMBER_PAGE);
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.read(
            (json_ids(ids.iter().copied()), limit),
            work!(members::of_many),
        )
        .await
    }

    async fn facts(&self, request: FactsRequest) -> DbResult<Vec<ConversationFacts>> {
        self.snapshot(request, work!(facts::load)).await
    }
}
