//! A run that is killed, stopped or fails on its way and is resumed ends as one that is not.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use synod::run::best::{Best, Evaluate};
use synod::run::driver::{self, Options, Outcome};
use synod::run::folder::Folder;
use synod::run::progress::{Progress, Silent, Status};
use synod::run::{checkpoint, metrics, tensorboard};
use synod::train::{Checkpoint, Report, TensorData, Trainer};
use synod::{Error, Result};

/// A trainer whose every number depends on all that went before.
struct Toy {
    weights: Vec<f32>,
    random: u64,
    steps: u64,
    updates: u64,
    pause: Duration,
    not_finite_at: u64,
}

impl Toy {
    fn new() -> Toy {
        Toy {
            weights: vec![0.5; 17],
            random: 7,
            steps: 0,
            updates: 0,
            pause: Duration::ZERO,
            not_finite_at: u64::MAX,
        }
    }

    fn next(&mut self) -> f32 {
        self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.random >> 40) as f32 / (1u32 << 24) as f32
    }
}

impl Trainer for Toy {
    fn step(&mut self) -> Result<Report> {
        std::thread::sleep(self.pause);
        if self.steps >= self.not_finite_at {
            return Err(Error::NotFinite {
                step: self.steps,
                tensor: "loss".into(),
                checkpoint: String::new(),
            });
        }
        for i in 0..self.weights.len() {
            let noise = self.next();
            self.weights[i] = (self.weights[i] * 1.7 + noise).sin();
        }
        self.steps += 5 + (self.next() * 7.0) as u64;
        self.updates += 3;
        let mut values = vec![("loss/toy".to_string(), self.weights[0] as f64)];
        if self.steps > 600 && self.next() > 0.5 {
            values.push(("return".to_string(), self.weights[1] as f64));
        }
        Ok(Report { steps: self.steps, updates: self.updates, values })
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut state = Checkpoint::new();
        state.insert("weights", TensorData::f32(&[self.weights.len()], &self.weights)?);
        state.insert("random", TensorData::u64(&[1], &[self.random])?);
        state.set("architecture", format!("toy {}", self.weights.len()));
        state.set("toy.steps", self.steps);
        state.set("toy.updates", self.updates);
        Ok(state)
    }

    fn load(&mut self, state: &Checkpoint) -> Result<()> {
        state.check_like(&self.save()?, &[])?;
        let (steps, updates) = (state.get("toy.steps")?, state.get("toy.updates")?);
        self.weights = state.tensor("weights")?.to_f32()?;
        self.random = state.tensor("random")?.to_u64()?[0];
        (self.steps, self.updates) = (steps, updates);
        Ok(())
    }

    fn save_agent(&self) -> Result<Checkpoint> {
        let mut agent = Checkpoint::new();
        agent.insert("agent/weights", TensorData::f32(&[self.weights.len()], &self.weights)?);
        Ok(agent)
    }
}

/// Judges a [`Toy`] by its weights alone, in steps that make equal scores likely.
struct Judge;

impl Evaluate for Judge {
    fn evaluate(&mut self, agent: &Checkpoint) -> Result<Vec<(String, f64)>> {
        let weights = agent.tensor("agent/weights")?.to_f32()?;
        Ok(vec![("return".into(), f64::from((weights[3] * 4.0).round() / 4.0)), ("length".into(), 7.0)])
    }
}

/// Drives a run that is evaluated about every eleventh iteration.
fn evaluated(folder: &Folder, log_every: u64, stop_after: Option<u64>) -> Result<Outcome> {
    let stop = AtomicBool::new(false);
    let mut progress: Box<dyn Progress> = match stop_after {
        Some(after) => Box::new(StopAfter(after, &stop)),
        None => Box::new(Silent),
    };
    let options = Options { eval_every: 90, ..options(folder, log_every) };
    driver::drive_and_evaluate(&mut Toy::new(), Some(&mut Judge), folder, &options, progress.as_mut(), &stop)
}

fn options(folder: &Folder, log_every: u64) -> Options {
    Options { checkpoint_every: 250, log_every, ..Options::new(2000, folder.path()) }
}

fn drive(toy: &mut Toy, folder: &Folder, log_every: u64) -> Result<Outcome> {
    driver::drive(toy, folder, &options(folder, log_every), &mut Silent, &AtomicBool::new(false))
}

/// Stops a run after some iterations, as ^C does.
struct StopAfter<'a>(u64, &'a AtomicBool);

impl Progress for StopAfter<'_> {
    fn update(&mut self, _: &Status<'_>) {
        self.0 -= 1;
        self.1.store(self.0 == 0, Ordering::Relaxed);
    }
    fn message(&mut self, _: &str) {}
}

/// Everything of a run that must not depend on its interruptions.
fn trace(path: &Path) -> (Vec<u8>, Vec<String>, Vec<(u64, Vec<(String, f32)>)>) {
    let rows = metrics::read(&path.join("metrics.csv")).unwrap();
    let kept: Vec<usize> =
        (0..rows.columns.len()).filter(|i| !rows.columns[*i].starts_with("wall/")).collect();
    let mut table = vec![rows.columns.join(",")];
    table.extend(rows.rows().map(|row| kept.iter().map(|i| format!("{:?},", row[*i])).collect::<String>()));
    let events: Vec<_> = fs::read_dir(path.join("events")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(events.len(), 1, "one event file a run");
    let mut records = Vec::new();
    for record in tensorboard::read(&events[0]).unwrap() {
        let scalars = record.scalars.into_iter().filter(|(n, _)| !n.starts_with("wall/")).collect();
        records.push((record.step, scalars));
    }
    (fs::read(path.join("checkpoint.safetensors")).unwrap(), table, records)
}

fn undisturbed(root: &Path, log_every: u64) -> (Vec<u8>, Vec<String>, Vec<(u64, Vec<(String, f32)>)>) {
    let path = root.join(format!("undisturbed-{log_every}"));
    let outcome = drive(&mut Toy::new(), &Folder::create(&path, "").unwrap(), log_every).unwrap();
    assert!(outcome.done && outcome.steps >= 2000 && outcome.steps < 2012);
    trace(&path)
}

#[test]
fn stopped_runs_end_in_the_same_bytes() {
    let root = tempfile::tempdir().unwrap();
    for log_every in [0, 90] {
        let whole = undisturbed(root.path(), log_every);
        for stops in [vec![1], vec![40], vec![3, 50, 1, 70], vec![25; 8]] {
            let path = root.path().join("stopped");
            let mut folder = Folder::create(&path, "").unwrap();
            for after in &stops {
                let stop = AtomicBool::new(false);
                let mut progress = StopAfter(*after, &stop);
                let options = options(&folder, log_every);
                let outcome =
                    driver::drive(&mut Toy::new(), &folder, &options, &mut progress, &stop).unwrap();
                assert!(!outcome.done);
                drop(folder);
                folder = Folder::open(&path).unwrap();
            }
            assert!(drive(&mut Toy::new(), &folder, log_every).unwrap().done);
            assert!(trace(&path) == whole, "stops {stops:?}, log every {log_every}");
            drop(folder);
            fs::remove_dir_all(&path).unwrap();
        }
    }
}

/// The test is its own child: with the variable set it trains until it is killed.
#[test]
#[cfg(unix)]
fn killed_runs_end_in_the_same_bytes() {
    const CHILD: &str = "SYNOD_TEST_RUN_FOLDER";
    if let Some(path) = std::env::var_os(CHILD) {
        let path = Path::new(&path);
        let folder = if path.exists() { Folder::open(path) } else { Folder::create(path, "") }.unwrap();
        let mut toy = Toy { pause: Duration::from_millis(2), ..Toy::new() };
        drive(&mut toy, &folder, 90).unwrap();
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("killed");
    let mut killed = 0;
    for attempt in 0u64.. {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed_runs_end_in_the_same_bytes"])
            .env(CHILD, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Sooner or later than a checkpoint interval (about 60 ms of training), then long enough to come to the end.
        let mut patience: u64 = if attempt < 6 { 15 + 37 * attempt } else { 60_000 };
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if patience == 0 {
                child.kill().unwrap();
                killed += 1;
            }
            patience = patience.saturating_sub(1);
            std::thread::sleep(Duration::from_millis(1));
        };
        if path.join("config.toml").exists() {
            assert!(!matches!(checkpoint::read(&path.join("checkpoint.safetensors")), Err(Error::Io { .. })));
        } else {
            let _ = fs::remove_dir_all(&path); // killed before the folder was a run
        }
        if status.success() {
            break;
        }
        assert!(attempt < 6, "the child fails by itself");
    }
    assert!(killed >= 2, "the child was too quick to be killed");
    assert!(trace(&path) == undisturbed(root.path(), 90));
}

#[test]
fn a_checkpoint_of_another_architecture_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("run");
    let folder = Folder::create(&path, "").unwrap();
    drive(&mut Toy::new(), &folder, 0).unwrap();
    let before = (trace(&path), fs::read(path.join("metrics.csv")).unwrap());
    let refused = |toy: &mut Toy, parts: &[&str]| {
        let error = drive(toy, &folder, 0).unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{error:?}");
        for part in parts {
            assert!(error.to_string().contains(part), "{error} lacks {part}");
        }
    };
    refused(&mut Toy { weights: vec![0.0; 3], ..Toy::new() }, &["toy 17", "toy 3"]);
    let mut state = checkpoint::read(&folder.checkpoint()).unwrap();
    state.metadata.remove("architecture");
    checkpoint::write(&folder.checkpoint(), &state).unwrap();
    refused(&mut Toy { weights: vec![0.0; 3], ..Toy::new() }, &["weights is f32[17], expected f32[3]"]);
    state.set("architecture", "toy 17");
    state.insert("weights", TensorData::f32(&[17], &[f32::NAN; 17]).unwrap());
    checkpoint::write(&folder.checkpoint(), &state).unwrap();
    refused(&mut Toy::new(), &["`weights` is not finite"]);
    state = checkpoint::read(&folder.path().join("checkpoint.previous.safetensors")).unwrap();
    state.insert("trainer/counters", TensorData::u64(&[1], &[7]).unwrap());
    checkpoint::write(&folder.checkpoint(), &state).unwrap();
    refused(&mut Toy::new(), &["`trainer/counters` has 7", "`synod.step`"]);
    // Damaged, and nothing before it.
    fs::remove_file(path.join("checkpoint.previous.safetensors")).unwrap();
    fs::write(folder.checkpoint(), &before.0.0[..before.0.0.len() - 1]).unwrap();
    refused(&mut Toy::new(), &["cut short"]);
    fs::write(folder.checkpoint(), &before.0.0).unwrap();
    assert!((trace(&path), fs::read(path.join("metrics.csv")).unwrap()) == before);
}

#[test]
fn the_checkpoint_before_a_missing_or_damaged_one_is_taken() {
    let root = tempfile::tempdir().unwrap();
    let whole = undisturbed(root.path(), 0);
    let path = root.path().join("run");
    let folder = Folder::create(&path, "").unwrap();
    drive(&mut Toy::new(), &folder, 0).unwrap();
    let resumed = Options { resume: true, ..options(&folder, 0) };
    let go_on = || driver::drive(&mut Toy::new(), &folder, &resumed, &mut Silent, &AtomicBool::new(false));
    let (latest, previous) = (folder.checkpoint(), path.join("checkpoint.previous.safetensors"));
    let damaged = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let end = bytes.len();
        bytes[end - 3] ^= 16;
        fs::write(&latest, bytes).unwrap();
    };
    damaged(&fs::read(&latest).unwrap());
    assert!(go_on().unwrap().done && trace(&path) == whole);
    assert!(path.join("checkpoint.damaged.safetensors").exists());
    // Both are good again: the damaged one was not kept as the previous one.
    assert!(checkpoint::read(&previous).is_ok());
    fs::remove_file(&latest).unwrap();
    assert!(go_on().unwrap().done && trace(&path) == whole);
    // Without any, a run that is to go on does not begin again.
    let rows = fs::read(folder.metrics()).unwrap();
    fs::remove_file(&latest).unwrap();
    fs::remove_file(&previous).unwrap();
    let error = go_on().unwrap_err().to_string();
    assert!(error.contains("no checkpoint to go on from"), "{error}");
    assert!(fs::read(folder.metrics()).unwrap() == rows);
}

#[test]
#[cfg(unix)]
fn a_run_whose_folder_is_moved_goes_on_in_it() {
    /// Moves the run's folder away after some iterations and makes another in its place.
    struct MoveAfter<'a>(u32, &'a Path, &'a Path, Option<Folder>);
    impl Progress for MoveAfter<'_> {
        fn update(&mut self, _: &Status<'_>) {
            self.0 -= 1;
            if self.0 == 0 {
                fs::rename(self.1, self.2).unwrap();
                self.3 = Some(Folder::create(self.1, "second").unwrap());
                self.0 = u32::MAX;
            }
        }
        fn message(&mut self, _: &str) {}
    }
    let root = tempfile::tempdir().unwrap();
    let whole = undisturbed(root.path(), 0);
    let (path, moved) = (root.path().join("run"), root.path().join("moved"));
    let folder = Folder::create(&path, "first").unwrap();
    let mut progress = MoveAfter(60, &path, &moved, None);
    let options = options(&folder, 0);
    driver::drive(&mut Toy::new(), &folder, &options, &mut progress, &AtomicBool::new(false)).unwrap();
    assert!(trace(&moved) == whole);
    let names: Vec<_> = fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["config.toml"]);
}

#[test]
fn evaluated_runs_train_alike_and_keep_the_same_best_however_often_they_stop() {
    let root = tempfile::tempdir().unwrap();
    for log_every in [0, 130] {
        let path = root.path().join(format!("whole-{log_every}"));
        let outcome = evaluated(&Folder::create(&path, "").unwrap(), log_every, None).unwrap();
        let all = |path: &Path| (trace(path), fs::read(path.join("best.safetensors")).unwrap());
        let whole = all(&path);
        // The best is the last of the highest scores, and was written when it was found.
        let rows = metrics::read(&path.join("metrics.csv")).unwrap();
        let scores = rows.points("eval/return");
        if log_every == 0 {
            assert_eq!(scores.len(), 2000 / 90);
            let highest = scores.iter().map(|point| point.1).fold(f64::MIN, f64::max);
            let best = scores.iter().rfind(|point| point.1 == highest).unwrap();
            assert_eq!(outcome.best, Some(Best { step: best.0 as u64, score: highest }));
            assert!(scores.iter().filter(|point| point.1 == highest).count() > 1, "no scores were equal");
        }
        let best = checkpoint::read(&path.join("best.safetensors")).unwrap();
        assert_eq!(best.get::<u64>("synod.step").unwrap(), outcome.best.unwrap().step);
        assert!(!path.join("best.previous.safetensors").exists());
        let picture = fs::read_to_string(path.join("plots/return.svg")).unwrap();
        assert!(picture.contains("evaluated") && !path.join("plots/eval-return.svg").exists());
        assert!(path.join("plots/eval-length.svg").exists());

        // Without evaluations: the same training.
        let plain = root.path().join(format!("plain-{log_every}"));
        drive(&mut Toy::new(), &Folder::create(&plain, "").unwrap(), log_every).unwrap();
        let tensors = |path: &Path| checkpoint::read(&path.join("checkpoint.safetensors")).unwrap().tensors;
        assert_eq!(tensors(&path), tensors(&plain));
        assert!(!plain.join("best.safetensors").exists());

        for stops in [vec![1], vec![3, 50, 1, 70], vec![11; 14]] {
            let path = root.path().join("stopped");
            let mut folder = Folder::create(&path, "").unwrap();
            for after in &stops {
                assert!(!evaluated(&folder, log_every, Some(*after)).unwrap().done);
                drop(folder);
                folder = Folder::open(&path).unwrap();
            }
            let end = evaluated(&folder, log_every, None).unwrap();
            assert!(all(&path) == whole && end.best == outcome.best, "stops {stops:?}, {log_every}");
            drop(folder);
            fs::remove_dir_all(&path).unwrap();
        }
        // As after a kill: an older checkpoint beside the best of what came after it.
        let path = root.path().join("killed");
        for stops in [30, 45, 80, 130] {
            let folder = Folder::create(&path, "").unwrap();
            evaluated(&folder, log_every, Some(stops)).unwrap();
            let old = fs::read(folder.checkpoint()).unwrap();
            evaluated(&folder, log_every, None).unwrap();
            fs::write(folder.checkpoint(), old).unwrap();
            evaluated(&folder, log_every, None).unwrap();
            assert!(all(&path) == whole, "killed after {stops}");
            drop(folder);
            fs::remove_dir_all(&path).unwrap();
        }
    }
}

#[test]
fn a_best_checkpoint_that_cannot_be_written_and_a_false_word_of_it_stop_nothing_for_good() {
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    evaluated(&Folder::create(&whole, "").unwrap(), 0, None).unwrap();
    let path = root.path().join("run");
    let folder = Folder::create(&path, "").unwrap();
    evaluated(&folder, 0, Some(5)).unwrap();
    // A folder in the way stands for a disk that refuses.
    fs::create_dir_all(path.join("best.safetensors/full")).unwrap();
    let error = evaluated(&folder, 0, None).unwrap_err().to_string();
    assert!(error.contains("best.safetensors") && error.contains("the last good checkpoint"), "{error}");
    fs::remove_dir_all(path.join("best.safetensors")).unwrap();
    evaluated(&folder, 0, None).unwrap();
    assert!(trace(&path) == trace(&whole));

    let mut state = checkpoint::read(&folder.checkpoint()).unwrap();
    state.set("synod.best", "7ff8000000000000 3");
    checkpoint::write(&folder.checkpoint(), &state).unwrap();
    let before = fs::read(path.join("metrics.csv")).unwrap();
    let error = evaluated(&folder, 0, None).unwrap_err().to_string();
    assert!(error.contains("broken `synod.best`"), "{error}");
    assert!(fs::read(path.join("metrics.csv")).unwrap() == before);
}

#[test]
fn a_loss_that_is_not_finite_names_the_last_good_checkpoint() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::create(root.path().join("early"), "").unwrap();
    let error = drive(&mut Toy { not_finite_at: 100, ..Toy::new() }, &folder, 0).unwrap_err().to_string();
    assert!(error.contains("`loss`") && error.contains("none yet"), "{error}");
    let folder = Folder::create(root.path().join("late"), "").unwrap();
    let error = drive(&mut Toy { not_finite_at: 900, ..Toy::new() }, &folder, 0).unwrap_err().to_string();
    assert!(error.contains("late/checkpoint.safetensors (step 7"), "{error}");

    struct Nan;
    impl Trainer for Nan {
        fn step(&mut self) -> Result<Report> {
            Ok(Report { steps: 1, updates: 1, values: vec![("loss/value".into(), f64::NAN)] })
        }
        fn save(&self) -> Result<Checkpoint> {
            Ok(Checkpoint::new())
        }
        fn load(&mut self, _: &Checkpoint) -> Result<()> {
            Ok(())
        }
    }
    let folder = Folder::create(root.path().join("nan"), "").unwrap();
    let options = Options::new(10, folder.path());
    let error = driver::drive(&mut Nan, &folder, &options, &mut Silent, &AtomicBool::new(false)).unwrap_err();
    assert!(matches!(&error, Error::NotFinite { tensor, .. } if tensor == "loss/value"), "{error}");
    assert!(!folder.checkpoint().exists());
}

#[test]
fn an_unwritable_checkpoint_is_clear_and_the_run_goes_on_afterwards() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("run");
    let folder = Folder::create(&path, "").unwrap();
    let stop = AtomicBool::new(false);
    let some = options(&folder, 0);
    driver::drive(&mut Toy::new(), &folder, &some, &mut StopAfter(60, &stop), &stop).unwrap();
    let good = fs::read(folder.checkpoint()).unwrap();
    // A folder in the way of the metrics stands for a disk that refuses: root may write everywhere.
    fs::rename(path.join("metrics.csv"), path.join("aside")).unwrap();
    fs::create_dir(path.join("metrics.csv")).unwrap();
    let error = drive(&mut Toy::new(), &folder, 0).unwrap_err().to_string();
    assert!(error.contains("metrics.csv"), "{error}");
    assert!(fs::read(folder.checkpoint()).unwrap() == good);
    fs::remove_dir(path.join("metrics.csv")).unwrap();
    fs::rename(path.join("aside"), path.join("metrics.csv")).unwrap();
    drive(&mut Toy::new(), &folder, 0).unwrap();
    assert!(trace(&path) == undisturbed(root.path(), 0));
}

#[test]
fn zero_steps_are_refused_and_a_finished_run_stays_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::create(root.path().join("run"), "").unwrap();
    let stop = AtomicBool::new(false);
    let zero = Options { steps: 0, ..options(&folder, 0) };
    assert!(matches!(
        driver::drive(&mut Toy::new(), &folder, &zero, &mut Silent, &stop),
        Err(Error::Usage(_))
    ));
    drive(&mut Toy::new(), &folder, 0).unwrap();
    let before = trace(folder.path());
    assert!(drive(&mut Toy::new(), &folder, 0).unwrap().done);
    assert!(trace(folder.path()) == before);
    let names: Vec<String> = fs::read_dir(folder.path().join("plots"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in ["loss-toy.svg", "return.svg"] {
        assert!(names.iter().any(|n| n == name), "{name} is not among {names:?}");
    }
}
