//! What the compiler says when a handler is wrong. The messages are part of the interface: they are why
//! `#[handler]` exists.
//!
//! The words come from one version of the compiler, so only that one is asked. To accept new ones:
//! `TRYBUILD=overwrite cargo test -p sockeye --test ui`.

use std::process::Command;

/// The compiler the expected messages are from.
const RUSTC: &str = "1.95.";

#[test]
fn errors_point_at_the_reason() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(rustc).arg("--version").output().unwrap().stdout;
    let version = String::from_utf8_lossy(&version);
    if !version.contains(RUSTC) {
        println!("skipped: the expected messages are those of rustc {RUSTC}*, this is {version}");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
