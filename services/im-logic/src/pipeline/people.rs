//! Authors in memory: what is shown of them, encoded once.

use std::time::Duration;

use gochat_core::ids::UserId;
use gochat_core::step::Sender;
use gochat_proto::common::v1::{User, UserStatus};
use gochat_proto::mq::v1::UserInfo;
use hashbrown::HashMap;
use prost::Message;
use tokio::time::Instant;

/// An author.
#[derive(Debug)]
pub(super) struct Person {
    /// Encoded `UserInfo`.
    pub(super) info: Box<[u8]>,
    guest: bool,
    active: bool,
    read_at: Instant,
}

impl Person {
    pub(super) fn sender(&self) -> Sender {
        Sender::Known {
            guest: self.guest,
            active: self.active,
        }
    }
}

/// A bounded cache in two generations: when the young one is full it becomes the old one, and
/// what was old and not used since is forgotten.
#[derive(Debug)]
pub(super) struct People {
    young: HashMap<UserId, Person>,
    old: HashMap<UserId, Person>,
    half: usize,
    ttl: Duration,
}

impl People {
    pub(super) fn new(most: usize, ttl: Duration) -> Self {
        let (young, old) = (HashMap::new(), HashMap::new());
        Self {
            young,
            old,
            half: most.div_ceil(2),
            ttl,
        }
    }

    /// Whether the author is known and was read not long ago. Counts as a use.
    pub(super) fn is_fresh(&mut self, user: UserId, now: Instant) -> bool {
        if let Some(person) = self.old.remove(&user) {
            self.keep(user, person);
        }
        self.young
            .get(&user)
            .is_some_and(|person| now.duration_since(person.read_at) < self.ttl)
    }

    /// The author, however long ago it was read: better an old name than none.
    pub(super) fn find(&self, user: UserId) -> Option<&Person> {
        self.young.get(&user).or_else(|| self.old.get(&user))
    }

    pub(super) fn insert(&mut self, id: UserId, user: User, now: Instant) {
        let active = !matches!(user.status(), UserStatus::Disabled | UserStatus::Deleted);
        let guest = user.is_guest;
        let info = UserInfo {
            id: user.id,
            username: user.username,
            avatar_url: user.avatar_url,
            is_guest: guest,
        };
        let info = info.encode_to_vec().into_boxed_slice();
        self.keep(
            id,
            Person {
                info,
                guest,
                active,
                read_at: now,
            },
        );
    }

    pub(super) fn remove(&mut self, user: UserId) {
        self.young.remove(&user);
        self.old.remove(&user);
    }

    fn keep(&mut self, id: UserId, person: Person) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id, person);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> UserId {
        UserId::new(n).unwrap()
    }

    fn user(n: u64) -> User {
        User {
            id: n.to_string(),
            username: "ann".into(),
            ..Default::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_name_is_read_again_but_stays_known() {
        let mut people = People::new(10, Duration::from_secs(60));
        people.insert(id(1), user(1), Instant::now());
        assert!(people.is_fresh(id(1), Instant::now()));
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(!people.is_fresh(id(1), Instant::now()));
        let info = UserInfo::decode(&*people.find(id(1)).unwrap().info).unwrap();
        assert_eq!((&*info.id, &*info.username), ("1", "ann"));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_what_is_used_stays() {
        let mut people = People::new(10, Duration::from_secs(60));
        let now = Instant::now();
        for n in 0..1_000 {
            people.insert(id(n), user(n), now);
            assert!(people.is_fresh(id(0), now), "{n}");
            assert!(people.young.len() + people.old.len() <= 10);
        }
        assert!(people.find(id(500)).is_none());
    }
}
