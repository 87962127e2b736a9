//! Every path that a document names.

use crate::{code, documents, root, words};

/// Folders of the repository that documents name.
const FOLDERS: [&str; 12] = [
    ".ci/",
    ".github/",
    "deploy/",
    "docs/",
    "examples/",
    "fuzz/",
    "gochat-client/",
    "gochat-core/",
    "gochat-infra/",
    "proto/",
    "services/",
    "scripts/",
];

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    for (path, text) in documents() {
        for part in text.split("](").skip(1) {
            let link = part.split([')', ' ']).next().unwrap_or_default();
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            let target = path.parent().unwrap().join(file);
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
        }
    }
    assert!(seen > 20, "only {seen} links were found");
}

#[test]
fn every_path_of_the_repository_exists() {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_./-*{}<>$".contains(c);
    for (path, text) in documents() {
        for span in code(&text) {
            for word in words(&span, is_part) {
                let word = word.trim_end_matches('.');
                let is_path = FOLDERS.iter().any(|folder| word.starts_with(folder))
                    && !word.contains(['*', '{', '<', '$'])
                    // Written by whoever runs it.
                    && !word.ends_with(".env");
                if is_path {
                    assert!(
                        root().join(word).exists(),
                        "{}: there is no {word}",
                        path.display()
                    );
                }
            }
        }
    }
}
