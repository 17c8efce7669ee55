//! How much what each agent says counts for each that hears it: maps of hearers and speakers.

use serde_json::{Value, json};

use super::canvas::{HEAD, LEFT, WIDTH, finish, range, sheet};
use super::{Page, Recording, nested, number};
use crate::picture::number::significant;
use crate::picture::svg::{Anchor, Svg};

/// Importances of messages, each `[steps, hearers, speakers]`; 0 where one of the two is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counted {
    /// Other moments, at most, that stood for what a speaker might have said.
    pub samples: usize,
    /// The divergence, in nats, from the hearer's policy had the speaker been silent.
    pub removed: Vec<f32>,
    /// The divergence, in nats, from the hearer's policy had the speaker said what it says at other moments.
    pub marginal: Vec<f32>,
    /// The hearer's value less that had the speaker been silent.
    pub value: Vec<f32>,
}

/// The mean over the steps at which hearer and speaker are both there, `[hearers, speakers]`; NaN where they never
/// are, or are one.
fn mean(recording: &Recording, values: &[f32]) -> Vec<f32> {
    let agents = recording.agents;
    let (mut sums, mut counts) = (vec![0.0f64; agents * agents], vec![0u32; agents * agents]);
    for step in 0..recording.steps {
        let here = |agent: usize| recording.is_present(step, agent);
        for hearer in (0..agents).filter(|hearer| here(*hearer)) {
            for speaker in (0..agents).filter(|speaker| *speaker != hearer && here(*speaker)) {
                let edge = hearer * agents + speaker;
                sums[edge] += f64::from(values[step * agents * agents + edge]);
                counts[edge] += 1;
            }
        }
    }
    sums.iter().zip(counts).map(|(sum, count)| (sum / f64::from(count)) as f32).collect()
}

/// The mean over those who hear it, for each speaker.
fn of_agents(agents: usize, edges: &[f32]) -> Vec<f32> {
    let of = |speaker: usize| {
        let heard = edges.iter().skip(speaker).step_by(agents).filter(|x| x.is_finite());
        heard.clone().sum::<f32>() / heard.count() as f32
    };
    (0..agents).map(of).collect()
}

pub(super) fn page(recording: &Recording) -> Option<Page> {
    let counted = recording.importance.as_ref()?;
    let agents = recording.agents;
    let parts = [
        ("marginal", "against what it says at other times, in nats", &counted.marginal),
        ("removed", "against silence, in nats", &counted.removed),
        ("value", "the value with the message less that without", &counted.value),
    ];
    let mut own = serde_json::Map::new();
    own.insert(
        "shape".into(),
        json!(
            "`steps` have [step][hearer][speaker], 0 where one of them is absent; `edges` [hearer][speaker] are means \
             over the steps at which both are there, `speakers` the means of those over hearers; null where there is \
             nothing"
        ),
    );
    own.insert("samples".into(), json!(counted.samples));
    let mut maps = Vec::with_capacity(parts.len());
    for (name, meaning, values) in parts {
        let edges = mean(recording, values);
        let speakers: Vec<Value> = of_agents(agents, &edges).iter().map(|x| number(*x)).collect();
        own.insert(
            name.into(),
            json!({
                "edges": nested(&edges, &[agents, agents]),
                "speakers": speakers,
                "steps": nested(values, &[recording.steps, agents, agents]),
            }),
        );
        maps.push((name, meaning, edges));
    }
    let json = recording.json(Value::Object(own));
    Some(Page { name: "importance", svg: draw(recording, &maps), json })
}

fn draw(recording: &Recording, maps: &[(&str, &str, Vec<f32>)]) -> String {
    let agents = recording.agents;
    let mut canvas = sheet(
        "How much messages count",
        &format!(
            "{}: for each hearer (row) those of each speaker (column), mean of the steps{}",
            recording.title,
            recording.kinds()
        ),
    );
    let room = (WIDTH - 2.0 * LEFT) / maps.len() as f32;
    let cell = ((room - 60.0) / agents as f32).min(60.0);
    let side = cell * agents as f32;
    let y = HEAD + 58.0;
    for (index, (name, meaning, edges)) in maps.iter().enumerate() {
        let left = LEFT + 30.0 + index as f32 * room;
        canvas.text([left, HEAD + 16.0], 13.5, Anchor::Start, name);
        canvas.text([left, HEAD + 32.0], 9.5, Anchor::Start, meaning);
        // From 0 on where nothing is below it; where there is nothing at all pale, not dark.
        let (low, high) = range(edges.iter().copied().chain([0.0, 1e-6]));
        let share = |x: f32| (x - low) / (high - low);
        let ends =
            format!("{} (pale) to {} (dark)", significant(f64::from(low)), significant(f64::from(high)));
        canvas.text([left, HEAD + 46.0], 9.5, Anchor::Start, &ends);
        canvas.cells([left, y], [agents, agents], [cell, cell], |hearer, speaker| {
            share(edges[hearer * agents + speaker])
        });
        if cell >= 30.0 {
            write(&mut canvas, [left, y], cell, agents, edges, &share);
        }
        let every = if cell >= 10.0 { 1 } else { agents.div_ceil(4).max(1) };
        for agent in (0..agents).step_by(every) {
            let (middle, name) = ((agent as f32 + 0.5) * cell, agent.to_string());
            canvas.text([left - 4.0, y + middle + 3.5], 9.5, Anchor::End, &name);
            canvas.text([left + middle, y + side + 11.0], 9.5, Anchor::Middle, &name);
        }
        canvas.upright([left - 22.0, y + side / 2.0], 10.5, "hearer");
        canvas.text([left + side / 2.0, y + side + 25.0], 10.5, Anchor::Middle, "speaker");
    }
    finish(canvas, y + side + 44.0)
}

/// The numbers in their cells.
fn write(
    canvas: &mut Svg,
    [x, y]: [f32; 2],
    cell: f32,
    agents: usize,
    edges: &[f32],
    share: &dyn Fn(f32) -> f32,
) {
    for (edge, value) in edges.iter().enumerate().filter(|(_, value)| value.is_finite()) {
        let colour = if share(*value) > 0.45 { [255; 3] } else { [58, 66, 80] };
        let (hearer, speaker) = ((edge / agents) as f32, (edge % agents) as f32);
        let at = [x + (speaker + 0.5) * cell, y + (hearer + 0.5) * cell + 3.5];
        canvas.coloured_text(at, 9.5, Anchor::Middle, &format!("{value:.2}"), colour);
    }
}
