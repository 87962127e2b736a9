//! What the keys of the config centre mean: `/config/{env}/global/{component}` for all services, then
//! `/config/{env}/{service}/{component}` for one.

use serde_json::{Map, Value};

use super::program::Program;
use super::settings::SECTIONS;
use crate::port::coord::ConfigState;
use crate::shell::Layers;

/// The pseudo service whose settings hold for all.
const GLOBAL: &str = "global";
/// Components by the names of the contract, and the sections they fill.
const COMPONENTS: [(&str, &str); 4] = [
    ("clog", "log"),
    ("mq", "kafka"),
    ("db", "mysql"),
    ("cache", "redis"),
];
/// Settings by the names of the contract's samples.
const ALIASES: [(&str, &str); 8] = [
    ("mq.client_id_prefix", "kafka.client_id"),
    ("mq.acks", ""),
    ("mq.enable_idempotence", ""),
    ("mq.topics", ""),
    ("db.driver", ""),
    ("clog.output", ""),
    ("clog.enable_color", ""),
    ("clog.root_path", ""),
];
/// Below these keys others look for themselves: breaker policies are followed by the channels.
const ELSEWHERE: [&str; 2] = ["breakers", "metrics"];

/// One setting of the config centre.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) path: Vec<String>,
    pub(super) value: Value,
}

/// Prefixes this service looks below, the weaker one first.
pub(super) fn prefixes(env: &str, service: &str) -> [String; 2] {
    [GLOBAL, service].map(|part| format!("/config/{env}/{part}/"))
}

/// What a state of the config centre holds for a service.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// In the order in which they are laid over each other.
    pub(super) entries: Vec<Entry>,
    /// What is wrong with keys.
    pub(super) complaints: Vec<String>,
    /// Keys that can't be read at all.
    pub(super) unread: Vec<String>,
}

/// Reads a state; `known` are the settings there are.
pub(super) fn entries<P: Program>(state: &ConfigState, env: &str, known: &Layers) -> Found {
    let mut found = Found::default();
    for prefix in prefixes(env, P::NAME) {
        for (key, stored) in state.iter() {
            let Some(component) = key.strip_prefix(&prefix) else {
                continue;
            };
            let component = component.strip_suffix(".json").unwrap_or(component);
            let mut reading = Reading {
                key,
                known,
                found: &mut found,
            };
            match serde_json::from_str(&stored.value) {
                Ok(value) => reading.component::<P>(component, value),
                Err(e) => reading.unreadable(&format!("not JSON: {e}")),
            }
        }
    }
    found
}

/// One key on its way to settings.
struct Reading<'a> {
    key: &'a str,
    known: &'a Layers,
    found: &'a mut Found,
}

impl Reading<'_> {
    fn component<P: Program>(&mut self, component: &str, value: Value) {
        let first = component.split('/').next().unwrap_or_default();
        if ELSEWHERE.contains(&first) {
            return;
        }
        let Value::Object(map) = value else {
            return self.unreadable("a component is a map of settings");
        };
        if first == "ratelimit" {
            return self.rules::<P>(component, map);
        }
        let map = match first {
            "mq" => flattened(map),
            _ => map,
        };
        let section = P::COMPONENTS
            .iter()
            .chain(&COMPONENTS)
            .find(|(name, _)| *name == component)
            .map_or(component, |(_, section)| section);
        let path: Vec<String> = match component {
            "app" => Vec::new(),
            _ => section.split('.').map(str::to_owned).collect(),
        };
        if !path.is_empty() && self.known.at(&path).is_none() {
            // Sections of other services may stand in `global`.
            if !SECTIONS.contains(&section) {
                self.complain("there is no such component");
            }
            return;
        }
        for (name, value) in map {
            self.setting(component, &path, &name, value);
        }
    }

    fn setting(&mut self, component: &str, path: &[String], name: &str, value: Value) {
        let name = snake_case(name);
        if component == "app" && name == "service_name" {
            return;
        }
        let long = format!("{component}.{name}");
        let alias = ALIASES.iter().find(|(of, _)| *of == long);
        let mut path: Vec<String> = match alias {
            Some((_, "")) => return,
            Some((_, to)) => to.split('.').map(str::to_owned).collect(),
            None => path.iter().cloned().chain([name]).collect(),
        };
        path.retain(|key| !key.is_empty());
        let value = match (self.known.at(&path), value) {
            // `brokers` is a list in the contract and text here.
            (Some(Value::String(_)), Value::Array(items)) => Value::String(
                items
                    .iter()
                    .filter_map(Value::as_str)
                    .collect::<Vec<_>>()
                    .join(","),
            ),
            (_, value) => snake_keys(value),
        };
        self.found.entries.push(Entry {
            key: self.key.to_owned(),
            path,
            value,
        });
    }

    /// One rule, named by the last part of the key, or a map of rules by name. Rules of other services are theirs.
    fn rules<P: Program>(&mut self, component: &str, map: Map<String, Value>) {
        let rules: Vec<(String, Value)> = if map.contains_key("rate") {
            let name = component.rsplit('/').next().unwrap_or(component);
            vec![(name.to_owned(), Value::Object(map))]
        } else {
            map.into_iter().collect()
        };
        for (name, rule) in rules {
            let Some((_, path)) = P::RULES.iter().find(|(rule, _)| *rule == name) else {
                continue;
            };
            let capacity = rule.get("capacity").or_else(|| rule.get("burst"));
            let (Some(rate), Some(capacity)) = (rule.get("rate"), capacity) else {
                self.complain(&format!("rule `{name}` needs rate and capacity"));
                continue;
            };
            self.found.entries.push(Entry {
                key: self.key.to_owned(),
                path: path.split('.').map(str::to_owned).collect(),
                value: serde_json::json!({"rate": rate, "capacity": capacity}),
            });
        }
    }

    fn unreadable(&mut self, what: &str) {
        self.complain(what);
        self.found.unread.push(self.key.to_owned());
    }

    fn complain(&mut self, what: &str) {
        self.found.complaints.push(format!("{}: {what}", self.key));
    }
}

/// The sections `common`, `producer` and `consumer` of the contract's `mq.json` are one level here.
fn flattened(map: Map<String, Value>) -> Map<String, Value> {
    let mut flat = Map::new();
    for (key, value) in map {
        match (key.as_str(), value) {
            ("common" | "producer" | "consumer", Value::Object(inner)) => flat.extend(inner),
            (_, value) => drop(flat.insert(key, value)),
        }
    }
    flat
}

fn snake_keys(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (snake_case(&key), snake_keys(value)))
            .collect(),
        value => value,
    }
}

/// `maxOpenConns` is `max_open_conns`. Names that hold other characters (topics) stay as they are.
fn snake_case(name: &str) -> String {
    if name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        return name.to_owned();
    }
    let mut snake = String::with_capacity(name.len() + 4);
    let mut before_upper = true;
    for c in name.chars() {
        if c.is_ascii_uppercase() && !before_upper {
            snake.push('_');
        }
        before_upper = c.is_ascii_uppercase() || c == '_';
        snake.push(c.to_ascii_lowercase());
    }
    snake
}
