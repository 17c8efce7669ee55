//! The roads of the three layouts and the ways through them.

use super::Difficulty;

/// Row and column.
pub(super) type Cell = (u16, u16);

/// Roads and ways of one layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Roads {
    /// Cells a side.
    pub side: usize,
    /// Per cell, row by row: the number of a road's cell, from 1; 0 outside.
    pub ground: Vec<u16>,
    /// How many cells of roads there are.
    pub cells: usize,
    /// Per arrival point, the ways that begin there.
    pub arrivals: Vec<Vec<Vec<Cell>>>,
}

/// Down, left, up, right: each is a right turn from the one before.
const HEADINGS: [(i32, i32); 4] = [(1, 0), (0, -1), (-1, 0), (0, 1)];

/// What a car does at a junction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Straight,
    Right,
    Left,
}

/// Two-way roads that cross: a lane each way, driving on the right.
struct Lanes {
    side: i32,
    /// The first row and the first column of each road.
    roads: Vec<i32>,
}

impl Lanes {
    fn on_road(&self, line: i32) -> bool {
        self.roads.iter().any(|first| line == *first || line == first + 1)
    }

    fn inside(&self, (row, column): (i32, i32)) -> bool {
        (0..self.side).contains(&row) && (0..self.side).contains(&column)
    }

    fn is_junction(&self, (row, column): (i32, i32)) -> bool {
        self.on_road(row) && self.on_road(column)
    }

    /// Where cars of a heading begin: at the top in the first lane of each road, and so on round the square.
    fn starts(&self, heading: usize) -> Vec<(i32, i32)> {
        let last = self.side - 1;
        self.roads
            .iter()
            .map(|first| match heading {
                0 => (0, *first),
                1 => (*first, last),
                2 => (last, first + 1),
                _ => (first + 1, 0),
            })
            .collect()
    }

    /// The way from a start with these turns at the junctions it comes to, straight on after the last; how many
    /// junctions it came to.
    fn way(&self, start: (i32, i32), heading: usize, turns: &[Turn]) -> (Vec<Cell>, usize) {
        let (mut at, mut heading, mut junctions) = (start, heading, 0);
        let mut way = Vec::new();
        let mut turn = Turn::Straight;
        // Cells of the present junction that have been driven.
        let mut driven = 0;
        while self.inside(at) {
            way.push((at.0 as u16, at.1 as u16));
            if self.is_junction(at) {
                if driven == 0 {
                    turn = turns.get(junctions).copied().unwrap_or(Turn::Straight);
                    junctions += 1;
                }
                driven += 1;
                // To the right from the first cell, whose crossing lane goes there; to the left from the second.
                match (turn, driven) {
                    (Turn::Right, 1) => heading = (heading + 1) % 4,
                    (Turn::Left, 2) => heading = (heading + 3) % 4,
                    _ => {}
                }
            } else {
                driven = 0;
            }
            at = (at.0 + HEADINGS[heading].0, at.1 + HEADINGS[heading].1);
        }
        (way, junctions)
    }

    /// All ways with turns at the first two junctions.
    fn ways(&self, start: (i32, i32), heading: usize) -> Vec<Vec<Cell>> {
        let all = [Turn::Straight, Turn::Right, Turn::Left];
        let mut ways = Vec::new();
        for first in all {
            if self.way(start, heading, &[first]).1 == 1 {
                ways.push(self.way(start, heading, &[first]).0);
                continue;
            }
            ways.extend(all.map(|second| self.way(start, heading, &[first, second]).0));
        }
        ways
    }
}

impl Roads {
    pub fn new(difficulty: Difficulty) -> Roads {
        let (side, arrivals) = match difficulty {
            Difficulty::Easy => {
                let down = (0..7).map(|row| (row, 3)).collect();
                let right = (0..7).map(|column| (3, column)).collect();
                (7, vec![vec![down], vec![right]])
            }
            Difficulty::Medium | Difficulty::Hard => {
                let lanes = match difficulty {
                    Difficulty::Medium => Lanes { side: 14, roads: vec![6] },
                    _ => Lanes { side: 18, roads: vec![4, 12] },
                };
                let starts = (0..4).flat_map(|heading| {
                    lanes.starts(heading).into_iter().map(move |start| (start, heading)).collect::<Vec<_>>()
                });
                (lanes.side as usize, starts.map(|(start, heading)| lanes.ways(start, heading)).collect())
            }
        };
        let mut roads = Roads { side, ground: vec![0; side * side], cells: 0, arrivals };
        for (row, column) in roads.arrivals.iter().flatten().flatten() {
            roads.ground[usize::from(*row) * side + usize::from(*column)] = 1;
        }
        for cell in &mut roads.ground {
            roads.cells += usize::from(*cell);
            *cell *= roads.cells as u16;
        }
        roads
    }

    /// All ways, those of one arrival point after those of another.
    pub fn ways(&self) -> Vec<Vec<Cell>> {
        self.arrivals.iter().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_those_published() {
        // (side, arrival points, ways, cells of roads): n (n - 1) ways for n roads in and out.
        let expected = [
            (Difficulty::Easy, 7, 2, 2, 13),
            (Difficulty::Medium, 14, 4, 12, 4 * 14 - 4),
            (Difficulty::Hard, 18, 8, 56, 8 * 18 - 16),
        ];
        for (difficulty, side, arrivals, ways, cells) in expected {
            let roads = Roads::new(difficulty);
            assert_eq!(
                (roads.side, roads.arrivals.len(), roads.ways().len(), roads.cells),
                (side, arrivals, ways, cells)
            );
            for way in roads.ways() {
                let edge = |(r, c): Cell| [r, c].iter().any(|v| *v == 0 || usize::from(*v) == side - 1);
                assert!(edge(way[0]) && edge(way[way.len() - 1]));
                assert!(way[1..way.len() - 1].iter().all(|cell| !edge(*cell)));
                let apart = |a: Cell, b: Cell| a.0.abs_diff(b.0) + a.1.abs_diff(b.1);
                assert!(way.windows(2).all(|pair| apart(pair[0], pair[1]) == 1));
                let mut cells = way.clone();
                cells.sort_unstable();
                cells.dedup();
                assert_eq!(cells.len(), way.len(), "a way that crosses itself");
            }
            let mut all = roads.ways();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), ways, "two ways alike");
        }
    }

    /// Number, summed length and a hash (FNV-1a of the sorted ways as text) of the ways that IC3Net's own code makes.
    #[test]
    fn ways_are_those_of_the_authors_code() {
        let expected = [
            (Difficulty::Easy, 14, 0xe86e_be65_0db9_1204),
            (Difficulty::Medium, 168, 0x9bfc_077a_d96b_2b00),
            (Difficulty::Hard, 1072, 0x364c_bf1b_859b_cb48u64),
        ];
        for (difficulty, length, hash) in expected {
            let mut ways = Roads::new(difficulty).ways();
            ways.sort();
            assert_eq!(ways.iter().map(Vec::len).sum::<usize>(), length);
            let text =
                |way: &Vec<Cell>| way.iter().map(|(r, c)| format!("{r},{c}")).collect::<Vec<_>>().join(" ");
            let text = ways.iter().map(text).collect::<Vec<_>>().join(";");
            let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            assert_eq!(text.bytes().fold(0xcbf2_9ce4_8422_2325, fnv), hash, "{difficulty:?}");
        }
    }

    #[test]
    fn lanes_are_driven_one_way() {
        for difficulty in [Difficulty::Easy, Difficulty::Medium, Difficulty::Hard] {
            let roads = Roads::new(difficulty);
            // Off junctions every cell is left in one direction only.
            let mut exits = vec![Vec::new(); roads.side * roads.side];
            for way in roads.ways() {
                for pair in way.windows(2) {
                    let exits = &mut exits[usize::from(pair[0].0) * roads.side + usize::from(pair[0].1)];
                    if !exits.contains(&pair[1]) {
                        exits.push(pair[1]);
                    }
                }
            }
            let junctions = exits.iter().filter(|exits| exits.len() > 1).count();
            // Each cell of a two-way junction can be left straight on or to one side.
            let expected = [(Difficulty::Easy, 1), (Difficulty::Medium, 4), (Difficulty::Hard, 16)];
            assert_eq!(expected.iter().find(|e| e.0 == difficulty).unwrap().1, junctions);
        }
    }

    #[test]
    fn turns_by_hand() {
        let roads = Roads::new(Difficulty::Medium);
        let top = &roads.arrivals[0];
        assert_eq!(top[0], (0..14).map(|row| (row, 6)).collect::<Vec<_>>());
        let right: Vec<Cell> =
            (0..7).map(|row| (row, 6)).chain((0..6).rev().map(|column| (6, column))).collect();
        assert_eq!(top[1], right);
        let left: Vec<Cell> = (0..8).map(|row| (row, 6)).chain((7..14).map(|column| (7, column))).collect();
        assert_eq!(top[2], left);
    }
}
