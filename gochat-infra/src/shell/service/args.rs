//! The command line of a service.

use std::path::PathBuf;
use std::sync::OnceLock;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser};

use super::program::Program;
use crate::shell::build;

/// Flags every service has.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Flags {
    /// Settings file: .yaml, .toml or .json.
    #[arg(long, value_name = "FILE", env = "CONFIG_PATH")]
    pub(super) config: Option<PathBuf>,
    /// debug, info, warn, error, or a filter such as info,im_logic=debug.
    #[arg(long, value_name = "LEVEL")]
    pub(super) log_level: Option<String>,
    /// Set any setting; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Print every setting with its value as JSON (secrets left out) and exit.
    #[arg(long)]
    pub(super) dump_config: bool,
    /// Check the settings and exit: 0 = usable, 64 = not, with everything that is wrong.
    #[arg(long)]
    pub(super) check_config: bool,
}

#[derive(Debug, Parser)]
#[command(version)]
struct Line {
    #[command(flatten)]
    flags: Flags,
}

/// Parses the command line; `--help` and mistakes end the process here.
pub(super) fn parse<P: Program>() -> Flags {
    let help = format!(
        "Settings come from defaults < --config FILE < config centre < environment < flags.\n\
         GOCHAT_{}__KEY=VALUE and --set {}.key=value mean the same; docs/configuration.md lists them all.",
        P::SECTION.to_uppercase(),
        P::SECTION
    );
    static VERSION: OnceLock<String> = OnceLock::new();
    let version = VERSION.get_or_init(|| format!("{} ({})", build::VERSION, build::COMMIT));
    let command = Line::command()
        .name(P::NAME)
        .about(P::ABOUT)
        .version(version.as_str())
        .after_help(help);
    let matches = command.get_matches();
    match Line::from_arg_matches(&matches) {
        Ok(line) => line.flags,
        Err(error) => error.exit(),
    }
}

impl Flags {
    /// The flags that are short cuts for settings, as assignments.
    pub(super) fn assignments(&self) -> Vec<String> {
        let level = self.log_level.iter().map(|l| format!("log.level={l}"));
        self.set.iter().cloned().chain(level).collect()
    }
}
