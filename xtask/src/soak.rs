//! `cargo xtask soak`: `bench/soak`, built for speed.

use std::process::ExitCode;
use std::time::Duration;

use crate::process::{self, Ending, watch};

/// Far more than anybody soaks for.
const LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn run(arguments: &[String]) -> ExitCode {
    let mut command = process::cargo();
    command.args(["run", "--release", "--locked", "--quiet", "--package", "soak", "--"]).args(arguments);
    match watch(&mut command, LIMIT, |_| {}) {
        Ending::Good => ExitCode::SUCCESS,
        Ending::Bad(how) => {
            eprintln!("xtask soak: {how}");
            ExitCode::FAILURE
        }
    }
}
