//! The best that can be expected in a small factory: with all that there is to know, and without a word.
//!
//! With all knowledge it is the value of a Markov decision process over a finite horizon, by backward induction
//! (Bellman 1957; Puterman 1994, section 4.5), with `r` what a step pays on average:
//!
//! `V_T(s) = 0`, `V_t(s) = max_a [r(s, a) + sum_s' P(s' | s, a) V_{t+1}(s')]`.
//!
//! Agents that tell each other at every step what they see can reach it, since together they see `s`.
//!
//! Where the actuators are told nothing they know only what they did themselves, and sensors and processors change
//! nothing. So whatever the actuators do is a sequence of joint commands that does not depend on what happens, or a
//! lottery over such sequences, which is worth no more than its best one. From below the best sequence is held by one
//! that was found, whose worth is exact: with `b_t` the distribution of states that the commands before `t` lead to
//! and `g_t(s)` what those from `t` on pay from `s`, the command at `t` is replaced by the one with the largest
//! `sum_s b_t(s) [r(s, a) + sum_s' P(s' | s, a) g_{t+1}(s')]` until none is better (coordinate ascent).
//!
//! From above what can be had with less than all knowledge is held by giving the actuators more than they have:
//! beside `o`, what they are told of the present state (nothing, what the sensors see, or what the processors see),
//! at step `t` they are told the whole state of step `t - k`. All that they could do before is still open to them, so
//! the best that they can do then is worth at least as much. It is a recursion over a state and what was told and
//! done since,
//!
//! `H_t(s, a_1 o_2 a_2 .. o_k a_k) = r(s, a_1) P(o_2 .. o_k | s, a_1 .. a_{k-1}) + sum_o max_a sum_{s' seen as o_2}
//! P(s' | s, a_1) H_{t+1}(s', a_2 o_3 .. a_k o a)`, and `H_T = 0`,
//!
//! and the bound is `max_{a_1} sum_{o_2} max_{a_2} .. H_0` at the start. With `k = 1` it is the fast informed bound
//! (Hauskrecht 2000, JAIR 13, section 4.4); larger `k` are tighter.

use super::config::FactoryConfig;
use super::floor::Floor;
use super::model::Model;
use crate::error::{Error, Result};

/// The best play of a small factory, and what it is worth.
#[derive(Debug, Clone)]
pub struct Optimum {
    model: Model,
    value: f64,
    /// The best joint command at each step in each state, `[horizon, states]`.
    policy: Vec<u32>,
}

/// What actuators are told at once, by agents that leave nothing out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Nothing.
    Nothing,
    /// The states of all machines.
    Machines,
    /// The orders at all processors.
    Orders,
}

/// What play without a word is worth in a small factory.
#[derive(Debug, Clone, PartialEq)]
pub struct Silent {
    /// What the sequence of commands that was found is worth; the best one is worth at least this.
    pub least: f64,
    /// What no play without a word is worth more than.
    pub most: f64,
    /// The sequence: for each step a command to each machine.
    pub commands: Vec<Vec<u32>>,
}

/// Numbers that the table of the upper bound may hold.
const MOST_NUMBERS: usize = 1 << 21;

fn table(config: &FactoryConfig) -> Result<Model> {
    config.check()?;
    Model::new(config).ok_or_else(|| {
        Error::Usage("this factory has too many states and commands for its optimum to be computed".into())
    })
}

impl Optimum {
    /// The optimum of a factory.
    ///
    /// # Errors
    /// A setting out of range, or a factory with too many joint states and commands.
    pub fn new(config: &FactoryConfig) -> Result<Optimum> {
        let model = table(config)?;
        let states = model.states();
        let mut policy = vec![0; states * config.horizon];
        let mut later = vec![0.0; states];
        let mut value = vec![0.0; states];
        for step in (0..config.horizon).rev() {
            for state in 0..states {
                let worth = |action| worth(&model, state, action, &later);
                let (best, most) = (0..model.actions())
                    .map(|a| (a, worth(a)))
                    .fold((0, f64::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best });
                (policy[step * states + state], value[state]) = (best as u32, most);
            }
            std::mem::swap(&mut value, &mut later);
        }
        let value = later[model.start()];
        Ok(Optimum { model, value, policy })
    }

    /// The expected return of the best play.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The table of the factory.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The best commands to the machines of such a floor; all `off` where its episode is over.
    pub fn commands(&self, floor: &Floor) -> Vec<u32> {
        let at = floor.steps() * self.model.states() + self.model.state(floor);
        self.model.commands(self.policy.get(at).map_or(0, |action| *action as usize))
    }
}

/// What a command pays with all that follows.
fn worth(model: &Model, state: usize, action: usize, later: &[f64]) -> f64 {
    let follows = model.outcomes(state, action).iter().map(|(next, p)| p * later[*next as usize]);
    model.reward(state, action) + follows.sum::<f64>()
}

impl Silent {
    /// The bounds of play without a word in a factory.
    ///
    /// # Errors
    /// As [`Optimum::new`].
    pub fn new(config: &FactoryConfig) -> Result<Silent> {
        let model = table(config)?;
        let most = told_late(&model, config.horizon, Told::Nothing, longest(&model, Told::Nothing));
        let mut best = (f64::NEG_INFINITY, Vec::new());
        for period in 1..=8.min(config.horizon) {
            // Joint commands that all machines share, with a repair at the end of each period.
            for run in 0..3 {
                let every = |command: usize| command * (model.actions() - 1) / (super::COMMANDS - 1);
                let start = (0..config.horizon)
                    .map(|step| every(if period > 1 && step % period == period - 1 { 3 } else { run }));
                let found = ascend(&model, start.collect());
                if found.0 > best.0 {
                    best = found;
                }
            }
        }
        let commands = best.1.into_iter().map(|action| model.commands(action)).collect();
        Ok(Silent { least: best.0, most, commands })
    }
}

/// What no play of a factory is worth more than where the actuators are told so much and no more.
///
/// # Errors
/// As [`Optimum::new`].
pub fn bound(config: &FactoryConfig, told: Told) -> Result<f64> {
    let model = table(config)?;
    Ok(told_late(&model, config.horizon, told, longest(&model, told)))
}

/// The best expected return of a factory where the actuators are told everything, but only `delay` steps later (at least
/// 1): what agents can reach whose messages take so long.
///
/// # Errors
/// As [`Optimum::new`], or a delay that is 0 or for which there is no room.
pub fn late(config: &FactoryConfig, delay: u32) -> Result<f64> {
    let model = table(config)?;
    let most = longest(&model, Told::Nothing);
    if !(1..=most).contains(&delay) {
        return Err(Error::Usage(format!("expected a delay from 1 to {most} steps, got {delay}")));
    }
    Ok(told_late(&model, config.horizon, Told::Nothing, delay))
}

/// Numbers of a row for one state, where it is told `delay` steps late: the first command, and for each that follows also
/// what was told before it.
fn each(model: &Model, told: usize, delay: u32) -> Option<usize> {
    (told * model.actions()).checked_pow(delay - 1)?.checked_mul(model.actions())
}

/// The longest delay that there is room for, up to 8.
fn longest(model: &Model, told: Told) -> u32 {
    let (_, count) = model.seen(told);
    let numbers = |delay: u32| each(model, count, delay)?.checked_mul(model.states());
    (2..=8).take_while(|delay| numbers(*delay).is_some_and(|n| n <= MOST_NUMBERS)).last().unwrap_or(1)
}

/// What can be had at most where the whole state is told some steps late, beside what is told at once.
fn told_late(model: &Model, horizon: usize, told: Told, delay: u32) -> f64 {
    let (states, actions) = (model.states(), model.actions());
    let (seen, count) = model.seen(told);
    let one = count * actions;
    let each = each(model, count, delay).unwrap_or(actions);
    let rest = each / actions;
    // Where in a row of commands the part begins that follows on the first command and what was told then.
    let place = |action: usize, told: usize| match delay {
        1 => (action, 1),
        _ => (action * rest + told * (rest / count), rest / count),
    };
    let rows = model.rows(&seen);
    let mut mixed = vec![0.0; each];
    let mut mix = |from: &[f64], state, action, told: usize, fold: &mut dyn FnMut(&[f64])| {
        mixed.fill(0.0);
        for (next, p) in model.outcomes(state, action).iter().filter(|(next, _)| seen[*next as usize] == told)
        {
            let from = &from[*next as usize * each..][..each];
            mixed.iter_mut().zip(from).for_each(|(to, value)| *to += p * value);
        }
        fold(&mixed);
    };
    // The probabilities of what is told, by commands of which the last few are still to be counted.
    let mut chances = vec![1.0; states * each];
    for _ in 1..delay {
        let mut longer = vec![0.0; states * each];
        for &(state, action, told) in &rows {
            let (at, length) = place(action, told);
            let to = &mut longer[state * each + at..][..length];
            // What the commands in the last places are makes no difference: all of a group are the same.
            mix(&chances, state, action, told, &mut |mixed| {
                to.iter_mut().zip(mixed.chunks_exact(each / length)).for_each(|(to, group)| *to = group[0]);
            });
        }
        chances = longer;
    }
    let (mut later, mut now) = (vec![0.0; states * each], vec![0.0; states * each]);
    let group = if delay == 1 { actions } else { one };
    for _ in 0..horizon {
        for (row, (now, chances)) in now.chunks_exact_mut(rest).zip(chances.chunks_exact(rest)).enumerate() {
            let reward = model.reward(row / actions, row % actions);
            now.iter_mut().zip(chances).for_each(|(now, chance)| *now = reward * chance);
        }
        for &(state, action, told) in &rows {
            let (at, length) = place(action, told);
            let to = &mut now[state * each + at..][..length];
            mix(&later, state, action, told, &mut |mixed| {
                let groups = mixed.chunks_exact(group);
                to.iter_mut().zip(groups).for_each(|(to, group)| *to += best(group, actions));
            });
        }
        std::mem::swap(&mut now, &mut later);
    }
    let mut from = later[model.start() * each..][..each].to_vec();
    while from.len() > actions {
        from = from.chunks_exact(one).map(|group| best(group, actions)).collect();
    }
    best(&from, actions)
}

/// The sum over what may be told of the best that can be done then.
fn best(group: &[f64], actions: usize) -> f64 {
    group.chunks_exact(actions).map(|all| all.iter().copied().fold(f64::NEG_INFINITY, f64::max)).sum()
}

/// Improves a sequence of joint commands one step at a time until no step alone can be improved; its worth and
/// itself.
fn ascend(model: &Model, mut sequence: Vec<usize>) -> (f64, Vec<usize>) {
    let (states, horizon) = (model.states(), sequence.len());
    let mut total = f64::NEG_INFINITY;
    loop {
        // Backwards: what the rest of the sequence pays from each state.
        let mut later = vec![vec![0.0; states]; horizon + 1];
        for step in (0..horizon).rev() {
            for state in 0..states {
                later[step][state] = worth(model, state, sequence[step], &later[step + 1]);
            }
        }
        let before = std::mem::replace(&mut total, later[0][model.start()]);
        if total <= before + 1e-12 {
            return (total, sequence);
        }
        // Forwards: the distribution of states, and the best command in it.
        let mut belief = vec![0.0; states];
        belief[model.start()] = 1.0;
        for step in 0..horizon {
            let there = |belief: &[f64]| (0..states).filter(|s| belief[*s] > 0.0).collect::<Vec<_>>();
            let there = there(&belief);
            let mean = |action: usize| {
                let each = |state: &usize| belief[*state] * worth(model, *state, action, &later[step + 1]);
                there.iter().map(each).sum::<f64>()
            };
            let mut best = (sequence[step], mean(sequence[step]) + 1e-12);
            for action in 0..model.actions() {
                let worth = mean(action);
                if worth > best.1 {
                    best = (action, worth);
                }
            }
            sequence[step] = best.0;
            let mut next = vec![0.0; states];
            for state in there {
                for (after, p) in model.outcomes(state, best.0) {
                    next[*after as usize] += belief[state] * p;
                }
            }
            belief = next;
        }
    }
}
