//! The server under test, and databases that come and go with a test.

use std::sync::Arc;

use gochat_infra::cluster::mysql::{MysqlConfig, MysqlDatabase};
use gochat_infra::port::db::{Migrator as _, SharedDatabase};
use gochat_infra::testsuite::db::DbSubject;
use mysql_async::prelude::Queryable as _;

pub(crate) const NOW: u64 = 1_700_000_000_000;

/// Where the server is, without a database.
pub(crate) fn server() -> String {
    std::env::var("GOCHAT_TEST_MYSQL")
        .unwrap_or_else(|_| "mysql://gochat:gochat_pass_2024@127.0.0.1:3306".to_owned())
}

/// A database that is dropped at the end.
pub(crate) struct Fresh {
    pub(crate) server: String,
    pub(crate) name: String,
}

impl Fresh {
    /// A name nobody has; the database is made by the first connection.
    pub(crate) fn new(server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            name: format!("gochat_test_{:016x}", rand::random::<u64>()),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/{}", self.server.trim_end_matches('/'), self.name)
    }

    pub(crate) fn config(&self) -> MysqlConfig {
        MysqlConfig {
            create_database: true,
            ..MysqlConfig::from_url(self.url())
        }
    }

    /// A connection without the adapter.
    pub(crate) async fn plain(&self) -> mysql_async::Conn {
        mysql_async::Conn::from_url(self.url())
            .await
            .expect("the server answers")
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let mut conn = mysql_async::Conn::from_url(server).await?;
                conn.query_drop(format!("DROP DATABASE IF EXISTS `{name}`"))
                    .await?;
                conn.disconnect().await
            })
        });
        if let Ok(Err(e)) = dropped.join() {
            eprintln!("a test database was left behind: {e}");
        }
    }
}

pub(crate) struct Subject {
    pub(crate) db: MysqlDatabase,
    pub(crate) fresh: Fresh,
}

#[async_trait::async_trait]
impl DbSubject for Subject {
    fn db(&self) -> SharedDatabase {
        Arc::new(self.db.clone())
    }

    fn statements(&self) -> Option<u64> {
        Some(self.db.statements_run())
    }

    async fn run_sql(&self, sql: &str) {
        let mut conn = self.fresh.plain().await;
        conn.query_drop(sql).await.expect("done");
    }
}

/// A database with the schema.
pub(crate) async fn migrated(change: impl FnOnce(&mut MysqlConfig)) -> Subject {
    migrated_on(server(), change).await
}

pub(crate) async fn migrated_on(
    server: impl Into<String>,
    change: impl FnOnce(&mut MysqlConfig),
) -> Subject {
    let fresh = Fresh::new(server);
    let mut config = fresh.config();
    change(&mut config);
    let db = match MysqlDatabase::connect(config).await {
        Ok(db) => db,
        Err(e) => panic!(
            "MySQL can't be reached ({e}); start it with `make infra-up`, or name it in GOCHAT_TEST_MYSQL"
        ),
    };
    db.migrate_up(NOW).await.expect("a schema");
    Subject { db, fresh }
}

pub(crate) async fn fresh() -> Arc<dyn DbSubject> {
    Arc::new(migrated(|config| config.max_connections = 8).await)
}
