//! `KeyService`.

use gochat_core::error::Result;
use gochat_proto::im::logic::v1 as pb;
use pb::key_service_server::KeyService;

use crate::app::App;

super::service! {
    /// Public keys of tokens, for gateways.
    KeyService {
        get_public_keys(GetPublicKeysRequest) -> GetPublicKeysResponse = public_keys;
    }
}

async fn public_keys(app: &App, _: pb::GetPublicKeysRequest) -> Result<pb::GetPublicKeysResponse> {
    let keys = app.auth.keys();
    if keys.is_shared_secret() {
        return Ok(pb::GetPublicKeysResponse::default());
    }
    let keys = keys.current().await?;
    let keys = keys.iter().map(|key| pb::PublicKey {
        kid: key.kid.clone(),
        algorithm: "EdDSA".to_owned(),
        public_key: key.public.clone().into(),
    });
    Ok(pb::GetPublicKeysResponse {
        keys: keys.collect(),
    })
}
