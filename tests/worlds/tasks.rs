//! Worlds of tasks: what is right, and how long a task stays.

use synod::Result;
use synod::env::point_navigation::{PointNavigation, PointNavigationConfig};
use synod::env::repeat_previous::{RepeatPrevious, RepeatPreviousConfig};
use synod::env::sinusoid::{Sinusoid, SinusoidConfig};
use synod::env::{Buffers, VecEnv, WorldConfig};

#[test]
fn right_answers_of_a_wave_lie_on_it_and_cost_nothing() -> Result<()> {
    let mut env = Sinusoid::new(SinusoidConfig { worlds: 7, agents: 3, length: 5 }, 11)?;
    let mut out = Buffers::new(env.spec());
    env.reset(&[true; 7], &mut out)?;
    let (mut right, mut known) = (env.spec().actions(), vec![false; 21]);
    for _ in 0..5 {
        env.answers(&mut right, &mut known)?;
        assert!(known.iter().all(|known| *known));
        for (lane, (x, y)) in out.observations.iter().zip(&right.continuous).enumerate() {
            let wave = env.world(lane / 3).unwrap();
            assert!((wave.at(f64::from(*x)) - f64::from(*y)).abs() < 1e-6 && x.abs() <= 5.0);
        }
        // What another says costs the square of how far it is off.
        let mut other = right.clone();
        other.continuous[4] += 0.5;
        env.step(&other, &mut out)?;
        for (lane, paid) in out.rewards.iter().enumerate() {
            assert!((paid + if lane == 4 { 0.25 } else { 0.0 }).abs() < 1e-5, "{paid}");
        }
    }
    // Nothing is right once it is over.
    env.answers(&mut right, &mut known)?;
    assert!(known.iter().all(|known| !known));
    Ok(())
}

#[test]
fn right_answers_of_repeat_previous_get_all_that_there_is_to_get() -> Result<()> {
    let config = RepeatPreviousConfig { worlds: 3, agents: 2, symbols: 5, lag: 4, length: 11 };
    let mut env = RepeatPrevious::new(config, 2)?;
    let mut out = Buffers::new(env.spec());
    env.reset(&[true; 3], &mut out)?;
    let (mut right, mut known) = (env.spec().actions(), vec![false; 6]);
    for step in 0..11 {
        env.answers(&mut right, &mut known)?;
        assert!(known.iter().all(|known| *known == (step >= 4)));
        env.step(&right, &mut out)?;
    }
    for report in env.take_reports() {
        assert_eq!(report.value("success"), Some(1.0));
        assert!((report.value("return").unwrap() - 1.0).abs() < 1e-6);
    }
    Ok(())
}

#[test]
fn a_world_without_answers_says_so_and_wrong_lengths_are_refused() -> Result<()> {
    let env = WorldConfig::named("pendulum")?.with_worlds(2).build(0)?;
    let error = env.answers(&mut env.spec().actions(), &mut [false; 2]).unwrap_err().to_string();
    assert!(error.contains("`pendulum` does not say what would be right"), "{error}");
    let env = WorldConfig::named("sinusoid")?.with_worlds(2).build(0)?;
    assert!(env.answers(&mut env.spec().actions(), &mut [false; 3]).is_err());
    assert!(env.answers(&mut Default::default(), &mut [false; 10]).is_err());
    Ok(())
}

/// An oracle that goes straight to its goal, against the mean that the definition gives: with a goal of offset (a, b) a
/// point is there after max(|a|, |b|) / .1 steps, and what it pays until then is worked out here from the definition.
#[test]
fn an_oracle_gets_what_is_published_and_staying_costs_the_mean_distance() -> Result<()> {
    let config = PointNavigationConfig { worlds: 4096, agents: 1, ..PointNavigationConfig::default() };
    let mut returns = [0.0f64; 2];
    for (kind, total) in returns.iter_mut().enumerate() {
        let mut env = PointNavigation::new(config.clone(), 5)?;
        let mut out = Buffers::new(env.spec());
        env.reset(&[true; 4096], &mut out)?;
        let mut actions = env.spec().actions();
        for _ in 0..100 {
            for world in 0..4096 {
                let goal = env.world(world).unwrap().goal();
                for (axis, goal) in goal.iter().enumerate() {
                    let at = f64::from(out.observations[2 * world + axis]);
                    // Straight: the longer axis at its limit, the other in proportion.
                    let rest = (0..2).map(|k| {
                        (env.world(world).unwrap().goal()[k] - f64::from(out.observations[2 * world + k]))
                            .abs()
                    });
                    let longest = rest.fold(0.0, f64::max);
                    let part = if longest > 0.1 { 0.1 / longest } else { 1.0 };
                    actions.continuous[2 * world + axis] =
                        if kind == 0 { ((goal - at) * part) as f32 } else { 0.0 };
                }
            }
            env.step(&actions, &mut out)?;
        }
        let reports = env.take_reports();
        *total = reports.iter().map(|r| r.value("return").unwrap()).sum::<f64>() / 4096.0;
    }
    // -38.26 is 100 times the mean distance of a point of the square from its middle, (sqrt 2 + ln(1 + sqrt 2)) / 6.
    let staying = -100.0 * (2f64.sqrt() + (1.0 + 2f64.sqrt()).ln()) / 6.0;
    assert!((returns[1] - staying).abs() < 0.7, "{returns:?} {staying}");
    assert!((-0.7..-0.45).contains(&returns[0]), "{returns:?}");
    Ok(())
}

#[test]
fn a_goal_stays_for_the_episodes_of_its_task_and_points_of_a_trial_begin_anew() -> Result<()> {
    let config = PointNavigationConfig { worlds: 2, agents: 2, length: 3, episodes: 3, trial: false };
    let mut env = PointNavigation::new(config.clone(), 1)?;
    assert_eq!(env.task_episodes(), 3);
    let mut out = Buffers::new(env.spec());
    let mut goals = Vec::new();
    for _ in 0..6 {
        env.reset(&[true; 2], &mut out)?;
        goals.push(env.world(0).unwrap().goal());
    }
    assert!(goals[0] == goals[1] && goals[1] == goals[2] && goals[2] != goals[3] && goals[3] == goals[5]);

    let mut env = PointNavigation::new(PointNavigationConfig { trial: true, ..config }, 1)?;
    assert_eq!((env.task_episodes(), env.spec().limit), (1, 9));
    let mut out = Buffers::new(env.spec());
    env.reset(&[true; 2], &mut out)?;
    let mut actions = env.spec().actions();
    actions.continuous.fill(0.1);
    for step in 1..=9 {
        env.step(&actions, &mut out)?;
        let [x, _, paid, began] = out.observations[..4] else { unreachable!() };
        let since = if step == 9 { 3 } else { step % 3 };
        assert!((x - 0.1 * since as f32).abs() < 1e-6 && (began == 1.0) == (step % 3 == 0), "{step}: {x}");
        assert_eq!(paid, out.rewards[0]);
    }
    assert!(out.ended[0]);
    let report = &env.take_reports()[0];
    assert!(report.value("first_return").unwrap() < 0.0 && report.value("last_return").is_some());
    Ok(())
}
