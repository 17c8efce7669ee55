//! The tables of one run: how actions are chosen from them, and how each rule learns from a step.

use super::config::{Next, Rule, TabularConfig};
use super::games::{Payoffs, minimax, nash};
use crate::nn::initial::Stream;

/// No action: the agent took no part.
pub(super) const NONE: u32 = u32::MAX;

/// Sizes of a run's tables.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub agents: usize,
    /// One for each agent, or one for all.
    pub tables: usize,
    pub states: usize,
    pub options: usize,
    /// Actions of all others together, where values depend on them; else 1.
    pub others: usize,
}

impl Sizes {
    /// Rows of all tables.
    fn rows(&self) -> usize {
        self.tables * self.states
    }

    /// The row of an agent's table.
    fn row(&self, agent: usize, state: u32) -> usize {
        if self.tables == 1 { state as usize } else { agent * self.states + state as usize }
    }

    /// The actions of all others together as a number: digits to the base of options, the first of them counts most.
    fn joint(&self, acted: &[Acted], agent: usize) -> usize {
        let others = acted.iter().enumerate().filter(|(other, _)| *other != agent);
        others.fold(0, |joint, (_, of)| {
            joint * self.options + if of.option == NONE { 0 } else { of.option as usize }
        })
    }
}

/// The rates of an iteration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    pub alpha: f32,
    /// What the rates of rules are multiplied by.
    pub factor: f32,
}

/// In which state an agent did what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Acted {
    pub state: u32,
    pub option: u32,
}

/// What a world shows after a step, agent by agent.
#[derive(Clone, Copy)]
pub(super) struct After<'a> {
    pub rewards: &'a [f32],
    pub terminated: &'a [bool],
    /// Who takes part in the next step.
    pub active: &'a [bool],
    /// The rows of what agents see now.
    pub states: &'a [u32],
    pub ended: bool,
    /// `[agents, options]`, where options are at times closed: before the step, and now.
    pub closed: Option<[&'a [f32]; 2]>,
}

/// Options that are open to an agent.
#[derive(Clone, Copy)]
struct Open<'a>(Option<&'a [f32]>);

impl<'a> Open<'a> {
    fn of(masks: Option<&'a [f32]>, agent: usize, options: usize) -> Self {
        Open(masks.map(|masks| &masks[agent * options..][..options]))
    }

    fn is(&self, option: usize) -> bool {
        self.0.is_none_or(|mask| mask[option] > 0.0)
    }
}

/// A run. Which of its tables a rule has use for, [`Lane::new`] says.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    /// `[tables, states, options, others]`: what actions are worth.
    pub values: Vec<f32>,
    /// `[tables, states, options]`: probabilities of actions.
    pub strategy: Vec<f32>,
    /// Temperatures `[tables, states, options]`, counts of what others did `[tables, states, others]`, or the mean
    /// strategy
    /// `[tables, states, options]`.
    pub more: Vec<f32>,
    /// What solved states are worth, or visits: `[tables, states]`.
    pub of_states: Vec<f32>,
    /// `[worlds, agents]`.
    pub acted: Vec<Acted>,
    pub episodes: u64,
    /// The chance of an action at random after these.
    epsilon: f32,
    /// Since they were last asked for: steps of tables, and the sum of their errors' magnitudes.
    pub updates: u64,
    pub error: f64,
    /// Why it cannot go on, and in which of its worlds.
    pub failure: Option<(usize, String)>,
    /// Room for what is chosen.
    chosen: Vec<u32>,
}

impl Lane {
    /// Tables in which nothing is learned, for so many worlds.
    pub fn new(config: &TabularConfig, sizes: &Sizes, worlds: usize) -> Lane {
        let (rows, options) = (sizes.rows(), sizes.options);
        let even = |wanted: bool| vec![1.0 / options as f32; if wanted { rows * options } else { 0 }];
        let (more, of_states) = match config.rule {
            Rule::Lenient { temperature, .. } => (vec![temperature; rows * options], Vec::new()),
            Rule::JointAction => (vec![0.0; rows * sizes.others], Vec::new()),
            Rule::Minimax | Rule::Nash => (Vec::new(), vec![config.initial; rows]),
            Rule::WolfPhc { .. } => (even(true), vec![0.0; rows]),
            Rule::Independent | Rule::Hysteretic { .. } => (Vec::new(), Vec::new()),
        };
        Lane {
            values: vec![config.initial; rows * options * sizes.others],
            strategy: even(config.rule.draws()),
            more,
            of_states,
            acted: vec![Acted { state: 0, option: NONE }; worlds * sizes.agents],
            episodes: 0,
            epsilon: config.epsilon(0),
            updates: 0,
            error: 0.0,
            failure: None,
            chosen: vec![NONE; sizes.agents],
        }
    }

    /// What an option of a row is worth; by the rule of joint actions on average over what the others did there.
    pub fn worth(&self, config: &TabularConfig, sizes: &Sizes, row: usize, option: usize) -> f32 {
        let others = sizes.others;
        let of = &self.values[(row * sizes.options + option) * others..][..others];
        if config.rule != Rule::JointAction {
            return of[0];
        }
        let counts = &self.more[row * others..][..others];
        let all: f32 = counts.iter().sum();
        match all > 0.0 {
            true => of.iter().zip(counts).map(|(value, count)| value * count).sum::<f32>() / all,
            false => of.iter().sum::<f32>() / others as f32,
        }
    }

    /// The best option of a row among those open, the first of equals, and its worth.
    fn best(&self, config: &TabularConfig, sizes: &Sizes, row: usize, open: Open<'_>) -> (usize, f32) {
        let better =
            |best: (usize, f32), (option, worth)| if worth > best.1 { (option, worth) } else { best };
        let none = (0, f32::NEG_INFINITY);
        if config.rule != Rule::JointAction && open.0.is_none() {
            let of = &self.values[row * sizes.options..][..sizes.options];
            return of.iter().copied().enumerate().fold(none, better);
        }
        let opened = (0..sizes.options).filter(|option| open.is(*option));
        opened.map(|option| (option, self.worth(config, sizes, row, option))).fold(none, better)
    }

    /// Chooses an option in a row.
    fn choose(
        &self,
        config: &TabularConfig,
        sizes: &Sizes,
        row: usize,
        open: Open<'_>,
        random: &mut Stream,
    ) -> u32 {
        let options = sizes.options;
        if random.uniform() < f64::from(self.epsilon) {
            if open.0.is_none() {
                return random.below(options) as u32;
            }
            let count = (0..options).filter(|option| open.is(*option)).count();
            let nth = random.below(count.max(1));
            return (0..options).filter(|option| open.is(*option)).nth(nth).unwrap_or(0) as u32;
        }
        if self.strategy.is_empty() {
            return self.best(config, sizes, row, open).0 as u32;
        }
        let strategy = &self.strategy[row * options..][..options];
        let chance = |option: usize| if open.is(option) { f64::from(strategy[option]) } else { 0.0 };
        let mut left = random.uniform() * (0..options).map(chance).sum::<f64>();
        let mut last = 0;
        for option in (0..options).filter(|option| open.is(*option)) {
            last = option;
            left -= chance(option);
            if left < 0.0 {
                break;
            }
        }
        last as u32
    }

    /// Agents of a world choose what they do in the episode that begins.
    pub fn begin(
        &mut self,
        config: &TabularConfig,
        sizes: &Sizes,
        world: usize,
        after: After<'_>,
        random: &mut Stream,
    ) {
        for agent in 0..sizes.agents {
            let state = after.states[agent];
            let open = Open::of(after.closed.map(|masks| masks[1]), agent, sizes.options);
            let option = match after.active[agent] {
                true => self.choose(config, sizes, sizes.row(agent, state), open, random),
                false => NONE,
            };
            self.acted[world * sizes.agents + agent] = Acted { state, option };
        }
    }

    /// Learns from a step of a world, and has its agents choose what they do next.
    pub fn learn(
        &mut self,
        config: &TabularConfig,
        sizes: &Sizes,
        rates: Rates,
        world: usize,
        after: After<'_>,
        random: &mut Stream,
    ) {
        let first = world * sizes.agents;
        let goes_on = |agent: usize| after.active[agent] && !after.ended;
        let open = |agent: usize| Open::of(after.closed.map(|masks| masks[1]), agent, sizes.options);
        // SARSA has to know what is done next before it learns; the others should know what was learned.
        let taken = config.next == Next::Taken;
        let mut chosen = std::mem::take(&mut self.chosen);
        for agent in (0..sizes.agents).filter(|_| taken) {
            let acted = self.acted[first + agent].option != NONE && !after.terminated[agent];
            chosen[agent] = match acted || goes_on(agent) {
                true => {
                    let row = sizes.row(agent, after.states[agent]);
                    self.choose(config, sizes, row, open(agent), random)
                }
                false => NONE,
            };
        }
        for agent in 0..sizes.agents {
            let Acted { state, option } = self.acted[first + agent];
            if option == NONE {
                continue;
            }
            let next = sizes.row(agent, after.states[agent]);
            let worth = match after.terminated[agent] {
                true => 0.0,
                false => self.next(config, sizes, next, open(agent), chosen[agent]),
            };
            let target = after.rewards[agent] + config.gamma * worth;
            let others = match sizes.others {
                1 => 0,
                _ => sizes.joint(&self.acted[first..first + sizes.agents], agent),
            };
            let at = [sizes.row(agent, state), option as usize, others];
            let before = Open::of(after.closed.map(|masks| masks[0]), agent, sizes.options);
            self.update(config, sizes, rates, at, target, before, random);
        }
        if config.rule.solves() {
            self.solve(config, sizes, first, after);
        }
        for agent in 0..sizes.agents {
            let state = after.states[agent];
            let option = match (goes_on(agent), taken) {
                (false, _) => NONE,
                (true, true) => chosen[agent],
                (true, false) => self.choose(config, sizes, sizes.row(agent, state), open(agent), random),
            };
            self.acted[first + agent] = Acted { state, option };
        }
        self.chosen = chosen;
        if after.ended {
            self.set_episodes(config, self.episodes + 1);
        }
    }

    /// So many episodes are over.
    pub fn set_episodes(&mut self, config: &TabularConfig, episodes: u64) {
        (self.episodes, self.epsilon) = (episodes, config.epsilon(episodes));
    }

    /// What a row is worth to what led there.
    fn next(&self, config: &TabularConfig, sizes: &Sizes, row: usize, open: Open<'_>, taken: u32) -> f32 {
        if config.rule.solves() {
            return self.of_states[row];
        }
        match config.next {
            Next::Best => self.best(config, sizes, row, open).1,
            Next::Taken => self.values[row * sizes.options + taken as usize],
            Next::Expected => {
                let (mut sum, mut count) = (0.0, 0.0);
                for option in (0..sizes.options).filter(|option| open.is(*option)) {
                    sum += self.values[row * sizes.options + option];
                    count += 1.0;
                }
                let best = self.best(config, sizes, row, open).1;
                (1.0 - self.epsilon) * best + self.epsilon * sum / f32::max(count, 1.0)
            }
        }
    }

    /// One step of a value towards its target, and of what else the rule keeps of the row.
    #[allow(clippy::too_many_arguments)]
    fn update(
        &mut self,
        config: &TabularConfig,
        sizes: &Sizes,
        rates: Rates,
        [row, option, others]: [usize; 3],
        target: f32,
        open: Open<'_>,
        random: &mut Stream,
    ) {
        let cell = row * sizes.options + option;
        let value = &mut self.values[cell * sizes.others + others];
        let error = target - *value;
        let rate = match config.rule {
            Rule::Hysteretic { beta } if error < 0.0 => beta * rates.factor,
            Rule::Lenient { decay, moderation, .. } => {
                let temperature = self.more[cell];
                self.more[cell] = temperature * decay;
                let forgiven = 1.0 - (-moderation * temperature).exp();
                if error < 0.0 && random.uniform() < f64::from(forgiven) { 0.0 } else { rates.alpha }
            }
            _ => rates.alpha,
        };
        *value += rate * error;
        self.updates += 1;
        self.error += f64::from(error.abs());
        match config.rule {
            Rule::JointAction => self.more[row * sizes.others + others] += 1.0,
            Rule::WolfPhc { win, lose } => {
                self.climb(sizes, row, [win, lose].map(|step| step * rates.factor), open);
            }
            _ => {}
        }
    }

    /// Moves the strategy of a row towards its best option (Bowling and Veloso 2002, table 5): by the first step where
    /// it is worth more than the mean strategy so far, else by the second.
    fn climb(&mut self, sizes: &Sizes, row: usize, [win, lose]: [f32; 2], open: Open<'_>) {
        let all = row * sizes.options..(row + 1) * sizes.options;
        let (values, strategy, mean) =
            (&self.values[all.clone()], &mut self.strategy[all.clone()], &mut self.more[all]);
        self.of_states[row] += 1.0;
        let share = 1.0 / self.of_states[row];
        mean.iter_mut().zip(&*strategy).for_each(|(mean, now)| *mean += (now - *mean) * share);
        let worth = |of: &[f32]| of.iter().zip(values).map(|(p, value)| p * value).sum::<f32>();
        let step = if worth(strategy) > worth(mean) { win } else { lose };
        let opened = (0..values.len()).filter(|option| open.is(*option));
        let Some(best) = opened.clone().max_by(|a, b| values[*a].total_cmp(&values[*b]).then(b.cmp(a)))
        else {
            return;
        };
        let each = step / (opened.count() - 1).max(1) as f32;
        let mut moved = 0.0;
        for (option, chance) in strategy.iter_mut().enumerate().filter(|(option, _)| *option != best) {
            // An option that is closed here is not kept.
            let taken = if open.is(option) { chance.min(each) } else { *chance };
            *chance -= taken;
            moved += taken;
        }
        strategy[best] += moved;
    }

    /// Solves the game between the two agents of a world in the state in which they acted.
    fn solve(&mut self, config: &TabularConfig, sizes: &Sizes, first: usize, after: After<'_>) {
        let acted = [self.acted[first], self.acted[first + 1]];
        if acted.iter().any(|acted| acted.option == NONE) {
            return;
        }
        let masks = after.closed.map(|masks| masks[0]);
        let open = [0, 1].map(|agent| {
            let open = Open::of(masks, agent, sizes.options);
            (0..sizes.options).filter(|option| open.is(*option)).collect::<Vec<_>>()
        });
        let rows = [0, 1].map(|agent| sizes.row(agent, acted[agent].state));
        let games = [0, 1].map(|agent| {
            let (own, other) = (&open[agent], &open[1 - agent]);
            let of = |i: &usize, j: &usize| {
                f64::from(self.values[(rows[agent] * sizes.options + i) * sizes.others + j])
            };
            let pays = own.iter().flat_map(|i| other.iter().map(move |j| of(i, j))).collect();
            Payoffs { own: own.len(), other: other.len(), pays }
        });
        let solved = match config.rule {
            Rule::Nash => nash(&games[0], &games[1]).map(|both| both.map(Some)),
            _ => Some([0, 1].map(|agent| minimax(&games[agent]))),
        };
        for (agent, solution) in solved.unwrap_or([None, None]).into_iter().enumerate() {
            let Some((strategy, worth)) = solution else {
                let [own, other] = games.map(|game| game.pays);
                let message = format!("no solution of the game that pays {own:?} and {other:?}");
                self.failure = Some((first / sizes.agents, message));
                return;
            };
            let kept = &mut self.strategy[rows[agent] * sizes.options..][..sizes.options];
            kept.fill(0.0);
            open[agent].iter().zip(strategy).for_each(|(option, p)| kept[*option] = p as f32);
            self.of_states[rows[agent]] = worth as f32;
        }
    }
}
