//! SIGINT and SIGTERM.

use std::io;
use std::process;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code after a second signal, as shells say "ended by SIGINT".
const IMPATIENT: i32 = 130;

/// Cancels the token at the first SIGINT or SIGTERM; a second one ends the process at once.
///
/// # Errors
/// When the system refuses to watch signals.
pub fn shutdown_on_signals() -> io::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let name = either(&mut term, &mut int).await;
        tracing::info!(signal = name, "stopping; a second signal stops at once");
        stop.cancel();
        let name = either(&mut term, &mut int).await;
        eprintln!("stopped at once by a second {name}");
        process::exit(IMPATIENT);
    });
    Ok(shutdown)
}

async fn either(term: &mut Signal, int: &mut Signal) -> &'static str {
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}
