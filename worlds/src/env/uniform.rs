//! Unlike agents as one kind, so that one network can serve them: observations and actions are padded to the longest,
//! an agent sees which kind it is, and masks close the actions that it does not have. JaxMARL and EPyMARL prepare
//! their worlds in the same way.
//!
//! ```
//! use synod_worlds::env::WorldConfig;
//! use synod_worlds::env::uniform::Uniform;
//! let hunters_and_prey = WorldConfig::named("simple_tag")?.build(0)?;
//! assert_eq!(hunters_and_prey.spec().kinds.len(), 2);
//! assert_eq!(Uniform::of(hunters_and_prey)?.spec().kinds.len(), 1);
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use super::{AgentKind, Buffers, EpisodeReport, Spec, VecEnv};
use crate::action::{ActionSpace, Actions};
use crate::error::{Error, Result};

/// Worlds whose agents are all of one kind, made of worlds with agents of several.
///
/// An observation is `[what the agent sees, zeros, which kind it is (one-hot)]`: as long as the longest of all kinds
/// and the number of kinds together. Agents stand in the order of their kinds, as in rewards. What the critic of the
/// whole world sees is unchanged.
///
/// Actions are one choice of as many options as any kind has, or as many continuous numbers; of these, each within the
/// widest bounds that a kind has for it, an agent's world takes the first.
pub struct Uniform {
    inner: Box<dyn VecEnv>,
    spec: Spec,
    own: Buffers,
    /// What the inner worlds are told.
    told: Actions,
}

/// A space with room for the actions of all kinds.
fn widest(kinds: &[AgentKind]) -> Result<ActionSpace> {
    if kinds.iter().all(|kind| kind.actions.integers() == 1 && kind.actions.floats() == 0) {
        return Ok(ActionSpace::Discrete(kinds.iter().map(|kind| kind.actions.options()).max().unwrap_or(0)));
    }
    if kinds.iter().any(|kind| kind.actions.integers() > 0) {
        let spaces: Vec<String> = kinds.iter().map(|kind| kind.actions.to_string()).collect();
        return Err(Error::Usage(format!(
            "agents are made alike where each has one choice or continuous actions alone, not {}",
            spaces.join(" and ")
        )));
    }
    let (mut low, mut high): (Vec<f32>, Vec<f32>) = (Vec::new(), Vec::new());
    for kind in kinds {
        for (i, [least, most]) in kind.actions.bounds().into_iter().enumerate() {
            if i == low.len() {
                low.push(least);
                high.push(most);
            }
            (low[i], high[i]) = (low[i].min(least), high[i].max(most));
        }
    }
    Ok(ActionSpace::Continuous { low, high })
}

impl Uniform {
    /// The worlds as they are where there is one kind of agent, otherwise with all agents made alike.
    ///
    /// # Errors
    /// Kinds whose actions have no common form: some choose and others give numbers, or choose several things at once.
    pub fn of(inner: Box<dyn VecEnv>) -> Result<Box<dyn VecEnv>> {
        Ok(if inner.spec().kinds.len() == 1 { inner } else { Box::new(Uniform::new(inner)?) })
    }

    /// All agents made alike.
    ///
    /// # Errors
    /// As [`Uniform::of`].
    pub fn new(inner: Box<dyn VecEnv>) -> Result<Self> {
        let spec = inner.spec();
        let width = |kind: &AgentKind| kind.observation.iter().product::<usize>();
        let longest = spec.kinds.iter().map(width).max().unwrap_or(0);
        let actions = widest(&spec.kinds)?;
        let options = actions.options();
        let names: Vec<&str> = spec.kinds.iter().map(|kind| kind.name.as_str()).collect();
        let alike = AgentKind {
            name: names.join(" or "),
            count: spec.agents(),
            observation: vec![longest + spec.kinds.len()],
            actions,
            members: spec.kinds.clone(),
        };
        let masked = spec.masked || spec.kinds.iter().any(|kind| kind.actions.options() < options);
        let (own, told) = (Buffers::new(spec), spec.actions());
        let spec = Spec { kinds: vec![alike], masked, ..spec.clone() };
        Ok(Uniform { inner, spec, own, told })
    }

    /// Writes actions, agent after agent in every world, where the inner worlds have them: kind after kind.
    fn tell(&mut self, actions: &Actions) {
        let (worlds, agents) = (self.spec.worlds, self.spec.agents());
        let own = &self.spec.kinds[0].actions;
        let (integers, floats) = (own.integers(), own.floats());
        let (mut discrete, mut continuous, mut first) = (0, 0, 0);
        for kind in &self.inner.spec().kinds {
            // Each has as many integers as all: one, or none.
            let taken = kind.actions.floats();
            for world in 0..worlds {
                for agent in first..first + kind.count {
                    let lane = world * agents + agent;
                    let from = &actions.discrete[lane * integers..][..integers];
                    self.told.discrete[discrete..][..integers].copy_from_slice(from);
                    let from = &actions.continuous[lane * floats..][..taken];
                    self.told.continuous[continuous..][..taken].copy_from_slice(from);
                    (discrete, continuous) = (discrete + integers, continuous + taken);
                }
            }
            first += kind.count;
        }
    }

    /// Copies the rows of the worlds in `which` to the caller's.
    fn show(&self, which: impl Fn(usize) -> bool, out: &mut Buffers) {
        let Spec { worlds, state, .. } = self.spec;
        let agents = self.spec.agents();
        let (width, options) = (self.spec.kinds[0].observation[0], self.spec.kinds[0].actions.options());
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
                    let row = &mut out.masks[to * options..][..options];
                    row.fill(0.0);
                    let known = kind.actions.options();
                    row[..known].copy_from_slice(&self.own.masks[masks + from * known..][..known]);
                }
            }
            seen += worlds * kind.count * size;
            masks += worlds * kind.count * kind.actions.options();
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

    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()> {
        let [integers, floats] = self.spec.action_lengths();
        actions.expect("step", integers, floats, self.spec.worlds * self.spec.agents())?;
        out.check(&self.spec)?;
        self.tell(actions);
        self.inner.step(&self.told, &mut self.own)?;
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

    fn inner(&self) -> Option<&dyn VecEnv> {
        Some(self.inner.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::WorldConfig;
    use crate::nn::initial::Stream;

    /// The same actions in the worlds as they are and in those made alike: every number is where it should be.
    fn check(config: &WorldConfig, name: &str) -> Result<()> {
        let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
        let make = || config.build(seed);
        let (mut plain, mut alike) = (make()?, Uniform::of(make()?)?);
        let kinds = plain.spec().kinds.clone();
        let widest = kinds.iter().map(|k| k.observation[0]).max().unwrap();
        let most = kinds.iter().map(|k| k.actions.options()).max().unwrap();
        assert_eq!(alike.spec().kinds[0].observation, [widest + kinds.len()]);
        assert_eq!(alike.spec().masked, kinds.iter().any(|k| k.actions.options() < most));
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
                        assert!(row[..size].iter().all(|x| Some(x) == seen.next()), "{name}, seed {seed}");
                        assert!(row[size..widest].iter().all(|x| *x == 0.0));
                        for (i, x) in row[widest..].iter().enumerate() {
                            assert_eq!(*x, f32::from(u8::from(i == index)));
                        }
                        let mask = &b.masks[lane * most..][..most];
                        for (option, open) in mask.iter().enumerate() {
                            assert_eq!(*open, f32::from(u8::from(option < kind.actions.options())));
                        }
                    }
                }
                first += kind.count;
            }
            assert_eq!((&a.rewards, &a.truncated, &a.ended), (&b.rewards, &b.truncated, &b.ended));
            assert_eq!((&a.state, &a.terminated, &a.active), (&b.state, &b.terminated, &b.active));
            if a.ended.iter().all(|ended| *ended) {
                assert!(step > 0);
                let which = [true, false, true];
                plain.reset(&which, &mut a)?;
                alike.reset(&which, &mut b)?;
                continue;
            }
            // Kind after kind for the one, agent after agent for the other, in which some numbers are for nobody.
            let (mut own, mut all) = (plain.spec().actions(), alike.spec().actions());
            let (integers, floats) = (all.discrete.len() / 3 / agents, all.continuous.len() / 3 / agents);
            all.continuous.iter_mut().for_each(|x| *x = stream.uniform() as f32);
            let (mut discrete, mut continuous, mut first) = (0, 0, 0);
            for kind in &kinds {
                for lane in (0..3).flat_map(|w| (0..kind.count).map(move |a| w * agents + first + a)) {
                    for i in 0..integers {
                        own.discrete[discrete] = stream.below(kind.actions.options()) as u32;
                        all.discrete[lane * integers + i] = own.discrete[discrete];
                        discrete += 1;
                    }
                    for i in 0..kind.actions.floats() {
                        own.continuous[continuous] = all.continuous[lane * floats + i];
                        continuous += 1;
                    }
                }
                first += kind.count;
            }
            plain.step(&own, &mut a)?;
            alike.step(&all, &mut b)?;
        }
        assert_eq!(plain.take_reports(), alike.take_reports());
        let mut again = Uniform::of(make()?)?;
        again.load(&alike.save())?;
        assert_eq!(again.save(), plain.save());
        Ok(())
    }

    #[test]
    fn every_row_is_the_kinds_own_and_padding() -> Result<()> {
        for name in ["simple_tag", "simple_adversary", "simple_speaker_listener"] {
            let config = WorldConfig::named(name)?.with_worlds(3);
            check(&config, name)?;
            let continuous = serde_json::json!({ "actions": "continuous" });
            check(&config.with(continuous.as_object().cloned().unwrap_or_default())?, name)?;
        }
        Ok(())
    }

    #[test]
    fn spaces_without_a_common_form_are_refused() {
        let kind = |actions| AgentKind { actions, ..AgentKind::discrete("kind", 1, 1, 1) };
        let line = |low, high| kind(ActionSpace::uniform(1, low, high));
        let choice = kind(ActionSpace::Discrete(3));
        assert_eq!(
            widest(&[choice.clone(), kind(ActionSpace::Discrete(5))]).unwrap(),
            ActionSpace::Discrete(5)
        );
        let plane = kind(ActionSpace::uniform(2, -1.0, 1.0));
        let both = ActionSpace::Continuous { low: vec![-1.0, -1.0], high: vec![3.0, 1.0] };
        assert_eq!(widest(&[line(0.0, 3.0), plane]).unwrap(), both);
        let error = widest(&[choice, line(0.0, 1.0)]).unwrap_err().to_string();
        assert!(error.contains("3 and [0..1]"), "{error}");
    }

    #[test]
    fn one_kind_is_left_as_it_is() -> Result<()> {
        let make = || WorldConfig::named("simple_spread")?.with_worlds(2).build(1);
        assert_eq!(make()?.spec(), Uniform::of(make()?)?.spec());
        Ok(())
    }
}
