//! The RPCs of im-logic.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::admin_rpcs::ADMIN_RPCS;
use super::auth_rpcs::AUTH_RPCS;
use super::cast::Cast;
use super::rpc_requests::{Names, encode};
use super::rpc_table::{CALLERS, RPCS};
use crate::kit::call_rpc;

#[test]
fn every_rpc_of_im_logic_has_a_row() {
    let files = FileDescriptorSet::decode(gochat_proto::FILE_DESCRIPTOR_SET)
        .unwrap()
        .file;
    let logic = files.iter().filter(|f| f.package() == "im.logic.v1");
    let declared: BTreeSet<String> = logic
        .flat_map(|f| &f.service)
        .flat_map(|s| {
            s.method
                .iter()
                .map(move |m| format!("{}/{}", s.name(), m.name()))
        })
        .collect();
    let rows = RPCS
        .iter()
        .map(|(name, _)| *name)
        .chain(AUTH_RPCS.iter().copied())
        .chain(ADMIN_RPCS.iter().map(|(name, _)| *name));
    let rows: BTreeSet<String> = rows.map(str::to_owned).collect();
    assert_eq!(rows, declared);
}

#[tokio::test]
async fn every_rpc_answers_every_caller_as_the_table_says() {
    let Some(cast) = Cast::gather().await else {
        return;
    };
    let logic = cast.server.logic().unwrap();
    let mut wrong = Vec::new();
    let mut stage = cast.stage().await;
    let ids: Vec<&str> = ["", "nobody"]
        .into_iter()
        .chain(cast.actors.iter().map(|a| a.id.as_str()))
        .collect();
    for (name, cells) in RPCS {
        for ((caller, who), expected) in ids.iter().zip(CALLERS).zip(cells) {
            let (fresh, request) = (cast.server.user().await.id, cast.request().await);
            let names = Names {
                caller,
                group: &stage.group,
                message: &stage.message,
                target: &cast.target.id,
                fresh: &fresh,
                request: &request,
                link: &stage.link,
                asker: &stage.asker,
            };
            let path = format!("/im.logic.v1.{name}");
            let answer = call_rpc(logic.clone(), &path, encode(name, &names)).await;
            let code = answer
                .as_ref()
                .map_or_else(|refusal| refusal.code, |_| "OK");
            if code != *expected {
                wrong.push(format!(
                    "{name} as {who}: {answer:?}, the table says {expected}"
                ));
            }
            if answer.is_ok() {
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
