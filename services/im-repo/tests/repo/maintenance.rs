//! What im-repo does without being asked.

use gochat_infra::ids::now_ms;
use gochat_infra::port::db::{MessageStore, SessionStore};
use gochat_proto::im::repo::v1::{BatchSaveMessagesRequest, SaveMessageRequest, SessionRow};
use im_repo::{Config, Service};
use tokio_util::sync::CancellationToken;

use crate::harness::{Repo, edit, message, now};
use crate::sessions::{open, session};

#[tokio::test]
async fn expired_sessions_are_removed_until_the_shutdown() {
    let repo = Repo::start().await;
    let ann = repo.user("ann").await.id;
    open(
        &repo,
        SessionRow {
            expires_at_ms: (now() - 1) * 1_000,
            ..session(1, &ann)
        },
    )
    .await;
    let config = Config {
        purge_interval_ms: 1,
        ..Config::default()
    };
    let service = Service::bind(config, repo.ports.clone()).await.unwrap();
    assert!(service.is_ready().await);

    let shutdown = CancellationToken::new();
    let before = repo.db.statements_run();
    let run = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { service.run(shutdown).await }
    });
    // Several rounds: each looks for names that an older program wrote, then for expired tokens.
    while repo.db.statements_run() < before + 20 {
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    run.await.unwrap();
    assert_eq!(
        repo.db.purge_sessions(now_ms(), 10).await.unwrap(),
        0,
        "nothing is left to purge"
    );
}

#[tokio::test]
async fn changes_are_forgotten_after_their_time() {
    let repo = Repo::start().await;
    let ann = repo.user("ann").await.id;
    let change = |rev, days: i64| SaveMessageRequest {
        created_at: now() - days * 86_400,
        ..edit("world", &ann, 1, rev)
    };
    let messages = vec![message("world", &ann, 1), change(2, 31), change(3, 29)];
    let request = BatchSaveMessagesRequest { messages };
    repo.messages().batch_save_messages(request).await.unwrap();
    let config = Config {
        purge_interval_ms: 1,
        ..Config::default()
    };
    let service = Service::bind(config, repo.ports.clone()).await.unwrap();
    let shutdown = CancellationToken::new();
    let before = repo.db.statements_run();
    let run = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { service.run(shutdown).await }
    });
    while repo.db.statements_run() < before + 40 {
        tokio::task::yield_now().await;
    }
    shutdown.cancel();
    run.await.unwrap();
    let left = repo.db.purge_changes(u64::MAX >> 1, 10).await.unwrap();
    assert_eq!(left, 1, "the one that is still remembered");
}
