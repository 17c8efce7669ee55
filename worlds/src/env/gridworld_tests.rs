use super::*;
use crate::env::{Buffers, VecEnv};

/// A world without obstacles from rows of text: digits are agents, letters their targets.
fn world(rows: &[&str], config: GridworldConfig) -> (GridworldConfig, Grid) {
    let cells: Vec<u8> = rows.concat().into_bytes();
    let place = |of: u8| cells.iter().position(|c| *c == of).map(|cell| cell as u32);
    let agents: Vec<u32> = (b'0'..=b'9').map_while(place).collect();
    let targets: Vec<u32> = (b'a'..=b'z').map_while(place).collect();
    let (width, height) = (rows[0].len(), rows.len());
    let config = GridworldConfig { width, height, agents: agents.len(), targets: targets.len(), ..config };
    config.check().unwrap();
    let mut grid = config.blank();
    grid.blocked = cells.iter().map(|c| *c == b'#').collect();
    (grid.agents, grid.targets) = (agents, targets);
    GridworldConfig::occupy(&mut grid);
    (config, grid)
}

fn step(config: &GridworldConfig, grid: &mut Grid, actions: &[u32]) -> (Vec<f32>, Outcome) {
    let (mut rewards, mut terminated) = (vec![0.0; config.agents], vec![false; config.agents]);
    let mut pay = Pay { rewards: &mut rewards, terminated: &mut terminated };
    let outcome = config.advance(grid, actions, &mut pay);
    (rewards, outcome)
}

#[test]
fn moves_and_pay_by_hand() {
    let sparse = GridworldConfig { shaping: 0.0, step_cost: 0.25, team: 0.0, ..Default::default() };
    let (config, mut grid) = world(&["01a#", "...b"], sparse.clone());
    // 0 moves first and finds 1 in its way; 1 reaches the cell of a target that is not its own.
    assert_eq!(step(&config, &mut grid, &[4, 4]), (vec![-0.25, -0.25], Outcome::GoesOn));
    assert_eq!(grid.agents, [0, 2]);
    // An obstacle, the edge.
    step(&config, &mut grid, &[1, 4]);
    assert_eq!(grid.agents, [0, 2]);
    step(&config, &mut grid, &[4, 2]);
    assert_eq!(step(&config, &mut grid, &[4, 4]), (vec![0.75, 0.75], Outcome::Ends));
    assert_eq!(config.metrics(&grid), [1.0, 1.0]);
    // The same, any agent for any target, half to the team; nearer pays, further costs.
    let any =
        GridworldConfig { assignment: Assignment::Any, shaping: 0.5, step_cost: 0.0, team: 0.5, ..sparse };
    let (config, mut grid) = world(&["01a.", "...b"], any);
    assert_eq!(step(&config, &mut grid, &[2, 4]), (vec![0.0, 1.0], Outcome::GoesOn));
    assert_eq!(step(&config, &mut grid, &[0, 1]), (vec![0.0, 0.0], Outcome::GoesOn));
    assert_eq!(grid.reached, [true, false]);
    assert_eq!(step(&config, &mut grid, &[3, 3]), (vec![-0.125, -0.375], Outcome::GoesOn));
}

#[test]
fn corners_and_coordinates_by_hand() -> Result<()> {
    let config = GridworldConfig {
        worlds: 1,
        agents: 2,
        targets: 2,
        width: 4,
        height: 3,
        density: 0.0,
        corners: true,
        coordinates: true,
        radius: 1,
        ..Default::default()
    };
    let mut grid = config.blank();
    config.reset(&mut grid, 0, &mut Pcg64::new(1));
    assert_eq!((grid.agents(), grid.targets()), (&[0, 1][..], &[11, 10][..]));
    let mut env = Gridworld::new(config, 1)?;
    let mut out = Buffers::new(env.spec());
    env.reset(&[true], &mut out)?;
    env.step(&[2, 0].into(), &mut out)?;
    assert_eq!(env.spec().kinds[0].observation, [29]);
    assert_eq!(out.observations[27..29], [0.25, 0.0]);
    assert_eq!(out.observations[29 + 27..], [0.0, 0.25]);
    // The own target is off the lower right of the view.
    assert_eq!(out.observations[18..27], [0., 0., 0., 0., 0., 0., 0., 0., 1.]);
    Ok(())
}

#[test]
fn a_layout_of_a_seed_stays() {
    let config = GridworldConfig { layout_seed: 3, density: 0.3, ..Default::default() };
    let (mut one, mut other) = (config.blank(), config.blank());
    config.reset(&mut one, 0, &mut Pcg64::new(1));
    config.reset(&mut other, 1, &mut Pcg64::new(2));
    assert_eq!(
        (&one.blocked, one.agents(), one.targets()),
        (&other.blocked, other.agents(), other.targets())
    );
    let config = GridworldConfig { layout_seed: 4, ..config };
    config.reset(&mut other, 1, &mut Pcg64::new(2));
    assert_ne!(one.blocked, other.blocked);
}

#[test]
fn starts_are_apart_and_connected() {
    for density in [0.0, 0.3, 0.6, 0.99] {
        let config =
            GridworldConfig { density, agents: 5, targets: 5, width: 7, height: 5, ..Default::default() };
        let mut grid = config.blank();
        let mut random = Pcg64::new(5);
        for episode in 0..50 {
            config.reset(&mut grid, episode, &mut random);
            assert!(config.valid(&grid));
            let part = config.largest_part(&grid.blocked);
            let mut all: Vec<u32> = grid.agents.iter().chain(&grid.targets).copied().collect();
            assert!(all.iter().all(|cell| part.contains(cell)));
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), 10);
        }
    }
}
