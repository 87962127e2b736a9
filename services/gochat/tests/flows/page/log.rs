//! The page's copy of a conversation, under pushes that are lost, doubled and late.

use std::process::Command;

/// Run by Node where that is installed.
#[test]
fn pages_end_with_the_state_of_the_server() {
    let text = include_str!("../../../../im-gateway/assets/chat/text.js");
    let log = include_str!("../../../../im-gateway/assets/chat/log.js");
    let modules = [text, log].concat().replace("import {", "// import {");
    let script = [&modules, include_str!("log_test.js")].concat();
    let node = Command::new("node")
        .args(["--input-type=module", "-e", &script])
        .output();
    let Ok(run) = node else {
        eprintln!("skipped: Node is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    assert_eq!(
        String::from_utf8_lossy(&run.stdout).trim(),
        "300 pages are right"
    );
}
