//! A layout with a rim about it as wide as robots see, so that no window leaves the arrays. Cells here are counted with
//! the rim.

use super::layout::Layout;

const INSIDE: u8 = 1;
const HIGHWAY: u8 = 2;
const CHARGING: u8 = 4;

/// A layout within its rim.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    rim: usize,
    stride: usize,
    marks: Vec<u8>,
    /// Where shelves stand at the start, by their numbers.
    pub shelves: Vec<u32>,
    pub goals: Vec<u32>,
}

impl Ground {
    /// With a rim of so many cells, and one at least.
    pub fn new(layout: &Layout, rim: usize) -> Self {
        let rim = rim.max(1);
        let stride = layout.width() + 2 * rim;
        let mut ground = Ground {
            rim,
            stride,
            marks: vec![0; stride * (layout.height() + 2 * rim)],
            shelves: Vec::new(),
            goals: Vec::new(),
        };
        for cell in 0..(layout.width() * layout.height()) as u32 {
            let [x, y] = layout.place(cell);
            let highway = if layout.is_highway(cell) { HIGHWAY } else { 0 };
            let charging = if layout.charges(cell) { CHARGING } else { 0 };
            let at = ground.at(x, y) as usize;
            ground.marks[at] = INSIDE | highway | charging;
        }
        let with_rim = |cells: &[u32]| {
            let at = |cell: &u32| {
                let [x, y] = layout.place(*cell);
                ground.at(x, y)
            };
            cells.iter().map(at).collect::<Vec<u32>>()
        };
        let (shelves, goals) = (with_rim(layout.shelves()), with_rim(layout.goals()));
        Ground { shelves, goals, ..ground }
    }

    /// The cell in a column and row.
    #[inline]
    pub fn at(&self, x: usize, y: usize) -> u32 {
        ((y + self.rim) * self.stride + x + self.rim) as u32
    }

    /// The column and row of a cell within the rim.
    #[inline]
    pub fn place(&self, cell: u32) -> [usize; 2] {
        // 32 bits are divided faster than 64.
        let stride = self.stride as u32;
        [(cell % stride) as usize - self.rim, (cell / stride) as usize - self.rim]
    }

    /// Cells, the rim counted.
    pub fn cells(&self) -> usize {
        self.marks.len()
    }

    /// The cells from one row of the rim's array to the next.
    #[inline]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// The cell ahead of one within the rim in a direction: up, down, left, right; itself at the edge.
    #[inline]
    pub fn ahead(&self, cell: u32, direction: u8) -> u32 {
        let stride = self.stride as u32;
        let next = match direction {
            0 => cell - stride,
            1 => cell + stride,
            2 => cell - 1,
            _ => cell + 1,
        };
        if self.is_inside(next) { next } else { cell }
    }

    /// Whether a cell is within the rim; any number may be asked.
    #[inline]
    pub fn is_inside(&self, cell: u32) -> bool {
        self.marks.get(cell as usize).is_some_and(|marks| marks & INSIDE != 0)
    }

    /// Whether a shelf cannot be set down on a cell.
    #[inline]
    pub fn is_highway(&self, cell: u32) -> bool {
        self.marks[cell as usize] & HIGHWAY != 0
    }

    /// Whether robots charge on a cell.
    #[inline]
    pub fn charges(&self, cell: u32) -> bool {
        self.marks[cell as usize] & CHARGING != 0
    }
}
