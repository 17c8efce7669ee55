//! Agents that see what they last did, as recurrent Q-learners and those who talk by acting need (Hausknecht and Stone
//! 2015; RIAL, Foerster et al. 2016): what chance made of an action is known to nobody else.
//!
//! ```
//! use synod_worlds::env::last_action::LastAction;
//! use synod_worlds::env::{VecEnv, WorldConfig};
//! let plain = WorldConfig::named("repeat_previous")?.build(0)?;
//! let seen = plain.spec().kinds[0].observation[0];
//! let options = plain.spec().kinds[0].actions.options();
//! assert_eq!(LastAction::new(plain)?.spec().kinds[0].observation, [seen + options]);
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use super::{AgentKind, Buffers, EpisodeReport, Spec, VecEnv};
use crate::action::Actions;
use crate::error::{Error, Result};

/// Worlds whose observations end with each agent's last action: its choices one-hot, then its continuous numbers, held to
/// their bounds; with zeros at the first step of an episode. Observations are flat.
pub struct LastAction {
    inner: Box<dyn VecEnv>,
    spec: Spec,
    own: Buffers,
    /// `[worlds, agents, ..]`: one more than each integer, 0 for none; floats as they count.
    last: Actions,
    /// The options of each integer of an agent, and the bounds of each float.
    sizes: Vec<u32>,
    bounds: Vec<[f32; 2]>,
}

impl LastAction {
    /// The same worlds, seen so.
    ///
    /// # Errors
    /// There are several kinds of agent ([`super::uniform::Uniform`] makes them alike).
    pub fn new(inner: Box<dyn VecEnv>) -> Result<Self> {
        let spec = inner.spec();
        let kind = spec.only_kind("a world that shows last actions")?;
        let space = &kind.actions;
        let width = kind.observation.iter().product::<usize>() + space.options() + space.floats();
        let kinds = vec![AgentKind { observation: vec![width], ..kind.clone() }];
        let sizes = space.sizes().iter().map(|size| *size as u32).collect();
        let bounds = space.bounds();
        let (own, last) = (Buffers::new(spec), spec.actions());
        let spec = Spec { kinds, ..spec.clone() };
        Ok(LastAction { inner, spec, own, last, sizes, bounds })
    }

    /// Writes the observations of the lanes that `which` names, in the caller's rows.
    fn show(&self, which: impl Fn(usize) -> bool, out: &mut Buffers) {
        let kind = &self.spec.kinds[0];
        let (integers, floats) = (self.sizes.len(), self.bounds.len());
        let width = kind.observation[0];
        let size = width - kind.actions.options() - floats;
        for lane in (0..self.spec.worlds * kind.count).filter(|lane| which(lane / kind.count)) {
            let row = &mut out.observations[lane * width..][..width];
            row[..size].copy_from_slice(&self.own.observations[lane * size..][..size]);
            row[size..width - floats].fill(0.0);
            let mut first = size;
            for (last, options) in self.last.discrete[lane * integers..][..integers].iter().zip(&self.sizes) {
                if let Some(action) = last.checked_sub(1) {
                    row[first + action as usize] = 1.0;
                }
                first += *options as usize;
            }
            row[width - floats..].copy_from_slice(&self.last.continuous[lane * floats..][..floats]);
        }
    }

    /// Lets the inner worlds write into the caller's buffers, observations apart.
    fn within<T>(
        &mut self,
        out: &mut Buffers,
        body: impl FnOnce(&mut dyn VecEnv, &mut Buffers) -> Result<T>,
    ) -> Result<T> {
        out.check(&self.spec)?;
        std::mem::swap(&mut self.own.observations, &mut out.observations);
        let result = body(self.inner.as_mut(), out);
        std::mem::swap(&mut self.own.observations, &mut out.observations);
        result
    }
}

impl VecEnv for LastAction {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()> {
        self.within(out, |inner, out| inner.reset(which, out))?;
        let agents = self.spec.agents();
        let (integers, floats) = (agents * self.sizes.len(), agents * self.bounds.len());
        for world in (0..which.len()).filter(|world| which[*world]) {
            self.last.discrete[world * integers..][..integers].fill(0);
            self.last.continuous[world * floats..][..floats].fill(0.0);
        }
        self.show(|world| which[world], out);
        Ok(())
    }

    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()> {
        self.within(out, |inner, out| inner.step(actions, out))?;
        // Those who take no part may hold any number.
        if !self.sizes.is_empty() {
            let rows = self.last.discrete.chunks_exact_mut(self.sizes.len());
            for (last, chosen) in rows.zip(actions.discrete.chunks_exact(self.sizes.len())) {
                for ((last, action), size) in last.iter_mut().zip(chosen).zip(&self.sizes) {
                    *last = if action < size { action + 1 } else { 0 };
                }
            }
        }
        self.last.continuous.copy_from_slice(&actions.continuous);
        // Nor may an infinite one stay: a checkpoint would refuse it.
        self.last.continuous.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = 0.0);
        self.last.hold(&self.bounds);
        self.show(|_| true, out);
        Ok(())
    }

    fn take_reports(&mut self) -> Vec<EpisodeReport> {
        self.inner.take_reports()
    }

    /// The inner worlds' bytes, then the last actions.
    fn save(&self) -> Vec<u8> {
        let mut bytes = self.inner.save();
        self.last.discrete.iter().for_each(|last| bytes.extend_from_slice(&last.to_le_bytes()));
        self.last.continuous.iter().for_each(|last| bytes.extend_from_slice(&last.to_le_bytes()));
        bytes
    }

    fn load(&mut self, bytes: &[u8]) -> Result<()> {
        let broken = || Error::Usage("the state of worlds that show last actions is damaged".into());
        let integers = self.last.discrete.len();
        let words = integers + self.last.continuous.len();
        let Some((inner, last)) =
            bytes.len().checked_sub(4 * words).and_then(|at| bytes.split_at_checked(at))
        else {
            return Err(broken());
        };
        let last: Vec<u32> = last.as_chunks::<4>().0.iter().map(|c| u32::from_le_bytes(*c)).collect();
        let (discrete, continuous) = last.split_at(integers);
        let mut limits = self.sizes.iter().cycle();
        let continuous: Vec<f32> = continuous.iter().map(|bits| f32::from_bits(*bits)).collect();
        if discrete.iter().any(|last| Some(last) > limits.next()) || continuous.iter().any(|x| !x.is_finite())
        {
            return Err(broken());
        }
        self.inner.load(inner)?;
        self.last = Actions { discrete: discrete.to_vec(), continuous };
        Ok(())
    }

    fn inner(&self) -> Option<&dyn VecEnv> {
        Some(self.inner.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::WorldConfig;
    use crate::env::mpe::{Control, SimpleSpreadConfig};
    use crate::nn::initial::Stream;

    #[test]
    fn the_last_action_follows_what_is_seen() -> Result<()> {
        let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
        let make = || WorldConfig::named("simple_spread")?.with_worlds(3).build(seed);
        let (mut plain, mut shown) = (make()?, LastAction::new(make()?)?);
        let (mut a, mut b) = (Buffers::new(plain.spec()), Buffers::new(shown.spec()));
        let kind = &plain.spec().kinds[0];
        let (size, actions) = (kind.observation[0], kind.actions.options());
        let lanes = 3 * plain.spec().agents();
        plain.reset(&[true; 3], &mut a)?;
        shown.reset(&[true; 3], &mut b)?;
        let mut last: Vec<Option<usize>> = vec![None; lanes];
        let mut stream = Stream::new(seed);
        let check = |a: &Buffers, b: &Buffers, last: &[Option<usize>]| {
            for (lane, row) in b.observations.chunks_exact(size + actions).enumerate() {
                assert_eq!(row[..size], a.observations[lane * size..][..size], "seed {seed}");
                let expected: Vec<f32> =
                    (0..actions).map(|i| f32::from(u8::from(last[lane] == Some(i)))).collect();
                assert_eq!(row[size..], expected, "seed {seed}");
            }
            assert_eq!((&a.rewards, &a.ended, &a.state), (&b.rewards, &b.ended, &b.state));
        };
        check(&a, &b, &last);
        for _ in 0..60 {
            if a.ended[0] {
                let which = [true, false, true];
                plain.reset(&which, &mut a)?;
                shown.reset(&which, &mut b)?;
                let agents = lanes / 3;
                (0..lanes).filter(|lane| which[lane / agents]).for_each(|lane| last[lane] = None);
            } else {
                let chosen: Vec<u32> = (0..lanes).map(|_| stream.below(actions) as u32).collect();
                last = chosen.iter().map(|c| Some(*c as usize)).collect();
                let chosen = chosen.into();
                plain.step(&chosen, &mut a)?;
                shown.step(&chosen, &mut b)?;
            }
            check(&a, &b, &last);
        }
        let bytes = shown.save();
        let mut again = LastAction::new(make()?)?;
        again.load(&bytes)?;
        assert_eq!(again.save(), bytes);
        assert!(again.load(&bytes[..bytes.len() - 1]).is_err());
        assert!(again.load(&[0; 3]).is_err());
        assert_eq!(again.save(), bytes);
        Ok(())
    }

    /// Continuous numbers are shown as they count, and come back from bytes.
    #[test]
    fn continuous_actions_are_shown_within_their_bounds() -> Result<()> {
        let config = SimpleSpreadConfig { worlds: 2, actions: Control::Continuous, ..Default::default() };
        let mut shown = LastAction::new(WorldConfig::new(config).build(1)?)?;
        let mut out = Buffers::new(shown.spec());
        shown.reset(&[true; 2], &mut out)?;
        let width = shown.spec().kinds[0].observation[0];
        let tails = |out: &Buffers| -> Vec<f32> {
            out.observations.chunks(width).flat_map(|row| row[width - 5..].to_vec()).collect()
        };
        assert!(tails(&out).iter().all(|x| *x == 0.0));
        let actions: Vec<f32> = (0..30).map(|i| i as f32 / 20.0 - 0.2).collect();
        let held: Vec<f32> = actions.iter().map(|x| x.clamp(0.0, 1.0)).collect();
        shown.step(&actions.into(), &mut out)?;
        assert_eq!(tails(&out), held);
        let bytes = shown.save();
        shown.reset(&[true; 2], &mut out)?;
        assert!(shown.save() != bytes && tails(&out).iter().all(|x| *x == 0.0));
        shown.load(&bytes)?;
        assert!(shown.save() == bytes);
        let mut broken = bytes.clone();
        let end = broken.len();
        broken[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(shown.load(&broken).is_err() && shown.save() == bytes);
        Ok(())
    }
}
