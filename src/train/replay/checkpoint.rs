//! A replay in checkpoints. What is read is not trusted.

use super::Replay;
use crate::action::Actions;
use crate::error::{Error, Result};
use crate::train::{Checkpoint, TensorData};

impl Replay {
    /// Writes everything into a checkpoint.
    ///
    /// # Errors
    /// None in practice: shapes are its own.
    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        let flat = |values: &[f32]| TensorData::f32(&[values.len()], values);
        for (name, values) in self.floats() {
            checkpoint.insert(format!("replay/{name}"), flat(values)?);
        }
        let Actions { discrete, continuous } = &self.actions;
        checkpoint.insert("replay/actions", TensorData::u32(&[discrete.len()], discrete)?);
        if !continuous.is_empty() {
            checkpoint.insert("replay/continuous_actions", flat(continuous)?);
        }
        checkpoint.insert("replay/ends", TensorData::u8(&[self.ends.len()], &self.ends)?);
        checkpoint.insert("replay/masks", TensorData::u8(&[self.masks.len()], &self.masks)?);
        checkpoint.insert("replay/written", TensorData::u64(&[1], &[self.written])?);
        for (i, part) in self.state.iter().enumerate() {
            checkpoint.insert(format!("replay/state{i}"), flat(part)?);
        }
        if let Some((tree, highest)) = &self.priorities {
            let weights = tree.weights();
            checkpoint.insert("replay/priorities", TensorData::f64(&[weights.len()], weights)?);
            checkpoint.insert("replay/highest", TensorData::f64(&[1], &[*highest])?);
        }
        Ok(())
    }

    fn floats(&self) -> [(&'static str, &Vec<f32>); 6] {
        [
            ("observations", &self.observations),
            ("ages", &self.ages),
            ("present", &self.present),
            ("weights", &self.weights),
            ("rewards", &self.rewards),
            ("world_state", &self.world_state),
        ]
    }

    /// Takes up what [`Replay::save`] wrote. The numbers are not trusted.
    ///
    /// # Errors
    /// A tensor is missing or has another length, an action or a priority is out of range. The replay is unchanged
    /// then.
    pub fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        fn of_length<T>(name: &str, values: Vec<T>, length: usize) -> Result<Vec<T>> {
            match values.len() == length {
                true => Ok(values),
                false => Err(Error::Usage(format!(
                    "the checkpoint's `{name}` has {} elements, expected {length}",
                    values.len()
                ))),
            }
        }
        let tensor = |name: &str| checkpoint.tensor(&format!("replay/{name}"));
        let mut floats = Vec::new();
        for (name, own) in self.floats() {
            floats.push(of_length(name, tensor(name)?.to_f32()?, own.len())?);
        }
        let Actions { discrete, continuous } = &self.actions;
        let actions = Actions {
            discrete: of_length("replay/actions", tensor("actions")?.to_u32()?, discrete.len())?,
            continuous: match continuous.len() {
                0 => Vec::new(),
                length => {
                    let kept = tensor("continuous_actions")?.to_f32()?;
                    of_length("replay/continuous_actions", kept, length)?
                }
            },
        };
        actions
            .check_values(&self.sizes.actions)
            .map_err(|error| Error::Usage(format!("the checkpoint's `replay/actions`: {error}")))?;
        let ends = of_length("replay/ends", tensor("ends")?.to_u8()?, self.ends.len())?;
        let masks = of_length("replay/masks", tensor("masks")?.to_u8()?, self.masks.len())?;
        let written = checkpoint.counter("replay/written")?;
        let mut state = Vec::new();
        for (i, part) in self.state.iter().enumerate() {
            let name = format!("state{i}");
            state.push(of_length(&name, tensor(&name)?.to_f32()?, part.len())?);
        }
        if !written.is_multiple_of(self.sizes.stride as u64) {
            return Err(Error::Usage(format!("the checkpoint's `replay/written` cannot be {written}")));
        }
        if let Some((tree, highest)) = &mut self.priorities {
            let weights = tensor("priorities")?.to_f64()?;
            let weights = of_length("replay/priorities", weights, tree.weights().len())?;
            let top = of_length("replay/highest", tensor("highest")?.to_f64()?, 1)?[0];
            if !weights.iter().chain([&top]).all(|w| w.is_finite() && *w >= 0.0) {
                return Err(Error::Usage("the checkpoint's `replay/priorities` are no weights".into()));
            }
            weights.iter().enumerate().for_each(|(i, w)| tree.set(i, *w));
            *highest = top;
        }
        let mut floats = floats.into_iter();
        for own in [
            &mut self.observations,
            &mut self.ages,
            &mut self.present,
            &mut self.weights,
            &mut self.rewards,
            &mut self.world_state,
        ] {
            *own = floats.next().unwrap_or_default();
        }
        (self.actions, self.ends, self.masks) = (actions, ends, masks);
        (self.state, self.written) = (state, written);
        Ok(())
    }

    /// Refuses a replay that has not seen all the agent-steps of its trainer.
    ///
    /// # Errors
    /// It has seen others.
    pub(in crate::train) fn check_written(&self, steps: u64) -> Result<()> {
        let seen = u128::from(self.written) * (self.sizes.agents * self.sizes.worlds) as u128;
        if seen == u128::from(steps) {
            return Ok(());
        }
        Err(Error::Usage(format!("the checkpoint's replay has seen {seen} agent-steps, its trainer {steps}")))
    }
}
