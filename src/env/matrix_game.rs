//! Matrix games of two agents that are paid alike: climbing, penalty, and the two-step game of QMIX.

use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View, within};
use crate::error::{Error, Result};

/// Many matrix games played at once.
pub type MatrixGame = Vectorised<MatrixGameConfig>;

/// The settings of [`MatrixGame`].
///
/// Both agents see which game is on as one-hot numbers; the state for a centralised critic adds the part of the
/// episode that is over. Reports have `optimal`: 1 where the episode paid the most that it can.
///
/// ```
/// use synod::env::{Buffers, VecEnv, matrix_game::{MatrixGame, MatrixGameConfig}};
/// let mut env = MatrixGame::new(MatrixGameConfig { worlds: 1, ..MatrixGameConfig::two_step() }, 0)?;
/// let mut out = Buffers::new(env.spec());
/// env.reset(&[true], &mut out)?;
/// env.step(&[1, 0].into(), &mut out)?; // the first agent chooses the risky game
/// env.step(&[1, 1].into(), &mut out)?;
/// assert_eq!(out.rewards, [8.0, 8.0]);
/// # Ok::<(), synod::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MatrixGameConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// The games: what the first agent's action (row) with the second's (column) pays to each. All of one size.
    pub games: Vec<Vec<Vec<f64>>>,
    /// Begin with a step without pay, at which the first agent's action says which of `games` is played. Without
    /// it there is one game.
    pub choose: bool,
    /// How often the game is played in an episode.
    pub rounds: usize,
}

crate::env::config::world!(
    MatrixGameConfig => MatrixGame,
    "matrix_game",
    "climbing, penalty, QMIX's two-step game"
);

impl Default for MatrixGameConfig {
    /// [`MatrixGameConfig::climbing`].
    fn default() -> Self {
        Self::climbing()
    }
}

impl MatrixGameConfig {
    fn repeated(game: [[f64; 3]; 3]) -> Self {
        let game = game.iter().map(|row| row.to_vec()).collect();
        MatrixGameConfig { worlds: 64, games: vec![game], choose: false, rounds: 25 }
    }

    /// Climbing as Papoudakis et al. play it (arXiv 2006.07869): 25 rounds; the most is 275, safe play 175.
    pub fn climbing() -> Self {
        Self::repeated([[11.0, -30.0, 0.0], [-30.0, 7.0, 0.0], [0.0, 6.0, 5.0]])
    }

    /// Climbing as Claus and Boutilier print it (AAAI 1998): the players of [`MatrixGameConfig::climbing`] change
    /// places. One round, as in tabular work.
    pub fn climbing_claus() -> Self {
        let game = [[11.0, -30.0, 0.0], [-30.0, 7.0, 6.0], [0.0, 0.0, 5.0]];
        MatrixGameConfig { rounds: 1, ..Self::repeated(game) }
    }

    /// The penalty game (Claus and Boutilier 1998; 25 rounds as in arXiv 2006.07869) with penalty `-k` where `k` is
    /// positive; the most is 250, safe play 50.
    pub fn penalty(k: f64) -> Self {
        Self::repeated([[-k, 0.0, 10.0], [0.0, 2.0, 0.0], [10.0, 0.0, -k]])
    }

    /// The two-step game of QMIX (arXiv 1803.11485, section 5.1): the first agent chooses a game that pays 7
    /// whatever is done, or one that pays 8 for the right pair of actions. VDN's best is 7, QMIX's 8.
    pub fn two_step() -> Self {
        let games = vec![vec![vec![7.0, 7.0], vec![7.0, 7.0]], vec![vec![0.0, 1.0], vec![1.0, 8.0]]];
        MatrixGameConfig { worlds: 64, games, choose: true, rounds: 1 }
    }

    fn actions(&self) -> [usize; 2] {
        [self.games[0].len(), self.games[0][0].len()]
    }

    fn stages(&self) -> usize {
        self.games.len() + usize::from(self.choose)
    }

    fn length(&self) -> u32 {
        self.rounds as u32 + u32::from(self.choose)
    }

    /// The most that a round pays.
    fn best(&self) -> f64 {
        self.games.iter().flatten().flatten().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// A game between two steps.
#[derive(Debug, Clone)]
pub struct Play {
    /// Which of the one-hot numbers is set.
    stage: u32,
    step: u32,
    paid: f64,
}

impl Rules for MatrixGameConfig {
    type World = Play;
    const NAME: &'static str = "matrix_game";
    const METRICS: &'static [&'static str] = &["optimal"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        within("rounds", self.rounds, 1, 1 << 30)?;
        within("games", self.games.len(), 1, 1024)?;
        let bad = |message: String| Err(Error::config("world.games", message));
        let rows = self.games[0].len();
        let columns = self.games[0].first().map_or(0, Vec::len);
        if !(1..=1024).contains(&rows) || !(1..=1024).contains(&columns) {
            return bad(format!("expected 1 to 1024 rows and columns, got {rows} and {columns}"));
        }
        if self.games.iter().any(|game| game.len() != rows || game.iter().any(|row| row.len() != columns)) {
            return bad(format!("expected all of {rows} rows and {columns} columns"));
        }
        // Sums of rounds stay finite, also as f32.
        if self.games.iter().flatten().flatten().any(|pay| !pay.is_finite() || pay.abs() > 1e30) {
            return bad("expected payoffs of at most 1e30".to_owned());
        }
        let expected = if self.choose { rows } else { 1 };
        if self.games.len() != expected {
            return bad(format!("expected {expected} with this `choose`, got {}", self.games.len()));
        }
        Ok(())
    }

    fn kinds(&self) -> Vec<AgentKind> {
        let [first, second] = self.actions();
        let kind = |name: &str, count, options| AgentKind::discrete(name, count, self.stages(), options);
        if first == second {
            return vec![kind("agent", 2, first)];
        }
        vec![kind("row", 1, first), kind("column", 1, second)]
    }

    fn state(&self) -> usize {
        self.stages() + 1
    }

    fn blank(&self) -> Play {
        Play { stage: 0, step: 0, paid: 0.0 }
    }

    fn reset(&self, world: &mut Play, _episode: u64, _random: &mut Pcg64) {
        *world = self.blank();
    }

    fn step(&self, world: &mut Play, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        let (first, second) = match actions.discrete(0) {
            [first, second] => (*first, *second),
            row => (row[0], actions.discrete(1)[0]),
        };
        if self.choose && world.stage == 0 {
            world.stage = 1 + first;
        } else {
            let game = &self.games[world.stage as usize - usize::from(self.choose)];
            let payoff = game[first as usize][second as usize];
            pay.rewards.fill(payoff as f32);
            world.paid += payoff;
        }
        world.step += 1;
        if world.step == self.length() { Outcome::Ends } else { Outcome::GoesOn }
    }

    fn observe(&self, world: &Play, view: &mut View) {
        for agent in 0..2 {
            let kinds = if self.games[0].len() == self.games[0][0].len() { (0, agent) } else { (agent, 0) };
            let seen = view.observation(kinds.0, kinds.1);
            seen.fill(0.0);
            seen[world.stage as usize] = 1.0;
        }
        let state = view.state();
        state.fill(0.0);
        state[world.stage as usize] = 1.0;
        state[self.stages()] = world.step as f32 / self.length() as f32;
    }

    fn metrics(&self, world: &Play) -> Vec<f64> {
        let most = self.best() * self.rounds as f64;
        vec![f64::from(world.paid >= most - 1e-9 * most.abs())]
    }

    fn visit(&self, world: &mut Play, codec: &mut Codec) -> Result<()> {
        codec.one(&mut world.stage)?;
        codec.one(&mut world.step)?;
        codec.one(&mut world.paid)
    }

    fn valid(&self, world: &Play) -> bool {
        (world.stage as usize) < self.stages()
            && world.step <= self.length()
            && (!self.choose || (world.step == 0) == (world.stage == 0))
    }
}
