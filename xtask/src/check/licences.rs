//! The licences of everything that is built in or run in tests: permissive ones only.

use std::path::Path;

use serde_json::Value;

use super::Finding;
use super::manifests::{metadata, packages, text};
use crate::process;

/// No GPL, AGPL or MPL, and nothing that nobody has read.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

pub(super) fn check() -> Finding {
    let mut bad = Vec::new();
    let mut seen = 0;
    match metadata(true) {
        Err(why) => return Finding::Bad(vec![why]),
        Ok(metadata) => {
            for package in packages(&metadata) {
                seen += 1;
                let licence = text(package, "license");
                if !allowed(licence) {
                    bad.push(format!(
                        "crate {} {}: `{licence}`",
                        text(package, "name"),
                        text(package, "version")
                    ));
                }
            }
        }
    }
    let files = match process::output(
        std::process::Command::new("git")
            .args(["ls-files", "*package-lock.json"])
            .current_dir(process::root()),
    ) {
        Ok(files) => files,
        Err(why) => return Finding::Bad(vec![why]),
    };
    for file in files.lines() {
        match lock_file(&process::root().join(file)) {
            Ok((count, complaints)) => {
                seen += count;
                bad.extend(complaints.into_iter().map(|complaint| format!("{file}: {complaint}")));
            }
            Err(why) => bad.push(format!("{file}: {why}")),
        }
    }
    if bad.is_empty() { Finding::Good(format!("{seen} packages")) } else { Finding::Bad(bad) }
}

/// The packages of an npm lock file, and what is wrong with them.
fn lock_file(path: &Path) -> Result<(usize, Vec<String>), String> {
    let read = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let lock: Value = serde_json::from_str(&read).map_err(|error| error.to_string())?;
    let mut count = 0;
    let mut bad = Vec::new();
    for (place, package) in lock["packages"].as_object().into_iter().flatten() {
        count += 1;
        // The lock file tells the licence of a package that states it in today's form; the old forms are read
        // from the package itself, once it is installed.
        let directory = path.parent().unwrap_or(Path::new(".")).join(place);
        let licence = match package["license"].as_str() {
            Some(licence) => licence.to_owned(),
            None => match installed(&directory) {
                Some(licence) => licence,
                None if !directory.join("package.json").exists() => continue,
                None => String::new(),
            },
        };
        if !allowed(&licence) {
            bad.push(format!("{place}: `{licence}`"));
        }
    }
    Ok((count, bad))
}

/// The licence an installed npm package states, in any of the forms in use since 2011, or in its licence file.
fn installed(directory: &Path) -> Option<String> {
    let manifest: Value =
        serde_json::from_str(&std::fs::read_to_string(directory.join("package.json")).ok()?).ok()?;
    let one = |value: &Value| value.as_str().or_else(|| value["type"].as_str()).map(str::to_owned);
    if let Some(licence) = one(&manifest["license"]) {
        return Some(licence);
    }
    if let Some(several) = manifest["licenses"].as_array() {
        return Some(several.iter().filter_map(one).collect::<Vec<_>>().join(" OR "));
    }
    // The oldest packages state it in prose only. All MIT licences share this sentence.
    let files = std::fs::read_dir(directory).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let prose = files.filter(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        name.starts_with("licen") || name.starts_with("readme") || name.starts_with("copying")
    });
    let mit = "permission is hereby granted, free of charge, to any person obtaining";
    prose.filter_map(|file| std::fs::read_to_string(file).ok()).find_map(|text| {
        let flat = text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        (flat.contains(mit) || flat.ends_with("mit")).then(|| "MIT".to_owned())
    })
}

/// Whether an SPDX expression can be satisfied with allowed licences alone. `/` is how `OR` was once written.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let good = any(&words, &mut at);
    good && at == words.len() && at > 0
}

fn any(words: &[&str], at: &mut usize) -> bool {
    let mut good = all(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        good |= all(words, at);
    }
    good
}

fn all(words: &[&str], at: &mut usize) -> bool {
    let mut good = single(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        good &= single(words, at);
    }
    good
}

fn single(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let good = any(words, at);
        *at += 1; // the closing parenthesis
        return good;
    }
    let mut name = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        name = format!("{name} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    ALLOWED.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn one_allowed_way_through_an_expression_is_enough() {
        for good in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "(MIT OR GPL-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
            "MPL-2.0 OR MIT AND ISC",
        ] {
            assert!(allowed(good), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0",
            "MIT AND MPL-2.0",
            "(MIT",
            "MIT MIT",
            "Apache-2.0 WITH something",
            "OR",
            "UNLICENSED",
        ] {
            assert!(!allowed(bad), "{bad}");
        }
    }
}
