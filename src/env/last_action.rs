//! Agents that see what they last did, as recurrent Q-learners and those who talk by acting need (Hausknecht and Stone
//! 2015; RIAL, Foerster et al. 2016): what chance made of an action is known to nobody else.

use super::{AgentKind, Buffers, Drawing, EpisodeReport, Spec, VecEnv};
use crate::error::{Error, Result};

/// Worlds whose observations end with each agent's last action, one-hot; with zeros at the first step of an episode.
/// Observations are flat.
pub struct LastAction {
    inner: Box<dyn VecEnv>,
    spec: Spec,
    own: Buffers,
    /// `[worlds, agents]`: one more than the action; 0 for none.
    last: Vec<u32>,
}

impl LastAction {
    /// The same worlds, seen so.
    ///
    /// # Errors
    /// There are several kinds of agent ([`super::uniform::Uniform`] makes them alike).
    pub fn new(inner: Box<dyn VecEnv>) -> Result<Self> {
        let spec = inner.spec();
        let kind = spec.only_kind("a world that shows last actions")?;
        let width = kind.observation.iter().product::<usize>() + kind.actions;
        let kinds = vec![AgentKind { observation: vec![width], ..kind.clone() }];
        let (own, last) = (Buffers::new(spec), vec![0; spec.worlds * spec.agents()]);
        let spec = Spec { kinds, ..spec.clone() };
        Ok(LastAction { inner, spec, own, last })
    }

    /// Writes the observations of the lanes that `which` names, in the caller's rows.
    fn show(&self, which: impl Fn(usize) -> bool, out: &mut Buffers) {
        let kind = &self.spec.kinds[0];
        let (width, size) = (kind.observation[0], kind.observation[0] - kind.actions);
        for lane in (0..self.last.len()).filter(|lane| which(lane / kind.count)) {
            let row = &mut out.observations[lane * width..][..width];
            row[..size].copy_from_slice(&self.own.observations[lane * size..][..size]);
            row[size..].fill(0.0);
            if let Some(action) = self.last[lane].checked_sub(1) {
                row[size + action as usize] = 1.0;
            }
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
        for (last, which) in self.last.chunks_exact_mut(agents).zip(which) {
            if *which {
                last.fill(0);
            }
        }
        self.show(|world| which[world], out);
        Ok(())
    }

    fn step(&mut self, actions: &[u32], out: &mut Buffers) -> Result<()> {
        self.within(out, |inner, out| inner.step(actions, out))?;
        let most = self.spec.kinds[0].actions as u32;
        for (last, action) in self.last.iter_mut().zip(actions) {
            // Those who take no part may hold any number.
            *last = if *action < most { action + 1 } else { 0 };
        }
        self.show(|_| true, out);
        Ok(())
    }

    fn take_reports(&mut self) -> Vec<EpisodeReport> {
        self.inner.take_reports()
    }

    /// The inner worlds' bytes, then the last actions.
    fn save(&self) -> Vec<u8> {
        let mut bytes = self.inner.save();
        self.last.iter().for_each(|last| bytes.extend_from_slice(&last.to_le_bytes()));
        bytes
    }

    fn load(&mut self, bytes: &[u8]) -> Result<()> {
        let broken = || Error::Usage("the state of worlds that show last actions is damaged".into());
        let Some((inner, last)) =
            bytes.len().checked_sub(4 * self.last.len()).and_then(|at| bytes.split_at_checked(at))
        else {
            return Err(broken());
        };
        let last: Vec<u32> = last.as_chunks::<4>().0.iter().map(|c| u32::from_le_bytes(*c)).collect();
        if last.iter().any(|last| *last > self.spec.kinds[0].actions as u32) {
            return Err(broken());
        }
        self.inner.load(inner)?;
        self.last = last;
        Ok(())
    }

    fn draw(&self, world: usize) -> Option<Drawing> {
        self.inner.draw(world)
    }

    fn action_names(&self, agent: usize) -> Vec<String> {
        self.inner.action_names(agent)
    }

    fn agent_name(&self, agent: usize) -> String {
        self.inner.agent_name(agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::WorldConfig;
    use crate::nn::initial::Stream;

    #[test]
    fn the_last_action_follows_what_is_seen() -> Result<()> {
        let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
        let make = || WorldConfig::named("simple_spread")?.with_worlds(3).build(seed);
        let (mut plain, mut shown) = (make()?, LastAction::new(make()?)?);
        let (mut a, mut b) = (Buffers::new(plain.spec()), Buffers::new(shown.spec()));
        let (size, actions) = (plain.spec().kinds[0].observation[0], plain.spec().kinds[0].actions);
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
                plain.step(&chosen, &mut a)?;
                shown.step(&chosen, &mut b)?;
                last = chosen.iter().map(|c| Some(*c as usize)).collect();
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
}
