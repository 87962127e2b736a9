//! Settings files: any text is a configuration or a list of complaints, in each of the three
//! formats.

use gochat::config::Config;
use gochat_infra::shell::Layers;

/// Reads the text as a file of each format, and as a value of a setting.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let defaults = serde_json::to_value(Config::default()).expect("settings are JSON");
    for name in ["c.yaml", "c.toml", "c.json"] {
        let mut layers = Layers::new(defaults.clone());
        layers.file(name, text);
        let merged = layers.parts();
        let typed = merged.typed::<Config>(merged.tree.clone(), "");
        for complaint in merged.errors.iter().chain(typed.as_ref().err()) {
            assert!(!complaint.is_empty());
        }
    }
    let variables = [
        ("GOCHAT_GATEWAY__LISTEN", text),
        ("GOCHAT_STORAGE__FSYNC", text),
    ];
    let variables = variables.map(|(name, text)| (name.to_owned(), text.to_owned()));
    drop(Config::load(None, variables, &[text.to_owned()]));
}
