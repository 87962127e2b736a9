//! A floor in the configuration centre, which all instances of a cluster share.

use std::sync::Arc;

use async_trait::async_trait;
use gochat_core::error::{Error, ErrorCode, Result};
use gochat_core::ids::UnixMillis;

use super::floor::{FloorStore, Stored};
use crate::port::coord::ConfigCenter;

/// Changes by others between a look and a write before the caller is told to come back.
const TRIES: u32 = 5;

/// The floor of one instance number (or name) of one service, written by compare-and-set: two
/// processes that hold the same number get different time.
pub struct CenterFloor {
    center: Arc<dyn ConfigCenter>,
    key: String,
}

impl CenterFloor {
    /// The floor of `instance` of `service`.
    pub fn new(center: Arc<dyn ConfigCenter>, service: &str, instance: &str) -> Self {
        Self {
            center,
            key: format!("/im-infra/allocators/{service}/floors/{instance}"),
        }
    }

    async fn stored(&self) -> Result<(Option<UnixMillis>, u64)> {
        let Some(found) = self.center.get(&self.key).await? else {
            return Ok((None, 0));
        };
        match found.value.parse() {
            Ok(floor) => Ok((Some(floor), found.version)),
            Err(_) => Err(Error::new(
                ErrorCode::Internal,
                format!("The key {} holds no time in milliseconds.", self.key),
            )),
        }
    }
}

#[async_trait]
impl FloorStore for CenterFloor {
    async fn load(&self) -> Result<Option<UnixMillis>> {
        Ok(self.stored().await?.0)
    }

    async fn raise(&self, until: UnixMillis, room_ms: u64) -> Result<Stored> {
        for _ in 0..TRIES {
            let (before, version) = self.stored().await?;
            let after = until.max(before.map_or(0, |before| before.saturating_add(room_ms)));
            let written = self
                .center
                .compare_and_set(&self.key, &after.to_string(), version)
                .await;
            match written {
                Ok(_) => return Ok(Stored { before, after }),
                Err(error) if error.code == ErrorCode::VersionConflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(
            ErrorCode::ServiceUnavailable,
            format!("The key {} is changed by others all the time.", self.key),
        ))
    }

    async fn lower(&self, from: UnixMillis, to: UnixMillis) -> Result<()> {
        let (stored, version) = self.stored().await?;
        if stored != Some(from) {
            return Ok(());
        }
        let text = to.to_string();
        match self.center.compare_and_set(&self.key, &text, version).await {
            Err(error) if error.code != ErrorCode::VersionConflict => Err(error),
            _ => Ok(()),
        }
    }

    fn is_required(&self) -> bool {
        false
    }
}
