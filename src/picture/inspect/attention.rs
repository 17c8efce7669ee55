//! Who listens to whom: heat maps, a panel a step. Where agents have gates instead, when each lets others hear it.

use serde_json::{Value, json};

use super::canvas::{HEAD, LEFT, WIDTH, finish, sheet};
use super::{MOST_LISTENERS, Page, Recording, Round, nested};
use crate::picture::kept;
use crate::picture::svg::{Anchor, Svg};

/// Rounds and heads that have a panel of their own.
const MOST_BLOCKS: usize = 8;

/// `[steps, heads, agents, agents]` of a round.
struct Heat {
    heads: usize,
    weights: Vec<f32>,
}

pub(super) fn page(recording: &Recording) -> Option<Page> {
    let heats: Vec<Heat> = match recording.agents {
        0..=MOST_LISTENERS => (0..recording.rounds.len()).filter_map(|i| heat(recording, i)).collect(),
        _ => Vec::new(),
    };
    if heats.is_empty() {
        let gated = recording.rounds.iter().any(|round| !round.gates.is_empty());
        return gated.then(|| gates(recording));
    }
    let rounds: Vec<Value> = heats
        .iter()
        .map(|heat| {
            let shape = [recording.steps, heat.heads, recording.agents, recording.agents];
            nested(&heat.weights, &shape)
        })
        .collect();
    let json = recording.json(with_gates(
        recording,
        json!({
            "shape": "weights[round][step][head][listener][speaker]; a row is 0 where nobody is heard; gates and \
                      priorities [round][step][agent]",
            "weights": rounds,
        }),
    ));
    Some(Page { name: "attention", svg: draw(recording, &heats), json })
}

/// With who lets others hear it, and how urgent that is, where there is such a thing.
fn with_gates(recording: &Recording, mut numbers: Value) -> Value {
    let parts: [(&str, fn(&Round) -> &[f32]); 2] =
        [("gates", |round| &round.gates), ("priorities", |round| &round.priorities)];
    for (name, of) in parts {
        if recording.rounds.iter().any(|round| !of(round).is_empty()) {
            numbers[name] = recording.rounds.iter().map(|round| recording.of_agents(of(round))).collect();
        }
    }
    numbers
}

/// Attention over all agents, or that over edges with zeros between them.
fn heat(recording: &Recording, index: usize) -> Option<Heat> {
    let round = &recording.rounds[index];
    if !round.attention.is_empty() {
        return Some(Heat { heads: round.heads, weights: round.attention.clone() });
    }
    let links = recording.graph.as_ref().filter(|links| links.learned)?;
    let (agents, heads) = (recording.agents, round.heads);
    let mut weights = vec![0.0; recording.steps * heads * agents * agents];
    for (step, edges) in links.edges.iter().enumerate() {
        for link in edges {
            for head in 0..heads {
                let to = ((step * heads + head) * agents + link.to as usize) * agents;
                weights[to + link.from as usize] = link.weights[index * heads + head];
            }
        }
    }
    Some(Heat { heads, weights })
}

fn draw(recording: &Recording, heats: &[Heat]) -> String {
    let (agents, steps) = (recording.agents, recording.steps);
    let all: usize = heats.iter().map(|h| h.heads).sum();
    // A head each, or all heads of a round together.
    let mut blocks: Vec<(usize, Option<usize>)> = Vec::new();
    for (round, heat) in heats.iter().enumerate() {
        match all <= MOST_BLOCKS && heat.heads > 1 {
            true => blocks.extend((0..heat.heads).map(|head| (round, Some(head)))),
            false => blocks.push((round, None)),
        }
    }
    blocks.truncate(2 * MOST_BLOCKS);
    let weight = |(round, head): (usize, Option<usize>), step: usize, listener: usize, speaker: usize| {
        let heat = &heats[round];
        let of =
            |head: usize| heat.weights[((step * heat.heads + head) * agents + listener) * agents + speaker];
        match head {
            Some(head) => of(head),
            None => (0..heat.heads).map(of).sum::<f32>() / heat.heads as f32,
        }
    };
    let cell = (150.0 / agents as f32).clamp(2.0, 30.0);
    let side = cell * agents as f32;
    let (pitch, line) = (side + 36.0, side + 46.0);
    let across = (((WIDTH - 2.0 * LEFT - 24.0) / pitch) as usize).max(1);
    let shown = kept(steps, (if blocks.len() <= 2 { 2 * across } else { across }).clamp(8, 25) - 1);
    let mut canvas = sheet(
        "Who listens to whom",
        &format!(
            "{}: attention of each listener (row) over speakers (column){}",
            recording.title,
            recording.kinds()
        ),
    );
    canvas.scale(WIDTH - LEFT, 20.0, (0.0, 1.0), "weight");
    let mut y = HEAD + 16.0;
    for &block in &blocks {
        let heads = match block.1 {
            Some(head) => format!(", head {head}"),
            None if heats[block.0].heads > 1 => format!(", mean of {} heads", heats[block.0].heads),
            None => String::new(),
        };
        canvas.text([LEFT, y], 13.5, Anchor::Start, &format!("Round {}{heads}", block.0));
        y += 26.0;
        for panel in 0..=shown.len() {
            let at = [LEFT + 24.0 + (panel % across) as f32 * pitch, y + (panel / across) as f32 * line];
            let mean = |listener: usize, speaker: usize| {
                let here = (0..steps).filter(|&step| recording.is_present(step, listener));
                let count = here.clone().count().max(1) as f32;
                here.map(|step| weight(block, step, listener, speaker)).sum::<f32>() / count
            };
            let (title, share): (String, Box<dyn Fn(usize, usize) -> f32>) = match panel {
                0 => ("mean of all steps".into(), Box::new(mean)),
                _ => {
                    let step = shown[panel - 1];
                    let share =
                        move |listener: usize, speaker: usize| match recording.is_present(step, listener) {
                            true => weight(block, step, listener, speaker),
                            false => f32::NAN,
                        };
                    (format!("step {step}"), Box::new(share))
                }
            };
            canvas.text([at[0] + side / 2.0, at[1] - 5.0], 11.0, Anchor::Middle, &title);
            canvas.cells(at, [agents, agents], [cell, cell], &share);
            if cell >= 28.0 {
                numbers(&mut canvas, at, agents, cell, &share);
            }
            let every = if cell >= 10.0 { 1 } else { agents.div_ceil(4).max(1) };
            for i in (0..agents).step_by(every) {
                let middle = (i as f32 + 0.5) * cell;
                let name = i.to_string();
                canvas.text([at[0] - 4.0, at[1] + middle + 3.5], 9.5, Anchor::End, &name);
                canvas.text([at[0] + middle, at[1] + side + 11.0], 9.5, Anchor::Middle, &name);
            }
            if panel % across == 0 {
                canvas.upright([at[0] - 20.0, at[1] + side / 2.0], 10.5, "listener");
                canvas.text([at[0] + side / 2.0, at[1] + side + 23.0], 10.5, Anchor::Middle, "speaker");
            }
        }
        y += ((shown.len() + 1).div_ceil(across)) as f32 * line + 14.0;
    }
    finish(canvas, y)
}

/// The weights in their cells.
fn numbers(canvas: &mut Svg, at: [f32; 2], agents: usize, cell: f32, share: &dyn Fn(usize, usize) -> f32) {
    for listener in 0..agents {
        for speaker in 0..agents {
            let weight = share(listener, speaker);
            if weight.is_nan() || weight <= 0.0 {
                continue;
            }
            let colour = if weight > 0.45 { [255; 3] } else { [58, 66, 80] };
            let to = [at[0] + (speaker as f32 + 0.5) * cell, at[1] + (listener as f32 + 0.5) * cell + 3.5];
            let text = format!("{weight:.2}");
            canvas.coloured_text(to, 10.0, Anchor::Middle, &text, colour);
        }
    }
}

fn gates(recording: &Recording) -> Page {
    let (agents, steps) = (recording.agents, recording.steps);
    let json = recording.json(with_gates(
        recording,
        json!({
            "shape": "gates[round][step][agent]: 1 where the agent lets others hear it; null where it is absent; \
                      priorities alike, 0 to 1",
        }),
    ));
    let mut canvas = sheet(
        "Who lets others hear it",
        &format!(
            "{}: gates of speakers (rows) over time, dark where open, grey where absent{}",
            recording.title,
            recording.kinds()
        ),
    );
    let left = LEFT + 46.0;
    let shown = kept(steps, 450);
    let width = ((WIDTH - left - LEFT) / shown.len() as f32).min(26.0);
    let height = (400.0 / agents as f32).clamp(1.0, 20.0);
    let mut y = HEAD + 20.0;
    for (number, round) in recording.rounds.iter().enumerate().take(2 * MOST_BLOCKS) {
        canvas.text([LEFT, y], 13.5, Anchor::Start, &format!("Round {number}"));
        y += 10.0;
        canvas.cells([left, y], [agents, shown.len()], [width, height], |agent, column| {
            let step = shown[column];
            if recording.is_present(step, agent) { round.gates[step * agents + agent] } else { f32::NAN }
        });
        let every = if height >= 10.0 { 1 } else { agents.div_ceil(8).max(1) };
        for agent in (0..agents).step_by(every) {
            let middle = y + (agent as f32 + 0.5) * height + 3.5;
            canvas.text([left - 5.0, middle], 10.0, Anchor::End, &agent.to_string());
        }
        let all = height * agents as f32;
        canvas.upright([left - 34.0, y + all / 2.0], 10.5, "agent");
        canvas.steps_below([left, y + all], width, &shown);
        canvas.text([left, y + all + 28.0], 10.5, Anchor::Start, "step");
        y += all + 52.0;
    }
    Page { name: "attention", svg: finish(canvas, y), json }
}
