//! What cargo knows of the workspace.

use serde_json::Value;

use super::Finding;
use crate::process;

/// `cargo metadata`, with every package of the tree or with ours alone.
pub(super) fn metadata(whole_tree: bool) -> Result<Value, String> {
    let mut command = process::cargo();
    command.args(["metadata", "--format-version", "1", "--locked"]);
    if !whole_tree {
        command.arg("--no-deps");
    }
    serde_json::from_str(&process::output(&mut command)?).map_err(|error| error.to_string())
}

/// The packages in what [`metadata`] gave.
pub(super) fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

/// The text of a field, or nothing.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

pub(super) fn lock() -> Finding {
    match metadata(true) {
        Ok(_) => Finding::Good("current".to_owned()),
        Err(why) => Finding::Bad(vec![why]),
    }
}

/// Features only add: each must build alone, and the crate without any.
pub(super) fn features() -> Finding {
    let metadata = match metadata(false) {
        Ok(metadata) => metadata,
        Err(why) => return Finding::Bad(vec![why]),
    };
    let mut bad = Vec::new();
    let mut built = 0;
    for package in packages(&metadata) {
        let name = text(package, "name");
        let Some(features) = package["features"].as_object().filter(|features| !features.is_empty()) else {
            continue;
        };
        let alone = features.keys().map(String::as_str).filter(|feature| *feature != "default");
        for feature in std::iter::once("").chain(alone) {
            println!("check features: {name} with {}", if feature.is_empty() { "none" } else { feature });
            let mut command = process::cargo();
            command.args(["check", "--quiet", "--locked", "--package", name, "--no-default-features"]);
            command.args(["--features", feature]);
            built += 1;
            if let process::Ending::Bad(how) = process::watch(&mut command, super::LIMIT, |_| {}) {
                bad.push(format!("{name} with feature `{feature}`: {how}"));
            }
        }
    }
    if bad.is_empty() { Finding::Good(format!("{built} combinations build")) } else { Finding::Bad(bad) }
}
