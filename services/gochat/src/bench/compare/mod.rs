//! `bench compare`: two programs in turn, each time on fresh data; ratios with their spread.
//!
//! Machines change from minute to minute, so one program's figure says little: A and B run in turn
//! (A B, then B A, …), the server on other processors than the load, and what is read is the ratio
//! of the medians. The load comes from this program for both.

mod cores;
mod figures;
mod program;
mod report;
mod rows;
mod server;
mod turn;

use std::process::ExitCode;

use super::Result;
use super::args::CompareArgs;
use cores::Cores;
use figures::Samples;
use program::Program;
use rows::Row;
use turn::Turn;

pub(super) async fn run(args: CompareArgs) -> Result<ExitCode> {
    if args.list {
        print!("{}", report::rows());
        return Ok(ExitCode::SUCCESS);
    }
    tokio::select! {
        outcome = compare(args) => outcome,
        // Servers and loads end with what holds them; their data goes, too.
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    }
}

async fn compare(args: CompareArgs) -> Result<ExitCode> {
    let rows = rows::chosen(&args.rows)?;
    let cores = Cores::new(&args)?;
    let names = [args.before.as_str(), args.now.as_str()];
    let settings = [&args.set_before, &args.set_now];
    let mut programs = Vec::new();
    for (name, own) in names.into_iter().zip(settings) {
        let settings = args.set.iter().chain(own).cloned().collect();
        programs.push(Program::find(name, settings).await?);
    }
    let rounds = args.rounds.max(1);
    let mut compared = Vec::new();
    for row in rows {
        let samples = measure(row, &programs, rounds, &cores).await?;
        let figures = figures::compare(row, &samples);
        print!("{}", report::table(row, names, &figures));
        compared.push((row, figures));
    }
    println!("{}", report::line(&args, names, &compared));
    let worst = compared.iter().flat_map(|(_, figures)| figures);
    let is_worse = |floor: f64| worst.clone().any(|figure| figure.gain() < floor);
    Ok(match args.floor {
        Some(floor) if is_worse(floor) => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}

/// Both programs in turn; who begins alternates, so that neither always meets a warmer machine.
async fn measure(
    row: &Row,
    programs: &[Program],
    rounds: u32,
    cores: &Cores,
) -> Result<[Samples; 2]> {
    let mut samples = [Samples::new(), Samples::new()];
    for round in 0..rounds {
        for place in 0..2 {
            let which = (place + round as usize) % 2;
            let program = &programs[which];
            let (id, n) = (row.id, round + 1);
            eprintln!("{id}, round {n} of {rounds}: {}", program.name);
            let turn = Turn {
                row,
                program,
                cores,
            };
            samples[which].push(turn.run().await?);
        }
    }
    Ok(samples)
}
