//! What im-repo does without being asked.

use gochat_infra::ids::now_ms;
use gochat_infra::port::db::SessionStore;
use gochat_proto::im::repo::v1::SessionRow;
use im_repo::{Config, Service};
use tokio_util::sync::CancellationToken;

use crate::harness::{Repo, now};
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
