//! `sockeye bench`: what a Socket.IO server costs, by a client that costs next to nothing.
//!
//! | noun | file |
//! |---|---|
//! | flags | `args.rs` |
//! | where to | `target.rs`, over what `stream.rs`, `tls.rs`, `http.rs` |
//! | what is said, made once | `words.rs` |
//! | what is expected, compared | `answer.rs` |
//! | the client that learns it | `probe.rs` |
//! | one thread of clients | `driver.rs` with `line.rs`; over long-polling `polling.rs` |
//! | what they do | `scenario/` |
//! | when | `pace.rs`, `timer.rs` |
//! | phases, counts | `shared.rs`, `tally.rs`, `process.rs` |
//! | from flags to threads | `plan.rs`; a run's course `conduct.rs` |
//! | what came of it | `report.rs`, `assertion.rs` |

mod answer;
mod args;
mod assertion;
mod conduct;
mod driver;
mod http;
mod line;
mod pace;
mod plan;
mod polling;
mod probe;
mod process;
mod report;
mod scenario;
mod shared;
mod stream;
mod tally;
mod target;
mod timer;
mod tls;
mod words;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub(crate) use args::BenchArgs;

/// An `--assert` does not hold.
const NOT_MET: u8 = 3;
/// 128 + SIGINT, as a shell would report it.
const INTERRUPTED: u8 = 130;

impl BenchArgs {
    /// Measures and prints. An error is why nothing could be measured.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(assertion) =
            self.assertions.iter().find(|assertion| assertion.needs_server() && self.pid.is_empty())
        {
            bail!("--assert {assertion} asks about the server's process; name it with --pid");
        }
        let processes = process::Processes::new(&self.pid)?;
        let plan = plan::Plan::new(&self)?;
        open_files(plan.sockets())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the runtime cannot start")?;
        let report = runtime.block_on(conduct::conduct(&self, plan, processes))?;
        let text = match (self.json, self.markdown) {
            (true, _) => report.json(),
            (_, true) => report.markdown(),
            _ => report.text(),
        };
        // A reader that has gone away does not want the rest.
        let _ = std::io::stdout().write_all(text.as_bytes());
        Ok(match (report.is_interrupted, report.holds()) {
            (true, _) => ExitCode::from(INTERRUPTED),
            (_, true) => ExitCode::SUCCESS,
            (_, false) => ExitCode::from(NOT_MET),
        })
    }
}

/// Raises the limit of open files as far as it goes, and says so if that is not enough.
fn open_files(sockets: u64) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    // A refusal shows in what is in force afterwards.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    if let Some(most) = getrlimit(Resource::Nofile).current {
        let needed = sockets + 64;
        ensure!(most >= needed, "{needed} open files are needed and {most} allowed; see `ulimit -n`");
    }
    Ok(())
}
