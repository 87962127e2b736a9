//! Facts about the clean-up jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gochat_core::error::Result;
use gochat_core::signal::Signal;
use gochat_infra::embedded::coord::MemoryCoord;
use gochat_infra::port::coord::{ConfigCenter as _, Instance, Lease, Locks, Registry as _};
use gochat_infra::port::mq::Mq as _;
use gochat_infra::topics;
use im_task::Coord;

use crate::harness::eventually;
use crate::world::World;

#[tokio::test]
async fn a_session_without_a_sign_of_life_is_removed_and_friends_hear_of_it() {
    let mut world = World::quiet().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    world.befriend(&a, &b).await;
    // Everything of before the next second is dead, a session that is made later is not.
    world.config.cleanup.session_silence_s = -1;
    world.config.cleanup.sessions_every_s = 1;
    world.start().await;
    let told = eventually("the friend hears of it", || async {
        // The clean-up takes both sessions at its next tick. The friend's comes back at once, to be told; should it come
        // too late for that, the next tick finds the other one again.
        world.online(&a, "g1").await;
        world.online(&b, "g2").await;
        let told = world.signals("g2");
        (!told.is_empty()).then_some(told)
    })
    .await;
    let (signal, users, text) = &told[0];
    assert_eq!((*signal, users), (Signal::FriendStatusChanged, &vec![b]));
    assert!(text.contains(&format!(r#""userId":"{a}""#)) && text.contains("offline"));
}

fn coord(store: &MemoryCoord) -> Coord {
    let store = Arc::new(store.clone());
    Coord {
        registry: store.clone(),
        locks: store.clone(),
        config: store,
    }
}

fn instance(service: &str, id: &str) -> Instance {
    Instance {
        id: id.into(),
        name: service.into(),
        address: "127.0.0.1".into(),
        port: 1,
        metadata: Default::default(),
    }
}

/// Topics of `g1` to `g3` and of im-logic 1 and 2; `g1` and im-logic 1 live, `g2` holds sessions.
async fn topics_of_the_dead_and_the_living(store: &MemoryCoord) -> World {
    let mut world = World::quiet().await;
    let more = ["g3", "logic-1", "logic-2"].map(topics::downstream_spec);
    world.log.ensure_topics(&more).await.unwrap();
    let [a] = world.people(["ada"]).await;
    world.online(&a, "g2").await;
    world.coord = Some(coord(store));
    world.config.cleanup.topics_every_s = 1;
    world
}

async fn kept(world: &World) -> Vec<String> {
    let prefix = topics::downstream("");
    let all = world.log.topics(&prefix).await.unwrap();
    all.iter().map(|t| t[prefix.len()..].to_owned()).collect()
}

/// Counts who wants a lock.
struct Counted {
    inner: MemoryCoord,
    tried: AtomicUsize,
}

impl Counted {
    fn over(store: &MemoryCoord) -> Self {
        Self {
            inner: store.clone(),
            tried: AtomicUsize::new(0),
        }
    }
}

#[async_trait::async_trait]
impl Locks for Counted {
    async fn acquire(&self, name: &str, ttl: Duration) -> Result<Lease> {
        self.inner.acquire(name, ttl).await
    }

    async fn try_acquire(&self, name: &str, ttl: Duration) -> Result<Lease> {
        self.tried.fetch_add(1, Ordering::Relaxed);
        self.inner.try_acquire(name, ttl).await
    }
}

const TTL: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_topic_of_an_instance_that_never_came_back_is_deleted_and_those_of_the_living_stay() {
    let store = MemoryCoord::new();
    let _gateway = store
        .register(instance("im-gateway", "g1"), TTL)
        .await
        .unwrap();
    let _logic = store
        .register(instance("im-logic", "im-logic-1"), TTL)
        .await
        .unwrap();
    let mut world = topics_of_the_dead_and_the_living(&store).await;
    world.config.cleanup.topic_free_s = 0;
    world.start().await;
    let left = eventually("topics of the dead are gone", || async {
        let kept = kept(&world).await;
        (kept.len() <= 3).then_some(kept)
    });
    assert_eq!(left.await, ["g1", "g2", "logic-1"]);
    let noted = store.list("/gochat/topics/free-since/").await.unwrap();
    assert!(noted.is_empty(), "{noted:?}");
}

#[tokio::test]
async fn an_instance_id_that_is_free_for_a_moment_keeps_its_topic() {
    let store = MemoryCoord::new();
    let mut world = topics_of_the_dead_and_the_living(&store).await;
    world.start().await;
    let key = |id: &str| format!("/gochat/topics/free-since/{id}");
    eventually("the time is written down", || async {
        store.get(&key("g3")).await.unwrap()
    })
    .await;
    assert_eq!(kept(&world).await.len(), 5, "a day has not passed");
    // It comes back: the time begins anew when it goes the next time.
    let _back = store
        .register(instance("im-gateway", "g3"), TTL)
        .await
        .unwrap();
    eventually("the note is gone", || async {
        store.get(&key("g3")).await.unwrap().is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn of_several_instances_one_at_a_time_looks_at_topics() {
    let store = MemoryCoord::new();
    let mut world = topics_of_the_dead_and_the_living(&store).await;
    world.config.cleanup.topic_free_s = 0;
    let other = store.try_acquire("im-task/topics", TTL).await.unwrap();
    let locks = Arc::new(Counted::over(&store));
    if let Some(coord) = &mut world.coord {
        coord.locks = locks.clone();
    }
    world.start().await;
    eventually("two rounds find the lock taken", || async {
        (locks.tried.load(Ordering::Relaxed) >= 2).then_some(())
    })
    .await;
    assert_eq!(kept(&world).await.len(), 5);
    other.release().await;
    eventually("the next round deletes", || async {
        (kept(&world).await == ["g2"]).then_some(())
    })
    .await;
}
