//! Runs roles, each on a thread of its own, one after another in the order in which they were appointed: no clock decides
//! who is heard first. Those that fail start again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::blackboard::Blackboard;
use super::broker::{Broker, Envelope, Inbox, Overflow};
use super::messages::{Conflict, Done, Restarted, Score};
use super::role::{Outbox, Proposal, Role, View, pack, unpack};
use crate::error::{Error, Result};
use crate::tensors::Checkpoint;

/// Who speaks where the supervisor does.
pub const SUPERVISOR: &str = "supervisor";
/// Messages that a role may have waiting.
const QUEUE: usize = 4096;
/// Messages that a role may answer one message with.
const MOST_AT_ONCE: usize = 1024;
/// Messages of one round at most: roles that answer each other for ever are stopped there.
const MOST_MESSAGES: usize = 100_000;

/// Makes a role as it is at the start of a run.
pub type Maker = Box<dyn Fn() -> Result<Box<dyn Role>> + Send + Sync>;

/// How roles are looked after.
#[derive(Debug, Clone, PartialEq)]
pub struct Care {
    /// How long a role may take over one message.
    pub patience: Duration,
    /// Rounds in a row in which a role may fail; after more of them the run ends with an error.
    pub most_failures: u32,
    /// A role whose work the others score below this on average goes back to its last good version.
    pub least_score: f64,
}

impl Default for Care {
    /// Ten minutes a message, five rounds, -0.5.
    fn default() -> Self {
        Care { patience: Duration::from_secs(600), most_failures: 5, least_score: -0.5 }
    }
}

/// What a role is asked to do.
enum Order {
    Handle(Envelope, View),
    Score(Done, Arc<Vec<Proposal>>, View),
    Resolve(Vec<Proposal>, View),
    Save,
    Load(Checkpoint),
}

enum Answer {
    Outbox(Outbox),
    Score(Option<f64>),
    Choice(Option<usize>),
    State(Checkpoint),
    Loaded,
}

/// A role on its thread. One that hangs keeps its thread, and nobody listens to it any more.
struct Worker {
    orders: Sender<Order>,
    answers: Receiver<Result<Answer, String>>,
}

impl Worker {
    fn start(mut role: Box<dyn Role>) -> Result<Self> {
        let (orders, inbox) = channel();
        let (outbox, answers) = channel();
        let name = format!("role {}", role.name());
        let work = move || {
            for order in inbox {
                let done = catch_unwind(AssertUnwindSafe(|| obey(role.as_mut(), order)));
                let (answer, fit) = match done {
                    Ok(answer) => (answer.map_err(|e| e.to_string()), true),
                    Err(payload) => (Err(format!("it panicked: {}", words(payload.as_ref()))), false),
                };
                if outbox.send(answer).is_err() || !fit {
                    return;
                }
            }
        };
        let spawned = std::thread::Builder::new().name(name.clone()).spawn(work);
        spawned.map_err(|e| Error::Usage(format!("no thread for the {name}: {e}")))?;
        Ok(Worker { orders, answers })
    }

    fn ask(&self, order: Order, patience: Duration) -> Result<Answer, String> {
        self.orders.send(order).map_err(|_| "its thread has ended".to_string())?;
        match self.answers.recv_timeout(patience) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => Err(format!("it gave no answer within {patience:?}")),
            Err(RecvTimeoutError::Disconnected) => Err("its thread has ended".into()),
        }
    }
}

fn obey(role: &mut dyn Role, order: Order) -> Result<Answer> {
    Ok(match order {
        Order::Handle(message, view) => Answer::Outbox(role.handle(&message, &view)?),
        Order::Score(work, proposals, view) => Answer::Score(role.score(&work, &proposals, &view)?),
        Order::Resolve(proposals, view) => Answer::Choice(role.resolve(&proposals, &view)?),
        Order::Save => Answer::State(role.save()?),
        Order::Load(checkpoint) => role.load(&checkpoint).map(|()| Answer::Loaded)?,
    })
}

/// What a panic says.
fn words(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

/// A place in the team.
struct Post {
    name: String,
    make: Maker,
    worker: Worker,
    inbox: Inbox,
    /// Its last good version.
    good: Checkpoint,
    restarts: u64,
    /// Rounds in a row in which it failed.
    failures: u32,
    failed: bool,
    /// It has handled something since its last good version.
    busy: bool,
}

/// What a round came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settled {
    /// Work that was done, in order.
    pub done: Vec<Done>,
    /// The mean score of each role whose work others scored.
    pub scores: Vec<(String, f64)>,
}

/// Roles at work.
pub struct Supervisor {
    broker: Broker,
    board: Arc<Blackboard>,
    posts: Vec<Post>,
    care: Care,
}

impl Supervisor {
    /// Without roles yet.
    pub fn new(broker: Broker, board: Arc<Blackboard>, care: Care) -> Self {
        Supervisor { broker, board, posts: Vec::new(), care }
    }

    /// Appoints a role, behind those that are there.
    ///
    /// # Errors
    /// The role cannot be made, or there is one of that name.
    pub fn appoint(&mut self, make: Maker) -> Result<()> {
        let role = make()?;
        let (name, topics) = (role.name().to_string(), role.topics());
        if name == SUPERVISOR || self.posts.iter().any(|post| post.name == name) {
            return Err(Error::Usage(format!("there is a role called `{name}` already")));
        }
        let good = role.save()?;
        let inbox = self.broker.inbox(&name, &topics, QUEUE, Overflow::Refuse)?;
        let worker = Worker::start(role)?;
        let (restarts, failures, failed, busy) = (0, 0, false, false);
        self.posts.push(Post { name, make, worker, inbox, good, restarts, failures, failed, busy });
        Ok(())
    }

    /// The roles' names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.posts.iter().map(|post| post.name.as_str())
    }

    /// How often roles were started again.
    pub fn restarts(&self) -> u64 {
        self.posts.iter().map(|post| post.restarts).sum()
    }

    /// Has roles handle messages until nobody has anything to say, settles what they propose and score each other for.
    ///
    /// # Errors
    /// A role failed in too many rounds in a row, with its last cause; roles that talk without end; a log that cannot be
    /// written.
    pub fn settle(&mut self, view: &View) -> Result<Settled> {
        let (mut done, mut proposals) = (Vec::new(), Vec::new());
        let mut handled = 0;
        loop {
            let before = handled;
            for at in 0..self.posts.len() {
                while let Some(envelope) = self.posts[at].inbox.next(Duration::ZERO) {
                    handled += 1;
                    if handled > MOST_MESSAGES {
                        return Err(Error::Usage(format!(
                            "round {}: roles have said {MOST_MESSAGES} messages and come to no end",
                            view.round
                        )));
                    }
                    self.posts[at].busy = true;
                    match self.ask(at, Order::Handle(envelope, view.clone())) {
                        Ok(Answer::Outbox(outbox)) => {
                            self.post(at, outbox, view, &mut done, &mut proposals)?;
                        }
                        Ok(_) => {}
                        Err(cause) => self.restart(at, &cause)?,
                    }
                }
            }
            if handled == before {
                break;
            }
        }
        let proposals = Arc::new(proposals);
        let scores = self.score(&done, &proposals, view)?;
        let spoiled: Vec<&str> = scores
            .iter()
            .filter(|(_, score)| *score < self.care.least_score)
            .map(|(name, _)| name.as_str())
            .collect();
        self.commit(&proposals, &spoiled, view)?;
        for (name, score) in &scores {
            if *score < self.care.least_score
                && let Some(at) = self.posts.iter().position(|post| post.name == *name)
            {
                self.restart(at, &format!("the others score its work {score:.3}"))?;
            }
        }
        self.keep_good()?;
        Ok(Settled { done, scores })
    }

    fn ask(&self, at: usize, order: Order) -> Result<Answer, String> {
        self.posts[at].worker.ask(order, self.care.patience)
    }

    /// Hands out what a role answered. A role that floods the others has failed.
    fn post(
        &mut self,
        at: usize,
        outbox: Outbox,
        view: &View,
        done: &mut Vec<Done>,
        proposals: &mut Vec<Proposal>,
    ) -> Result<()> {
        let by = self.posts[at].name.clone();
        let count = outbox.messages.len();
        if count > MOST_AT_ONCE {
            return self.restart(at, &format!("it says {count} messages at once, of {MOST_AT_ONCE} at most"));
        }
        for (topic, body) in outbox.messages {
            let report = (topic == <Done as super::broker::Message>::TOPIC)
                .then(|| serde_json::from_value::<Done>(body.clone()).ok())
                .flatten();
            match self.broker.publish_value(&by, &topic, None, body) {
                Ok(_) => done.extend(report),
                Err(error @ Error::Usage(_)) => return self.restart(at, &error.to_string()),
                Err(error) => return Err(error),
            }
        }
        for (name, value, score) in outbox.proposals {
            let based_on = view.board.version(&name);
            proposals.push(Proposal { name, by: by.clone(), based_on, value, score });
        }
        Ok(())
    }

    /// Starts a role again from its last good version.
    fn restart(&mut self, at: usize, cause: &str) -> Result<()> {
        let post = &mut self.posts[at];
        post.restarts += 1;
        if !post.failed {
            post.failures += 1;
            post.failed = true;
        }
        let name = post.name.clone();
        tracing::warn!("the role {name} starts again from its last good version: {cause}");
        if post.failures > self.care.most_failures {
            let rounds = post.failures;
            return Err(Error::Usage(format!("the role {name} failed in {rounds} rounds in a row: {cause}")));
        }
        let role = (post.make)()?;
        post.worker = Worker::start(role)?;
        let loaded = post.worker.ask(Order::Load(post.good.clone()), self.care.patience);
        loaded
            .map_err(|e| Error::Usage(format!("the role {name} does not take up its last version: {e}")))?;
        self.broker.publish(SUPERVISOR, &Restarted { role: name, cause: cause.to_string() })?;
        Ok(())
    }

    /// Has every role score the work of the others; the mean for each.
    fn score(
        &mut self,
        done: &[Done],
        proposals: &Arc<Vec<Proposal>>,
        view: &View,
    ) -> Result<Vec<(String, f64)>> {
        let mut sums: Vec<(String, f64, f64)> = Vec::new();
        for work in done {
            for at in 0..self.posts.len() {
                if self.posts[at].name == work.role {
                    continue;
                }
                let order = Order::Score(work.clone(), proposals.clone(), view.clone());
                let value = match self.ask(at, order) {
                    Ok(Answer::Score(Some(value))) if value.is_finite() => value.clamp(-1.0, 1.0),
                    Ok(_) => continue,
                    Err(cause) => {
                        self.restart(at, &cause)?;
                        continue;
                    }
                };
                let by = self.posts[at].name.clone();
                self.broker.publish(&by, &Score { of: work.role.clone(), value })?;
                match sums.iter_mut().find(|(name, ..)| *name == work.role) {
                    Some((_, sum, count)) => (*sum, *count) = (*sum + value, *count + 1.0),
                    None => sums.push((work.role.clone(), value, 1.0)),
                }
            }
        }
        Ok(sums.into_iter().map(|(name, sum, count)| (name, sum / count)).collect())
    }

    /// Writes what was proposed to the blackboard. Of several proposals for one variable the role that resolves conflicts
    /// says which, else it is the one of the highest score, of equal ones the first.
    fn commit(&mut self, proposals: &[Proposal], spoiled: &[&str], view: &View) -> Result<()> {
        let fit = |p: &&Proposal| p.score.is_finite() && !spoiled.contains(&p.by.as_str());
        let mut names: Vec<&str> = Vec::new();
        for proposal in proposals.iter().filter(fit) {
            if !names.contains(&proposal.name.as_str()) {
                names.push(&proposal.name);
            }
        }
        for name in names {
            let rivals: Vec<Proposal> =
                proposals.iter().filter(fit).filter(|p| p.name == name).cloned().collect();
            let kept = if rivals.len() > 1 { self.resolve(&rivals, view)? } else { 0 };
            let Proposal { by, based_on, value, .. } = rivals[kept].clone();
            if rivals.len() > 1 {
                let others = rivals.iter().enumerate().filter(|(i, _)| *i != kept);
                let dropped = others.map(|(_, p)| p.by.clone()).collect();
                let conflict = Conflict { name: name.to_string(), kept: by.clone(), dropped };
                self.broker.publish(SUPERVISOR, &conflict)?;
            }
            self.board.compare_and_swap(name, based_on, &by, value)?;
        }
        Ok(())
    }

    fn resolve(&mut self, rivals: &[Proposal], view: &View) -> Result<usize> {
        for at in 0..self.posts.len() {
            match self.ask(at, Order::Resolve(rivals.to_vec(), view.clone())) {
                Ok(Answer::Choice(Some(kept))) if kept < rivals.len() => return Ok(kept),
                Ok(_) => {}
                Err(cause) => self.restart(at, &cause)?,
            }
        }
        let best = |best: usize, at: usize| if rivals[at].score > rivals[best].score { at } else { best };
        Ok((0..rivals.len()).fold(0, best))
    }

    /// Notes what every role that did something and did not fail is now: its last good version.
    fn keep_good(&mut self) -> Result<()> {
        for at in 0..self.posts.len() {
            if self.posts[at].failed {
                // Whatever it did since stands behind its last good version.
                let post = &mut self.posts[at];
                (post.failed, post.busy) = (false, false);
                let good = post.good.clone();
                if let Err(cause) = self.ask(at, Order::Load(good)) {
                    self.restart(at, &cause)?;
                }
                continue;
            }
            self.posts[at].failures = 0;
            if std::mem::take(&mut self.posts[at].busy) {
                match self.ask(at, Order::Save) {
                    Ok(Answer::State(state)) => self.posts[at].good = state,
                    Ok(_) => {}
                    Err(cause) => {
                        self.restart(at, &cause)?;
                        self.posts[at].failed = false;
                    }
                }
            }
        }
        Ok(())
    }

    /// Everything that the roles are, between rounds, under `role/NAME/`.
    ///
    /// # Errors
    /// None but serde's.
    pub fn save(&self, checkpoint: &mut Checkpoint) -> Result<()> {
        for post in &self.posts {
            let mut state = post.good.clone();
            state.set("supervisor.restarts", post.restarts);
            state.set("supervisor.failures", post.failures);
            pack(checkpoint, &format!("role/{}", post.name), state)?;
        }
        Ok(())
    }

    /// Takes up what [`Supervisor::save`] gave.
    ///
    /// # Errors
    /// A role is missing or does not take up its state.
    pub fn load(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let mut states = Vec::new();
        for post in &self.posts {
            let mut state = unpack(checkpoint, &format!("role/{}", post.name))?;
            let (restarts, failures) = (state.get("supervisor.restarts")?, state.get("supervisor.failures")?);
            state.metadata.retain(|name, _| !name.starts_with("supervisor."));
            states.push((state, restarts, failures));
        }
        for (at, (state, restarts, failures)) in states.into_iter().enumerate() {
            let loaded = self.ask(at, Order::Load(state.clone()));
            let post = &mut self.posts[at];
            loaded.map_err(|e| Error::Usage(format!("the role {}: {e}", post.name)))?;
            (post.good, post.restarts, post.failures) = (state, restarts, failures);
            (post.failed, post.busy) = (false, false);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
