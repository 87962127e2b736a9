//! Accounts and users.

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Api, NO_BODY, Nothing, User};
use crate::address::push_escaped;
use crate::tokens::is_stale;
use crate::{Client, ErrorKind, Result, StoredSession};

#[derive(Deserialize)]
struct Registered {
    user: User,
}

#[derive(Deserialize)]
struct Sessions {
    sessions: Vec<Session>,
}

/// A sign-in of the user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Session {
    /// Id, for [`Api::end_session`].
    pub id: String,
    /// Name of the device; may be empty.
    #[serde(default)]
    pub device: String,
    /// Software of the client; may be empty.
    #[serde(default)]
    pub client: String,
    /// Network address of the sign-in or of the last refresh; may be empty.
    #[serde(default)]
    pub address: String,
    /// Unix seconds of the sign-in.
    pub created_at: i64,
    /// Unix seconds of the last refresh.
    pub last_used_at: i64,
    /// Whether it is the session of this client.
    #[serde(default)]
    pub current: bool,
}

#[derive(Deserialize)]
struct Found {
    users: Vec<User>,
}

impl Api {
    /// Makes an account. The name has 3–50 characters, the password 8–128.
    pub async fn register(url: &str, username: &str, password: &str) -> Result<User> {
        let api = Client::builder(url).api()?;
        api.sign_up(username, password).await
    }

    /// Makes an account; it signs nobody in. The name has 3–50 characters, the password 8–128.
    pub async fn sign_up(&self, username: &str, password: &str) -> Result<User> {
        let body = json!({ "username": username, "password": password });
        let path = "/auth/register";
        let asked = self.http.call(Method::POST, path, Some(&body), None);
        let answer: Registered = asked.await?;
        Ok(answer.user)
    }

    /// The signed-in user.
    pub async fn me(&self) -> Result<User> {
        self.tokens.user().await
    }

    /// The current session, to be kept where no [`TokenStore`](crate::TokenStore) is given. It
    /// changes with every renewal. Signs in when that hasn't happened yet.
    pub async fn session(&self) -> Result<StoredSession> {
        self.tokens.export().await
    }

    /// Signs out: ends this session, every token and socket of it, and forgets it in the token
    /// store.
    ///
    /// # Errors
    /// `Storage`: the session has ended, and the token store couldn't forget it; call it once more.
    /// After any other error the user is still signed in.
    pub async fn logout(&self) -> Result<()> {
        let _leaving = self.tokens.leave();
        let ended = self
            .call::<Nothing>(Method::POST, "/auth/logout", NO_BODY)
            .await;
        match ended {
            Err(error) if !is_stale(&error) && *error.kind() != ErrorKind::SignedOut => Err(error),
            // A session that had ended before is forgotten as well.
            _ => self.tokens.forget().await,
        }
    }

    /// The sessions of the user, the most recently used first.
    pub async fn sessions(&self) -> Result<Vec<Session>> {
        Ok(self.get::<Sessions>("/sessions").await?.sessions)
    }

    /// Ends one of the user's sessions.
    pub async fn end_session(&self, id: &str) -> Result<()> {
        let mut path = String::from("/sessions/");
        push_escaped(&mut path, id);
        self.call::<Nothing>(Method::DELETE, &path, NO_BODY)
            .await
            .map(drop)
    }

    /// Ends all other sessions of the user.
    pub async fn end_other_sessions(&self) -> Result<()> {
        self.call::<Nothing>(Method::DELETE, "/sessions", NO_BODY)
            .await
            .map(drop)
    }

    /// Changes the password and ends all other sessions. May be repeated after a lost answer.
    pub async fn change_password(&self, old: &str, new: &str) -> Result<()> {
        let body = json!({ "oldPassword": old, "newPassword": new });
        self.call::<Nothing>(Method::PUT, "/users/password", Some(&body))
            .await?;
        self.tokens.note_password(new).await;
        Ok(())
    }

    /// Deletes the account and forgets the session in the token store; its messages stay. A guest
    /// needs no password.
    pub async fn delete_account(&self, password: Option<&str>) -> Result<()> {
        let body = json!({ "password": password });
        self.call::<Nothing>(Method::DELETE, "/users/account", Some(&body))
            .await?;
        self.tokens.forget().await
    }

    /// Makes an account of a guest, who keeps id, chats and history. May be repeated after a lost
    /// answer.
    pub async fn upgrade(&self, username: &str, password: &str) -> Result<User> {
        let body = json!({ "username": username, "password": password });
        self.tokens.upgrade(body).await
    }

    /// Sets the picture.
    pub async fn set_avatar(&self, avatar_url: &str) -> Result<User> {
        let body = json!({ "avatarUrl": avatar_url });
        self.call(Method::PUT, "/users/profile", Some(&body)).await
    }

    /// Users whose name resembles `query`; at most 20.
    pub async fn search_users(&self, query: &str, limit: u32) -> Result<Vec<User>> {
        let mut path = format!("/users/search?limit={limit}&q=");
        push_escaped(&mut path, query);
        Ok(self.get::<Found>(&path).await?.users)
    }
}
