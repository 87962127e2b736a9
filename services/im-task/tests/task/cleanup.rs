//! Facts about the clean-up jobs.

use gochat_core::signal::Signal;

use crate::harness::eventually;
use crate::world::World;

#[tokio::test]
async fn a_session_without_a_sign_of_life_is_removed_and_friends_hear_of_it() {
    let mut world = World::quiet().await;
    let [a, b] = world.people(["ada", "bob"]).await;
    world.befriend(&a, &b).await;
    world.online(&a, "g1").await;
    // Everything of before the next second is dead, a session that is made later is not.
    world.config.cleanup.session_silence_s = -1;
    world.config.cleanup.sessions_every_s = 1;
    world.start().await;
    let told = eventually("the friend hears of it", || async {
        // The clean-up takes this session, too, at the next tick: keep it alive.
        world.online(&b, "g2").await;
        let told = world.signals("g2");
        (!told.is_empty()).then_some(told)
    })
    .await;
    let (signal, users, text) = &told[0];
    assert_eq!((*signal, users), (Signal::FriendStatusChanged, &vec![b]));
    assert!(text.contains(&format!(r#""userId":"{a}""#)) && text.contains("offline"));
}
