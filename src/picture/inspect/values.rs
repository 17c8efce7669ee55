//! What agents would like to do, what they did, what they expected and what they were paid.

use serde_json::{Value, json};

use super::canvas::{ACCENT, HEAD, LEFT, WIDTH, finish, range, sheet};
use super::{Page, Recording, number};
use crate::picture::svg::Anchor;
use crate::picture::{AGENTS, cut, kept};

/// Agents that are drawn.
const MOST_AGENTS: usize = 12;
/// Continuous numbers of an action that are drawn.
const MOST_FLOATS: usize = 16;
/// Steps that are drawn.
const MOST_STEPS: usize = 450;

pub(super) fn page(recording: &Recording) -> Page {
    let (agents, actions, floats) = (recording.agents, recording.options(), recording.floats);
    // A single choice is a number, everything else a list: choices, then continuous numbers.
    let taken = |i: usize| match (&recording.choices[..], floats) {
        ([_], 0) => json!(recording.taken[i]),
        (choices, _) => {
            let (n, numbers) = (choices.len(), &recording.numbers[i * floats..][..floats]);
            let chosen = recording.taken[i * n..][..n].iter().map(|option| json!(option));
            chosen.chain(numbers.iter().map(|x| number(*x))).collect()
        }
    };
    let preference = |i: usize| -> Value {
        (0..actions)
            .map(|action| match recording.allowed[i * actions + action] {
                true => number(recording.preferences[i * actions + action]),
                false => Value::Null,
            })
            .collect()
    };
    let json = recording.json(json!({
        "shape": "preferences[step][agent][action], null where an action is not allowed; the others [step][agent], null \
                  where the agent is absent",
        "preference": if recording.values_of_actions { "value" } else { "probability" },
        "preferences": recording.steps_and_agents(preference),
        "actions": recording.steps_and_agents(taken),
        "values": recording.of_agents(&recording.values),
        "rewards": recording.of_agents(&recording.rewards),
    }));
    let (what, value) = match recording.values_of_actions {
        true => ("the value of each action", "highest value"),
        false if actions == 0 => ("the numbers of each action", "critic's value"),
        false => ("the probability of each action", "critic's value"),
    };
    let drawn = agents.min(MOST_AGENTS);
    let more = if drawn < agents { format!(", {drawn} of {agents} agents") } else { String::new() };
    let mut canvas = sheet(
        "What agents prefer, do, expect and get",
        &format!("{}: {what} over time{more}", recording.title),
    );
    let scale = match recording.values_of_actions {
        false => (0.0, 1.0),
        true => range(
            (0..recording.preferences.len())
                .filter(|&i| recording.allowed[i] && recording.present[i / actions.max(1)])
                .map(|i| recording.preferences[i]),
        ),
    };
    let label = if recording.values_of_actions { "value" } else { "probability" };
    if actions > 0 {
        canvas.scale(WIDTH - LEFT, 20.0, scale, label);
        canvas.disc([WIDTH - LEFT - 178.0, 46.0], 3.6, ACCENT, 1.0);
        canvas.text([WIDTH - LEFT - 168.0, 50.0], 10.5, Anchor::Start, "the action that was taken");
    }

    let left = LEFT + 130.0;
    let shown = kept(recording.steps, MOST_STEPS);
    let width = ((WIDTH - left - LEFT) / shown.len() as f32).min(26.0);
    let row = (130.0 / actions.max(1) as f32).clamp(2.0, 14.0);
    let height = row * actions as f32;
    let mut y = HEAD + 20.0;
    for agent in 0..drawn {
        let cell = |column: usize| shown[column] * agents + agent;
        canvas.disc([LEFT + 6.0, y - 4.0], 6.0, AGENTS[agent % AGENTS.len()], 1.0);
        canvas.text([LEFT + 18.0, y], 13.5, Anchor::Start, &cut(&recording.name_of(agent), 100));
        y += 10.0;
        canvas.cells([left, y], [actions, shown.len()], [width, row], |action, column| {
            let i = cell(column) * actions + action;
            match recording.present[cell(column)] && recording.allowed[i] {
                true => (recording.preferences[i] - scale.0) / (scale.1 - scale.0),
                false => f32::NAN,
            }
        });
        for column in (0..shown.len()).filter(|&c| recording.present[cell(c)]) {
            let radius = (0.28 * width.min(row)).max(0.8);
            for option in recording.options_taken(cell(column)) {
                let middle = y + (option as f32 + 0.5) * row;
                canvas.disc([left + (column as f32 + 0.5) * width, middle], radius, ACCENT, 1.0);
            }
        }
        let every = if row >= 9.0 { 1 } else { actions.div_ceil(6).max(1) };
        for action in (0..actions).step_by(every) {
            let middle = y + (action as f32 + 0.5) * row + 3.5;
            let name = cut(&recording.name_of_action(agent, action), 14);
            canvas.text([left - 5.0, middle], 9.5, Anchor::End, &name);
        }
        if actions > 0 {
            canvas.text([LEFT, y + height / 2.0 + 4.0], 11.0, Anchor::Start, "action");
            y += height + 8.0;
        }
        let of = |values: &[f32]| -> Vec<f32> {
            let value = |i: usize| if recording.present[i] { values[i] } else { f32::NAN };
            (0..shown.len()).map(|column| value(cell(column))).collect()
        };
        let numbers: Vec<(String, Vec<f32>)> = (0..floats.min(MOST_FLOATS))
            .map(|i| {
                let own = recording.numbers.iter().skip(i).step_by(floats).copied().collect();
                (cut(&format!("action, {}", recording.name_of_number(agent, i)), 24), own)
            })
            .collect();
        for (name, values) in &numbers {
            canvas.text([LEFT, y + 19.0], 11.0, Anchor::Start, name);
            canvas.curve([left, y], [width, 30.0], &of(values), false, ACCENT);
            y += 36.0;
        }
        for (name, values, bars, colour) in [
            (value, &recording.values, false, [0x2F, 0x6F, 0xDE]),
            ("reward", &recording.rewards, true, [0x2A, 0x9D, 0x5C]),
        ] {
            canvas.text([LEFT, y + 19.0], 11.0, Anchor::Start, name);
            canvas.curve([left, y], [width, 30.0], &of(values), bars, colour);
            y += 36.0;
        }
        canvas.steps_below([left, y - 6.0], width, &shown);
        canvas.text([LEFT, y + 8.0], 11.0, Anchor::Start, "step");
        y += 40.0;
    }
    Page { name: "values", svg: finish(canvas, y), json }
}
