//! Limits on strangers hold for the cluster, not for each gateway.

use serde_json::json;

use crate::kit::http::{Http, Reply};
use crate::kit::{PASSWORD, fresh_name};
use crate::rig::Cluster;

/// Four logins at once, and nothing refills while the test runs. A busy im-repo is waited for.
const FOUR: [&str; 5] = [
    "gateway.rates.disabled=false",
    "gateway.rates.mode=distributed",
    "gateway.rates.shared_wait_ms=10000",
    "gateway.rates.login.rate=0.001",
    "gateway.rates.login.capacity=4",
];

/// A login of nobody.
async fn attempt(http: &Http) -> Reply {
    let account = json!({"username": fresh_name(), "password": PASSWORD});
    http.call("POST", "/auth/login", None, Some(account)).await
}

fn passed(reply: &Reply) {
    reply.refused(401, "AUTH_INVALID_CREDENTIALS");
}

fn limited(reply: &Reply) {
    reply.refused(429, "RATE_LIMITED");
    let seconds: u64 = reply.header("retry-after").parse().unwrap();
    assert!((1..=1_000).contains(&seconds));
}

#[tokio::test]
async fn one_address_has_one_budget_at_all_gateways_and_one_at_each_while_im_repo_is_silent() {
    let cluster = Cluster::with(&FOUR).await;
    let (a, b) = (cluster.http("gateway-1"), cluster.http("gateway-2"));
    for http in [&a, &b, &a, &b] {
        passed(&attempt(http).await);
    }
    // Each gateway by itself would let two more through.
    limited(&attempt(&a).await);
    limited(&attempt(&b).await);

    // What the shared bucket refused was counted by the gateway's own: one is left at each.
    cluster.gates.cut("gateway", "RateLimitService");
    for http in [&a, &b] {
        passed(&attempt(http).await);
        limited(&attempt(http).await);
    }
    cluster.gates.open();
    limited(&attempt(&a).await);
}
