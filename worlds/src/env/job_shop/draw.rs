//! The picture of a shop floor: a Gantt chart (Clark 1922, "The Gantt Chart").

use super::world::Play;
use crate::env::drawing::{DISC, Drawing, LETTER, LINE, Role};

/// Machines and operations that a picture has room for.
const MOST_MACHINES: usize = 32;
const MOST_OPERATIONS: usize = 2000;
/// Cells from time 0 to the end of the chart.
const WIDTH: f32 = 24.0;
/// Cells left of it, for the machines.
const LEFT: f32 = 1.5;

/// A row for each machine, time to the right, a box of its job's colour for each operation that has begun; a line where
/// the present is and one at the bound of the makespan. Too large instances are not drawn.
pub(super) fn chart(play: &Play) -> Option<Drawing> {
    let (instance, floor) = (play.instance(), play.floor());
    let machines = instance.machines();
    if machines > MOST_MACHINES || instance.operations() > MOST_OPERATIONS {
        return None;
    }
    let bottom = machines as f32 + 0.5;
    let mut drawing = Drawing::new(LEFT + WIDTH + 1.0, machines as f32 + 1.3);
    drawing.title = instance.name().to_owned();
    // The chart has room for a makespan half above the least; where it becomes longer the chart is drawn closer.
    let scale = WIDTH / (f64::from(instance.bound()) * 1.5).max(f64::from(play.bound())) as f32;
    let across = |time: u32| LEFT + (time as f32 * scale).min(WIDTH);
    for machine in 0..machines {
        let y = machine as f32 + 1.0;
        drawing.line(Role::Ground, [LEFT, y], [LEFT + WIDTH, y], LINE);
    }
    for (job, operations) in instance.jobs().iter().enumerate() {
        for ((start, machine), able) in floor.begun(job).zip(operations) {
            let duration = able.iter().find(|a| a.machine == machine).map_or(0, |a| a.duration);
            let (from, to) = (across(start), across(start.saturating_add(duration)));
            let y = machine as f32 + 0.5;
            drawing.rectangle(Role::Agent(job), [from, y - 0.36], [to - from, 0.72]);
            let text = job.to_string();
            if to - from > LETTER * 0.4 * text.len() as f32 {
                drawing.label(Role::Ink, [(from + to) / 2.0, y], 0.36, text);
            }
        }
    }
    for machine in 0..machines {
        let place = [0.7, machine as f32 + 0.5];
        drawing.disc(Role::Agent(machine), place, DISC);
        drawing.label(Role::Ink, place, 0.3, machine.to_string());
    }
    let time = across(floor.time());
    drawing.line(Role::Ink, [time, 0.1], [time, bottom], LINE);
    let end = across(play.bound());
    drawing.line(Role::Goal, [end, 0.1], [end, bottom], LINE);
    drawing.note = match floor.done(instance) {
        true => format!("makespan {}", play.bound()),
        false => format!("time {}, makespan at least {}", floor.time(), play.bound()),
    };
    if let Some(optimum) = instance.optimum() {
        drawing.note += &format!(", optimum {optimum}");
    }
    Some(drawing)
}
