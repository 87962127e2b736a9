//! Tools for the operator of a cluster.

pub(super) mod config;
mod files;
mod records;
pub(super) mod topic;

use gochat_infra::os::explain;
use std::io::Write as _;

use gochat_infra::shell::{ConfigError, Layers};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Failure;

/// Settings of an adapter: its defaults, with what the services' variables (`GOCHAT_{SECTION}__…`) say over them.
fn settings<T: Default + Serialize + DeserializeOwned>(section: &str) -> Result<T, Failure> {
    let unreadable = |e: serde_json::Error| Failure::new(format!("{section}: {e}"));
    let path: Vec<String> = section.split('.').map(str::to_owned).collect();
    let defaults = serde_json::to_value(T::default()).map_err(unreadable)?;
    let tree = path
        .iter()
        .rev()
        .fold(defaults, |inner, key| serde_json::json!({ key: inner }));
    let mut layers = Layers::new(tree);
    let prefix = format!("GOCHAT_{}__", path.join("__").to_uppercase());
    layers.environment(std::env::vars().filter(|(name, _)| name.starts_with(&prefix)));
    let found = layers.at(&path).cloned().unwrap_or_default();
    layers.finish().map_err(ConfigError::new)?;
    serde_json::from_value(found).map_err(unreadable)
}

/// Asks before something that can't be undone.
fn confirmed(question: &str) -> Result<bool, Failure> {
    let failed = |e: std::io::Error| Failure::new(explain("ask on", "the terminal", &e));
    eprint!("{question} [y/N] ");
    std::io::stderr().flush().map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(failed)?;
    let answer = answer.trim();
    Ok(answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"))
}
