//! A team of roles as one trainer: a step is a round.
//!
//! In a round the coordinator gives the agent-steps away, the environment manager draws tasks, whoever was given some works,
//! and the others judge the work. All of them see the shared memory as it was when the round began; what they propose is
//! settled at its end. Every agent-step counts, those of evaluations and of the model's episodes included.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adapter::policy_of;
use super::blackboard::Blackboard;
use super::broker::{Broker, Log};
use super::config::{Mode, RoleConfig, RoleMaking};
use super::coordinator::CoordinatorConfig;
use super::environment::EnvironmentConfig;
use super::messages::{Done, Round};
use super::meta_learner::{START, optional, taken_optional};
use super::role::View;
use super::supervisor::{Care, SUPERVISOR, Settled, Supervisor};
use super::workshop::{Opening, Workshop};
use crate::error::{Error, Result};
use crate::registry::Member;
use crate::schema;
use crate::tensors::{Checkpoint, TensorData};
use crate::train::{Report, Trainer};

/// Rounds in a row in which nobody works at most.
const IDLE_ROUNDS: u32 = 10;

/// Who works together, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CollaborationConfig {
    /// How work is given out: `emergent` (by what each role's work comes to) or `fixed` (evenly).
    pub mode: Mode,
    /// Agent-steps of a round.
    #[schemars(range(min = 1))]
    pub round: u64,
    /// Versions of every variable of the blackboard that are kept.
    #[schemars(range(min = 1, max = 1024))]
    pub history: usize,
    /// Seconds that a role may take over one message before it is started again.
    #[schemars(range(min = 1e-3, max = 1e6))]
    pub patience: f64,
    /// Rounds in a row in which a role may fail.
    pub most_failures: u32,
    /// A role whose work the others score below this on average goes back to its last good version.
    #[schemars(range(min = -1.0, max = 1.0))]
    pub least_score: f64,
    /// The roles, in the order in which they are heard. A coordinator and an environment manager are put before them where
    /// none are among them.
    pub roles: Vec<RoleConfig>,
}

impl Default for CollaborationConfig {
    /// Emergent, 8,000 agent-steps a round, 4 versions; ten minutes, five rounds, -0.5.
    fn default() -> Self {
        CollaborationConfig {
            mode: Mode::Emergent,
            round: 8_000,
            history: 4,
            patience: 600.0,
            most_failures: 5,
            least_score: -0.5,
            roles: Vec::new(),
        }
    }
}

impl CollaborationConfig {
    /// The default settings with roles of these names.
    ///
    /// # Errors
    /// An unknown name, with the nearest; a role twice; none that works.
    pub fn with_roles(names: &[String]) -> Result<Self> {
        let roles = names.iter().map(|name| RoleConfig::named(name)).collect::<Result<Vec<_>>>()?;
        let config = CollaborationConfig { roles, ..Self::default() };
        config.check()?;
        Ok(config)
    }

    /// Checks every setting, the roles' too.
    ///
    /// # Errors
    /// The first that is out of range; a role twice; none that works.
    pub fn check(&self) -> Result<()> {
        schema::check("", self)?;
        for (at, role) in self.roles.iter().enumerate() {
            role.check()?;
            if self.roles[..at].iter().any(|other| other.name() == role.name()) {
                return Err(Error::config("roles", format!("each once: `{}` is there twice", role.name())));
            }
        }
        match self.roles.iter().any(|role| role.works()) {
            true => Ok(()),
            false => Err(Error::config("roles", "at least one that works: meta, adapt, state or your own")),
        }
    }

    /// All roles, those that every team has first.
    fn all(&self) -> Vec<RoleConfig> {
        let mut all = Vec::new();
        let has = |name: &str| self.roles.iter().any(|role| role.name() == name);
        if !has(CoordinatorConfig::NAME) {
            all.push(RoleConfig::new(CoordinatorConfig::default()));
        }
        if !has(EnvironmentConfig::NAME) {
            all.push(RoleConfig::new(EnvironmentConfig::default()));
        }
        all.extend(self.roles.iter().cloned());
        all
    }
}

/// A team of roles.
pub struct Collaboration {
    workshop: Box<dyn Workshop>,
    broker: Broker,
    board: Arc<Blackboard>,
    supervisor: Supervisor,
    workers: Vec<String>,
    budget: u64,
    round_steps: u64,
    round: u64,
    steps: u64,
    updates: u64,
    /// The latest score of each task that counts in the end.
    scores: Vec<Option<f64>>,
    /// The log ends before this message; it is cut there before the first round.
    next: u64,
    begun: bool,
}

impl Collaboration {
    /// A team at its beginning. Nothing is written to the log before its first round.
    ///
    /// # Errors
    /// As [`CollaborationConfig::check`], or what the roles and the workshop report.
    pub fn new(
        workshop: Opening,
        config: &CollaborationConfig,
        seed: u64,
        budget: u64,
        log: Box<dyn Log>,
    ) -> Result<Self> {
        config.check()?;
        let all = config.all();
        let working = all.iter().filter(|role| role.works());
        let workers: Vec<(String, bool)> =
            working.map(|role| (role.name().to_string(), role.on_target())).collect();
        let care = Care {
            patience: Duration::from_secs_f64(config.patience),
            most_failures: config.most_failures,
            least_score: config.least_score,
        };
        let broker = Broker::new(log);
        let board = Arc::new(Blackboard::new(config.history)?);
        let mut supervisor = Supervisor::new(broker.clone(), board.clone(), care);
        let names = workers.iter().map(|(name, _)| name.clone()).collect();
        let making = RoleMaking { workshop: workshop.clone(), seed, budget, mode: config.mode, workers };
        for role in all {
            let making = making.clone();
            supervisor.appoint(Box::new(move || role.role(&making)))?;
        }
        let workshop = workshop()?;
        Ok(Collaboration {
            scores: vec![None; workshop.tasks().len()],
            workshop,
            broker,
            board,
            supervisor,
            workers: names,
            budget,
            round_steps: config.round,
            round: 0,
            steps: 0,
            updates: 0,
            next: 0,
            begun: false,
        })
    }

    /// The messages between its roles.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// What its roles share.
    pub fn board(&self) -> &Blackboard {
        &self.board
    }

    /// The agent that it has for a task: the best that was adapted to it, else the shared start, else what is drawn.
    ///
    /// # Errors
    /// What the device reports.
    pub fn agent(&self, task: usize) -> Result<Checkpoint> {
        match self.board.get(&policy_of(task)).or_else(|| self.board.get(START)) {
            Some(version) => Ok(version.value.clone()),
            None => self.workshop.initial(),
        }
    }

    /// Notes what a round came to; what is to be reported of it.
    fn account(&mut self, settled: &Settled) -> Vec<(String, f64)> {
        let used: u64 = settled.done.iter().map(|work| work.steps).sum();
        self.steps += used;
        self.updates += settled.done.iter().map(|work| work.updates).sum::<u64>();
        let targets = self.workshop.targets();
        for Done { task, after, .. } in &settled.done {
            if let (Some(place), Some(after)) = (self.scores.get_mut(*task), after) {
                *place = Some(*after);
            }
        }
        let mut values = Vec::new();
        let known: Vec<f64> = targets.iter().filter_map(|task| self.scores[*task]).collect();
        if !known.is_empty() {
            let mean = known.iter().sum::<f64>() / known.len() as f64;
            values.push((self.workshop.score_name().to_string(), mean));
        }
        for worker in &self.workers {
            let own = settled.done.iter().filter(|work| work.role == *worker);
            let own: u64 = own.map(|work| work.steps).sum();
            values.push((format!("share/{worker}"), own as f64 / used.max(1) as f64));
        }
        values.extend(settled.scores.iter().map(|(name, score)| (format!("score/{name}"), *score)));
        values.push(("restarts".into(), self.supervisor.restarts() as f64));
        values
    }
}

impl Trainer for Collaboration {
    fn step(&mut self) -> Result<Report> {
        if !self.begun {
            self.broker.rewind(self.next)?;
            self.begun = true;
        }
        let before = self.steps;
        for _ in 0..IDLE_ROUNDS {
            let (used, budget, round) = (self.steps, self.budget, self.round);
            let view = View { board: self.board.snapshot(), round, used, budget };
            let steps = self.round_steps.min(budget.saturating_sub(used)).max(1);
            self.broker.publish(SUPERVISOR, &Round { number: round, steps })?;
            let settled = self.supervisor.settle(&view)?;
            self.round += 1;
            let values = self.account(&settled);
            self.next = self.broker.next_sequence();
            if self.steps > before {
                return Ok(Report { steps: self.steps, updates: self.updates, values });
            }
        }
        Err(Error::Usage(format!(
            "no role has made a step in {IDLE_ROUNDS} rounds ({} of {} agent-steps are used)",
            self.steps, self.budget
        )))
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = self.save_agent()?;
        let counters = [self.steps, self.updates, self.round, self.next];
        checkpoint.insert("trainer/counters", TensorData::u64(&[4], &counters)?);
        checkpoint.insert("trainer/scores", optional(&self.scores)?);
        self.board.save(&mut checkpoint)?;
        self.supervisor.save(&mut checkpoint)?;
        // What the checkpoint counts on is on the disk before it is.
        self.broker.sync()?;
        Ok(checkpoint)
    }

    /// The agent for the first task that counts.
    fn save_agent(&self) -> Result<Checkpoint> {
        self.agent(self.workshop.targets().first().copied().unwrap_or(0))
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint.check_architecture(&self.save_agent()?.get::<String>("architecture")?)?;
        let own = self.save()?;
        self.take(checkpoint).or_else(|error| {
            self.take(&own)?;
            Err(error)
        })
    }
}

impl Collaboration {
    fn take(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let counters = checkpoint.counters("trainer/counters", 4)?;
        self.scores = taken_optional(checkpoint, "trainer/scores", self.scores.len())?;
        self.board.load(checkpoint)?;
        self.supervisor.load(checkpoint)?;
        (self.steps, self.updates, self.round, self.next) =
            (counters[0], counters[1], counters[2], counters[3]);
        // The log is cut when the run goes on: whoever only looks leaves it as it is.
        self.begun = false;
        Ok(())
    }
}
