//! Who may depend on whom, and how much a default `sockeye` brings along.

use std::collections::BTreeSet;

use super::Finding;
use super::manifests::{metadata, packages, text};
use crate::process;

/// The house (ARCHITECTURE.md): what each crate's code may use of ours. A crate that is not here may be used by
/// nobody, and may use all: an example, a benchmark, a conformance server.
const HOUSE: &[(&str, &[&str])] = &[
    ("sockeye-proto", &[]),
    ("sockeye-engine", &["sockeye-proto"]),
    ("sockeye-macros", &[]),
    ("sockeye-cluster", &["sockeye-proto"]),
    ("sockeye", &["sockeye-proto", "sockeye-engine", "sockeye-cluster", "sockeye-macros"]),
    ("sockeye-client", &["sockeye-proto", "sockeye-macros"]),
    ("sockeye-testkit", &["sockeye", "sockeye-proto"]),
    ("sockeye-redis", &["sockeye-cluster", "sockeye-proto"]),
    ("sockeye-server", &["sockeye", "sockeye-redis"]),
    ("sockeye-cli", &["sockeye-server", "sockeye-client", "sockeye-proto"]),
    ("xtask", &[]),
];

/// Compares the manifests with the house. Dev-dependencies are left out: tests may look from anywhere.
pub(super) fn check() -> Finding {
    let metadata = match metadata(false) {
        Ok(metadata) => metadata,
        Err(why) => return Finding::Bad(vec![why]),
    };
    let ours: BTreeSet<&str> = packages(&metadata).map(|package| text(package, "name")).collect();
    let mut bad = Vec::new();
    for package in packages(&metadata) {
        let name = text(package, "name");
        let house = HOUSE.iter().find(|(crate_name, _)| *crate_name == name);
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = text(dependency, "name");
            if !ours.contains(used) || dependency["kind"] == "dev" {
                continue;
            }
            match house {
                Some((_, allowed)) if !allowed.contains(&used) => {
                    bad.push(format!("{name} must not depend on {used}"));
                }
                None if !HOUSE.iter().any(|(crate_name, _)| *crate_name == used) => {
                    bad.push(format!("{name} must not depend on {used}, which is a leaf"));
                }
                _ => {}
            }
        }
    }
    for (name, _) in HOUSE.iter().filter(|(name, _)| !ours.contains(name)) {
        bad.push(format!("{name} is in the house but not in the workspace"));
    }
    if bad.is_empty() {
        Finding::Good(format!("{} crates keep the direction", ours.len()))
    } else {
        Finding::Bad(bad)
    }
}

/// More of other people's crates than this, and somebody should have asked whether the new one is worth it.
const CRATES: usize = 48;

/// Counts what a default `sockeye` links on this machine; compilers' helpers (derive macros) are told apart.
pub(super) fn size() -> Finding {
    let count = |edges: &str| {
        let mut command = process::cargo();
        command.args(["tree", "--locked", "--package", "sockeye", "--edges", edges, "--prefix", "none"]);
        let tree = process::output(command.args(["--no-dedupe", "--format", "{p}"]))?;
        let names = tree.lines().map(|line| line.split(" (").next().unwrap_or(line).trim().to_owned());
        Ok::<_, String>(
            names.filter(|name| !name.is_empty() && !name.starts_with("sockeye")).collect::<BTreeSet<_>>(),
        )
    };
    match (count("normal,no-proc-macro"), count("normal,build")) {
        (Ok(linked), Ok(all)) if linked.len() <= CRATES => Finding::Good(format!(
            "{} crates linked besides ours (at most {CRATES}), {} more to build them",
            linked.len(),
            all.len().saturating_sub(linked.len())
        )),
        (Ok(linked), Ok(_)) => {
            let names: Vec<String> = linked.iter().cloned().collect();
            Finding::Bad(vec![format!("{} crates, at most {CRATES}: {}", names.len(), names.join(", "))])
        }
        (Err(why), _) | (_, Err(why)) => Finding::Bad(vec![why]),
    }
}
