use serde::Deserialize;

use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    name: String,
    steps: u64,
    seed: u64,
    agent: Kind,
    limit: Option<u32>,
    note: Option<String>,
    sizes: Vec<usize>,
    ppo: Ppo,
    memory: Option<Memory>,
    schedule: Schedule,
    extra: std::collections::BTreeMap<String, f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Ppo {
    clip: f32,
    rate: f64,
    epochs: u32,
    normalise: bool,
    offset: i32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Memory {
    slots: usize,
    decay: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Srmt,
    Gat,
    Dqn,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Schedule {
    Constant,
    Linear { end: f64, over: u64 },
}

fn base() -> Sample {
    Sample {
        name: "a \"b\"\n\u{7f}\\ é".into(),
        steps: 1000,
        seed: u64::MAX,
        agent: Kind::Srmt,
        limit: Some(3),
        note: None,
        sizes: vec![32, 64],
        ppo: Ppo { clip: 0.1, rate: 2.5e-4, epochs: 10, normalise: true, offset: 5 },
        memory: Some(Memory { slots: 4, decay: 1.0 }),
        schedule: Schedule::Constant,
        extra: [("a b".to_string(), 1.5)].into(),
    }
}

fn with(text: &str) -> Result<Sample> {
    let mut changes = Changes::new();
    changes.text(Path::new("sample.toml"), text)?;
    changes.apply(&base())
}

fn with_items(items: &[&str]) -> Result<Sample> {
    load(&base(), None, &items.iter().map(|s| s.to_string()).collect::<Vec<_>>())
}

fn refused(result: Result<Sample>, parts: &[&str]) {
    let error = result.unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "{error:?} lacks {part:?}");
    }
}

#[test]
fn what_is_written_says_the_same_over_any_base() {
    let text = to_toml(&base()).unwrap();
    assert!(text.contains("clip = 0.1\n"), "{text}");
    assert!(text.find("name").unwrap() < text.find("steps").unwrap(), "the order of fields is lost:\n{text}");
    assert_eq!(with(&text).unwrap(), base());
    let mut other = base();
    other.limit = None;
    other.memory = None;
    other.schedule = Schedule::Linear { end: 0.0, over: 7 };
    other.ppo.clip = 1.0 / 3.0;
    let text = to_toml(&other).unwrap();
    assert_eq!(with(&text).unwrap(), other, "{text}");
    let mut changes = Changes::new();
    changes.text(Path::new("x"), &to_toml(&base()).unwrap()).unwrap();
    assert_eq!(changes.apply(&other).unwrap(), base());
    toml::from_str::<toml::Table>(&text.replace(&u64::MAX.to_string(), "1")).unwrap();
}

#[test]
fn files_and_items_lie_over_each_other() {
    let mut changes = Changes::new();
    changes.text(Path::new("f"), "preset = \"mazes\"\nsteps = 2e7\n[ppo]\nclip = 1\nepochs = 2\n").unwrap();
    for item in ["ppo.epochs=3", "agent=gat", "sizes=[1, 2]", "name=7", "limit=none", "note=hello there"] {
        changes.item(item).unwrap();
    }
    changes.item("ppo={ rate = 1.0, offset = -3 }").unwrap();
    changes.item("schedule={ kind = \"linear\", end = 0.5, over = 10 }").unwrap();
    changes.item("extra.new=4").unwrap();
    assert_eq!(changes.take_text("preset").unwrap().as_deref(), Some("mazes"));
    assert_eq!(changes.take_text("preset").unwrap(), None);
    let mut expected = base();
    expected.steps = 20_000_000;
    expected.ppo = Ppo { clip: 1.0, rate: 1.0, epochs: 3, normalise: true, offset: -3 };
    expected.agent = Kind::Gat;
    expected.sizes = vec![1, 2];
    expected.name = "7".into();
    expected.limit = None;
    expected.note = Some("hello there".into());
    expected.schedule = Schedule::Linear { end: 0.5, over: 10 };
    expected.extra.insert("new".into(), 4.0);
    assert_eq!(changes.apply(&base()).unwrap(), expected);
}

#[test]
fn absent_options_take_tables() {
    let mut absent = base();
    absent.memory = None;
    let mut changes = Changes::new();
    changes.item("memory.slots=2").unwrap();
    changes.item("memory.decay=0.5").unwrap();
    assert_eq!(changes.apply(&absent).unwrap().memory, Some(Memory { slots: 2, decay: 0.5 }));
}

#[test]
fn unknown_keys_are_named_with_the_nearest() {
    refused(with("steps = 1\n\n[ppo]\nclipp = 0.1\n"), &["ppo.clipp", "sample.toml:4", "`ppo.clip`"]);
    refused(with("epochs = 4"), &["setting `epochs`", "sample.toml:1", "`ppo.epochs`"]);
    refused(with_items(&["ppo.epoch=4"]), &["`ppo.epochs`"]);
    refused(with_items(&["stepps=4"]), &["`steps`"]);
    refused(with_items(&["ppo.zzzzzzzz=4"]), &["no such setting", "ppo.normalise"]);
    refused(with_items(&["steps.more=4"]), &["steps"]);
    refused(with_items(&["ppo.clip.x=4"]), &["ppo.clip"]);
    refused(with("[schedule]\nkind = \"linear\"\nend = 1\nover = 2\nunder = 3"), &["schedule.under", ":5"]);
}

#[test]
fn wrong_types_say_what_was_expected() {
    refused(with("[ppo]\nclip = \"x\""), &["ppo.clip", "a number", "\"x\"", "sample.toml:2"]);
    refused(with("steps = 1.5"), &["a whole number", "1.5"]);
    refused(with("steps = -1"), &["steps", "u64"]);
    refused(with("steps = 99999999999999999999999"), &["too large"]);
    refused(with("[ppo]\nrate = inf"), &["finite"]);
    refused(with("[ppo]\nnormalise = 1"), &["true or false"]);
    refused(with("sizes = 4"), &["a list"]);
    refused(with("sizes = [1, \"x\"]"), &["sizes"]);
    refused(with("ppo = 4"), &["a table"]);
    refused(with("name = 4"), &["text"]);
    refused(with("agent = \"gatt\""), &["agent", "srmt, gat, dqn", "`gat`?"]);
    refused(with_items(&["steps=none"]), &["steps"]);
}

#[test]
fn broken_and_hostile_files_are_refused() {
    refused(with("steps = 1\nppo = [\n"), &["sample.toml:", "not TOML"]);
    refused(with("steps = 1\nsteps = 2\n"), &["sample.toml:2", "not TOML"]);
    refused(with(&format!("sizes = {}", "[".repeat(100_000))), &["sample.toml"]);
    refused(with(&format!("sizes = {}{}", "[".repeat(60), "]".repeat(60))), &["too deep"]);
    refused(with(&format!("{}x = 1", "a.".repeat(50))), &["too deep"]);
    refused(with_items(&["steps"]), &["key=value"]);
    refused(with_items(&["=3"]), &["key=value"]);
    refused(with_items(&["a..b=3"]), &["key=value"]);
    refused(with_items(&[&format!("sizes={}", "[".repeat(100_000))]), &["sizes"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.toml");
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        load(&base(), Some(&path), &[])
    };
    refused(read(&vec![b'#'; LARGEST_FILE as usize + 1]), &["larger than"]);
    refused(read(b"steps = 1\nname = \"\xff\""), &["c.toml:2", "UTF-8"]);
    refused(load(&base(), Some(&folder.path().join("none.toml")), &[]), &["none.toml"]);
}

/// A tagged choice whose forms have keys of their own.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Place {
    Room {
        doors: u32,
    },
    Field {
        #[serde(default)]
        trees: u32,
        #[serde(default)]
        name: String,
    },
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Somewhere {
    place: Place,
    size: u32,
}

#[test]
fn another_kind_starts_from_its_defaults() {
    let base = Somewhere { place: Place::Room { doors: 2 }, size: 3 };
    let with = |items: &[&str]| {
        let mut changes = Changes::new();
        items.iter().for_each(|item| changes.item(item).unwrap());
        changes.apply(&base)
    };
    let field = Place::Field { trees: 5, name: String::new() };
    for items in [["place.kind=field", "place.trees=5"], ["place.trees=5", "place.kind=field"]] {
        assert_eq!(with(&items).unwrap(), Somewhere { place: field.clone(), size: 3 });
    }
    let error = with(&["place.kind=field", "place.tree=5"]).unwrap_err().to_string();
    assert!(error.contains("place.tree") && error.contains("place.trees"), "{error}");
    let error = with(&["place.kind=feild"]).unwrap_err().to_string();
    assert!(error.contains("place.kind"), "{error}");
    // The kind that it has already keeps everything.
    assert_eq!(with(&["place.kind=room"]).unwrap(), base);
    // A kind without defaults needs its keys beside it.
    let back = |items: &[&str]| {
        let mut changes = Changes::new();
        items.iter().for_each(|item| changes.item(item).unwrap());
        changes.apply(&Somewhere { place: field.clone(), size: 3 })
    };
    assert_eq!(back(&["place.kind=room", "place.doors=2"]).unwrap(), base);
    assert!(back(&["place.kind=room"]).is_err());
    // Items lie over the file: what a complete one says of another kind goes too, and what the items say stays.
    let over_file = |items: &[&str]| {
        let mut changes = Changes::new();
        changes.text(Path::new("f"), "size = 9\n[place]\nkind = \"room\"\ndoors = 7\n").unwrap();
        items.iter().for_each(|item| changes.item(item).unwrap());
        changes.apply(&Somewhere { place: field.clone(), size: 3 })
    };
    assert_eq!(over_file(&[]).unwrap(), Somewhere { place: Place::Room { doors: 7 }, size: 9 });
    for items in [["place.kind=field", "place.trees=5"], ["place.trees=5", "place.kind=field"]] {
        assert_eq!(over_file(&items).unwrap(), Somewhere { place: field.clone(), size: 9 });
    }
    assert!(over_file(&["place.trees=5"]).is_err());
}

#[test]
fn numbers_too_large_for_their_setting_are_refused() {
    refused(with_items(&["ppo.clip=1e39"]), &["ppo.clip", "3.4028", "1e+39"]);
    refused(with("[ppo]\nclip = -1e39\n"), &["ppo.clip", "sample.toml:2"]);
    assert_eq!(with_items(&["ppo.rate=1e39"]).unwrap().ppo.rate, 1e39);
    assert_eq!(with_items(&["limit=none"]).unwrap().limit, None);
}

#[test]
fn many_unknown_keys_are_refused_at_once() {
    let text: String = (0..64_000).map(|i| format!("a{i}=1\n")).collect();
    let began = std::time::Instant::now();
    refused(with(&text), &["a0", "sample.toml:1", "no such setting"]);
    // Time that grows with the square of their number is over ten seconds.
    assert!(began.elapsed().as_secs_f64() < 3.0, "{:?}", began.elapsed());
}

/// A kind inside of a table whose kind changes too.
#[test]
fn names_of_kinds_stand_for_tables_inside_of_new_kinds() {
    use crate::preset::Settings;
    let items = |items: &[&str]| items.iter().map(|item| item.to_string()).collect::<Vec<_>>();
    let changed = items(&["agent=kinds", "agent.team.core=lstm", "agent.team.encoder=convolutional"]);
    let settings = Settings::with_items("bottleneck", &changed).unwrap();
    let text = settings.to_toml().unwrap();
    assert!(text.contains("[agent.team.core]\nkind = \"lstm\"\n"), "{text}");
    assert!(text.contains("[agent.team.encoder]\nkind = \"convolutional\"\n"), "{text}");
    // The other order says the same.
    let turned = items(&["agent.team.encoder=convolutional", "agent.team.core=lstm", "agent=kinds"]);
    assert_eq!(Settings::with_items("bottleneck", &turned).unwrap(), settings);
    let wrong = Settings::with_items("bottleneck", &items(&["agent=kinds", "agent.team.core=lstmm"]));
    assert!(wrong.unwrap_err().to_string().contains("did you mean `lstm`"));
}
