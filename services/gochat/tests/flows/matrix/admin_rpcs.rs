//! AdminService: callers are operators; what is judged is the operator's name and the account.

use gochat_infra::rpc::Channel;
use gochat_proto::im::logic::v1 as pb;
use prost::Message as _;

use crate::kit::{PASSWORD, Server, call_rpc, fresh_name};

const PARAM: &str = "INVALID_PARAMS";
const UNKNOWN: &str = "USER_NOT_FOUND";
const GUEST: &str = "GUEST_NOT_ALLOWED";
const NONE: &str = "NOT_FOUND";
const OK: &str = "OK";

/// Cells: no operator, no account named, an unknown account, a guest, an account.
#[rustfmt::skip]
pub const ADMIN_RPCS: [(&str, [&str; 5]); 10] = [
    ("AdminService/ShowUser",      [PARAM, PARAM, UNKNOWN, OK,    OK]),
    ("AdminService/DisableUser",   [PARAM, PARAM, UNKNOWN, OK,    OK]),
    ("AdminService/EnableUser",    [PARAM, PARAM, UNKNOWN, OK,    OK]),
    ("AdminService/SignOutUser",   [PARAM, PARAM, UNKNOWN, OK,    OK]),
    ("AdminService/DeleteUser",    [PARAM, PARAM, UNKNOWN, OK,    OK]),
    ("AdminService/ResetPassword", [PARAM, PARAM, UNKNOWN, GUEST, OK]),
    ("AdminService/ListAudit",     [PARAM, OK,    UNKNOWN, OK,    OK]),
    ("AdminService/ListKeys",      [PARAM, OK,    OK,      OK,    OK]),
    ("AdminService/RevokeKey",     [PARAM, NONE,  NONE,    NONE,  NONE]),
    // One rotation at a time.
    ("AdminService/RotateKeys",    [PARAM, OK,    "VERSION_CONFLICT", "VERSION_CONFLICT", "VERSION_CONFLICT"]),
];

fn request(method: &str, operator: &str, user: Option<&str>) -> Vec<u8> {
    let operator = operator.to_owned();
    let user = user.map(|name| pb::UserSelector {
        username: name.to_owned(),
        ..Default::default()
    });
    macro_rules! named {
        ($request:ident { $($more:tt)* }) => {
            pb::$request { operator, user, $($more)* }.encode_to_vec()
        };
    }
    let reason = String::new();
    match method {
        "AdminService/ShowUser" => named!(ShowUserRequest {}),
        "AdminService/DisableUser" => named!(DisableUserRequest { reason }),
        "AdminService/EnableUser" => named!(EnableUserRequest { reason }),
        "AdminService/SignOutUser" => named!(SignOutUserRequest { reason }),
        "AdminService/DeleteUser" => named!(DeleteUserRequest { reason }),
        "AdminService/ResetPassword" => named!(ResetPasswordRequest {
            new_password: PASSWORD.to_owned(),
            reason
        }),
        "AdminService/ListAudit" => pb::ListAuditRequest {
            operator,
            user,
            ..Default::default()
        }
        .encode_to_vec(),
        "AdminService/ListKeys" => pb::ListKeysRequest { operator }.encode_to_vec(),
        "AdminService/RevokeKey" => pb::RevokeKeyRequest {
            operator,
            kid: "0".to_owned(),
            reason,
        }
        .encode_to_vec(),
        "AdminService/RotateKeys" => pb::RotateKeysRequest { operator }.encode_to_vec(),
        _ => panic!("no request for {method}"),
    }
}

async fn call(channel: &Channel, method: &str, request: Vec<u8>) -> &'static str {
    let path = format!("/im.logic.v1.{method}");
    call_rpc(channel.clone(), &path, request)
        .await
        .map_or_else(|refusal| refusal.code, |_| OK)
}

#[tokio::test]
async fn every_act_of_an_operator_is_answered_as_the_table_says() {
    let Some(server) = Server::with(&[]).await else {
        return;
    };
    let channel = server.admin().unwrap();
    let mut wrong = Vec::new();
    for (method, cells) in ADMIN_RPCS {
        let (guest, user) = (server.guest().await, server.user().await);
        let unknown = fresh_name();
        let columns = [
            ("", Some(user.name.as_str())),
            ("op", None),
            ("op", Some(&unknown)),
            ("op", Some(&guest.name)),
            ("op", Some(&user.name)),
        ];
        for ((operator, name), expected) in columns.into_iter().zip(cells) {
            let got = call(&channel, method, request(method, operator, name)).await;
            if got != expected {
                wrong.push(format!(
                    "{method} ({operator:?}, {name:?}): {got}, the table says {expected}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn operators_are_not_served_where_users_back_ends_are() {
    let server = Server::shared().await;
    let Some(logic) = server.logic() else { return };
    for (method, _) in ADMIN_RPCS {
        let path = format!("/im.logic.v1.{method}");
        let answer = call_rpc(logic.clone(), &path, request(method, "op", None)).await;
        assert_eq!(
            answer.unwrap_err().grpc,
            tonic::Code::Unimplemented,
            "{method}"
        );
    }
}
