//! The programs that are compared: files, or states of the source that are built first.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use gochat_infra::os::explained;
use tokio::process::Command;

use super::super::Result;

/// Where sources and programs of commits are kept, below the work tree.
const KEPT: &str = "target/compare";

/// A program with its settings.
pub(super) struct Program {
    /// As it was asked for.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) settings: Vec<String>,
}

impl Program {
    /// A file; or `.`, the work tree; or a commit, by any name that git knows.
    ///
    /// # Errors
    /// Names what is neither, or what does not build.
    pub(super) async fn find(name: &str, settings: Vec<String>) -> Result<Self> {
        let path = match Path::new(name) {
            file if file.is_file() => std::path::absolute(file)?,
            _ if name == "." => work_tree().await?,
            _ => commit(name).await?,
        };
        Ok(Self {
            name: name.to_owned(),
            path,
            settings,
        })
    }
}

async fn work_tree() -> Result<PathBuf> {
    let root = root().await?;
    let built = build(&root, &root.join("target")).await?;
    // A later build must not change what is measured.
    let kept = root.join(KEPT).join("work-tree");
    keep(&built, &kept)?;
    Ok(kept)
}

async fn commit(name: &str) -> Result<PathBuf> {
    let root = root()
        .await
        .map_err(|_| format!("\"{name}\" is no file, and there is no work tree here"))?;
    let revision = format!("{name}^{{commit}}");
    let id = git(&root, &["rev-parse", "--verify", "--quiet", &revision])
        .await
        .map_err(|_| format!("\"{name}\" is neither a program nor a commit"))?;
    let folder = root.join(KEPT);
    let kept = folder.join(format!("gochat-{id}"));
    if kept.is_file() {
        return Ok(kept);
    }
    let source = folder.join("source");
    let at = source.display().to_string();
    if source.join(".git").exists() {
        git(
            &source,
            &["checkout", "--quiet", "--detach", "--force", &id],
        )
        .await?;
    } else {
        std::fs::create_dir_all(&folder).map_err(explained("make", folder.display()))?;
        git(&root, &["worktree", "prune"]).await?;
        git(&root, &["worktree", "add", "--quiet", "--detach", &at, &id]).await?;
    }
    let built = build(&source, &folder.join("build")).await?;
    keep(&built, &kept)?;
    Ok(kept)
}

/// The folder of the work tree that this is called in.
async fn root() -> Result<PathBuf> {
    let here = std::env::current_dir()?;
    Ok(git(&here, &["rev-parse", "--show-toplevel"]).await?.into())
}

async fn git(folder: &Path, words: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args(words)
        .current_dir(folder)
        .output()
        .await
        .map_err(explained("run", "git"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(format!("git {}: {}", words.join(" "), why.trim()).into())
}

async fn build(source: &Path, target: &Path) -> Result<PathBuf> {
    eprintln!("building {} (minutes)", source.display());
    let status = Command::new("cargo")
        .args(["build", "--release", "--locked", "--bin", "gochat"])
        .current_dir(source)
        .env("CARGO_TARGET_DIR", target)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .map_err(explained("run", "cargo"))?;
    if !status.success() {
        return Err(format!("{} does not build", source.display()).into());
    }
    Ok(target.join("release/gochat"))
}

/// Copies a program in one step: a copy that was broken off must not be taken for it.
fn keep(built: &Path, kept: &Path) -> Result<()> {
    let folder = kept.parent().unwrap_or(kept);
    std::fs::create_dir_all(folder).map_err(explained("make", folder.display()))?;
    let unfinished = kept.with_extension("part");
    std::fs::copy(built, &unfinished).map_err(explained("copy", built.display()))?;
    std::fs::rename(&unfinished, kept).map_err(explained("write", kept.display()))?;
    Ok(())
}
