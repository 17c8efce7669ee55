//! Route choice: equilibria and optima that are known, and that selfish play comes to the one and a team to the other.

use crate::games::fresh;
use synod::env::congestion::{Congestion, CongestionConfig, Link};
use synod::env::{Buffers, VecEnv, WorldConfig};

#[test]
fn the_equilibria_of_pigou_and_braess_are_computed() {
    let near = |flow: Vec<f64>, known: &[f64]| {
        assert!(flow.iter().zip(known).all(|(a, b)| (a - b).abs() < 1e-9), "{flow:?} for {known:?}");
    };
    let pigou = CongestionConfig::pigou();
    near(pigou.equilibrium(), &[0.0, 1.0]);
    near(pigou.optimum(), &[0.5, 0.5]);
    let braess = CongestionConfig::braess();
    near(braess.equilibrium(), &[0.0, 0.0, 1.0]);
    near(braess.optimum(), &[0.5, 0.5, 0.0]);
    for (config, selfish, best) in [(pigou, 1.0, 0.75), (braess, 2.0, 1.5)] {
        assert!((config.mean_delay(&config.equilibrium()) - selfish).abs() < 1e-9);
        assert!((config.mean_delay(&config.optimum()) - best).abs() < 1e-9);
    }
}

/// Links with random delays, and routes over some of them.
fn random_network(random: &mut crate::random::Random) -> CongestionConfig {
    let part = |random: &mut crate::random::Random| random.below(1001) as f64 / 1000.0;
    let links: Vec<Link> = (0..6).map(|_| Link { constant: part(random), slope: part(random) }).collect();
    let routes = (0..5)
        .map(|route| (0..6).filter(|link| *link == route || random.below(3) == 0).collect::<Vec<usize>>())
        .collect();
    CongestionConfig { links, routes, ..CongestionConfig::braess() }
}

#[test]
fn nobody_gains_at_an_equilibrium_and_nothing_is_better_than_the_optimum() {
    let mut random = fresh();
    for _ in 0..50 {
        let config = random_network(&mut random);
        let flow = config.equilibrium();
        let delays = config.delays(&flow);
        let least = delays.iter().copied().fold(f64::INFINITY, f64::min);
        let taken = flow.iter().zip(&delays).filter(|(part, _)| **part > 1e-9);
        assert!(taken.into_iter().all(|(_, seconds)| *seconds < least + 1e-6), "{flow:?}: {delays:?}");
        let best = config.mean_delay(&config.optimum());
        // By shares drawn at random none is better.
        for _ in 0..200 {
            let drawn: Vec<f64> = (0..5).map(|_| random.below(1000) as f64 + 1e-3).collect();
            let sum: f64 = drawn.iter().sum();
            let other: Vec<f64> = drawn.iter().map(|part| part / sum).collect();
            assert!(config.mean_delay(&other) > best - 1e-9);
        }
        let anarchy = config.mean_delay(&flow) / best;
        assert!((1.0 - 1e-9..=4.0 / 3.0 + 1e-6).contains(&anarchy), "{anarchy}");
    }
}

/// Plays rounds in which one agent after another, in a random order, moves to the route that pays it most given what
/// all others do, found out by playing the world. What everybody takes in the end.
fn best_responses(config: &CongestionConfig) -> (Vec<u32>, f64) {
    let config = CongestionConfig { worlds: 1, rounds: 1, ..config.clone() };
    let mut env = Congestion::new(config.clone(), 0).unwrap();
    let mut out = Buffers::new(env.spec());
    let mut random = fresh();
    let routes = config.routes.len();
    let mut taken: Vec<u32> = (0..config.agents).map(|_| random.below(routes) as u32).collect();
    let mut paid = |taken: &[u32], agent: usize| {
        env.reset(&[true], &mut out).unwrap();
        env.step(&taken.to_vec().into(), &mut out).unwrap();
        let mean = env.take_reports()[0].value("mean_delay").unwrap();
        (out.rewards[agent], mean)
    };
    let mut still = 0;
    while still < 4 * config.agents {
        let agent = random.below(config.agents);
        let now = paid(&taken, agent).0;
        let mut best = (now, taken[agent]);
        for route in 0..routes as u32 {
            let mut other = taken.clone();
            other[agent] = route;
            let pays = paid(&other, agent).0;
            if pays > best.0 + 1e-6 {
                best = (pays, route);
            }
        }
        still = if best.1 == taken[agent] { still + 1 } else { 0 };
        taken[agent] = best.1;
    }
    let mean = paid(&taken, 0).1;
    (taken, mean)
}

#[test]
fn selfish_agents_come_to_the_equilibrium_and_a_team_to_the_optimum() {
    for config in [CongestionConfig::braess(), CongestionConfig::pigou()] {
        let config = CongestionConfig { agents: 40, ..config };
        let [selfish, best] = [config.equilibrium(), config.optimum()].map(|flow| config.mean_delay(&flow));
        let part = |taken: &[u32], route: u32| {
            taken.iter().filter(|own| **own == route).count() as f64 / taken.len() as f64
        };
        // One of forty is a fortieth of the flow: who is for himself may stay where the others already are.
        let (taken, mean) = best_responses(&config);
        for (route, known) in config.equilibrium().iter().enumerate() {
            assert!((part(&taken, route as u32) - known).abs() <= 2.5 / 40.0, "{taken:?}");
        }
        assert!((mean / selfish - 1.0).abs() < 0.03, "{mean} for {selfish}");
        let (taken, mean) = best_responses(&CongestionConfig { shared: 1.0, ..config.clone() });
        for (route, known) in config.optimum().iter().enumerate() {
            assert!((part(&taken, route as u32) - known).abs() <= 2.5 / 40.0, "{taken:?}");
        }
        assert!((mean / best - 1.0).abs() < 1e-3, "{mean} for {best}");
        println!("{selfish} alone, {best} together: {:.4} times as much", selfish / best);
        assert!((selfish / best - 4.0 / 3.0).abs() < 1e-9);
    }
}

#[test]
fn wrong_networks_name_their_keys() {
    let refused = |config: CongestionConfig, key: &str| {
        let error = WorldConfig::new(config).build(0).err().unwrap().to_string();
        assert!(error.contains(key), "{error}");
    };
    let usual = CongestionConfig::braess;
    refused(CongestionConfig { routes: vec![vec![0, 7]], ..usual() }, "world.routes");
    refused(CongestionConfig { routes: vec![vec![0, 1, 0]], ..usual() }, "world.routes");
    refused(CongestionConfig { routes: vec![vec![]], ..usual() }, "world.routes");
    refused(CongestionConfig { routes: vec![], ..usual() }, "world.routes");
    let slow = Link { constant: f64::NAN, slope: 1.0 };
    refused(CongestionConfig { links: vec![slow; 5], ..usual() }, "world.links");
    refused(CongestionConfig { agents: 0, ..usual() }, "world.agents");
    refused(CongestionConfig { shared: 2.0, ..usual() }, "world.shared");
}
