//! The chat page: a document, a style sheet and one script.
//!
//! The script is written as modules in `assets/chat` and served as one file: a page of twenty files
//! would cost twenty requests of a stranger's budget.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// Scripts and styles of this server, requests to this server, nothing else. Nothing but text nodes
/// is ever made of a text: the browser refuses `innerHTML` and the like (Trusted Types).
const CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; img-src data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);

const HTML: &str = include_str!("../../assets/chat/chat.html");
const CSS: &str = include_str!("../../assets/chat/chat.css");

macro_rules! modules {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../assets/chat/", $name)))),*]
    };
}

/// Modules of the script, each behind those it imports.
const MODULES: [(&str, &str); 20] = modules![
    "proof.js",
    "dom.js",
    "text.js",
    "log.js",
    "api.js",
    "state.js",
    "system.js",
    "sync.js",
    "outbox.js",
    "socket.js",
    "list.js",
    "message.js",
    "dialog.js",
    "editor.js",
    "composer.js",
    "actions.js",
    "menu.js",
    "messages.js",
    "head.js",
    "main.js",
];

/// A file of the page, with what tells browsers that they have it already.
struct Asset {
    content_type: HeaderValue,
    body: Bytes,
    etag: HeaderValue,
}

impl Asset {
    fn new(content_type: &'static str, body: Bytes) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(&body);
        let etag = format!("\"{:016x}\"", hasher.finish());
        Self {
            content_type: HeaderValue::from_static(content_type),
            body,
            etag: HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\"")),
        }
    }

    /// Browsers ask each time: after an upgrade a page never runs on the script of another release
    /// for longer than gateways differ.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let common = [
            (header::ETAG, self.etag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::CONTENT_SECURITY_POLICY, CSP),
            (
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ),
            (
                header::REFERRER_POLICY,
                HeaderValue::from_static("no-referrer"),
            ),
        ];
        let known = headers.get(header::IF_NONE_MATCH);
        if known.is_some_and(|known| self.is_named(known)) {
            return (StatusCode::NOT_MODIFIED, common).into_response();
        }
        let content_type = [(header::CONTENT_TYPE, self.content_type.clone())];
        (common, content_type, self.body.clone()).into_response()
    }

    /// Whether `If-None-Match` lists this file; proxies that compress mark its tag as a weak one.
    fn is_named(&self, known: &HeaderValue) -> bool {
        let Ok(known) = known.to_str() else {
            return false;
        };
        let mut tags = known.split(',').map(str::trim);
        tags.any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == self.etag)
    }
}

/// `/`.
pub(super) async fn page(headers: HeaderMap) -> Response {
    static PAGE: LazyLock<Asset> =
        LazyLock::new(|| Asset::new("text/html; charset=utf-8", HTML.into()));
    PAGE.answer(&headers)
}

/// `/chat.css`.
pub(super) async fn style(headers: HeaderMap) -> Response {
    static STYLE: LazyLock<Asset> =
        LazyLock::new(|| Asset::new("text/css; charset=utf-8", CSS.into()));
    STYLE.answer(&headers)
}

/// `/chat.js`.
pub(super) async fn script(headers: HeaderMap) -> Response {
    static SCRIPT: LazyLock<Asset> =
        LazyLock::new(|| Asset::new("text/javascript; charset=utf-8", bundle().into()));
    SCRIPT.answer(&headers)
}

/// All modules as one: their names are told apart by being different, so what connects them can be
/// left out.
fn bundle() -> String {
    let lines = MODULES.iter().flat_map(|(_, text)| text.lines());
    let kept = lines.filter(|line| !line.starts_with("import "));
    kept.flat_map(|line| [line.strip_prefix("export ").unwrap_or(line), "\n"])
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Names that a module declares for all of itself, and whether it exports them.
    fn declared(text: &str) -> impl Iterator<Item = (&str, bool)> {
        text.lines().flat_map(|line| {
            let exported = line.strip_prefix("export ");
            let rest = exported.unwrap_or(line);
            let rest = rest.split(" //").next().unwrap_or_default();
            let rest = rest.strip_prefix("async ").unwrap_or(rest);
            let keyword = ["const ", "let ", "function ", "class "];
            let names = keyword.iter().find_map(|word| rest.strip_prefix(word));
            // `let a = 0, b = null;` declares two.
            let several = if rest.starts_with("let ") {
                names
            } else {
                None
            };
            let first = names
                .into_iter()
                .filter_map(|rest| rest.split([' ', '(', ';', ',']).next());
            let others = several
                .into_iter()
                .flat_map(|rest| rest.split(", ").skip(1));
            let others = others.filter_map(|part| part.split([' ', ';']).next());
            first
                .chain(others)
                .map(move |name| (name, exported.is_some()))
        })
    }

    /// `(name, module)` of everything that a module imports.
    fn imported(text: &str) -> impl Iterator<Item = (&str, &str)> {
        let lines = text.lines().filter(|line| line.starts_with("import "));
        lines.flat_map(|line| {
            let parts = line
                .strip_prefix("import { ")
                .and_then(|rest| rest.strip_suffix("';"))
                .and_then(|rest| rest.split_once(" } from './"));
            let (names, module) = parts.unwrap_or_else(|| panic!("no plain import: {line}"));
            names.split(", ").map(move |name| (name, module))
        })
    }

    #[test]
    fn modules_stand_behind_what_they_import_and_share_no_name() {
        let mut seen: HashMap<&str, (&str, bool)> = HashMap::new();
        for (module, text) in MODULES {
            for (name, from) in imported(text) {
                assert_eq!(
                    seen.get(name),
                    Some(&(from, true)),
                    "{module} imports {name}"
                );
            }
            for (name, is_exported) in declared(text) {
                let twin = seen.insert(name, (module, is_exported));
                assert_eq!(twin, None, "{module} declares {name}");
            }
        }
        assert!(seen.len() > 100);
        let script = bundle();
        assert!(
            !script
                .lines()
                .any(|l| l.starts_with("import ") || l.starts_with("export "))
        );
    }

    #[test]
    fn nothing_comes_from_elsewhere_and_texts_go_in_as_text() {
        let script = bundle();
        for text in [HTML, CSS, &script] {
            assert!(!text.contains("http://") && !text.contains("https://"));
            for unsafe_way in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
            ] {
                assert!(!text.contains(unsafe_way), "{unsafe_way}");
            }
        }
        // The policy allows neither.
        assert!(!HTML.contains("<style") && !HTML.contains(" style=") && !HTML.contains(" on"));
    }

    #[test]
    fn a_browser_that_has_a_file_gets_no_second_copy() {
        let asset = Asset::new("text/css", "a{}".into());
        let ask = |tag: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, tag.parse().unwrap());
            asset.answer(&headers).status()
        };
        let tag = asset.etag.to_str().unwrap();
        assert_eq!(ask(tag), StatusCode::NOT_MODIFIED);
        assert_eq!(ask(&format!("\"x\", W/{tag}")), StatusCode::NOT_MODIFIED);
        assert_eq!(ask("\"x\""), StatusCode::OK);
        let other = Asset::new("text/css", "b{}".into());
        assert_ne!(asset.etag, other.etag);
    }
}
