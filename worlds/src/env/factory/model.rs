//! A small factory as a table: every joint state of machines and queues, every joint command, what follows with which
//! probability and what is paid on average. Made from the settings alone, apart from the code that steps a factory,
//! so that each can be held against the other.
//!
//! What a machine was told last, and its readings, change nothing of what is to come. So a machine has `wear_levels`
//! states in which it is sound, one in which it is faulty, and one for each number of steps that a repair has left.

use super::config::{COMMANDS, FactoryConfig, REPAIR};
use super::floor::Floor;
use super::optimum::Told;

/// What a table may take: the product of states, joint commands, outcomes of each and steps of an episode.
const MOST_WORK: u64 = 1 << 31;
/// Joint states, times joint commands, at most.
const MOST_ROWS: u64 = 1 << 17;

/// The table.
#[derive(Debug, Clone)]
pub struct Model {
    /// States of one machine, and of one queue.
    sizes: [usize; 2],
    machines: usize,
    wear_levels: usize,
    states: usize,
    actions: usize,
    /// Where the outcomes of a state and a joint command begin, `[states * actions + 1]`.
    first: Vec<u32>,
    outcomes: Vec<(u32, f64)>,
    /// What is paid on average, `[states, actions]`.
    rewards: Vec<f64>,
}

/// Outcomes of one machine: probability, next state, orders it is ready for.
type Moves = Vec<(f64, usize, usize)>;

/// What a machine in that state pays on average and becomes by a command.
fn machine(config: &FactoryConfig, state: usize, command: u32) -> (f64, Moves) {
    let faulty = config.wear_levels;
    // `faulty + n` is a repair with n steps left, and without any it is over.
    let after = |left: usize| if left == 0 { 0 } else { faulty + left };
    if state > faulty {
        return (0.0, vec![(1.0, after(state - faulty - 1), 0)]);
    }
    if command == REPAIR {
        return (-config.repair_cost, vec![(1.0, after(config.repair_steps - 1), 0)]);
    }
    let Some((energy, wears, orders)) = config.rate(command).filter(|_| state < faulty) else {
        return (0.0, vec![(1.0, state, 0)]);
    };
    let fails = config.fails(state);
    let mut moves = vec![(fails, faulty, 0)];
    match state + 1 == config.wear_levels {
        true => moves.push((1.0 - fails, state, orders)),
        false => moves.extend([
            ((1.0 - fails) * (1.0 - wears), state, orders),
            ((1.0 - fails) * wears, state + 1, orders),
        ]),
    }
    (-energy - fails * config.fault_cost, moves)
}

/// What so many orders pay on average, and what becomes of them, where machines are ready for `ready`.
fn queue(config: &FactoryConfig, waiting: usize, ready: usize) -> (f64, Vec<(f64, usize)>) {
    let made = waiting.min(ready);
    let rest = waiting - made;
    let mut pays = config.revenue * made as f64 - config.late_cost * rest as f64;
    pays -= config.lost_cost * config.withdrawal * rest as f64;
    let mut after = vec![0.0; config.queue + 1];
    // The binomial distribution of those that stay, one order after another.
    let mut stay = vec![0.0; rest + 1];
    stay[0] = 1.0;
    for orders in 1..=rest {
        for n in (0..=orders).rev() {
            let stays = if n > 0 { stay[n - 1] * (1.0 - config.withdrawal) } else { 0.0 };
            stay[n] = stay[n] * config.withdrawal + stays;
        }
    }
    for (n, chance) in stay.into_iter().enumerate() {
        let full = (n + config.batch).min(config.queue);
        after[n] += chance * (1.0 - config.arrival);
        after[full] += chance * config.arrival;
        pays -= chance * config.arrival * config.lost_cost * (n + config.batch - full) as f64;
    }
    (pays, after.into_iter().enumerate().filter(|(_, p)| *p > 0.0).map(|(n, p)| (p, n)).collect())
}

impl Model {
    /// The table of a factory; `None` where it would be too large.
    pub fn new(config: &FactoryConfig) -> Option<Model> {
        let sizes = [config.wear_levels + config.repair_steps, config.queue + 1];
        let power = |base: usize, times: usize| (base as u64).checked_pow(times as u32);
        let states = power(sizes[0], config.machines)?.checked_mul(power(sizes[1], config.processors)?)?;
        let actions = power(COMMANDS, config.machines)?;
        let rows = states.checked_mul(actions).filter(|rows| *rows <= MOST_ROWS)?;
        let most = power(3, config.machines)?.checked_mul(power(sizes[1], config.processors)?)?.min(states);
        rows.checked_mul(most)?.checked_mul(config.horizon as u64).filter(|work| *work <= MOST_WORK)?;
        let (states, actions) = (states as usize, actions as usize);
        let mut model = Model {
            sizes,
            machines: config.machines,
            wear_levels: config.wear_levels,
            states,
            actions,
            first: vec![0],
            outcomes: Vec::new(),
            rewards: Vec::with_capacity(states * actions),
        };
        let mut dense = vec![0.0; states];
        for state in 0..states {
            for action in 0..actions {
                model.add_row(config, state, action, &mut dense);
            }
        }
        Some(model)
    }

    fn add_row(&mut self, config: &FactoryConfig, state: usize, action: usize, dense: &mut [f64]) {
        let (machines, queues) = self.parts(state);
        let mut pays = 0.0;
        // Probability, the machines' part of the number of the next state, what each queue's machines are ready for.
        let mut all = vec![(1.0, 0, vec![0; config.processors])];
        let mut place = 1;
        for (number, (condition, command)) in machines.into_iter().zip(self.commands(action)).enumerate() {
            let (paid, moves) = machine(config, condition, command);
            pays += paid;
            let mut more = Vec::with_capacity(all.len() * moves.len());
            for (chance, next, ready) in &all {
                for (p, condition, orders) in moves.iter().filter(|(p, ..)| *p > 0.0) {
                    let mut ready: Vec<usize> = ready.clone();
                    ready[number % config.processors] += orders;
                    more.push((chance * p, next + place * condition, ready));
                }
            }
            all = more;
            place *= self.sizes[0];
        }
        for (chance, next, ready) in all {
            let mut branches = vec![(chance, next)];
            let mut place = place;
            for (waiting, ready) in queues.iter().zip(ready) {
                let (paid, after) = queue(config, *waiting, ready);
                pays += chance * paid;
                let joined = |(chance, next): &(f64, usize)| {
                    after.iter().map(|(p, n)| (chance * p, next + place * n)).collect::<Vec<_>>()
                };
                branches = branches.iter().flat_map(joined).collect();
                place *= self.sizes[1];
            }
            branches.into_iter().for_each(|(chance, next)| dense[next] += chance);
        }
        for (next, chance) in dense.iter_mut().enumerate().filter(|(_, chance)| **chance > 0.0) {
            self.outcomes.push((next as u32, std::mem::take(chance)));
        }
        self.first.push(self.outcomes.len() as u32);
        self.rewards.push(pays);
    }

    /// The states of the machines and of the queues in a joint state.
    fn parts(&self, mut state: usize) -> (Vec<usize>, Vec<usize>) {
        let mut digit = |base: usize| {
            let digit = state % base;
            state /= base;
            digit
        };
        let machines = (0..self.machines).map(|_| digit(self.sizes[0])).collect();
        let mut queues = Vec::new();
        let mut rest = self.states / self.sizes[0].pow(self.machines as u32);
        while rest > 1 {
            queues.push(digit(self.sizes[1]));
            rest /= self.sizes[1];
        }
        (machines, queues)
    }

    /// The number of joint states.
    pub fn states(&self) -> usize {
        self.states
    }

    /// The number of joint commands.
    pub fn actions(&self) -> usize {
        self.actions
    }

    /// The joint state in which an episode begins.
    pub fn start(&self) -> usize {
        0
    }

    /// The commands to the machines that a joint command consists of.
    pub fn commands(&self, action: usize) -> Vec<u32> {
        (0..self.machines as u32).map(|m| (action / COMMANDS.pow(m) % COMMANDS) as u32).collect()
    }

    /// What may follow on a state and a joint command: states with their probabilities.
    pub fn outcomes(&self, state: usize, action: usize) -> &[(u32, f64)] {
        let row = state * self.actions + action;
        &self.outcomes[self.first[row] as usize..self.first[row + 1] as usize]
    }

    /// What a state and a joint command pay on average.
    pub fn reward(&self, state: usize, action: usize) -> f64 {
        self.rewards[state * self.actions + action]
    }

    /// What is told of each state, as a number below the second number.
    pub(super) fn seen(&self, told: Told) -> (Vec<usize>, usize) {
        let machines = self.sizes[0].pow(self.machines as u32);
        let states = 0..self.states;
        match told {
            Told::Nothing => (vec![0; self.states], 1),
            Told::Machines => (states.map(|state| state % machines).collect(), machines),
            Told::Orders => (states.map(|state| state / machines).collect(), self.states / machines),
        }
    }

    /// Every state with every joint command and everything that may be told after it.
    pub(super) fn rows(&self, seen: &[usize]) -> Vec<(usize, usize, usize)> {
        let mut rows = Vec::new();
        for (state, action) in (0..self.states).flat_map(|s| (0..self.actions).map(move |a| (s, a))) {
            let mut told: Vec<usize> =
                self.outcomes(state, action).iter().map(|(next, _)| seen[*next as usize]).collect();
            told.sort_unstable();
            told.dedup();
            rows.extend(told.into_iter().map(|told| (state, action, told)));
        }
        rows
    }

    /// The number of the state that a floor of this factory is in.
    pub fn state(&self, floor: &Floor) -> usize {
        let (mut state, mut place) = (0, 1);
        for machine in &floor.machines {
            let condition = match (machine.left, machine.faulty) {
                (0, false) => machine.wear(),
                (0, true) => self.wear_levels,
                (left, _) => self.wear_levels + left as usize,
            };
            state += place * condition;
            place *= self.sizes[0];
        }
        for orders in &floor.queues {
            state += place * orders.waiting();
            place *= self.sizes[1];
        }
        state
    }
}
