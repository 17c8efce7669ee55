//! A role of one's own in a team, with the whole command line around it: a climber, which tries agents beside the one that the
//! team has for a task and proposes those that do better. Where the adapter proposes another at the same time, the coordinator
//! takes the better one.
//!
//! ```sh
//! cargo run --release --example own_role -- collaborate lqr-ppo --roles meta,adapt,climb --steps 200000 --out runs/climbed
//! ```

use std::process::ExitCode;

use synod::registry::{Family, Kind, Member};
use synod::roles::adapter::policy_of;
use synod::roles::broker::{Envelope, Message};
use synod::roles::messages::{Done, Drawn};
use synod::roles::meta_learner::START;
use synod::roles::workshop::{Workshop, agent_steps, mean_score};
use synod::roles::{Outbox, Role, RoleMaking, RoleSettings, Roles, View};
use synod::schemars::JsonSchema;
use synod::serde::{Deserialize, Serialize};
use synod::tensors::{Checkpoint, ElementType, TensorData};
use synod::{Result, schema};

/// The settings: `--team climb.deviation=0.02`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "synod::serde", default, deny_unknown_fields)]
#[schemars(crate = "synod::schemars")]
struct ClimbConfig {
    /// How far from the present agent others are tried: the deviation of every parameter.
    #[schemars(range(min = 0.0, max = 1.0))]
    deviation: f32,
    /// Episodes that each is tried for.
    #[schemars(range(min = 1, max = 1024))]
    episodes: usize,
}

impl Default for ClimbConfig {
    fn default() -> Self {
        ClimbConfig { deviation: 0.01, episodes: 8 }
    }
}

impl Member for ClimbConfig {
    const NAME: &'static str = "climb";
    const SUMMARY: &'static str = "tries agents beside the present one, and proposes those that do better";
}

impl RoleSettings for ClimbConfig {
    /// It is given tasks that count in the end.
    fn on_target(&self) -> bool {
        true
    }

    fn check(&self) -> Result<()> {
        schema::check("climb", self)
    }

    fn role(&self, making: &RoleMaking) -> Result<Box<dyn Role>> {
        let workshop = (making.workshop)()?;
        Ok(Box::new(Climber { config: self.clone(), workshop, seed: making.seed, tries: 0 }))
    }
}

struct Climber {
    config: ClimbConfig,
    workshop: Box<dyn Workshop>,
    seed: u64,
    /// How many agents it has tried: with the seed, all that its chance depends on.
    tries: u64,
}

impl Climber {
    /// An agent beside this one.
    fn beside(&mut self, agent: &Checkpoint) -> Result<Checkpoint> {
        self.tries += 1;
        let mut random = synod::env::Pcg64::new(self.seed ^ (self.tries << 20));
        let mut other = agent.clone();
        for tensor in other.tensors.values_mut().filter(|t| t.element_type() == ElementType::F32) {
            let mut moved = tensor.to_f32()?;
            for number in &mut moved {
                // Twelve even numbers make a normal one.
                let normal = (0..12).map(|_| random.double() as f32).sum::<f32>() - 6.0;
                *number += self.config.deviation * normal;
            }
            *tensor = TensorData::f32(tensor.shape(), &moved)?;
        }
        Ok(other)
    }

    fn work(&mut self, work: &Drawn, view: &View) -> Result<Outbox> {
        let present = view.board.get(&policy_of(work.task)).or_else(|| view.board.get(START));
        let mut best = match present {
            Some(version) => version.value.clone(),
            None => self.workshop.initial()?,
        };
        // All are tried in the same episodes, and each slice of work has others.
        let (episodes, seed) = (self.config.episodes, self.seed ^ view.round);
        let played = self.workshop.play(work.task, &best, episodes, seed)?;
        let (before, mut used) = (mean_score(&played), agent_steps(&played));
        let mut after = before;
        while used < work.steps {
            let other = self.beside(&best)?;
            let played = self.workshop.play(work.task, &other, episodes, seed)?;
            used += agent_steps(&played);
            if mean_score(&played) > after {
                (best, after) = (other, mean_score(&played));
            }
        }
        let mut outbox = Outbox::new();
        if after > before {
            outbox.propose(policy_of(work.task), best, after);
        }
        outbox.publish(&Done {
            role: ClimbConfig::NAME.into(),
            task: work.task,
            steps: used,
            updates: 0,
            before: Some(before),
            after: Some(after),
            gain: after - before,
        })?;
        Ok(outbox)
    }
}

impl Role for Climber {
    fn name(&self) -> &str {
        ClimbConfig::NAME
    }

    fn topics(&self) -> Vec<&'static str> {
        vec![Drawn::TOPIC]
    }

    fn handle(&mut self, message: &Envelope, view: &View) -> Result<Outbox> {
        match message.read::<Drawn>()? {
            Some(work) if work.role == self.name() => self.work(&work, view),
            _ => Ok(Outbox::new()),
        }
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.insert("tries", TensorData::u64(&[1], &[self.tries])?);
        Ok(checkpoint)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.tries = checkpoint.counter("tries")?;
        Ok(())
    }
}

fn main() -> ExitCode {
    synod::command::main_with(|| Roles::registry().register(Kind::<Roles>::of::<ClimbConfig>()))
}
