//! `sockeye completions` and `sockeye man`: what a package brings along, made from the flags themselves.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;

/// The flags of `sockeye completions`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  sockeye completions bash > ~/.local/share/bash-completion/completions/sockeye
  sockeye completions zsh > ~/.zfunc/_sockeye          with fpath+=~/.zfunc before compinit
  sockeye completions fish > ~/.config/fish/completions/sockeye.fish")]
pub(crate) struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

impl CompletionsArgs {
    pub(crate) fn run(self, mut command: Command) -> ExitCode {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "sockeye", &mut script);
        // Whoever has stopped reading needs no complaint.
        let _ = std::io::stdout().write_all(&script);
        ExitCode::SUCCESS
    }
}

/// The flags of `sockeye man`.
#[derive(Args)]
#[command(after_help = "\
Example:
  sockeye man ~/.local/share/man/man1 && man sockeye-doctor")]
pub(crate) struct ManArgs {
    /// Where to write them; made if it is not there
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

impl ManArgs {
    pub(crate) fn run(self, command: Command) -> anyhow::Result<ExitCode> {
        let shown = self.directory.display();
        std::fs::create_dir_all(&self.directory).with_context(|| format!("{shown}"))?;
        clap_mangen::generate_to(command.disable_help_subcommand(true), &self.directory)
            .with_context(|| format!("{shown}"))?;
        Ok(ExitCode::SUCCESS)
    }
}
