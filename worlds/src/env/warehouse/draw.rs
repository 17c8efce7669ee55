//! The picture of a warehouse from above.

use super::floor::Floor;
use super::world::Warehouse;
use crate::env::drawing::{Cells, DISC, Drawing, Role, Shape, middle};

/// Cells that a picture has room for.
const MOST_CELLS: usize = 4096;

/// Goals are squares of the colour of what went well, shelves boxes, requested ones with a mark of the colour of what
/// is wanted; robots discs with a line that points forward, ringed where they carry a shelf. Too large layouts are not
/// drawn.
pub(super) fn plan(rules: &Warehouse, floor: &Floor) -> Option<Drawing> {
    let layout = rules.layout();
    let (columns, rows) = (layout.width(), layout.height());
    if columns * rows > MOST_CELLS {
        return None;
    }
    let blocked = vec![false; columns * rows];
    let mut drawing = Drawing::of_cells(Cells { columns, rows, blocked, role: Role::Wall });
    let corner = |[x, y]: [usize; 2], inset: f32| [x as f32 + inset, y as f32 + inset];
    for cell in 0..(columns * rows) as u32 {
        let place = layout.place(cell);
        if !layout.is_highway(cell) {
            *drawing.rectangle(Role::Ground, corner(place, 0.02), [0.96; 2]) = 0.5;
        } else if layout.charges(cell) && rules.config.battery.capacity > 0 {
            drawing.label(Role::Ink, middle(place[1], place[0]), 0.5, "c");
        }
    }
    for goal in layout.goals() {
        *drawing.rectangle(Role::Good, corner(layout.place(*goal), 0.02), [0.96; 2]) = 0.6;
    }
    // All shelves are there twice in every drawing, so that each keeps its place among the marks.
    for (number, place) in rules.shelves(floor).into_iter().enumerate() {
        *drawing.rectangle(Role::Thing, corner(place, 0.12), [0.76; 2]) = 0.8;
        let requested = floor.slots[number] > 0;
        let mark = drawing.rectangle(Role::Goal, corner(place, 0.3), [0.4; 2]);
        *mark = f32::from(u8::from(requested));
    }
    for (index, [x, y, direction, carries]) in rules.robots(floor).into_iter().enumerate() {
        let [across, down] = middle(y, x);
        let [dx, dy] = [[0.0, -1.0], [0.0, 1.0], [-1.0, 0.0], [1.0, 0.0]][direction % 4];
        drawing.disc(Role::Agent(index), [across, down], DISC);
        drawing.line(Role::Ink, [across, down], [across + 0.4 * dx, down + 0.4 * dy], 0.1);
        let ring = Shape::Ring { at: [across, down], radius: 0.4, fill: 0.0 };
        *drawing.add(Role::Ink, ring) = f32::from(u8::from(carries > 0));
    }
    drawing.note = format!("{} delivered", floor.counts.deliveries);
    Some(drawing)
}
