//! Which build this is.

/// Version of the workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Commit the build came from, when whoever built it said so (`GOCHAT_COMMIT` at build time).
pub const COMMIT: &str = match option_env!("GOCHAT_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
