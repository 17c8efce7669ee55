//! Teams of roles, from the command line and as trainers: a run that is stopped goes on to the same bytes, roles that fail
//! are started again, nothing is lost from the log, and the team learns.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

use synod::preset::Settings;
use synod::preset::collaborate::Plan;
use synod::registry::{Family, Kind, Member};
use synod::roles::broker::{Envelope, MemoryLog, Message};
use synod::roles::messages::{Done, Drawn, Restarted, Round};
use synod::roles::{Outbox, Role, RoleMaking, RoleSettings, Roles, View};
use synod::run::driver::{Options, drive};
use synod::run::folder::Folder;
use synod::run::journal::{self, Journal};
use synod::run::progress::{Progress, Status};
use synod::schemars::JsonSchema;
use synod::serde::{Deserialize, Serialize};
use synod::tensors::{Checkpoint, TensorData};
use synod::train::Trainer;
use synod::{Device, Result, schema};

fn synod(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    command.current_dir(folder).args(arguments).output().expect("synod runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn settings(steps: u64) -> Result<Settings> {
    let items = ["world.worlds=16", "learner.acting_shards=2", "learner.learning_shards=2"].map(String::from);
    Ok(Settings { steps, ..Settings::with_items("lqr-ppo", &items)? })
}

fn plan(settings: &Settings, roles: &[&str]) -> Result<Plan> {
    let roles: Vec<String> = roles.iter().map(|role| role.to_string()).collect();
    let mut plan = Plan::new(settings, &roles, None, false)?;
    plan.change("round=3000")?;
    Ok(plan)
}

/// Stops a run after so many of its steps.
struct StopAfter<'a>(u32, &'a AtomicBool);

impl Progress for StopAfter<'_> {
    fn update(&mut self, _: &Status<'_>) {
        self.0 = self.0.saturating_sub(1);
        if self.0 == 0 {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    fn message(&mut self, _: &str) {}
}

/// A run in a folder, stopped after so many rounds, from where the folder is.
fn run(path: &Path, settings: &Settings, plan: &Plan, rounds: u32) -> Result<bool> {
    let (folder, resume) = match path.exists() {
        true => (Folder::open(path)?, true),
        false => (Folder::create(path, &settings.to_toml()?)?, false),
    };
    let journal = Box::new(Journal::open(folder.directory())?);
    let mut team = plan.team(&Device::cpu(), settings, journal)?;
    let options = Options { resume, ..Options::new(settings.steps, path) };
    let stop = AtomicBool::new(false);
    Ok(drive(&mut team, &folder, &options, &mut StopAfter(rounds, &stop), &stop)?.done)
}

#[test]
fn a_run_that_was_stopped_ends_in_the_same_bytes() -> Result<()> {
    let parent = tempfile::tempdir().expect("a folder");
    let (whole, parts) = (parent.path().join("whole"), parent.path().join("parts"));
    let settings = settings(24_000)?;
    let plan = plan(&settings, &["meta", "adapt", "state"])?;
    assert!(run(&whole, &settings, &plan, u32::MAX)?);
    assert!(!run(&parts, &settings, &plan, 2)?);
    // Killed after its checkpoint: what it said since does not count.
    let log = parts.join(journal::NAME);
    let kept = std::fs::read(&log).expect("a log");
    let next = journal::read(&log)?.len() as u64;
    assert!(!run(&parts, &settings, &plan, 1)?);
    let said = std::fs::read(&log).expect("a log");
    assert!(said.starts_with(&kept) && said.len() > kept.len() && next > 0);
    assert!(run(&parts, &settings, &plan, u32::MAX)?);
    for name in ["checkpoint.safetensors", journal::NAME] {
        let read = |folder: &Path| std::fs::read(folder.join(name)).expect("a file");
        assert!(read(&whole) == read(&parts), "{name} differs");
    }
    // The log is the run's record: every round, and whoever was given work either did it or failed.
    let messages = journal::read(&log)?;
    assert!(messages.iter().enumerate().all(|(i, message)| message.sequence == i as u64));
    let count = |topic: &str| messages.iter().filter(|message| message.topic == topic).count();
    assert_eq!(count("drawn"), count("done") + count("restarted"));
    let used: u64 = messages.iter().filter_map(|m| m.read::<Done>().ok()?).map(|work| work.steps).sum();
    assert!((24_000..34_000).contains(&used), "{used}");
    Ok(())
}

#[test]
fn a_team_learns_every_task_that_counts() -> Result<()> {
    let settings = settings(160_000)?;
    let roles = ["meta", "adapt", "state"].map(String::from);
    let variants = ["world.control=[[0,0],[0,0],[-0.2,0],[0,-0.2]]".to_string()];
    let plan = Plan::new(&settings, &roles, Some(&variants), true)?;
    let device = Device::cpu();
    let log = MemoryLog::default();
    let mut team = plan.team(&device, &settings, Box::new(log.clone()))?;
    while team.step()?.steps < settings.steps {}
    let family = plan.family(&device, &settings)?;
    use synod::roles::workshop::{Workshop, mean_score};
    let mut workshop = family.workshop();
    let untrained = workshop.initial()?;
    for task in [0, 1] {
        let before = mean_score(&workshop.play(task, &untrained, 64, 9)?);
        let after = mean_score(&workshop.play(task, &team.agent(task)?, 64, 9)?);
        // The optimum is -7.9; what is drawn at the start costs hundreds.
        assert!(before < -100.0 && after > -40.0, "task {task}: {before} -> {after}");
    }
    // The two push in opposite directions: whoever is good at one is bad at the other.
    let crossed = mean_score(&workshop.play(1, &team.agent(0)?, 64, 9)?);
    assert!(crossed < -100.0, "{crossed}");
    Ok(())
}

/// A role of a user's own that works, panics once and hangs once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "synod::serde", default, deny_unknown_fields)]
#[schemars(crate = "synod::schemars")]
struct ClumsyConfig {
    /// The slice of work in which it panics, from 1.
    panics: u64,
    /// That in which it hangs.
    hangs: u64,
}

impl Member for ClumsyConfig {
    const NAME: &'static str = "clumsy";
    const SUMMARY: &'static str = "works, panics and hangs";
}

impl RoleSettings for ClumsyConfig {
    fn check(&self) -> Result<()> {
        schema::check("clumsy", self)
    }

    fn role(&self, _: &RoleMaking) -> Result<Box<dyn Role>> {
        Ok(Box::new(Clumsy { config: self.clone(), slices: 0 }))
    }
}

struct Clumsy {
    config: ClumsyConfig,
    slices: u64,
}

static TRIES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

impl Role for Clumsy {
    fn name(&self) -> &str {
        ClumsyConfig::NAME
    }

    fn topics(&self) -> Vec<&'static str> {
        vec![Drawn::TOPIC]
    }

    fn handle(&mut self, message: &Envelope, _: &View) -> Result<Outbox> {
        let mut outbox = Outbox::new();
        let Some(work) = message.read::<Drawn>()?.filter(|work| work.role == self.name()) else {
            return Ok(outbox);
        };
        let tries = TRIES.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(tries != self.config.panics, "the clumsy one falls");
        if tries == self.config.hangs {
            std::thread::sleep(std::time::Duration::from_secs(3600));
        }
        self.slices += 1;
        outbox.publish(&Done {
            role: ClumsyConfig::NAME.into(),
            task: work.task,
            steps: 1000,
            updates: 0,
            before: None,
            after: None,
            gain: 0.0,
        })?;
        Ok(outbox)
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.insert("slices", TensorData::u64(&[1], &[self.slices])?);
        Ok(checkpoint)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.slices = checkpoint.counter("slices")?;
        Ok(())
    }
}

#[test]
fn roles_that_panic_and_hang_start_again_and_the_run_goes_on() -> Result<()> {
    Roles::registry().register(Kind::<Roles>::of::<ClumsyConfig>())?;
    let settings = settings(40_000)?;
    let mut plan = plan(&settings, &["adapt", "clumsy"])?;
    // Only a role that hangs is waited for: the limit is far from what the others take.
    for item in ["clumsy.panics=2", "clumsy.hangs=4", "patience=8", "mode=fixed"] {
        plan.change(item)?;
    }
    let log = MemoryLog::default();
    let mut team = plan.team(&Device::cpu(), &settings, Box::new(log.clone()))?;
    let mut last = team.step()?;
    while last.steps < settings.steps {
        last = team.step()?;
    }
    let messages = log.messages();
    let told: Vec<Restarted> = messages.iter().filter_map(|m| m.read().ok()?).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].cause.contains("the clumsy one falls") && told[1].cause.contains("within 8s"),
        "{told:?}"
    );
    assert!(told.iter().all(|told| told.role == "clumsy"));
    let (mut drawn, mut done) = (0, 0);
    for message in &messages {
        drawn += usize::from(message.read::<Drawn>()?.is_some_and(|work| work.role == "clumsy"));
        done += usize::from(message.read::<Done>()?.is_some_and(|work| work.role == "clumsy"));
    }
    assert!(done > 2 && drawn == done + 2, "{drawn} {done}");
    assert_eq!(team.save()?.counter("role/clumsy/slices")?, done as u64);
    assert!(messages.iter().any(|m| m.topic == Round::TOPIC));
    assert_eq!(last.value("restarts"), Some(2.0));
    Ok(())
}

#[test]
fn the_command_line_collaborates_and_says_what_is_wrong() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path();
    let small = ["--set", "world.worlds=16", "--team", "round=3000", "--episodes", "8", "--json"];
    let first = ["collaborate", "lqr-ppo", "--roles", "meta,adapt", "--steps", "9000", "--out", "a"];
    let done = synod(folder, &[&first[..], &small].concat());
    assert!(done.status.success(), "{}", text(&done.stderr));
    let json: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert!(json["steps"].as_u64() >= Some(9000) && json["score"] == "return");
    assert!(json["tasks"][0]["team"].is_f64() && json["roles"].as_array().is_some_and(|r| r.len() == 2));
    for file in
        ["config.toml", "collaboration.toml", "messages.jsonl", "metrics.csv", "checkpoint.safetensors"]
    {
        assert!(folder.join("a").join(file).is_file(), "{file}");
    }
    // Its agent is a run's agent like any other.
    let eval = synod(folder, &["eval", "a", "--episodes", "4", "--json"]);
    assert!(eval.status.success(), "{}", text(&eval.stderr));
    for (arguments, part) in [
        (&["collaborate", "lqr-ppo", "--roles", "adpt"][..], "did you mean `adapt`"),
        (&["collaborate", "lqr-ppo", "--roles", "coordinator"], "at least one that works"),
        (&["collaborate", "lqr-ppo", "--team", "adapt.guard=3"], "guard_episodes"),
        (&["collaborate", "lqr-ppo", "--task", "world.dynamics=[[1.0]]"], "world"),
        (&["collaborate", "spread-ippo", "--task", "world.agents=4"], "another network"),
        (&["collaborate", "lqr-ppo", "--out", "a"], "exists"),
        (&["collaborate", "--resume", "nowhere"], "does not exist"),
        (&["train", "--resume", "a"], "synod collaborate --resume"),
    ] {
        let failed = synod(folder, arguments);
        assert_eq!(failed.status.code(), Some(2), "{arguments:?}");
        let error = text(&failed.stderr);
        assert!(error.contains(part) && !error.contains("panicked"), "{arguments:?}: {error}");
    }
    // A log that is damaged is told by its line.
    let log = folder.join("a/messages.jsonl");
    let said = std::fs::read_to_string(&log).expect("a log");
    std::fs::write(&log, said.replacen("\"from\":\"", "\"from\":\"x", 1)).expect("room on the disk");
    let failed = synod(folder, &["collaborate", "--resume", "a"]);
    assert!(text(&failed.stderr).contains("messages.jsonl:1"), "{}", text(&failed.stderr));
}
