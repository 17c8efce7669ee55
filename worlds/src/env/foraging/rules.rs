//! The rules of level-based foraging.

use super::config::ForagingConfig;
use crate::env::AgentKind;
use crate::env::drawing::{Cells, DISC, Drawing, Role, middle, names};
use crate::env::pathfinding::Pcg64;
use crate::env::vectorised::{Chosen, Codec, Outcome, Pay, Rules, View};
use crate::error::Result;

const LOAD: u32 = 5;

/// Draws of a place after which `lbforaging` gives up.
const TRIES: usize = 1000;

/// Somebody who looks for food.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Player {
    /// Row and column.
    pub place: [i32; 2],
    /// What it counts for when it loads.
    pub level: u32,
}

/// Something to eat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Food {
    /// Row and column.
    pub place: [i32; 2],
    /// What the levels of those who load it have to sum to.
    pub level: u32,
}

/// A field between two steps.
#[derive(Debug, Clone)]
pub struct Field {
    players: Vec<Player>,
    /// Row by row; the first `left` of them are there.
    foods: Vec<Food>,
    left: usize,
    /// At the start: how many, and the sum of their levels.
    spawned: [u32; 2],
    /// Where each wants to go, and whether it loads; nothing in it outlasts a step.
    wishes: Vec<([i32; 2], bool)>,
}

/// Somewhere off every field: where players are before their first episode.
const NOWHERE: [i32; 2] = [-1, -1];

impl Field {
    /// The players.
    pub fn players(&self) -> &[Player] {
        &self.players
    }

    /// What is left to eat, row by row.
    pub fn foods(&self) -> &[Food] {
        &self.foods[..self.left]
    }

    /// The sum of the levels of all food at the start.
    pub fn spawned(&self) -> u32 {
        self.spawned[1]
    }

    fn food_at(&self, place: [i32; 2]) -> bool {
        self.foods().iter().any(|food| food.place == place)
    }

    fn player_at(&self, place: [i32; 2]) -> bool {
        self.players.iter().any(|player| player.place == place)
    }

    fn spawn(&mut self, food: Food) {
        let at = self.foods().partition_point(|other| other.place < food.place);
        self.foods[at..=self.left].rotate_right(1);
        self.foods[at] = food;
        self.left += 1;
        self.spawned[0] += 1;
        self.spawned[1] += food.level;
    }
}

/// How many rows and columns two places are apart.
fn distances(a: [i32; 2], b: [i32; 2]) -> [i32; 2] {
    [(a[0] - b[0]).abs(), (a[1] - b[1]).abs()]
}

impl ForagingConfig {
    fn draw_place(&self, edge: i32, random: &mut Pcg64) -> [i32; 2] {
        let within = (self.size as i32 - 2 * edge) as u32;
        [0; 2].map(|_| edge + random.below(within) as i32)
    }

    fn place_players(&self, field: &mut Field, random: &mut Pcg64) {
        // The order of levels that are all alike is drawn too.
        random.shuffle(&mut vec![(); self.agents]);
        let [low, high] = self.player_levels;
        for player in 0..self.agents {
            // Those that are still to come stand where the last episode left them, as in `lbforaging`.
            let drawn = (0..TRIES).find_map(|_| {
                let place = self.draw_place(0, random);
                (!field.player_at(place)).then_some(place)
            });
            let all =
                (0..self.size as i32).flat_map(|row| (0..self.size as i32).map(move |column| [row, column]));
            let place = drawn.or_else(|| all.into_iter().find(|place| !field.player_at(*place)));
            let level = low + random.below(high - low + 1);
            field.players[player] = Player { place: place.unwrap_or([0, 0]), level };
        }
    }

    fn place_foods(&self, field: &mut Field, random: &mut Pcg64) {
        let mut levels: Vec<u32> = field.players.iter().map(|player| player.level).collect();
        levels.sort_unstable();
        let sum = levels.iter().take(3).sum();
        let high = if self.highest_food > 0 { self.highest_food } else { sum };
        let low = if self.cooperative { high } else { self.lowest_food.min(high) };
        random.shuffle(&mut vec![(); self.foods]);
        (field.left, field.spawned) = (0, [0, 0]);
        for _ in 0..TRIES {
            if field.left == self.foods {
                return;
            }
            let place = self.draw_place(1, random);
            let near = |food: &Food| {
                let [rows, columns] = distances(food.place, place);
                rows.max(columns) <= 1 || (rows.min(columns) == 0 && rows.max(columns) == 2)
            };
            if field.foods().iter().any(near) || field.player_at(place) {
                continue;
            }
            let level = low + random.below(high - low + 1);
            field.spawn(Food { place, level });
        }
    }

    /// Where a player goes by an action, and whether it loads.
    fn wish(&self, field: &Field, player: Player, action: u32) -> ([i32; 2], bool) {
        let [row, column] = player.place;
        let to = match action {
            1 => [row - 1, column],
            2 => [row + 1, column],
            3 => [row, column - 1],
            4 => [row, column + 1],
            _ => return (player.place, action == LOAD),
        };
        let inside = to.iter().all(|at| (0..self.size as i32).contains(at));
        (if inside && !field.food_at(to) { to } else { player.place }, false)
    }

    /// Those that load beside a food take it, or pay for the attempt.
    fn load(&self, field: &mut Field, pay: &mut Pay) {
        // A food that goes makes those after it move up: from the last to the first.
        for number in (0..field.left).rev() {
            let food = field.foods[number];
            let loads = |player: usize| {
                field.wishes[player].1
                    && distances(field.players[player].place, food.place).iter().sum::<i32>() == 1
            };
            let together: u32 = (0..self.agents).filter(|p| loads(*p)).map(|p| field.players[p].level).sum();
            if together == 0 {
                continue;
            }
            for player in (0..self.agents).filter(|player| loads(*player)) {
                let share = f64::from(field.players[player].level) * f64::from(food.level);
                let all = f64::from(together) * f64::from(field.spawned[1]);
                pay.rewards[player] = match together >= food.level {
                    true if self.normalised => share / all,
                    true => share,
                    false => -self.penalty,
                } as f32;
            }
            if together >= food.level {
                field.foods[number..field.left].rotate_left(1);
                field.left -= 1;
            }
        }
    }
}

impl Rules for ForagingConfig {
    type World = Field;
    const NAME: &'static str = "foraging";
    const METRICS: &'static [&'static str] = &["eaten"];
    const SUMMED: bool = true;

    fn worlds(&self) -> usize {
        self.worlds
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        self.check_levels()
    }

    fn kinds(&self) -> Vec<AgentKind> {
        vec![AgentKind::discrete("player", self.agents, self.length(), 6)]
    }

    fn state(&self) -> usize {
        self.agents * self.length()
    }

    fn limit(&self) -> u32 {
        self.max_episode_steps as u32
    }

    fn blank(&self) -> Field {
        Field {
            players: vec![Player { place: NOWHERE, level: 1 }; self.agents],
            foods: vec![Food::default(); self.foods],
            left: 0,
            spawned: [0, 0],
            wishes: vec![(NOWHERE, false); self.agents],
        }
    }

    fn reset(&self, field: &mut Field, _episode: u64, random: &mut Pcg64) {
        self.place_players(field, random);
        self.place_foods(field, random);
    }

    fn step(&self, field: &mut Field, actions: Chosen, _random: &mut Pcg64, pay: &mut Pay) -> Outcome {
        for (player, action) in actions.discrete(0).iter().enumerate() {
            field.wishes[player] = self.wish(field, field.players[player], *action);
        }
        for player in 0..self.agents {
            let (to, _) = field.wishes[player];
            if field.wishes.iter().filter(|(other, _)| *other == to).count() == 1 {
                field.players[player].place = to;
            }
        }
        self.load(field, pay);
        if field.left == 0 { Outcome::Ends } else { Outcome::GoesOn }
    }

    fn observe(&self, field: &Field, view: &mut View) {
        let (sight, each) = (self.sight(), self.player_length());
        for (own, seen) in view.observations(0).chunks_exact_mut(self.length()).enumerate() {
            let me = field.players[own].place;
            let (foods, players) = seen.split_at_mut(3 * self.foods);
            foods.chunks_exact_mut(3).for_each(|food| food.copy_from_slice(&[-1.0, -1.0, 0.0]));
            players
                .chunks_exact_mut(each)
                .for_each(|player| player.copy_from_slice(&[-1.0, -1.0, 0.0][..each]));
            let in_sight = |food: &&Food| distances(food.place, me).iter().all(|far| *far <= sight);
            for (food, seen) in field.foods().iter().filter(in_sight).zip(foods.chunks_exact_mut(3)) {
                for axis in 0..2 {
                    seen[axis] = (food.place[axis] - (me[axis] - sight).max(0)) as f32;
                }
                seen[2] = food.level as f32;
            }
            let others = (0..self.agents).filter(|other| *other != own);
            let mut rows = players.chunks_exact_mut(each);
            for player in std::iter::once(own).chain(others).map(|player| field.players[player]) {
                let at = [0, 1].map(|axis| player.place[axis] - me[axis] + sight.min(me[axis]));
                if at.iter().all(|at| (0..=2 * sight).contains(at))
                    && let Some(seen) = rows.next()
                {
                    (seen[0], seen[1]) = (at[0] as f32, at[1] as f32);
                    seen[2..].fill(player.level as f32);
                }
            }
        }
        view.state_of_observations();
    }

    fn metrics(&self, field: &Field) -> Vec<f64> {
        let eaten = 1.0 - field.left as f64 / f64::from(field.spawned[0].max(1));
        vec![eaten]
    }

    fn draw(&self, field: &Field) -> Option<Drawing> {
        let cells = Cells {
            columns: self.size,
            rows: self.size,
            blocked: vec![false; self.size * self.size],
            role: Role::Wall,
        };
        let mut drawing = Drawing::of_cells(cells);
        let at = |[row, column]: [i32; 2]| middle(row.max(0) as usize, column.max(0) as usize);
        for food in field.foods() {
            let [x, y] = at(food.place);
            drawing.rectangle(Role::Goal, [x - 0.35, y - 0.35], [0.7; 2]);
            drawing.label(Role::Ink, [x, y], 0.45, food.level.to_string());
        }
        for (number, player) in field.players.iter().enumerate() {
            drawing.disc(Role::Agent(number), at(player.place), DISC);
            drawing.label(Role::Ink, at(player.place), 0.3, player.level.to_string());
        }
        drawing.note = format!("{} of {} left", field.left, field.spawned[0]);
        Some(drawing)
    }

    fn action_names(&self, _agent: usize) -> Vec<String> {
        names(&["none", "north", "south", "west", "east", "load"])
    }

    fn visit(&self, field: &mut Field, codec: &mut Codec) -> Result<()> {
        for player in &mut field.players {
            codec.all(&mut player.place)?;
            codec.one(&mut player.level)?;
        }
        for food in &mut field.foods {
            codec.all(&mut food.place)?;
            codec.one(&mut food.level)?;
        }
        let mut left = field.left as u32;
        codec.one(&mut left)?;
        field.left = left as usize;
        codec.all(&mut field.spawned)
    }

    fn valid(&self, field: &Field) -> bool {
        let inside = |place: [i32; 2]| place.iter().all(|at| (0..self.size as i32).contains(at));
        let known = |level: u32| (1..=3000).contains(&level);
        let [count, levels] = field.spawned;
        field.left <= count as usize
            && count as usize <= self.foods
            && levels <= 3000 * 64
            && field.players.iter().all(|player| inside(player.place) && known(player.level))
            && field.foods().iter().all(|food| inside(food.place) && known(food.level))
            && levels >= field.foods().iter().map(|food| food.level).sum()
    }
}
