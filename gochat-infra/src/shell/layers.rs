//! Layering of configuration: defaults < file < config centre < environment < flags.
//!
//! Every layer is compared with the tree of defaults, so an unknown key or a value of the wrong type is found in
//! every layer at once, each with the place it came from.

use serde_json::{Map, Value};

/// Prefix of environment variables; `__` separates levels: `GOCHAT_GATEWAY__SESSIONS_PER_USER=1`.
pub const ENV_PREFIX: &str = "GOCHAT_";

/// Defaults plus whatever the layers say, and everything that is wrong with them.
#[derive(Debug, Clone)]
pub struct Layers {
    tree: Value,
    errors: Vec<String>,
}

impl Layers {
    /// Starts from the tree of defaults.
    pub fn new(defaults: Value) -> Self {
        Self {
            tree: defaults,
            errors: Vec::new(),
        }
    }

    /// Merges a parsed file over what is there.
    pub fn file(&mut self, source: &str, text: &str) {
        match parse_file(source, text) {
            Ok(Value::Null) => {}
            Ok(layer @ Value::Object(_)) => {
                merge(&mut self.tree, layer, "", source, &mut self.errors)
            }
            Ok(_) => self
                .errors
                .push(format!("{source}: the top level must be a map")),
            Err(e) => self.errors.push(format!("{source}: {e}")),
        }
    }

    /// Merges variables that start with [`ENV_PREFIX`]; others are not looked at. `GOCHAT_CONFIG` names the file and
    /// `GOCHAT_TEST_*` belongs to the test suites; neither is a setting.
    pub fn environment(&mut self, vars: impl IntoIterator<Item = (String, String)>) {
        for (name, text) in vars {
            let Some(rest) = name.strip_prefix(ENV_PREFIX) else {
                continue;
            };
            if rest == "CONFIG" || rest.starts_with("TEST_") {
                continue;
            }
            let path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
            self.set(&path, &text, &name);
        }
    }

    /// Merges variables under names of their own: `LOG_LEVEL` sets `log.level`. Empty ones count as not set, because
    /// compose files hand on what nobody filled in.
    pub fn variables(&mut self, names: &[(&str, &str)], vars: &[(String, String)]) {
        for (name, path) in names {
            let Some((_, text)) = vars.iter().find(|(n, text)| n == name && !text.is_empty())
            else {
                continue;
            };
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            self.set(&path, text, name);
        }
    }

    /// Merges a value at a path if all of it fits, else leaves everything as it was and says why not.
    ///
    /// # Errors
    /// What doesn't fit.
    pub fn offer(
        &mut self,
        source: &str,
        path: &[String],
        value: Value,
    ) -> Result<(), Vec<String>> {
        let mut tree = self.tree.clone();
        let mut errors = Vec::new();
        merge(&mut tree, nested(path, value), "", source, &mut errors);
        if errors.is_empty() {
            self.tree = tree;
            Ok(())
        } else {
            Err(errors)
        }
    }

    /// The default (or what lies over it by now) at a path.
    pub fn at(&self, path: &[String]) -> Option<&Value> {
        path.iter().try_fold(&self.tree, |node, key| node.get(key))
    }

    /// Sets one value from text, `gateway.sessions_per_user=1`.
    pub fn assignment(&mut self, assignment: &str) {
        match assignment.split_once('=') {
            Some((path, text)) => {
                let path: Vec<String> = path.trim().split('.').map(str::to_owned).collect();
                self.set(&path, text, "--set");
            }
            None => self
                .errors
                .push(format!("--set {assignment}: expected KEY=VALUE")),
        }
    }

    /// Sets one value from text; the text is read as the type of the default.
    pub fn set(&mut self, path: &[String], text: &str, source: &str) {
        let value = match self.at(path) {
            None => {
                self.errors.push(format!(
                    "{source}: there is no setting `{}`",
                    path.join(".")
                ));
                return;
            }
            Some(Value::String(_)) => Value::String(text.to_owned()),
            Some(Value::Array(_)) if !text.trim_start().starts_with('[') => listed(text),
            Some(_) => {
                serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
            }
        };
        let layer = nested(path, value);
        merge(&mut self.tree, layer, "", source, &mut self.errors);
    }

    /// The merged tree.
    ///
    /// # Errors
    /// Every complaint of every layer.
    pub fn finish(self) -> Result<Value, Vec<String>> {
        if self.errors.is_empty() {
            Ok(self.tree)
        } else {
            Err(self.errors)
        }
    }
}

fn nested(path: &[String], value: Value) -> Value {
    path.iter().rev().fold(value, |inner, key| {
        Value::Object(Map::from_iter([(key.clone(), inner)]))
    })
}

/// A list as people write it in a variable: `a, b`.
fn listed(text: &str) -> Value {
    let items = text.split(',').map(str::trim).filter(|i| !i.is_empty());
    Value::Array(items.map(|i| Value::String(i.to_owned())).collect())
}

fn parse_file(name: &str, text: &str) -> Result<Value, String> {
    let extension = name.rsplit('.').next().unwrap_or_default();
    match extension {
        "toml" => toml::from_str(text).map_err(|e| e.to_string()),
        "yaml" | "yml" => serde_yaml_ng::from_str(text).map_err(|e| e.to_string()),
        "json" => serde_json::from_str(text).map_err(|e| e.to_string()),
        other => Err(format!(
            "unknown format `.{other}`; use .yaml, .toml or .json"
        )),
    }
}

/// Lays `layer` over `tree`. Maps merge; everything else replaces a value of the same type.
fn merge(tree: &mut Value, layer: Value, path: &str, source: &str, errors: &mut Vec<String>) {
    match (tree, layer) {
        // An empty map of defaults is open: rules by name.
        (Value::Object(known), Value::Object(layer)) => {
            let open = known.is_empty();
            for (key, value) in layer {
                let child = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                match known.get_mut(&key) {
                    Some(slot) => merge(slot, value, &child, source, errors),
                    None if open => drop(known.insert(key, value)),
                    None => errors.push(format!("{source}: there is no setting `{child}`")),
                }
            }
        }
        (slot, value) if same_type(slot, &value) => *slot = value,
        (slot, value) => errors.push(format!(
            "{source}: `{path}` takes {}, not {}",
            type_name(slot),
            type_name(&value)
        )),
    }
}

fn same_type(default: &Value, value: &Value) -> bool {
    match (default, value) {
        // An absent default is an option: any value may fill it, the typed parse judges it.
        (Value::Null, _) | (_, Value::Null) => true,
        (Value::Number(d), Value::Number(v)) => d.is_f64() || !v.is_f64(),
        (d, v) => std::mem::discriminant(d) == std::mem::discriminant(v),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(n) if n.is_f64() => "a number",
        Value::Number(_) => "a whole number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn defaults() -> Value {
        json!({"listen": "127.0.0.1:8080", "gateway": {"queue": 256, "rate": 10.0, "origins": [], "rules": {}}})
    }

    #[test]
    fn later_layers_win() {
        let mut layers = Layers::new(defaults());
        layers.file("c.yaml", "gateway:\n  queue: 1\n  rate: 2\n");
        layers.environment([
            ("GOCHAT_GATEWAY__QUEUE".into(), "2".into()),
            ("HOME".into(), "x".into()),
        ]);
        layers.assignment("listen=127.0.0.1:1");
        let tree = layers.finish().unwrap();
        assert_eq!(tree["gateway"]["queue"], 2);
        assert_eq!(tree["listen"], "127.0.0.1:1");
    }

    #[test]
    fn the_three_formats_say_the_same() {
        for (name, text) in [
            ("c.json", r#"{"gateway":{"queue":7}}"#),
            ("c.toml", "[gateway]\nqueue = 7"),
            ("c.yml", "gateway: {queue: 7}"),
        ] {
            let mut layers = Layers::new(defaults());
            layers.file(name, text);
            assert_eq!(layers.finish().unwrap()["gateway"]["queue"], 7, "{name}");
        }
    }

    #[test]
    fn every_error_is_reported_at_once() {
        let mut layers = Layers::new(defaults());
        layers.file("c.json", r#"{"gateway":{"queue":"many"},"nope":1}"#);
        layers.environment([("GOCHAT_GATEWAY__NOPE".into(), "1".into())]);
        layers.assignment("gateway.rate=fast");
        let errors = layers.finish().unwrap_err();
        assert_eq!(errors.len(), 4, "{errors:#?}");
    }

    #[test]
    fn a_list_may_be_written_with_commas() {
        let mut layers = Layers::new(defaults());
        layers.assignment("gateway.origins=https://a, https://b");
        layers.variables(
            &[("LISTEN", "listen"), ("QUEUE", "gateway.queue")],
            &[
                ("LISTEN".into(), String::new()),
                ("QUEUE".into(), "9".into()),
            ],
        );
        let tree = layers.finish().unwrap();
        assert_eq!(
            tree["gateway"]["origins"],
            json!(["https://a", "https://b"])
        );
        assert_eq!(tree["listen"], "127.0.0.1:8080", "empty is not set");
        assert_eq!(tree["gateway"]["queue"], 9);
    }

    #[test]
    fn what_is_offered_fits_as_a_whole_or_changes_nothing() {
        let mut layers = Layers::new(defaults());
        let path = ["gateway".to_owned()];
        let refused = layers.offer("centre", &path, json!({"queue": 3, "rate": "fast"}));
        assert_eq!(refused.unwrap_err().len(), 1);
        assert_eq!(layers.at(&path).unwrap()["queue"], 256);
        layers.offer("centre", &path, json!({"queue": 3})).unwrap();
        assert_eq!(layers.finish().unwrap()["gateway"]["queue"], 3);
    }

    #[test]
    fn an_empty_map_takes_new_keys() {
        let mut layers = Layers::new(defaults());
        layers.file("c.json", r#"{"gateway":{"rules":{"login":{"rate":1}}}}"#);
        assert_eq!(
            layers.finish().unwrap()["gateway"]["rules"]["login"]["rate"],
            1
        );
    }
}
