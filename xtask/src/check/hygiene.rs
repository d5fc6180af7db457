//! What must not lie in the repository, and what must.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::Finding;
use crate::process;

/// Text that belongs to one machine, or to nobody. In pieces, so that this file may hold them.
const FORBIDDEN: &[(&[&str], &str)] = &[
    (&["/ro", "ot/"], "a path of one machine"),
    (&["/ho", "me/"], "a path of one machine"),
    (&["/Us", "ers/"], "a path of one machine"),
    (&["/wo", "rk/"], "a path of one machine"),
    (&["/tmp/", "wt/"], "a path of one machine"),
    (&["/tmp/", "target/"], "a path of one machine"),
    (&["/tmp/", "plan"], "a path of one machine"),
    (&["\"res", "olved\": \"http"], "a registry host"),
    (&["--in", "dex-url"], "a registry host"),
    (&["--extra-in", "dex-url"], "a registry host"),
    (&["registry", " = \"http"], "a registry host"),
    (&["registry", "=http"], "a registry host"),
    (&["sparse", "+http"], "a registry host"),
    (&["replace", "-with"], "a registry host"),
    (&["BEGIN ", "PRIVATE KEY"], "a secret"),
    (&["BEGIN RSA ", "PRIVATE KEY"], "a secret"),
    (&["BEGIN OPENSSH ", "PRIVATE KEY"], "a secret"),
    (&["<<<<", "<<< "], "an unfinished merge"),
    (&[">>>>", ">>> "], "an unfinished merge"),
];

/// File names that are left over from something.
const JUNK: &[&str] = &[".orig", ".rej", ".swp", ".bak", ".tmp", ".log", ".pyc", ".DS_Store", "~"];

/// A file larger than this does not belong into a source repository.
const LARGEST: u64 = 1 << 20;

pub(super) fn check() -> Finding {
    let files = match files() {
        Ok(files) => files,
        Err(why) => return Finding::Bad(vec![why]),
    };
    let mut bad = Vec::new();
    for file in &files {
        let path = process::root().join(file);
        if JUNK.iter().any(|ending| file.ends_with(ending)) || file.contains("node_modules/") {
            bad.push(format!("{file}: junk"));
        }
        match std::fs::symlink_metadata(&path) {
            Err(_) => continue, // deleted, not yet committed
            Ok(metadata) if !metadata.is_file() => continue,
            Ok(metadata) if metadata.len() > LARGEST => bad.push(format!("{file}: {} bytes", metadata.len())),
            Ok(_) => {}
        }
        let Ok(bytes) = std::fs::read(&path) else { continue };
        if bytes.contains(&0) {
            continue; // an image or a font
        }
        let text = String::from_utf8_lossy(&bytes);
        for (pieces, what) in FORBIDDEN {
            let needle = pieces.concat();
            for (number, line) in text.lines().enumerate().filter(|(_, line)| line.contains(&needle)) {
                let start = line.find(&needle).unwrap_or_default();
                let shown: String = line[start..].chars().take(60).collect();
                bad.push(format!("{file}:{}: {what}: {shown}", number + 1));
            }
        }
    }
    for needed in ["Cargo.lock", "LICENSE-MIT", "LICENSE-APACHE", "README.md", "ARCHITECTURE.md"] {
        if !files.iter().any(|file| file == needed) {
            bad.push(format!("{needed} is missing"));
        }
    }
    for file in files.iter().filter(|file| file.ends_with("package.json")) {
        let lock = file.replace("package.json", "package-lock.json");
        let place = process::root().join(file);
        let has_dependencies =
            std::fs::read_to_string(place).is_ok_and(|text| text.contains("ependencies\""));
        if has_dependencies && !files.contains(&lock) {
            bad.push(format!("{lock} is missing"));
        }
    }
    if bad.is_empty() { Finding::Good(format!("{} files", files.len())) } else { Finding::Bad(bad) }
}

/// What git keeps or would keep: tracked files and those that are new and not ignored.
fn files() -> Result<BTreeSet<String>, String> {
    let mut command = Command::new("git");
    command
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(process::root());
    let listed = process::output(&mut command)?;
    Ok(listed.split('\0').filter(|file| !file.is_empty()).map(str::to_owned).collect())
}

/// The folders under `vectors`, and each one's `index.json`, must tell the same.
pub(super) fn vectors() -> Finding {
    let mut bad = Vec::new();
    for folder in VECTORS {
        match compare(&process::root().join("vectors").join(folder)) {
            Ok(found) => bad.extend(found.into_iter().map(|what| format!("{folder}: {what}"))),
            Err(why) => bad.push(format!("{folder}: {why}")),
        }
    }
    if bad.is_empty() { Finding::Good("indexes and folders agree".to_owned()) } else { Finding::Bad(bad) }
}

const VECTORS: [&str; 2] = ["protocol", "cluster"];

fn compare(folder: &Path) -> Result<Vec<String>, String> {
    let index =
        std::fs::read_to_string(folder.join("index.json")).map_err(|error| format!("index.json: {error}"))?;
    let index: Value = serde_json::from_str(&index).map_err(|error| format!("index.json: {error}"))?;
    let mut named = BTreeSet::new();
    names(&index, &mut named);
    let mut bad = Vec::new();
    let mut present = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(|error| error.to_string())? {
        let name = entry.map_err(|error| error.to_string())?.file_name().to_string_lossy().into_owned();
        if name != "index.json" {
            present.insert(name);
        }
    }
    bad.extend(present.difference(&named).map(|name| format!("{name} is not in the index")));
    bad.extend(
        named.difference(&present).map(|name| format!("{name} is in the index but not in the folder")),
    );
    Ok(bad)
}

/// Every string or member name that looks like one of the files.
fn names(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.ends_with(".json") => {
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, found)),
        Value::Object(members) => {
            for (name, member) in members {
                if name.ends_with(".json") {
                    found.insert(name.clone());
                }
                names(member, found);
            }
        }
        _ => {}
    }
}
