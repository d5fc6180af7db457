//! The `sockeye` command. Without arguments it is `sockeye serve`: Socket.IO with the chat demo on loopback.

mod bench;
mod doctor;
mod options;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A Socket.IO server that needs no code.
///
/// Without a command it serves, as `sockeye serve` does.
#[derive(Parser)]
#[command(name = "sockeye", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Serve Socket.IO (the default command)
    Serve(Box<serve::ServeArgs>),
    /// Find out why clients cannot connect, and how to mend it
    Doctor(doctor::DoctorArgs),
    /// Measure a Socket.IO server: latency, throughput, cost
    Bench(Box<bench::BenchArgs>),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(refused) => return refuse(&refused),
    };
    match cli.command {
        Some(Command::Doctor(args)) => args.run().unwrap_or_else(|error| complain(&error, 2)),
        Some(Command::Bench(args)) => args.run().unwrap_or_else(|error| complain(&error, 1)),
        Some(Command::Serve(args)) => serve(*args),
        None => serve(cli.serve),
    }
}

fn serve(args: serve::ServeArgs) -> ExitCode {
    match args.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error, 1),
    }
}

/// One line that says what is wrong.
fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("sockeye: {error:#}");
    ExitCode::from(code)
}

/// Help and version as clap writes them; a wrong flag in one line that names it.
fn refuse(refused: &clap::Error) -> ExitCode {
    if !refused.use_stderr() {
        // A reader that has gone away does not want the rest.
        let _ = refused.print();
        return ExitCode::SUCCESS;
    }
    let text = refused.to_string();
    let cause: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let cause = cause.join(" ");
    eprintln!("sockeye: {} (see sockeye --help)", cause.strip_prefix("error: ").unwrap_or(&cause));
    ExitCode::from(2)
}
