//! `gochat migrate status|up|down` on the embedded database.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gochat_infra::embedded::sqlite::SqliteDatabase;
use gochat_infra::ids::now_ms;
use gochat_infra::port::db::{Database as _, MigrationStatus, Migrator as _};

use super::{ConfigArgs, Failure, Outcome, block_on};

/// Flags of `migrate`.
#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    action: Action,
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
}

/// Runs one action.
pub(super) fn run(args: MigrateArgs) -> Outcome {
    let config = args.config.load()?;
    block_on(async {
        std::fs::create_dir_all(&config.data_dir)
            .map_err(|e| Failure::new(format!("{}: {e}", config.data_dir.display())))?;
        let db =
            SqliteDatabase::open(config.database()).map_err(|e| Failure::new(e.to_string()))?;
        let failed = |e: gochat_infra::port::db::DbError| Failure::new(e.to_string());
        let code = match args.action {
            Action::Status => {
                let all = db.migration_status().await.map_err(failed)?;
                all.iter().for_each(print);
                let waiting = all
                    .iter()
                    .any(|m| m.applied_at.is_none() || !m.checksum_matches);
                if waiting {
                    ExitCode::FAILURE
                } else {
                    ExitCode::SUCCESS
                }
            }
            Action::Up => {
                let applied = db.migrate_up(now_ms()).await.map_err(failed)?;
                applied.iter().for_each(print);
                println!("{} applied", applied.len());
                ExitCode::SUCCESS
            }
            Action::Down { steps, yes } => {
                if !yes && !confirmed()? {
                    return Err(Failure::new("nothing was changed"));
                }
                let taken = db.migrate_down(steps).await.map_err(failed)?;
                taken.iter().for_each(print);
                println!("{} taken back", taken.len());
                ExitCode::SUCCESS
            }
        };
        db.close().await.map_err(failed)?;
        Ok(code)
    })
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
