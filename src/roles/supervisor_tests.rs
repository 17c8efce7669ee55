use super::super::broker::{MemoryLog, Message};
use super::super::messages::Round;
use super::*;
use crate::tensors::TensorData;

/// What a counter does at the round that its fault names.
#[derive(Clone, Copy)]
enum Fault {
    None,
    Panic,
    Hang,
    Error,
    Harm,
    Flood,
}

/// Counts rounds, tells so, and wants the blackboard to have its count.
struct Counter {
    name: &'static str,
    count: u64,
    fault: (Fault, u64),
}

impl Role for Counter {
    fn name(&self) -> &str {
        self.name
    }

    fn topics(&self) -> Vec<&'static str> {
        vec![Round::TOPIC]
    }

    fn handle(&mut self, message: &Envelope, _view: &View) -> Result<Outbox> {
        let round = message.read::<Round>()?.expect("a round").number;
        self.count += 1;
        let mut outbox = Outbox::new();
        if round == self.fault.1 {
            match self.fault.0 {
                Fault::Panic => panic!("the counter stumbles"),
                Fault::Hang => std::thread::sleep(Duration::from_secs(60)),
                Fault::Error => return Err(Error::Usage("the counter gives up".into())),
                Fault::Flood => {
                    for _ in 0..=MOST_AT_ONCE {
                        outbox.publish(&Round { number: 1000, steps: 0 })?;
                    }
                }
                Fault::Harm | Fault::None => {}
            }
        }
        let harm = matches!(self.fault, (Fault::Harm, at) if at == round);
        let gain = if harm { -1.0 } else { 1.0 };
        let done =
            Done { role: self.name.into(), task: 0, steps: 1, updates: 0, before: None, after: None, gain };
        outbox.publish(&done)?;
        let mut value = Checkpoint::new();
        value.insert("count", TensorData::u64(&[1], &[self.count])?);
        outbox.propose("count", value, self.count as f64);
        Ok(outbox)
    }

    fn score(&mut self, work: &Done, _proposals: &[Proposal], _view: &View) -> Result<Option<f64>> {
        Ok(Some(work.gain))
    }

    fn save(&self) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::new();
        checkpoint.insert("count", TensorData::u64(&[1], &[self.count])?);
        Ok(checkpoint)
    }

    fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.count = checkpoint.counter("count")?;
        Ok(())
    }
}

/// Two counters, the second with a fault, for so many rounds; the log and the state at the end.
fn run(fault: Fault, at: u64, rounds: u64) -> (Vec<Envelope>, Checkpoint, Supervisor) {
    let log = MemoryLog::default();
    let broker = Broker::new(Box::new(log.clone()));
    let board = Arc::new(Blackboard::new(4).unwrap());
    // Only a role that hangs is waited for.
    let patience = Duration::from_millis(if matches!(fault, Fault::Hang) { 100 } else { 60_000 });
    let care = Care { patience, ..Care::default() };
    let mut supervisor = Supervisor::new(broker.clone(), board.clone(), care);
    for (name, fault) in [("first", (Fault::None, 0)), ("second", (fault, at))] {
        supervisor.appoint(Box::new(move || Ok(Box::new(Counter { name, count: 0, fault })))).unwrap();
    }
    for number in 0..rounds {
        broker.publish(SUPERVISOR, &Round { number, steps: 1 }).unwrap();
        let view = View { board: board.snapshot(), round: number, ..View::default() };
        supervisor.settle(&view).unwrap();
    }
    let mut state = Checkpoint::new();
    supervisor.save(&mut state).unwrap();
    board.save(&mut state).unwrap();
    (log.messages(), state, supervisor)
}

fn count(state: &Checkpoint, role: &str) -> u64 {
    state.counter(&format!("role/{role}/count")).unwrap()
}

#[test]
fn whoever_fails_goes_on_from_its_last_good_version_and_so_does_the_run() {
    let cases = [
        (Fault::Panic, "it panicked: the counter stumbles"),
        (Fault::Hang, "it gave no answer within 100ms"),
        (Fault::Error, "the counter gives up"),
        (Fault::Harm, "the others score its work -1.000"),
        (Fault::Flood, "it says 1026 messages at once"),
    ];
    for (fault, cause) in cases {
        let (log, state, supervisor) = run(fault, 2, 6);
        assert_eq!(supervisor.restarts(), 1, "{cause}");
        // Of six rounds one was lost, and not what was counted before it.
        assert_eq!(count(&state, "second"), 5, "{cause}");
        let told: Vec<Restarted> = log.iter().filter_map(|m| m.read().unwrap()).collect();
        assert_eq!(told.len(), 1);
        assert!(told[0].role == "second" && told[0].cause.contains(cause), "{}", told[0].cause);
        assert!(log.iter().enumerate().all(|(i, m)| m.sequence == i as u64));
    }
}

#[test]
fn of_rivals_the_better_is_kept_and_the_log_says_so() {
    let (log, state, _) = run(Fault::Panic, 2, 6);
    let conflicts: Vec<Conflict> = log.iter().filter_map(|m| m.read().unwrap()).collect();
    // In all rounds but the one in which the second failed; of equal scores the first's.
    assert_eq!(conflicts.len(), 5);
    assert!(conflicts.iter().all(|c| c.name == "count" && c.kept == "first" && c.dropped == ["second"]));
    assert_eq!(state.counter("board/count/6/count").unwrap(), 6);
}

#[test]
fn the_same_run_says_the_same_and_one_that_was_resumed_too() {
    let (log, state, _) = run(Fault::Panic, 1, 4);
    let (again, same, _) = run(Fault::Panic, 1, 4);
    assert!(log == again && state == same);
    let (_, half, _) = run(Fault::Panic, 1, 2);
    let (broker, board) = (Broker::in_memory(), Arc::new(Blackboard::new(4).unwrap()));
    let mut supervisor = Supervisor::new(broker.clone(), board.clone(), Care::default());
    for name in ["first", "second"] {
        let fault = (Fault::None, 0);
        supervisor.appoint(Box::new(move || Ok(Box::new(Counter { name, count: 0, fault })))).unwrap();
    }
    supervisor.load(&half).unwrap();
    board.load(&half).unwrap();
    for number in 2..4 {
        broker.publish(SUPERVISOR, &Round { number, steps: 1 }).unwrap();
        let view = View { board: board.snapshot(), round: number, ..View::default() };
        supervisor.settle(&view).unwrap();
    }
    let mut resumed = Checkpoint::new();
    supervisor.save(&mut resumed).unwrap();
    board.save(&mut resumed).unwrap();
    assert_eq!(resumed, state);
}

#[test]
fn a_role_that_never_works_ends_the_run_with_its_cause() {
    struct Broken;
    impl Role for Broken {
        fn name(&self) -> &str {
            "broken"
        }
        fn topics(&self) -> Vec<&'static str> {
            vec![Round::TOPIC]
        }
        fn handle(&mut self, _: &Envelope, _: &View) -> Result<Outbox> {
            panic!("again")
        }
        fn save(&self) -> Result<Checkpoint> {
            Ok(Checkpoint::new())
        }
        fn load(&mut self, _: &Checkpoint) -> Result<()> {
            Ok(())
        }
    }
    let broker = Broker::in_memory();
    let board = Arc::new(Blackboard::new(1).unwrap());
    let care = Care { most_failures: 2, ..Care::default() };
    let mut supervisor = Supervisor::new(broker.clone(), board, care);
    supervisor.appoint(Box::new(|| Ok(Box::new(Broken)))).unwrap();
    assert!(
        supervisor.appoint(Box::new(|| Ok(Box::new(Broken)))).unwrap_err().to_string().contains("`broken`")
    );
    let mut outcomes = (0..3).map(|number| {
        broker.publish(SUPERVISOR, &Round { number, steps: 1 }).unwrap();
        supervisor.settle(&View::default())
    });
    assert!(outcomes.next().unwrap().is_ok() && outcomes.next().unwrap().is_ok());
    let error = outcomes.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("broken") && error.contains("3 rounds") && error.contains("again"), "{error}");
}
