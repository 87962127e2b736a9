//! The people of the matrix, and a group they stand in different relations to.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

use crate::kit::{Server, User, mute, now, text};

/// Callers whose token is wrong, in the order of the columns.
pub const BAD: [&str; 6] = [
    "no token",
    "no bearer",
    "forged",
    "refresh token",
    "expired",
    "revoked",
];
/// Callers with a good token, in the order of the columns.
pub const ACTORS: [&str; 6] = ["guest", "stranger", "member", "muted", "admin", "owner"];

/// The people.
pub struct Cast {
    pub server: Server,
    /// In the order of [`ACTORS`].
    pub actors: [User; 6],
    /// `Authorization` headers in the order of [`BAD`]; `None` sends none.
    pub bad: [Option<String>; 6],
    /// An ordinary member who only serves as a target.
    pub target: User,
}

/// The group of one cell.
pub struct Stage {
    pub group: String,
    /// A message of the owner.
    pub message: String,
}

impl Cast {
    /// Everybody signs in. `None` without a secret to sign expired tokens with.
    pub async fn gather() -> Option<Self> {
        let server = Server::shared().await;
        let secret = server.secret()?.to_owned();
        let [stranger, member, muted, admin, owner] = server.users().await;
        let [target, leaver] = server.users().await;
        let guest = server.guest().await;
        leaver.call("POST", "/auth/logout", None).await.data();
        let bearer = |token: &str| Some(format!("Bearer {token}"));
        let bad = [
            None,
            Some(format!("Token {}", member.token)),
            bearer(&resigned(
                &member.token,
                &secret,
                "another secret, also long enough",
                0,
            )),
            bearer(&member.refresh_token),
            bearer(&resigned(&member.token, &secret, &secret, 3600 * 24 * 2)),
            bearer(&leaver.token),
        ];
        Some(Self {
            server,
            actors: [guest, stranger, member, muted, admin, owner],
            bad,
            target,
        })
    }

    pub fn owner(&self) -> &User {
        &self.actors[5]
    }

    /// A new group with everybody in place, and a message in it.
    pub async fn stage(&self) -> Stage {
        let [_, _, member, muted, admin, owner] = &self.actors;
        let group = owner
            .group("matrix", &[member, muted, admin, &self.target])
            .await;
        owner
            .put(
                &format!("/conversations/{group}/members/{}", admin.id),
                json!({"role": 2}),
            )
            .await
            .data();
        mute(
            self.server.logic().expect("embedded"),
            owner,
            &group,
            muted,
            true,
        )
        .await;
        let message = owner.say(&group, "to be recalled").await.data();
        owner.history_of(&group, 1).await;
        Stage {
            group,
            message: text(&message["id"]),
        }
    }

    /// A friend request of somebody new to the member.
    pub async fn request(&self) -> String {
        self.server.user().await.ask(&self.actors[2]).await
    }

    /// Another session of an actor, to be thrown away; for the guest, another guest.
    pub async fn session(&self, actor: usize) -> User {
        match actor {
            0 => self.server.guest().await,
            _ => self.server.login(&self.actors[actor].name).await,
        }
    }
}

/// The same token, so many seconds older, signed with another secret.
pub fn resigned(token: &str, secret: &str, new_secret: &str, older_by: i64) -> String {
    // Fails only when it is installed already.
    let _ = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.install_default();
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_aud = false;
    let key = DecodingKey::from_secret(secret.as_bytes());
    let mut claims = jsonwebtoken::decode::<Value>(token, &key, &validation)
        .expect("a token of this server")
        .claims;
    for time in ["iat", "exp"] {
        let value = claims[time].as_i64().expect("a time");
        claims[time] = json!(value - older_by);
    }
    if older_by > 0 {
        claims["exp"] = json!(claims["exp"].as_i64().expect("a time").min(now() - 60));
    }
    jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &claims,
        &EncodingKey::from_secret(new_secret.as_bytes()),
    )
    .expect("claims can be signed")
}
