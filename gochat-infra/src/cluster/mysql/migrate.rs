//! Migrations.
//!
//! MySQL commits data definition by itself, so a migration can't be undone by a rollback. Each is
//! written so that it can be run again from the start; it is noted when it went through. A lock of
//! the server keeps several programs from migrating one database at the same time.

use async_trait::async_trait;
use gochat_core::ids::UnixMillis;

use super::MysqlDatabase;
use super::fault::{self, Class};
use super::query::{At, Conn, batch, binds, execute, one, rows, statements};
use super::run::work;
use crate::port::db::{DbError, DbResult, MigrationStatus, Migrator, is_additive};

/// A migration as this program carries it.
struct Migration {
    number: u32,
    name: &'static str,
    up: &'static str,
    down: &'static str,
}

macro_rules! migration {
    ($number:literal, $name:literal, $folder:literal) => {
        Migration {
            number: $number,
            name: $name,
            up: include_str!(concat!("../../../migrations/mysql/", $folder, "/up.sql")),
            down: include_str!(concat!("../../../migrations/mysql/", $folder, "/down.sql")),
        }
    };
}

/// In ascending order.
const MIGRATIONS: &[Migration] = &[
    migration!(1, "initial", "0001_initial"),
    migration!(2, "+client_ids", "0002_client_ids"),
    migration!(3, "+id_copies", "0003_id_copies"),
    migration!(4, "+people", "0004_people"),
    migration!(5, "+audit_keys", "0005_audit_keys"),
    migration!(6, "+budgets", "0006_budgets"),
    migration!(7, "+names", "0007_names"),
    migration!(8, "+sessions", "0008_sessions"),
    migration!(9, "+pages", "0009_pages"),
    migration!(10, "+invitation_codes", "0010_invitation_codes"),
    migration!(11, "+group_invitations", "0011_group_invitations"),
    migration!(12, "+conversation_states", "0012_conversation_states"),
    migration!(13, "+marks", "0013_marks"),
    migration!(14, "+invitation_links", "0014_invitation_links"),
    migration!(15, "+join_requests", "0015_join_requests"),
    migration!(16, "+changes", "0016_changes"),
    migration!(17, "+reactions", "0017_reactions"),
    migration!(18, "+references", "0018_references"),
    migration!(19, "+hidden_messages", "0019_hidden_messages"),
    migration!(20, "+owed_messages", "0020_owed_messages"),
    migration!(21, "+notes", "0021_notes"),
];

/// Seconds to wait for another program that migrates.
const LOCK_WAIT_S: i64 = 10;

impl Migration {
    fn checksum(&self) -> u32 {
        crc32fast::hash(self.up.as_bytes())
    }

    fn status(&self, applied: Option<&Applied>) -> MigrationStatus {
        MigrationStatus {
            number: self.number,
            name: self.name.to_owned(),
            applied_at: applied.map(|a| a.1),
            checksum_matches: applied.is_none_or(|a| a.2 == self.checksum()),
        }
    }
}

/// Number, time, checksum, name.
type Applied = (u32, UnixMillis, u32, String);

statements! {
    HasTable = "SELECT COUNT(*) FROM information_schema.tables \
                WHERE table_schema = DATABASE() AND table_name = 'schema_migrations'";
    ListApplied = "SELECT number, applied_at, checksum, name FROM schema_migrations ORDER BY number";
    Note = "INSERT INTO schema_migrations (number, name, applied_at, checksum) \
            VALUES (?1, ?2, ?3, ?4)";
    Forget = "DELETE FROM schema_migrations WHERE number = ?1";
    // Such locks are the server's, so the name carries the database.
    Lock = "SELECT COALESCE(GET_LOCK(CONCAT('gochat.migrate.', MD5(DATABASE())), ?1), 0)";
    Unlock = "SELECT COALESCE(RELEASE_LOCK(CONCAT('gochat.migrate.', MD5(DATABASE()))), 0)";
}

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    number     INT         NOT NULL PRIMARY KEY,
    name       VARCHAR(64) NOT NULL,
    applied_at DATETIME(3) NOT NULL,
    checksum   BIGINT      NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci";

/// The whole schema as SQL, for operators who apply it by hand; it also notes the migrations as
/// applied, so that the services find them done.
pub fn dump() -> String {
    let mut text = String::from(
        "-- The schema of GoChat for MySQL 8 and MariaDB. Made by `gochat migrate dump mysql`.\n\
         SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci;\nSET time_zone = '+00:00';\n\n",
    );
    text.push_str(CREATE_TABLE);
    text.push_str(";\n");
    for m in MIGRATIONS {
        text.push_str(&format!("\n-- {:04} {}\n\n{}", m.number, m.name, m.up));
        text.push_str(&format!(
            "\nINSERT INTO schema_migrations (number, name, applied_at, checksum)\n\
             VALUES ({}, '{}', UTC_TIMESTAMP(3), {})\n\
             ON DUPLICATE KEY UPDATE number = number;\n",
            m.number,
            m.name,
            m.checksum()
        ));
    }
    text
}

async fn applied(conn: &mut Conn) -> DbResult<Vec<Applied>> {
    if one::<HasTable, i64>(conn, &[]).await? == 0 {
        return Ok(Vec::new());
    }
    rows::<ListApplied, Applied>(conn, &[]).await
}

async fn status(conn: &mut Conn, _: &()) -> DbResult<Vec<MigrationStatus>> {
    let applied = applied(conn).await?;
    let of = |m: &Migration| m.status(applied.iter().find(|a| a.0 == m.number));
    Ok(MIGRATIONS.iter().map(of).collect())
}

/// Refuses databases this program doesn't understand.
fn check(applied: &[Applied]) -> DbResult<()> {
    for (number, _, checksum, name) in applied {
        match MIGRATIONS.iter().find(|m| m.number == *number) {
            None if is_additive(name) => {}
            None => {
                return Err(DbError::internal(format!(
                    "migration {number} is applied but unknown: the database belongs to a newer program"
                )));
            }
            Some(m) if m.checksum() != *checksum => {
                return Err(DbError::internal(format!(
                    "migration {number} ({}) was changed after it had been applied",
                    m.name
                )));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Takes the lock. It ends with [`unlock`], or with the connection.
async fn lock(conn: &mut Conn) -> DbResult<()> {
    match one::<Lock, i64>(conn, &binds![LOCK_WAIT_S]).await? {
        1 => Ok(()),
        _ => Err(fault::with(
            Class::Busy,
            "another program is migrating the database",
        )),
    }
}

async fn unlock(conn: &mut Conn) -> DbResult<()> {
    one::<Unlock, i64>(conn, &[]).await.map(|_| ())
}

async fn up(conn: &mut Conn, now: &UnixMillis) -> DbResult<Vec<MigrationStatus>> {
    lock(conn).await?;
    let done = apply(conn, *now).await;
    unlock(conn).await?;
    done
}

async fn apply(conn: &mut Conn, now: UnixMillis) -> DbResult<Vec<MigrationStatus>> {
    batch(conn, CREATE_TABLE).await?;
    let applied = applied(conn).await?;
    check(&applied)?;
    let mut done = Vec::new();
    for m in MIGRATIONS {
        if applied.iter().any(|a| a.0 == m.number) {
            continue;
        }
        batch(conn, m.up).await?;
        let checksum = m.checksum();
        execute::<Note>(conn, &binds![m.number, m.name, At(now), checksum]).await?;
        done.push(m.status(Some(&(m.number, now, checksum, m.name.to_owned()))));
    }
    Ok(done)
}

async fn down(conn: &mut Conn, steps: &u32) -> DbResult<Vec<MigrationStatus>> {
    lock(conn).await?;
    let done = take_back(conn, *steps).await;
    unlock(conn).await?;
    done
}

async fn take_back(conn: &mut Conn, steps: u32) -> DbResult<Vec<MigrationStatus>> {
    let applied = applied(conn).await?;
    check(&applied)?;
    let mut done = Vec::new();
    for (number, ..) in applied.iter().rev().take(steps as usize) {
        let known = MIGRATIONS.iter().find(|m| m.number == *number);
        let m = known.ok_or_else(|| DbError::internal("unknown migration"))?;
        batch(conn, m.down).await?;
        execute::<Forget>(conn, &binds![m.number]).await?;
        done.push(m.status(None));
    }
    Ok(done)
}

#[async_trait]
impl Migrator for MysqlDatabase {
    async fn migration_status(&self) -> DbResult<Vec<MigrationStatus>> {
        self.read((), work!(status)).await
    }

    /// Each waiting migration is applied and noted by itself; one that was cut off is run again.
    async fn migrate_up(&self, now: UnixMillis) -> DbResult<Vec<MigrationStatus>> {
        self.slow(now, work!(up)).await
    }

    async fn migrate_down(&self, steps: u32) -> DbResult<Vec<MigrationStatus>> {
        self.slow(steps, work!(down)).await
    }
}
