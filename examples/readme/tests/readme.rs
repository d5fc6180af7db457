//! README.md shows what compiles.

#[test]
fn the_examples_are_these_files_word_for_word() {
    let readme = include_str!("../../../README.md");
    let shown: Vec<&str> =
        readme.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let compiled = [
        include_str!("../src/main.rs"),
        include_str!("../src/lib.rs"),
        include_str!("../../client/src/main.rs"),
        include_str!("../src/cluster.rs"),
    ];
    assert_eq!(shown.len(), compiled.len(), "every example has its file");
    for (shown, compiled) in shown.iter().zip(compiled) {
        assert!(compiled.contains(shown), "not in the file:\n{shown}");
    }
}

#[test]
fn the_second_one_builds_its_server() {
    example_readme::server().unwrap();
}
