//! KeyService: keys that sign tokens. Private halves are bytes that im-logic has encrypted.

use gochat_core::error::Result;
use gochat_infra::port::db::SigningKeyRow;
use gochat_proto::im::repo::v1::{key_service_server::KeyService, *};

use crate::args;
use crate::rpc::{failed, serve};
use crate::services::api;

/// Maximum length of a name and of an algorithm in characters.
const NAME_MAX: usize = 64;
/// Maximum length of a public key in characters.
const PUBLIC_MAX: usize = 512;
/// Maximum length of a sealed key in characters.
const SEALED_MAX: usize = 2_048;

api!(
    /// Signing keys.
    KeyApi
);

serve!(impl KeyService => KeyApi {
    list_signing_keys(ListSigningKeysRequest) -> ListSigningKeysResponse;
    add_signing_key(AddSigningKeyRequest) -> AddSigningKeyResponse;
    retire_signing_key(RetireSigningKeyRequest) -> RetireSigningKeyResponse;
});

impl KeyApi {
    async fn list_signing_keys(
        &self,
        _: ListSigningKeysRequest,
    ) -> Result<ListSigningKeysResponse> {
        let keys = self.shared.db.signing_keys(self.shared.now()).await;
        let keys = keys.map_err(failed)?.into_iter().map(wire).collect();
        Ok(ListSigningKeysResponse { keys })
    }

    async fn add_signing_key(
        &self,
        request: AddSigningKeyRequest,
    ) -> Result<AddSigningKeyResponse> {
        let key = request
            .key
            .ok_or_else(|| args::invalid("`key` is missing."))?;
        if key.generation < 1 {
            return Err(args::invalid("`generation` must be above 0."));
        }
        args::text(&key.kid, "kid", NAME_MAX)?;
        args::text(&key.algorithm, "algorithm", 20)?;
        args::text(&key.public_key, "public_key", PUBLIC_MAX)?;
        args::text(&key.sealed_key, "sealed_key", SEALED_MAX)?;
        let row = SigningKeyRow {
            generation: key.generation,
            kid: key.kid,
            algorithm: key.algorithm,
            public_key: key.public_key,
            sealed_key: key.sealed_key,
            created_at: args::seq(key.created_at_ms, "created_at_ms")?,
            signs_from: args::seq(key.signs_from_ms, "signs_from_ms")?,
            retires_at: None,
        };
        let previous = args::seq(request.previous_retires_at_ms, "previous_retires_at_ms")?;
        let added = self.shared.db.add_signing_key(row, previous).await;
        Ok(AddSigningKeyResponse {
            added: added.map_err(failed)?,
        })
    }

    async fn retire_signing_key(
        &self,
        request: RetireSigningKeyRequest,
    ) -> Result<RetireSigningKeyResponse> {
        let kid = args::text(&request.kid, "kid", NAME_MAX)?;
        let at = args::seq(request.retires_at_ms, "retires_at_ms")?;
        let found = self.shared.db.retire_signing_key(kid, at).await;
        Ok(RetireSigningKeyResponse {
            found: found.map_err(failed)?,
        })
    }
}

fn wire(row: SigningKeyRow) -> SigningKey {
    let ms = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
    SigningKey {
        generation: row.generation,
        kid: row.kid,
        algorithm: row.algorithm,
        public_key: row.public_key,
        sealed_key: row.sealed_key,
        created_at_ms: ms(row.created_at),
        signs_from_ms: ms(row.signs_from),
        retires_at_ms: row.retires_at.map_or(0, ms),
    }
}
