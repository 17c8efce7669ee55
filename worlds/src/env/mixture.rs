//! Worlds with other settings side by side: a learner that is given them learns them all at once.
//!
//! ```
//! use synod_worlds::env::mixture::Mixture;
//! use synod_worlds::env::{VecEnv, WorldConfig};
//! let light = WorldConfig::named("pendulum")?.with_worlds(2).build(0)?;
//! let heavy = WorldConfig::named("pendulum")?.with_worlds(3).build(1)?;
//! assert_eq!(Mixture::of(vec![light, heavy])?.spec().worlds, 5);
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use super::{Buffers, EpisodeReport, Spec, VecEnv};
use crate::action::Actions;
use crate::error::{Error, Result};

/// Several groups of worlds with one kind of agent, alike in everything that a network sees of them.
pub struct Mixture {
    groups: Vec<Group>,
    spec: Spec,
}

struct Group {
    worlds: Box<dyn VecEnv>,
    first: usize,
    own: Buffers,
    told: Actions,
}

impl Mixture {
    /// Groups of worlds, in this order.
    ///
    /// # Errors
    /// No group, several kinds of agent, or groups that a network could tell apart by their sizes.
    pub fn of(groups: Vec<Box<dyn VecEnv>>) -> Result<Box<dyn VecEnv>> {
        let Some(first) = groups.first() else {
            return Err(Error::Usage("a mixture needs at least one group of worlds".into()));
        };
        let mut spec = first.spec().clone();
        let kind = spec.only_kind("a mixture of worlds")?.clone();
        (spec.worlds, spec.limit, spec.masked) = (0, 0, false);
        let mut all = Vec::new();
        for worlds in groups {
            let own = worlds.spec();
            let other = own.only_kind("a mixture of worlds")?;
            let alike = other.count == kind.count
                && other.observation == kind.observation
                && other.actions == kind.actions
                && own.state == spec.state;
            if !alike {
                return Err(Error::Usage(format!(
                    "worlds of a mixture have to be alike: {} agents that see {:?} and do {} are not {} that see {:?} and do {}",
                    other.count, other.observation, other.actions, kind.count, kind.observation, kind.actions
                )));
            }
            let at = spec.worlds;
            spec.worlds += own.worlds;
            spec.limit = spec.limit.max(own.limit);
            spec.masked |= own.masked;
            let (own, told) = (Buffers::new(own), own.actions());
            all.push(Group { worlds, first: at, own, told });
        }
        Ok(Box::new(Mixture { groups: all, spec }))
    }
}

/// Copies the rows of so many worlds from `first` on.
fn rows<T: Copy>(from: &[T], to: &mut [T], first: usize, worlds: usize) {
    let size = from.len() / worlds.max(1);
    to[first * size..(first + worlds) * size].copy_from_slice(from);
}

impl Group {
    /// Lets its worlds write, into rows of the caller's that are as they were.
    fn run(
        &mut self,
        out: &mut Buffers,
        body: impl FnOnce(&mut dyn VecEnv, &Actions, &mut Buffers) -> Result<()>,
    ) -> Result<()> {
        let (first, worlds) = (self.first, self.worlds.spec().worlds);
        body(self.worlds.as_mut(), &self.told, &mut self.own)?;
        let own = &self.own;
        rows(&own.observations, &mut out.observations, first, worlds);
        rows(&own.masks, &mut out.masks, first, worlds);
        rows(&own.rewards, &mut out.rewards, first, worlds);
        rows(&own.terminated, &mut out.terminated, first, worlds);
        rows(&own.truncated, &mut out.truncated, first, worlds);
        rows(&own.active, &mut out.active, first, worlds);
        rows(&own.ended, &mut out.ended, first, worlds);
        rows(&own.state, &mut out.state, first, worlds);
        Ok(())
    }
}

impl VecEnv for Mixture {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()> {
        out.check(&self.spec)?;
        if which.len() != self.spec.worlds {
            return Err(Error::Usage(format!("{} marks for {} worlds", which.len(), self.spec.worlds)));
        }
        for group in &mut self.groups {
            let own = &which[group.first..][..group.worlds.spec().worlds];
            group.run(out, |worlds, _, buffers| worlds.reset(own, buffers))?;
        }
        Ok(())
    }

    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()> {
        let [integers, floats] = self.spec.action_lengths();
        actions.expect("step", integers, floats, self.spec.worlds * self.spec.agents())?;
        out.check(&self.spec)?;
        for group in &mut self.groups {
            let (first, worlds) = (group.first, group.worlds.spec().worlds);
            let (integers, floats) =
                (group.told.discrete.len() / worlds, group.told.continuous.len() / worlds);
            let own = first * integers..(first + worlds) * integers;
            group.told.discrete.copy_from_slice(&actions.discrete[own]);
            let own = first * floats..(first + worlds) * floats;
            group.told.continuous.copy_from_slice(&actions.continuous[own]);
            group.run(out, |worlds, told, buffers| worlds.step(told, buffers))?;
        }
        Ok(())
    }

    fn take_reports(&mut self) -> Vec<EpisodeReport> {
        let mut all = Vec::new();
        for group in &mut self.groups {
            let own = group.worlds.take_reports().into_iter();
            all.extend(own.map(|report| EpisodeReport { world: report.world + group.first, ..report }));
        }
        all
    }

    /// The groups' bytes, each after its length.
    fn save(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for group in &self.groups {
            let own = group.worlds.save();
            bytes.extend_from_slice(&(own.len() as u64).to_le_bytes());
            bytes.extend(own);
        }
        bytes
    }

    fn load(&mut self, bytes: &[u8]) -> Result<()> {
        let broken = || Error::Usage("the state of a mixture of worlds is cut short".into());
        let (mut rest, mut parts) = (bytes, Vec::new());
        for _ in &self.groups {
            let (length, after) = rest.split_first_chunk::<8>().ok_or_else(broken)?;
            let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| broken())?;
            let (own, after) = after.split_at_checked(length).ok_or_else(broken)?;
            parts.push(own);
            rest = after;
        }
        if !rest.is_empty() {
            return Err(broken());
        }
        let before: Vec<Vec<u8>> = self.groups.iter().map(|group| group.worlds.save()).collect();
        for at in 0..parts.len() {
            if let Err(error) = self.groups[at].worlds.load(parts[at]) {
                // All or none.
                self.groups.iter_mut().zip(&before).take(at).try_for_each(|(g, own)| g.worlds.load(own))?;
                return Err(error);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::WorldConfig;

    fn pendulums(worlds: usize, gravity: f64, seed: u64) -> Result<Box<dyn VecEnv>> {
        let mut changes = serde_json::Map::new();
        changes.insert("gravity".into(), gravity.into());
        changes.insert("max_episode_steps".into(), 7.into());
        WorldConfig::named("pendulum")?.with(changes)?.with_worlds(worlds).build(seed)
    }

    #[test]
    fn every_world_is_as_it_is_alone() -> Result<()> {
        let mut both = Mixture::of(vec![pendulums(2, 10.0, 1)?, pendulums(3, 4.0, 2)?])?;
        let mut alone = [pendulums(2, 10.0, 1)?, pendulums(3, 4.0, 2)?];
        let mut out = Buffers::new(both.spec());
        let mut own = alone.each_ref().map(|worlds| Buffers::new(worlds.spec()));
        both.reset(&[true; 5], &mut out)?;
        alone[0].reset(&[true; 2], &mut own[0])?;
        alone[1].reset(&[true; 3], &mut own[1])?;
        let mut saved = None;
        for step in 0..12u32 {
            assert_eq!(out.observations, [&own[0].observations[..], &own[1].observations].concat());
            assert_eq!(out.rewards, [&own[0].rewards[..], &own[1].rewards].concat());
            assert_eq!(out.ended, [&own[0].ended[..], &own[1].ended].concat());
            if step == 7 {
                assert!(out.ended.iter().all(|ended| *ended));
                let worlds: Vec<usize> = both.take_reports().iter().map(|report| report.world).collect();
                assert_eq!(worlds, [0, 1, 2, 3, 4]);
                // The last of each group starts again, the others wait.
                both.reset(&[false, true, false, false, true], &mut out)?;
                alone[0].reset(&[false, true], &mut own[0])?;
                alone[1].reset(&[false, false, true], &mut own[1])?;
                saved = Some((both.save(), out.clone()));
            }
            let torques: Vec<f32> = (0..5).map(|w| (step as f32 + w as f32).sin()).collect();
            both.step(&torques.clone().into(), &mut out)?;
            alone[0].step(&torques[..2].to_vec().into(), &mut own[0])?;
            alone[1].step(&torques[2..].to_vec().into(), &mut own[1])?;
        }
        let (bytes, mut buffers) = saved.expect("saved at the seventh step");
        let mut again = Mixture::of(vec![pendulums(2, 10.0, 1)?, pendulums(3, 4.0, 2)?])?;
        again.load(&bytes)?;
        for step in 7..12u32 {
            let torques: Vec<f32> = (0..5).map(|w| (step as f32 + w as f32).sin()).collect();
            again.step(&torques.into(), &mut buffers)?;
        }
        assert_eq!((buffers.observations, buffers.rewards), (out.observations, out.rewards));
        assert!(again.load(&bytes[..bytes.len() - 1]).is_err());
        Ok(())
    }

    #[test]
    fn unlike_worlds_do_not_mix() -> Result<()> {
        let other = WorldConfig::named("lqr")?.with_worlds(2).build(0)?;
        let error = Mixture::of(vec![pendulums(2, 10.0, 1)?, other]).err().expect("refused").to_string();
        assert!(error.contains("alike"), "{error}");
        assert!(Mixture::of(Vec::new()).is_err());
        Ok(())
    }
}
