//! Friend requests and friends. What is allowed is decided by core, on rows read in the
//! transaction that writes. Such a transaction begins by holding both accounts, the smaller id
//! first, so that two who ask each other at once take turns.

use async_trait::async_trait;
use gochat_core::error::ErrorCode;
use gochat_core::friendship::{Answer, Asked, Pair, Person, decide_answer, decide_request};
use gochat_core::ids::{RequestId, UnixMillis, UserId};

use super::MysqlDatabase;
use super::fault::{self, Class};
use super::query::{At, Conn, binds, execute, first, json_array, one, rows, statements};
use super::replica::Key;
use super::run::{Around, work};
use super::users;
use crate::port::db::{
    DbError, DbResult, FriendEntry, FriendPage, FriendQuery, FriendRequestEntry, FriendRequestRow,
    FriendStatus, FriendStore, MAX_MEMBER_PAGE, MAX_PAGE, NewFriendRequest, RequestPage,
    RequestQuery, RequestSide, Respond,
};
use crate::sql::friends::{as_core, as_person, asking, refused};
use crate::sql::pages;
use crate::sql::row::columns;

macro_rules! requests_where {
    ($side:literal) => {
        concat!(
            "SELECT ", columns!(request "f"), ", ", columns!(brief "r"), ", ",
            columns!(brief "t"), " FROM friendship_requests f \
             LEFT JOIN users r ON r.id = f.requester_id \
             LEFT JOIN users t ON t.id = f.target_id \
             WHERE f.", $side, " = ?1 AND f.mirrored = 0 AND f.status <> 3 \
             AND (?2 < 0 OR f.status = ?2) AND (?4 = 0 OR f.updated_at >= ?5) \
             AND (?6 = 0 OR f.updated_at < ?7 OR (f.updated_at = ?7 AND f.id < ?8)) \
             ORDER BY f.updated_at DESC, f.id DESC LIMIT ?3"
        )
    };
}

statements! {
    Hold = "SELECT id FROM users WHERE id IN (?1, ?2) ORDER BY id FOR UPDATE";
    ById = concat!(
        "SELECT ", columns!(request "f"), " FROM friendship_requests f WHERE f.id = ?1"
    );
    Between = concat!(
        "SELECT ", columns!(request "f"), " FROM friendship_requests f \
         WHERE f.requester_id = ?1 AND f.target_id = ?2"
    );
    Insert = "INSERT INTO friendship_requests (id, requester_id, target_id, status, message, \
              created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)";
    AskAgain = "UPDATE friendship_requests SET status = 0, mirrored = 0, message = ?2, \
                updated_at = GREATEST(updated_at, ?3) WHERE id = ?1";
    SetStatus = "UPDATE friendship_requests SET status = ?2, updated_at = GREATEST(updated_at, ?3) \
                 WHERE id = ?1";
    Mirror = "INSERT INTO friendship_requests (id, requester_id, target_id, status, mirrored, \
              created_at, updated_at, message) VALUES (?1, ?2, ?3, 1, 1, ?4, ?4, '') \
              ON DUPLICATE KEY UPDATE status = 1, mirrored = 1, \
              updated_at = GREATEST(updated_at, VALUES(updated_at))";
    Received = requests_where!("target_id");
    Sent = requests_where!("requester_id");
    Friends = concat!(
        "SELECT f.target_id, f.status, f.requester_remarks, f.created_at, f.updated_at, ",
        columns!(brief "u"), " FROM friendship_requests f \
         LEFT JOIN users u ON u.id = f.target_id \
         WHERE f.requester_id = ?1 AND f.status = ?6 AND f.target_id > ?2 \
         AND (?4 = 0 OR f.updated_at > ?3 OR u.updated_at > ?3) \
         ORDER BY f.target_id LIMIT ?5"
    );
    // A friendship that ended leaves mirrors on both sides: it is nobody's request any more.
    Ended = "SELECT target_id FROM friendship_requests \
             WHERE requester_id = ?1 AND status IN (2, 3) AND mirrored = 1 AND updated_at > ?2 \
             AND target_id > ?4 ORDER BY target_id LIMIT ?3";
    // MySQL assigns from left to right: the status that decides must change last.
    Block = "UPDATE friendship_requests SET \
             mirrored = CASE WHEN status = 1 THEN 1 ELSE mirrored END, status = 3, \
             updated_at = GREATEST(updated_at, ?2) WHERE id = ?1";
    Related = "SELECT EXISTS (SELECT 1 FROM friendship_requests WHERE status = ?3 \
               AND ((requester_id = ?1 AND target_id = ?2) \
                 OR (requester_id = ?2 AND target_id = ?1)))";
    EndOpposite = "UPDATE friendship_requests SET \
                   mirrored = CASE WHEN status = 1 THEN 1 ELSE mirrored END, status = 2, \
                   updated_at = GREATEST(updated_at, ?3) \
                   WHERE requester_id = ?1 AND target_id = ?2 AND status IN (0, 1)";
    // ?1 user, ?2 JSON array of others
    Relations = concat!(
        "SELECT ", columns!(request "f"), " FROM \
         JSON_TABLE(CONVERT(?2 USING utf8mb4), '$[*]' COLUMNS (id BIGINT PATH '$')) j \
         STRAIGHT_JOIN friendship_requests f ON f.requester_id = ?1 AND f.target_id = j.id \
         UNION ALL SELECT ", columns!(request "f"), " FROM \
         JSON_TABLE(CONVERT(?2 USING utf8mb4), '$[*]' COLUMNS (id BIGINT PATH '$')) j \
         STRAIGHT_JOIN friendship_requests f ON f.requester_id = j.id AND f.target_id = ?1"
    );
    EndOne = "UPDATE friendship_requests SET status = 2, mirrored = 1, \
              updated_at = GREATEST(updated_at, ?3) \
              WHERE requester_id = ?1 AND target_id = ?2 AND status = 1";
    Unblock = "UPDATE friendship_requests SET status = 2, updated_at = GREATEST(updated_at, ?3) \
               WHERE requester_id = ?1 AND target_id = ?2 AND status = 3";
}

/// Holds the accounts that exist. People without one (there are none outside of tests) can still
/// meet at the unique key of the pair; who comes second is run again.
async fn hold(conn: &mut Conn, a: UserId, b: UserId) -> DbResult<()> {
    let held: DbResult<Vec<UserId>> = rows::<Hold, _>(conn, &binds![a, b]).await;
    held.map(|_| ())
}

fn raced(e: DbError) -> DbError {
    match fault::class(&e) {
        Class::Duplicate => fault::with(Class::Contention, e.to_string()),
        _ => e,
    }
}

async fn between(
    conn: &mut Conn,
    &(requester, target): &(UserId, UserId),
) -> DbResult<Option<FriendRequestRow>> {
    first::<Between, _>(conn, &binds![requester, target]).await
}

async fn by_id(conn: &mut Conn, id: &RequestId) -> DbResult<Option<FriendRequestRow>> {
    first::<ById, _>(conn, &binds![*id]).await
}

async fn person(conn: &mut Conn, id: UserId) -> DbResult<Person> {
    Ok(as_person(id, users::by_id(conn, &id).await?.as_ref()))
}

async fn insert(
    conn: &mut Conn,
    id: RequestId,
    (requester, target): (UserId, UserId),
    status: FriendStatus,
    message: &str,
    now: UnixMillis,
) -> DbResult<()> {
    let binds = binds![id, requester, target, status as i32, message, At(now)];
    execute::<Insert>(conn, &binds).await.map_err(raced)?;
    Ok(())
}

async fn ask(conn: &mut Conn, new: &NewFriendRequest) -> DbResult<FriendRequestRow> {
    let way = (new.requester, new.target);
    hold(conn, new.requester, new.target).await?;
    let outgoing = between(conn, &way).await?;
    let incoming = between(conn, &(new.target, new.requester)).await?;
    let pair = Pair {
        outgoing: outgoing.as_ref().map(as_core),
        incoming: incoming.as_ref().map(as_core),
    };
    let requester = person(conn, new.requester).await?;
    let target = person(conn, new.target).await?;
    let asked = decide_request(requester, target, &new.message, pair, asking(new));
    match asked.map_err(refused)? {
        Asked::New => {
            let pending = FriendStatus::Pending;
            insert(conn, new.id, way, pending, &new.message, new.now).await?;
        }
        Asked::Again(id) => {
            execute::<AskAgain>(conn, &binds![id, &new.message, At(new.now)]).await?;
        }
    }
    let row = between(conn, &way).await?;
    row.ok_or_else(|| DbError::internal("a friend request vanished"))
}

async fn respond(conn: &mut Conn, answer: &Respond) -> DbResult<FriendRequestRow> {
    let not_found = || DbError::not_found(ErrorCode::FriendRequestNotFound);
    // Whom it is about never changes; what it says is read again once both are held.
    let seen = by_id(conn, &answer.request).await?.ok_or_else(not_found)?;
    hold(conn, seen.requester_id, seen.target_id).await?;
    let row = by_id(conn, &answer.request).await?.ok_or_else(not_found)?;
    let said = if answer.accept {
        Answer::Accept
    } else {
        Answer::Reject
    };
    let decided = decide_answer(answer.handler, &as_core(&row), said).map_err(refused)?;
    let binds = binds![row.id, decided.status as i32, At(answer.now)];
    execute::<SetStatus>(conn, &binds).await?;
    if decided.mirror {
        let binds = binds![
            answer.mirror_id,
            row.target_id,
            row.requester_id,
            At(answer.now)
        ];
        execute::<Mirror>(conn, &binds).await?;
    }
    by_id(conn, &row.id).await?.ok_or_else(not_found)
}

async fn page(conn: &mut Conn, query: &FriendQuery) -> DbResult<FriendPage> {
    let limit = query.limit.clamp(1, MAX_MEMBER_PAGE);
    let after = query.after.map_or(-1, UserId::as_i64);
    let since = query.updated_after.map(At);
    let binds = binds![
        query.user,
        after,
        since,
        since.is_some(),
        limit + 1,
        query.status as i32
    ];
    let mut friends: Vec<FriendEntry> = rows::<Friends, _>(conn, &binds).await?;
    let mut removed = match since {
        Some(_) if query.status == FriendStatus::Accepted => {
            rows::<Ended, _>(conn, &binds![query.user, since, limit + 1, after]).await?
        }
        _ => Vec::new(),
    };
    let next = pages::merge(&mut friends, &mut removed, limit, |f| f.friend_id);
    Ok(FriendPage {
        friends,
        removed,
        has_more: next.is_some(),
        next,
    })
}

async fn requests(conn: &mut Conn, query: &RequestQuery) -> DbResult<RequestPage> {
    let status = query.status.map_or(-1, |status| status as i32);
    let since = query.updated_since.map(At);
    let at = query.after.map(|(at, _)| At(at));
    let id = query.after.map_or(0, |(_, id)| id.as_i64());
    let limit = query.limit.min(MAX_PAGE);
    let binds = binds![
        query.user,
        status,
        limit + 1,
        since.is_some(),
        since,
        at.is_some(),
        at,
        id
    ];
    let mut requests: Vec<FriendRequestEntry> = match query.side {
        RequestSide::Received => rows::<Received, _>(conn, &binds).await?,
        RequestSide::Sent => rows::<Sent, _>(conn, &binds).await?,
    };
    let has_more = pages::cut(&mut requests, limit);
    Ok(RequestPage { requests, has_more })
}

async fn related(
    conn: &mut Conn,
    &(a, b, status): &(UserId, UserId, FriendStatus),
) -> DbResult<bool> {
    one::<Related, _>(conn, &binds![a, b, status as i32]).await
}

async fn relations(
    conn: &mut Conn,
    (user, others): &(UserId, String),
) -> DbResult<Vec<FriendRequestRow>> {
    rows::<Relations, _>(conn, &binds![*user, others]).await
}

async fn end_friendship(
    conn: &mut Conn,
    &(a, b, now): &(UserId, UserId, UnixMillis),
) -> DbResult<bool> {
    hold(conn, a, b).await?;
    let one = execute::<EndOne>(conn, &binds![a, b, At(now)]).await?;
    let other = execute::<EndOne>(conn, &binds![b, a, At(now)]).await?;
    Ok(one + other > 0)
}

async fn set_blocked(
    conn: &mut Conn,
    &(user, target, blocked, row_id, now): &(UserId, UserId, bool, RequestId, UnixMillis),
) -> DbResult<bool> {
    if user == target {
        return Err(DbError::refused(ErrorCode::InvalidParams));
    }
    hold(conn, user, target).await?;
    if !blocked {
        let done = execute::<Unblock>(conn, &binds![user, target, At(now)]).await;
        return done.map(|_| false);
    }
    let ended = related(conn, &(user, target, FriendStatus::Accepted)).await?;
    match between(conn, &(user, target)).await? {
        Some(row) => {
            execute::<Block>(conn, &binds![row.id, At(now)]).await?;
        }
        None => {
            let blocked = FriendStatus::Blocked;
            insert(conn, row_id, (user, target), blocked, "", now).await?;
        }
    }
    let done = execute::<EndOpposite>(conn, &binds![target, user, At(now)]).await;
    done.map(|_| ended)
}

#[async_trait]
impl FriendStore for MysqlDatabase {
    async fn create_request(&self, new: NewFriendRequest) -> DbResult<FriendRequestRow> {
        let keys = [Key::Friends(new.requester), Key::Friends(new.target)];
        self.write(false, &keys, new, work!(ask)).await
    }

    async fn request_between(
        &self,
        requester: UserId,
        target: UserId,
    ) -> DbResult<Option<FriendRequestRow>> {
        self.read((requester, target), work!(between)).await
    }

    async fn request(&self, id: RequestId) -> DbResult<Option<FriendRequestRow>> {
        self.read(id, work!(by_id)).await
    }

    async fn respond(&self, answer: Respond) -> DbResult<FriendRequestRow> {
        let row = self.write(false, &[], answer, work!(respond)).await?;
        let keys = [Key::Friends(row.requester_id), Key::Friends(row.target_id)];
        self.wrote(&keys);
        Ok(row)
    }

    async fn requests(&self, query: RequestQuery) -> DbResult<RequestPage> {
        let key = Key::Friends(query.user);
        self.read_late(key, Around::Nothing, query, work!(requests))
            .await
    }

    async fn friends(&self, query: FriendQuery) -> DbResult<FriendPage> {
        let key = Key::Friends(query.user);
        self.read_late(key, Around::Snapshot, query, work!(page))
            .await
    }

    async fn are_friends(&self, a: UserId, b: UserId) -> DbResult<bool> {
        self.read((a, b, FriendStatus::Accepted), work!(related))
            .await
    }

    async fn are_blocked(&self, a: UserId, b: UserId) -> DbResult<bool> {
        self.read((a, b, FriendStatus::Blocked), work!(related))
            .await
    }

    async fn relations(&self, user: UserId, others: &[UserId]) -> DbResult<Vec<FriendRequestRow>> {
        let args = (user, json_array(others));
        self.read(args, work!(relations)).await
    }

    async fn end_friendship(&self, a: UserId, b: UserId, now: UnixMillis) -> DbResult<bool> {
        let keys = [Key::Friends(a), Key::Friends(b)];
        self.write(false, &keys, (a, b, now), work!(end_friendship))
            .await
    }

    async fn set_blocked(
        &self,
        user: UserId,
        target: UserId,
        blocked: bool,
        row_id: RequestId,
        now: UnixMillis,
    ) -> DbResult<bool> {
        let keys = [Key::Friends(user), Key::Friends(target)];
        let args = (user, target, blocked, row_id, now);
        self.write(false, &keys, args, work!(set_blocked)).await
    }
}
