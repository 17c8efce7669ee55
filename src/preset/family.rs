//! Tasks for a team of roles: settings, and the same with other items over them. What roles work on ([`Workshop`]) is made
//! here from settings.
//!
//! ```
//! use synod::preset::{Settings, family::Family};
//! let settings = Settings::preset("lqr-ppo")?;
//! let heavier = "world.control=[[0,0],[0,0],[0.1,0],[0,0.1]]".to_string();
//! let family = Family::new(&synod::Device::cpu(), &settings, &[heavier], false)?;
//! assert_eq!((family.tasks().len(), family.targets()), (2, &[0][..]));
//! # Ok::<(), synod::Error>(())
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Settings;
use crate::Device;
use crate::agent::Policy;
use crate::env::lqr::LqrConfig;
use crate::env::mixture::Mixture;
use crate::env::pendulum::PendulumConfig;
use crate::env::{Spec, VecEnv};
use crate::error::{Error, Result};
use crate::roles::workshop::{Opening, Recorder, Sizes, Trajectory, Workshop, agent_of};
use crate::tensors::Checkpoint;
use crate::train::Trainer;
use crate::train::player::Player;

/// The seed of a team's episodes differs by this from that of training, and from those of `synod eval`.
const MARK: u64 = 0x726f_6c65_7300;

/// Items between commas; commas in lists and tables are theirs.
pub fn items(text: &str) -> Vec<String> {
    let (mut items, mut depth) = (vec![String::new()], 0i32);
    for c in text.chars() {
        depth += i32::from(matches!(c, '[' | '{')) - i32::from(matches!(c, ']' | '}'));
        match items.last_mut() {
            Some(item) if c != ',' || depth > 0 => item.push(c),
            _ => items.push(String::new()),
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

/// Tasks that are alike in what a network sees of them.
#[derive(Clone)]
pub struct Family {
    device: Device,
    names: Vec<String>,
    settings: Vec<Settings>,
    targets: Vec<usize>,
    sizes: Sizes,
    score: String,
}

impl Family {
    /// The settings' own world as the first task, then the same with the items of each of `variants` (`world.gravity=8`,
    /// several with commas between them) over them. With `all` every task counts in the end, else the first.
    ///
    /// # Errors
    /// Settings out of range, worlds that a network can tell apart by their sizes, several kinds of agent with no common
    /// form, or worlds that report no score.
    pub fn new(device: &Device, settings: &Settings, variants: &[String], all: bool) -> Result<Self> {
        let mut names = vec![settings.preset.clone()];
        let mut tasks = vec![settings.clone()];
        for variant in variants {
            names.push(variant.clone());
            tasks.push(settings.with(&items(variant))?);
        }
        let mut sizes: Option<Sizes> = None;
        for (name, task) in names.iter().zip(&tasks) {
            task.check()?;
            let own = Sizes::of(task.judging_worlds(1, task.seed)?.spec())?;
            let first = sizes.get_or_insert_with(|| own.clone());
            let alike = own.agents == first.agents
                && own.observation == first.observation
                && own.actions == first.actions;
            if !alike || task.agent != settings.agent {
                return Err(Error::Usage(format!(
                    "the task `{name}` is for another network: {} agents see {} numbers and do {}, not {} that see {} and do {}",
                    own.agents, own.observation, own.actions, first.agents, first.observation, first.actions
                )));
            }
            first.limit = first.limit.max(own.limit);
        }
        let Some(sizes) = sizes else { return Err(Error::Usage("a family needs a task".into())) };
        let policy = settings.policy(device)?;
        if policy.seeds() != 1 {
            return Err(Error::Usage(
                "agents that are learned in several runs side by side have no roles".into(),
            ));
        }
        let mut world = settings.judging_worlds(1, settings.seed)?;
        let mut player = Player::new(device, policy.as_ref(), world.as_ref(), settings.choice(false), false)?;
        let reports = player.play(world.as_mut(), settings.seed, |_, _, _| Ok(()))?;
        let score = reports.first().and_then(|report| report.values.first());
        let score = score.map(|(name, _)| name.to_string());
        let score = score.ok_or_else(|| {
            Error::Usage("a team of roles needs worlds that say what an episode was worth".into())
        })?;
        let targets = if all { (0..tasks.len()).collect() } else { vec![0] };
        Ok(Family { device: device.clone(), names, settings: tasks, targets, sizes, score })
    }

    /// What the tasks are called.
    pub fn tasks(&self) -> &[String] {
        &self.names
    }

    /// The tasks that count in the end.
    pub fn targets(&self) -> &[usize] {
        &self.targets
    }

    /// What an episode's score is called.
    pub fn score_name(&self) -> &str {
        &self.score
    }

    /// A trainer that learns the tasks that count all at once, each in as many worlds, for so many agent-steps.
    ///
    /// # Errors
    /// As [`Settings::trainer`].
    pub fn generalist(&self, steps: u64) -> Result<Box<dyn Trainer>> {
        let base = Settings { steps, ..self.settings[0].clone() };
        if self.targets.len() == 1 {
            return Settings { steps, ..self.settings[self.targets[0]].clone() }.trainer(&self.device);
        }
        let worlds = base.world.worlds();
        let count = self.targets.len();
        let mut groups: Vec<Box<dyn VecEnv>> = Vec::new();
        for (at, task) in self.targets.iter().enumerate() {
            // The rest of the division goes to the first tasks; every task has a world.
            let own = (worlds / count + usize::from(at < worlds % count)).max(1);
            let seed = base.seed.wrapping_add((at as u64) << 40);
            let task = &self.settings[*task];
            groups.push(task.worlds(&task.world.with_worlds(own), seed)?);
        }
        base.trainer_in(&self.device, Mixture::of(groups)?)
    }

    /// Opens workshops for roles.
    pub fn opening(&self) -> Opening {
        let family = self.clone();
        Arc::new(move || Ok(Box::new(family.workshop())))
    }

    /// A workshop over these tasks.
    pub fn workshop(&self) -> impl Workshop + use<> {
        Bench { family: self.clone(), stages: BTreeMap::new() }
    }

    /// So many episodes of a task by several agents that decide together.
    ///
    /// # Errors
    /// As [`Workshop::play`].
    pub fn play_together(
        &self,
        task: usize,
        agents: &[Checkpoint],
        episodes: usize,
        seed: u64,
    ) -> Result<Vec<Trajectory>> {
        let policies = agents.iter().map(|agent| self.policy(agent)).collect::<Result<Vec<_>>>()?;
        let policies: Vec<&dyn Policy> = policies.iter().map(|policy| policy.as_ref()).collect();
        let mut worlds = self.worlds(task, episodes, seed)?;
        let choice = self.settings[0].choice(false);
        let mut player = Player::committee(&self.device, &policies, worlds.as_ref(), choice)?;
        self.record(&mut player, worlds.as_mut(), episodes, seed)
    }

    fn policy(&self, agent: &Checkpoint) -> Result<Box<dyn Policy>> {
        let policy = self.settings[0].policy(&self.device)?;
        agent.check_architecture(&policy.architecture())?;
        policy.parameters().load("agent", agent)?;
        Ok(policy)
    }

    fn worlds(&self, task: usize, episodes: usize, seed: u64) -> Result<Box<dyn VecEnv>> {
        if episodes == 0 {
            return Err(Error::Usage("at least one episode".into()));
        }
        let Some(settings) = self.settings.get(task) else {
            return Err(Error::Usage(format!("there is no task {task} among {}", self.settings.len())));
        };
        settings.judging_worlds(episodes, seed ^ MARK)
    }

    fn record(
        &self,
        player: &mut Player,
        worlds: &mut dyn VecEnv,
        episodes: usize,
        seed: u64,
    ) -> Result<Vec<Trajectory>> {
        let mut recorder = Recorder::new(self.sizes.clone(), episodes);
        let reports = player.follow(worlds, seed ^ MARK, |shown, actions| recorder.watch(shown, actions))?;
        recorder.finish(&reports)
    }
}

/// What one role works with.
struct Bench {
    family: Family,
    /// Agents that play so many episodes at once.
    stages: BTreeMap<usize, (Box<dyn Policy>, Player)>,
}

impl Workshop for Bench {
    fn tasks(&self) -> &[String] {
        &self.family.names
    }

    fn targets(&self) -> &[usize] {
        &self.family.targets
    }

    fn score_name(&self) -> &str {
        &self.family.score
    }

    fn sizes(&self) -> &Sizes {
        &self.family.sizes
    }

    fn device(&self) -> &Device {
        &self.family.device
    }

    fn spec(&self, worlds: usize) -> Result<Spec> {
        let settings = &self.family.settings[0];
        Ok(settings.judging_worlds(worlds, settings.seed)?.spec().clone())
    }

    fn policy(&self, agent: &Checkpoint) -> Result<Box<dyn Policy>> {
        self.family.policy(agent)
    }

    fn initial(&self) -> Result<Checkpoint> {
        let policy = self.family.settings[0].policy(&self.family.device)?;
        let mut agent = Checkpoint::new();
        agent.set("architecture", policy.architecture());
        policy.parameters().save("agent", &mut agent)?;
        Ok(agent_of(&agent))
    }

    fn trainer(&self, task: usize, steps: u64) -> Result<Box<dyn Trainer>> {
        let family = &self.family;
        let settings = family.settings.get(task);
        let settings = settings
            .ok_or_else(|| Error::Usage(format!("there is no task {task} among {}", family.names.len())))?;
        let seed = settings.seed.wrapping_add((task as u64) << 40);
        Settings { steps: steps.max(1), seed, ..settings.clone() }.trainer(&family.device)
    }

    fn play(
        &mut self,
        task: usize,
        agent: &Checkpoint,
        episodes: usize,
        seed: u64,
    ) -> Result<Vec<Trajectory>> {
        let mut worlds = self.family.worlds(task, episodes, seed)?;
        if !self.stages.contains_key(&episodes) {
            let policy = self.family.policy(agent)?;
            let choice = self.family.settings[0].choice(false);
            let player = Player::new(&self.family.device, policy.as_ref(), worlds.as_ref(), choice, false)?;
            self.stages.insert(episodes, (policy, player));
        }
        let Some((policy, player)) = self.stages.get_mut(&episodes) else {
            return Err(Error::Usage("nobody plays".into()));
        };
        agent.check_architecture(&policy.architecture())?;
        policy.parameters().load("agent", agent)?;
        self.family.record(player, worlds.as_mut(), episodes, seed)
    }
}

/// Tasks that lie around a preset's own, where nobody names others: pendulums that weigh more and less, regulators whose
/// actuators are weaker, stronger or push the other way.
pub fn variants(settings: &Settings) -> Vec<String> {
    around(settings, [0.6, 0.8, 1.2, 1.4], [0.5, 2.0, -1.0, -2.0])
}

/// Others of the kind, none of them the same: to learn on what is then used for [`variants`].
pub fn other_variants(settings: &Settings) -> Vec<String> {
    around(settings, [0.7, 0.9, 1.1, 1.3], [0.7, 1.5, -0.7, -1.5])
}

fn around(settings: &Settings, weights: [f64; 4], strengths: [f64; 4]) -> Vec<String> {
    if let Some(pendulum) = settings.world.get::<PendulumConfig>() {
        return weights.map(|part| format!("world.gravity={}", part * pendulum.gravity)).to_vec();
    }
    if let Some(regulator) = settings.world.get::<LqrConfig>() {
        let scaled = |factor: f64| {
            let row = |row: &Vec<f64>| row.iter().map(|x| factor * x).collect::<Vec<f64>>();
            let rows: Vec<Vec<f64>> = regulator.control.iter().map(row).collect();
            format!("world.control={rows:?}")
        };
        return strengths.map(scaled).to_vec();
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_lists_are_theirs() {
        assert_eq!(items("a=[1,2],b={ c = 3, d = [4] },e=5"), ["a=[1,2]", "b={ c = 3, d = [4] }", "e=5"]);
        assert!(items("").is_empty());
    }

    #[test]
    fn tasks_for_other_networks_are_refused() -> Result<()> {
        let settings = Settings::preset("spread-ippo")?;
        let more = ["world.agents=4".to_string()];
        let error = Family::new(&Device::cpu(), &settings, &more, false).err().expect("refused").to_string();
        assert!(error.contains("`world.agents=4`") && error.contains("4 agents"), "{error}");
        Ok(())
    }

    #[test]
    fn the_same_episodes_are_played_again_and_a_committee_of_one_plays_like_its_member() -> Result<()> {
        for preset in ["lqr-ppo", "spread-ippo"] {
            let family = Family::new(&Device::cpu(), &Settings::preset(preset)?, &[], false)?;
            let mut workshop = family.workshop();
            let agent = workshop.initial()?;
            let first = workshop.play(0, &agent, 3, 5)?;
            assert_eq!(first, workshop.play(0, &agent, 3, 5)?);
            assert_ne!(first, workshop.play(0, &agent, 3, 6)?);
            assert_eq!(first, family.play_together(0, std::slice::from_ref(&agent), 3, 5)?);
            let sizes = workshop.sizes();
            for episode in &first {
                assert_eq!(episode.observations.len(), (episode.steps() + 1) * sizes.seen());
                assert_eq!(episode.actions.len(), episode.steps() * sizes.done());
                assert_eq!(episode.agent_steps, (episode.steps() * sizes.agents) as u64);
            }
            // What a world says an episode was worth is what its agents were paid.
            let paid: f64 = first[0].rewards.iter().map(|reward| f64::from(*reward)).sum();
            let error = (paid * if preset == "spread-ippo" { 3.0 } else { 1.0 } - first[0].score).abs();
            assert!(
                error < 1e-3 * first[0].score.abs() || (paid - first[0].score).abs() < 1e-3 * paid.abs(),
                "{preset}"
            );
        }
        Ok(())
    }
}
