//! The memory that agents share: what is kept in each slot over time, who wrote it, and where they look.

use serde_json::{Value, json};

use super::canvas::{ACCENT, HEAD, LEFT, NOTHING, WIDTH, finish, sheet};
use super::{Page, Recording, nested};
use crate::picture::svg::{Anchor, Svg};

/// A shared memory in one episode.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Names of the levels, and the slots of all rooms of each; the lowest first.
    pub levels: Vec<(String, usize)>,
    /// `[steps, agents, slots]`: how much each agent reads of each slot, the mean over heads.
    pub reads: Vec<f32>,
    /// `[steps, agents, levels]`: with what importance each agent writes to each level; empty where that is not told.
    pub importance: Vec<f32>,
    /// `[steps, agents, levels]`: the slot that it wrote to, counted over all; -1 for none. Empty where that is not told.
    pub written: Vec<f32>,
    /// `[steps, slots]`: the importance of each slot after the step; empty where that is not told.
    pub kept: Vec<f32>,
}

impl Memory {
    /// Slots of all levels.
    pub fn slots(&self) -> usize {
        self.levels.iter().fold(0, |sum, (_, slots)| sum.saturating_add(*slots))
    }

    /// Lengths of the arrays, and what they have to be.
    pub(super) fn lengths(&self, steps: usize, agents: usize) -> Vec<(&'static str, usize, Option<usize>)> {
        let lanes = steps.checked_mul(agents);
        let or_none = |found: usize, all: Option<usize>| if found == 0 { Some(0) } else { all };
        let writes = lanes.and_then(|lanes| lanes.checked_mul(self.levels.len()));
        vec![
            ("reads", self.reads.len(), lanes.and_then(|lanes| lanes.checked_mul(self.slots()))),
            ("importance", self.importance.len(), or_none(self.importance.len(), writes)),
            ("written", self.written.len(), or_none(self.written.len(), writes)),
            ("kept", self.kept.len(), or_none(self.kept.len(), steps.checked_mul(self.slots()))),
        ]
    }
}

/// Slots that a picture has room for: those that are kept or read most.
const MOST_ROWS: usize = 256;

pub(super) fn page(recording: &Recording) -> Option<Page> {
    let memory = recording.memory.as_ref()?;
    let (steps, agents, slots) = (recording.steps, recording.agents, memory.slots());
    let optional = |values: &[f32], shape: &[usize]| match values.is_empty() {
        true => Value::Null,
        false => nested(values, shape),
    };
    let written = |at: &f32| if *at < 0.0 { Value::Null } else { json!(*at as u64) };
    let levels: Vec<Value> =
        memory.levels.iter().map(|(name, slots)| json!({ "name": name, "slots": slots })).collect();
    let in_use: Vec<Value> = memory
        .kept
        .chunks(slots.max(1))
        .map(|kept| json!(kept.iter().filter(|kept| **kept > 0.0).count()))
        .collect();
    let json = recording.json(json!({
        "shape": "`reads` [step][agent][slot] (mean of heads), `importance` and `written` [step][agent][level] (the slot, \
                  counted over all levels; null where nothing was written), `kept` [step][slot] after the step, `in_use` \
                  [step]: slots of some importance; null where a memory does not tell",
        "levels": levels,
        "reads": nested(&memory.reads, &[steps, agents, slots]),
        "importance": optional(&memory.importance, &[steps, agents, memory.levels.len()]),
        "written": memory.written.chunks(agents.max(1) * memory.levels.len().max(1))
            .map(|step| step.chunks(memory.levels.len().max(1))
                .map(|row| row.iter().map(written).collect()).collect::<Vec<Vec<Value>>>())
            .collect::<Vec<_>>(),
        "kept": optional(&memory.kept, &[steps, slots]),
        "in_use": in_use,
    }));
    Some(Page { name: "memory", svg: draw(recording, memory), json })
}

/// The slots that are drawn, in their order.
fn rows(recording: &Recording, memory: &Memory) -> Vec<usize> {
    let slots = memory.slots();
    let mut of: Vec<f32> = vec![0.0; slots];
    for row in memory.reads.chunks(slots.max(1)) {
        of.iter_mut().zip(row).for_each(|(sum, x)| *sum += x / recording.agents.max(1) as f32);
    }
    for row in memory.kept.chunks(slots.max(1)) {
        of.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    let mut rows: Vec<usize> = (0..slots).collect();
    rows.sort_by(|a, b| of[*b].total_cmp(&of[*a]));
    rows.truncate(MOST_ROWS);
    rows.sort_unstable();
    rows
}

fn draw(recording: &Recording, memory: &Memory) -> String {
    let (steps, agents, slots) = (recording.steps, recording.agents, memory.slots());
    let rows = rows(recording, memory);
    let mut canvas = sheet(
        "The memory that agents share",
        &format!("{}: slots (rows) over the steps of the episode", recording.title),
    );
    let left = LEFT + 70.0;
    let width = (WIDTH - left - LEFT) / steps.max(1) as f32;
    let height = (300.0 / rows.len().max(1) as f32).clamp(1.2, 14.0);
    let numbers: Vec<usize> = (0..steps).collect();
    let mut y = HEAD + 26.0;
    let map = |canvas: &mut Svg, name: &str, y: f32, share: &dyn Fn(usize, usize) -> f32| {
        canvas.text([left, y - 7.0], 12.0, Anchor::Start, name);
        canvas.scale(WIDTH - LEFT, y - 17.0, (0.0, 1.0), "");
        canvas.cells([left, y], [rows.len(), steps], [width, height], |row, step| share(step, rows[row]));
        let mut first = 0;
        for (name, slots) in &memory.levels {
            let inside = rows.iter().filter(|slot| (first..first + slots).contains(*slot)).count();
            let above = rows.iter().filter(|slot| **slot < first).count();
            if inside > 0 {
                let middle = y + (above as f32 + inside as f32 / 2.0) * height;
                canvas.text([left - 8.0, middle + 3.5], 10.5, Anchor::End, name);
                let edge = y + (above + inside) as f32 * height;
                canvas.line([left - 4.0, edge], [left, edge], NOTHING, 1.0);
            }
            first += slots;
        }
        let end = y + rows.len() as f32 * height;
        canvas.steps_below([left, end], width, &numbers);
        end + 52.0
    };
    if !memory.kept.is_empty() {
        let end =
            map(&mut canvas, "importance of what is kept; dots: written in this step", y, &|step, slot| {
                memory.kept[step * slots + slot]
            });
        let levels = memory.levels.len().max(1);
        for (lane, row) in memory.written.chunks(levels).enumerate() {
            let step = lane / agents.max(1);
            for slot in row.iter().filter(|slot| **slot >= 0.0) {
                if let Ok(row) = rows.binary_search(&(*slot as usize)) {
                    let at = [left + (step as f32 + 0.5) * width, y + (row as f32 + 0.5) * height];
                    let side = (0.5 * height.min(width)).clamp(1.0, 4.0);
                    canvas.rect([at[0] - side / 2.0, at[1] - side / 2.0], [side, side], ACCENT);
                }
            }
        }
        y = end;
    }
    // As dark as the one who looks there most.
    y = map(&mut canvas, "where agents look: the most that one of them reads of a slot", y, &|step, slot| {
        let look = |agent: usize| memory.reads[(step * agents + agent) * slots + slot];
        (0..agents).filter(|agent| recording.is_present(step, *agent)).map(look).fold(0.0, f32::max)
    });
    if !memory.importance.is_empty() {
        let levels = memory.levels.len();
        canvas.text(
            [left, y - 7.0],
            12.0,
            Anchor::Start,
            "importance of what each agent writes to the highest level",
        );
        let drawn = agents.min(64);
        let height = (160.0 / drawn as f32).clamp(2.5, 14.0);
        canvas.cells([left, y], [drawn, steps], [width, height], |agent, step| {
            match recording.is_present(step, agent) {
                true => memory.importance[(step * agents + agent) * levels + levels - 1],
                false => f32::NAN,
            }
        });
        for agent in (0..drawn).step_by(drawn.div_ceil(16).max(1)) {
            let at = [left - 8.0, y + (agent as f32 + 0.5) * height + 3.5];
            canvas.text(at, 9.5, Anchor::End, &recording.name_of(agent));
        }
        y += drawn as f32 * height;
        canvas.steps_below([left, y], width, &numbers);
        y += 40.0;
    }
    if rows.len() < slots {
        let text = format!("{} of {slots} slots are drawn: those that are kept and read most", rows.len());
        canvas.text([left, y], 10.5, Anchor::Start, &text);
        y += 20.0;
    }
    finish(canvas, y)
}
