//! Maps, scenarios, settings and checkpoint files whose content is anything.

use std::path::Path;
use std::sync::Arc;

use synod::env::pathfinding::{Map, Scenario};
use synod::preset::{Settings, presets};
use synod::run::{checkpoint, config};
use synod::train::{Checkpoint, ElementType, TensorData};

use crate::{Random, fuzz};

fn damaged(text: &str, random: &mut Random) -> String {
    let mut bytes = text.as_bytes().to_vec();
    if !random.once_in(6) {
        random.damage(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn maps_and_scenarios() {
    fuzz("maps and scenarios", |random| {
        let (height, width) = (random.below(7), random.below(7));
        let blocked = (0..random.length(height * width)).map(|_| random.once_in(3)).collect();
        let text = match Map::new("m", height, width, blocked) {
            Ok(map) => {
                let _ = (map.components(), map.free_cells(), map.is_blocked((random.size(), random.size())));
                if random.once_in(2) { map.to_text() } else { map.to_movingai() }
            }
            Err(_) => random
                .pick(&["aA.\n.#.\n", "@$!\n.#.\n", "type octile\nheight 1\nwidth 1\nmap\n."])
                .to_string(),
        };
        let text = damaged(&text, random);
        for map in [Map::from_text(&text, "t"), Map::from_movingai(&text, "t")].into_iter().flatten() {
            let again = Map::from_movingai(&map.to_movingai(), "again").unwrap();
            assert_eq!(again.cells(), map.cells());
            let mut cell = || (random.below(8), random.below(8));
            let agents: Vec<_> = (0..3).map(|_| (cell(), cell())).collect();
            let map = Arc::new(map);
            if let Ok(scenario) = Scenario::new(&map, &agents[..random.below(4)]) {
                let text = damaged(&scenario.to_text(), random);
                if let Ok(scenario) = Scenario::parse(&text, "s") {
                    let _ = scenario.instance(&map, random.size());
                }
            }
        }
    });
}

#[test]
fn settings() {
    let names: Vec<&str> = presets().into_iter().map(|preset| preset.name).collect();
    let texts: Vec<String> = names
        .iter()
        .map(|name| Settings::preset(name).and_then(|settings| settings.to_toml()).unwrap())
        .collect();
    fuzz("settings", |random| {
        let which = random.below(names.len());
        let mut keys = Vec::new();
        let mut section = String::new();
        for line in texts[which].lines() {
            match (line.strip_prefix('['), line.split_once(" = ")) {
                (Some(name), _) => section = format!("{}.", name.trim_end_matches(']')),
                (None, Some((key, _))) => keys.push(format!("{section}{key}")),
                _ => {}
            }
        }
        let value = |random: &mut Random| match random.below(9) {
            0 => random.size().to_string(),
            1 => format!("{:e}", random.float()),
            2 => "[1, 2, 3]".to_string(),
            3 => "{ kind = \"team\" }".to_string(),
            4 => {
                random.pick(&["true", "nan", "inf", "-1", "1e400", "\"", "", "[[", "1970-01-01"]).to_string()
            }
            _ => random.below(70).to_string(),
        };
        let items: Vec<String> = (0..1 + random.below(3))
            .map(|_| {
                let item = format!("{}={}", random.pick(&keys).clone(), value(random));
                if random.once_in(8) { damaged(&item, random) } else { item }
            })
            .collect();
        if let Ok(settings) = Settings::with_items(names[which], &items) {
            let _ = (settings.check(), settings.to_toml());
        }
        let mut changes = config::Changes::new();
        let text = damaged(&texts[which], random);
        if changes.text(Path::new("fuzz.toml"), &text).is_ok() {
            let _ = changes.take_text("preset");
            let base = serde_json::json!({ "a": 1, "world": { "kind": "taxi" } });
            let _ = changes.apply(&base);
        }
    });
}

#[test]
fn checkpoint_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    fuzz("checkpoint files", |random| {
        let mut checkpoint = Checkpoint::new();
        for i in 0..random.below(4) {
            let shape: Vec<usize> = (0..random.below(3)).map(|_| random.below(4)).collect();
            let values = random.floats(shape.iter().product());
            checkpoint.insert(format!("a/{i}"), TensorData::f32(&shape, &values).unwrap());
        }
        checkpoint.set("architecture", "some");
        let of = *random.pick(&[ElementType::F64, ElementType::U8, ElementType::U32]);
        let shape: Vec<usize> = (0..random.below(4)).map(|_| random.size()).collect();
        if let Ok(tensor) = TensorData::new(&shape, of, vec![7; random.below(20)]) {
            let _ = (tensor.to_f32(), tensor.to_u64(), tensor.elements());
            checkpoint.insert("b", tensor);
        }
        checkpoint::write(&path, &checkpoint).unwrap();
        assert_eq!(checkpoint::read(&path).unwrap().tensors, checkpoint.tensors);
        let mut bytes = std::fs::read(&path).unwrap();
        random.damage(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        let _ = (checkpoint::read_part(&path, "a/"), checkpoint::read_metadata(&path));
        if let Ok(read) = checkpoint::read(&path) {
            let _ = (read.check_like(&checkpoint, &["b"]), read.check_architecture("some"));
            let _ = (read.get::<u64>("steps"), read.counters("b", 2), read.tensor("a/0").map(|t| t.to_f32()));
        }
        let _ = std::fs::remove_file(&path);
    });
}
