//! gochat-core stays embeddable: its dependency tree holds no runtime and no I/O.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// What core may be built of. A name that is missing here needs a good reason, not a longer list.
const ALLOWED: &[&str] = &[
    // chosen by core
    "serde",
    "serde_json",
    "thiserror",
    "hashbrown",
    // normal forms, identifier rules, scripts and look-alikes are tables of the Unicode Consortium
    "precis-profiles",
    "unicode-normalization",
    "unicode-properties",
    "unicode-script",
    "unicode-security",
    "unicode-segmentation",
    // the hash of proofs of work: pure code, and nobody should write one more SHA-256
    "sha2",
    "digest",
    "block-buffer",
    "const-oid",
    "crypto-common",
    "hybrid-array",
    "typenum",
    "cpufeatures",
    "cfg-if",
    // what those bring along
    "allocator-api2",
    "equivalent",
    "foldhash",
    "itoa",
    "memchr",
    "ryu",
    "zmij",
    "serde_core",
    "precis-core",
    "tinyvec",
    // build time only
    "serde_derive",
    "thiserror-impl",
    "proc-macro2",
    "quote",
    "syn",
    "unicode-ident",
];

#[test]
fn the_dependency_tree_holds_no_runtime_and_no_io() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "gochat-core",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .args(["--format", "{lib}|{p}", "--offline", "--locked"])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("cargo prints text");
    let found: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split('|').nth(1)?.split(' ').next())
        .filter(|name| *name != "gochat-core")
        .collect();
    assert!(found.contains("serde"), "the tree was read: {text}");
    let stray: Vec<_> = found
        .iter()
        .filter(|name| !ALLOWED.contains(name))
        .collect();
    assert!(stray.is_empty(), "gochat-core must not depend on {stray:?}");
}
