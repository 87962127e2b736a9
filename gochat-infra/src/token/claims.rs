//! What a token says.

use gochat_core::ids::UserId;
use gochat_core::token::SessionId;
use serde::{Deserialize, Serialize};

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// For requests.
    Access,
    /// For new tokens.
    Refresh,
}

/// The claims of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user.
    pub user_id: UserId,
    /// What the token is good for.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Id of the token.
    pub jti: String,
    /// Unix second of the signature.
    pub iat: i64,
    /// First Unix second at which the token is not accepted.
    pub exp: i64,
    /// Name of the issuer.
    pub iss: String,
    /// The user again; a token in which the two differ is refused.
    pub sub: UserId,
    /// Name of the user at the time of the signature; may be empty.
    #[serde(default)]
    pub username: String,
    /// Whether the account is a guest's.
    #[serde(default, alias = "guest")]
    pub is_guest: bool,
    /// Session of the token; tokens from before sessions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// Generation of a refresh token; 0 in access tokens and in tokens from before sessions.
    #[serde(rename = "gen", default, skip_serializing_if = "is_zero")]
    pub generation: u64,
}

// The signature is serde's.
fn is_zero(generation: &u64) -> bool {
    *generation == 0
}

/// Hexadecimal SHA-256: how a token is named where the token must not be readable.
pub fn hash_of(token: &str) -> String {
    super::to_hex(ring::digest::digest(&ring::digest::SHA256, token.as_bytes()).as_ref())
}
