//! `gochat migrate status|up|down|dump`, on the embedded database or on MySQL.
//!
//! MySQL is reached by the variables the services read; a password on the command line would be
//! seen by everybody on the machine.

use gochat_infra::os::explain;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use gochat_infra::embedded::sqlite::SqliteDatabase;
use gochat_infra::ids::now_ms;
use gochat_infra::port::db::{DbError, MigrationStatus, SharedDatabase};

use super::{ConfigArgs, Failure, Outcome, block_on};
use crate::config::Config;

/// Flags of `migrate`.
#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Which database. MySQL (and MariaDB) is the one named by DB_HOST, DB_PORT, DB_USER,
    /// DB_PASSWORD and DB_NAME.
    #[arg(long, value_enum, default_value_t = Backend::Sqlite)]
    database: Backend,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Backend {
    Sqlite,
    Mysql,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List migrations; exit code 1 while some wait.
    Status,
    /// Apply what waits. The server does this at start.
    Up,
    /// Take the newest applied migration back. Loses what its tables held.
    Down {
        /// How many to take back.
        #[arg(long, default_value_t = 1)]
        steps: u32,
        /// Don't ask.
        #[arg(long)]
        yes: bool,
    },
    /// Print the schema as SQL, for those who apply schemas by hand.
    Dump {
        /// In which dialect.
        #[arg(value_enum)]
        dialect: Backend,
    },
}

/// Runs one action.
pub(super) fn run(args: MigrateArgs) -> Outcome {
    if let Action::Dump { dialect } = args.action {
        print!("{}", dump(dialect)?);
        return Ok(ExitCode::SUCCESS);
    }
    let config = args.config.load()?;
    block_on(async {
        let db = open(args.database, &config).await?;
        let code = act(&db, args.action).await?;
        db.close().await.map_err(failed)?;
        Ok(code)
    })
}

fn failed(e: DbError) -> Failure {
    Failure::new(e.to_string())
}

async fn open(backend: Backend, config: &Config) -> Result<SharedDatabase, Failure> {
    match backend {
        Backend::Sqlite => {
            std::fs::create_dir_all(&config.data_dir)
                .map_err(|e| explain("make the data folder", config.data_dir.display(), &e))
                .map_err(Failure::new)?;
            let db = SqliteDatabase::open(config.database()).map_err(failed)?;
            Ok(Arc::new(db))
        }
        Backend::Mysql => mysql::open().await,
    }
}

fn dump(dialect: Backend) -> Result<String, Failure> {
    match dialect {
        Backend::Sqlite => Ok(gochat_infra::embedded::sqlite::dump()),
        Backend::Mysql => mysql::dump(),
    }
}

async fn act(db: &SharedDatabase, action: Action) -> Outcome {
    match action {
        Action::Status => {
            let all = db.migration_status().await.map_err(failed)?;
            all.iter().for_each(print);
            let waiting = all
                .iter()
                .any(|m| m.applied_at.is_none() || !m.checksum_matches);
            Ok(if waiting {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            })
        }
        Action::Up => {
            let applied = db.migrate_up(now_ms()).await.map_err(failed)?;
            applied.iter().for_each(print);
            println!("{} applied", applied.len());
            Ok(ExitCode::SUCCESS)
        }
        Action::Down { steps, yes } => {
            if !yes && !confirmed()? {
                return Err(Failure::new("nothing was changed"));
            }
            let taken = db.migrate_down(steps).await.map_err(failed)?;
            taken.iter().for_each(print);
            println!("{} taken back", taken.len());
            Ok(ExitCode::SUCCESS)
        }
        Action::Dump { dialect } => {
            print!("{}", dump(dialect)?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[cfg(feature = "mysql")]
mod mysql {
    use std::sync::Arc;

    use gochat_infra::cluster::mysql::{MysqlConfig, MysqlDatabase};
    use gochat_infra::port::db::SharedDatabase;

    use super::{Failure, failed};

    /// The database the services' variables name, with the services' defaults.
    pub(super) async fn open() -> Result<SharedDatabase, Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let mut config = MysqlConfig::default();
        if let Some(host) = variable("DB_HOST") {
            config.host = host;
        }
        if let Some(port) = variable("DB_PORT") {
            config.port = port
                .parse()
                .map_err(|_| Failure::new(format!("DB_PORT: {port} is no port")))?;
        }
        if let Some(user) = variable("DB_USER").or_else(|| variable("DB_USERNAME")) {
            config.user = user;
        }
        if let Some(name) = variable("DB_NAME") {
            config.name = name;
        }
        config.password = variable("DB_PASSWORD");
        let db = MysqlDatabase::connect(config).await.map_err(failed)?;
        Ok(Arc::new(db))
    }

    pub(super) fn dump() -> Result<String, Failure> {
        Ok(gochat_infra::cluster::mysql::dump())
    }
}

#[cfg(not(feature = "mysql"))]
mod mysql {
    use gochat_infra::port::db::SharedDatabase;

    use super::Failure;

    fn missing() -> Failure {
        Failure::new("this program was built without MySQL: build it with `--features mysql`")
    }

    pub(super) async fn open() -> Result<SharedDatabase, Failure> {
        Err(missing())
    }

    pub(super) fn dump() -> Result<String, Failure> {
        Err(missing())
    }
}

fn print(m: &MigrationStatus) {
    let state = match (m.applied_at, m.checksum_matches) {
        (None, _) => "waiting",
        (Some(_), true) => "applied",
        (Some(_), false) => "applied, but its text has changed since",
    };
    println!("{:04} {:<30} {state}", m.number, m.name);
}

fn confirmed() -> Result<bool, Failure> {
    eprint!("This deletes the data of the tables it drops. Go on? [y/N] ");
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|e| Failure::new(e.to_string()))?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}
