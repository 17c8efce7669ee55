//! Libraries and models that are not what they should be.

use std::fs;
use std::path::Path;

use synod_worlds::env::WorldConfig;
use synod_worlds::env::mujoco::{MujocoConfig, installation};

use crate::{one, version};

fn refused(config: &MujocoConfig) -> String {
    WorldConfig::new(config.clone()).build(1).err().map_or_else(|| panic!("taken"), |error| error.to_string())
}

/// A folder with the library of 4.0.0 and models of our own.
fn folder(at: &Path, model: &str) -> MujocoConfig {
    fs::create_dir_all(at.join("mujoco")).unwrap();
    fs::create_dir_all(at.join("assets")).unwrap();
    fs::copy(version("4.0.0").join("mujoco/libmujoco.so.4.0.0"), at.join("mujoco/libmujoco.so.4.0.0"))
        .unwrap();
    fs::write(at.join("assets/half_cheetah.xml"), model).unwrap();
    MujocoConfig { folder: at.into(), ..one() }
}

fn scratch(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("synod-mujoco-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn cheetah() -> String {
    fs::read_to_string(version("4.0.0").join("gymnasium/envs/mujoco/assets/half_cheetah.xml")).unwrap()
}

#[test]
fn what_is_installed_is_said_in_a_line() {
    for number in ["4.0.0", "3.17.0"] {
        let line = installation(&version(number)).unwrap();
        for part in [format!("MuJoCo {number}"), format!("libmujoco.so.{number}"), "half_cheetah".into()] {
            let assets = line.contains("assets");
            assert!(line.contains(&part) || (part == "half_cheetah" && assets), "{line}");
        }
    }
}

#[test]
fn missing_things_are_named_with_what_to_do() {
    let empty = scratch("empty");
    let error = refused(&MujocoConfig { folder: empty.clone(), ..one() });
    for part in ["library", &*empty.to_string_lossy(), "pip install mujoco==4.0.0 gymnasium==1.4.0"] {
        assert!(error.contains(part), "{error}");
    }
    // The library without models.
    let bare = scratch("bare");
    folder(&bare, "");
    fs::remove_file(bare.join("assets/half_cheetah.xml")).unwrap();
    let error = refused(&MujocoConfig { folder: bare.clone(), ..one() });
    assert!(error.contains("half_cheetah.xml") && error.contains("pip install"), "{error}");
    // The models without the one that is asked for.
    let config = MujocoConfig { body: synod_worlds::env::mujoco::Body::Ant, ..folder(&bare, &cheetah()) };
    let error = refused(&config);
    assert!(error.contains("ant.xml"), "{error}");
    for path in [empty, bare] {
        fs::remove_dir_all(path).unwrap();
    }
}

#[test]
fn what_is_no_library_is_refused() {
    let at = scratch("junk");
    let config = folder(&at, &cheetah());
    fs::write(at.join("mujoco/libmujoco.so.4.0.0"), b"not a library").unwrap();
    let error = refused(&config);
    assert!(error.contains("cannot be loaded") && error.contains("libmujoco.so.4.0.0"), "{error}");
    fs::remove_dir_all(at).unwrap();
}

/// The library says another version: the bytes of its version text are changed in a copy.
#[test]
fn a_version_that_is_not_known_is_refused_by_its_number() {
    let at = scratch("version");
    let config = folder(&at, &cheetah());
    let file = at.join("mujoco/libmujoco.so.4.0.0");
    let mut bytes = fs::read(&file).unwrap();
    let mut changed = 0;
    for start in 0..bytes.len() - 7 {
        // The whole text, between two ends.
        if &bytes[start..start + 7] == b"\x004.0.0\0" {
            bytes[start + 1] = b'9';
            changed += 1;
        }
    }
    assert!(changed > 0);
    fs::write(&file, bytes).unwrap();
    let error = refused(&config);
    for part in ["MuJoCo 9.0.0", "4.0.0 and 3.17.0", "pip install"] {
        assert!(error.contains(part), "{error}");
    }
    fs::remove_dir_all(at).unwrap();
}

#[test]
fn models_that_do_not_fit_are_refused_in_mujocos_words_or_ours() {
    for (name, model, parts) in [
        (
            "broken",
            cheetah().replace("</worldbody>", ""),
            vec!["half_cheetah.xml", "MuJoCo refuses it", "XML"],
        ),
        ("empty", String::new(), vec!["half_cheetah.xml", "MuJoCo refuses it"]),
        ("joint", cheetah().replace("joint=\"ffoot\"", "joint=\"hand\""), vec!["MuJoCo refuses it", "hand"]),
        (
            "motor",
            cheetah().replace("<motor gear=\"30\" joint=\"ffoot\" name=\"ffoot\"/>", ""),
            vec!["expected [9, 9, 6, 8]", "[9, 9, 5, 8]"],
        ),
        ("moon", cheetah().replace("0 0 -9.81", "0 0 -1.62"), vec!["gravity 0 0 -9.81", "-1.62"]),
        ("strong", cheetah().replace("ctrlrange=\"-1 1\"", "ctrlrange=\"-2 2\""), vec!["from -1 to 1"]),
    ] {
        let at = scratch(name);
        let error = refused(&folder(&at, &model));
        for part in parts {
            assert!(error.contains(part), "{name}: {error}");
        }
        fs::remove_dir_all(at).unwrap();
    }
}

/// What the library gives up with is an error, and neither it nor a warning leaves a file behind. A model with so little memory
/// that contacts find no room makes it give up, or warn.
#[test]
fn what_mujoco_gives_up_with_ends_the_episode_and_nothing_else() {
    let at = scratch("memory");
    let model = cheetah().replace("nstack=\"300000\"", "memory=\"1K\"");
    assert!(model.contains("memory=\"1K\""));
    let config = folder(&at, &model);
    // Either the model is refused for want of memory, or its worlds end; the process goes on.
    if let Ok(mut env) = WorldConfig::new(config).build(1) {
        let mut out = synod_worlds::env::Buffers::new(env.spec());
        env.reset(&[true], &mut out).unwrap();
        for _ in 0..50 {
            if out.ended[0] {
                env.reset(&[true], &mut out).unwrap();
            }
            env.step(&env.spec().actions(), &mut out).unwrap();
            assert!(out.observations.iter().all(|number| number.is_finite()));
        }
    }
    assert!(!Path::new("MUJOCO_LOG.TXT").exists());
    fs::remove_dir_all(at).unwrap();
}
