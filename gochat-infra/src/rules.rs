//! Rate limit rules from the config centre, reloaded while services run.

use std::sync::Arc;
use std::time::Duration;

use gochat_core::error::Result;
use gochat_core::ratelimit::{Rule, RuleTable};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::port::coord::{ConfigCenter, ConfigState};
use crate::rpc::Backoff;

/// Rules are read again this often, should a change have been missed.
const REFRESH: Duration = Duration::from_secs(60);

/// The shipped rules with those below `prefix` on top.
///
/// A key holds one rule, named by the last part of the key, or a map of rules by name.
/// What can't be read is logged and left out, so that one bad value doesn't take the others away.
pub fn rule_table(state: &ConfigState, prefix: &str) -> RuleTable {
    let mut table = RuleTable::default();
    for (key, stored) in state.iter() {
        let name = key.strip_prefix(prefix).unwrap_or(key).trim_matches('/');
        let name = name.strip_suffix(".json").unwrap_or(name);
        match serde_json::from_str::<Value>(&stored.value) {
            Ok(Value::Object(map)) if map.contains_key("rate") => {
                add(&mut table, key, name, Value::Object(map));
            }
            Ok(Value::Object(map)) => {
                for (name, rule) in map {
                    add(&mut table, key, &name, rule);
                }
            }
            _ => tracing::error!(key, "not a rate limit rule nor a map of rules"),
        }
    }
    table
}

fn add(table: &mut RuleTable, key: &str, name: &str, rule: Value) {
    let rule = serde_json::from_value::<Rule>(rule).map_err(|error| error.to_string());
    let added = rule.and_then(|rule| {
        table
            .set(name.to_owned(), rule)
            .map_err(|error| error.to_string())
    });
    if let Err(error) = added {
        tracing::error!(key, name, error, "a rate limit rule was left out");
    }
}

/// Hands the rules below `prefix` to `apply`, now and after every change, until `shutdown`.
/// While the config centre is away the last rules stay.
pub async fn follow_rules(
    config: Arc<dyn ConfigCenter>,
    prefix: String,
    apply: impl Fn(RuleTable) + Send,
    shutdown: CancellationToken,
) {
    let apply = |state: &ConfigState| apply(rule_table(state, &prefix));
    follow_states(config, &prefix, "rate limit rules", apply, shutdown).await;
}

/// Hands everything below `prefix` to `apply`, now and after every change, until `shutdown`. `what` is for the logs.
pub(crate) async fn follow_states(
    config: Arc<dyn ConfigCenter>,
    prefix: &str,
    what: &'static str,
    apply: impl Fn(&ConfigState),
    shutdown: CancellationToken,
) {
    let mut backoff = Backoff::default();
    loop {
        let followed = tokio::select! {
            () = shutdown.cancelled() => return,
            followed = follow(&*config, prefix, &apply) => followed,
        };
        if let Err(error) = followed {
            tracing::warn!(%error, what, "settings can't be followed; the last ones stay");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(backoff.next_delay()) => {}
        }
    }
}

/// Follows one watch until it ends.
async fn follow(
    config: &dyn ConfigCenter,
    prefix: &str,
    apply: &impl Fn(&ConfigState),
) -> Result<()> {
    let mut watched = config.watch(prefix).await?;
    loop {
        let state = watched.borrow_and_update().clone();
        apply(&state);
        match tokio::time::timeout(REFRESH, watched.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Ok(()),
            Err(_) => apply(&config.list(prefix).await?),
        }
    }
}

#[cfg(test)]
mod tests {
    use gochat_core::ratelimit::{Lookup, rules};
    use tokio::sync::watch;

    use super::*;
    use crate::embedded::coord::MemoryCoord;

    const PREFIX: &str = "/config/dev/im-gateway/ratelimit/";

    #[tokio::test]
    async fn single_rules_and_maps_are_read_and_bad_ones_left_out() {
        let coord = MemoryCoord::new();
        for (key, value) in [
            ("login", r#"{"rate": 1, "capacity": 2}"#),
            (
                "more.json",
                r#"{"a": {"rate": 3, "burst": 4}, "b": {"rate": -1, "capacity": 1}}"#,
            ),
            ("broken", "no json"),
        ] {
            coord.set(&format!("{PREFIX}{key}"), value).await.unwrap();
        }
        let table = rule_table(&coord.list(PREFIX).await.unwrap(), PREFIX);
        assert_eq!(table.find(rules::LOGIN), Lookup::Rule(Rule::new(1.0, 2.0)));
        assert_eq!(table.find("a"), Lookup::Rule(Rule::new(3.0, 4.0)));
        assert_eq!(table.find("b"), Lookup::Unknown);
        assert_ne!(
            table.find(rules::REGISTER),
            Lookup::Unknown,
            "shipped rules stay"
        );
    }

    #[tokio::test]
    async fn a_change_in_the_config_centre_reaches_the_limiter() {
        let coord = Arc::new(MemoryCoord::new());
        let (applied, mut seen) = watch::channel(RuleTable::default());
        let shutdown = CancellationToken::new();
        let apply = move |table| drop(applied.send_replace(table));
        let follower = tokio::spawn(follow_rules(
            coord.clone(),
            PREFIX.into(),
            apply,
            shutdown.clone(),
        ));
        let changed = r#"{"rate": 7, "capacity": 8}"#;
        coord.set(&format!("{PREFIX}login"), changed).await.unwrap();
        let wanted = Lookup::Rule(Rule::new(7.0, 8.0));
        seen.wait_for(|table| table.find(rules::LOGIN) == wanted)
            .await
            .unwrap();
        shutdown.cancel();
        follower.await.unwrap();
    }
}
