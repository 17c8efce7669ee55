//! The graph of neighbours: agents where they say they are, an arrow from each speaker to its listeners, some steps of
//! the episode side by side.

use serde_json::{Value, json};

use super::canvas::{HEAD, LEFT, WIDTH, finish, range, sheet};
use super::{Link, Links, Page, Recording, nested};
use crate::picture::svg::{Anchor, Path, Svg};
use crate::picture::{AGENTS, Colour, GRID, TEXT, bend, kept};

/// Panels, and how many stand side by side.
const PANELS: usize = 12;
const ACROSS: usize = 4;
/// Arrows in one panel; the weakest are left out.
const MOST_ARROWS: usize = 1500;
/// Discs are numbered for up to so many agents.
const MOST_NUMBERED: usize = 40;
const INK: Colour = [38, 78, 140];

pub(super) fn page(recording: &Recording) -> Option<Page> {
    let links = recording.graph.as_ref()?;
    let edges: Vec<Value> = links
        .edges
        .iter()
        .map(|edges| edges.iter().map(|link| edge_json(recording, links, link)).collect())
        .collect();
    let dimensions = links.dimensions;
    let json = recording.json(json!({
        "shape": "positions[step][agent][dimension], null where the agent is absent; edges[step] of listener `to` and speaker `from`: \
                  weights[round][head], or the weight",
        "weights": if links.learned { "attention" } else { "1 / sqrt(degree of speaker x degree of listener)" },
        "positions": recording.steps_and_agents(|i| nested(&links.positions[i * dimensions..][..dimensions], &[dimensions])),
        "edges": edges,
    }));
    Some(Page { name: "graph", svg: draw(recording, links), json })
}

fn edge_json(recording: &Recording, links: &Links, link: &Link) -> Value {
    if !links.learned {
        return json!({ "from": link.from, "to": link.to, "weight": nested(&link.weights, &[1])[0] });
    }
    let mut left = &link.weights[..];
    let rounds: Value = recording
        .rounds
        .iter()
        .map(|round| {
            let (own, rest) = left.split_at(round.heads);
            left = rest;
            nested(own, &[round.heads])
        })
        .collect();
    json!({ "from": link.from, "to": link.to, "weights": rounds })
}

/// Where agents are on paper.
struct Map {
    low: [f32; 2],
    scale: f32,
    centre: [f32; 2],
    side: f32,
}

impl Map {
    fn of(recording: &Recording, links: &Links, side: f32) -> Map {
        let axis = |d: usize| {
            let values = (0..recording.steps * recording.agents).filter(|i| recording.present[*i]);
            match d < links.dimensions {
                true => range(values.map(|i| links.positions[i * links.dimensions + d])),
                false => (0.0, 0.0),
            }
        };
        let ends = [axis(0), axis(1)];
        let span = ends.iter().map(|(low, high)| high - low).fold(0.0f32, f32::max).max(f32::MIN_POSITIVE);
        Map {
            low: ends.map(|(low, _)| low),
            scale: (side - 44.0) / span,
            centre: ends.map(|(low, high)| (high - low) / 2.0),
            side,
        }
    }

    /// The place of an agent in a panel, x to the right and y upwards; none where it is nowhere.
    fn place(&self, recording: &Recording, links: &Links, step: usize, agent: usize) -> Option<[f32; 2]> {
        let position =
            &links.positions[(step * recording.agents + agent) * links.dimensions..][..links.dimensions];
        if !recording.is_present(step, agent) || !position.iter().all(|x| x.is_finite()) {
            return None;
        }
        let along = |d: usize| {
            let own = position.get(d).copied().unwrap_or(0.0) - self.low[d];
            (own - self.centre[d]) * self.scale
        };
        Some([self.side / 2.0 + along(0), self.side / 2.0 - along(1)])
    }
}

fn draw(recording: &Recording, links: &Links) -> String {
    let what = match (links.learned, recording.rounds.len(), recording.rounds.first().map_or(0, |r| r.heads))
    {
        (false, ..) => "weighted by degrees",
        (true, 0..=1, 0..=1) => "weighted by attention",
        (true, ..) => "weighted by attention, the mean of rounds and heads",
    };
    let most = links.edges.iter().map(|edges| most_heard(edges, recording.agents)).max().unwrap_or(0);
    let strongest = match links.learned && most > recording.arcs {
        true => format!("; the {} strongest of each listener", recording.arcs),
        false => String::new(),
    };
    let mut canvas = sheet(
        "Who hears whom",
        &format!("{}: an arrow goes from speaker to listener, {what}{strongest}", recording.title),
    );
    for (i, weight) in [0.1f32, 0.5, 1.0].into_iter().enumerate() {
        let x = WIDTH - LEFT - 216.0 + 74.0 * i as f32;
        canvas.path(&Path::from([x, 26.0]).to([x + 30.0, 26.0]), INK, thickness(weight), opacity(weight));
        canvas.text([x + 35.0, 30.0], 10.5, Anchor::Start, &weight.to_string());
    }
    let gap = 14.0;
    let side = (WIDTH - 2.0 * LEFT - gap * (ACROSS - 1) as f32) / ACROSS as f32;
    let map = Map::of(recording, links, side);
    let shown = kept(recording.steps, PANELS);
    for (panel, &step) in shown.iter().enumerate() {
        let at = [
            LEFT + (panel % ACROSS) as f32 * (side + gap),
            HEAD + 22.0 + (panel / ACROSS) as f32 * (side + 34.0),
        ];
        canvas.text([at[0], at[1] - 6.0], 12.0, Anchor::Start, &format!("step {step}"));
        canvas.rect(at, [side, side], [250, 251, 252]);
        canvas.frame(at, [side, side]);
        panel_of(&mut canvas, recording, links, &map, step, at);
    }
    finish(canvas, HEAD + 12.0 + shown.len().div_ceil(ACROSS) as f32 * (side + 34.0))
}

/// The most speakers that a listener has beside itself.
fn most_heard(edges: &[Link], agents: usize) -> usize {
    let mut heard = vec![0usize; agents];
    edges.iter().filter(|link| link.from != link.to).for_each(|link| heard[link.to as usize] += 1);
    heard.into_iter().max().unwrap_or(0)
}

fn thickness(weight: f32) -> f32 {
    0.6 + 2.6 * weight.clamp(0.0, 1.0)
}

fn opacity(weight: f32) -> f32 {
    0.2 + 0.75 * weight.clamp(0.0, 1.0)
}

fn panel_of(canvas: &mut Svg, recording: &Recording, links: &Links, map: &Map, step: usize, at: [f32; 2]) {
    let agents = recording.agents;
    let radius = if agents <= MOST_NUMBERED { 9.0 } else { 3.5 };
    let place = |agent: usize| map.place(recording, links, step, agent).map(|[x, y]| [at[0] + x, at[1] + y]);
    let mut arrows: Vec<(f32, &Link)> = links.edges[step]
        .iter()
        .map(|link| (link.weights.iter().sum::<f32>() / link.weights.len().max(1) as f32, link))
        .collect();
    // The sort is stable: of equal ones the first.
    arrows.sort_by(|a, b| b.0.total_cmp(&a.0));
    if links.learned {
        let mut heard = vec![0usize; agents];
        arrows.retain(|(_, link)| {
            if link.from == link.to {
                return true;
            }
            let heard = &mut heard[link.to as usize];
            *heard += 1;
            *heard <= recording.arcs
        });
    }
    arrows.truncate(MOST_ARROWS);
    // The strongest on top.
    for (weight, link) in arrows.into_iter().rev() {
        let (Some(from), Some(to)) = (place(link.from as usize), place(link.to as usize)) else { continue };
        if link.from == link.to {
            let [x, y] = [from[0] + 0.75 * radius, from[1] - 0.75 * radius];
            let path = Path::default().circle([x, y], 0.62 * radius);
            canvas.path(&path, INK, thickness(weight), opacity(weight));
        } else {
            let panel = [[at[0] + 2.0, at[1] + 2.0], [at[0] + map.side - 2.0, at[1] + map.side - 2.0]];
            arrow(canvas, from, to, panel, radius, weight);
        }
    }
    for agent in 0..agents {
        let Some(place) = place(agent) else { continue };
        canvas.disc(place, radius, AGENTS[agent % AGENTS.len()], 1.0);
        if agents <= MOST_NUMBERED {
            let below = [place[0], place[1] + 3.6];
            canvas.coloured_text(below, 10.0, Anchor::Middle, &agent.to_string(), [255; 3]);
        }
    }
    if links.dimensions == 1 {
        canvas.line(
            [at[0] + 6.0, at[1] + map.side - 8.0],
            [at[0] + map.side - 6.0, at[1] + map.side - 8.0],
            GRID,
            1.0,
        );
        canvas.text([at[0] + map.side / 2.0, at[1] + map.side - 12.0], 9.5, Anchor::Middle, "position");
    }
}

/// A bent arrow, so that both directions between two agents can be seen. Its curve stays within the panel from `low` to
/// `high`.
fn arrow(
    canvas: &mut Svg,
    from: [f32; 2],
    to: [f32; 2],
    [low, high]: [[f32; 2]; 2],
    radius: f32,
    weight: f32,
) {
    let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
    if dx.hypot(dy) < 2.0 * radius + 2.0 {
        return;
    }
    let handle = bend(from, to, low, high);
    let towards = |a: [f32; 2], b: [f32; 2], far: f32| {
        let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
        let length = dx.hypot(dy).max(1e-3);
        [a[0] + dx / length * far, a[1] + dy / length * far]
    };
    let head = 4.5 + 3.0 * weight.clamp(0.0, 1.0);
    let start = towards(from, handle, radius);
    let tip = towards(to, handle, radius);
    let neck = towards(to, handle, radius + head);
    canvas.path(&Path::from(start).curve(handle, neck), INK, thickness(weight), opacity(weight));
    let (ux, uy) = ((tip[0] - neck[0]) / head, (tip[1] - neck[1]) / head);
    let half = 0.45 * head;
    let (left, right) =
        ([neck[0] - uy * half, neck[1] + ux * half], [neck[0] + uy * half, neck[1] - ux * half]);
    let path = Path::from(tip).to(left).to(right).close();
    canvas.area(&path, if weight > 0.02 { INK } else { TEXT }, opacity(weight));
}
