//! `gochat admin` as a process of its own, on a server that runs and on one that is stopped.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::kit::{PASSWORD, Server, User, eventually, fresh_name, text};

/// Runs `gochat admin --data-dir DIR ARGS` without a terminal.
async fn admin(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gochat"));
    command
        .args(["admin", "--data-dir"])
        .arg(dir)
        .args(["--operator", "tester"])
        .args(args)
        .stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

/// What a command that works prints.
async fn done(dir: &Path, args: &[&str]) -> String {
    let output = admin(dir, args).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a command that is refused says.
async fn refused(dir: &Path, args: &[&str]) -> String {
    let output = admin(dir, args).await;
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

async fn sign_in(server: &Server, name: &str, password: &str) -> crate::kit::Reply {
    let account = json!({"username": name, "password": password});
    server.call("POST", "/auth/login", Some(account)).await
}

/// Audit records of an account, newest first, as (action, outcome).
async fn trail(dir: &Path, name: &str) -> Vec<(String, String)> {
    let printed = done(dir, &["audit", "--user", name, "--json"]).await;
    let records = printed
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap());
    records
        .map(|r| (text(&r["action"]), text(&r["outcome"])))
        .collect()
}

fn pair(action: &str, outcome: &str) -> (String, String) {
    (action.to_owned(), outcome.to_owned())
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once_and_in_again_when_enabled() {
    let Some(server) = Server::with(&[]).await else {
        return;
    };
    let dir = server.folder().to_owned();
    let user = server.user().await;
    let group = user.group("Tea", &[]).await;
    user.delete(&format!("/conversations/{group}")).await.data();
    let mut socket = user.connect().await;
    done(&dir, &["user", "disable", &user.name, "--reason", "spam"]).await;
    assert_eq!(socket.closed().await, 4002);
    user.get("/users/profile")
        .await
        .refused(401, "INVALID_TOKEN");
    let body = json!({"refreshToken": user.refresh_token});
    let refresh = server.call("POST", "/auth/refresh", Some(body)).await;
    refresh.refused(423, "USER_DISABLED");
    sign_in(&server, &user.name, PASSWORD)
        .await
        .refused(423, "USER_DISABLED");
    let shown = done(&dir, &["user", "show", &user.name]).await;
    assert!(shown.contains("status    disabled"), "{shown}");
    assert!(shown.contains("sessions  0"), "{shown}");
    assert!(shown.contains(&user.id), "{shown}");

    done(&dir, &["user", "enable", &format!("id:{}", user.id)]).await;
    let back = server.login(&user.name).await;
    back.connect().await.flush().await;
    done(&dir, &["user", "sign-out", &user.name]).await;
    back.get("/users/profile")
        .await
        .refused(401, "INVALID_TOKEN");

    let trail = eventually("everything is recorded", || async {
        let trail = trail(&dir, &user.name).await;
        trail
            .contains(&pair("admin.user_signed_out", "ok"))
            .then_some(trail)
    })
    .await;
    for expected in [
        pair("user.registered", "ok"),
        pair("session.sign_in", "ok"),
        pair("admin.user_disabled", "begun"),
        pair("admin.user_disabled", "ok"),
        pair("group.dissolved", "ok"),
        pair("session.refresh_refused", "USER_DISABLED"),
        pair("session.sign_in_refused", "USER_DISABLED"),
        pair("admin.user_enabled", "ok"),
        pair("admin.user_signed_out", "begun"),
    ] {
        assert!(trail.contains(&expected), "{expected:?} in {trail:?}");
    }
    let acts = done(&dir, &["audit", "--action", "admin", "--since", "1h"]).await;
    assert!(
        acts.contains("operator:tester") && acts.contains("spam"),
        "{acts}"
    );
    assert!(!acts.contains("session.sign_in"), "{acts}");
}

#[tokio::test]
async fn a_reset_password_replaces_the_old_one_and_is_never_recorded() {
    let Some(server) = Server::with(&[]).await else {
        return;
    };
    let dir = server.folder().to_owned();
    let user = server.user().await;
    let made = done(&dir, &["user", "reset-password", &user.name]).await;
    let made = made.trim();
    assert_eq!(made.chars().count(), 20);
    user.get("/users/profile")
        .await
        .refused(401, "INVALID_TOKEN");
    sign_in(&server, &user.name, PASSWORD)
        .await
        .refused(401, "AUTH_INVALID_CREDENTIALS");
    sign_in(&server, &user.name, made).await.data();
    // Somebody types a password where the name belongs.
    sign_in(&server, "hunter2hunter2", PASSWORD)
        .await
        .refused(401, "AUTH_INVALID_CREDENTIALS");
    eventually("both refusals are recorded", || async {
        let printed = done(&dir, &["audit", "--json", "--limit", "500"]).await;
        for secret in [made, PASSWORD, "hunter2", user.token.as_str()] {
            assert!(!printed.contains(secret), "a secret is recorded");
        }
        (printed.matches("session.sign_in_refused").count() == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn on_a_stopped_server_the_data_folder_is_opened() {
    let Some(mut server) = Server::with(&[]).await else {
        return;
    };
    let user = server.user().await;
    server
        .stopped(async |dir| {
            done(dir, &["user", "disable", &user.name]).await;
            let shown = done(dir, &["user", "show", &user.name]).await;
            assert!(shown.contains("disabled"), "{shown}");
            let keys = done(dir, &["keys", "list"]).await;
            assert_eq!(keys.matches("signing").count(), 1, "{keys}");
            assert!(!dir.join("admin.sock").exists());
        })
        .await;
    sign_in(&server, &user.name, PASSWORD)
        .await
        .refused(423, "USER_DISABLED");
    server
        .known(&user)
        .get("/users/profile")
        .await
        .refused(401, "INVALID_TOKEN");
    let dir = server.folder().to_owned();
    let trail = trail(&dir, &user.name).await;
    assert!(
        trail.contains(&pair("admin.user_disabled", "ok")),
        "{trail:?}"
    );
}

#[tokio::test]
async fn deleting_needs_a_yes_and_takes_the_account_away() {
    let Some(server) = Server::with(&[]).await else {
        return;
    };
    let dir = server.folder().to_owned();
    let (user, friend) = (server.user().await, server.user().await);
    let group = user.group("tea", &[&friend]).await;
    let error = refused(&dir, &["user", "delete", &user.name]).await;
    assert!(error.contains("--yes"), "{error}");
    user.get("/users/profile").await.data();
    done(&dir, &["user", "delete", &user.name, "--yes"]).await;
    user.get("/users/profile")
        .await
        .refused(401, "INVALID_TOKEN");
    sign_in(&server, &user.name, PASSWORD)
        .await
        .refused(401, "AUTH_INVALID_CREDENTIALS");
    // The group has an owner: the friend may rename it.
    let renamed = friend
        .put(
            &format!("/conversations/{group}"),
            json!({"name": "coffee"}),
        )
        .await;
    assert!(renamed.status < 300, "{}", renamed.status);
}

#[tokio::test]
async fn a_rotation_on_the_command_line_publishes_a_key() {
    let Some(server) = Server::with(&["logic.auth.key_lead_s=0"]).await else {
        return;
    };
    let dir = server.folder().to_owned();
    let user = server.user().await;
    let printed = done(&dir, &["keys", "rotate"]).await;
    assert!(printed.contains("nobody is signed out"), "{printed}");
    let keys = done(&dir, &["keys", "list"]).await;
    assert_eq!(keys.matches("verifying").count(), 1, "{keys}");
    assert_eq!(keys.matches("signing").count(), 1, "{keys}");
    user.get("/users/profile").await.data();
    let fresh = server.login(&user.name).await;
    assert_ne!(
        crate::kit::Forge::kid_of(&fresh.token),
        crate::kit::Forge::kid_of(&user.token)
    );
    fresh.get("/users/profile").await.data();
}

#[tokio::test]
async fn a_revoked_key_and_all_its_tokens_are_refused_at_once() {
    let settings = [
        "gateway.auth.keys_refresh_s=1",
        "logic.auth.keys_refresh_s=1",
    ];
    let Some(server) = Server::with(&settings).await else {
        return;
    };
    let dir = server.folder().to_owned();
    let user = server.user().await;
    let kid = crate::kit::Forge::kid_of(&user.token);
    let forge = server.forge().await.unwrap();
    // Issued in an hour, as a thief of the key would write it.
    let mut claims = forge.claims(&user.token);
    claims.iat += 3_600;
    let forged = forge.signer.sign(&claims).unwrap();
    let mut socket = user.connect().await;
    let error = refused(&dir, &["keys", "revoke", &kid]).await;
    assert!(error.contains("--yes"), "{error}");
    user.get("/users/profile").await.data();

    let printed = done(
        &dir,
        &["keys", "revoke", &kid, "--yes", "--reason", "stolen"],
    )
    .await;
    assert!(printed.contains("published"), "{printed}");
    assert_eq!(socket.closed().await, 4002);
    eventually("every token of the key is refused", async || {
        let bearer = format!("Bearer {forged}");
        let headers = [("authorization", bearer.as_str())];
        let path = "/api/users/profile";
        let by_thief = server.http().raw("GET", path, &headers, Bytes::new()).await;
        let by_owner = user.get("/users/profile").await;
        (by_thief.code() == "INVALID_TOKEN" && by_owner.code() == "INVALID_TOKEN").then_some(())
    })
    .await;
    let body = json!({"refreshToken": user.refresh_token});
    let refresh = server.call("POST", "/auth/refresh", Some(body)).await;
    refresh.refused(401, "INVALID_TOKEN");
    // Tokens that were issued in the second of the revocation must be renewed as well.
    eventually("who signs in again is in", async || {
        let fresh = server.login(&user.name).await;
        (fresh.get("/users/profile").await.status == 200).then_some(())
    })
    .await;
    let keys = done(&dir, &["keys", "list"]).await;
    assert!(!keys.contains(&kid) && keys.contains("signing"), "{keys}");
    let error = refused(&dir, &["keys", "revoke", &kid, "--yes"]).await;
    assert!(error.contains("NOT_FOUND"), "{error}");
    // The outcome of an act is written beside its answer.
    eventually("both acts and their outcomes are told", async || {
        let records = done(&dir, &["audit", "--action", "admin.key_revoked"]).await;
        let whole = [kid.as_str(), "stolen", "NOT_FOUND"];
        whole
            .iter()
            .all(|part| records.contains(part))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn mistakes_are_named() {
    let Some(server) = Server::with(&[]).await else {
        return;
    };
    let dir = server.folder().to_owned();
    let error = refused(&dir, &["user", "show", &fresh_name()]).await;
    assert!(error.contains("USER_NOT_FOUND"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = refused(empty.path(), &["keys", "list"]).await;
    assert!(error.contains("--data-dir"), "{error}");
    let user: User = server.user().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_gochat"));
    command.args(["admin", "--data-dir"]).arg(&dir).args([
        "--operator",
        "no\nname",
        "user",
        "disable",
        &user.name,
    ]);
    let output = command.output().unwrap();
    assert!(!output.status.success());
    user.get("/users/profile").await.data();
}

#[tokio::test]
async fn the_socket_is_for_the_owner_of_the_folder_only() {
    let Some(server) = Server::with(&[]).await else {
        return;
    };
    let socket = server.folder().join("admin.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
