//! A worker process: opens connections, sends by the timetable, checks what arrives.
//!
//! Everything but the timetable lives on one thread, so nothing is locked per message; the
//! [`pacer`] has a thread of its own because only a sleeping thread wakes up in time.

pub(crate) mod connect;
mod pacer;
mod receive;
mod shared;
pub(crate) mod upgrade;
mod writer;

use std::io::BufRead as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::Result;
use super::plan::{Order, Plan, Word};
use shared::Shared;

pub(super) use shared::now_micros;

/// Runs until the parent says so.
pub(super) async fn run() -> Result<std::process::ExitCode> {
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(LocalSet::new().run_until(serve()))
    });
    let joined = tokio::task::spawn_blocking(|| thread.join()).await?;
    joined.map_err(|_| "the worker panicked")??;
    Ok(std::process::ExitCode::SUCCESS)
}

async fn serve() -> Result<()> {
    let mut lines = read_lines();
    let plan = lines.recv().await.ok_or("no plan")?;
    let shared = Rc::new(Shared::new(serde_json::from_str::<Plan>(&plan)?));
    drop(plan);
    tokio::task::spawn_local(housekeeping(shared.clone()));
    let mut pacer = None;
    while let Some(line) = lines.recv().await {
        match serde_json::from_str::<Order>(&line)? {
            Order::Connect(n) => {
                // Renewed tokens are heard meanwhile; other orders come when this one was answered.
                let shared = shared.clone();
                tokio::task::spawn_local(async move { connect::open_more(&shared, n).await });
            }
            Order::Renew(tokens) => shared.renew(tokens),
            Order::Disconnect => {
                shared.disconnect();
                say(&Word::Disconnected);
            }
            Order::Go {
                start,
                measure,
                end,
            } => {
                shared.measure_from.set(measure);
                shared.measure_to.set(end);
                if shared.plan.rate > 0.0 {
                    pacer = Some(pacer::start(&shared, start, end));
                } else if shared.plan.window > 0 {
                    shared.fill_windows(end);
                }
            }
            Order::Send => shared.send_one(0),
            Order::Finish => {
                let lag = pacer.take().map(pacer::Pacer::finish);
                say(&Word::Done(Box::new(shared.done(lag))));
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Once a second the progress; more often, what sockets did not take at once.
async fn housekeeping(shared: Rc<Shared>) {
    let mut told = Instant::now();
    loop {
        // Workers that only hold connections sleep: a million are held by fifty of them.
        let pause = if shared.sends() { 5 } else { 200 };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        shared.flush();
        if told.elapsed() >= Duration::from_secs(1) {
            told = Instant::now();
            say(&shared.progress());
        }
    }
}

/// One line to the parent.
fn say(word: &Word) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    // A parent that is gone is noticed at the end of stdin.
    let _ = serde_json::to_writer(&mut out, word).map(|()| out.write_all(b"\n"));
    let _ = out.flush();
}

fn read_lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
