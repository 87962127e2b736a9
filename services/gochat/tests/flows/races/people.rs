//! Two commands about members, roles or friends at once: they end as one of their orders would.

use serde_json::{Value, json};

use super::jitter;
use crate::kit::{Reply, Server, User, list};

const ROUNDS: usize = 6;

/// Owner, admin and member of a fresh group per round.
struct Cast {
    owner: User,
    admin: User,
    member: User,
}

impl Cast {
    async fn group(&self) -> String {
        let group = self
            .owner
            .group("races", &[&self.admin, &self.member])
            .await;
        give(&self.owner, &group, &self.admin, 2).await.data();
        group
    }

    /// I14: what anybody left sees names one owner, who is a member, and counts the members.
    async fn assert_sound(&self, group: &str) {
        for user in [&self.owner, &self.admin, &self.member] {
            let answer = user.get(&format!("/conversations/{group}")).await;
            if answer.status != 200 {
                continue;
            }
            let data = answer.data();
            let members = list(&data["members"]);
            let owners = members.iter().filter(|m| m["role"] == 3);
            let owners: Vec<&Value> = owners.map(|m| &m["userId"]).collect();
            assert_eq!(owners, [&data["ownerId"]], "{data}");
            assert_eq!(data["memberCount"].as_u64(), Some(members.len() as u64));
        }
    }
}

async fn give(by: &User, group: &str, whom: &User, role: i32) -> Reply {
    let path = format!("/conversations/{group}/members/{}", whom.id);
    by.put(&path, json!({"role": role})).await
}

async fn remove(by: &User, group: &str, whom: &User) -> Reply {
    let path = format!("/conversations/{group}/members/{}", whom.id);
    by.delete(&path).await
}

async fn cast() -> Cast {
    let [owner, admin, member] = Server::shared().await.users().await;
    Cast {
        owner,
        admin,
        member,
    }
}

/// The second of two is refused for a reason of the rules, never for a failure.
fn assert_judged(replies: [Reply; 2]) {
    for reply in replies {
        assert!(reply.status < 500 && reply.status != 409, "{reply:?}");
    }
}

#[tokio::test]
async fn handing_a_group_over_while_the_heir_goes_leaves_one_owner() {
    let cast = cast().await;
    for round in 0..ROUNDS {
        let group = cast.group().await;
        let goes = async {
            jitter(2_000).await;
            match round % 2 {
                0 => remove(&cast.member, &group, &cast.member).await,
                _ => remove(&cast.admin, &group, &cast.member).await,
            }
        };
        let (a, b) = tokio::join!(give(&cast.owner, &group, &cast.member, 3), goes);
        assert_judged([a, b]);
        cast.assert_sound(&group).await;
    }
}

#[tokio::test]
async fn two_tabs_of_an_owner_leave_one_owner() {
    let cast = cast().await;
    let tab = cast.owner.apart();
    for round in 0..ROUNDS {
        let group = cast.group().await;
        let other = async {
            jitter(2_000).await;
            match round % 3 {
                0 => give(&tab, &group, &cast.admin, 3).await,
                1 => give(&tab, &group, &cast.member, 2).await,
                _ => give(&tab, &group, &cast.member, 1).await,
            }
        };
        let (a, b) = tokio::join!(give(&cast.owner, &group, &cast.member, 3), other);
        assert_judged([a, b]);
        cast.assert_sound(&group).await;
    }
}

#[tokio::test]
async fn a_group_that_ends_while_somebody_is_added_has_ended() {
    let cast = cast().await;
    let guest = Server::shared().await.user().await;
    for _ in 0..ROUNDS {
        let group = cast.group().await;
        let path = format!("/conversations/{group}");
        let members = format!("{path}/members");
        let adds = async {
            jitter(2_000).await;
            let body = json!({"members": [guest.id]});
            cast.admin.post(&members, body).await
        };
        let (ends, adds) = tokio::join!(cast.owner.delete(&path), adds);
        assert_eq!(ends.status, 200, "{ends:?}");
        assert!(adds.status == 201 || adds.status == 404, "{adds:?}");
        assert_eq!(cast.admin.get(&path).await.status, 404);
    }
}

#[tokio::test]
async fn a_request_that_is_accepted_twice_at_once_is_accepted_once() {
    let [a, b] = Server::shared().await.users().await;
    let id = a.ask(&b).await;
    let path = format!("/friends/requests/{id}");
    let tab = b.apart();
    let accept = || json!({"action": "accept"});
    let (one, two) = tokio::join!(b.put(&path, accept()), tab.put(&path, accept()));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let friends = a.get("/friends").await.data();
    assert_eq!(list(&friends["friends"]).len(), 1);
}
