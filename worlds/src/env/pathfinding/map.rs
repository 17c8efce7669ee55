//! A map: which cells are blocked, and where agents may start and go. Reading and writing files is in `files`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A cell as (row, column), from the upper left corner.
pub type Cell = (usize, usize);

/// The longest side of a map, in cells.
pub const MAX_SIDE: usize = 4096;

/// A rectangle of free and blocked cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "MapText", into = "MapText")]
pub struct Map {
    /// The name that reports carry; for a file its name without the folder.
    pub name: String,
    /// The file that it was read from.
    pub path: Option<PathBuf>,
    /// Starts and targets that the map itself fixes, agent by agent.
    pub agents: Vec<(Cell, Cell)>,
    /// The cells where agents may start; `None` for every free cell.
    pub possible_starts: Option<Vec<Cell>>,
    /// The cells where targets may be; `None` for every free cell.
    pub possible_targets: Option<Vec<Cell>>,
    height: usize,
    width: usize,
    blocked: Vec<bool>,
}

/// How a map stands in a configuration: its name and POGEMA's text.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MapText {
    #[serde(default)]
    name: String,
    text: String,
}

impl TryFrom<MapText> for Map {
    type Error = Error;

    fn try_from(from: MapText) -> Result<Map> {
        Map::from_text(&from.text, &from.name)
    }
}

impl From<Map> for MapText {
    fn from(map: Map) -> MapText {
        MapText { text: map.to_text(), name: map.name }
    }
}

impl Map {
    /// A map of `height` x `width` cells, `blocked` row by row.
    ///
    /// # Errors
    /// A side of 0 or over [`MAX_SIDE`], or a length that is not their product.
    pub fn new(name: impl Into<String>, height: usize, width: usize, blocked: Vec<bool>) -> Result<Map> {
        if height == 0 || width == 0 || height > MAX_SIDE || width > MAX_SIDE {
            return Err(Error::Usage(format!("a map of {height} x {width}: sides go from 1 to {MAX_SIDE}")));
        }
        if blocked.len() != height * width {
            return Err(Error::Usage(format!("a map of {height} x {width} given {} cells", blocked.len())));
        }
        Ok(Map {
            name: name.into(),
            path: None,
            agents: Vec::new(),
            possible_starts: None,
            possible_targets: None,
            height,
            width,
            blocked,
        })
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Every cell, row by row: true where blocked.
    pub fn cells(&self) -> &[bool] {
        &self.blocked
    }

    /// Whether a cell is blocked; cells outside the map are.
    pub fn is_blocked(&self, (row, column): Cell) -> bool {
        row >= self.height || column >= self.width || self.blocked[row * self.width + column]
    }

    /// The number of free cells.
    pub fn free_cells(&self) -> usize {
        self.blocked.iter().filter(|b| !**b).count()
    }

    /// The connected component of every cell, numbered from 1 in the order of their first cell, and the size of each
    /// component; 0 for blocked cells, and `sizes[0]` is 0.
    pub fn components(&self) -> (Vec<u32>, Vec<usize>) {
        let mut component = vec![0u32; self.blocked.len()];
        let mut sizes = vec![0usize];
        let mut stack = Vec::new();
        for first in 0..self.blocked.len() {
            if self.blocked[first] || component[first] != 0 {
                continue;
            }
            let number = sizes.len() as u32;
            let mut size = 0;
            component[first] = number;
            stack.push(first);
            while let Some(cell) = stack.pop() {
                size += 1;
                let (row, column) = (cell / self.width, cell % self.width);
                let mut visit = |next: usize| {
                    if !self.blocked[next] && component[next] == 0 {
                        component[next] = number;
                        stack.push(next);
                    }
                };
                if row > 0 {
                    visit(cell - self.width);
                }
                if row + 1 < self.height {
                    visit(cell + self.width);
                }
                if column > 0 {
                    visit(cell - 1);
                }
                if column + 1 < self.width {
                    visit(cell + 1);
                }
            }
            sizes.push(size);
        }
        (component, sizes)
    }

    /// An error about this map: of its file where it has one.
    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        match &self.path {
            Some(path) => Error::file(path, None, message),
            None => Error::Usage(format!("map `{}`: {}", self.name, message.into())),
        }
    }
}
