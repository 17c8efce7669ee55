//! The ground of a warehouse: where shelves stand, where robots drive, where shelves are wanted and batteries filled.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::env::pathfinding::read_up_to;
use crate::error::{Error, Result};

/// The longest side of a layout, in cells.
pub const MAX_SIDE: usize = 512;

/// The largest file of a layout, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where the ground comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LayoutSource {
    /// 11 rows of 10 cells, 32 shelves.
    Tiny {},
    /// 20 rows of 10 cells, 80 shelves.
    Small {},
    /// 20 rows of 16 cells, 144 shelves.
    Medium {},
    /// 29 rows of 16 cells, 224 shelves.
    Large {},
    /// Blocks of shelves as the four sizes have them ([`Layout::blocks`]).
    Blocks {
        /// Blocks one above another.
        #[serde(default = "one")]
        rows: usize,
        /// Blocks side by side; odd.
        #[serde(default = "three")]
        columns: usize,
        /// Rows of shelves in a block.
        #[serde(default = "eight")]
        column_height: usize,
    },
    /// The rows of a text.
    Text {
        /// The rows, one a line.
        #[serde(default)]
        text: String,
    },
    /// The rows of a text file.
    File {
        /// The file.
        #[serde(default)]
        path: PathBuf,
    },
}

fn one() -> usize {
    1
}

fn three() -> usize {
    3
}

fn eight() -> usize {
    8
}

impl LayoutSource {
    /// The layout.
    ///
    /// # Errors
    /// It has no goal or no shelf, sides out of range, a character that means nothing, or a file that cannot be read.
    pub fn layout(&self) -> Result<Layout> {
        match self {
            LayoutSource::Tiny {} => Layout::blocks(1, 3, 8),
            LayoutSource::Small {} => Layout::blocks(2, 3, 8),
            LayoutSource::Medium {} => Layout::blocks(2, 5, 8),
            LayoutSource::Large {} => Layout::blocks(3, 5, 8),
            LayoutSource::Blocks { rows, columns, column_height } => {
                Layout::blocks(*rows, *columns, *column_height)
            }
            LayoutSource::Text { text } => {
                Layout::parse(text).map_err(|fault| Error::config("world.layout.text", fault.words()))
            }
            LayoutSource::File { path } => Layout::load(path),
        }
    }
}

/// What is wrong with a text, and in which line where it is one line's fault.
struct Fault {
    line: Option<usize>,
    message: String,
}

impl Fault {
    fn words(self) -> String {
        match self.line {
            Some(line) => format!("line {line}: {}", self.message),
            None => self.message,
        }
    }
}

/// The ground of a warehouse. A cell is (x, y), y grows downwards; cells are counted row by row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layout {
    width: usize,
    height: usize,
    /// Per cell: robots drive here, and shelves cannot be set down.
    highway: Vec<bool>,
    /// Per cell: batteries are filled here.
    charging: Vec<bool>,
    /// The cells where shelves stand at the start: that of shelf 1 first.
    shelves: Vec<u32>,
    goals: Vec<u32>,
}

impl Layout {
    /// Blocks of shelves two cells wide between lanes, goals in the middle of the lowest row, no shelves in the middle
    /// of the lowest blocks; robots charge in the two upper corners.
    ///
    /// # Errors
    /// An even number of columns, nothing, or too many cells.
    pub fn blocks(rows: usize, columns: usize, column_height: usize) -> Result<Self> {
        let sides = [(rows, "rows"), (columns, "columns"), (column_height, "column_height")];
        if let Some((got, key)) = sides.iter().find(|(side, _)| !(1..=MAX_SIDE).contains(side)) {
            let message = format!("expected 1 to {MAX_SIDE}, got {got}");
            return Err(Error::config(format!("world.layout.{key}"), message));
        }
        if columns.is_multiple_of(2) {
            let message = format!("expected an odd number, got {columns}");
            return Err(Error::config("world.layout.columns", message));
        }
        let (width, height) = (3 * columns + 1, (column_height + 1) * rows + 2);
        if width > MAX_SIDE || height > MAX_SIDE {
            let message = format!("expected sides of at most {MAX_SIDE} cells, got {width} x {height}");
            return Err(Error::config("world.layout", message));
        }
        let middle = [width / 2 - 1, width / 2];
        let highway = |x: usize, y: usize| {
            let before_goals = y + column_height + 3 > height && middle.contains(&x);
            x.is_multiple_of(3) || y.is_multiple_of(column_height + 1) || y == height - 1 || before_goals
        };
        let cells = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let character = |(x, y): (usize, usize)| match (x, y) {
            (x, y) if y == height - 1 && middle.contains(&x) => 'g',
            (x, 0) if x == 0 || x == width - 1 => 'c',
            (x, y) if highway(x, y) => '.',
            _ => 'x',
        };
        Layout::of_cells(width, height, &cells.map(character).collect::<Vec<char>>())
            .map_err(|fault| Error::config("world.layout", fault.words()))
    }

    /// The layout of a text: `.` a lane, `x` a shelf, `g` a goal, `c` a lane where robots charge. All rows are equally
    /// long. Blank lines before and after them, and blanks about a row, do not count.
    fn parse(text: &str) -> std::result::Result<Self, Fault> {
        let lines = text.lines().map(str::trim).enumerate();
        let mut rows: Vec<(usize, &str)> = lines.skip_while(|(_, row)| row.is_empty()).collect();
        while rows.last().is_some_and(|(_, row)| row.is_empty()) {
            rows.pop();
        }
        let width = rows.first().map_or(0, |(_, row)| row.chars().count());
        if !(1..=MAX_SIDE).contains(&width) || rows.len() > MAX_SIDE {
            let message = format!("expected 1 to {MAX_SIDE} rows of 1 to {MAX_SIDE} cells");
            return Err(Fault { line: None, message });
        }
        let mut cells = Vec::new();
        for (number, row) in &rows {
            let line = Some(number + 1);
            let length = row.chars().count();
            if length != width {
                return Err(Fault { line, message: format!("{length} cells, the first row has {width}") });
            }
            if let Some(unknown) = row.chars().find(|cell| !".xgc".contains(*cell)) {
                let message = format!("`{}` is none of `.`, `x`, `g`, `c`", unknown.escape_default());
                return Err(Fault { line, message });
            }
            cells.extend(row.chars());
        }
        Layout::of_cells(width, rows.len(), &cells)
    }

    fn of_cells(width: usize, height: usize, cells: &[char]) -> std::result::Result<Self, Fault> {
        let of =
            |kind: char| (0..cells.len() as u32).filter(|c| cells[*c as usize] == kind).collect::<Vec<u32>>();
        let (shelves, goals) = (of('x'), of('g'));
        for (found, what) in [(&goals, "goal (`g`)"), (&shelves, "shelf (`x`)")] {
            if found.is_empty() {
                return Err(Fault { line: None, message: format!("there is no {what}") });
            }
        }
        let highway = cells.iter().map(|cell| *cell != 'x').collect();
        let charging = cells.iter().map(|cell| *cell == 'c').collect();
        Ok(Layout { width, height, highway, charging, shelves, goals })
    }

    /// Reads a layout from a text file.
    ///
    /// # Errors
    /// With the file, and the line where it is one line's fault: it cannot be read, is larger than 1 MiB, or is no
    /// layout.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = read_up_to(path, MAX_FILE_BYTES)?;
        Layout::parse(&text).map_err(|fault| Error::file(path, fault.line, fault.message))
    }

    /// Cells from left to right.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Cells from top to bottom.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The column and row of a cell.
    pub fn place(&self, cell: u32) -> [usize; 2] {
        [cell as usize % self.width, cell as usize / self.width]
    }

    /// Where shelves stand at the start, by their numbers.
    pub fn shelves(&self) -> &[u32] {
        &self.shelves
    }

    /// Where shelves are wanted.
    pub fn goals(&self) -> &[u32] {
        &self.goals
    }

    /// Whether a shelf cannot be set down on a cell.
    pub fn is_highway(&self, cell: u32) -> bool {
        self.highway[cell as usize]
    }

    /// Whether robots charge on a cell.
    pub fn charges(&self, cell: u32) -> bool {
        self.charging[cell as usize]
    }

    /// Whether robots charge anywhere.
    pub fn has_charging(&self) -> bool {
        self.charging.contains(&true)
    }
}
