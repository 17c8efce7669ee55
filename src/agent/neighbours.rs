//! The graphs of neighbours that programs take as inputs, made from what agents see. How neighbours are found stands in
//! [`comm::neighbours`](crate::comm::neighbours).

use super::Policy;
use crate::comm::Neighbours;
use crate::error::{Error, Result};
use crate::op::message::Csr;
use crate::program::Program;

/// Fills the inputs `edges.*` of a program over `[time, agents, worlds]` made with
/// [`Sequence::input`](super::Sequence::input), from the observations and presences that it was given. Programs of
/// policies without neighbours are left alone.
///
/// # Errors
/// The program lacks an input.
pub fn fill(program: &mut Program, policy: &dyn Policy, lanes: [usize; 3]) -> Result<()> {
    match policy.neighbours() {
        Some(of) => fill_by(program, of, lanes),
        None => Ok(()),
    }
}

/// As [`fill`], with the rule given.
///
/// # Errors
/// The program lacks an input, or has one of another size.
pub fn fill_by(program: &mut Program, of: &Neighbours, [time, agents, worlds]: [usize; 3]) -> Result<()> {
    let dimensions = of.positions.len();
    let lanes = time.saturating_mul(agents).saturating_mul(worlds);
    let observations = program.input_mut("observations")?;
    let size = observations.len().checked_div(lanes).unwrap_or(0);
    if size == 0 || size * lanes != observations.len() {
        let found = observations.len();
        return Err(Error::Usage(format!("{found} numbers are not the observations of {lanes} agents")));
    }
    // [time, worlds, agents, dimensions]
    let mut positions = vec![0.0; lanes * dimensions];
    let at = |t: usize, agent: usize, world: usize| (t * agents + agent) * worlds + world;
    for t in 0..time {
        for world in 0..worlds {
            for agent in 0..agents {
                let row = &observations[at(t, agent, world) * size..][..size];
                let to = ((t * worlds + world) * agents + agent) * dimensions;
                for (d, &column) in of.positions.iter().enumerate() {
                    positions[to + d] = row.get(column).copied().unwrap_or(0.0);
                }
            }
        }
    }
    let present: Vec<f32> =
        program.find_input("present").map_or_else(|| vec![1.0; lanes], |present| present.to_vec());
    if present.len() != lanes {
        return Err(Error::Usage(format!("{} marks are not those of {lanes} agents", present.len())));
    }
    let most = of.most(agents);
    let mut here = vec![0.0; agents];
    for t in 0..time {
        for world in 0..worlds {
            let lane = t * worlds + world;
            (0..agents).for_each(|agent| here[agent] = present[at(t, agent, world)]);
            let own = &positions[lane * agents * dimensions..][..agents * dimensions];
            let csr = Csr::from_edges(agents, &of.edges(own, dimensions, &here))?.padded(most)?;
            for (name, values) in [
                ("edges.offsets", &csr.offsets),
                ("edges.sources", &csr.sources),
                ("edges.transposed_offsets", &csr.transposed_offsets),
                ("edges.destinations", &csr.destinations),
                ("edges.edges", &csr.edges),
            ] {
                // A program that only acts has no use for the transposed graph.
                if let Some(input) = program.find_input_u32(name) {
                    let (found, each) = (input.len(), values.len());
                    let own = input.get_mut(lane * each..(lane + 1) * each);
                    own.ok_or_else(|| Error::Usage(format!("input `{name}` has {found} elements")))?
                        .copy_from_slice(values);
                }
            }
        }
    }
    Ok(())
}
