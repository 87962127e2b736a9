//! Uses of invitation codes.

use async_trait::async_trait;

use super::MysqlDatabase;
use super::query::{Conn, binds, execute, statements};
use super::run::work;
use crate::port::db::{DbResult, InvitationStore};

statements! {
    Begin = "INSERT IGNORE INTO invitation_codes (code, used) VALUES (?1, 0)";
    Use = "UPDATE invitation_codes SET used = used + 1 WHERE code = ?1 AND used < ?2";
    Return = "UPDATE invitation_codes SET used = used - 1 WHERE code = ?1 AND used > 0";
}

async fn take(conn: &mut Conn, (code, most): &(String, u32)) -> DbResult<bool> {
    execute::<Begin>(conn, &binds![code]).await?;
    let rows = execute::<Use>(conn, &binds![code, *most]).await?;
    Ok(rows > 0)
}

async fn give_back(conn: &mut Conn, code: &String) -> DbResult<()> {
    execute::<Return>(conn, &binds![code]).await.map(|_| ())
}

#[async_trait]
impl InvitationStore for MysqlDatabase {
    /// Not run again when a commit got lost: a second run would take a second use.
    async fn use_code(&self, code: &str, most: u32) -> DbResult<bool> {
        self.write(false, &[], (code.to_owned(), most), work!(take))
            .await
    }

    async fn return_code(&self, code: &str) -> DbResult<()> {
        self.write(false, &[], code.to_owned(), work!(give_back))
            .await
    }
}
