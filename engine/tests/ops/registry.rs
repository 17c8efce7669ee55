//! Every op has a test: the names in the registry against the names that the test files say they cover.

use std::collections::BTreeSet;
use std::path::Path;

/// Files of `tests/ops` that test no op of their own: on sizes, and on what is made of ops.
const WITHOUT_OPS: [&str; 11] = [
    "main.rs",
    "registry.rs",
    "agreement.rs",
    "narrow.rs",
    "compositions.rs",
    "einsum.rs",
    "empty.rs",
    "sampling.rs",
    "special_values.rs",
    "state_space.rs",
    "windows.rs",
];

/// The names in the `COVERS` list of every other file in `tests/ops`, and those that a case starts with. (Cases are built
/// inside of tests, so the files' text is read; `common::check_covers` holds a list to its cases.)
fn covered() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ops");
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("the folder of tests") {
        let path = entry.expect("an entry of it").path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if WITHOUT_OPS.contains(&&*file) || !file.ends_with(".rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a readable test file");
        let mut own = BTreeSet::new();
        if let Some((_, rest)) = text.split_once("const COVERS: &[&str]") {
            let list = rest.split_once("];").map_or("", |(list, _)| list);
            own.extend(list.split('"').skip(1).step_by(2).map(String::from));
        }
        for case in text.split("Case::new(").skip(1) {
            let name = case.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'));
            own.extend(name.map(|(name, _)| name.to_string()));
        }
        assert!(!own.is_empty(), "{file} names no op that it covers: `const COVERS: &[&str] = &[...];`");
        names.extend(own);
    }
    names
}

#[test]
fn every_op_is_covered_and_every_covered_name_is_an_op() {
    let ops: BTreeSet<String> = synod_engine::op::registry::names().into_iter().map(String::from).collect();
    assert_eq!(ops.len(), synod_engine::op::registry::names().len(), "a name stands twice in the registry");
    let covered = covered();
    let untested: Vec<_> = ops.difference(&covered).collect();
    let unknown: Vec<_> = covered.difference(&ops).collect();
    assert!(untested.is_empty(), "ops without a test: {untested:?}");
    assert!(unknown.is_empty(), "tested, but not in the registry: {unknown:?}");
}
