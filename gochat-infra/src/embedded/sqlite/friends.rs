//! Friend requests and friends. What is allowed is decided by core, on rows read in the
//! transaction that writes.

use async_trait::async_trait;
use diesel::connection::Connection as _;
use diesel::sqlite::SqliteConnection;
use gochat_core::error::ErrorCode;
use gochat_core::friendship::{Answer, Asked, Pair, Person, decide_answer, decide_request};
use gochat_core::ids::{RequestId, UnixMillis, UserId};

use super::SqliteDatabase;
use super::query::{binds, execute, first, json_array, one, rows, statements};
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
             AND (?2 < 0 OR f.status = ?2) AND f.updated_at >= ?4 \
             AND (?5 < 0 OR f.updated_at < ?5 OR (f.updated_at = ?5 AND f.id < ?6)) \
             ORDER BY f.updated_at DESC, f.id DESC LIMIT 0 + ?3"
        )
    };
}

statements! {
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
                updated_at = max(updated_at, ?3) WHERE id = ?1";
    SetStatus = "UPDATE friendship_requests SET status = ?2, updated_at = max(updated_at, ?3) \
                 WHERE id = ?1";
    Mirror = "INSERT INTO friendship_requests (id, requester_id, target_id, status, mirrored, \
              created_at, updated_at) VALUES (?1, ?2, ?3, 1, 1, ?4, ?4) \
              ON CONFLICT (requester_id, target_id) DO UPDATE SET status = 1, mirrored = 1, \
              updated_at = max(friendship_requests.updated_at, excluded.updated_at)";
    Received = requests_where!("target_id");
    Sent = requests_where!("requester_id");
    Friends = concat!(
        "SELECT f.target_id, f.status, f.requester_remarks, f.created_at, f.updated_at, ",
        columns!(brief "u"), " FROM friendship_requests f \
         LEFT JOIN users u ON u.id = f.target_id \
         WHERE f.requester_id = ?1 AND f.status = ?5 AND f.target_id > ?2 \
         AND (f.updated_at > ?3 OR u.updated_at > ?3) \
         ORDER BY f.target_id LIMIT 0 + ?4"
    );
    // A friendship that ended leaves mirrors on both sides: it is nobody's request any more.
    Ended = "SELECT target_id FROM friendship_requests \
             WHERE requester_id = ?1 AND status IN (2, 3) AND mirrored = 1 AND updated_at > ?2 \
             AND target_id > ?4 ORDER BY target_id LIMIT 0 + ?3";
    Block = "UPDATE friendship_requests SET status = 3, \
             mirrored = CASE WHEN status = 1 THEN 1 ELSE mirrored END, \
             updated_at = max(updated_at, ?2) WHERE id = ?1";
    Related = "SELECT EXISTS (SELECT 1 FROM friendship_requests WHERE status = ?3 \
               AND ((requester_id = ?1 AND target_id = ?2) \
                 OR (requester_id = ?2 AND target_id = ?1)))";
    EndOpposite = "UPDATE friendship_requests SET status = 2, \
                   mirrored = CASE WHEN status = 1 THEN 1 ELSE mirrored END, \
                   updated_at = max(updated_at, ?3) \
                   WHERE requester_id = ?1 AND target_id = ?2 AND status IN (0, 1)";
    Relations = concat!(
        "SELECT ", columns!(request "f"), " FROM json_each(?2) j \
         CROSS JOIN friendship_requests f ON f.requester_id = ?1 AND f.target_id = j.value \
         UNION ALL SELECT ", columns!(request "f"), " FROM json_each(?2) j \
         CROSS JOIN friendship_requests f ON f.requester_id = j.value AND f.target_id = ?1"
    );
    End = "UPDATE friendship_requests SET status = 2, mirrored = 1, \
           updated_at = max(updated_at, ?3) WHERE status = 1 \
           AND ((requester_id = ?1 AND target_id = ?2) OR (requester_id = ?2 AND target_id = ?1))";
    Unblock = "UPDATE friendship_requests SET status = 2, updated_at = max(updated_at, ?3) \
               WHERE requester_id = ?1 AND target_id = ?2 AND status = 3";
}

fn between(
    conn: &mut SqliteConnection,
    requester: UserId,
    target: UserId,
) -> DbResult<Option<FriendRequestRow>> {
    first::<Between, _>(conn, &binds![requester, target])
}

fn person(conn: &mut SqliteConnection, id: UserId) -> DbResult<Person> {
    Ok(as_person(id, users::by_id(conn, id)?.as_ref()))
}

fn request(conn: &mut SqliteConnection, new: &NewFriendRequest) -> DbResult<FriendRequestRow> {
    let pair = Pair {
        outgoing: between(conn, new.requester, new.target)?
            .as_ref()
            .map(as_core),
        incoming: between(conn, new.target, new.requester)?
            .as_ref()
            .map(as_core),
    };
    let (requester, target) = (person(conn, new.requester)?, person(conn, new.target)?);
    let asked = decide_request(requester, target, &new.message, pair, asking(new));
    match asked.map_err(refused)? {
        Asked::New => {
            let pending = FriendStatus::Pending as i32;
            execute::<Insert>(
                conn,
                &binds![
                    new.id,
                    new.requester,
                    new.target,
                    pending,
                    &new.message,
                    new.now
                ],
            )?;
        }
        Asked::Again(id) => {
            execute::<AskAgain>(conn, &binds![id, &new.message, new.now])?;
        }
    }
    between(conn, new.requester, new.target)?
        .ok_or_else(|| DbError::internal("a friend request vanished"))
}

fn respond(conn: &mut SqliteConnection, answer: &Respond) -> DbResult<FriendRequestRow> {
    let not_found = || DbError::not_found(ErrorCode::FriendRequestNotFound);
    let row: FriendRequestRow =
        first::<ById, _>(conn, &binds![answer.request])?.ok_or_else(not_found)?;
    let said = if answer.accept {
        Answer::Accept
    } else {
        Answer::Reject
    };
    let decided = decide_answer(answer.handler, &as_core(&row), said).map_err(refused)?;
    execute::<SetStatus>(conn, &binds![row.id, decided.status as i32, answer.now])?;
    if decided.mirror {
        execute::<Mirror>(
            conn,
            &binds![
                answer.mirror_id,
                row.target_id,
                row.requester_id,
                answer.now
            ],
        )?;
    }
    first::<ById, _>(conn, &binds![row.id])?.ok_or_else(not_found)
}

fn page(conn: &mut SqliteConnection, query: &FriendQuery) -> DbResult<FriendPage> {
    conn.transaction(|conn| {
        let limit = query.limit.clamp(1, MAX_MEMBER_PAGE);
        let after = query.after.map_or(-1, UserId::as_i64);
        let since = query
            .updated_after
            .map_or(-1, |t| i64::try_from(t).unwrap_or(i64::MAX));
        let status = query.status as i32;
        let binds = binds![query.user, after, since, limit + 1, status];
        let mut friends: Vec<FriendEntry> = rows::<Friends, _>(conn, &binds)?;
        let mut removed = match query.updated_after {
            Some(_) if query.status == FriendStatus::Accepted => {
                rows::<Ended, _>(conn, &binds![query.user, since, limit + 1, after])?
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
    })
}

fn requests(conn: &mut SqliteConnection, query: &RequestQuery) -> DbResult<RequestPage> {
    let status = query.status.map_or(-1, |status| status as i32);
    let limit = query.limit.min(MAX_PAGE);
    let (at, id) = match query.after {
        Some((at, id)) => (i64::try_from(at).unwrap_or(i64::MAX), id.as_i64()),
        None => (-1, 0),
    };
    let since = query.updated_since.unwrap_or(0);
    let binds = binds![query.user, status, limit + 1, since, at, id];
    let mut requests: Vec<FriendRequestEntry> = match query.side {
        RequestSide::Received => rows::<Received, _>(conn, &binds)?,
        RequestSide::Sent => rows::<Sent, _>(conn, &binds)?,
    };
    let has_more = pages::cut(&mut requests, limit);
    Ok(RequestPage { requests, has_more })
}

fn set_blocked(
    conn: &mut SqliteConnection,
    (user, target): (UserId, UserId),
    blocked: bool,
    row_id: RequestId,
    now: UnixMillis,
) -> DbResult<bool> {
    if user == target {
        return Err(DbError::refused(ErrorCode::InvalidParams));
    }
    if !blocked {
        return execute::<Unblock>(conn, &binds![user, target, now]).map(|_| false);
    }
    let friends = FriendStatus::Accepted as i32;
    let ended = one::<Related, bool>(conn, &binds![user, target, friends])?;
    let status = FriendStatus::Blocked as i32;
    match between(conn, user, target)? {
        Some(row) => execute::<Block>(conn, &binds![row.id, now])?,
        None => execute::<Insert>(conn, &binds![row_id, user, target, status, "", now])?,
    };
    execute::<EndOpposite>(conn, &binds![target, user, now])?;
    Ok(ended)
}

#[async_trait]
impl FriendStore for SqliteDatabase {
    async fn create_request(&self, new: NewFriendRequest) -> DbResult<FriendRequestRow> {
        self.grow(1, move |conn| request(conn, &new)).await
    }

    async fn request_between(
        &self,
        requester: UserId,
        target: UserId,
    ) -> DbResult<Option<FriendRequestRow>> {
        self.read(move |conn| between(conn, requester, target))
            .await
    }

    async fn request(&self, id: RequestId) -> DbResult<Option<FriendRequestRow>> {
        self.read(move |conn| first::<ById, _>(conn, &binds![id]))
            .await
    }

    async fn respond(&self, answer: Respond) -> DbResult<FriendRequestRow> {
        self.write(2, move |conn| respond(conn, &answer)).await
    }

    async fn requests(&self, query: RequestQuery) -> DbResult<RequestPage> {
        self.read(move |conn| requests(conn, &query)).await
    }

    async fn friends(&self, query: FriendQuery) -> DbResult<FriendPage> {
        self.read(move |conn| page(conn, &query)).await
    }

    async fn are_friends(&self, a: UserId, b: UserId) -> DbResult<bool> {
        let status = FriendStatus::Accepted as i32;
        self.read(move |conn| one::<Related, _>(conn, &binds![a, b, status]))
            .await
    }

    async fn are_blocked(&self, a: UserId, b: UserId) -> DbResult<bool> {
        let status = FriendStatus::Blocked as i32;
        self.read(move |conn| one::<Related, _>(conn, &binds![a, b, status]))
            .await
    }

    async fn relations(&self, user: UserId, others: &[UserId]) -> DbResult<Vec<FriendRequestRow>> {
        let others = json_array(others);
        self.read(move |conn| rows::<Relations, _>(conn, &binds![user, &others]))
            .await
    }

    async fn end_friendship(&self, a: UserId, b: UserId, now: UnixMillis) -> DbResult<bool> {
        self.write(2, move |conn| {
            Ok(execute::<End>(conn, &binds![a, b, now])? > 0)
        })
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
        self.write(2, move |conn| {
            set_blocked(conn, (user, target), blocked, row_id, now)
        })
        .await
    }
}
