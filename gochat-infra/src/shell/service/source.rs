//! Where the settings of a process come from, and how they become one value.

use serde::Serialize;
use serde_json::{Map, Value};

use super::args::Flags;
use super::center::{self, Entry};
use super::program::Program;
use super::settings::{SECRETS, SECTIONS, Settings, Shared, VARIABLES};
use crate::port::coord::ConfigState;
use crate::shell::{ConfigError, Layers, Merged, TELEMETRY_VARIABLES};

/// Everything but the config centre, read once.
pub(super) struct Source {
    /// Defaults and file.
    base: Layers,
    vars: Vec<(String, String)>,
    assignments: Vec<String>,
}

/// Settings, and what the config centre says that can't be used.
pub(super) struct Loaded<C> {
    pub(super) settings: Settings<C>,
    pub(super) rejected: Vec<String>,
    /// What of the config centre is in the settings.
    pub(super) accepted: Vec<Entry>,
}

impl Source {
    /// Reads the file; what is wrong with it is told by [`settings`](Self::settings), together with all the rest.
    pub(super) fn read<P: Program>(flags: &Flags, vars: Vec<(String, String)>) -> Self {
        let others = SECTIONS.into_iter().filter(|s| *s != P::SECTION);
        let mut base = Layers::new(defaults::<P>()).skipping(others);
        if let Some(path) = &flags.config {
            let name = path.display().to_string();
            match std::fs::read_to_string(path) {
                Ok(text) => base.file(&name, &text),
                Err(e) => base.complain(crate::os::explain("read the settings file", &name, &e)),
            }
        }
        let vars = without_links::<P>(vars, &mut base);
        Self {
            base,
            vars,
            assignments: flags.assignments(),
        }
    }

    /// What was ignored, in words.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut layers = self.base.clone();
        layers.environment(self.vars.iter().cloned());
        layers.parts().warnings
    }

    /// Everything but the config centre, merged, checked and typed.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(super) fn settings<P: Program>(&self) -> Result<Settings<P::Config>, ConfigError> {
        self.finish::<P>(self.base.clone())
    }

    /// All layers. What the config centre says is taken value by value: for one that can't be used the value that
    /// was `accepted` before stays, or the one of the layers below; it is told in [`Loaded::rejected`]. So a slip in
    /// the centre can't stop a fleet from running nor from starting.
    ///
    /// # Errors
    /// Everything that is wrong with the other layers.
    pub(super) fn with_center<P: Program>(
        &self,
        state: &ConfigState,
        accepted: &[Entry],
    ) -> Result<Loaded<P::Config>, ConfigError> {
        let settings = self.settings::<P>()?;
        let found = center::entries::<P>(state, &settings.shared.env, &self.base);
        let mut loading = Loading {
            source: self,
            layers: self.base.clone(),
            loaded: Loaded {
                settings,
                rejected: found.complaints,
                accepted: Vec::new(),
            },
        };
        for entry in found.entries {
            if let Err(error) = loading.take::<P>(&entry) {
                let why = error.complaints().iter();
                let named = why.map(|why| match why.starts_with(&entry.key) {
                    true => why.clone(),
                    false => format!("{}: {why}", entry.key),
                });
                loading.loaded.rejected.extend(named);
                let old = |old: &&Entry| old.key == entry.key && old.path == entry.path;
                loading.keep::<P>(accepted.iter().filter(old));
            }
        }
        let unread = |old: &&Entry| found.unread.contains(&old.key);
        loading.keep::<P>(accepted.iter().filter(unread));
        Ok(loading.loaded)
    }

    /// Lays environment and flags over `layers`, and parses.
    fn finish<P: Program>(&self, mut layers: Layers) -> Result<Settings<P::Config>, ConfigError> {
        layers.variables(&VARIABLES, &self.vars);
        layers.variables(&TELEMETRY_VARIABLES, &self.vars);
        layers.variables(P::VARIABLES, &self.vars);
        for (name, path, text) in redis_addr(&self.vars).chain(P::derived(&self.vars)) {
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            layers.set(&path, &text, name);
        }
        layers.environment(self.vars.iter().cloned());
        self.assignments.iter().for_each(|a| layers.assignment(a));
        // Values that could not be taken are at their defaults, so the rest can be judged all the same.
        let merged = layers.parts();
        let mut complaints = merged.errors.clone();
        let settings = match typed::<P>(&merged) {
            Ok(settings) => settings,
            Err(error) => {
                complaints.extend_from_slice(error.complaints());
                return Err(ConfigError::new(complaints));
            }
        };
        let checked = settings
            .shared
            .check()
            .into_iter()
            .chain(P::check(&settings));
        complaints.extend(checked.map(|complaint| merged.placed(complaint)));
        if complaints.is_empty() {
            Ok(settings)
        } else {
            Err(ConfigError::new(complaints))
        }
    }
}

/// Settings on their way through the values of the config centre.
struct Loading<'a, C> {
    source: &'a Source,
    layers: Layers,
    loaded: Loaded<C>,
}

impl<C> Loading<'_, C> {
    /// Takes one value if the whole can be used with it.
    fn take<P: Program<Config = C>>(&mut self, entry: &Entry) -> Result<(), ConfigError> {
        let mut with = self.layers.clone();
        with.offer(&entry.key, &entry.path, entry.value.clone())
            .map_err(ConfigError::new)?;
        self.loaded.settings = self.source.finish::<P>(with.clone())?;
        self.layers = with;
        self.loaded.accepted.push(entry.clone());
        Ok(())
    }

    fn keep<'e, P: Program<Config = C>>(&mut self, old: impl Iterator<Item = &'e Entry>) {
        // What was accepted among other values may not fit any more; then the layers below hold.
        old.for_each(|entry| drop(self.take::<P>(entry)));
    }
}

/// Leaves out what Kubernetes gives every pod for a Service: `REDIS_PORT=tcp://10.96.3.5:6379` is
/// no port.
fn without_links<P: Program>(
    mut vars: Vec<(String, String)>,
    layers: &mut Layers,
) -> Vec<(String, String)> {
    vars.retain(|(name, text)| {
        let is_link = name.ends_with("_PORT") && text.contains("://");
        let known = VARIABLES.iter().chain(P::VARIABLES);
        if is_link && (name == "SERVER_PORT" || known.into_iter().any(|(n, _)| n == name)) {
            layers.warn(format!("{name} is ignored: `{text}` is no port"));
            return false;
        }
        true
    });
    vars
}

/// `REDIS_ADDR=host:port` is two settings.
fn redis_addr(
    vars: &[(String, String)],
) -> impl Iterator<Item = (&'static str, &'static str, String)> {
    let addr = vars.iter().find(|(name, _)| name == "REDIS_ADDR");
    addr.and_then(|(_, addr)| addr.rsplit_once(':'))
        .into_iter()
        .flat_map(|(host, port)| {
            [("redis.host", host), ("redis.port", port)]
                .map(|(path, text)| ("REDIS_ADDR", path, text.to_owned()))
        })
}

/// All settings as JSON; secrets are left out.
pub(super) fn dump<P: Program>(settings: &Settings<P::Config>) -> String {
    let mut tree = section(&settings.shared);
    tree.insert(P::SECTION.to_owned(), value(&settings.service));
    serde_json::to_string_pretty(&tree).unwrap_or_default()
}

/// The tree of defaults. Secrets, which no serialization shows, get their place in it here.
fn defaults<P: Program>() -> Value {
    let defaults = P::defaults();
    let mut tree = section(&defaults.shared);
    tree.insert(P::SECTION.to_owned(), value(&defaults.service));
    let mut tree = Value::Object(tree);
    for secret in SECRETS.iter().chain(P::SECRETS) {
        place(&mut tree, secret, |slot| {
            *slot = Value::String(String::new());
        });
    }
    tree
}

/// Parses the merged tree; both halves tell what is wrong with them.
fn typed<P: Program>(merged: &Merged) -> Result<Settings<P::Config>, ConfigError> {
    let mut tree = merged.tree.clone();
    // A secret that nobody set takes the default of its type.
    for secret in SECRETS.iter().chain(P::SECRETS) {
        remove_empty(&mut tree, secret);
    }
    let own = tree
        .as_object_mut()
        .and_then(|map| map.remove(P::SECTION))
        .unwrap_or_default();
    let shared = merged.typed::<Shared>(tree, "");
    let service = merged.typed::<P::Config>(own, P::SECTION);
    match (shared, service) {
        (Ok(mut shared), Ok(service)) => {
            shared.normalise();
            Ok(Settings { shared, service })
        }
        (shared, service) => Err(ConfigError::new(
            [shared.err(), service.err()]
                .into_iter()
                .flatten()
                .collect(),
        )),
    }
}

fn place(tree: &mut Value, path: &str, put: impl FnOnce(&mut Value)) {
    let mut slot = tree;
    for key in path.split('.') {
        let Value::Object(map) = slot else { return };
        slot = map.entry(key).or_insert(Value::Null);
    }
    put(slot);
}

fn remove_empty(tree: &mut Value, path: &str) {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let parent = parent.split('.').filter(|key| !key.is_empty());
    let parent = parent
        .into_iter()
        .try_fold(tree, |node, key| node.get_mut(key));
    if let Some(Value::Object(map)) = parent
        && map.get(name).is_some_and(|v| v.as_str() == Some(""))
    {
        map.remove(name);
    }
}

fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

fn section(of: &impl Serialize) -> Map<String, Value> {
    match value(of) {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
