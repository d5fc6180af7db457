//! Starting other programs: seen as they speak, ended when they take too long, never left behind.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_path_buf()
}

/// The cargo that runs us, so that a toolchain chosen with `cargo +x` stays chosen.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// How a program ended.
pub(crate) enum Ending {
    /// With exit code 0.
    Good,
    /// With another code, or by a signal; the text says which.
    Bad(String),
}

/// Runs `command` with its standard output shown and handed to `line`, line by line.
///
/// It is ended when `limit` has passed. Its standard input is closed: nothing here may wait for a person.
pub(crate) fn watch(command: &mut Command, limit: Duration, mut line: impl FnMut(&str)) -> Ending {
    let mut child = match command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => return Ending::Bad(format!("{}: {error}", command.get_program().to_string_lossy())),
    };
    let (sender, receiver) = channel();
    let stdout = child.stdout.take().expect("piped above");
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
            if sender.send(String::from_utf8_lossy(&bytes).trim_end().to_owned()).is_err() {
                break;
            }
            bytes.clear();
        }
    });
    let end = Instant::now() + limit;
    loop {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(text) => {
                println!("{text}");
                line(&text);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                let _ = child.wait();
                return Ending::Bad(format!("still running after {} s: ended", limit.as_secs()));
            }
        }
    }
    match child.wait() {
        Ok(status) if status.success() => Ending::Good,
        Ok(status) => Ending::Bad(status.to_string()),
        Err(error) => Ending::Bad(error.to_string()),
    }
}

/// Runs `command` without showing anything; its standard output, or what it said when it failed.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let said =
            if said.is_empty() { String::from_utf8_lossy(&output.stdout).trim().to_owned() } else { said };
        Err(format!("{} ({})", said, output.status))
    }
}

/// Whether a program of this name can be started.
pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}
