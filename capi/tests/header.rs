//! The header in `include/` is the one that the functions make.

use std::path::Path;

#[test]
fn the_header_is_the_one_of_the_functions() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).unwrap();
    let source = here.join("src/lib.rs");
    let made = cbindgen::Builder::new().with_config(config).with_src(source).generate().unwrap();
    let mut text = Vec::new();
    made.write(&mut text);
    let text = String::from_utf8(text).unwrap();
    let path = here.join("../include/synod.h");
    // What changed is to be looked at before it is taken: it may be another version of the interface.
    if std::env::var_os("SYNOD_WRITE_HEADER").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "include/synod.h is not what capi/src/lib.rs makes: SYNOD_WRITE_HEADER=1 writes it anew"
    );
}
