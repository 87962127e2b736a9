//! TokenService.

use gochat_core::error::ErrorCode;
use gochat_infra::rpc::Channel;
use gochat_proto::im::repo::v1::token_service_client::TokenServiceClient;
use gochat_proto::im::repo::v1::{
    ConsumeRefreshTokenResponse, IsBlacklistedRequest, RefreshToken, StoreRefreshTokenRequest,
};

use crate::call;
use crate::harness::{Repo, code, now};

/// A made-up SHA-256.
pub(crate) fn hash(n: u64) -> String {
    format!("{n:064x}")
}

/// A refresh token of user 1, handed out with access token `n + 1000`.
pub(crate) fn refresh(n: u64) -> RefreshToken {
    RefreshToken {
        token_hash: hash(n),
        user_id: "1".into(),
        expires_at: now() + 600,
        access_token_hash: hash(n + 1_000),
        access_token_jti: format!("jti-{n}"),
        access_expires_at: now() + 60,
        client_info: "test".into(),
    }
}

pub(crate) async fn store(repo: &Repo, token: RefreshToken) {
    let request = StoreRefreshTokenRequest { token: Some(token) };
    repo.tokens().store_refresh_token(request).await.unwrap();
}

pub(crate) async fn consume(repo: &Repo, n: u64) -> ConsumeRefreshTokenResponse {
    let used = call!(
        repo.tokens(),
        consume_refresh_token,
        ConsumeRefreshTokenRequest {
            token_hash: hash(n)
        }
    );
    used.unwrap().into_inner()
}

async fn is_blacklisted(channel: &Channel, n: u64, issued_at: i64) -> bool {
    let request = IsBlacklistedRequest {
        token_hash: hash(n),
        user_id: "1".into(),
        issued_at,
    };
    let mut client = TokenServiceClient::new(channel.clone());
    client
        .is_blacklisted(request)
        .await
        .unwrap()
        .into_inner()
        .blacklisted
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_reuse_ends_all_tokens() {
    let repo = Repo::start().await;
    let access = 1_001;
    store(&repo, refresh(1)).await;
    store(&repo, refresh(2)).await;
    assert!(!is_blacklisted(&repo.channel, access, now() - 5).await);

    let first = consume(&repo, 1).await;
    assert_eq!((first.user_id.as_str(), first.reused), ("1", false));
    assert_eq!(first.token.unwrap(), refresh(1));
    let stolen = consume(&repo, 1).await;
    assert_eq!((stolen.user_id.as_str(), stolen.reused), ("1", true));
    assert!(stolen.token.is_none());

    assert_eq!(
        consume(&repo, 2).await,
        ConsumeRefreshTokenResponse::default()
    );
    assert!(
        is_blacklisted(&repo.channel, access, now() - 5).await,
        "the cached verdict went with the revocation"
    );
    assert!(
        !is_blacklisted(&repo.channel, access, now() + 60).await,
        "a new sign-in works"
    );
}

#[tokio::test]
async fn unknown_and_expired_refresh_tokens_belong_to_nobody() {
    let repo = Repo::start().await;
    assert_eq!(
        consume(&repo, 9).await,
        ConsumeRefreshTokenResponse::default()
    );
    store(
        &repo,
        RefreshToken {
            expires_at: now() - 1,
            ..refresh(3)
        },
    )
    .await;
    assert_eq!(
        consume(&repo, 3).await,
        ConsumeRefreshTokenResponse::default()
    );
}

#[tokio::test]
async fn logout_ends_the_access_token_and_its_refresh_token() {
    let repo = Repo::start().await;
    store(&repo, refresh(1)).await;
    store(&repo, refresh(2)).await;
    let (mine, other) = (1_001, 1_002);
    assert!(!is_blacklisted(&repo.channel, mine, now()).await);
    let logout = call!(
        repo.tokens(),
        blacklist_token,
        BlacklistTokenRequest {
            token_hash: hash(mine),
            user_id: "1",
            expires_at: now() + 60,
            revoke_refresh_token: true,
        }
    );
    assert!(logout.unwrap().into_inner().success);
    assert!(
        is_blacklisted(&repo.channel, mine, now()).await,
        "at once, though it was cached"
    );
    assert!(!is_blacklisted(&repo.channel, other, now()).await);
    assert_eq!(
        consume(&repo, 1).await,
        ConsumeRefreshTokenResponse::default()
    );
    assert_eq!(
        consume(&repo, 2).await.user_id,
        "1",
        "another device stays signed in"
    );
}

#[tokio::test]
async fn losing_the_cache_loses_no_revocation() {
    let repo = Repo::start().await;
    let revoke = call!(
        repo.tokens(),
        blacklist_token,
        BlacklistTokenRequest {
            token_hash: hash(5),
            expires_at: now() + 60
        }
    );
    revoke.unwrap();
    let all = call!(
        repo.tokens(),
        revoke_user_tokens,
        RevokeUserTokensRequest {
            user_id: "1",
            issued_before: now(),
            expires_at: now() + 60
        }
    );
    all.unwrap();
    let restarted = repo.without_memory().await;
    assert!(is_blacklisted(&restarted, 5, now() + 60).await);
    assert!(is_blacklisted(&restarted, 6, now() - 10).await);
    assert!(!is_blacklisted(&restarted, 6, now() + 60).await);
}

#[tokio::test]
async fn revoking_a_user_hits_exactly_the_tokens_issued_before() {
    let repo = Repo::start().await;
    store(&repo, refresh(1)).await;
    let line = now() - 10;
    let revoke = call!(
        repo.tokens(),
        revoke_user_tokens,
        RevokeUserTokensRequest {
            user_id: "1",
            issued_before: line,
            expires_at: now() + 60
        }
    );
    assert_eq!(revoke.unwrap().into_inner().refresh_tokens_revoked, 1);
    assert!(is_blacklisted(&repo.channel, 7, line - 1).await);
    assert!(!is_blacklisted(&repo.channel, 7, line).await);
}

#[tokio::test]
async fn revocations_are_listed_page_by_page() {
    let repo = Repo::start().await;
    for n in 0..5 {
        let revoke = call!(
            repo.tokens(),
            blacklist_token,
            BlacklistTokenRequest {
                token_hash: hash(n),
                expires_at: now() + 60
            }
        );
        revoke.unwrap();
    }
    let line = now() - 10;
    call!(
        repo.tokens(),
        revoke_user_tokens,
        RevokeUserTokensRequest {
            user_id: "1",
            issued_before: line,
            expires_at: now() + 60
        }
    )
    .unwrap();
    let (mut hashes, mut users, mut cursor) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = call!(
            repo.tokens(),
            list_revocations,
            ListRevocationsRequest { cursor, limit: 2 }
        );
        let page = page.unwrap().into_inner();
        for row in page.revocations {
            if row.token_hash.is_empty() {
                users.push((row.user_id, row.issued_before));
            } else {
                hashes.push(row.token_hash);
            }
        }
        if page.next_cursor.is_empty() {
            break;
        }
        cursor = page.next_cursor;
    }
    assert_eq!(hashes, (0..5).map(hash).collect::<Vec<_>>());
    assert_eq!(users, [("1".to_owned(), line)]);
    let forged = call!(
        repo.tokens(),
        list_revocations,
        ListRevocationsRequest { cursor: "x:1" }
    );
    assert_eq!(code(forged), ErrorCode::InvalidParams);
}

#[tokio::test]
async fn a_token_sent_instead_of_its_hash_is_refused() {
    let repo = Repo::start().await;
    for bad in ["", "eyJhbGciOiJIUzI1NiJ9.e30.x", &hash(1).replace('0', "A")] {
        let refused = call!(
            repo.tokens(),
            blacklist_token,
            BlacklistTokenRequest { token_hash: bad }
        );
        assert_eq!(code(refused), ErrorCode::InvalidParams);
        let refused = call!(
            repo.tokens(),
            consume_refresh_token,
            ConsumeRefreshTokenRequest { token_hash: bad }
        );
        assert_eq!(code(refused), ErrorCode::InvalidParams);
    }
    let empty = repo
        .tokens()
        .store_refresh_token(StoreRefreshTokenRequest { token: None })
        .await;
    assert_eq!(code(empty), ErrorCode::InvalidParams);
}
