//! The doors behind the edge: RPCs of im-logic and im-repo, and tokens a test signs itself.

use std::str::FromStr;

use bytes::{Buf, BufMut, Bytes};
use gochat_infra::rpc::{Channel, error_from};
use gochat_proto::im::logic::v1::conversation_service_client::ConversationServiceClient;
use gochat_proto::im::logic::v1::{MuteMemberRequest, UpdateConversationRequest};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};

use super::User;

/// Why an RPC was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub grpc: tonic::Code,
    pub code: &'static str,
}

/// Calls any method by its path, `/im.logic.v1.MessageService/SendMessage`, with an encoded request.
pub async fn call_rpc(channel: Channel, path: &str, request: Vec<u8>) -> Result<Bytes, Refusal> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.expect("the service takes calls");
    let path = PathAndQuery::from_str(path).expect("a path");
    let answer = grpc
        .unary(Request::new(Bytes::from(request)), path, Raw)
        .await;
    answer.map(tonic::Response::into_inner).map_err(|status| {
        let grpc = status.code();
        Refusal {
            grpc,
            code: error_from(&status).code.code(),
        }
    })
}

/// Mutes a member or lifts it, as an admin's tool would: HTTP has no word for it.
pub async fn mute(logic: Channel, operator: &User, group: &str, target: &User, muted: bool) {
    let request = MuteMemberRequest {
        operator_id: operator.id.clone(),
        conversation_id: group.to_owned(),
        target_user_id: target.id.clone(),
        muted,
        muted_until: 0,
    };
    ConversationServiceClient::new(logic)
        .mute_member(request)
        .await
        .expect("the mute is accepted");
}

/// Changes the settings of a group: JSON text as in `Conversation.settings`.
pub async fn set(logic: Channel, operator: &User, group: &str, settings: &str) {
    let request = UpdateConversationRequest {
        user_id: operator.id.clone(),
        conversation_id: group.to_owned(),
        settings_json: settings.to_owned(),
        update_mask: vec!["settings".into()],
        ..Default::default()
    };
    ConversationServiceClient::new(logic)
        .update_conversation(request)
        .await
        .expect("the settings are accepted");
}

/// Passes bytes through, so that one function calls every method.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        dst.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(src.copy_to_bytes(src.remaining())))
    }
}
