//! Layering of configuration: defaults < file < config centre < environment < flags.
//!
//! Every layer is compared with the tree of defaults, so an unknown key or a value of the wrong type is found in
//! every layer at once, each with the place it came from.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Prefix of environment variables; `__` separates levels:
/// `GOCHAT_GATEWAY__WEBSOCKET__SESSIONS_PER_USER=1`.
pub const ENV_PREFIX: &str = "GOCHAT_";

/// Defaults plus whatever the layers say, and everything that is wrong with them.
#[derive(Debug, Clone)]
pub struct Layers {
    tree: Value,
    /// Maps that are empty by default take any key, however deep: rules by name. So do settings that are nothing by
    /// default, such as certificates; the typed parse judges what they hold.
    open: BTreeSet<String>,
    /// Top-level keys that belong to somebody else.
    skipped: BTreeSet<String>,
    /// Where the value of each setting came from.
    origins: BTreeMap<String, String>,
    errors: Vec<String>,
    warnings: Vec<String>,
}

/// What the layers make together.
#[derive(Debug, Clone)]
pub struct Merged {
    /// The settings as far as they could be merged.
    pub tree: Value,
    /// Every mistake of every layer, each with its place.
    pub errors: Vec<String>,
    /// What was ignored, and why.
    pub warnings: Vec<String>,
    /// Where the value of each setting came from.
    origins: BTreeMap<String, String>,
}

impl Merged {
    /// Reads a typed value from the part of the tree at `path`; empty for the whole.
    ///
    /// # Errors
    /// The setting that can't be used, with its place.
    pub fn typed<T: DeserializeOwned>(&self, part: Value, path: &str) -> Result<T, String> {
        serde_path_to_error::deserialize(part).map_err(|e| {
            let inside = e.path().to_string();
            let setting = match (path, inside.as_str()) {
                (path, ".") => path.to_owned(),
                (path, inside) => joined(path, inside),
            };
            self.placed(format!("`{setting}`: {}", e.inner()))
        })
    }

    /// Adds to a complaint where the setting it names first came from, unless that is a default.
    pub fn placed(&self, complaint: String) -> String {
        let named = complaint.split('`').nth(1).unwrap_or_default();
        let origin = self.origins.get(named).or_else(|| {
            let inside = |(path, _): &(&String, &String)| {
                path.strip_prefix(named)
                    .is_some_and(|rest| rest.starts_with('.'))
            };
            self.origins.iter().find(inside).map(|(_, origin)| origin)
        });
        match origin {
            Some(origin) if !named.is_empty() && !complaint.starts_with(origin.as_str()) => {
                format!("{origin}: {complaint}")
            }
            _ => complaint,
        }
    }
}

impl Layers {
    /// Starts from the tree of defaults.
    pub fn new(defaults: Value) -> Self {
        let mut open = BTreeSet::new();
        find_open("", &defaults, &mut open);
        Self {
            tree: defaults,
            open,
            skipped: BTreeSet::new(),
            origins: BTreeMap::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Top-level keys that are no error and have no effect: the sections of other services in a file they share.
    #[must_use]
    pub fn skipping<'a>(mut self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        self.skipped.extend(keys.into_iter().map(str::to_owned));
        self
    }

    /// Merges a parsed file over what is there.
    pub fn file(&mut self, source: &str, text: &str) {
        match parse_file(source, text) {
            Ok(Value::Null) => {}
            Ok(layer @ Value::Object(_)) => self.lay(layer, source, Some(text)),
            Ok(_) => self
                .errors
                .push(format!("{source}: the top level must be a map")),
            Err(e) => self.errors.push(format!("{source}: {e}")),
        }
    }

    /// Notes something that is wrong with a layer.
    pub fn complain(&mut self, what: String) {
        self.errors.push(what);
    }

    /// Notes something that was ignored.
    pub fn warn(&mut self, what: String) {
        self.warnings.push(what);
    }

    /// Merges variables that start with [`ENV_PREFIX`]; others are not looked at. `GOCHAT_CONFIG` names the file and
    /// `GOCHAT_TEST_*` belongs to the test suites; neither is a setting.
    ///
    /// Others write to this name space as well: Kubernetes gives every pod `GOCHAT_PORT`,
    /// `GOCHAT_SERVICE_HOST` and more for a Service called `gochat`. So an unknown name without
    /// `__` is a warning; with `__` it is a mistake.
    pub fn environment(&mut self, vars: impl IntoIterator<Item = (String, String)>) {
        for (name, text) in vars {
            let Some(rest) = name.strip_prefix(ENV_PREFIX) else {
                continue;
            };
            if rest == "CONFIG" || rest.starts_with("TEST_") {
                continue;
            }
            let path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
            let is_ours = match path.as_slice() {
                [] => false,
                [one] => self.takes_text(one, &text),
                [first, ..] => !first.is_empty(),
            };
            if is_ours {
                self.set(&path, &text, &name);
            } else {
                self.warnings.push(format!(
                    "{name} is ignored: there is no such setting (docs/configuration.md)"
                ));
            }
        }
    }

    /// Whether a setting at the top level can be written as this text.
    fn takes_text(&self, key: &str, text: &str) -> bool {
        match self.tree.get(key) {
            None => self.skipped.contains(key),
            Some(Value::Object(_)) => text.trim_start().starts_with('{'),
            Some(_) => true,
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
        let mut merge = Merge {
            open: &self.open,
            source,
            text: None,
            taken: Vec::new(),
            errors: Vec::new(),
        };
        merge.lay(&mut tree, nested(path, value), "");
        if merge.errors.is_empty() {
            self.origins.extend(merge.taken);
            self.tree = tree;
            Ok(())
        } else {
            Err(merge.errors)
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
                self.set(&path, text, &format!("--set {}", path.join(".")));
            }
            None => self
                .errors
                .push(format!("--set {assignment}: expected KEY=VALUE")),
        }
    }

    /// Sets one value from text; the text is read as the type of the default.
    pub fn set(&mut self, path: &[String], text: &str, source: &str) {
        if path.first().is_some_and(|key| self.skipped.contains(key)) {
            return;
        }
        let value = match self.at(path) {
            None if self.is_open(path) => untyped(path, text),
            None => {
                self.errors.push(format!(
                    "{source}: there is no setting `{}`",
                    path.join(".")
                ));
                return;
            }
            Some(Value::String(_)) => Value::String(text.to_owned()),
            Some(Value::Array(_)) if !text.trim_start().starts_with('[') => listed(text),
            Some(_) => untyped(path, text),
        };
        self.lay(nested(path, value), source, None);
    }

    /// Whether the path lies in a map that takes any key.
    pub fn is_open(&self, path: &[String]) -> bool {
        is_open(&self.open, &path.join("."))
    }

    fn lay(&mut self, mut layer: Value, source: &str, text: Option<&str>) {
        if let Value::Object(layer) = &mut layer {
            layer.retain(|key, _| !self.skipped.contains(key));
        }
        let mut merge = Merge {
            open: &self.open,
            source,
            text,
            taken: Vec::new(),
            errors: Vec::new(),
        };
        merge.lay(&mut self.tree, layer, "");
        self.errors.extend(merge.errors);
        self.origins.extend(merge.taken);
    }

    /// Everything, also when there are mistakes.
    pub fn parts(self) -> Merged {
        Merged {
            tree: self.tree,
            errors: self.errors,
            warnings: self.warnings,
            origins: self.origins,
        }
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

/// Text whose type only the reader knows. A password of digits is no number, nor is a bare port an
/// address.
fn untyped(path: &[String], text: &str) -> Value {
    let name = path.last().map_or("", String::as_str);
    let is_text =
        ["user", "username", "password", "secret"].contains(&name) || name.ends_with("listen");
    let parsed = serde_json::from_str(text).ok().filter(|_| !is_text);
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
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

fn find_open(path: &str, node: &Value, open: &mut BTreeSet<String>) {
    match node {
        Value::Object(map) if map.is_empty() => drop(open.insert(path.to_owned())),
        Value::Null => drop(open.insert(path.to_owned())),
        Value::Object(map) => map
            .iter()
            .for_each(|(key, child)| find_open(&joined(path, key), child, open)),
        _ => {}
    }
}

fn is_open(open: &BTreeSet<String>, path: &str) -> bool {
    open.iter().any(|root| {
        path.strip_prefix(root.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// One layer on its way into the tree.
struct Merge<'a> {
    open: &'a BTreeSet<String>,
    source: &'a str,
    /// The text of a file, in which lines are looked for.
    text: Option<&'a str>,
    /// Settings that were taken, and where they stand.
    taken: Vec<(String, String)>,
    errors: Vec<String>,
}

impl Merge<'_> {
    /// Lays `layer` over `tree`. Maps merge; everything else replaces a value of the same type.
    fn lay(&mut self, tree: &mut Value, layer: Value, path: &str) {
        match (tree, layer) {
            (Value::Object(known), Value::Object(layer)) => {
                for (key, value) in layer {
                    let child = joined(path, &key);
                    match known.get_mut(&key) {
                        Some(slot) => self.lay(slot, value, &child),
                        None if is_open(self.open, path) => {
                            self.taken.push((child.clone(), self.place(&child)));
                            known.insert(key, value);
                        }
                        None => {
                            let place = self.place(&child);
                            let sentence = format!("{place}: there is no setting `{child}`");
                            self.errors.push(sentence);
                        }
                    }
                }
            }
            (slot, value)
                if slot.is_null() || is_open(self.open, path) || same_type(slot, &value) =>
            {
                self.taken.push((path.to_owned(), self.place(path)));
                *slot = value;
            }
            (slot, value) => self.errors.push(format!(
                "{}: `{path}` takes {}, not {}",
                self.place(path),
                type_name(slot),
                type_name(&value)
            )),
        }
    }

    /// The layer, and in a file the line on which the setting stands.
    fn place(&self, path: &str) -> String {
        match self.text.and_then(|text| line_of(text, path)) {
            Some(line) => format!("{}:{line}", self.source),
            None => self.source.to_owned(),
        }
    }
}

/// The line on which a setting stands: its keys are looked for one after another.
fn line_of(text: &str, path: &str) -> Option<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let mut at = 0;
    for key in path.split('.') {
        let rest = &text[at..];
        let found = rest.match_indices(key).find(|(i, _)| {
            let before = rest[..*i].chars().next_back().is_some_and(is_word);
            let after = rest[i + key.len()..].chars().next().is_some_and(is_word);
            !before && !after
        });
        at += found?.0 + key.len();
    }
    Some(text[..at].matches('\n').count() + 1)
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
#[path = "layers_tests.rs"]
mod tests;
