//! Generators: sizes, connection, places, and the look of the published maps.

use crate::fresh_seed;
use crate::traces::data;
use synod::env::pathfinding::{Map, Order, Pathfinding, PathfindingConfig, Pcg64, Source, generate};
use synod::env::{Buffers, VecEnv};

fn connected(map: &Map) -> bool {
    map.components().1.len() == 2
}

#[test]
fn bottlenecks() {
    assert_eq!(
        generate::bottleneck(3).unwrap().to_text(),
        ".........\n.........\n####.####\n####.####\n####.####\n.........\n.........\n"
    );
    for length in [1, 3, 27, 50, 1000] {
        let map = generate::bottleneck(length).unwrap();
        assert_eq!((map.height(), map.width(), map.free_cells()), (length + 4, 9, 36 + length));
        assert!(connected(&map));
    }
    assert!(generate::bottleneck(0).is_err());
    assert!(generate::bottleneck(usize::MAX).is_err());
}

#[test]
fn bottleneck_worlds_cross_rooms_and_end_in_time() {
    let lengths: Vec<usize> = (3..=50).chain((100..=1000).step_by(100)).collect();
    let worlds = lengths.len();
    let mut env = Pathfinding::new(PathfindingConfig {
        source: Source::Bottleneck { lengths: lengths.clone(), limit_by_length: true },
        order: Order::Cycle,
        seed: fresh_seed(),
        ..PathfindingConfig::bottleneck(worlds)
    })
    .unwrap();
    let mut out = Buffers::new(env.spec());
    for round in 0..3 {
        env.reset(&vec![true; worlds], &mut out).unwrap();
        for (world, length) in lengths.iter().enumerate() {
            // As many worlds as lengths: each is used once a round.
            assert_eq!(env.label(world), Some(format!("bottleneck-{length}").as_str()), "round {round}");
            let view = env.view(world).unwrap();
            let lower = |cell: &(usize, usize)| cell.0 >= length + 2;
            let upper = |cell: &(usize, usize)| cell.0 < 2;
            assert!(upper(&view.positions[0]) && lower(&view.positions[1]));
            assert!(lower(&view.targets[0]) && upper(&view.targets[1]));
            assert_eq!(view.limit, 2 * length + 100);
        }
    }
    // Standing still, each world ends exactly at its own limit.
    let mut ended_at = vec![0; worlds];
    for step in 1..=2100 {
        env.step(&vec![0u32; worlds * 2].into(), &mut out).unwrap();
        for report in env.take_reports() {
            ended_at[report.world] = step;
            assert_eq!(report.label, format!("bottleneck-{}", lengths[report.world]));
            assert_eq!((report.value("csr"), report.value("length")), (Some(0.0), Some(step as f64)));
        }
    }
    assert_eq!(ended_at, lengths.iter().map(|l| 2 * l + 100).collect::<Vec<_>>());
}

#[test]
fn mazes_are_connected() {
    let mut random = Pcg64::new(fresh_seed());
    for size in 5..=128 {
        let walls = 1 + random.below(12) as usize;
        let (density, seed) = (random.double(), random.bits64());
        let map = generate::maze(size, walls, density, seed).unwrap();
        assert_eq!((map.height(), map.width()), (size, size));
        assert!(connected(&map), "size {size}, walls {walls}, density {density}, seed {seed}");
        assert_eq!(map, generate::maze(size, walls, density, seed).unwrap());
    }
    assert!(generate::maze(4, 2, 0.5, 0).is_err());
    assert!(generate::maze(129, 2, 0.5, 0).is_err());
    assert!(generate::maze(65, 0, 0.5, 0).is_err());
    assert!(generate::maze(65, 2, f64::NAN, 0).is_err());
}

/// Shares of wall cells, and among lattice points of ends, straight pieces and corners.
fn look(map: &Map) -> [f64; 4] {
    let size = map.width();
    let wall = |row: usize, column: usize| map.is_blocked((row, column));
    let (mut ends, mut straight, mut corners) = (0, 0, 0);
    for row in (1..size - 1).step_by(2) {
        for column in (1..size - 1).step_by(2).filter(|c| wall(row, *c)) {
            let (up, down) = (wall(row - 1, column), wall(row + 1, column));
            let (left, right) = (wall(row, column - 1), wall(row, column + 1));
            match up as u8 + down as u8 + left as u8 + right as u8 {
                1 => ends += 1,
                2 if up == down => straight += 1,
                2 => corners += 1,
                _ => {}
            }
        }
    }
    let points = ((size / 2) * (size / 2)) as f64;
    let walls = size * size - map.free_cells();
    [
        walls as f64 / (size * size) as f64,
        ends as f64 / points,
        straight as f64 / points,
        corners as f64 / points,
    ]
}

#[test]
fn mazes_look_like_the_published_ones() {
    let Some(folder) = data("maps") else { return };
    let seed = fresh_seed();
    let (mut published, mut ours) = ([0.0; 4], [0.0; 4]);
    let maps = Map::load_folder(folder.join("mazes-train")).unwrap();
    assert_eq!(maps.len(), 40);
    for (number, map) in maps.iter().enumerate() {
        // Names are like mazes-s0_wc8_od55.map.
        let parameter = |key: &str| -> usize {
            let rest = &map.name[map.name.find(key).unwrap() + key.len()..];
            rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
        };
        let (walls, density) = (parameter("_wc"), parameter("_od") as f64 / 100.0);
        let maze = generate::maze(65, walls, density, seed.wrapping_add(number as u64)).unwrap();
        for (sums, map) in [(&mut published, map), (&mut ours, &maze)] {
            for (sum, share) in sums.iter_mut().zip(look(map)) {
                *sum += share / 40.0;
            }
        }
    }
    for ((name, published), ours) in ["walls", "ends", "straight", "corners"].iter().zip(published).zip(ours)
    {
        assert!((published - ours).abs() < 0.03, "{name}: {ours}, published {published}");
    }
}

#[test]
fn warehouses() {
    let map = generate::warehouse(2, 2, 3, 2).unwrap();
    assert_eq!(
        map.to_text(),
        "@@$$$!$$$@@\n@@###!###@@\n@@###!###@@\n@@$$$!$$$@@\n@@###!###@@\n@@###!###@@\n@@$$$!$$$@@\n"
    );
    let map = generate::warehouse(10, 3, 11, 5).unwrap();
    assert_eq!((map.height(), map.width()), (31, 45));
    assert!(connected(&map));
    assert!(generate::warehouse(0, 3, 11, 5).is_err());
    assert!(generate::warehouse(usize::MAX, usize::MAX, usize::MAX, usize::MAX).is_err());
}

#[test]
fn sources_of_every_kind_run() {
    let maps = vec![generate::maze(9, 3, 0.5, 1).unwrap(), generate::bottleneck(4).unwrap()];
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("one.map"), maps[0].to_movingai()).unwrap();
    let sources = [
        Source::Random { size: 9, density: 0.3 },
        Source::Pogema { seeds: vec![0, 1, 2], size: 12, density: 0.2 },
        Source::Maps { maps },
        Source::Files { paths: vec![folder.path().to_path_buf()] },
        Source::Bottleneck { lengths: vec![3, 4], limit_by_length: false },
        Source::Maze { size: [9, 12], wall_components: [2, 4], density: [0.2, 0.7] },
        Source::Warehouse { rows: 3, columns: 2, shelf_length: 4, margin: 2 },
    ];
    for source in sources {
        let config = PathfindingConfig {
            worlds: 5,
            agents: 2,
            max_episode_steps: 7,
            source,
            seed: fresh_seed(),
            ..Default::default()
        };
        // A configuration survives being written down.
        let text = toml::to_string(&config).unwrap();
        let config: PathfindingConfig = toml::from_str(&text).unwrap();
        let mut env = Pathfinding::new(config).unwrap();
        let mut out = Buffers::new(env.spec());
        for _ in 0..3 {
            env.reset(&[true; 5], &mut out).unwrap();
            while !out.ended.contains(&true) {
                env.step(&[1, 2, 3, 4, 1, 2, 3, 4, 1, 2].into(), &mut out).unwrap();
            }
        }
        let reports = env.take_reports();
        assert_eq!(reports.len(), 15);
        assert!(reports.iter().all(|r| !r.label.is_empty()));
    }
}
