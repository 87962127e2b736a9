//! Migrations of the SQLite file.

use async_trait::async_trait;
use diesel::connection::SimpleConnection;
use diesel::sqlite::SqliteConnection;
use gochat_core::ids::UnixMillis;

use super::SqliteDatabase;
use super::query::{binds, execute, one, rows, statements};
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
            up: include_str!(concat!("../../../migrations/sqlite/", $folder, "/up.sql")),
            down: include_str!(concat!("../../../migrations/sqlite/", $folder, "/down.sql")),
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
    HasTable = "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_migrations'";
    ListApplied = "SELECT number, applied_at, checksum, name FROM schema_migrations ORDER BY number";
    Note = "INSERT INTO schema_migrations (number, name, applied_at, checksum) \
            VALUES (?1, ?2, ?3, ?4)";
    Forget = "DELETE FROM schema_migrations WHERE number = ?1";
}

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    number     INTEGER NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    applied_at INTEGER NOT NULL,
    checksum   INTEGER NOT NULL
)";

/// The whole schema as SQL; it also notes the migrations as applied, so that the program finds
/// them done.
pub fn dump() -> String {
    let mut text = String::from(
        "-- The schema of GoChat for SQLite. Made by `gochat migrate dump sqlite`.\n\n",
    );
    text.push_str(CREATE_TABLE);
    text.push_str(";\n");
    for m in MIGRATIONS {
        text.push_str(&format!("\n-- {:04} {}\n\n{}", m.number, m.name, m.up));
        text.push_str(&format!(
            "\nINSERT INTO schema_migrations (number, name, applied_at, checksum)\n\
             VALUES ({}, '{}', CAST(strftime('%s', 'now') AS INTEGER) * 1000, {});\n",
            m.number,
            m.name,
            m.checksum()
        ));
    }
    text
}

fn applied(conn: &mut SqliteConnection) -> DbResult<Vec<Applied>> {
    if one::<HasTable, i64>(conn, &[])? == 0 {
        return Ok(Vec::new());
    }
    rows::<ListApplied, Applied>(conn, &[])
}

fn status(conn: &mut SqliteConnection) -> DbResult<Vec<MigrationStatus>> {
    let applied = applied(conn)?;
    let of = |m: &Migration| m.status(applied.iter().find(|a| a.0 == m.number));
    Ok(MIGRATIONS.iter().map(of).collect())
}

/// Refuses files this program doesn't understand.
fn check(applied: &[Applied]) -> DbResult<()> {
    for (number, _, checksum, name) in applied {
        match MIGRATIONS.iter().find(|m| m.number == *number) {
            None if is_additive(name) => {}
            None => {
                return Err(DbError::internal(format!(
                    "migration {number} is applied but unknown: the file belongs to a newer program"
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

fn up(conn: &mut SqliteConnection, now: UnixMillis) -> DbResult<Vec<MigrationStatus>> {
    conn.batch_execute(CREATE_TABLE)?;
    let applied = applied(conn)?;
    check(&applied)?;
    let mut done = Vec::new();
    for m in MIGRATIONS {
        if applied.iter().any(|a| a.0 == m.number) {
            continue;
        }
        conn.batch_execute(m.up)?;
        execute::<Note>(conn, &binds![m.number, m.name, now, m.checksum()])?;
        done.push(m.status(Some(&(m.number, now, m.checksum(), m.name.to_owned()))));
    }
    Ok(done)
}

fn down(conn: &mut SqliteConnection, steps: u32) -> DbResult<Vec<MigrationStatus>> {
    let applied = applied(conn)?;
    check(&applied)?;
    let mut done = Vec::new();
    for (number, ..) in applied.iter().rev().take(steps as usize) {
        let known = MIGRATIONS.iter().find(|m| m.number == *number);
        let m = known.ok_or_else(|| DbError::internal("unknown migration"))?;
        conn.batch_execute(m.down)?;
        execute::<Forget>(conn, &binds![m.number])?;
        done.push(m.status(None));
    }
    Ok(done)
}

#[async_trait]
impl Migrator for SqliteDatabase {
    async fn migration_status(&self) -> DbResult<Vec<MigrationStatus>> {
        self.read(status).await
    }

    /// All waiting migrations share one transaction: either all of them are applied or none.
    async fn migrate_up(&self, now: UnixMillis) -> DbResult<Vec<MigrationStatus>> {
        self.write(1, move |conn| up(conn, now)).await
    }

    async fn migrate_down(&self, steps: u32) -> DbResult<Vec<MigrationStatus>> {
        self.write(1, move |conn| down(conn, steps)).await
    }
}
