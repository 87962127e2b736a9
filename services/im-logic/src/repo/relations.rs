//! How users stand to each other.

use gochat_core::error::Result;
use gochat_core::friendship::{Pair, Person, Row, Status};
use gochat_core::ids::UserId;
use gochat_proto::im::repo::v1::{GetRelationsRequest, GetUserFriendsWithSyncRequest, Relation};
use hashbrown::HashMap;

use super::{People, Repo, is_active};

/// Others one RPC may name.
const BATCH: usize = 1_000;

/// An account as core judges it.
pub(crate) fn person(id: UserId, people: &People) -> Person {
    let account = people.get(&id);
    Person {
        id,
        is_guest: account.is_some_and(|user| user.is_guest),
        active: account.is_some_and(is_active),
    }
}

impl Repo {
    /// Both directions between a user and each of the others; who isn't in the map has no relation.
    pub(crate) async fn relations(
        &self,
        user: UserId,
        others: &[UserId],
    ) -> Result<HashMap<UserId, Pair>> {
        let mut pairs: HashMap<UserId, Pair> = HashMap::new();
        for batch in others.chunks(BATCH) {
            let request = GetRelationsRequest {
                user_id: user.to_string(),
                other_ids: batch.iter().map(ToString::to_string).collect(),
            };
            let found = self.get_relations(request).await?.relations;
            for row in found.iter().filter_map(row) {
                if row.requester == user {
                    pairs.entry(row.target).or_default().outgoing = Some(row);
                } else {
                    pairs.entry(row.requester).or_default().incoming = Some(row);
                }
            }
        }
        Ok(pairs)
    }

    /// Everybody who is a friend of a user.
    pub(crate) async fn friends_of(&self, user: UserId) -> Result<Vec<UserId>> {
        let (mut friends, mut after_id) = (Vec::new(), String::new());
        loop {
            let request = GetUserFriendsWithSyncRequest {
                user_id: user.to_string(),
                status: Status::Accepted as i32,
                after_id,
                ..Default::default()
            };
            let page = self.get_friends(request).await?;
            let ids = page.friends.iter();
            friends.extend(ids.filter_map(|f| f.friend_id.parse::<UserId>().ok()));
            after_id = page.next_after_id;
            if !page.has_more || after_id.is_empty() {
                return Ok(friends);
            }
        }
    }

    /// Both directions between two users, seen by the first.
    pub(crate) async fn relation(&self, user: UserId, other: UserId) -> Result<Pair> {
        let mut pairs = self.relations(user, &[other]).await?;
        Ok(pairs.remove(&other).unwrap_or_default())
    }
}

fn row(relation: &Relation) -> Option<Row> {
    Some(Row {
        id: relation.request_id.parse().ok()?,
        requester: relation.requester_id.parse().ok()?,
        target: relation.target_id.parse().ok()?,
        status: Status::from_i32(relation.status)?,
        mirrored: relation.mirrored,
        changed_at: u64::try_from(relation.updated_at)
            .ok()?
            .saturating_mul(1_000),
    })
}
