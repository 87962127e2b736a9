//! The endpoints.

use bytes::Bytes;

use super::cast::{ACTORS, BAD, Cast, Stage, resigned};
use super::table::{Cell, ENDPOINTS, ROWS, Row};
use crate::kit::{Reply, User, fresh_name};

#[test]
fn every_endpoint_of_the_contract_has_a_row() {
    for (i, (method, path)) in ENDPOINTS.iter().enumerate() {
        let number = (i + 1).to_string();
        let row = ROWS
            .iter()
            .find(|r| r.no == number)
            .unwrap_or_else(|| panic!("no row {number}"));
        assert_eq!(*method, row.method, "row {number}");
        let plain = |p: &str| {
            p.split('?')
                .next()
                .unwrap()
                .split('/')
                .map(|s| s.starts_with('{'))
                .collect::<Vec<_>>()
        };
        assert_eq!(plain(path), plain(row.path), "row {number}");
    }
}

#[tokio::test]
async fn every_endpoint_answers_every_caller_as_the_table_says() {
    let Some(cast) = Cast::gather().await else {
        return;
    };
    let mut wrong = Vec::new();
    let mut stage = cast.stage().await;
    for row in ROWS {
        for (i, expected) in row.bad.iter().enumerate() {
            let reply = with_bad_token(&cast, &stage, row, i).await;
            compare(row, BAD[i], &reply, *expected, &mut wrong);
        }
        for (i, expected) in row.actors.iter().enumerate() {
            let reply = as_actor(&cast, &stage, row, i).await;
            compare(row, ACTORS[i], &reply, *expected, &mut wrong);
            let on_stage = row.path.contains("{group}") || row.path.contains("{link}");
            if row.method != "GET" && on_stage && reply.status < 300 {
                stage = cast.stage().await;
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} cells differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn compare(row: &Row, who: &str, reply: &Reply, expected: Cell, wrong: &mut Vec<String>) {
    let answer = (reply.status, reply.code());
    if answer != expected {
        wrong.push(format!(
            "{} {} {} as {who}: {answer:?}, the table says {expected:?}",
            row.no, row.method, row.path
        ));
    }
}

async fn with_bad_token(cast: &Cast, stage: &Stage, row: &Row, i: usize) -> Reply {
    let (path, body) = filled(cast, stage, row, &cast.target).await;
    let headers: Vec<(&str, &str)> = cast.bad[i]
        .iter()
        .map(|h| ("authorization", h.as_str()))
        .collect();
    cast.server
        .http()
        .raw(
            row.method,
            &format!("/api{path}"),
            &headers,
            Bytes::from(body),
        )
        .await
}

async fn as_actor(cast: &Cast, stage: &Stage, row: &Row, i: usize) -> Reply {
    // Signing out ends a session nobody else needs; what ends other sessions gets a user of its
    // own.
    let own = [
        "/sessions",
        "/users/password",
        "/users/account",
        "/auth/upgrade",
    ];
    let user = if row.path == "/auth/logout" {
        cast.session(i).await
    } else if own.iter().any(|path| row.path.starts_with(path)) {
        match i {
            0 => cast.server.guest().await,
            _ => cast.server.user().await,
        }
    } else {
        cast.actors[i].clone()
    };
    let (path, body) = filled(cast, stage, row, &user).await;
    let bearer = format!("Bearer {}", user.token);
    let headers = [("authorization", bearer.as_str())];
    cast.server
        .http()
        .raw(
            row.method,
            &format!("/api{path}"),
            &headers,
            Bytes::from(body),
        )
        .await
}

async fn filled(cast: &Cast, stage: &Stage, row: &Row, me: &User) -> (String, String) {
    (
        fill(row.path, cast, stage, me).await,
        fill(row.body, cast, stage, me).await,
    )
}

/// Puts real ids in the place of placeholders; what is "fresh" is made for this request.
async fn fill(template: &str, cast: &Cast, stage: &Stage, me: &User) -> String {
    let mut text = template.to_owned();
    let known = [
        ("{group}", stage.group.as_str()),
        ("{message}", &stage.message),
        ("{emoji}", "%F0%9F%91%8D"),
        ("{link}", &stage.link),
        ("{asker}", &stage.asker),
        ("{target}", &cast.target.id),
        ("{invitation}", "1234567890"),
        ("{target-name}", &cast.target.name),
        ("{owner}", &cast.owner().id),
        ("{self}", &me.id),
    ];
    for (name, value) in known {
        text = text.replace(name, value);
    }
    for name in [
        "{fresh}",
        "{fresh-name}",
        "{fresh-refresh}",
        "{used-refresh}",
        "{ended-refresh}",
        "{expired-refresh}",
        "{foreign-session}",
        "{own-session}",
        "{request}",
    ] {
        if text.contains(name) {
            text = text.replace(name, &fresh(name, cast, me).await);
        }
    }
    text
}

async fn fresh(name: &str, cast: &Cast, me: &User) -> String {
    match name {
        "{fresh}" => cast.server.user().await.id,
        "{fresh-name}" => fresh_name(),
        "{fresh-refresh}" => cast.server.user().await.refresh_token,
        "{used-refresh}" => {
            let token = cast.server.user().await.refresh_token;
            let body = serde_json::json!({"refreshToken": token});
            cast.server
                .call("POST", "/auth/refresh", Some(body))
                .await
                .data();
            token
        }
        "{ended-refresh}" => {
            let user = cast.server.user().await;
            user.call("POST", "/auth/logout", None).await.data();
            user.refresh_token
        }
        "{foreign-session}" => cast.server.user().await.session().await,
        "{own-session}" => me.session().await,
        "{expired-refresh}" => {
            let forge = cast.server.forge().await.expect("an embedded server");
            let token = cast.server.user().await.refresh_token;
            resigned(&token, &forge, &forge.signer, 3600 * 24 * 30)
        }
        "{request}" => cast.request().await,
        _ => unreachable!("no such placeholder: {name}"),
    }
}
