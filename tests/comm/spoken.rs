use synod::action::Actions;
use synod::env::mpe::{Control, SimpleSpreadConfig};
use synod::env::spoken::SpokenConfig;
use synod::env::switch::SwitchConfig;
use synod::env::{Buffers, WorldConfig};

use crate::random::Random;

const WORLDS: usize = 5;

fn riddle(words: usize, columns: bool) -> SpokenConfig {
    let world = WorldConfig::new(SwitchConfig { worlds: WORLDS, ..SwitchConfig::default() });
    let column = columns.then_some(0);
    SpokenConfig { world, words, speaks_where: column, hears_where: column }
}

/// Actions of the three agents in every world: never to tell, and these words.
fn says(words: &[u32]) -> Actions {
    words.iter().map(|word| word * 2).collect::<Vec<u32>>().into()
}

/// What is said is counted by the others at the next step, as the columns allow, and the world goes on as without words.
#[test]
fn words_are_heard_at_the_next_step() {
    let mut random = Random::fresh();
    for columns in [false, true] {
        let words = 3;
        let config = riddle(words, columns);
        let mut spoken = WorldConfig::new(config.clone()).build(random.seed()).unwrap();
        let mut quiet = config.world.build(random.seed()).unwrap();
        let (mut out, mut plain) = (Buffers::new(spoken.spec()), Buffers::new(quiet.spec()));
        spoken.reset(&[true; WORLDS], &mut out).unwrap();
        quiet.reset(&[true; WORLDS], &mut plain).unwrap();
        let inside = |out: &Buffers, lane: usize| out.observations[lane * (1 + words)] > 0.0;
        let heard = |out: &Buffers, lane: usize| out.observations[lane * (1 + words) + 1..][..words].to_vec();
        assert!((0..WORLDS * 3).all(|lane| heard(&out, lane) == [0.0; 3]));
        for _ in 0..5 {
            let said: Vec<u32> = (0..WORLDS * 3).map(|_| random.below(words) as u32).collect();
            let before = out.clone();
            spoken.step(&says(&said), &mut out).unwrap();
            quiet.step(&vec![0u32; WORLDS * 3].into(), &mut plain).unwrap();
            for lane in 0..WORLDS * 3 {
                assert_eq!(out.observations[lane * (1 + words)], plain.observations[lane]);
                let mut expected = [0.0; 3];
                for other in (lane / 3 * 3..lane / 3 * 3 + 3).filter(|other| *other != lane) {
                    if !columns || inside(&before, other) {
                        expected[said[other] as usize] += 1.0;
                    }
                }
                if columns && !inside(&out, lane) {
                    expected = [0.0; 3];
                }
                assert_eq!(heard(&out, lane), expected, "seed {}, lane {lane}", random.seed());
                // Words other than the first are closed to those who may not speak.
                let masks = &out.masks[lane * 6..][..6];
                let own = &plain.masks[lane * 2..][..2];
                for (i, mask) in masks.iter().enumerate() {
                    let open = i < 2 || !columns || inside(&out, lane);
                    assert_eq!(*mask, if open { own[i % 2] } else { 0.0 });
                }
            }
            assert_eq!((&out.rewards, &out.ended), (&plain.rewards, &plain.ended));
        }
        let bytes = spoken.save();
        let mut again = WorldConfig::new(config.clone()).build(random.seed()).unwrap();
        again.load(&bytes).unwrap();
        assert_eq!(again.save(), bytes);
        for cut in [0, 3, bytes.len() - 1] {
            assert!(again.load(&bytes[..cut]).is_err());
        }
        let mut broken = bytes.clone();
        let words_at = bytes.len() - 4 * (WORLDS * 3 + WORLDS * 3);
        broken[words_at..words_at + 4].copy_from_slice(&99u32.to_le_bytes());
        assert!(again.load(&broken).is_err());
        assert_eq!(again.save(), bytes);
        assert_eq!(spoken.action_names(0).len(), 6);
        assert!(spoken.action_names(0)[3].contains("says 1"));
    }
}

/// Where actions are not one choice the word is a choice of its own.
#[test]
fn words_stand_beside_continuous_actions() {
    let spread = SimpleSpreadConfig { worlds: 2, actions: Control::Continuous, ..Default::default() };
    let config = SpokenConfig { world: WorldConfig::new(spread), words: 4, ..SpokenConfig::default() };
    let mut env = WorldConfig::new(config).build(3).unwrap();
    let kind = env.spec().kinds[0].clone();
    assert_eq!((kind.actions.integers(), kind.actions.floats(), kind.actions.options()), (1, 5, 4));
    let mut out = Buffers::new(env.spec());
    env.reset(&[true; 2], &mut out).unwrap();
    let mut actions = env.spec().actions();
    actions.discrete.copy_from_slice(&[1, 2, 2, 0, 0, 3]);
    env.step(&actions, &mut out).unwrap();
    let width = kind.observation[0];
    let heard = |lane: usize| out.observations[(lane + 1) * width - 4..(lane + 1) * width].to_vec();
    assert_eq!(heard(0), [0.0, 0.0, 2.0, 0.0]);
    assert_eq!(heard(1), [0.0, 1.0, 1.0, 0.0]);
    assert_eq!(heard(5), [2.0, 0.0, 0.0, 0.0]);
    actions.discrete[0] = 4;
    let error = env.step(&actions, &mut out).unwrap_err().to_string();
    assert!(error.contains("word 4"), "{error}");
}

#[test]
fn worlds_of_words_are_not_spoken_twice() {
    let twice = SpokenConfig { world: WorldConfig::new(riddle(2, false)), ..SpokenConfig::default() };
    let error = WorldConfig::new(twice).build(1).err().unwrap().to_string();
    assert!(error.contains("world.world.kind"), "{error}");
    let column = SpokenConfig { speaks_where: Some(1), ..riddle(2, false) };
    let error = WorldConfig::new(column).build(1).err().unwrap().to_string();
    assert!(error.contains("world.speaks_where"), "{error}");
}
