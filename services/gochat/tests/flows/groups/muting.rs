//! Members who may not write.

use serde_json::json;

use crate::kit::{Server, list, mute, now, set};

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

#[tokio::test]
async fn a_mute_over_http_is_told_and_its_end_is_shown_to_whom_it_concerns() {
    let [owner, b, c] = Server::shared().await.users().await;
    let group = owner.group("quiet for now", &[&b, &c]).await;
    let path = format!("/conversations/{group}/members/{}/mute", b.id);
    let (mut own, mut other) = (b.connect().await, c.connect().await);
    let until = now() + 3_600;
    owner.put(&path, json!({"until": until})).await.data();
    b.say(&group, "hmpf").await.refused(403, "MEMBER_MUTED");
    let told = other
        .expect_where("conversation-updated", |d| d["members"][0]["muted"] == true)
        .await;
    assert_eq!(told["members"][0]["userId"], b.id);
    assert!(told["members"][0].get("mutedUntil").is_none(), "{told}");
    own.expect_where("conversation-updated", |d| {
        d["members"][0]["mutedUntil"] == until
    })
    .await;

    let members = format!("/conversations/{group}/members");
    for (viewer, sees) in [(&owner, true), (&b, true), (&c, false)] {
        let page = viewer.get(&members).await.data();
        let member = list(&page["members"])
            .iter()
            .find(|m| m["userId"] == b.id)
            .expect("the muted member is listed");
        assert_eq!(member["muted"], true);
        assert_eq!(member["mutedUntil"] == until, sees, "{member}");
    }
    let listed = b.get("/conversations").await.data();
    let entry = list(&listed["conversations"])
        .iter()
        .find(|entry| entry["id"] == group)
        .expect("the group is listed");
    assert_eq!(entry["myMembership"]["mutedUntil"], until);

    // A forgotten end lifts nothing, and a mute ends in the future.
    owner
        .put(&path, json!({}))
        .await
        .refused(400, "INVALID_PARAMS");
    owner
        .put(&path, json!({"until": 1}))
        .await
        .refused(400, "INVALID_PARAMS");
    b.say(&group, "still").await.refused(403, "MEMBER_MUTED");
    owner.put(&path, json!({"until": null})).await.data();
    other
        .expect_where("conversation-updated", |d| {
            d["members"][0]["muted"] == false
        })
        .await;
    b.say(&group, "thanks").await.data();
}

#[tokio::test]
async fn everybody_is_muted_over_http_by_a_setting() {
    let [owner, b] = Server::shared().await.users().await;
    let group = owner.group("hall", &[&b]).await;
    let path = format!("/conversations/{group}");
    let all = |muted: bool| json!({"settings": {"group_settings": {"mute_all": muted}}});
    let mut socket = b.connect().await;
    owner.put(&path, all(true)).await.data();
    socket
        .expect_where("conversation-updated", |d| {
            list(&d["updatedFields"]).contains(&json!("settings"))
        })
        .await;
    b.say(&group, "me").await.refused(403, "MEMBER_MUTED");
    owner.say(&group, "owner").await.data();
    b.put(&path, all(false))
        .await
        .refused(403, "INSUFFICIENT_PERMISSION");
    owner.put(&path, all(false)).await.data();
    b.say(&group, "me again").await.data();
}
