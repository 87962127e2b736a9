//! Every metric of the sources is described: `# HELP` says what it counts and in which unit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::root;

const MACROS: [&str; 3] = ["counter!(", "gauge!(", "histogram!("];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// What a macro names first: a literal, or a constant.
fn first_argument(text: &str) -> Option<&str> {
    let end = text.find([',', ')'])?;
    Some(text[..end].trim())
}

#[test]
fn every_metric_is_described() {
    let mut files = Vec::new();
    for folder in ["gochat-infra/src", "services"] {
        sources(&root().join(folder), &mut files);
    }
    files.retain(|path| !path.components().any(|c| c.as_os_str() == "tests"));
    let texts: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            // Unit tests stand at the end of a file.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            (path, code.to_owned())
        })
        .collect();
    let mut constants = BTreeMap::new();
    for (_, text) in &texts {
        for part in text.split("const ").skip(1) {
            if let Some((name, rest)) = part.split_once(": &str =")
                && let Some(value) = rest.trim_start().strip_prefix('"')
            {
                constants.insert(name.trim(), value.split('"').next().unwrap());
            }
        }
    }
    let resolve = |argument: &str| {
        let name = argument
            .rsplit("::")
            .next()
            .unwrap_or(argument)
            .trim_start_matches('*');
        match argument.strip_prefix('"') {
            Some(literal) => Some(literal.trim_end_matches('"').to_owned()),
            None => constants.get(name).map(|value| (*value).to_owned()),
        }
    };
    let mut used = BTreeMap::new();
    let mut described = BTreeSet::new();
    for (path, text) in &texts {
        for word in MACROS {
            for (at, _) in text.match_indices(word) {
                let Some(name) = first_argument(&text[at + word.len()..]).and_then(&resolve) else {
                    continue;
                };
                if text[..at].ends_with("describe_") {
                    described.insert(name);
                } else {
                    used.insert(name, path.display().to_string());
                }
            }
        }
        if path.ends_with("metric_names.rs") {
            let rows = text.lines().filter_map(|line| line.split('"').nth(1));
            described.extend(rows.map(str::to_owned));
        }
    }
    assert!(used.len() > 40, "only {} metrics were found", used.len());
    used.retain(|name, _| !described.contains(name));
    assert!(used.is_empty(), "no help text: {used:#?}");
}
