//! Worlds in which words are actions: every agent chooses a word beside what it does, and hears at the next step what the
//! others said. That is how agents talk without a gradient through the channel (RIAL: Foerster et al. 2016, arXiv
//! 1605.06676, section 5.1), under every learner, around any world.
//!
//! ```
//! use synod_worlds::env::spoken::SpokenConfig;
//! use synod_worlds::env::{VecEnv, WorldConfig};
//! let quiet = WorldConfig::named("switch")?;
//! let world = WorldConfig::new(SpokenConfig { world: quiet, words: 2, ..SpokenConfig::default() }).build(1)?;
//! let kind = &world.spec().kinds[0];
//! assert_eq!((kind.actions.options(), kind.observation[0]), (2 * 2, 1 + 2)); // to tell or not, and a word
//! # Ok::<(), synod_worlds::Error>(())
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::goals::Goal;
use super::uniform::Uniform;
use super::{
    AgentKind, Buffers, EpisodeReport, Spec, VecEnv, WorldConfig, WorldSettings, switch::SwitchConfig,
};
use crate::action::{ActionSpace, Actions};
use crate::error::{Error, Result};
use crate::registry::Member;
use crate::schema::moved;

/// The settings of [`Spoken`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpokenConfig {
    /// The world in which agents talk.
    pub world: WorldConfig,
    /// Words of the vocabulary.
    #[schemars(range(min = 1, max = 4096))]
    pub words: usize,
    /// The column of the (flat) observation that must be above 0 for an agent to be heard; without it all are.
    pub speaks_where: Option<usize>,
    /// The column of the (flat) observation that must be above 0 for an agent to hear; without it all hear.
    pub hears_where: Option<usize>,
}

impl Default for SpokenConfig {
    /// Two words in the switch riddle, to all.
    fn default() -> Self {
        let world = WorldConfig::new(SwitchConfig::default());
        SpokenConfig { world, words: 2, speaks_where: None, hears_where: None }
    }
}

impl Member for SpokenConfig {
    const NAME: &'static str = "spoken";
    const SUMMARY: &'static str = "any other world, in which agents also choose words (RIAL)";
}

impl WorldSettings for SpokenConfig {
    fn worlds(&self) -> usize {
        self.world.worlds()
    }

    fn with_worlds(&self, worlds: usize) -> WorldConfig {
        WorldConfig::new(SpokenConfig { world: self.world.with_worlds(worlds), ..self.clone() })
    }

    fn build(&self, seed: u64) -> Result<Box<dyn VecEnv>> {
        self.check()?;
        Ok(Box::new(Spoken::new(
            Uniform::of(moved(self.world.build(seed), "world.", "world.world.")?)?,
            self,
        )?))
    }

    fn check(&self) -> Result<()> {
        crate::schema::check("world", self)?;
        if self.world.get::<SpokenConfig>().is_some() {
            return Err(Error::config("world.world.kind", "a world in which nobody talks yet"));
        }
        moved(self.world.check(), "world.", "world.world.")
    }

    fn after_curriculum(&self) -> Option<WorldConfig> {
        let world = self.world.after_curriculum()?;
        Some(WorldConfig::new(SpokenConfig { world, ..self.clone() }))
    }

    fn goals(&self) -> Vec<Goal> {
        self.world.goals()
    }
}

/// Worlds whose agents talk by acting.
///
/// Where an agent has one discrete choice of `n`, its action is one choice of `words x n`, number `word x n + option`; else
/// the word is one more choice, the last. What an agent sees (flat) ends with `words` numbers: how many of the others
/// that were heard said each word at the step before, zeros at the first.
pub struct Spoken {
    inner: Box<dyn VecEnv>,
    spec: Spec,
    own: Buffers,
    words: usize,
    /// Options of the one discrete choice; `None` where the word is a choice of its own.
    options: Option<usize>,
    speaks_where: Option<usize>,
    hears_where: Option<usize>,
    /// `[worlds, agents]`: one more than the word of the step before, 0 for none.
    said: Vec<u32>,
}

impl Spoken {
    /// The same worlds, with words.
    ///
    /// # Errors
    /// There are several kinds of agent, too many options, or a column that is not there.
    pub fn new(inner: Box<dyn VecEnv>, config: &SpokenConfig) -> Result<Self> {
        let spec = inner.spec();
        let kind = spec.only_kind("a world of words")?;
        let width: usize = kind.observation.iter().product();
        for (key, column) in [("speaks_where", config.speaks_where), ("hears_where", config.hears_where)] {
            if let Some(column) = column.filter(|column| *column >= width) {
                let message = format!("a column below {width}, got {column}");
                return Err(Error::config(format!("world.{key}"), message));
            }
        }
        let words = config.words;
        let options = kind.actions.one_choice("words").ok();
        let actions = match options {
            Some(options) => ActionSpace::Discrete(options.saturating_mul(words)),
            None => ActionSpace::Product(vec![kind.actions.clone(), ActionSpace::Discrete(words)]),
        };
        actions.check()?;
        // All are alike now: kinds that were told apart by their marks stay so by them.
        let kind = AgentKind::new(&kind.name, kind.count, &[width + words], actions);
        let said = vec![0; spec.worlds * kind.count];
        let own = Buffers::new(spec);
        let masked = spec.masked || config.speaks_where.is_some();
        let spec = Spec { kinds: vec![kind], masked, ..spec.clone() };
        let (speaks_where, hears_where) = (config.speaks_where, config.hears_where);
        Ok(Spoken { inner, spec, own, words, options, speaks_where, hears_where, said })
    }

    /// Sizes: agents, numbers that the inner world shows, options that it has.
    fn sizes(&self) -> [usize; 3] {
        let kind = &self.inner.spec().kinds[0];
        [kind.count, kind.observation.iter().product(), kind.actions.options()]
    }

    /// Whether a column of what a lane sees is above 0.
    fn marked(&self, column: Option<usize>, lane: usize, width: usize) -> bool {
        column.is_none_or(|column| self.own.observations[lane * width + column] > 0.0)
    }

    /// Writes the observations and masks of the worlds that `which` names, in the caller's rows.
    fn show(&self, which: impl Fn(usize) -> bool, out: &mut Buffers) {
        let [agents, width, options] = self.sizes();
        let (wide, all) = (width + self.words, self.spec.kinds[0].actions.options());
        let mut counts = vec![0.0f32; self.words];
        for world in (0..self.spec.worlds).filter(|world| which(*world)) {
            counts.fill(0.0);
            let said = &self.said[world * agents..][..agents];
            said.iter().filter(|word| **word > 0).for_each(|word| counts[*word as usize - 1] += 1.0);
            for agent in 0..agents {
                let lane = world * agents + agent;
                let row = &mut out.observations[lane * wide..][..wide];
                row[..width].copy_from_slice(&self.own.observations[lane * width..][..width]);
                row[width..].fill(0.0);
                if self.marked(self.hears_where, lane, width) {
                    row[width..].copy_from_slice(&counts);
                    if let Some(own) = said[agent].checked_sub(1) {
                        row[width + own as usize] -= 1.0;
                    }
                }
                let masks = &mut out.masks[lane * all..][..all];
                let inner = &self.own.masks[lane * options..][..options];
                let speaks = self.marked(self.speaks_where, lane, width);
                let open = |word: usize| f32::from(u8::from(word == 0 || speaks));
                match self.options {
                    Some(options) => {
                        for (word, masks) in masks.chunks_exact_mut(options).enumerate() {
                            masks.iter_mut().zip(inner).for_each(|(to, from)| *to = from * open(word));
                        }
                    }
                    None => {
                        masks[..options].copy_from_slice(inner);
                        masks[options..].iter_mut().enumerate().for_each(|(word, to)| *to = open(word));
                    }
                }
            }
        }
    }

    /// Lets the inner worlds write into the caller's buffers, observations and masks apart.
    fn within<T>(
        &mut self,
        out: &mut Buffers,
        body: impl FnOnce(&mut dyn VecEnv, &mut Buffers) -> Result<T>,
    ) -> Result<T> {
        out.check(&self.spec)?;
        let swap = |a: &mut Buffers, b: &mut Buffers| {
            std::mem::swap(&mut a.observations, &mut b.observations);
            std::mem::swap(&mut a.masks, &mut b.masks);
        };
        swap(&mut self.own, out);
        let result = body(self.inner.as_mut(), out);
        swap(&mut self.own, out);
        result
    }

    /// What is done apart from what is said: the inner worlds' actions, and the words.
    fn apart(&self, actions: &Actions) -> Result<(Actions, Vec<u32>)> {
        let lanes = self.said.len();
        let [integers, floats] = self.spec.action_lengths();
        actions.expect("step", integers, floats, lanes)?;
        if let Some(options) = self.options.map(|options| options as u32) {
            let discrete: Vec<u32> = actions.discrete.iter().map(|action| action % options).collect();
            let words = actions.discrete.iter().map(|action| action / options).collect();
            return Ok((discrete.into(), words));
        }
        let each = integers / lanes.max(1);
        let rows = || actions.discrete.chunks_exact(each);
        let discrete = rows().flat_map(|row| &row[..each - 1]).copied().collect();
        let words = rows().map(|row| row[each - 1]).collect();
        Ok((Actions { discrete, continuous: actions.continuous.clone() }, words))
    }
}

impl VecEnv for Spoken {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, which: &[bool], out: &mut Buffers) -> Result<()> {
        self.within(out, |inner, out| inner.reset(which, out))?;
        let agents = self.spec.agents();
        for world in (0..which.len()).filter(|world| which[*world]) {
            self.said[world * agents..][..agents].fill(0);
        }
        self.show(|world| which[world], out);
        Ok(())
    }

    fn step(&mut self, actions: &Actions, out: &mut Buffers) -> Result<()> {
        let (doing, words) = self.apart(actions)?;
        let [agents, width, _] = self.sizes();
        for (lane, word) in words.iter().enumerate() {
            let takes_part = out.active.get(lane).copied().unwrap_or(false)
                && !out.ended.get(lane / agents.max(1)).copied().unwrap_or(true);
            if takes_part && *word as usize >= self.words {
                return Err(Error::Usage(format!(
                    "step: word {word} of agent {} in world {}; words go from 0 to {}",
                    lane % agents,
                    lane / agents,
                    self.words - 1
                )));
            }
        }
        let spoken: Vec<bool> = (0..words.len())
            .map(|lane| self.marked(self.speaks_where, lane, width) && out.active.get(lane) == Some(&true))
            .collect();
        self.within(out, |inner, out| inner.step(&doing, out))?;
        for ((said, word), spoken) in self.said.iter_mut().zip(words).zip(spoken) {
            *said = if spoken && (word as usize) < self.words { word + 1 } else { 0 };
        }
        self.show(|_| true, out);
        Ok(())
    }

    fn take_reports(&mut self) -> Vec<EpisodeReport> {
        self.inner.take_reports()
    }

    /// The inner worlds' bytes, then the words and the last observations (by whose columns the next are heard).
    fn save(&self) -> Vec<u8> {
        let mut bytes = self.inner.save();
        self.said.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        self.own.observations.iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes()));
        bytes
    }

    fn load(&mut self, bytes: &[u8]) -> Result<()> {
        let broken = || Error::Usage("the state of worlds of words is damaged".into());
        let lanes = self.said.len();
        let words = lanes + self.own.observations.len();
        let split = bytes.len().checked_sub(4 * words).and_then(|at| bytes.split_at_checked(at));
        let Some((inner, last)) = split else { return Err(broken()) };
        let last: Vec<u32> = last.as_chunks::<4>().0.iter().map(|c| u32::from_le_bytes(*c)).collect();
        let (said, seen) = last.split_at(lanes);
        let seen: Vec<f32> = seen.iter().map(|bits| f32::from_bits(*bits)).collect();
        if said.iter().any(|word| *word as usize > self.words) || seen.iter().any(|x| !x.is_finite()) {
            return Err(broken());
        }
        self.inner.load(inner)?;
        self.said = said.to_vec();
        self.own.observations = seen;
        Ok(())
    }

    fn action_names(&self, agent: usize) -> Vec<String> {
        let inner = self.inner.action_names(agent);
        let words = (0..self.words).map(|word| format!("says {word}"));
        match self.options {
            Some(options) => {
                let name = |i: usize| inner.get(i).cloned().unwrap_or_else(|| i.to_string());
                words
                    .flat_map(|word| (0..options).map(move |i| (i, word.clone())))
                    .map(|(i, word)| format!("{}, {word}", name(i)))
                    .collect()
            }
            None if inner.is_empty() => inner,
            None => {
                // Names of options come before those of continuous numbers.
                let at = self.sizes()[2].min(inner.len());
                inner[..at].iter().cloned().chain(words).chain(inner[at..].iter().cloned()).collect()
            }
        }
    }

    fn inner(&self) -> Option<&dyn VecEnv> {
        Some(self.inner.as_ref())
    }
}
