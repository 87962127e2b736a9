//! Accounts and users.

use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Api, NO_BODY, Nothing, User};
use crate::Result;
use crate::http::Http;
use crate::url::{Endpoint, push_escaped};

#[derive(Deserialize)]
struct Registered {
    user: User,
}

#[derive(Deserialize)]
struct Found {
    users: Vec<User>,
}

impl Api {
    /// Makes an account. The name has 3–50 characters, the password 8–128.
    pub async fn register(url: &str, username: &str, password: &str) -> Result<User> {
        let http = Http::new(Endpoint::parse(url)?, Duration::from_secs(30));
        let body = json!({ "username": username, "password": password });
        let path = "/auth/register";
        let answer: Registered = http.call(Method::POST, path, Some(&body), None).await?;
        Ok(answer.user)
    }

    /// The signed-in user.
    pub async fn me(&self) -> Result<User> {
        self.tokens.user().await
    }

    /// The current access and refresh token, to sign in again with
    /// [`Credentials::Tokens`](crate::Credentials::Tokens). Signs in when that hasn't happened yet.
    pub async fn tokens(&self) -> Result<(String, String)> {
        self.tokens.access().await?;
        Ok(self.tokens.export().await.unwrap_or_default())
    }

    /// Signs out: the tokens become worthless and the user's sockets are closed.
    pub async fn logout(&self) -> Result<()> {
        self.call::<Nothing>(Method::POST, "/auth/logout", NO_BODY)
            .await
            .map(drop)
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
