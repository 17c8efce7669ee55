//! Unlike agents as one kind, so that one network can serve them: observations and actions are padded to the longest,
//! an agent sees which kind it is, and masks close the actions that it does not have. JaxMARL and EPyMARL prepare
//! their worlds in the same way.

use super::{AgentKind, Buffers, Drawing, EpisodeReport, Spec, VecEnv};
use crate::error::Result;

/// Worlds whose agents are all of one kind, made of worlds with agents of several.
///
/// An observation is `[what the agent sees, zeros, which kind it is (one-hot)]`: as long as the longest of all kinds
/// and the number of kinds together. Agents stand in the order of their kinds, as in rewards. What the critic of the
/// whole world sees is unchanged.
pub struct Uniform {
    inner: Box<dyn VecEnv>,
    spec: Spec,
    own: Buffers,
}

impl Uniform {
    /// The worlds as they are where there is one kind of agent, otherwise with all agents made alike.
    pub fn of(inner: Box<dyn VecEnv>) -> Box<dyn VecEnv> {
        if inner.spec().kinds.len() == 1 { inner } else { Box::new(Uniform::new(inner)) }
    }

    /// All agents made alike.
    pub fn new(inner: Box<dyn VecEnv>) -> Self {
        let spec = inner.spec();
        let width = |kind: &AgentKind| kind.observation.iter().product::<usize>();
        let widest = spec.kinds.iter().map(width).max().unwrap_or(0);
        let actions = spec.kinds.iter().map(|kind| kind.actions).max().unwrap_or(0);
        let names: Vec<&str> = spec.kinds.iter().map(|kind| kind.name.as_str()).collect();
        let alike = AgentKind {
            name: names.join(" or "),
            count: spec.agents(),
            observation: vec![widest + spec.kinds.len()],
            actions,
        };
        let masked = spec.masked || spec.kinds.iter().any(|kind| kind.actions < actions);
        let own = Buffers::new(spec);
        let spec = Spec { kinds: vec![alike], masked, ..spec.clone() };
        Uniform { inner, spec, own }
    }

    /// Copies the rows of the worlds in `which` to the caller's.
    fn show(&self, which: impl Fn(usize) -> bool, out: &mut Buffers) {
        let Spec { worlds, state, .. } = self.spec;
        let agents = self.spec.agents();
        let (width, actions) = (self.spec.kinds[0].observation[0], self.spec.kinds[0].actions);
        let kinds = &self.inner.spec().kinds;
        let (mut seen, mut masks, mut first) = (0, 0, 0);
        for (index, kind) in kinds.iter().enumerate() {
            let size: usize = kind.observation.iter().product();
            for world in (0..worlds).filter(|world| which(*world)) {
                for agent in 0..kind.count {
                    let from = world * kind.count + agent;
                    let to = world * agents + first + agent;
                    let row = &mut out.observations[to * width..][..width];
                    row.fill(0.0);
                    row[..size].copy_from_slice(&self.own.observations[seen + from * size..][..size]);
                    row[width - kinds.len() + index] = 1.0;
                    let row = &mut out.masks[to * actions..][..actions];
                    row.fill(0.0);
                    let own = &self.own.masks[masks + from * kind.actions..][..kind.actions];
                    row[..kind.actions].copy_from_slice(own);
                }
            }
            seen += worlds * kind.count * size;
            masks += worlds * kind.count * kind.actions;
            first += kind.count;
        }
        for world in (0..worlds).filter(|world| which(*world)) {
            let lanes = world * agents..(world + 1) * agents;
            out.rewards[lanes.clone()].copy_from_slice(&self.own.rewards[lanes.clone()]);
            out.terminated[lanes.clone()].copy_from_slice(&self.own.terminated[lanes.clone()]);
            out.truncated[lanes.clone()].copy_from_slice(&self.own.truncated[lanes.clone()]);
            out.active[lanes.clone()].copy_from_slice(&self.own.active[lanes]);
            out.ended[world] = self.own.ended[world];
            let numbers = world * state..(world + 1) * state;
            out.state[numbers.clone()].copy_from_slice(&self.own.state[numbers]);
        }
    }
}

impl VecEnv for Uniform {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()> {
        out.check(&self.spec)?;
        self.inner.reset(which, &mut self.own)?;
        self.show(|world| which[world], out);
        Ok(())
    }

    fn step(&mut self, actions: &[u32], out: &mut Buffers) -> Result<()> {
        out.check(&self.spec)?;
        self.inner.step(actions, &mut self.own)?;
        self.show(|_| true, out);
        Ok(())
    }

    fn take_reports(&mut self) -> Vec<EpisodeReport> {
        self.inner.take_reports()
    }

    fn save(&self) -> Vec<u8> {
        self.inner.save()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<()> {
        self.inner.load(bytes)
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

    /// The same actions in the worlds as they are and in those made alike: every number is where it should be.
    #[test]
    fn every_row_is_the_kinds_own_and_padding() -> Result<()> {
        let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
        for name in ["simple_tag", "simple_adversary", "simple_speaker_listener"] {
            let make = || WorldConfig::named(name)?.with_worlds(3).build(seed);
            let (mut plain, mut alike) = (make()?, Uniform::of(make()?));
            let kinds = plain.spec().kinds.clone();
            let widest = kinds.iter().map(|k| k.observation[0]).max().unwrap();
            let most = kinds.iter().map(|k| k.actions).max().unwrap();
            assert_eq!(alike.spec().kinds[0].observation, [widest + kinds.len()]);
            assert_eq!(alike.spec().masked, kinds.iter().any(|k| k.actions < most));
            let (mut a, mut b) = (Buffers::new(plain.spec()), Buffers::new(alike.spec()));
            b.observations.fill(9.0);
            plain.reset(&[true; 3], &mut a)?;
            alike.reset(&[true; 3], &mut b)?;
            let agents = alike.spec().agents();
            let mut stream = Stream::new(seed);
            for step in 0..40 {
                let mut seen = a.observations.iter();
                let (width, mut first) = (widest + kinds.len(), 0);
                for (index, kind) in kinds.iter().enumerate() {
                    for world in 0..3 {
                        for agent in 0..kind.count {
                            let lane = world * agents + first + agent;
                            let row = &b.observations[lane * width..][..width];
                            let size = kind.observation[0];
                            assert!(
                                row[..size].iter().all(|x| Some(x) == seen.next()),
                                "{name}, seed {seed}"
                            );
                            assert!(row[size..widest].iter().all(|x| *x == 0.0));
                            for (i, x) in row[widest..].iter().enumerate() {
                                assert_eq!(*x, f32::from(u8::from(i == index)));
                            }
                            let mask = &b.masks[lane * most..][..most];
                            for (action, open) in mask.iter().enumerate() {
                                assert_eq!(*open, f32::from(u8::from(action < kind.actions)));
                            }
                        }
                    }
                    first += kind.count;
                }
                assert_eq!((&a.rewards, &a.truncated, &a.ended), (&b.rewards, &b.truncated, &b.ended));
                assert_eq!((&a.state, &a.terminated, &a.active), (&b.state, &b.terminated, &b.active));
                let actions: Vec<u32> = (0..3)
                    .flat_map(|_| kinds.iter().flat_map(|k| std::iter::repeat_n(k.actions, k.count)))
                    .map(|actions| stream.below(actions) as u32)
                    .collect();
                if a.ended.iter().all(|ended| *ended) {
                    assert!(step > 0);
                    let which = [true, false, true];
                    plain.reset(&which, &mut a)?;
                    alike.reset(&which, &mut b)?;
                } else {
                    plain.step(&actions, &mut a)?;
                    alike.step(&actions, &mut b)?;
                }
            }
            assert_eq!(plain.take_reports(), alike.take_reports());
            let mut again = Uniform::of(make()?);
            again.load(&alike.save())?;
            assert_eq!(again.save(), plain.save());
        }
        Ok(())
    }

    #[test]
    fn one_kind_is_left_as_it_is() -> Result<()> {
        let make = || WorldConfig::named("simple_spread")?.with_worlds(2).build(1);
        assert_eq!(make()?.spec(), Uniform::of(make()?).spec());
        Ok(())
    }
}
