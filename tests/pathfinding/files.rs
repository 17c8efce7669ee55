//! Map and scenario files: round trips, and refusals with file, line and reason.

use std::path::Path;
use std::sync::Arc;

use crate::fresh_seed;
use synod::Error;
use synod::env::pathfinding::{
    Instance, Map, Pathfinding, PathfindingConfig, Pcg64, Scenario, Source, generate,
};

/// The line and message of a refusal.
fn refusal<T: std::fmt::Debug>(result: synod::Result<T>) -> (Option<usize>, String) {
    match result {
        Err(Error::File { path, line, message }) => {
            assert!(!path.as_os_str().is_empty());
            (line, message)
        }
        other => panic!("expected an error of a file, got {other:?}"),
    }
}

fn refused<T: std::fmt::Debug>(result: synod::Result<T>, line: usize, part: &str) {
    let (at, message) = refusal(result);
    assert_eq!(at, Some(line), "{message}");
    assert!(message.contains(part), "expected `{part}` in `{message}`");
}

#[test]
fn movingai_letters() {
    let map = Map::from_movingai("type octile\nheight 2\nwidth 4\nmap\n.G@O\nTSW.\n", "m").unwrap();
    // Swamp can be walked through; water cannot be entered from land.
    assert_eq!(map.cells(), [false, false, true, true, true, false, true, false]);
    // Width before height, and Windows' line ends.
    let same =
        Map::from_movingai("type octile\r\nwidth 4\r\nheight 2\r\nmap\r\n.G@O\r\nTSW.\r\n", "m").unwrap();
    assert_eq!(same, map);
}

#[test]
fn what_editors_leave_in_files_does_not_matter() {
    let plain = Map::from_movingai("type octile\nheight 2\nwidth 3\nmap\n..@\nT..\n", "m").unwrap();
    for text in [
        "\u{feff}type octile\nheight 2\nwidth 3\nmap\n..@\nT..\n",
        "type octile\nheight 2\nwidth 3\nmap\n..@  \nT..\t\n\n \t\n",
        "type\toctile \nheight\t2\nwidth\t3 \r\n\nmap\t\n..@\n\nT..",
        "# by hand\ntype octile\n// size\nheight 2 # rows\nwidth 3\n; now\nmap\n..@ // a wall\n% half way\nT..\n# end\n",
    ] {
        assert_eq!(Map::from_movingai(text, "m").unwrap(), plain, "{text:?}");
    }
    let plain = Map::from_text("..#\n#..\n", "t").unwrap();
    for text in ["\u{feff}..#\n#..", "..# \n#..\t\r\n", "// map\n..# // first\n; second\n#..\n"] {
        assert_eq!(Map::from_text(text, "t").unwrap(), plain, "{text:?}");
    }
    // A mark within a row is no comment, and lines keep their numbers.
    refused(Map::from_movingai("\u{feff}# m\ntype octile\nheight 1\nwidth 2\nmap\n..#\n", "m"), 6, "3 cells");
    refused(Map::from_text("..\n// b\n.?\n", "t"), 3, "'?'");
    let plain = "version 1\n0\tm.map\t4\t2\t0\t1\t3\t1\t5\n";
    let plain = Scenario::parse(plain, "s").unwrap();
    for text in [
        "\u{feff}version 1\n0\tm.map\t4\t2\t0\t1\t3\t1\t5\n",
        "# made by hand\nversion 1.0 \r\n\n// agents\n0\tm.map\t4\t2\t0\t1\t3\t1\t5\t \r\n",
        "version 1\n0 m.map  4 2 0 1 3 1 5 # one\n",
    ] {
        let parsed = Scenario::parse(text, "s").unwrap();
        assert_eq!((parsed.map, parsed.entries), (plain.map.clone(), plain.entries.clone()), "{text:?}");
    }
}

#[test]
fn a_scenario_stands_for_its_map_with_its_agents() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("ok.map", "type octile\nheight 2\nwidth 4\nmap\n....\n.@@.\n");
    write("ok.scen", "version 1\n0\tmaps/ok.map\t4\t2\t0\t1\t3\t1\t5\n0\tmaps/ok.map\t4\t2\t3\t0\t0\t0\t3\n");
    let map = Map::load(folder.path().join("ok.scen")).unwrap();
    assert_eq!((map.name.as_str(), map.agents.len()), ("ok.scen", 2));
    assert_eq!(map.agents[0], ((1, 0), (1, 3)));
    let source = Source::Files { paths: vec![folder.path().join("ok.scen")] };
    let config = PathfindingConfig { worlds: 1, agents: 2, source, ..Default::default() };
    let mut env = Pathfinding::new(config.clone()).unwrap();
    let mut out = synod::env::Buffers::new(synod::env::VecEnv::spec(&env));
    synod::env::VecEnv::reset(&mut env, &[true], &mut out).unwrap();
    assert_eq!(env.view(0).unwrap().positions, [(1, 0), (0, 3)]);
    let error = Pathfinding::new(PathfindingConfig { agents: 3, ..config }).unwrap_err().to_string();
    assert!(error.contains("ok.scen") && error.contains("2 agents"), "{error}");
    write("far.scen", "version 1\n0\tno.map\t4\t2\t0\t1\t3\t1\t5\n");
    assert!(refusal(Map::load(folder.path().join("far.scen"))).1.contains("`no.map` is not beside it"));
    write("size.scen", "version 1\n0\tok.map\t5\t2\t0\t1\t3\t1\t5\n");
    refused(Map::load(folder.path().join("size.scen")), 2, "made for a map of 2 x 5");
}

#[test]
fn broken_movingai_maps() {
    let parse = |text: &str| Map::from_movingai(text, "m.map");
    refused(parse(""), 1, "`type`");
    refused(parse("tpye octile\n"), 1, "type octile");
    refused(parse("type octile\nheight 2\n"), 2, "ends");
    refused(parse("type octile\nheight 0\nwidth 2\nmap\n"), 2, "from 1 to 4096");
    refused(parse("type octile\nheight 99999999999999999999\nwidth 2\nmap\n"), 2, "from 1 to 4096");
    refused(parse("type octile\nheight 2\nheight 2\nmap\n"), 3, "twice");
    refused(parse("type octile\nheight 2\nwidht 2\nmap\n"), 3, "width");
    refused(parse("type octile\nheight 2\nwidth 2\npam\n"), 4, "`map`");
    refused(parse("type octile\nheight 2\nwidth 2\nmap\n..\n"), 2, "1 rows");
    refused(parse("type octile\nheight 4000\nwidth 4000\nmap\n"), 2, "0 rows");
    refused(parse("type octile\nheight 1\nwidth 2\nmap\n..\n..\n"), 6, "a row more");
    refused(parse("type octile\nheight 2\nwidth 2\nmap\n..\n...\n"), 6, "3 cells");
    refused(parse("type octile\nheight 2\nwidth 2\nmap\n..\n.x\n"), 6, "'x'");
}

#[test]
fn pogema_text() {
    let map = Map::from_text("\n  .a#\n  B.b\n\n  A..\n", "t").unwrap();
    assert_eq!((map.height(), map.width()), (3, 3));
    assert_eq!(map.agents, [((0, 1), (2, 0)), ((1, 2), (1, 0))]);
    assert_eq!(Map::from_text(&map.to_text(), "t").unwrap(), map);
    let map = Map::from_text("@.\n$!\n#.", "t").unwrap();
    assert_eq!(map.possible_starts, Some(vec![(0, 0), (0, 1), (2, 1)]));
    assert_eq!(map.possible_targets, Some(vec![(0, 1), (1, 0), (2, 1)]));
    assert_eq!(Map::from_text(&map.to_text(), "t").unwrap(), map);
    let instance = Instance::place(&Arc::new(map), 3, 5).unwrap();
    let mut starts = instance.starts.clone();
    starts.sort_unstable();
    assert_eq!(starts, [(0, 0), (0, 1), (2, 1)]);
}

#[test]
fn broken_texts() {
    let parse = |text: &str| Map::from_text(text, "t.txt");
    refused(parse("  \n"), 1, "no rows");
    refused(parse("..\n...\n"), 2, "3 cells, line 1 has 2");
    refused(parse("..\n\n.?\n"), 3, "'?'");
    refused(parse("a.\nA.\na."), 3, "second time");
    refused(parse("..\n\n.a"), 3, "no target");
    refused(parse("..\nB."), 2, "no start");
    refused(parse("aA\n.@"), 2, "do not go together");
    refused(parse(&".".repeat(5000)), 1, "at most 4096");
    refused(parse(&".\n".repeat(5000)), 4097, "more than 4096 rows");
}

#[test]
fn random_texts_are_parsed_or_refused() {
    let mut random = Pcg64::new(fresh_seed());
    let letters: Vec<char> = "..##aAbB@$!\n\n xé\t01type height width map octile\r".chars().collect();
    for _ in 0..20_000 {
        let length = random.below(60);
        let text: String =
            (0..length).map(|_| letters[random.below(letters.len() as u32) as usize]).collect();
        if let Ok(map) = Map::from_text(&text, "fuzz") {
            assert_eq!(Map::from_text(&map.to_text(), "fuzz").unwrap(), map);
        }
        let _ = Map::from_movingai(&text, "fuzz");
        let _ = Map::from_movingai(&format!("type octile\nheight 2\nwidth 3\nmap\n{text}"), "fuzz");
        let _ = Scenario::parse(&format!("version 1\n{text}"), "fuzz");
    }
}

#[test]
fn both_forms_hold_random_maps() {
    let mut random = Pcg64::new(fresh_seed());
    for _ in 0..50 {
        let (height, width) = (1 + random.below(40) as usize, 1 + random.below(40) as usize);
        let map = generate::random(height, width, random.double(), random.bits64()).unwrap();
        assert_eq!(Map::from_text(&map.to_text(), &map.name).unwrap(), map);
        assert_eq!(Map::from_movingai(&map.to_movingai(), &map.name).unwrap(), map);
    }
}

#[test]
fn files_and_folders() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| std::fs::write(folder.path().join(name), text).unwrap();
    write("b.map", b"type octile\nheight 1\nwidth 3\nmap\n...\n");
    write("a.txt", b"..\n#.\n");
    write("c.TXT", b"type octile\nheight 1\nwidth 1\nmap\n.\n");
    write("notes.md", b"not a map");
    let maps = Map::load_folder(folder.path()).unwrap();
    assert_eq!(maps.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["a.txt", "b.map", "c.TXT"]);

    let config = |paths: &[&str], agents| PathfindingConfig {
        worlds: 1,
        agents,
        source: Source::Files { paths: paths.iter().map(|p| folder.path().join(p)).collect() },
        ..Default::default()
    };
    assert!(Pathfinding::new(config(&["a.txt", "b.map"], 1)).is_ok());
    // Too few free cells: the map is named.
    let error = Pathfinding::new(config(&["b.map", "a.txt"], 2)).unwrap_err();
    assert!(matches!(&error, Error::File { path, .. } if path.ends_with("b.map")), "{error}");
    assert!(error.to_string().contains("of 2 agents"), "{error}");
    assert!(matches!(Pathfinding::new(config(&["missing.map"], 1)), Err(Error::Io { .. })));

    write("d.map", b"type octile\nheight 2\nwidth 3\nmap\n...\n");
    refused(Map::load_folder(folder.path()), 2, "1 rows");
    write("d.map", b"..\n\xff.\n");
    refused(Map::load(folder.path().join("d.map")), 2, "UTF-8");
    assert!(Map::load(folder.path()).is_err(), "a folder is not a map");
    let huge = folder.path().join("huge.map");
    std::fs::File::create(&huge).unwrap().set_len((64 << 20) + 1).unwrap();
    let (line, message) = refusal(Map::load(&huge));
    assert_eq!(line, None);
    assert!(message.contains("67108864 bytes"), "{message}");
    let empty = tempfile::tempdir().unwrap();
    assert!(refusal(Map::load_folder(empty.path())).1.contains("no .map"));
    assert!(matches!(Map::load(Path::new("/no/such/file.map")), Err(Error::Io { .. })));
}

#[test]
fn scenarios() {
    let map =
        Arc::new(Map::from_movingai("type octile\nheight 2\nwidth 4\nmap\n....\n.@@.\n", "m.map").unwrap());
    let text = "version 1\n0\tm.map\t4\t2\t0\t1\t3\t1\t5\n1\tm.map\t4\t2\t3\t0\t0\t0\t3.00000000\n";
    let scenario = Scenario::parse(text, "s.scen").unwrap();
    let instance = scenario.instance(&map, 2).unwrap();
    // x is the column.
    assert_eq!(instance.starts, [(1, 0), (0, 3)]);
    assert_eq!(instance.targets, [(1, 3), (0, 0)]);
    assert_eq!(scenario.instance(&map, 1).unwrap().starts, [(1, 0)]);
    assert!(refusal(scenario.instance(&map, 3)).1.contains("too few for 3 agents"));
    let written = Scenario::new(&map, &[((1, 0), (1, 3)), ((0, 3), (0, 0))]).unwrap();
    assert_eq!(written.entries[0].optimal_length, 5.0);
    assert_eq!(Scenario::parse(&written.to_text(), "scenario").unwrap(), written);
    let path = tempfile::tempdir().unwrap();
    let path = path.path().join("s.scen");
    std::fs::write(&path, text).unwrap();
    assert_eq!(Scenario::load(&path).unwrap().entries, scenario.entries);

    let other = Arc::new(Map::from_text("....\n....\n....", "other").unwrap());
    refused(scenario.instance(&other, 1), 2, "made for a map of 2 x 4");
    let blocked = Scenario::parse("version 1\n0\tm.map\t4\t2\t0\t0\t1\t1\t2\n", "s").unwrap();
    refused(blocked.instance(&map, 1), 2, "goal at row 1, column 1 is blocked");
    let twice = "version 1\n0\tm\t4\t2\t0\t0\t3\t0\t3\n0\tm\t4\t2\t0\t0\t3\t1\t4\n";
    assert!(
        Scenario::parse(twice, "s")
            .unwrap()
            .instance(&map, 2)
            .unwrap_err()
            .to_string()
            .contains("both start")
    );
}

#[test]
fn broken_scenarios() {
    let parse = |text: &str| Scenario::parse(text, "s.scen");
    refused(parse("version 2\n"), 1, "version 1");
    refused(parse("version 1\n\n"), 1, "no agents");
    refused(parse("version 1\n0\tm\t4\t2\t0\t0\n"), 2, "6 fields");
    refused(
        parse("version 1\n0\tm\t4\t2\t4\t0\t0\t0\t1\n"),
        2,
        "start column: expected a whole number below 4",
    );
    refused(parse("version 1\n0\tm\t4\t2\t0\t0\t0\t2\t1\n"), 2, "goal row: expected a whole number below 2");
    refused(parse("version 1\n0\tm\t4\t2\t0\t0\t0\t-1\t1\n"), 2, "goal row");
    refused(parse("version 1\n0\tm\t4\t99999\t0\t0\t0\t0\t1\n"), 2, "height");
    refused(parse("version 1\n0\tm\t4\t2\t0\t0\t0\t0\tinf\n"), 2, "optimal length");
    refused(
        parse("version 1\n0\tm\t4\t2\t0\t0\t0\t0\t1\n0\tm\t4\t3\t0\t0\t0\t0\t1\n"),
        3,
        "other lines say 2 x 4",
    );
    refused(parse("version 1\n0\tm\t4\t2\t0\t0\t0\t0\t1\n0\tn\t4\t2\t0\t0\t0\t0\t1\n"), 3, "another map");
}

#[test]
fn instances_are_checked() {
    let map = Arc::new(Map::from_text("..#\n...", "t").unwrap());
    let new =
        |starts: &[_], targets: &[_]| Instance::new(Arc::clone(&map), starts.to_vec(), targets.to_vec());
    assert!(new(&[(0, 0)], &[(1, 2)]).is_ok());
    for (result, part) in [
        (new(&[(0, 0)], &[]), "0 targets"),
        (new(&[(0, 2)], &[(0, 0)]), "is blocked"),
        (new(&[(0, 0)], &[(2, 0)]), "outside"),
        (new(&[(0, 0)], &[(0, usize::MAX)]), "outside"),
        (new(&[(0, 0), (0, 0)], &[(0, 0), (0, 1)]), "both start"),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(part), "expected `{part}` in `{error}`");
    }
    assert!(Map::new("t", 2, 2, vec![false; 3]).is_err());
    assert!(Map::new("t", 0, 2, vec![]).is_err());
    assert!(Map::new("t", usize::MAX, 2, vec![]).is_err());
}
