//! SessionService.

use gochat_core::error::ErrorCode;
use gochat_core::token::EndReason;
use gochat_proto::im::repo::v1::{
    CreateSessionRequest, EndSessionsRequest, RefreshSessionRequest, RefreshSessionResponse,
    RefreshVerdict, SessionRow,
};

use crate::call;
use crate::harness::{Repo, code, now};

/// A made-up SHA-256.
pub(crate) fn hash(n: u64) -> String {
    format!("{n:064x}")
}

/// A made-up session id.
pub(crate) fn sid(n: u64) -> String {
    format!("{n:032x}")
}

/// A session of a user.
pub(crate) fn session(n: u64, user: &str) -> SessionRow {
    let now = now() * 1_000;
    SessionRow {
        session_id: sid(n),
        user_id: user.into(),
        device: "phone".into(),
        client: "test".into(),
        address: "192.0.2.7".into(),
        created_at_ms: now,
        last_used_at_ms: now,
        expires_at_ms: now + 600_000,
        generation: 1,
        rotated_at_ms: now,
        refresh_hash: hash(n),
        ..Default::default()
    }
}

pub(crate) async fn open(repo: &Repo, session: SessionRow) {
    let request = CreateSessionRequest {
        session: Some(session),
        cap: 3,
        ..Default::default()
    };
    repo.sessions().create_session(request).await.unwrap();
}

pub(crate) async fn present(
    repo: &Repo,
    n: u64,
    user: &str,
    generation: i64,
) -> RefreshSessionResponse {
    let request = RefreshSessionRequest {
        session_id: sid(n),
        user_id: user.into(),
        generation,
        now_ms: now() * 1_000,
        repeat_ms: 60_000,
        refresh_ttl_ms: 600_000,
        refresh_hash: hash(n + 1_000),
        ..Default::default()
    };
    let answer = repo.sessions().refresh_session(request).await;
    answer.unwrap().into_inner()
}

async fn end(repo: &Repo, user: &str, n: u64) -> Vec<String> {
    let request = EndSessionsRequest {
        user_id: user.into(),
        session_id: sid(n),
        reason: EndReason::Logout as i32,
        ..Default::default()
    };
    let answer = repo.sessions().end_sessions(request).await.unwrap();
    answer.into_inner().session_ids
}

#[tokio::test]
async fn a_session_is_listed_renewed_and_ended() {
    let repo = Repo::start().await;
    let ann = repo.user("ann").await.id;
    open(&repo, session(1, &ann)).await;
    open(&repo, session(2, &ann)).await;
    let first = present(&repo, 1, &ann, 1).await;
    assert_eq!(
        (first.verdict(), first.generation),
        (RefreshVerdict::Rotated, 2)
    );
    let again = present(&repo, 1, &ann, 1).await;
    assert_eq!(
        (again.verdict(), again.generation, again.rotated_at_ms),
        (RefreshVerdict::Repeat, 2, first.rotated_at_ms)
    );
    let list = call!(
        repo.sessions(),
        list_sessions,
        ListSessionsRequest {
            user_id: ann.clone()
        }
    );
    assert_eq!(list.unwrap().into_inner().sessions.len(), 2);
    for _ in 0..2 {
        assert_eq!(end(&repo, &ann, 1).await, [sid(1)]);
    }
    assert_eq!(end(&repo, "77", 2).await, Vec::<String>::new());
    let verdict = present(&repo, 1, &ann, 2).await.verdict();
    assert_eq!(verdict, RefreshVerdict::Ended);
    let verdict = present(&repo, 9, &ann, 1).await.verdict();
    assert_eq!(verdict, RefreshVerdict::Unknown);
    let row = call!(
        repo.sessions(),
        get_session,
        GetSessionRequest { session_id: sid(1) }
    );
    let row = row.unwrap().into_inner().session.unwrap();
    assert_eq!(row.end_reason, EndReason::Logout as i32);
    let unknown = call!(
        repo.sessions(),
        get_session,
        GetSessionRequest { session_id: sid(9) }
    );
    assert_eq!(code(unknown), ErrorCode::NotFound);
}

#[tokio::test]
async fn losing_the_cache_loses_no_end() {
    let repo = Repo::start().await;
    let ann = repo.user("ann").await.id;
    for n in 1..=3 {
        open(&repo, session(n, &ann)).await;
        end(&repo, &ann, n).await;
    }
    repo.without_memory().await;
    let (mut met, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = call!(
            repo.sessions(),
            list_ended_sessions,
            ListEndedSessionsRequest { cursor, limit: 2 }
        );
        let page = page.unwrap().into_inner();
        met.extend(page.sessions.into_iter().map(|s| (s.session_id, s.user_id)));
        if page.next_cursor.is_empty() {
            break;
        }
        cursor = page.next_cursor;
    }
    met.sort_unstable();
    let expected: Vec<_> = (1..=3).map(|n| (sid(n), ann.clone())).collect();
    assert_eq!(met, expected);
    let forged = call!(
        repo.sessions(),
        list_ended_sessions,
        ListEndedSessionsRequest { cursor: "x:1" }
    );
    assert_eq!(code(forged), ErrorCode::InvalidParams);
}

#[tokio::test]
async fn a_token_sent_instead_of_its_hash_is_refused() {
    let repo = Repo::start().await;
    let ann = repo.user("ann").await.id;
    for bad in ["", "eyJhbGciOiJIUzI1NiJ9.e30.x", &hash(1).replace('0', "A")] {
        let session = SessionRow {
            refresh_hash: bad.into(),
            ..session(1, &ann)
        };
        let request = CreateSessionRequest {
            session: Some(session),
            cap: 3,
            ..Default::default()
        };
        let refused = repo.sessions().create_session(request).await;
        assert_eq!(code(refused), ErrorCode::InvalidParams);
    }
}

#[tokio::test]
async fn a_disabled_user_loses_every_session_with_the_same_step() {
    let repo = Repo::start().await;
    let ann = repo.user("ann").await.id;
    open(&repo, session(1, &ann)).await;
    let disabled = call!(
        repo.users(),
        update_user,
        UpdateUserRequest {
            user_id: ann.clone(),
            status: 2
        }
    );
    disabled.unwrap();
    let verdict = present(&repo, 1, &ann, 1).await.verdict();
    assert_eq!(verdict, RefreshVerdict::Ended);
    let request = CreateSessionRequest {
        session: Some(session(2, &ann)),
        cap: 3,
        ..Default::default()
    };
    let refused = repo.sessions().create_session(request).await;
    assert_eq!(code(refused), ErrorCode::UserDisabled);
}
