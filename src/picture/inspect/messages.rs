//! What agents say: messages on the plane of their principal components, in clusters.

use serde_json::{Value, json};

use super::canvas::{HEAD, LEFT, finish, range, sheet};
use super::cluster::{Plane, Points, clusters};
use super::{Page, Recording, number};
use crate::error::{Error, Result};
use crate::picture::number::significant;
use crate::picture::svg::{Anchor, Svg};
use crate::picture::{AGENTS, TEXT, cut, kept};

/// Messages of a round; of more only so many are taken, evenly spaced.
pub(super) const MOST_MESSAGES: usize = 4096;
/// Rounds that are drawn.
const MOST_ROUNDS: usize = 4;
/// Clusters that can be asked for: as many as there are colours.
const MOST_CLUSTERS: usize = AGENTS.len();

struct Message {
    step: usize,
    agent: usize,
    cluster: usize,
    at: [f64; 2],
}

struct Cluster {
    count: usize,
    centre: [f64; 2],
    by_agent: Vec<usize>,
    by_action: Vec<usize>,
}

struct Said {
    messages: Vec<Message>,
    clusters: Vec<Cluster>,
    shares: [f64; 2],
}

pub(super) fn page(recording: &Recording, most: usize) -> Result<Option<Page>> {
    if !(1..=MOST_CLUSTERS).contains(&most) {
        return Err(Error::Usage(format!("1 to {MOST_CLUSTERS} clusters of messages, not {most}")));
    }
    let said: Vec<Said> = (0..recording.rounds.len()).map(|round| group(recording, round, most)).collect();
    if said.iter().all(|said| said.messages.is_empty()) {
        return Ok(None);
    }
    let rounds: Vec<Value> = said.iter().map(said_json).collect();
    let json = recording.json(json!({
        "shape": "rounds[round].messages: what `agent` said at `step`, on the first two principal components",
        "features": recording.rounds[0].features,
        "rounds": rounds,
    }));
    Ok(Some(Page { name: "messages", svg: draw(recording, &said), json }))
}

fn said_json(said: &Said) -> Value {
    let point = |at: [f64; 2]| -> Value { at.iter().map(|x| number(*x as f32)).collect() };
    let clusters: Vec<Value> = said
        .clusters
        .iter()
        .map(|c| {
            json!({
                "count": c.count,
                "centre": point(c.centre),
                "by_agent": c.by_agent,
                "by_action": c.by_action,
            })
        })
        .collect();
    let messages: Vec<Value> = said
        .messages
        .iter()
        .map(|m| json!({ "step": m.step, "agent": m.agent, "cluster": m.cluster, "at": point(m.at) }))
        .collect();
    json!({ "variance": point(said.shares), "clusters": clusters, "messages": messages })
}

/// What those who are there say in a round; messages that were not sent, or are not finite, are none.
fn group(recording: &Recording, round: usize, most: usize) -> Said {
    let round = &recording.rounds[round];
    let size = round.features;
    let is_said = |i: &usize| {
        let sent = round.gates.get(*i).is_none_or(|gate| *gate > 0.0);
        recording.present[*i] && sent && round.said[i * size..][..size].iter().all(|x| x.is_finite())
    };
    let all: Vec<usize> = (0..recording.steps * recording.agents).filter(is_said).collect();
    let taken: Vec<usize> = kept(all.len(), MOST_MESSAGES).into_iter().map(|i| all[i]).collect();
    let values: Vec<f32> = taken.iter().flat_map(|i| &round.said[i * size..][..size]).copied().collect();
    let points = Points { values: &values, size };
    let plane = Plane::of(points);
    let found = clusters(points, most);
    let mut groups: Vec<Cluster> = found
        .centres
        .iter()
        .map(|centre| Cluster {
            count: 0,
            centre: plane.place(centre),
            by_agent: vec![0; recording.agents],
            by_action: vec![0; recording.options()],
        })
        .collect();
    let mut messages = Vec::with_capacity(taken.len());
    for (k, (&i, &cluster)) in taken.iter().zip(&found.of).enumerate() {
        let (step, agent) = (i / recording.agents, i % recording.agents);
        let group = &mut groups[cluster];
        group.count += 1;
        group.by_agent[agent] += 1;
        recording.options_taken(i).for_each(|option| group.by_action[option] += 1);
        let own: Vec<f64> = points.row(k).iter().map(|x| f64::from(*x)).collect();
        messages.push(Message { step, agent, cluster, at: plane.place(&own) });
    }
    Said { messages, clusters: groups, shares: plane.shares }
}

fn draw(recording: &Recording, said: &[Said]) -> String {
    let mut canvas = sheet(
        "What agents say",
        &format!(
            "{}: each dot is a message of {} numbers, on their principal components, coloured by cluster (k-means)",
            recording.title, recording.rounds[0].features
        ),
    );
    let (width, height) = (540.0, 360.0);
    let mut y = HEAD + 20.0;
    for (round, said) in said.iter().enumerate().take(MOST_ROUNDS).filter(|(_, s)| !s.messages.is_empty()) {
        canvas.text([LEFT, y], 13.5, Anchor::Start, &format!("Round {round}"));
        y += 10.0;
        let corner = [LEFT + 46.0, y];
        canvas.rect(corner, [width, height], [250, 251, 252]);
        canvas.frame(corner, [width, height]);
        let ends = [0, 1].map(|axis| range(said.messages.iter().map(|m| m.at[axis] as f32)));
        let place = |at: [f64; 2]| {
            let share = |axis: usize| (at[axis] as f32 - ends[axis].0) / (ends[axis].1 - ends[axis].0);
            [
                corner[0] + 14.0 + share(0) * (width - 28.0),
                corner[1] + height - 14.0 - share(1) * (height - 28.0),
            ]
        };
        // Dots on top: a cluster of one message lies in its middle.
        for cluster in &said.clusters {
            let [x, y] = place(cluster.centre);
            canvas.line([x - 9.0, y], [x + 9.0, y], TEXT, 2.0);
            canvas.line([x, y - 9.0], [x, y + 9.0], TEXT, 2.0);
        }
        let radius = if said.messages.len() <= 100 { 4.5 } else { 3.2 };
        for message in &said.messages {
            canvas.disc(place(message.at), radius, AGENTS[message.cluster], 0.55);
        }
        let axis = |which: usize| {
            let order = ["first", "second"][which];
            format!("{order} component ({:.0} % of the variance)", 100.0 * said.shares[which])
        };
        canvas.text([corner[0] + width / 2.0, y + height + 30.0], 11.0, Anchor::Middle, &axis(0));
        canvas.upright([corner[0] - 34.0, y + height / 2.0], 11.0, &axis(1));
        let number = |v: f32| significant(f64::from(v));
        for (share, value) in [(0.0, ends[0].0), (1.0, ends[0].1)] {
            let x = corner[0] + 14.0 + share * (width - 28.0);
            canvas.text([x, y + height + 14.0], 10.0, Anchor::Middle, &number(value));
        }
        canvas.text([corner[0] - 5.0, y + 18.0], 10.0, Anchor::End, &number(ends[1].1));
        canvas.text([corner[0] - 5.0, y + height - 10.0], 10.0, Anchor::End, &number(ends[1].0));
        legend(&mut canvas, recording, said, [corner[0] + width + 28.0, y]);
        y += height.max(20.0 + 40.0 * said.clusters.len() as f32) + 62.0;
    }
    finish(canvas, y)
}

fn legend(canvas: &mut Svg, recording: &Recording, said: &Said, [x, y]: [f32; 2]) {
    canvas.text([x, y + 12.0], 12.0, Anchor::Start, &format!("{} messages", said.messages.len()));
    for (i, cluster) in said.clusters.iter().enumerate() {
        let y = y + 38.0 + 40.0 * i as f32;
        canvas.disc([x + 6.0, y - 4.0], 6.0, AGENTS[i], 1.0);
        canvas.text([x + 20.0, y], 12.0, Anchor::Start, &format!("cluster {i}: {}", cluster.count));
        let most = |counts: &[usize]| {
            let best = (0..counts.len()).max_by_key(|&k| (counts[k], usize::MAX - k)).unwrap_or(0);
            let share = 100.0 * counts.get(best).copied().unwrap_or(0) as f32 / cluster.count.max(1) as f32;
            (best, format!("({share:.0} %)"))
        };
        let ((agent, often), (action, with)) = (most(&cluster.by_agent), most(&cluster.by_action));
        let (agent, action) = (recording.name_of(agent), recording.name_of_action(agent, action));
        let mut text = format!("most by {} {often}", cut(&agent, 24));
        if !cluster.by_action.is_empty() {
            text += &format!(", with {} {with}", cut(&action, 24));
        }
        canvas.text([x + 20.0, y + 15.0], 10.5, Anchor::Start, &text);
    }
    let y = y + 44.0 + 40.0 * said.clusters.len() as f32;
    canvas.line([x, y], [x + 12.0, y], TEXT, 2.0);
    canvas.line([x + 6.0, y - 6.0], [x + 6.0, y + 6.0], TEXT, 2.0);
    canvas.text([x + 20.0, y + 4.0], 11.0, Anchor::Start, "the middle of a cluster");
}
