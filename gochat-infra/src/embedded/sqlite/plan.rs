//! Plans of statements, for tests: cost must grow with what is read alone.

use diesel::Connection as _;
use diesel::connection::SimpleConnection as _;
use diesel::sqlite::SqliteConnection;

use super::query::{Bind, Statement, rows};
use crate::embedded::sqlite::dump;

/// Asserts that a statement, of which `S` asks for the plan, takes this step, reads no other table
/// whole and sorts nothing.
pub(super) fn plan<S: Statement>(binds: &[Bind<'_>], step: &str) {
    let mut conn = SqliteConnection::establish(":memory:").unwrap();
    conn.batch_execute(&dump()).unwrap();
    let plan: Vec<(i64, i64, i64, String)> = rows::<S, _>(&mut conn, binds).unwrap();
    let plan: Vec<&str> = plan.iter().map(|line| line.3.as_str()).collect();
    assert!(plan.iter().any(|line| line.contains(step)), "{plan:?}");
    let is_slow = |line: &&str| {
        let is_scan = line.starts_with("SCAN") && !line.starts_with("SCAN j VIRTUAL TABLE");
        line.contains("TEMP B-TREE") || is_scan
    };
    assert!(!plan.iter().any(is_slow), "{plan:?}");
}
