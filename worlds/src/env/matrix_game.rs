//! Matrix games of two agents: climbing, penalty and the two-step game of QMIX, in which both are paid alike, and
//! matching pennies, in which one wins what the other loses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AgentKind;
use super::drawing::{DISC, Drawing, Role};
use super::pathfinding::Pcg64;
use super::vectorised::{Chosen, Codec, Outcome, Pay, Rules, Vectorised, View, within};
use crate::error::{Error, Result};

/// Many matrix games played at once.
pub type MatrixGame = Vectorised<MatrixGameConfig>;

/// The settings of [`MatrixGame`].
///
/// Both agents see which game is on as one-hot numbers; the state for a centralised critic adds the part of the
/// episode that is over. Reports have `optimal`: 1 where the episode paid the two together the most that it can.
///
/// ```
/// use synod_worlds::env::{Buffers, VecEnv, matrix_game::{MatrixGame, MatrixGameConfig}};
/// let mut env = MatrixGame::new(MatrixGameConfig { worlds: 1, ..MatrixGameConfig::two_step() }, 0)?;
/// let mut out = Buffers::new(env.spec());
/// env.reset(&[true], &mut out)?;
/// env.step(&[1, 0].into(), &mut out)?; // the first agent chooses the risky game
/// env.step(&[1, 1].into(), &mut out)?;
/// assert_eq!(out.rewards, [8.0, 8.0]);
/// # Ok::<(), synod_worlds::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MatrixGameConfig {
    /// Worlds stepped at once.
    pub worlds: usize,
    /// The games: what the first agent's action (row) with the second's (column) pays to each. All of one size.
    pub games: Vec<Vec<Vec<f64>>>,
    /// What each game pays to the second agent, where that is something else; none where both are paid alike.
    pub second: Vec<Vec<Vec<f64>>>,
    /// Begin with a step without pay, at which the first agent's action says which of `games` is played. Without
    /// it there is one game.
    pub choose: bool,
    /// How often the game is played in an episode.
    #[schemars(range(min = 1, max = 1 << 30))]
    pub rounds: usize,
}

crate::env::config::world!(
    MatrixGameConfig => MatrixGame,
    "matrix_game",
    "climbing, penalty, QMIX's two-step game, matching pennies"
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
        MatrixGameConfig { worlds: 64, games: vec![game], second: Vec::new(), choose: false, rounds: 25 }
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

    /// Matching pennies, one round: the first agent wins where both show the same side, the second where they do not.
    /// The only equilibrium is that both toss their coins.
    pub fn pennies() -> Self {
        let games = vec![vec![vec![1.0, -1.0], vec![-1.0, 1.0]]];
        let second = vec![vec![vec![-1.0, 1.0], vec![1.0, -1.0]]];
        MatrixGameConfig { worlds: 64, games, second, choose: false, rounds: 1 }
    }

    /// The two-step game of QMIX (arXiv 1803.11485, section 5.1): the first agent chooses a game that pays 7
    /// whatever is done, or one that pays 8 for the right pair of actions. VDN's best is 7, QMIX's 8.
    pub fn two_step() -> Self {
        let games = vec![vec![vec![7.0, 7.0], vec![7.0, 7.0]], vec![vec![0.0, 1.0], vec![1.0, 8.0]]];
        MatrixGameConfig { worlds: 64, games, second: Vec::new(), choose: true, rounds: 1 }
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

    /// What a game pays to the two for their actions.
    fn pays(&self, game: usize, [first, second]: [usize; 2]) -> [f64; 2] {
        let own = self.games[game][first][second];
        [own, self.second.get(game).map_or(own, |other| other[first][second])]
    }

    /// The most that a round pays, the mean over the two.
    fn best(&self) -> f64 {
        let first = self.games.iter().flatten().flatten().copied();
        if self.second.is_empty() {
            return first.fold(f64::NEG_INFINITY, f64::max);
        }
        let second = self.second.iter().flatten().flatten().copied();
        first.zip(second).map(|(a, b)| mean([a, b])).fold(f64::NEG_INFINITY, f64::max)
    }
}

fn mean([first, second]: [f64; 2]) -> f64 {
    0.5 * (first + second)
}

/// How wide a payoff is in a picture.
const CELL: f32 = 1.3;

/// A game between two steps.
#[derive(Debug, Clone)]
pub struct Play {
    /// Which of the one-hot numbers is set.
    stage: u32,
    step: u32,
    paid: f64,
    /// What the two did last, for pictures; `None` before, and after loading.
    did: Option<[u32; 2]>,
}

/// Actions of each agent, and games, that a picture has room for.
const MOST_DRAWN: usize = 12;

impl Rules for MatrixGameConfig {
    type World = Play;
    const NAME: &'static str = "matrix_game";
    const METRICS: &'static [&'static str] = &["optimal"];

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
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
        let beyond = |pay: &f64| !pay.is_finite() || pay.abs() > 1e30;
        if self.games.iter().flatten().flatten().any(beyond) {
            return bad("expected payoffs of at most 1e30".to_owned());
        }
        let shape = |games: &[Vec<Vec<f64>>]| -> Vec<Vec<usize>> {
            games.iter().map(|game| game.iter().map(Vec::len).collect()).collect()
        };
        if !self.second.is_empty() && shape(&self.second) != shape(&self.games) {
            let message = "expected nothing, or as many payoffs as world.games has";
            return Err(Error::config("world.second", message));
        }
        if self.second.iter().flatten().flatten().any(beyond) {
            return Err(Error::config("world.second", "expected payoffs of at most 1e30"));
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
        Play { stage: 0, step: 0, paid: 0.0, did: None }
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
            let game = world.stage as usize - usize::from(self.choose);
            let paid = self.pays(game, [first as usize, second as usize]);
            pay.rewards.iter_mut().zip(paid).for_each(|(to, paid)| *to = paid as f32);
            world.paid += mean(paid);
        }
        world.step += 1;
        world.did = Some([first, second]);
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

    /// That of a single game of two actions each that has none in which both are sure of what they do.
    fn equilibrium(&self) -> Option<Vec<Vec<f64>>> {
        if self.games.len() != 1 || self.actions() != [2, 2] {
            return None;
        }
        let [a, b] =
            [0, 1].map(|who| [0, 1].map(|row| [0, 1].map(|column| self.pays(0, [row, column])[who])));
        let sure = |row: usize, column: usize| {
            a[row][column] >= a[1 - row][column] && b[row][column] >= b[row][1 - column]
        };
        if (0..4).any(|i| sure(i / 2, i % 2)) {
            return None;
        }
        // Each makes the other's two actions pay alike.
        let first = (b[1][1] - b[1][0]) / (b[0][0] - b[0][1] - b[1][0] + b[1][1]);
        let second = (a[1][1] - a[0][1]) / (a[0][0] - a[0][1] - a[1][0] + a[1][1]);
        Some([first, second].map(|p| vec![p, 1.0 - p]).into())
    }

    /// The games side by side, the one that is on in full colour: rows are the first agent's actions, columns the
    /// second's; a cell shows what the first is paid. The cell that was last chosen is marked, and the agents stand
    /// beside it.
    fn draw(&self, world: &Play) -> Option<Drawing> {
        let [rows, columns] = self.actions();
        if rows.max(columns).max(self.games.len()) > MOST_DRAWN {
            return None;
        }
        let each = CELL * columns as f32 + 1.4;
        let mut drawing = Drawing::new(
            each * self.games.len() as f32 + 0.3,
            rows as f32 + if self.choose { 2.0 } else { 1.3 },
        );
        let on = (world.stage as usize).checked_sub(usize::from(self.choose));
        for (number, game) in self.games.iter().enumerate() {
            let left = each * number as f32 + 1.0;
            let opacity = if on.is_none_or(|on| on == number) { 1.0 } else { 0.3 };
            if self.choose {
                let at = [left + CELL * columns as f32 / 2.0, rows as f32 + 1.5];
                *drawing.label(Role::Ink, at, 0.34, format!("game {number}")) = opacity;
            }
            for (row, pays) in game.iter().enumerate() {
                for (column, pay) in pays.iter().enumerate() {
                    let at = [left + CELL * column as f32, row as f32 + 1.0];
                    let corner = [at[0] + 0.05, at[1] + 0.05];
                    *drawing.rectangle(Role::Ground, corner, [CELL - 0.1, 0.9]) = opacity;
                    // A game was played, not chosen.
                    let played = on == Some(number) && (!self.choose || world.step > 1);
                    if played && world.did == Some([row as u32, column as u32]) {
                        drawing.rectangle(Role::Goal, corner, [CELL - 0.1, 0.9]);
                    }
                    let text = format!("{pay}");
                    let size = (1.2 * CELL / (0.6 * text.len() as f32)).min(0.42);
                    *drawing.label(Role::Ink, [at[0] + CELL / 2.0, at[1] + 0.5], size, text) = opacity;
                }
            }
        }
        // Who has done nothing yet stands at the corner.
        let left = each * on.unwrap_or(0) as f32 + 1.0;
        let [row, column] = world.did.unwrap_or([0, 0]).map(|action| action as f32);
        let first = if world.did.is_some() { row + 1.5 } else { 0.5 };
        let second = if world.did.is_some() { left + CELL * (column + 0.5) } else { left + 0.5 };
        drawing.disc(Role::Agent(0), [left - 0.5, first], DISC);
        drawing.disc(Role::Agent(1), [second, 0.5], DISC);
        if let Some([first, second]) = world.did {
            drawing.note = format!("did {first}, {second}");
        }
        Some(drawing)
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
