//! Every world draws itself, within its frame, and names its actions.

use crate::configurations::configurations;
use crate::games::{fresh, play};
use synod::env::chain::ChainConfig;
use synod::env::drawing::Shape;
use synod::env::factory::FactoryConfig;
use synod::env::gridworld::{Assignment, GridworldConfig};
use synod::env::last_action::LastAction;
use synod::env::lever::LeverConfig;
use synod::env::matrix_game::MatrixGameConfig;
use synod::env::mpe::{Control, SimpleReferenceConfig, SimpleSpeakerListenerConfig, SimpleSpreadConfig};
use synod::env::repeat_previous::RepeatPreviousConfig;
use synod::env::switch::SwitchConfig;
use synod::env::traffic_junction::TrafficJunctionConfig;
use synod::env::uniform::Uniform;
use synod::env::{Buffers, Drawing, VecEnv, WorldConfig};
use synod::picture::film::{Film, Frame};

/// All kinds; particle worlds with continuous actions too, and some with more in them than a picture has room for.
fn worlds() -> Vec<WorldConfig> {
    let actions = Control::Continuous;
    let mut all = configurations();
    all.extend([
        WorldConfig::new(SimpleSpreadConfig { worlds: 3, agents: 5, actions, ..Default::default() }),
        WorldConfig::new(SimpleSpeakerListenerConfig { worlds: 3, actions, ..Default::default() }),
        WorldConfig::new(SimpleReferenceConfig { worlds: 3, actions, ..Default::default() }),
        WorldConfig::new(LeverConfig { worlds: 3, population: 300, agents: 200, levers: 70 }),
        WorldConfig::new(LeverConfig { worlds: 3, population: 1, agents: 1, levers: 1 }),
        WorldConfig::new(SwitchConfig { worlds: 3, agents: 100, days: 9, lamp: true }),
        WorldConfig::new(RepeatPreviousConfig { worlds: 3, agents: 40, ..Default::default() }),
        WorldConfig::new(ChainConfig { worlds: 3, states: 2000, ..Default::default() }),
        WorldConfig::new(TrafficJunctionConfig { worlds: 3, ..TrafficJunctionConfig::hard() }),
        WorldConfig::new(FactoryConfig { worlds: 3, machines: 64, actuators: 16, ..FactoryConfig::large() }),
        WorldConfig::new(GridworldConfig { worlds: 3, assignment: Assignment::Any, ..Default::default() }),
    ]);
    all
}

/// Refuses what is not finite or leaves the frame, by more than rounding.
fn check(name: &str, drawing: &Drawing) {
    let [left, top, right, bottom] = drawing.frame;
    assert!(left < right && top < bottom && !drawing.title.is_empty(), "{name}: {:?}", drawing.frame);
    for mark in &drawing.marks {
        if matches!(&mark.shape, Shape::Way { points } if points.is_empty()) {
            continue;
        }
        let [x0, y0, x1, y1] = mark.shape.bounds();
        let inside = x0 >= left - 1e-3 && y0 >= top - 1e-3 && x1 <= right + 1e-3 && y1 <= bottom + 1e-3;
        assert!(inside && (0.0..=1.0).contains(&mark.opacity), "{name}: {mark:?} in {:?}", drawing.frame);
    }
    if let Some(cells) = &drawing.cells {
        assert_eq!(cells.blocked.len(), cells.columns * cells.rows, "{name}");
    }
}

#[test]
fn every_world_draws_itself_within_its_frame() {
    let mut random = fresh();
    for config in worlds() {
        let name = config.name();
        let mut env = config.build(random.bits()).unwrap();
        let worlds = env.spec().worlds;
        let agents = env.spec().agents();
        let mut out = Buffers::new(env.spec());
        assert!(env.draw(0).is_none(), "{name}: before the first reset there is nothing to draw");
        env.reset(&vec![true; worlds], &mut out).unwrap();
        assert!(env.draw(worlds).is_none(), "{name}: there is no such world");
        let mut film = Film { agents, stride: 1, ..Film::default() };
        let mut seen = Vec::new();
        for step in 0..30 {
            for world in [0, worlds / 2, worlds - 1] {
                check(name, &env.draw(world).unwrap());
            }
            let drawing = env.draw(0).unwrap();
            assert_eq!(env.draw(0).as_ref(), Some(&drawing), "{name}: the same world, the same drawing");
            seen.push(drawing.clone());
            let caption = format!("step {step}");
            film.frames.push(Frame { drawing, caption, attention: Vec::new() });
            if out.ended[0] {
                break;
            }
            let actions = play(env.as_ref(), &out, &mut random);
            env.step(&actions, &mut out).unwrap();
        }
        seen.dedup();
        assert!(seen.len() > 1, "{name}: nothing ever moves");
        assert!(film.svg().unwrap().ends_with("</svg>\n"), "{name}");
        assert!(film.gif().unwrap().starts_with(b"GIF89a"), "{name}");
        // Drawing reads and changes nothing.
        let before = env.save();
        env.draw(0);
        assert_eq!(env.save(), before, "{name}");
    }
}

#[test]
fn a_board_that_is_too_large_is_not_drawn() {
    let games = vec![vec![vec![1.0; 13]; 2]];
    let config = MatrixGameConfig { worlds: 1, games, rounds: 1, ..MatrixGameConfig::default() };
    let mut env = WorldConfig::new(config).build(1).unwrap();
    let mut out = Buffers::new(env.spec());
    env.reset(&[true], &mut out).unwrap();
    assert!(env.draw(0).is_none());
}

#[test]
fn actions_and_agents_have_names_through_all_that_wraps_a_world() {
    for config in worlds() {
        let name = config.name();
        let plain = config.build(1).unwrap();
        let alike = Uniform::of(config.build(1).unwrap()).unwrap();
        let shown = LastAction::new(Uniform::of(config.build(1).unwrap()).unwrap()).unwrap();
        let mut agent = 0;
        let mut names = Vec::new();
        for kind in &plain.spec().kinds {
            for number in 0..kind.count {
                let actions = plain.action_names(agent);
                let count = kind.actions.options() + kind.actions.floats();
                assert!(actions.is_empty() || actions.len() == count, "{name}: {actions:?}");
                let expected =
                    if kind.count == 1 { kind.name.clone() } else { format!("{} {number}", kind.name) };
                names.push(plain.agent_name(agent));
                assert_eq!(names[agent], expected, "{name}");
                for wrapped in [alike.as_ref(), &shown as &dyn VecEnv] {
                    assert_eq!(
                        (wrapped.agent_name(agent), wrapped.action_names(agent)),
                        (expected.clone(), actions.clone())
                    );
                }
                agent += 1;
            }
        }
        let numbered = ["matrix_game", "penalty", "deep_sea"].contains(&name);
        assert_eq!(plain.action_names(0).is_empty(), numbered, "{name}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), agent, "{name}: two agents of one name");
    }
}
