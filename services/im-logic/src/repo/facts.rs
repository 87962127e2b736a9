//! What a decision about a conversation is based on, in one RPC.

use gochat_core::conversation::Settings;
use gochat_core::error::{ErrorCode, Result};
use gochat_core::ids::{ConversationId, ConversationKind, Rev, SeqId, UserId};
use gochat_core::membership::{Action, GroupFacts, Role, Standing};
use gochat_core::receipt;
use gochat_proto::im::repo::v1::{FactsQuery, LoadConversationFactsRequest, MemberFact};

use super::{Repo, present};

/// Facts of one conversation, with the members among the asked users.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) kind: ConversationKind,
    pub(crate) group: GroupFacts,
    pub(crate) head: SeqId,
    pub(crate) head_rev: Rev,
    pub(crate) settings: Settings,
    /// A single chat in which one side blocked the other, or whose settings show no receipts.
    pub(crate) hides_receipts: bool,
    members: Vec<(UserId, Role)>,
}

impl Facts {
    /// The role of an asked user. Everybody is a member of the world chat.
    pub(crate) fn role_of(&self, user: UserId) -> Option<Role> {
        if self.kind == ConversationKind::World {
            return Some(Role::Member);
        }
        self.members
            .iter()
            .find(|(id, _)| *id == user)
            .map(|(_, role)| *role)
    }

    /// How an asked user stands to the conversation.
    pub(crate) fn standing(&self, user: UserId) -> Standing {
        Standing::new(self.role_of(user), false)
    }

    /// Lets members of a living conversation pass. Who is no member isn't told more than that.
    ///
    /// # Errors
    /// `NOT_CONVERSATION_MEMBER`, `CONVERSATION_DISSOLVED`.
    pub(crate) fn readable_by(&self, user: UserId) -> Result<Standing> {
        let standing = self.standing(user);
        standing.may(Action::Read)?;
        if self.group.dissolved {
            return Err(ErrorCode::ConversationDissolved.into());
        }
        Ok(standing)
    }
}

impl Repo {
    /// Facts about a conversation and about `users` in it.
    ///
    /// # Errors
    /// `CONVERSATION_NOT_FOUND`.
    pub(crate) async fn facts(&self, id: ConversationId, users: &[UserId]) -> Result<Facts> {
        let query = FactsQuery {
            conversation_id: id.to_string(),
            sender_ids: users.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        let request = LoadConversationFactsRequest {
            queries: vec![query],
            ..Default::default()
        };
        let loaded = present(self.load_facts(request).await?.facts.into_iter().next())?;
        if !loaded.found {
            return Err(ErrorCode::ConversationNotFound.into());
        }
        let settings = Settings::parse(id.kind(), &loaded.settings).unwrap_or_else(|error| {
            tracing::warn!(conversation = %id, %error, "stored settings can't be read: defaults rule");
            Settings::defaults(id.kind())
        });
        Ok(Facts {
            kind: id.kind(),
            group: GroupFacts {
                member_count: u32::try_from(loaded.member_count).unwrap_or(0),
                settings: settings.group(),
                dissolved: loaded.dissolved,
            },
            head: u64::try_from(loaded.last_seq_id).unwrap_or(0),
            head_rev: u64::try_from(loaded.last_rev).unwrap_or(0),
            settings,
            hides_receipts: !receipt::are_shown(&loaded.settings, loaded.blocked),
            members: loaded.members.iter().filter_map(member).collect(),
        })
    }
}

fn member(fact: &MemberFact) -> Option<(UserId, Role)> {
    Some((fact.user_id.parse().ok()?, Role::from_i32(fact.role)?))
}
