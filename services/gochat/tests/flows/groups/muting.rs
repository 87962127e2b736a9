//! Members who may not write.

use serde_json::json;

use crate::kit::{Server, mute, set};

#[tokio::test]
async fn a_muted_member_reads_and_does_not_write_until_it_is_lifted() {
    let server = Server::shared().await;
    let [owner, b] = server.users().await;
    let Some(logic) = server.logic() else { return };
    let group = owner.group("quiet", &[&b]).await;
    b.say(&group, "before").await.data();
    mute(logic.clone(), &owner, &group, &b, true).await;
    let mut socket = b.connect().await;
    b.say(&group, "hmpf").await.refused(403, "MEMBER_MUTED");
    assert_eq!(
        socket.say_refused(&group, "hmpf", "c1").await,
        "MEMBER_MUTED"
    );
    owner.say(&group, "listen").await.data();
    socket.hears("listen").await;
    b.get(&format!("/conversations/{group}/messages"))
        .await
        .data_with(200);
    let data = owner
        .get(&format!("/conversations/{group}/members?role=1"))
        .await
        .data();
    assert_eq!(data["members"][0]["muted"], true);
    mute(logic, &owner, &group, &b, false).await;
    assert_eq!(socket.say_acked(&group, "thanks", "c2").await["seqId"], 3);
}

#[tokio::test]
async fn while_everybody_is_muted_admins_and_the_owner_write() {
    let server = Server::shared().await;
    let [owner, admin, b] = server.users().await;
    let Some(logic) = server.logic() else { return };
    let group = owner.group("announcements", &[&admin, &b]).await;
    owner
        .put(
            &format!("/conversations/{group}/members/{}", admin.id),
            json!({"role": 2}),
        )
        .await
        .data();
    set(
        logic.clone(),
        &owner,
        &group,
        r#"{"group_settings":{"mute_all":true}}"#,
    )
    .await;
    b.say(&group, "me").await.refused(403, "MEMBER_MUTED");
    admin.say(&group, "admin").await.data();
    owner.say(&group, "owner").await.data();
    set(
        logic,
        &owner,
        &group,
        r#"{"group_settings":{"mute_all":false}}"#,
    )
    .await;
    b.say(&group, "me again").await.data();
}
