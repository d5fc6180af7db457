//! The `sockeye` command. Without arguments it is `sockeye serve`: Socket.IO with the chat demo on loopback.

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
    Serve(serve::ServeArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let serve = match cli.command {
        Some(Command::Serve(args)) => args,
        None => cli.serve,
    };
    match serve.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sockeye: {error:#}");
            ExitCode::FAILURE
        }
    }
}
