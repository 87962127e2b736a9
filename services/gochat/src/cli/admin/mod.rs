//! `gochat admin`: accounts, signing keys and audit records, for operators.
//!
//! Talks to the running server through the socket in its data folder, or to an im-logic of a
//! cluster. When no server runs, the data folder is opened by the command itself.

mod show;
mod target;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gochat_core::error::ErrorCode;
use gochat_infra::rpc::{Channel, error_from};
use gochat_proto::im::logic::v1 as pb;
use pb::admin_service_client::AdminServiceClient;

use super::{ConfigArgs, Failure, Outcome, block_on};
use target::Target;

const AFTER_HELP: &str = "\
The command needs the running server's data folder (its socket admin.sock is for the owner of the
folder only), or --logic with the internal gRPC address of an im-logic. Without a running server it
opens the data folder itself. Every act that changes something is written to the audit records
first, under your name, and is refused when that fails.

Examples:
  gochat admin user disable mallory --reason 'spam'
  gochat admin user reset-password ann
  gochat admin keys rotate
  gochat admin keys revoke 019ac2d0f7c07d5ab1c5fd5d4b9d7a52 --reason 'found in a backup'
  gochat admin audit --user mallory --since 7d
  gochat admin --logic 10.0.0.5:9001 --ca ca.pem --cert op.pem --key op.key user show ann";

/// Flags of `admin`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct AdminArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    logic: target::LogicArgs,
    /// Name under which the act is recorded [default: the user of the operating system].
    #[arg(long, global = true, value_name = "NAME")]
    operator: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show and change accounts.
    #[command(subcommand)]
    User(UserCommand),
    /// List, rotate and revoke the keys that sign tokens.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// List audit records, newest first.
    Audit(AuditArgs),
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Show an account.
    Show(Named),
    /// Disable an account: it can't sign in, and all its sessions end at once.
    Disable(Act),
    /// Enable a disabled account.
    Enable(Act),
    /// End all sessions of an account.
    SignOut(Act),
    /// Delete an account for good; its messages stay.
    Delete {
        #[command(flatten)]
        act: Act,
        /// Don't ask.
        #[arg(long)]
        yes: bool,
    },
    /// Set a new password and end all sessions.
    ResetPassword {
        #[command(flatten)]
        act: Act,
        /// Read the new password from standard input. Without it a random one is made and printed.
        #[arg(long)]
        stdin: bool,
    },
}

#[derive(Debug, Args)]
struct Named {
    /// Name of the account, or id:ID.
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Debug, Args)]
struct Act {
    #[command(flatten)]
    named: Named,
    /// Why; kept in the audit record.
    #[arg(long, default_value = "", value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Publish a new key. It signs after the lead time; nobody is signed out.
    Rotate,
    /// End a key at once, because somebody else may hold it. Its tokens are refused; whoever has no
    /// others signs in again, and guests lose their accounts. The key that signs gets a successor
    /// first, which signs at once.
    Revoke {
        /// Name of the key, as `gochat admin keys list` shows it.
        #[arg(value_name = "KID")]
        kid: String,
        /// Why; kept in the audit record.
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
        /// Don't ask.
        #[arg(long)]
        yes: bool,
    },
    /// List keys with their times and states.
    List,
}

#[derive(Debug, Args)]
struct AuditArgs {
    /// Only records in which this account acted or was acted upon; NAME or id:ID.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only this action, or a family of actions: session, user, group, admin.
    #[arg(long, default_value = "", value_name = "ACTION")]
    action: String,
    /// Only records from then on: a span such as 30m, 12h or 7d, or Unix seconds.
    #[arg(long, value_name = "WHEN", value_parser = show::since)]
    since: Option<i64>,
    /// Maximum number of records.
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
}

/// Runs one command.
pub(super) fn run(args: AdminArgs) -> Outcome {
    let operator = match args.operator {
        Some(name) => name,
        None => target::os_user(),
    };
    if let Command::User(UserCommand::Delete { act, yes: false }) = &args.command
        && !confirmed("Delete the account", &act.named.name)?
    {
        return Err(Failure::new("nothing was deleted"));
    }
    if let Command::Keys(KeysCommand::Revoke {
        kid, yes: false, ..
    }) = &args.command
        && !confirmed("Revoke the key", kid)?
    {
        return Err(Failure::new("nothing was revoked"));
    }
    let config = match args.logic.is_given() {
        true => None,
        false => Some(args.config.load()?),
    };
    block_on(async {
        let target = Box::pin(Target::reach(&args.logic, config)).await?;
        let client = AdminServiceClient::new(target.channel());
        let outcome = Box::pin(act(client, operator, args.command)).await;
        target.leave().await?;
        outcome.map_err(|failure| match failure.is_unreached() {
            true => args.logic.explain(failure),
            false => failure,
        })
    })
}

async fn act(
    mut client: AdminServiceClient<Channel>,
    operator: String,
    command: Command,
) -> Outcome {
    match command {
        Command::User(command) => user(client, operator, command).await?,
        Command::Keys(KeysCommand::Rotate) => {
            let answer = client.rotate_keys(pb::RotateKeysRequest { operator }).await;
            let key = answer
                .map_err(refused)?
                .into_inner()
                .key
                .unwrap_or_default();
            println!("published {}", key.kid);
            println!("it signs from {}", show::time(key.signs_from));
            println!(
                "nobody is signed out; the key before it verifies until its tokens have expired"
            );
        }
        Command::Keys(KeysCommand::Revoke { kid, reason, .. }) => {
            let request = pb::RevokeKeyRequest {
                operator,
                kid: kid.clone(),
                reason,
            };
            let answer = client.revoke_key(request).await.map_err(refused)?;
            println!("revoked {kid}");
            if let Some(key) = answer.into_inner().successor {
                println!(
                    "published {}, which signs from {}",
                    key.kid,
                    show::time(key.signs_from)
                );
            }
            println!(
                "open sockets must show another token now; every gateway refuses tokens of the key \
                 within keys_refresh_s of im-logic and its own (20 s together by default)"
            );
        }
        Command::Keys(KeysCommand::List) => {
            let answer = client.list_keys(pb::ListKeysRequest { operator }).await;
            show::keys(&answer.map_err(refused)?.into_inner().keys);
        }
        Command::Audit(args) => audit(client, operator, args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn user(
    mut client: AdminServiceClient<Channel>,
    operator: String,
    command: UserCommand,
) -> Result<(), Failure> {
    match command {
        UserCommand::Show(named) => {
            let user = Some(selector(&named.name));
            let request = pb::ShowUserRequest { operator, user };
            let answer = client.show_user(request).await.map_err(refused)?;
            show::user(&answer.into_inner());
        }
        UserCommand::Disable(Act { named, reason }) => {
            let user = Some(selector(&named.name));
            let request = pb::DisableUserRequest {
                operator,
                user,
                reason,
            };
            client.disable_user(request).await.map_err(refused)?;
            println!("{} is disabled and signed out everywhere", named.name);
        }
        UserCommand::Enable(Act { named, reason }) => {
            let user = Some(selector(&named.name));
            let request = pb::EnableUserRequest {
                operator,
                user,
                reason,
            };
            client.enable_user(request).await.map_err(refused)?;
            println!("{} is enabled", named.name);
        }
        UserCommand::SignOut(Act { named, reason }) => {
            let user = Some(selector(&named.name));
            let request = pb::SignOutUserRequest {
                operator,
                user,
                reason,
            };
            client.sign_out_user(request).await.map_err(refused)?;
            println!("{} is signed out everywhere", named.name);
        }
        UserCommand::Delete {
            act: Act { named, reason },
            ..
        } => {
            let user = Some(selector(&named.name));
            let request = pb::DeleteUserRequest {
                operator,
                user,
                reason,
            };
            client.delete_user(request).await.map_err(refused)?;
            println!("{} is deleted", named.name);
        }
        UserCommand::ResetPassword {
            act: Act { named, reason },
            stdin,
        } => {
            let new_password = if stdin { first_line()? } else { String::new() };
            let request = pb::ResetPasswordRequest {
                operator,
                user: Some(selector(&named.name)),
                new_password,
                reason,
            };
            let answer = client.reset_password(request).await.map_err(refused)?;
            eprintln!(
                "{} has a new password and is signed out everywhere",
                named.name
            );
            let made = answer.into_inner().password;
            if !made.is_empty() {
                println!("{made}");
            }
        }
    }
    Ok(())
}

async fn audit(
    mut client: AdminServiceClient<Channel>,
    operator: String,
    args: AuditArgs,
) -> Result<(), Failure> {
    let mut left = args.limit;
    let mut before_id = 0;
    if !args.json {
        show::audit_head();
    }
    while left > 0 {
        let request = pb::ListAuditRequest {
            operator: operator.clone(),
            user: args.user.as_deref().map(selector),
            action: args.action.clone(),
            since: args.since.unwrap_or(0),
            before_id,
            limit: i32::try_from(left.min(500)).unwrap_or(500),
        };
        let page = client
            .list_audit(request)
            .await
            .map_err(refused)?
            .into_inner();
        left = left.saturating_sub(page.records.len());
        for record in &page.records {
            match args.json {
                true => println!("{}", show::audit_json(record)),
                false => show::audit(record),
            }
        }
        before_id = page.next_before_id;
        if before_id == 0 {
            break;
        }
    }
    Ok(())
}

/// `NAME`, or `id:ID`.
fn selector(name: &str) -> pb::UserSelector {
    match name.strip_prefix("id:") {
        Some(id) => pb::UserSelector {
            user_id: id.to_owned(),
            ..Default::default()
        },
        None => pb::UserSelector {
            username: name.to_owned(),
            ..Default::default()
        },
    }
}

fn refused(status: tonic::Status) -> Failure {
    let error = error_from(&status);
    let text = format!("{} ({})", error.message, error.code.code());
    match error.code {
        ErrorCode::ServiceUnavailable | ErrorCode::Timeout => Failure::unreached(text),
        _ => Failure::new(text),
    }
}

/// Asks before something that can't be undone; without a terminal only `--yes` says so.
fn confirmed(what: &str, name: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            "this can't be undone: say --yes when there is no terminal to ask on",
        ));
    }
    eprint!("{what} {name} for good? Type its name: ");
    let failed = |e: std::io::Error| Failure::new(e.to_string());
    std::io::stderr().flush().map_err(failed)?;
    Ok(first_line()? == name)
}

fn first_line() -> Result<String, Failure> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|e| Failure::new(format!("standard input: {e}")))?;
    let end = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(end);
    Ok(line)
}
