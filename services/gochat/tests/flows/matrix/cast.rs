//! The people of the matrix, and a group they stand in different relations to.

use gochat_infra::token::Signer;
use serde_json::json;

use crate::kit::{Forge, Server, User, mute, now, text};

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
    /// The code of an invitation link of the owner.
    pub link: String,
    /// A stranger whose request to join is open.
    pub asker: String,
}

impl Cast {
    /// Everybody signs in. `None` without a secret to sign expired tokens with.
    pub async fn gather() -> Option<Self> {
        let server = Server::shared().await;
        let forge = server.forge().await?;
        let [stranger, member, muted, admin, owner] = server.users().await;
        let [target, leaver] = server.users().await;
        let guest = server.guest().await;
        leaver.call("POST", "/auth/logout", None).await.data();
        let bearer = |token: &str| Some(format!("Bearer {token}"));
        let bad = [
            None,
            Some(format!("Token {}", member.token)),
            bearer(&resigned(&member.token, &forge, &forge.foreign(), 0)),
            bearer(&member.refresh_token),
            bearer(&resigned(
                &member.token,
                &forge,
                &forge.signer,
                3600 * 24 * 2,
            )),
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
        let link = owner
            .post(&format!("/conversations/{group}/invitations"), json!({}))
            .await
            .data();
        let open = json!({"settings": {"group_settings": {"allow_join_requests": true}},
                          "announcement": "read me"});
        owner
            .put(&format!("/conversations/{group}"), open)
            .await
            .data();
        let asker = self.server.user().await;
        asker
            .post(&format!("/conversations/{group}/join-requests"), json!({}))
            .await
            .data();
        Stage {
            group,
            asker: asker.id,
            message: text(&message["id"]),
            link: text(&link["code"]),
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

/// The same token, so many seconds older, signed with this key.
pub fn resigned(token: &str, forge: &Forge, signer: &Signer, older_by: i64) -> String {
    let mut claims = forge.claims(token);
    claims.iat -= older_by;
    claims.exp -= older_by;
    if older_by > 0 {
        claims.exp = claims.exp.min(now() - 60);
    }
    signer.sign(&claims).expect("claims can be signed")
}
