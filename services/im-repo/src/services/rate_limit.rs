//! RateLimitService: the buckets that instances share.

use std::time::Duration;

use gochat_core::error::Result;
use gochat_core::ratelimit::Rule;
use gochat_infra::port::counter::Verdict;
use gochat_proto::im::repo::v1::{rate_limit_service_server::RateLimitService, *};

use crate::rpc::serve;
use crate::services::api;
use crate::{args, convert};

/// Longest name of a resource, in characters.
const RESOURCE_MAX: usize = 256;
/// Longest name of a rule, in characters.
const RULE_MAX: usize = 64;

api!(
    /// Rate limits.
    RateLimitApi
);

serve!(impl RateLimitService => RateLimitApi {
    allow(AllowRequest) -> AllowResponse;
});

impl RateLimitApi {
    async fn allow(&self, request: AllowRequest) -> Result<AllowResponse> {
        let resource = args::text(&request.resource, "resource", RESOURCE_MAX)?;
        let rule = rule_name(&request.rule)?;
        let numbers = Rule::new(request.rate, request.burst).validated()?;
        let verdict = self.shared.limiter.allow_by(resource, rule, numbers).await;
        Ok(match verdict {
            Verdict::Allowed => AllowResponse {
                allowed: true,
                retry_after_ms: 0,
            },
            Verdict::Limited { retry_after } => AllowResponse {
                allowed: false,
                retry_after_ms: millis(retry_after),
            },
        })
    }
}

/// A name without a colon: in a bucket's key it stands before the resource, and two of them must not meet.
fn rule_name(name: &str) -> Result<&str> {
    let name = args::text(name, "rule", RULE_MAX)?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if name.bytes().all(plain) {
        Ok(name)
    } else {
        Err(args::invalid("`rule` consists of a-z, 0-9 and _."))
    }
}

/// Whole milliseconds, at least one.
fn millis(wait: Duration) -> i64 {
    convert::wide(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)).max(1)
}
