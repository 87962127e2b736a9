//! AuthService: what is judged is a token or a password, not a user.

use gochat_proto::common::v1::ErrorCode;
use gochat_proto::im::logic::v1 as pb;
use prost::Message as _;

use super::cast::{Cast, resigned};
use crate::kit::{PASSWORD, User, call_rpc, fresh_name};

/// The methods the tests below cover.
pub const AUTH_RPCS: [&str; 13] = [
    "KeyService/GetPublicKeys",
    "AuthService/Register",
    "AuthService/Login",
    "AuthService/GuestLogin",
    "AuthService/GetChallenge",
    "AuthService/RefreshToken",
    "AuthService/ValidateToken",
    "AuthService/Logout",
    "AuthService/ListSessions",
    "AuthService/EndSessions",
    "AuthService/ChangePassword",
    "AuthService/UpgradeGuest",
    "AuthService/DeleteAccount",
];

/// Kinds of tokens, in the order of the columns.
const TOKENS: [&str; 7] = [
    "none",
    "nonsense",
    "forged",
    "of the other kind",
    "expired",
    "revoked",
    "good",
];

const PARAM: &str = "INVALID_PARAMS";
const BAD: &str = "INVALID_TOKEN";
const LATE: &str = "TOKEN_EXPIRED";

#[rustfmt::skip]
const CELLS: [(&str, [&str; 7]); 3] = [
    //                            none   nonsense forged other expired revoked good
    ("AuthService/RefreshToken",  [PARAM, BAD,    BAD,   BAD,  LATE,   BAD,    "OK"]),
    // Never a refusal: the answer says whether it is valid, and why not.
    ("AuthService/ValidateToken", [BAD,   BAD,    BAD,   BAD,  LATE,   BAD,    "OK"]),
    ("AuthService/Logout",        [PARAM, BAD,    BAD,   BAD,  LATE,   BAD,    "OK"]),
];

/// The tokens of somebody new; "the other kind" of an access token is the refresh token.
async fn tokens(cast: &Cast, refresh: bool) -> (User, [String; 7]) {
    let pick = |u: &User| {
        if refresh {
            u.refresh_token.clone()
        } else {
            u.token.clone()
        }
    };
    let forge = cast.server.forge().await.unwrap();
    let user = cast.server.user().await;
    let gone = cast.server.login(&user.name).await;
    gone.call("POST", "/auth/logout", None).await.data();
    let token = pick(&user);
    let other = if refresh {
        user.token.clone()
    } else {
        user.refresh_token.clone()
    };
    let forged = resigned(&token, &forge, &forge.foreign(), 0);
    let expired = resigned(&token, &forge, &forge.signer, 3600 * 24 * 30);
    (
        user,
        [
            String::new(),
            "nonsense".into(),
            forged,
            other,
            expired,
            pick(&gone),
            token,
        ],
    )
}

async fn verdict(cast: &Cast, method: &str, user: &User, token: &str) -> &'static str {
    let (token, path) = (token.to_owned(), format!("/im.logic.v1.{method}"));
    let request = match method {
        "AuthService/RefreshToken" => pb::RefreshTokenRequest {
            refresh_token: token,
            ..Default::default()
        }
        .encode_to_vec(),
        "AuthService/ValidateToken" => pb::ValidateTokenRequest {
            access_token: token,
        }
        .encode_to_vec(),
        _ => pb::LogoutRequest {
            user_id: user.id.clone(),
            access_token: token,
        }
        .encode_to_vec(),
    };
    match call_rpc(cast.server.logic().unwrap(), &path, request).await {
        Err(refusal) => refusal.code,
        Ok(bytes) if method == "AuthService/ValidateToken" => {
            let answer = pb::ValidateTokenResponse::decode(bytes).unwrap();
            match answer.error_code() {
                ErrorCode::Unspecified if answer.valid => "OK",
                ErrorCode::InvalidToken if !answer.valid => BAD,
                ErrorCode::TokenExpired if !answer.valid => LATE,
                _ => "an answer that contradicts itself",
            }
        }
        Ok(_) => "OK",
    }
}

#[tokio::test]
async fn every_kind_of_token_gets_the_answer_of_the_table() {
    let Some(cast) = Cast::gather().await else {
        return;
    };
    let mut wrong = Vec::new();
    for (method, cells) in CELLS {
        for (i, expected) in cells.into_iter().enumerate() {
            let (user, tokens) = tokens(&cast, method == "AuthService/RefreshToken").await;
            let got = verdict(&cast, method, &user, &tokens[i]).await;
            if got != expected {
                wrong.push(format!(
                    "{method} with a token {}: {got}, the table says {expected}",
                    TOKENS[i]
                ));
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

#[tokio::test]
async fn names_and_passwords_are_judged_by_im_logic_itself() {
    let Some(cast) = Cast::gather().await else {
        return;
    };
    let logic = cast.server.logic().unwrap();
    let call = |method: &str, request: Vec<u8>| {
        let (logic, path) = (logic.clone(), format!("/im.logic.v1.AuthService/{method}"));
        async move {
            call_rpc(logic, &path, request)
                .await
                .map_or_else(|refusal| refusal.code, |_| "OK")
        }
    };
    let name = fresh_name();
    let register = |username: &str, password: &str| {
        let request = pb::RegisterRequest {
            username: username.into(),
            password: password.into(),
            ..Default::default()
        };
        call("Register", request.encode_to_vec())
    };
    assert_eq!(register("", PASSWORD).await, "INVALID_USERNAME");
    assert_eq!(register(&name, "short").await, "WEAK_PASSWORD");
    assert_eq!(register(&name, PASSWORD).await, "OK");
    assert_eq!(register(&name, PASSWORD).await, "USER_ALREADY_EXISTS");
    let login = |username: &str, password: &str| {
        let request = pb::LoginRequest {
            username: username.into(),
            password: password.into(),
            ..Default::default()
        };
        call("Login", request.encode_to_vec())
    };
    assert_eq!(login(&name, PASSWORD).await, "OK");
    assert_eq!(
        login(&name, "wrong password").await,
        "AUTH_INVALID_CREDENTIALS"
    );
    assert_eq!(
        login(&fresh_name(), PASSWORD).await,
        "AUTH_INVALID_CREDENTIALS"
    );
    assert_eq!(
        call(
            "GuestLogin",
            pb::GuestLoginRequest::default().encode_to_vec()
        )
        .await,
        "OK"
    );
    let challenge = pb::GetChallengeRequest {}.encode_to_vec();
    assert_eq!(call("GetChallenge", challenge).await, "OK");
}

#[tokio::test]
async fn public_keys_are_for_every_service_and_hold_nothing_private() {
    let Some(cast) = Cast::gather().await else {
        return;
    };
    let path = "/im.logic.v1.KeyService/GetPublicKeys";
    let answer = call_rpc(cast.server.logic().unwrap(), path, Vec::new()).await;
    let answer = pb::GetPublicKeysResponse::decode(answer.unwrap()).unwrap();
    let forge = cast.server.forge().await.unwrap();
    let [key] = answer.keys.as_slice() else {
        panic!("one key, got {:?}", answer.keys);
    };
    assert_eq!(
        (key.kid.as_str(), key.algorithm.as_str()),
        (forge.kid.as_str(), "EdDSA")
    );
    assert_eq!(&*key.public_key, forge.public());
}

/// Method and answers to: a missing user, no id, a guest, an account, a stranger's session.
#[rustfmt::skip]
const SESSION_CELLS: [(&str, [&str; 5]); 5] = [
    //                              nobody no id  guest                account      stranger's session
    ("AuthService/ListSessions",   [PARAM, PARAM, "OK",                "OK",        "OK"]),
    ("AuthService/EndSessions",    [PARAM, PARAM, "OK",                "OK",        "NOT_FOUND"]),
    ("AuthService/ChangePassword", [PARAM, PARAM, "GUEST_NOT_ALLOWED", "OK",        "OK"]),
    // A repeat for an account that is deleted is a success.
    ("AuthService/DeleteAccount",  [PARAM, PARAM, "OK",                "OK",        "OK"]),
    ("AuthService/UpgradeGuest",   [PARAM, PARAM, "OK",                "FORBIDDEN", "FORBIDDEN"]),
];

fn session_request(method: &str, user: &str, session: &str) -> Vec<u8> {
    let (user_id, session_id) = (user.to_owned(), session.to_owned());
    match method {
        "AuthService/ListSessions" => pb::ListSessionsRequest { user_id }.encode_to_vec(),
        "AuthService/EndSessions" => pb::EndSessionsRequest {
            user_id,
            session_id,
            ..Default::default()
        }
        .encode_to_vec(),
        "AuthService/ChangePassword" => pb::ChangePasswordRequest {
            user_id,
            session_id,
            old_password: PASSWORD.into(),
            new_password: PASSWORD.into(),
            ..Default::default()
        }
        .encode_to_vec(),
        "AuthService/DeleteAccount" => pb::DeleteAccountRequest {
            user_id,
            password: PASSWORD.into(),
            ..Default::default()
        }
        .encode_to_vec(),
        _ => pb::UpgradeGuestRequest {
            user_id,
            session_id,
            username: fresh_name(),
            password: PASSWORD.into(),
        }
        .encode_to_vec(),
    }
}

#[tokio::test]
async fn every_rpc_about_sessions_answers_as_the_table_says() {
    let Some(cast) = Cast::gather().await else {
        return;
    };
    let mut wrong = Vec::new();
    for (method, cells) in SESSION_CELLS {
        let (guest, user) = (cast.server.guest().await, cast.server.user().await);
        let (own, guests) = (user.session().await, guest.session().await);
        let strangers = cast.server.user().await.session().await;
        let callers = [
            ("", own.as_str()),
            ("x", &own),
            (&guest.id, &guests),
            (&user.id, &own),
            (&user.id, &strangers),
        ];
        for (i, (who, session)) in callers.into_iter().enumerate() {
            let path = format!("/im.logic.v1.{method}");
            let request = session_request(method, who, session);
            let answer = call_rpc(cast.server.logic().unwrap(), &path, request).await;
            let got = answer.map_or_else(|refusal| refusal.code, |_| "OK");
            if got != cells[i] {
                wrong.push(format!(
                    "{method} column {i}: {got}, the table says {}",
                    cells[i]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
