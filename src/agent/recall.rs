//! A team's shared memory: its store, over the features of all networks.

use super::ports::Ports;
use super::team::TeamConfig;
use super::{Sequence, StatePart};
use crate::comm::Company;
use crate::graph::Tensor;
use crate::memory::{Glance, Noted, Recalled, Scene, Store};
use crate::nn::{Builder, Weights};

/// What a team remembers together.
pub(super) struct Recall {
    store: Box<dyn Store>,
    ports: Ports,
}

impl Recall {
    /// As the settings say for the agents of `company`; `None` where they share no memory. `networks` are as for
    /// [`Ports::new`]. The settings have been checked.
    pub fn new(
        builder: &mut Builder,
        config: &TeamConfig,
        company: &Company,
        networks: &[(&str, [usize; 2], usize)],
    ) -> Option<Recall> {
        let store = config.memory.store(builder, company)?;
        let ports = Ports::new(builder, company.features, networks, ["into_memory", "out_of_memory"]);
        Some(Recall { store, ports })
    }

    /// Its state, spread over all agents.
    pub fn state(&self) -> Vec<StatePart> {
        self.store.state()
    }

    /// Whether it works for so many agents, which are not as many as it was made for.
    pub fn fits(&self, agents: usize) -> bool {
        self.store.fits(agents)
    }

    /// The parts of its state that are importances of slots.
    pub fn importances(&self) -> Vec<usize> {
        self.store.importances()
    }

    /// Names of its levels, and the slots that so many agents have in each.
    pub fn levels(&self, agents: usize) -> Vec<(String, usize)> {
        self.store.levels(agents).into_iter().map(|(name, slots)| (name.to_string(), slots)).collect()
    }

    /// What it holds in the state of a first step.
    pub fn open<'g>(&self, weights: &Weights<'g>, state: &[Tensor<'g>]) -> Vec<Tensor<'g>> {
        self.store.open(weights, state)
    }

    /// The state after the last step.
    pub fn close<'g>(&self, weights: &Weights<'g>, held: Vec<Tensor<'g>>, agents: usize) -> Vec<Tensor<'g>> {
        self.store.close(weights, held, agents)
    }

    /// The features of all networks at a step, with what their agents read; what that costs; and where it is looked at, what
    /// they read of each slot.
    pub fn read<'g>(
        &self,
        weights: &Weights<'g>,
        step: &Sequence<'g>,
        parts: &[Tensor<'g>],
        held: &mut Vec<Tensor<'g>>,
    ) -> (Vec<Tensor<'g>>, Option<Tensor<'g>>, Option<Glance<'g>>) {
        let x = self.ports.join(weights, parts);
        let Recalled { features, price, reads } = self.store.read(weights, &scene(step), x, held);
        let glance = reads.map(|reads| Glance { reads, importance: None, written: None, kept: None });
        (self.ports.part(weights, parts, features), price, glance)
    }

    /// Writes at a step, and says what that costs.
    pub fn write<'g>(
        &self,
        weights: &Weights<'g>,
        step: &Sequence<'g>,
        parts: &[Tensor<'g>],
        held: &mut Vec<Tensor<'g>>,
        glance: Option<&mut Glance<'g>>,
    ) -> Option<Tensor<'g>> {
        let x = self.ports.join(weights, parts);
        let Noted { price, importance, written, kept } = self.store.write(weights, &scene(step), x, held);
        if let Some(glance) = glance {
            (glance.importance, glance.written, glance.kept) = (importance, written, kept);
        }
        price
    }
}

/// What memory's keys of random numbers are told apart by.
const KEY: u32 = 0x6d65_6d6f;

fn scene<'g>(step: &Sequence<'g>) -> Scene<'g> {
    let Sequence { ages, present, mode, .. } = *step;
    // Other random numbers than those of talk at the same step.
    let key = step.key.fold_in(step.key.graph().constant_u32([], &[KEY]));
    Scene { observations: step.flat(), ages, present, key, mode, watch: step.watched() }
}
