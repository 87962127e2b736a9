//! Files of settings, and the keys they become: `{folder}/dev/im-logic/fanout.json` is `/config/dev/im-logic/fanout`.

use gochat_infra::os::explain;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Least parts of a path: environment, service, component.
const PARTS: usize = 3;

/// Which of the files are meant.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) env: Option<String>,
    pub(super) service: Option<String>,
    pub(super) component: Option<String>,
}

impl Scope {
    fn holds(&self, parts: &[&str]) -> bool {
        let wanted = [&self.env, &self.service];
        let named = wanted
            .iter()
            .zip(parts)
            .all(|(wanted, part)| wanted.as_ref().is_none_or(|w| w == part));
        let rest = parts[2..].join("/");
        named && self.component.as_ref().is_none_or(|c| *c == rest)
    }

    /// What all keys of this scope begin with.
    pub(super) fn prefix(&self) -> String {
        let parts = [&self.env, &self.service];
        let known = parts.iter().map_while(|part| part.as_deref());
        known.fold("/config/".to_owned(), |prefix, part| {
            format!("{prefix}{part}/")
        })
    }
}

/// Keys and values of all files below `folder` that are meant.
///
/// # Errors
/// Everything that is wrong, at once: a file that is not JSON would otherwise reach every service.
pub(super) fn read(folder: &Path, scope: &Scope) -> Result<BTreeMap<String, String>, Vec<String>> {
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    walk(folder, &mut found, &mut wrong);
    let mut values = BTreeMap::new();
    for path in found {
        let relative = path.strip_prefix(folder).unwrap_or(&path);
        let parts: Option<Vec<&str>> = relative.iter().map(|part| part.to_str()).collect();
        let Some(mut parts) = parts.filter(|parts| parts.len() >= PARTS) else {
            continue;
        };
        if let Some(name) = parts.pop() {
            parts.push(name.strip_suffix(".json").unwrap_or(name));
        }
        if !scope.holds(&parts) {
            continue;
        }
        match checked(&path) {
            Ok(text) => drop(values.insert(format!("/config/{}", parts.join("/")), text)),
            Err(why) => wrong.push(format!("{}: {why}", path.display())),
        }
    }
    if wrong.is_empty() {
        Ok(values)
    } else {
        Err(wrong)
    }
}

fn checked(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|e| explain("read it", "", &e))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    // One form, so that a change of spaces is no change.
    serde_json::to_string_pretty(&value).map_err(|e| e.to_string())
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>, wrong: &mut Vec<String>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) => return wrong.push(explain("list the folder", folder.display(), &e)),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        // Links are not followed: a loop of them has no end.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&path, found, wrong),
            Ok(kind) if kind.is_file() && path.extension().is_some_and(|e| e == "json") => {
                found.push(path);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn the_whole_path_is_the_key_and_shallow_files_are_not_settings() {
        let dir = folder(&[
            ("dev/global/clog.json", "{}"),
            ("dev/im-gateway/ratelimit/login.json", r#"{"rate": 1}"#),
            ("dev/readme.json", "not json"),
            ("prod/global/clog.json", "{}"),
        ]);
        let dev = Scope {
            env: Some("dev".into()),
            ..Scope::default()
        };
        let keys: Vec<_> = read(dir.path(), &dev).unwrap().into_keys().collect();
        let wanted = [
            "/config/dev/global/clog",
            "/config/dev/im-gateway/ratelimit/login",
        ];
        assert_eq!(keys, wanted);
        assert_eq!(read(dir.path(), &Scope::default()).unwrap().len(), 3);
        assert_eq!(dev.prefix(), "/config/dev/");
    }

    #[test]
    fn broken_files_are_refused_together() {
        let dir = folder(&[("dev/global/a.json", "{"), ("dev/global/b.json", "}")]);
        assert_eq!(read(dir.path(), &Scope::default()).unwrap_err().len(), 2);
    }
}
