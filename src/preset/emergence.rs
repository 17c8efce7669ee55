//! Whether a team of roles is more than its parts: the team against one agent with as many agent-steps, and against an
//! ensemble with as many agent-steps and as many parameters, on the same tasks and seeds.
//!
//! - `single`: one agent that learns all tasks that count at once.
//! - `ensemble`: as many such agents as make up the team's parameters, each with an equal part of the agent-steps, that
//!   decide together.
//! - `fixed`, `emergent`: the team, with the work shared out evenly, or by what it comes to.
//! - `learned`: the same as `emergent`, with the settings of sharing out that did best on other tasks
//!   ([`learn_allocation`]).
//!
//! Of every agent-step account is kept, those in which a team plays to judge itself included; the episodes by which all are
//! judged at the end are nobody's. What came of a run is a file of its own: a contest that was stopped goes on.

use std::io::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::Settings;
use super::collaborate::Plan;
use super::family::Family;
use crate::Device;
use crate::env::Pcg64;
use crate::error::{Error, Result};
use crate::picture::plot::{Axes, Series, lines_svg};
use crate::registry::Member;
use crate::roles::adapter::AdapterConfig;
use crate::roles::broker::MemoryLog;
use crate::roles::coordinator::CoordinatorConfig;
use crate::roles::dynamics::Dynamics;
use crate::roles::meta_learner::MetaConfig;
use crate::roles::state_modeller::StateConfig;
use crate::roles::strategies::{Discovery, Search, descriptor, discover};
use crate::roles::workshop::{Trajectory, Workshop, agent_of, mean_score};
use crate::roles::{Mode, RoleConfig};
use crate::run::directory::Directory;
use crate::run::metrics::described;
use crate::run::statistics::{bootstrap_interval, interquartile_mean};
use crate::run::table::{Cell, Table};
use crate::tensors::Checkpoint;
use crate::train::Trainer;

/// Episodes of a task that are described, at most.
const DESCRIBED: usize = 8;
/// Candidates of a generation that the next is drawn around: one in so many.
const ELITE: usize = 3;
/// Generations of a search for an allocation.
const GENERATIONS: usize = 3;

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contestant {
    /// One agent.
    Single,
    /// Several agents that decide together.
    Ensemble,
    /// The team, work shared out evenly.
    Fixed,
    /// The team, work shared out by what it comes to.
    Emergent,
    /// The same, with settings that were learned on other tasks.
    Learned,
}

impl Contestant {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Contestant::Single => "single",
            Contestant::Ensemble => "ensemble",
            Contestant::Fixed => "fixed",
            Contestant::Emergent => "emergent",
            Contestant::Learned => "learned",
        }
    }
}

/// A contest.
#[derive(Debug, Clone)]
pub struct Contest {
    /// The settings, whose seed is replaced.
    pub settings: Settings,
    /// The tasks and the team.
    pub plan: Plan,
    /// Settings of the coordinator that were learned elsewhere.
    pub learned: Option<CoordinatorConfig>,
    /// The seeds of each contestant.
    pub seeds: RangeInclusive<u64>,
    /// Episodes of each task that all are judged by.
    pub episodes: usize,
    /// Where results go.
    pub folder: PathBuf,
}

/// What one run of one contestant came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Who.
    pub contestant: Contestant,
    /// With which seed.
    pub seed: u64,
    /// Agent-steps made.
    pub steps: u64,
    /// Trainable numbers, of all agents and models together.
    pub parameters: usize,
    /// The mean score of each task that counts.
    pub scores: Vec<f64>,
    /// Descriptors of episodes, task after task.
    pub behaviours: Vec<Vec<f64>>,
}

impl Outcome {
    /// The mean over the tasks.
    pub fn score(&self) -> f64 {
        self.scores.iter().sum::<f64>() / self.scores.len().max(1) as f64
    }
}

/// The trainable numbers of a team: its start, an agent for each task that counts, the model of the world.
///
/// # Errors
/// What the device reports.
pub fn team_parameters(device: &Device, settings: &Settings, plan: &Plan, family: &Family) -> Result<usize> {
    let each = settings.policy(device)?.parameters().count();
    let mut count = 0;
    for role in &plan.team.roles {
        if role.get::<MetaConfig>().is_some() {
            count += each;
        }
        if role.get::<AdapterConfig>().is_some() {
            count += each * family.targets().len();
        }
        if let Some(state) = role.get::<StateConfig>() {
            let sizes = family.workshop().sizes().clone();
            count += Dynamics::new(device, sizes, family.tasks().len(), state.sizes(), 0)?.parameters();
        }
    }
    Ok(count.max(each))
}

/// Trains for so many agent-steps; `None` where it was stopped.
fn train(
    trainer: &mut dyn Trainer,
    steps: u64,
    stop: &AtomicBool,
    tell: &dyn Fn(u64),
) -> Result<Option<u64>> {
    let mut made = 0;
    while made < steps {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        made = trainer.step()?.steps;
        tell(made.min(steps));
    }
    Ok(Some(made))
}

/// The team's plan with that way of sharing out.
fn plan_of(plan: &Plan, mode: Mode, coordinator: Option<&CoordinatorConfig>) -> Plan {
    let mut plan = plan.clone();
    plan.team.mode = mode;
    if let Some(coordinator) = coordinator {
        plan.team.roles.retain(|role| role.name() != CoordinatorConfig::NAME);
        plan.team.roles.insert(0, RoleConfig::new(coordinator.clone()));
    }
    plan
}

impl Contest {
    /// Who takes part.
    pub fn contestants(&self) -> Vec<Contestant> {
        let mut all = vec![Contestant::Single, Contestant::Ensemble, Contestant::Fixed, Contestant::Emergent];
        all.extend(self.learned.as_ref().map(|_| Contestant::Learned));
        all
    }

    /// Runs what has not been run yet; `progress` is told of agent-steps done and to do. `None` where `stop` was set: what
    /// was done is kept.
    ///
    /// # Errors
    /// No seeds, a folder that holds another contest, or what a run reports.
    pub fn run(
        &self,
        device: &Device,
        stop: &AtomicBool,
        progress: &dyn Fn(u64, u64),
    ) -> Result<Option<Vec<Outcome>>> {
        if self.seeds.is_empty() || self.episodes == 0 {
            return Err(Error::Usage("a contest needs seeds and episodes".into()));
        }
        let directory = Directory::make(&self.folder)?;
        self.claim(&directory)?;
        let all = self.contestants();
        let count = self.seeds.clone().count() as u64;
        let total = all.len() as u64 * count * self.settings.steps;
        let mut outcomes = Vec::new();
        for contestant in all {
            for seed in self.seeds.clone() {
                let before = outcomes.len() as u64 * self.settings.steps;
                let tell = |made: u64| progress(before + made, total);
                tell(0);
                let name = format!("{}-{seed}.json", contestant.name());
                let outcome = match kept(&self.folder.join(&name))? {
                    Some(outcome) => outcome,
                    None => {
                        let Some(outcome) = self.one(device, contestant, seed, stop, &tell)? else {
                            return Ok(None);
                        };
                        let text =
                            serde_json::to_string(&outcome).map_err(|e| Error::Usage(e.to_string()))?;
                        directory.write(&name, |file| file.write_all(text.as_bytes()))?;
                        outcome
                    }
                };
                outcomes.push(outcome);
            }
        }
        progress(total, total);
        Ok(Some(outcomes))
    }

    /// Notes in the folder which contest it holds.
    fn claim(&self, directory: &Directory) -> Result<()> {
        let learned = match &self.learned {
            Some(learned) => serde_json::to_string(learned).map_err(|e| Error::Usage(e.to_string()))?,
            None => "none".into(),
        };
        let text = format!(
            "# what the files beside this one came of\n# learned: {learned}\n# episodes: {}\n\n# the team\n{}\n# the settings\n{}",
            self.episodes,
            self.plan.to_toml()?.lines().map(|line| format!("# {line}\n")).collect::<String>(),
            Settings { seed: 0, ..self.settings.clone() }.to_toml()?
        );
        let path = self.folder.join("contest.toml");
        match std::fs::read_to_string(&path) {
            Ok(found) if found == text => Ok(()),
            Ok(_) => Err(Error::Usage(format!(
                "{} holds a contest with other settings: choose another folder",
                self.folder.display()
            ))),
            Err(_) => directory.write("contest.toml", |file| file.write_all(text.as_bytes())),
        }
    }

    fn one(
        &self,
        device: &Device,
        contestant: Contestant,
        seed: u64,
        stop: &AtomicBool,
        tell: &dyn Fn(u64),
    ) -> Result<Option<Outcome>> {
        let settings = Settings { seed, ..self.settings.clone() };
        let family = self.plan.family(device, &settings)?;
        let each = settings.policy(device)?.parameters().count();
        let (agents, steps, parameters): (Vec<Vec<Checkpoint>>, u64, usize) = match contestant {
            Contestant::Single => {
                let mut trainer = family.generalist(settings.steps)?;
                let Some(made) = train(trainer.as_mut(), settings.steps, stop, tell)? else {
                    return Ok(None);
                };
                let agent = agent_of(&trainer.save_agent()?);
                (vec![vec![agent]; family.targets().len()], made, each)
            }
            Contestant::Ensemble => {
                let all = team_parameters(device, &settings, &self.plan, &family)?;
                let members = ((all as f64 / each as f64).round() as u64).max(2);
                let (mut agents, mut made) = (Vec::new(), 0);
                for member in 0..members {
                    let seed = seed.wrapping_add((member + 1) << 48);
                    let own = Settings { seed, ..settings.clone() };
                    let mut trainer = self.plan.family(device, &own)?.generalist(settings.steps / members)?;
                    let so_far = made;
                    let share = |steps: u64| tell(so_far + steps);
                    let trained = train(trainer.as_mut(), settings.steps / members, stop, &share)?;
                    let Some(own) = trained else { return Ok(None) };
                    made += own;
                    agents.push(agent_of(&trainer.save_agent()?));
                }
                (vec![agents; family.targets().len()], made, each * members as usize)
            }
            Contestant::Fixed | Contestant::Emergent | Contestant::Learned => {
                let (mode, coordinator) = match contestant {
                    Contestant::Fixed => (Mode::Fixed, None),
                    Contestant::Learned => (Mode::Emergent, self.learned.as_ref()),
                    _ => (Mode::Emergent, None),
                };
                let plan = plan_of(&self.plan, mode, coordinator);
                let mut team = plan.team(device, &settings, Box::<MemoryLog>::default())?;
                let Some(made) = train(&mut team, settings.steps, stop, tell)? else { return Ok(None) };
                let agents = family.targets().iter().map(|task| Ok(vec![team.agent(*task)?]));
                let agents = agents.collect::<Result<_>>()?;
                (agents, made, team_parameters(device, &settings, &plan, &family)?)
            }
        };
        let sizes = family.workshop().sizes().clone();
        let (mut scores, mut behaviours) = (Vec::new(), Vec::new());
        for (task, agents) in family.targets().iter().zip(&agents) {
            // Other episodes than any that a team plays.
            let episodes: Vec<Trajectory> =
                family.play_together(*task, agents, self.episodes, seed ^ 0x6a75_6467_6500)?;
            scores.push(mean_score(&episodes));
            behaviours.extend(episodes.iter().take(DESCRIBED).map(|episode| descriptor(episode, &sizes)));
        }
        Ok(Some(Outcome { contestant, seed, steps, parameters, scores, behaviours }))
    }
}

/// What a run came to before.
fn kept(path: &Path) -> Result<Option<Outcome>> {
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|e| Error::file(path, Some(e.line()), format!("is no result of a contest: {e}"))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path, e)),
    }
}

/// The strategies of one contestant.
///
/// # Errors
/// As [`discover`].
pub fn strategies(outcomes: &[Outcome], contestant: Contestant) -> Result<Discovery> {
    let own: Vec<Vec<Vec<f64>>> =
        outcomes.iter().filter(|o| o.contestant == contestant).map(|o| o.behaviours.clone()).collect();
    discover(&own, &Search::default())
}

/// Looks for the settings of sharing out that serve best on the plan's tasks: the cross-entropy method (Rubinstein 1999) over
/// temperature, forgetting, curiosity and a preference for each role, in three generations, the first around the defaults.
/// Each of `tries` candidates runs the team with each seed; the mean score over the tasks that count decides. `None` where it
/// was stopped.
///
/// # Errors
/// Fewer than nine tries, no seeds, or what a run reports.
pub fn learn_allocation(
    device: &Device,
    settings: &Settings,
    plan: &Plan,
    tries: usize,
    seeds: RangeInclusive<u64>,
    stop: &AtomicBool,
    progress: &dyn Fn(u64, u64),
) -> Result<Option<CoordinatorConfig>> {
    let each = tries / GENERATIONS;
    if each < ELITE || seeds.is_empty() {
        let least = ELITE * GENERATIONS;
        return Err(Error::Usage(format!("an allocation is learned by at least {least} tries and one seed")));
    }
    let workers = plan.team.roles.iter().filter(|role| role.works()).count();
    let mut random = Pcg64::new(*seeds.start() ^ 0x616c_6c6f_6300);
    // Logarithm of the temperature, rate, curiosity, preferences.
    let start = CoordinatorConfig::default();
    let mut centre = vec![start.temperature.ln(), start.rate, start.curiosity];
    centre.resize(3 + workers, 0.0);
    let mut spread = vec![0.7, 0.2, 0.2];
    spread.resize(3 + workers, 0.5);
    let config = |point: &[f64]| CoordinatorConfig {
        temperature: point[0].exp().clamp(1e-2, 1e2),
        rate: point[1].clamp(0.02, 1.0),
        curiosity: point[2].clamp(0.0, 10.0),
        preferences: point[3..].to_vec(),
    };
    let count = seeds.clone().count() as u64;
    let total = (each * GENERATIONS) as u64 * count;
    let mut best: Option<(f64, Vec<f64>)> = None;
    let mut done = 0;
    for _ in 0..GENERATIONS {
        let mut tried: Vec<(f64, Vec<f64>)> = Vec::new();
        for candidate in 0..each {
            let mut normal = || (0..12).map(|_| random.double()).sum::<f64>() - 6.0;
            // The centre itself is the first of its generation.
            let point: Vec<f64> = centre
                .iter()
                .zip(&spread)
                .map(|(c, s)| if candidate == 0 { *c } else { c + s * normal() })
                .collect();
            let plan = plan_of(plan, Mode::Emergent, Some(&config(&point)));
            let mut sum = 0.0;
            for seed in seeds.clone() {
                progress(done, total);
                let settings = Settings { seed, ..settings.clone() };
                let family = plan.family(device, &settings)?;
                let mut team = plan.team(device, &settings, Box::<MemoryLog>::default())?;
                if train(&mut team, settings.steps, stop, &|_| ())?.is_none() {
                    return Ok(None);
                }
                let mut workshop = family.workshop();
                for task in family.targets() {
                    let agent = team.agent(*task)?;
                    sum += mean_score(&workshop.play(*task, &agent, 64, seed ^ 0x6a75_6467_6500)?);
                }
                done += 1;
            }
            tried.push((sum, point));
        }
        tried.sort_by(|a, b| b.0.total_cmp(&a.0));
        if best.as_ref().is_none_or(|(score, _)| tried[0].0 > *score) {
            best = Some(tried[0].clone());
        }
        let elite = &tried[..(each / ELITE).max(2)];
        for at in 0..centre.len() {
            let mean = elite.iter().map(|(_, p)| p[at]).sum::<f64>() / elite.len() as f64;
            let variance =
                elite.iter().map(|(_, p)| (p[at] - mean).powi(2)).sum::<f64>() / elite.len() as f64;
            (centre[at], spread[at]) = (mean, variance.sqrt().max(0.05));
        }
    }
    progress(total, total);
    Ok(best.map(|(_, point)| config(&point)))
}

/// The table of a contest: the interquartile mean over seeds of the mean over tasks, with its 95 % bootstrap interval, and the
/// same of the differences to the single agent, seed by seed.
pub fn table(contest: &Contest, outcomes: &[Outcome], found: &[(Contestant, Discovery)]) -> Table {
    let mut table = Table::new([
        "contestant",
        "parameters",
        "agent-steps",
        "seeds",
        "score",
        "low",
        "high",
        "over single",
        "from",
        "to",
        "strategies",
    ]);
    let scores = |contestant: Contestant| -> Vec<f64> {
        outcomes.iter().filter(|o| o.contestant == contestant).map(Outcome::score).collect()
    };
    let single = scores(Contestant::Single);
    for contestant in contest.contestants() {
        let own = scores(contestant);
        let differences: Vec<f64> = own.iter().zip(&single).map(|(own, single)| own - single).collect();
        let (interval, over) = (bootstrap_interval(&own), bootstrap_interval(&differences));
        let first = outcomes.iter().find(|o| o.contestant == contestant);
        let most = outcomes.iter().filter(|o| o.contestant == contestant).map(|o| o.steps).max();
        let strategies = found.iter().find(|(c, _)| *c == contestant).map(|(_, d)| d.strategies.len());
        let mut row: Vec<Cell> = vec![
            contestant.name().into(),
            first.map_or(0, |outcome| outcome.parameters).into(),
            most.unwrap_or(0).into(),
            own.len().into(),
        ];
        row.extend(
            [interquartile_mean(&own), interval.map(|i| i.0), interval.map(|i| i.1)].map(Cell::number),
        );
        row.extend(match contestant {
            Contestant::Single => [Cell::Empty, Cell::Empty, Cell::Empty],
            _ => [interquartile_mean(&differences), over.map(|i| i.0), over.map(|i| i.1)].map(Cell::number),
        });
        row.push(strategies.map_or(Cell::Empty, Cell::from));
        table.row(row);
    }
    table
}

/// The score of every task: a row a contestant and task, a column a seed.
pub fn by_task(contest: &Contest, family: &Family, outcomes: &[Outcome]) -> Table {
    let seeds: Vec<String> = contest.seeds.clone().map(|seed| seed.to_string()).collect();
    let mut table = Table::new(["contestant", "task"].into_iter().chain(seeds.iter().map(String::as_str)));
    for contestant in contest.contestants() {
        for (at, task) in family.targets().iter().enumerate() {
            let own = outcomes.iter().filter(|outcome| outcome.contestant == contestant);
            let mut row: Vec<Cell> = vec![contestant.name().into(), family.tasks()[*task].clone().into()];
            row.extend(own.map(|outcome| Cell::number(outcome.scores.get(at).copied())));
            table.row(row);
        }
    }
    table
}

/// Writes `emergence.md` and `emergence.svg`, the scores of every task with bands from the lowest seed to the highest.
///
/// # Errors
/// A file that cannot be written.
pub fn write(
    contest: &Contest,
    family: &Family,
    outcomes: &[Outcome],
    found: &[(Contestant, Discovery)],
) -> Result<()> {
    let page = format!(
        "{}\n{}\nThe score is the interquartile mean over seeds of the mean over tasks of the mean `{}` over {} episodes, with \
         the 95 % bootstrap interval; `over single` is that of the differences seed by seed. Strategies are clusters of \
         episodes that come up in more than half of the seeds and are more distinct than 99 % of surrogates.\n",
        table(contest, outcomes, found).to_markdown(),
        by_task(contest, family, outcomes).to_markdown(),
        family.score_name(),
        contest.episodes
    );
    let series: Vec<Series> = contest
        .contestants()
        .iter()
        .map(|contestant| {
            let own = outcomes.iter().filter(|outcome| outcome.contestant == *contestant);
            let runs: Vec<Vec<(f64, f64)>> =
                own.map(|o| o.scores.iter().enumerate().map(|(at, s)| (at as f64, *s)).collect()).collect();
            Series::of_runs(contestant.name(), &runs, family.targets().len())
        })
        .collect();
    let title = "mean over seeds, with the band from the lowest to the highest";
    let svg = lines_svg(&Axes::new(title, "task", &described(family.score_name())), &series)?;
    let directory = Directory::make(&contest.folder)?;
    directory.write("emergence.md", |file| file.write_all(page.as_bytes()))?;
    directory.write("emergence.svg", |file| file.write_all(svg.as_bytes()))
}
