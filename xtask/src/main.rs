//! The project's own commands: `cargo xtask check`, `cargo xtask test`, `cargo xtask autobahn`.
//!
//! They need the Rust toolchain, gcc, Node.js, Python 3 and (to install what is missing) apt. They must never
//! touch anything outside the repository except those installations, and never leave a process behind.

mod autobahn;
mod check;
mod perf;
mod process;
mod setup;
mod soak;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
The project's own commands.

  cargo xtask check               format, lints, docs, wasm, who may depend on whom, licences, file hygiene
      --only NAME                 one step only (may be repeated)
      --list                      the steps
  cargo xtask test                every test there is; the last line is `N passed, N failed, N skipped`
      --only NAME                 one suite only (may be repeated)
      --list                      the suites
      --filter TEXT               tests whose name contains TEXT (cargo, Node and Python suites alike)
      --reference                 the scenarios against npm socket.io instead of Sockeye
  cargo xtask autobahn [ARGS]     the Autobahn TestSuite against our WebSocket framing (needs Python 2.7)
  cargo xtask perf [--record]     instructions of the hot paths against bench/counts/baseline.txt (needs valgrind)
  cargo xtask soak [ARGS]         the Rust client at our server for a long time, with connections that break at random
      --clients N --seconds N     default 1000 and 600
  cargo xtask help                this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else {
        print!("{HELP}");
        return ExitCode::from(2);
    };
    match command.as_str() {
        "check" => check::run(rest),
        "test" => test::run(rest),
        "autobahn" => autobahn::run(rest),
        "perf" => perf::run(rest),
        "soak" => soak::run(rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        other => {
            eprintln!("xtask: there is no command `{other}`\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}
