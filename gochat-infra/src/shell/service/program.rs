//! What a service tells the shell about itself.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::process::Process;
use super::settings::Settings;
use crate::shell::Failed;

/// A service that runs as a process of its own in a cluster.
pub trait Program: Sized + Send + Sync + 'static {
    /// Name in the registry, in logs and in the config centre, such as `im-logic`.
    const NAME: &'static str;
    /// Section of the settings that holds [`Config`](Self::Config), such as `logic`.
    const SECTION: &'static str;
    /// One sentence for `--help`.
    const ABOUT: &'static str;
    /// How long a graceful stop may take.
    const STOP_WITHIN: Duration = Duration::from_secs(10);
    /// Environment variables of its own and the settings they stand for, besides those all services share.
    const VARIABLES: &'static [(&'static str, &'static str)] = &[];
    /// Settings that are read and never shown, with an empty default.
    const SECRETS: &'static [&'static str] = &[];
    /// Rate limit rules of the config centre and the settings they stand for.
    const RULES: &'static [(&'static str, &'static str)] = &[];

    /// Components of the config centre besides the common ones, and the settings they fill.
    const COMPONENTS: &'static [(&'static str, &'static str)] = &[];

    /// Its own settings.
    type Config: Default + Clone + Debug + Serialize + DeserializeOwned + Send + Sync;

    /// Defaults where they differ from those of the types, such as ports.
    fn defaults() -> Settings<Self::Config> {
        Settings::default()
    }

    /// Settings that follow from environment variables but are not just their text: variable, setting, value.
    fn derived(_vars: &[(String, String)]) -> Vec<(&'static str, &'static str, String)> {
        Vec::new()
    }

    /// What no single field can tell.
    fn check(settings: &Settings<Self::Config>) -> Vec<String>;

    /// Binds, serves until the process is told to stop, and stops.
    fn run(process: Process<Self>) -> impl Future<Output = Result<(), Failed>> + Send;
}
