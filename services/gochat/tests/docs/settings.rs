//! Every setting that a text names.

use serde_json::Value;

use crate::{code, documents, help, words};

/// Settings that no serialisation shows.
const SECRETS: [&str; 8] = [
    "gateway.auth.secret",
    "logic.auth.secret",
    "coord.etcd.password",
    "mysql.password",
    "mysql.url",
    "redis.password",
    "redis.url",
    "kafka.sasl.password",
];

/// All settings there are: those of `gochat`, and those of the services of a cluster.
fn tree() -> Value {
    let mut tree = serde_json::to_value(gochat::config::Config::default()).unwrap();
    let map = tree.as_object_mut().unwrap();
    #[cfg(feature = "cluster")]
    {
        let shared = gochat_infra::shell::service::Settings::<()>::default().shared;
        let Value::Object(shared) = serde_json::to_value(shared).unwrap() else {
            panic!("settings are a map");
        };
        for (key, value) in shared {
            map.entry(key).or_insert(value);
        }
    }
    assert!(map.contains_key("gateway"));
    tree
}

/// Whether a setting, or a section, is there. Below a map of rules and an absent structure anything
/// may stand.
fn exists(tree: &Value, path: &str) -> bool {
    let path = path.trim_end_matches(".*").trim_end_matches('.');
    if SECRETS.iter().any(|secret| secret.starts_with(path)) {
        return true;
    }
    let mut node = tree;
    for key in path.split('.') {
        match node {
            Value::Null => return true,
            Value::Object(map) if map.is_empty() => return true,
            Value::Object(map) if key.ends_with('*') => {
                return map.keys().any(|k| k.starts_with(key.trim_end_matches('*')));
            }
            Value::Object(map) => match map.get(key) {
                Some(inner) => node = inner,
                None => return false,
            },
            _ => return false,
        }
    }
    true
}

/// The settings that a text names: `a.b.c` where `a` is a section, and `GOCHAT_A__B`.
fn named(tree: &Value, text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_.*-/".contains(c);
    let mut found = Vec::new();
    for word in words(text, is_part) {
        if let Some(rest) = word.strip_prefix("GOCHAT_") {
            if rest.contains("__") && !rest.starts_with("SECTION") {
                found.push(
                    rest.trim_end_matches('_')
                        .replace("__", ".")
                        .to_ascii_lowercase(),
                );
            }
            continue;
        }
        let word = word.trim_end_matches(['.', '-']);
        let is_name = word.contains('.')
            && !word.contains(['/', '-'])
            && !word.contains("..")
            // Groups of consumers, and attributes of spans.
            && !word.ends_with(".group")
            && !["rpc.system", "rpc.grpc.status_code"].contains(&word)
            && !word.ends_with(".rs")
            && !word.ends_with(".db");
        let section = word.split('.').next().unwrap_or_default();
        if is_name && tree.get(section).is_some_and(Value::is_object) {
            found.push(word.to_owned());
        }
    }
    found
}

#[test]
fn every_setting_that_help_and_documents_name_exists() {
    let tree = tree();
    let mut texts = vec![("gochat --help".to_owned(), help(&[]).unwrap())];
    for command in ["serve", "doctor", "migrate", "bench", "check"] {
        texts.push((
            format!("gochat {command} --help"),
            help(&[command]).unwrap(),
        ));
    }
    for (path, text) in documents() {
        texts.push((path.display().to_string(), code(&text).join("\n")));
    }
    let mut seen = 0;
    let mut missing = Vec::new();
    for (place, text) in texts {
        for setting in named(&tree, &text) {
            seen += 1;
            if !exists(&tree, &setting) {
                missing.push(format!("{place}: {setting}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "there are no such settings: {missing:#?}"
    );
    assert!(seen > 30, "only {seen} settings were found");
}

#[test]
fn a_setting_that_is_not_there_is_found_out() {
    let tree = tree();
    let text = "GOCHAT_GATEWAY__SESSIONS_PER_USER=1 and --set gateway.sessions_per_user=1";
    let named = named(&tree, text);
    assert_eq!(named, ["gateway.sessions_per_user"; 2]);
    assert!(!exists(&tree, &named[0]));
    assert!(exists(&tree, "gateway.websocket.sessions_per_user"));
}
