//! Users, tokens and conversations, made through the public API.

use std::sync::Arc;

use gochat_core::conversation::GROUP_MEMBERS_DEFAULT;
use serde_json::json;
use tokio::task::JoinSet;

use super::Result;
use super::api::{Account, Api, authority};
use super::args::Target;
use super::plan::{Place, Plan};
use super::sources::Sources;
use super::tokens;

/// Requests under way at a time.
const AT_ONCE: usize = 64;
/// Users that take turns in connecting; few, because a load process keeps the tokens of its users.
const TAKE_TURNS: usize = 500;
/// Members added to a group per request.
const PER_REQUEST: usize = 500;

/// A number that marks everything of this run.
pub(crate) fn run_id() -> u64 {
    u64::from(rand::random::<u32>())
}

/// Runs `make` for `0..n`, many at a time; results in order.
pub(crate) async fn gather<T, F, Fut>(n: usize, at_once: usize, make: F) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Fn(usize) -> Fut,
    Fut: Future<Output = Result<T>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut results: Vec<Option<T>> = (0..n).map(|_| None).collect();
    for index in 0..n {
        if tasks.len() >= at_once
            && let Some(done) = tasks.join_next().await
        {
            let (at, result): (usize, Result<T>) = done?;
            results[at] = Some(result?);
        }
        let work = make(index);
        tasks.spawn(async move { (index, work.await) });
    }
    while let Some(done) = tasks.join_next().await {
        let (at, result) = done?;
        results[at] = Some(result?);
    }
    Ok(results.into_iter().flatten().collect())
}

/// New guests.
pub(super) async fn guests(api: &Api, n: usize) -> Result<Vec<Account>> {
    eprintln!("making {n} guests");
    gather(n, AT_ONCE, |_| {
        let api = api.clone();
        async move { api.guest().await }
    })
    .await
}

/// New registered users.
pub(crate) async fn members(api: &Api, run: u64, n: usize) -> Result<Vec<Account>> {
    eprintln!("registering {n} users");
    // Hashing passwords is work for the server's processors: few at a time.
    gather(n, 8, |index| {
        let api = api.clone();
        async move { api.member(&format!("bench_{run:x}_{index}")).await }
    })
    .await
}

/// Renews the tokens that are half expired already.
pub(super) async fn freshen(api: &Api, users: &[Account]) {
    let tokens: Vec<_> = users.iter().map(|user| user.tokens.clone()).collect();
    tokens::renew_due(api, &tokens).await;
}

/// A plan that opens `n` connections, several per user, spread over the servers and local addresses.
pub(super) fn connecting(
    target: &Target,
    users: &[Account],
    per_user: usize,
    n: usize,
) -> Result<Plan> {
    let servers: Vec<String> = std::iter::once(&target.url)
        .chain(&target.also)
        .map(|url| authority(url))
        .collect();
    let sources = target
        .source_addrs
        .as_deref()
        .map(Sources::parse)
        .transpose()?;
    let place = |index: usize| {
        let (user, device) = turn(index, per_user.max(1), users.len());
        Ok(Place {
            server: u32::try_from(index % servers.len())?,
            token: u32::try_from(user)?,
            device: u32::try_from(device)?,
            source: sources.map(|s| s.of(index)),
        })
    };
    Ok(Plan {
        connections: (0..n).map(place).collect::<Result<_>>()?,
        // Positions in `users`, by which renewed tokens are told.
        owners: (0..u32::try_from(users.len())?).collect(),
        tokens: users.iter().map(|user| user.token()).collect(),
        servers,
        concurrency: target.concurrency,
        tries: 8,
        ..Plan::default()
    })
}

/// User and device of connection `index`: each of some hundred users has a first connection before any of them has a
/// second one. People don't connect all of their devices in the same millisecond, and a server that has to decide
/// about all of them at once does everything several times.
fn turn(index: usize, per_user: usize, users: usize) -> (usize, usize) {
    let (block, within) = (
        index / (per_user * TAKE_TURNS),
        index % (per_user * TAKE_TURNS),
    );
    let first = block * TAKE_TURNS % users.max(1);
    let here = TAKE_TURNS.min(users - first);
    (first + within % here, within / here)
}

/// Single chats: conversation `c` joins sender `c mod S` with a receiver, each pair once.
pub(super) async fn chats(
    api: &Api,
    senders: &Arc<Vec<Account>>,
    receivers: &Arc<Vec<Account>>,
    n: usize,
) -> Result<Vec<String>> {
    eprintln!("opening {n} chats");
    gather(n, AT_ONCE, |c| {
        let (api, senders, receivers) = (api.clone(), senders.clone(), receivers.clone());
        async move {
            let (sender, receiver) = pair(c, senders.len(), receivers.len());
            let body = json!({ "type": 1, "members": [receivers[receiver].id] });
            api.open(&senders[sender], &body).await
        }
    })
    .await
}

/// Which sender and receiver conversation `c` joins.
pub(super) fn pair(c: usize, senders: usize, receivers: usize) -> (usize, usize) {
    (c % senders, (c % senders + c / senders) % receivers)
}

/// A group with these members besides its owner.
pub(crate) async fn group(
    api: &Api,
    name: String,
    owner: &Account,
    members: &[Account],
) -> Result<String> {
    let ids: Vec<&str> = members.iter().map(|m| m.id.as_str()).collect();
    // The owner is a member, too.
    let at_first = GROUP_MEMBERS_DEFAULT as usize - 1;
    let (first, rest) = ids.split_at(ids.len().min(at_first));
    let id = api
        .open(owner, &json!({ "type": 2, "name": name, "members": first }))
        .await?;
    if !rest.is_empty() {
        let settings = json!({ "group_settings": { "max_members": ids.len() + 1 } });
        let (path, body) = (
            format!("/conversations/{id}"),
            json!({ "settings": settings }),
        );
        api.call(hyper::Method::PUT, &path, &owner.token(), Some(&body))
            .await?;
    }
    for more in rest.chunks(PER_REQUEST) {
        let path = format!("/conversations/{id}/members");
        let body = json!({ "members": more });
        api.call(hyper::Method::POST, &path, &owner.token(), Some(&body))
            .await?;
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn users_take_turns_and_each_gets_all_its_connections() {
        for (n, per_user) in [
            (1usize, 5),
            (7, 1),
            (5_000, 20),
            (12_345, 10),
            (3_000, 3_000),
        ] {
            let users = n.div_ceil(per_user);
            let all: Vec<_> = (0..n).map(|index| turn(index, per_user, users)).collect();
            assert_eq!(
                all.iter().collect::<HashSet<_>>().len(),
                n,
                "{n}/{per_user}"
            );
            assert!(
                all.iter()
                    .all(|(user, device)| *user < users && *device < per_user)
            );
            let near = all.windows(2).filter(|pair| pair[0].0 == pair[1].0).count();
            assert!(near == 0 || users == 1);
        }
        assert_eq!(turn(8, 1, 10), (8, 0), "the plans of chats count on it");
    }

    #[test]
    fn no_pair_of_users_gets_two_chats() {
        for (senders, receivers) in [(10, 10), (3, 7), (7, 3)] {
            let all: HashSet<_> = (0..senders * receivers)
                .map(|c| pair(c, senders, receivers))
                .collect();
            assert_eq!(all.len(), senders * receivers);
        }
    }
}
