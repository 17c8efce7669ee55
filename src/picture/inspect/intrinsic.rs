//! Intrinsic rewards over time.

use serde_json::json;

use super::{Page, Recording};
use crate::error::Result;
use crate::picture::plot::{Axes, Series, lines_svg};

/// More agents than that are one line, with the band from the lowest to the highest.
const MOST_LINES: usize = 20;

pub(super) fn page(recording: &Recording) -> Result<Option<Page>> {
    let Some((kind, bonuses)) = &recording.bonuses else { return Ok(None) };
    let agents = recording.agents;
    if !(0..bonuses.len()).any(|i| recording.present[i] && bonuses[i].is_finite()) {
        return Ok(None);
    }
    let of = |agent: usize| -> Vec<(f64, f64)> {
        (0..recording.steps)
            .filter(|&step| recording.is_present(step, agent))
            .map(|step| (step as f64, f64::from(bonuses[step * agents + agent])))
            .collect()
    };
    let mut series: Vec<Series> = match agents {
        0..=MOST_LINES => {
            (0..agents).map(|agent| Series::new(&recording.name_of(agent), of(agent))).collect()
        }
        _ => vec![spread(recording, bonuses)],
    };
    if agents == 1 {
        series[0].name.clear();
    }
    let axes = Axes::new(
        &format!("Intrinsic rewards ({kind}), {}", recording.title),
        "step of the episode",
        "intrinsic reward (as added in training)",
    );
    let json = recording.json(json!({
        "shape": "bonuses[step][agent]; null where the agent is absent",
        "curiosity": kind,
        "bonuses": recording.of_agents(bonuses),
    }));
    Ok(Some(Page { name: "intrinsic", svg: lines_svg(&axes, &series)?, json }))
}

/// Mean, lowest and highest of those present, step by step.
fn spread(recording: &Recording, bonuses: &[f32]) -> Series {
    let mut series = Series::new("mean of all agents, lowest to highest", Vec::new());
    for step in 0..recording.steps {
        let here: Vec<f64> = (0..recording.agents)
            .filter(|&agent| recording.is_present(step, agent))
            .map(|agent| f64::from(bonuses[step * recording.agents + agent]))
            .filter(|bonus| bonus.is_finite())
            .collect();
        if here.is_empty() {
            continue;
        }
        let x = step as f64;
        series.points.push((x, here.iter().sum::<f64>() / here.len() as f64));
        let low = here.iter().copied().fold(f64::INFINITY, f64::min);
        series.band.push((x, low, here.iter().copied().fold(f64::NEG_INFINITY, f64::max)));
    }
    series
}
