//! The house: a room imports only from rooms below it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Modules of the packages `worlds` and `synod`, from the ground up.
const ROOMS: [&str; 15] = [
    "schema", "registry", "action", "env", "comm", "memory", "agent", "train", "privacy", "roles", "picture",
    "run", "preset", "door", "command",
];

/// The sources in a folder and those in it.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(sources(&path)),
            false if path.extension().is_some_and(|e| e == "rs") => files.push(path),
            false => {}
        }
    }
    files
}

/// Names after `crate::` in a file, comments and tests apart.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or_default());
    let mut found = BTreeSet::new();
    for line in lines {
        for part in line.split("crate::").skip(1) {
            let end = part.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(part.len());
            found.insert(part[..end].to_string());
        }
    }
    found
}

#[test]
fn rooms_import_downward_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let roots = [root.join("worlds/src"), root.join("src")];
    let place = |name: &str| ROOMS.iter().position(|room| *room == name);
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for (root, file) in roots.iter().flat_map(|root| sources(root).into_iter().map(move |file| (root, file)))
    {
        let inside = file.strip_prefix(root).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy().replace(".rs", "");
        if ["lib", "main", "guide"].contains(&first.as_str()) || inside.to_string_lossy().contains("tests") {
            continue;
        }
        let room = place(&first).unwrap_or_else(|| panic!("`{first}` has no place among the rooms"));
        seen.insert(first);
        for import in imports(&std::fs::read_to_string(&file).unwrap()) {
            if place(&import).is_some_and(|other| other > room) {
                wrong.push(format!("{} imports {import}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen.len(), ROOMS.len(), "a room of the list is gone");
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let text = "use crate::env::{A, B}; // crate::preset\nfn f() { crate::train::g() }\n#[cfg(test)]\nuse crate::run;";
    assert_eq!(imports(text).into_iter().collect::<Vec<_>>(), ["env", "train"]);
}
