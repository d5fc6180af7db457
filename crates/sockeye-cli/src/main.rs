//! The `sockeye` command: a server, and tools that speak Socket.IO to any. Without arguments it is `sockeye serve`:
//! Socket.IO with the chat demo on loopback.

mod bench;
mod connect;
mod doctor;
mod emit;
mod listen;
mod options;
mod papers;
mod serve;
mod session;
mod values;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A Socket.IO server that needs no code, and tools that speak to any.
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
    /// Talk to a server: a prompt, and events as they come
    Connect(connect::ConnectArgs),
    /// Send one event, and perhaps print its answer
    Emit(emit::EmitArgs),
    /// Print events as they come, for people or as JSON
    Listen(listen::ListenArgs),
    /// Find out why clients cannot connect, and how to mend it
    Doctor(doctor::DoctorArgs),
    /// Measure a Socket.IO server: latency, throughput, cost
    Bench(Box<bench::BenchArgs>),
    /// Print what lets a shell complete this command
    Completions(papers::CompletionsArgs),
    /// Write the man pages
    Man(papers::ManArgs),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(refused) => return refuse(&refused),
    };
    // What these cannot do anything about by themselves is told by their exit codes; an error is wrong usage.
    let done = match cli.command {
        Some(Command::Connect(args)) => args.run(),
        Some(Command::Emit(args)) => args.run(),
        Some(Command::Listen(args)) => args.run(),
        Some(Command::Doctor(args)) => args.run(),
        Some(Command::Completions(args)) => Ok(args.run(Cli::command())),
        Some(Command::Man(args)) => args.run(Cli::command()),
        Some(Command::Bench(args)) => return args.run().unwrap_or_else(|error| complain(&error, 1)),
        Some(Command::Serve(args)) => return serve(*args),
        None => return serve(cli.serve),
    };
    done.unwrap_or_else(|error| complain(&error, 2))
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
