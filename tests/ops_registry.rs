//! Every op has a test: the names in the registry against the names that the test files say they cover.

use std::collections::BTreeSet;
use std::path::Path;

/// The names in the `COVERS` list of every `tests/ops_*.rs`. (The files are programs of their own, so their text is
/// read; `common::check_covers` holds each of them to its list.)
fn covered() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("the folder of tests") {
        let path = entry.expect("an entry of it").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with("ops_") || name == "ops_registry.rs" || !name.ends_with(".rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a readable test file");
        let list = text
            .split_once("const COVERS: &[&str] = &[")
            .and_then(|(_, rest)| rest.split_once("];"))
            .unwrap_or_else(|| panic!("{name} has no `const COVERS: &[&str] = &[...];`"))
            .0;
        assert!(
            text.contains("check_covers(COVERS"),
            "{name} does not call `common::check_covers(COVERS, ..)`"
        );
        names.extend(list.split('"').skip(1).step_by(2).map(String::from));
    }
    names
}

#[test]
fn every_op_is_covered_and_every_covered_name_is_an_op() {
    let ops: BTreeSet<String> = synod::op::registry::names().into_iter().map(String::from).collect();
    assert_eq!(ops.len(), synod::op::registry::names().len(), "a name stands twice in the registry");
    let covered = covered();
    let untested: Vec<_> = ops.difference(&covered).collect();
    let unknown: Vec<_> = covered.difference(&ops).collect();
    assert!(untested.is_empty(), "ops without a test: {untested:?}");
    assert!(unknown.is_empty(), "tested, but not in the registry: {unknown:?}");
}
