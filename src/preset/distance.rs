//! How far a policy is from an equilibrium that is known.

use super::Settings;
use crate::Device;
use crate::agent::actors::{Choice, see};
use crate::agent::{Mode, Policy};
use crate::env::Buffers;
use crate::error::Result;
use crate::graph::Graph;
use crate::program::Program;

/// A policy before the first step of worlds that name their equilibrium.
pub(super) struct Distance {
    program: Program,
    /// What agents see there, `[agents, worlds, numbers]`.
    observations: Vec<f32>,
    /// For each agent the probabilities of its options.
    equilibrium: Vec<Vec<f64>>,
    worlds: usize,
}

impl Distance {
    /// `None` where worlds name no equilibrium, or the policy's agents hear their neighbours.
    ///
    /// # Errors
    /// What the worlds or compilation report.
    pub fn new(
        device: &Device,
        settings: &Settings,
        policy: &dyn Policy,
        choice: Choice,
        seed: u64,
    ) -> Result<Option<Self>> {
        let mut world = settings.judging_worlds(policy.seeds(), seed)?;
        let Some(equilibrium) = world.equilibrium() else { return Ok(None) };
        let spec = world.spec().clone();
        let kind = spec.only_kind("a policy")?;
        let (agents, worlds, options) = (kind.count, spec.worlds, kind.actions.options());
        let fits = equilibrium.len() == agents && equilibrium.iter().all(|of| of.len() == options);
        if !fits || policy.neighbours().is_some() {
            return Ok(None);
        }
        let mut buffers = Buffers::new(&spec);
        world.reset(&vec![true; worlds], &mut buffers)?;
        let size: usize = kind.observation.iter().product();
        let places = (0..agents).flat_map(|agent| (0..worlds).map(move |world| world * agents + agent));
        let observations =
            places.flat_map(|at| &buffers.observations[at * size..][..size]).copied().collect();
        let graph = Graph::new();
        let shape = |part: &[usize]| [&[agents, worlds], part].concat();
        let state: Vec<_> = policy.state().iter().map(|part| graph.full(shape(&part.shape), 0.0)).collect();
        let parameters = see(&graph, policy, kind, [agents, worlds], &state, Mode::Acting)?.parameters;
        // What takes the best option is sure of it.
        let probabilities = match choice {
            Choice::Sample | Choice::SampleOptions => parameters.softmax(-1),
            Choice::Greedy | Choice::EpsilonGreedy => parameters.argmax().one_hot(options),
        };
        let program = device.compile(&graph, &[probabilities])?;
        Ok(Some(Distance { program, observations, equilibrium, worlds }))
    }

    /// The largest difference of any probability of any agent from the equilibrium's, for each run that the policy was
    /// learned in.
    ///
    /// # Errors
    /// What the device reports.
    pub fn measure(&mut self) -> Result<Vec<f64>> {
        for (name, value) in [("ages", 0.0), ("present", 1.0)] {
            if let Some(input) = self.program.find_input(name) {
                input.fill(value);
            }
        }
        if let Some(input) = self.program.find_input("observations") {
            input.copy_from_slice(&self.observations);
        }
        let outputs = self.program.run(&[])?;
        let options = self.equilibrium[0].len();
        let mut distances = vec![0f64; self.worlds];
        for (lane, found) in outputs.f32(0).chunks_exact(options).enumerate() {
            let (agent, world) = (lane / self.worlds, lane % self.worlds);
            for (found, known) in found.iter().zip(&self.equilibrium[agent]) {
                distances[world] = distances[world].max((f64::from(*found) - known).abs());
            }
        }
        Ok(distances)
    }
}
