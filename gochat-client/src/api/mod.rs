//! The HTTP API, typed. Field names and rules are those of the HTTP contract.
//!
//! An [`Api`] signs in by itself and renews its token when the server says it has expired.
//!
//! ```no_run
//! use gochat_client::{Credentials, api::Api};
//! # async fn run() -> Result<(), gochat_client::Error> {
//! Api::register("http://127.0.0.1:8080", "ann", "a long password").await?;
//! let api = Api::new("http://127.0.0.1:8080", Credentials::password("ann", "a long password"))?;
//! for conversation in api.conversations(1, 20).await?.conversations {
//!     println!("{} unread in {}", conversation.unread_count, conversation.id);
//! }
//! # Ok(()) }
//! ```

mod account;
mod announcements;
mod asks;
mod conversations;
mod former;
mod friends;
mod hidden;
mod links;
mod members;
mod messages;
mod objects;
mod reactions;

use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::Http;
use crate::tokens::{Tokens, is_stale};
use crate::{Client, Credentials, Result};

pub use account::Session;
pub use announcements::{Announcement, AnnouncementRead, AnnouncementReaders};
pub use asks::{JoinRequest, JoinRequestPage, JoinStatus};
pub use conversations::{ConversationPage, ConversationQuery, NewGroup, OwnChange};
pub use former::FormerText;
pub use friends::RequestKind;
pub use gochat_core::own_state::OwnState;
pub use gochat_core::sync::{ForwardedFrom, Quote};
pub use links::{InvitationLink, JoinedByLink};
pub use members::{Added, FailedMember, Invitation, MemberPage};
pub use messages::{HistoryPage, Reaching, ReadBy, Reader};
pub use objects::{
    ChangesPage, Conversation, ConversationMember, Friend, FriendRequest, HiddenMessage,
    HiddenPage, Message, Reaction, Role, User,
};
pub use reactions::{ReactionsPage, UserReaction};

/// A signed-in user's access to the HTTP API. Cheap to clone; clones share the token.
#[derive(Debug, Clone)]
pub struct Api {
    pub(crate) http: Http,
    pub(crate) tokens: Tokens,
}

const NO_BODY: Option<&()> = None;

impl Api {
    /// An API client that signs in at its first call, with the defaults of
    /// [`Client::builder`]; [`Builder::api`](crate::Builder::api) gives one with other settings.
    pub fn new(url: &str, credentials: Credentials) -> Result<Self> {
        Client::builder(url).credentials(credentials).api()
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(Method::GET, path, NO_BODY).await
    }

    /// One authenticated request; once more with a new token when the first one had expired.
    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
    ) -> Result<T> {
        let token = self.tokens.access().await?;
        match self
            .http
            .call(method.clone(), path, body, Some(&token))
            .await
        {
            Err(e) if is_stale(&e) => {
                let token = self.tokens.renew(&token).await?;
                self.http.call(method, path, body, Some(&token)).await
            }
            other => other,
        }
    }
}

/// The `data` of answers that say nothing.
#[derive(Debug, serde::Deserialize)]
struct Nothing {}
