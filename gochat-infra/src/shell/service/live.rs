//! Settings that change while the process runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::center::{Entry, prefixes};
use super::program::Program;
use super::settings::Settings;
use super::source::{Source, dump};
use crate::port::coord::{ConfigCenter, ConfigState};
use crate::rules::follow_states;

/// The settings, now and after every change. Who acts on a change says so in docs/configuration.md; the rest takes effect
/// with the next start.
pub type Live<C> = watch::Receiver<Arc<Settings<C>>>;

/// Everything the config centre holds for a service; `None` when it doesn't answer in time.
pub(super) async fn load(
    center: &dyn ConfigCenter,
    env: &str,
    service: &str,
    patience: Duration,
) -> Option<ConfigState> {
    let [global, own] = prefixes(env, service);
    let both = async { tokio::try_join!(center.list(&global), center.list(&own)) };
    match tokio::time::timeout(patience, both).await {
        Ok(Ok((global, own))) => Some(joined(&global, &own)),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the config centre can't be read; file and environment hold until it is there");
            None
        }
        Err(_) => {
            tracing::warn!(
                waited_ms = patience.as_millis(),
                "the config centre does not answer; file and environment hold until it does"
            );
            None
        }
    }
}

/// Follows the config centre and publishes settings whenever they change, until `stop`.
pub(super) async fn follow<P: Program>(
    center: Arc<dyn ConfigCenter>,
    source: Source,
    settings: watch::Sender<Arc<Settings<P::Config>>>,
    stop: CancellationToken,
) {
    let env = settings.borrow().shared.env.clone();
    let [global, own] = prefixes(&env, P::NAME);
    let follower = Follower::<P> {
        source,
        settings,
        seen: Mutex::default(),
    };
    let each = |slot: usize| {
        let follower = &follower;
        move |state: &ConfigState| follower.take(slot, state)
    };
    tokio::join!(
        follow_states(
            center.clone(),
            &global,
            "settings for all services",
            each(0),
            stop.clone()
        ),
        follow_states(center, &own, "settings of this service", each(1), stop),
    );
}

struct Follower<P: Program> {
    source: Source,
    settings: watch::Sender<Arc<Settings<P::Config>>>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    states: [Option<ConfigState>; 2],
    rejected: Vec<String>,
    accepted: Vec<Entry>,
}

impl<P: Program> Follower<P> {
    fn take(&self, slot: usize, state: &ConfigState) {
        let mut seen = self.seen.lock();
        seen.states[slot] = Some(state.clone());
        // Half of it would look as if the other half had been removed.
        let [Some(global), Some(own)] = &seen.states else {
            return;
        };
        let state = joined(global, own);
        match self.source.with_center::<P>(&state, &seen.accepted) {
            Ok(loaded) => {
                seen.accepted = loaded.accepted;
                if loaded.rejected != seen.rejected {
                    tell_rejected(&loaded.rejected);
                    seen.rejected = loaded.rejected;
                }
                self.publish(loaded.settings);
            }
            Err(error) => tracing::error!(%error, "the old settings stay"),
        }
    }

    fn publish(&self, new: Settings<P::Config>) {
        let changed = {
            let old = self.settings.borrow();
            changes(&tree::<P>(&old), &tree::<P>(&new))
        };
        if !changed.is_empty() {
            tracing::info!(settings = changed.join(", "), "settings changed");
            self.settings.send_replace(Arc::new(new));
        }
    }
}

/// Logs what the config centre says that can't be used.
pub(super) fn tell_rejected(rejected: &[String]) {
    for why in rejected {
        tracing::error!(why, "a setting of the config centre was left out");
    }
}

fn joined(global: &ConfigState, own: &ConfigState) -> ConfigState {
    let both = global.iter().chain(own.iter());
    Arc::new(
        both.map(|(key, value)| (key.clone(), value.clone()))
            .collect::<BTreeMap<_, _>>(),
    )
}

fn tree<P: Program>(settings: &Settings<P::Config>) -> Value {
    serde_json::from_str(&dump::<P>(settings)).unwrap_or_default()
}

/// Paths whose values differ.
fn changes(old: &Value, new: &Value) -> Vec<String> {
    fn walk(path: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
        match (old, new) {
            (Value::Object(a), Value::Object(b)) => {
                let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
                for key in keys {
                    let child = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned();
                    walk(
                        &child,
                        &of(a).unwrap_or_default(),
                        &of(b).unwrap_or_default(),
                        found,
                    );
                }
            }
            (a, b) if a == b => {}
            _ => found.push(path.to_owned()),
        }
    }
    let mut found = Vec::new();
    walk("", old, new, &mut found);
    found
}
