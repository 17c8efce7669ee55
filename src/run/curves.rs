//! Learning curves of a run, as pictures in its folder.
//!
//! ```
//! use synod::run::curves::draw_curves;
//! use synod::run::folder::Folder;
//! use synod::run::metrics::Metrics;
//! let parent = tempfile::tempdir().expect("a folder");
//! let folder = Folder::create(parent.path().join("run"), "")?;
//! let mut metrics = Metrics::open(folder.directory(), 0)?;
//! for step in 1..4 {
//!     metrics.row(512 * step, step, 0.5, 1024.0, &[("return".to_string(), 0.25)])?;
//! }
//! draw_curves(&folder)?;
//! assert!(folder.plots().join("return.svg").exists());
//! # Ok::<(), synod::Error>(())
//! ```

use std::io::Write;

use super::folder::Folder;
use super::metrics;
use crate::error::Result;
use crate::picture::plot::{Axes, Series, lines_svg};

/// Draws a learning curve for every column of a run's metrics into `plots/`. What evaluations say of a measure is a second
/// line beside what training says of it.
///
/// # Errors
/// Where the metrics cannot be read or the pictures not be written.
pub fn draw_curves(folder: &Folder) -> Result<()> {
    let rows = metrics::read_in(folder.directory())?;
    let plots = folder.directory().make_inside("plots")?;
    let curves: Vec<(&String, Vec<(f64, f64)>)> =
        rows.columns.iter().zip(rows.curves(600)).skip(2).filter(|(_, points)| !points.is_empty()).collect();
    let of = |name: &str| curves.iter().find(|(column, _)| *column == name).map(|(_, points)| points.clone());
    for (column, points) in &curves {
        if *column == "wall/seconds" {
            continue;
        }
        let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let name: String = column.chars().map(plain).chain(".svg".chars()).collect();
        if column.strip_prefix("eval/").and_then(of).is_some() {
            // It had a picture of its own as long as training had said nothing of it.
            let _ = plots.remove(&name);
            continue;
        }
        let series = match of(&format!("eval/{column}")) {
            Some(evaluated) => {
                vec![Series::new("in training", points.clone()), Series::new("evaluated", evaluated)]
            }
            None => vec![Series::new(column, points.clone())],
        };
        let axes = Axes::new(column, "agent-steps", &metrics::described(column));
        let svg = lines_svg(&axes, &series)?;
        plots.write(&name, |file| file.write_all(svg.as_bytes()))?;
    }
    Ok(())
}
