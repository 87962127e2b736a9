//! The doors behind the edge: RPCs of im-logic and im-repo, and tokens a test signs itself.

use std::str::FromStr;

use bytes::{Buf, BufMut, Bytes};
use gochat_infra::rpc::{Channel, error_from};
use gochat_infra::token::{
    Claims, KeyPair, Kind, SealingKey, Signer, TagKey, Verifier, VerifyingKey, from_hex,
};
use gochat_proto::im::logic::v1::conversation_service_client::ConversationServiceClient;
use gochat_proto::im::logic::v1::{MuteMemberRequest, UpdateConversationRequest};
use gochat_proto::im::repo::v1::ListSigningKeysRequest;
use gochat_proto::im::repo::v1::key_service_client::KeyServiceClient;
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

/// Mutes a member or lifts the mute, as an admin's tool would.
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

/// The signing key of a server, as a thief of its data folder and its secret would have it.
pub struct Forge {
    pub signer: Signer,
    pub kid: String,
    /// The key of challenges for guests.
    pub challenges: TagKey,
    pair: KeyPair,
    verifier: Verifier,
}

impl Forge {
    /// Opens the newest key with the server's secret.
    pub async fn of(repo: Channel, secret: &str) -> Self {
        let mut keys = KeyServiceClient::new(repo);
        let keys = keys.list_signing_keys(ListSigningKeysRequest {}).await;
        let key = keys.expect("keys").into_inner().keys.pop();
        let key = key.expect("a key");
        let sealing = SealingKey::derive(secret.as_bytes()).expect("a sealing key");
        let sealed = from_hex(&key.sealed_key).expect("a sealed key");
        let seed = sealing
            .open(&key.kid, &sealed)
            .expect("the secret opens it");
        let pair = KeyPair::from_seed(&seed).expect("a key pair");
        let verifier = Verifier::new("im-logic", 0);
        verifier.replace([VerifyingKey::ed25519(&key.kid, pair.public()).expect("a public key")]);
        Self {
            signer: Signer::ed25519(&key.kid, &pair),
            kid: key.kid,
            challenges: TagKey::derive(secret.as_bytes(), b"challenge v1"),
            pair,
            verifier,
        }
    }

    /// The key that a token names.
    pub fn kid_of(token: &str) -> String {
        gochat_infra::token::key_of(token).expect("a token that names its key")
    }

    /// The public half of the key.
    pub fn public(&self) -> &[u8] {
        self.pair.public()
    }

    /// A key of the same name that the server does not know.
    pub fn foreign(&self) -> Signer {
        let pair = KeyPair::generate().expect("randomness");
        Signer::ed25519(&self.kid, &pair)
    }

    /// What a token of the server says.
    pub fn claims(&self, token: &str) -> Claims {
        let claims = self
            .verifier
            .verify(token, Kind::Access, 0)
            .or_else(|_| self.verifier.verify(token, Kind::Refresh, 0));
        Claims::clone(&claims.expect("a token of this server"))
    }
}
