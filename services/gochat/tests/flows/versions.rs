//! Versions of what people edit: the second edit of one state is a conflict, however soon it comes.

use bytes::Bytes;
use serde_json::json;

use crate::kit::Server;

#[tokio::test]
async fn the_second_edit_of_one_version_of_a_group_conflicts() {
    let [owner, admin] = Server::shared().await.users().await;
    let group = owner.group("versions", &[&admin]).await;
    let path = format!("/conversations/{group}");
    let role = format!("{path}/members/{}", admin.id);
    owner.put(&role, json!({"role": 2})).await.data();
    let seen = owner.get(&path).await.data()["version"].clone();

    let first = owner
        .put(&path, json!({"name": "of the owner", "version": seen}))
        .await
        .data();
    assert_eq!(
        first["version"].as_i64(),
        seen.as_i64().map(|version| version + 1)
    );
    let second = admin
        .put(&path, json!({"name": "of the admin", "version": seen}))
        .await;
    assert_eq!((second.status, second.code()), (409, "VERSION_CONFLICT"));
    assert_eq!(owner.get(&path).await.data()["name"], "of the owner");
}

#[tokio::test]
async fn clients_that_know_only_seconds_see_the_conflict_too() {
    let [owner] = Server::shared().await.users().await;
    let group = owner.group("seconds", &[]).await;
    let path = format!("/conversations/{group}");
    for field in ["name", "description"] {
        owner.put(&path, json!({field: "start"})).await.data();
        let seen = owner.get(&path).await.data()["updatedAt"].clone();
        let one = owner
            .put(&path, json!({field: "one", "updatedAt": seen}))
            .await;
        let two = owner
            .put(&path, json!({field: "two", "updatedAt": seen}))
            .await;
        assert_eq!((one.status, two.status), (200, 409), "{field}");
    }
}

#[tokio::test]
async fn messages_do_not_make_an_edit_conflict() {
    let [owner] = Server::shared().await.users().await;
    let group = owner.group("busy", &[]).await;
    let path = format!("/conversations/{group}");
    let seen = owner.get(&path).await.data()["version"].clone();
    owner.say(&group, "hello").await.data();
    let edit = json!({"description": "x", "version": seen});
    assert_eq!(owner.put(&path, edit).await.status, 200);
}

#[tokio::test]
async fn a_profile_has_a_version_of_its_own() {
    let [user] = Server::shared().await.users().await;
    let seen = user.get("/users/profile").await.data()["version"].clone();
    let picture =
        |n: u32| json!({"avatarUrl": format!("https://example.org/{n}.png"), "version": seen});
    assert_eq!(user.put("/users/profile", picture(1)).await.status, 200);
    let late = user.put("/users/profile", picture(2)).await;
    assert_eq!((late.status, late.code()), (409, "VERSION_CONFLICT"));
}

#[tokio::test]
async fn an_etag_is_what_if_match_compares() {
    let [owner] = Server::shared().await.users().await;
    let group = owner.group("etags", &[]).await;
    let path = format!("/conversations/{group}");
    let tag = owner.get(&path).await.header("etag").to_owned();
    let bearer = format!("Bearer {}", owner.token);
    let edit = async |tag: &str, name: &str| {
        let headers = [("authorization", bearer.as_str()), ("if-match", tag)];
        let body = Bytes::from(json!({"name": name}).to_string());
        let path = format!("/api{path}");
        owner.http.raw("PUT", &path, &headers, body).await
    };
    let first = edit(&tag, "first").await;
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(edit(&tag, "second").await.status, 409);
    assert_eq!(edit(first.header("etag"), "third").await.status, 200);
    assert_eq!(edit("*", "fourth").await.status, 200);
    edit("17", "fifth").await.refused(400, "INVALID_PARAMS");
}
