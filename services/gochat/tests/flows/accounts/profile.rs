//! `/users/profile` and `/users/search`.

use serde_json::json;

use crate::kit::{Server, User, fresh_name, list, texts};

#[tokio::test]
async fn everybody_reads_their_own_profile() {
    let server = Server::shared().await;
    let user = server.user().await;
    let data = user.get("/users/profile").await.data_with(200);
    assert_eq!(
        (&data["id"], &data["username"]),
        (&json!(user.id), &json!(user.name))
    );
    assert_eq!(data["isGuest"], false);
    assert!(
        !data.to_string().contains("assword"),
        "no trace of the password: {data}"
    );
    let alias = user.get("/users/info").await.data();
    assert_eq!(alias["id"], user.id);
}

#[tokio::test]
async fn a_new_picture_is_seen_at_once() {
    let server = Server::shared().await;
    let user = server.user().await;
    let body = json!({"avatarUrl": "https://example.org/new.png", "username": "somebody-else"});
    let data = user.put("/users/profile", body).await.data_with(200);
    assert_eq!(data["avatarUrl"], "https://example.org/new.png");
    assert_eq!(
        data["username"], user.name,
        "the name is not part of the contract"
    );
    let data = user.get("/users/profile").await.data();
    assert_eq!(data["avatarUrl"], "https://example.org/new.png");
}

#[tokio::test]
async fn a_picture_that_is_no_address_is_refused() {
    let server = Server::shared().await;
    let user = server.user().await;
    user.put(
        "/users/profile",
        json!({"avatarUrl": "javascript:alert(1)"}),
    )
    .await
    .refused(400, "INVALID_PARAMS");
}

async fn found(user: &User, query: &str) -> Vec<String> {
    let data = user
        .get(&format!("/users/search?q={query}"))
        .await
        .data_with(200);
    texts(list(&data["users"]), "username")
}

#[tokio::test]
async fn search_finds_a_part_of_a_name() {
    let server = Server::shared().await;
    let name = fresh_name();
    let [searcher, _] = [server.user().await, server.user_named(&name).await];
    assert_eq!(found(&searcher, &name).await, [name.as_str()]);
    assert_eq!(found(&searcher, &name[10..]).await, [name.as_str()]);
    assert_eq!(
        found(&searcher, &name.to_uppercase()).await,
        [name.as_str()],
        "case does not matter"
    );
}

#[tokio::test]
async fn search_returns_neither_the_caller_nor_guests() {
    let server = Server::shared().await;
    let user = server.user().await;
    assert_eq!(found(&user, &user.name).await, Vec::<String>::new());
    let guest = server.guest().await;
    assert_eq!(found(&user, &guest.name).await, Vec::<String>::new());
}

#[tokio::test]
async fn search_takes_letters_of_the_pattern_language_literally() {
    let server = Server::shared().await;
    let user = server.user().await;
    assert_eq!(found(&user, "%25%25").await, Vec::<String>::new());
    assert_eq!(found(&user, "u_%25_").await, Vec::<String>::new());
}

#[tokio::test]
async fn an_empty_query_is_refused() {
    let server = Server::shared().await;
    let user = server.user().await;
    for path in ["/users/search", "/users/search?q=", "/users/search?q=%20"] {
        user.get(path).await.refused(400, "MISSING_QUERY");
    }
}

#[tokio::test]
async fn search_returns_10_users_unless_told_otherwise_and_never_more_than_20() {
    let server = Server::shared().await;
    let stem = &fresh_name()[1..20];
    for i in 0..22 {
        let body = json!({"username": format!("{stem}-{i}"), "password": crate::kit::PASSWORD});
        server
            .call("POST", "/auth/register", Some(body))
            .await
            .data();
    }
    let user = server.user().await;
    assert_eq!(found(&user, stem).await.len(), 10);
    assert_eq!(found(&user, &format!("{stem}&limit=3")).await.len(), 3);
    assert_eq!(found(&user, &format!("{stem}&limit=1000")).await.len(), 20);
}
