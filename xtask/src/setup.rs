//! Installing what the tests need and the machine lacks: npm packages, a Python environment, Debian packages.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process;

const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Installs what `package-lock.json` in `directory` names, unless that was done already.
pub(crate) fn npm(directory: &Path) -> Result<(), String> {
    if !process::exists("npm") {
        debian("npm", &["nodejs", "npm"])?;
    }
    let lock = std::fs::read(directory.join("package-lock.json"))
        .map_err(|error| format!("{}: {error}", directory.join("package-lock.json").display()))?;
    let stamp = directory.join("node_modules/.sockeye-lock");
    if std::fs::read(&stamp).is_ok_and(|seen| seen == lock) {
        return Ok(());
    }
    println!("xtask: npm ci in {}", shown(directory));
    let mut command = Command::new("npm");
    command.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]);
    run(command.current_dir(directory), "npm ci")?;
    std::fs::write(&stamp, &lock).map_err(|error| format!("{}: {error}", stamp.display()))
}

/// A Python environment with the packages of `requirements`; the path of its interpreter.
pub(crate) fn python(environment: &Path, requirements: &Path) -> Result<PathBuf, String> {
    let wanted =
        std::fs::read(requirements).map_err(|error| format!("{}: {error}", requirements.display()))?;
    let interpreter = environment.join("bin/python");
    let stamp = environment.join("requirements.installed");
    if interpreter.exists() && std::fs::read(&stamp).is_ok_and(|seen| seen == wanted) {
        return Ok(interpreter);
    }
    if !process::exists("python3") {
        debian("python3", &["python3", "python3-venv"])?;
    }
    println!("xtask: Python environment in {}", shown(environment));
    let _ = std::fs::remove_dir_all(environment);
    let make = || {
        let mut command = Command::new("python3");
        process::output(command.args(["-m", "venv"]).arg(environment))
    };
    // Debian keeps the part of venv that makes pip in a package of its own.
    if make().is_err() {
        debian("python3-venv", &["python3-venv"])?;
        let _ = std::fs::remove_dir_all(environment);
        make()?;
    }
    let mut command = Command::new(&interpreter);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    run(command.arg(requirements), "pip install")?;
    std::fs::write(&stamp, &wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(interpreter)
}

/// Debian's `redis-server`, which tests start for themselves: on free ports, keeping nothing, and as often as they
/// need one that goes away and comes back.
pub(crate) fn redis() -> Result<(), String> {
    if process::exists("redis-server") { Ok(()) } else { debian("redis-server", &["redis-server"]) }
}

/// Debian's `haproxy`, for servers behind a load balancer. It lies where only root looks for programs.
pub(crate) fn haproxy() -> Result<(), String> {
    if process::exists("haproxy") || Path::new("/usr/sbin/haproxy").is_file() {
        return Ok(());
    }
    debian("haproxy", &["haproxy"])
}

/// Installs Debian packages. `what` is what they are needed for.
pub(crate) fn debian(what: &str, packages: &[&str]) -> Result<(), String> {
    if !process::exists("apt-get") {
        return Err(format!("{what} is missing and there is no apt-get to install {}", packages.join(", ")));
    }
    println!("xtask: apt-get install {}", packages.join(" "));
    let apt = |arguments: &[&str]| {
        // A user who is not root is asked for nothing: either sudo needs no password, or it fails at once.
        let root = process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
        let mut command = Command::new(if root { "apt-get" } else { "sudo" });
        if !root {
            command.args(["-n", "apt-get"]);
        }
        command
            .args(["-qq", "-y", "-o", "Dpkg::Use-Pty=0"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        run(&mut command, "apt-get")
    };
    let install: Vec<&str> = ["install", "--no-install-recommends"].iter().chain(packages).copied().collect();
    // The lists of a fresh machine are empty or old: then, and only then, they are fetched.
    if apt(&install).is_err() {
        apt(&["update"])?;
        apt(&install)?;
    }
    Ok(())
}

fn run(command: &mut Command, name: &str) -> Result<(), String> {
    match process::watch(command, LIMIT, |_| {}) {
        process::Ending::Good => Ok(()),
        process::Ending::Bad(how) => Err(format!("{name}: {how}")),
    }
}

/// A path as people know it: from the root of the repository.
fn shown(path: &Path) -> String {
    path.strip_prefix(process::root()).unwrap_or(path).display().to_string()
}
