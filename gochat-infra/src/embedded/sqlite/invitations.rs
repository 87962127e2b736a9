//! Uses of invitation codes.

use async_trait::async_trait;

use super::SqliteDatabase;
use super::query::{binds, execute, statements};
use crate::port::db::{DbResult, InvitationStore};

statements! {
    Use = "INSERT INTO invitation_codes (code, used) VALUES (?1, 1) \
           ON CONFLICT DO UPDATE SET used = invitation_codes.used + 1 WHERE invitation_codes.used < ?2";
    Return = "UPDATE invitation_codes SET used = used - 1 WHERE code = ?1 AND used > 0";
}

#[async_trait]
impl InvitationStore for SqliteDatabase {
    async fn use_code(&self, code: &str, most: u32) -> DbResult<bool> {
        let code = code.to_owned();
        self.write(1, move |conn| {
            execute::<Use>(conn, &binds![&code, most]).map(|rows| rows > 0)
        })
        .await
    }

    async fn return_code(&self, code: &str) -> DbResult<()> {
        let code = code.to_owned();
        self.write(1, move |conn| {
            execute::<Return>(conn, &binds![&code]).map(|_| ())
        })
        .await
    }
}
