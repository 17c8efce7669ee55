//! Messages between roles: typed topics, publish and subscribe, request and reply, bounded queues, one order for all.
//!
//! Every message gets the next number, is appended to the [`Log`] and then laid into the queues of those who subscribed to
//! its topic, all under one lock: the log and every queue have the same order. What the log holds can be replayed.
//!
//! ```
//! use std::time::Duration;
//! use synod::roles::broker::{Broker, Message, Overflow};
//! use synod::serde::{Deserialize, Serialize};
//! #[derive(Serialize, Deserialize, PartialEq, Debug)]
//! #[serde(crate = "synod::serde")]
//! struct Found { novelty: f64 }
//! impl Message for Found {
//!     const TOPIC: &'static str = "found";
//! }
//! let broker = Broker::in_memory();
//! let inbox = broker.subscribe::<Found>("archivist", 8, Overflow::Refuse)?;
//! broker.publish("explorer", &Found { novelty: 0.5 })?;
//! let (envelope, found) = inbox.next(Duration::ZERO)?.expect("a message");
//! assert_eq!((envelope.sequence, envelope.from.as_str(), found), (0, "explorer", Found { novelty: 0.5 }));
//! # Ok::<(), synod::Error>(())
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::marker::PhantomData;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// What is said on one topic.
pub trait Message: Serialize + DeserializeOwned {
    /// The topic's name.
    const TOPIC: &'static str;
}

/// A message that wants an answer.
pub trait Request: Message {
    /// The answer.
    type Reply: Message;
}

/// A message on its way, and in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Its place among all messages of the run, from 0.
    pub sequence: u64,
    /// Its topic.
    pub topic: String,
    /// Who said it.
    pub from: String,
    /// The request that it answers.
    #[serde(default)]
    pub answers: Option<u64>,
    /// What was said.
    pub body: Value,
}

impl Envelope {
    /// What was said, where it is of that topic.
    ///
    /// # Errors
    /// The topic is that of `M`, and the body is none.
    pub fn read<M: Message>(&self) -> Result<Option<M>> {
        if self.topic != M::TOPIC {
            return Ok(None);
        }
        let read = M::deserialize(&self.body);
        read.map(Some).map_err(|e| {
            Error::Usage(format!("message {} on `{}` from {}: {e}", self.sequence, self.topic, self.from))
        })
    }
}

/// Where messages are recorded.
pub trait Log: Send {
    /// Adds a message behind all others.
    ///
    /// # Errors
    /// It cannot be written: then it is not delivered either.
    fn append(&mut self, envelope: &Envelope) -> Result<()>;

    /// What was appended outlasts the process.
    ///
    /// # Errors
    /// It cannot be written.
    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    /// Forgets the messages from number `next` on: a run goes on from before them.
    ///
    /// # Errors
    /// The log is shorter, or cannot be written.
    fn cut(&mut self, next: u64) -> Result<()>;
}

/// A log in memory, to be looked at by whoever kept a copy of the handle.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog(Arc<Mutex<Vec<Envelope>>>);

impl MemoryLog {
    /// All messages so far.
    pub fn messages(&self) -> Vec<Envelope> {
        lock(&self.0).clone()
    }
}

impl Log for MemoryLog {
    fn append(&mut self, envelope: &Envelope) -> Result<()> {
        lock(&self.0).push(envelope.clone());
        Ok(())
    }

    fn cut(&mut self, next: u64) -> Result<()> {
        lock(&self.0).retain(|envelope| envelope.sequence < next);
        Ok(())
    }
}

/// What happens to a message for a queue that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// Whoever publishes waits for room, at most so long; then it is an error, and nobody has the message.
    Block(Duration),
    /// The oldest message of the queue gives way. The log still has it, and the queue counts it.
    DropOldest,
    /// An error at once, and nobody has the message.
    Refuse,
}

/// The longest that a queue may be.
pub const LONGEST_QUEUE: usize = 1 << 20;

struct Queue {
    owner: String,
    topics: Vec<String>,
    capacity: usize,
    overflow: Overflow,
    waiting: VecDeque<Envelope>,
    dropped: u64,
}

struct State {
    next: u64,
    queues: BTreeMap<u64, Queue>,
    next_queue: u64,
    /// Requests that somebody waits for, and what came.
    answers: BTreeMap<u64, Option<Envelope>>,
    log: Box<dyn Log>,
}

struct Inner {
    state: Mutex<State>,
    /// A queue has room, has a message, or an answer came.
    changed: Condvar,
}

/// Takes messages and hands them out. Copies are handles of the same broker.
#[derive(Clone)]
pub struct Broker(Arc<Inner>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Broker {
    /// A broker that records its messages there.
    pub fn new(log: Box<dyn Log>) -> Self {
        let (queues, answers) = Default::default();
        let state = Mutex::new(State { next: 0, queues, next_queue: 0, answers, log });
        Broker(Arc::new(Inner { state, changed: Condvar::new() }))
    }

    /// A broker whose log is memory.
    pub fn in_memory() -> Self {
        Self::new(Box::<MemoryLog>::default())
    }

    /// The number that the next message gets.
    pub fn next_sequence(&self) -> u64 {
        lock(&self.0.state).next
    }

    /// Messages of one topic for `owner`, at most `capacity` waiting.
    ///
    /// # Errors
    /// A capacity of 0, or over a million.
    pub fn subscribe<M: Message>(
        &self,
        owner: &str,
        capacity: usize,
        overflow: Overflow,
    ) -> Result<Subscription<M>> {
        let inbox = self.inbox(owner, &[M::TOPIC], capacity, overflow)?;
        Ok(Subscription { inbox, message: PhantomData })
    }

    /// Messages of several topics in one queue.
    ///
    /// # Errors
    /// As [`Broker::subscribe`].
    pub fn inbox(&self, owner: &str, topics: &[&str], capacity: usize, overflow: Overflow) -> Result<Inbox> {
        if !(1..=LONGEST_QUEUE).contains(&capacity) {
            return Err(Error::Usage(format!(
                "the queue of {owner}: room for 1 to {LONGEST_QUEUE} messages, not for {capacity}"
            )));
        }
        let topics = topics.iter().map(|topic| topic.to_string()).collect();
        let (owner, waiting) = (owner.to_string(), VecDeque::new());
        let mut state = lock(&self.0.state);
        let id = state.next_queue;
        state.next_queue += 1;
        state.queues.insert(id, Queue { owner, topics, capacity, overflow, waiting, dropped: 0 });
        Ok(Inbox { broker: self.clone(), id })
    }

    /// Says something to all who subscribed to its topic; the number that it got.
    ///
    /// # Errors
    /// A queue is full and does not let its oldest message go, or the log cannot be written: then nobody has the message.
    pub fn publish<M: Message>(&self, from: &str, message: &M) -> Result<u64> {
        self.publish_value(from, M::TOPIC, None, body_of(message)?)
    }

    /// As [`Broker::publish`], for what has its form already.
    ///
    /// # Errors
    /// As there.
    pub fn publish_value(&self, from: &str, topic: &str, answers: Option<u64>, body: Value) -> Result<u64> {
        let mut state = self.wait_for_room(topic)?;
        let envelope =
            Envelope { sequence: state.next, topic: topic.into(), from: from.into(), answers, body };
        state.log.append(&envelope)?;
        state.next += 1;
        deliver(&mut state, &envelope);
        if let Some(answer) = answers.and_then(|request| state.answers.get_mut(&request)) {
            answer.get_or_insert(envelope.clone());
        }
        drop(state);
        self.0.changed.notify_all();
        Ok(envelope.sequence)
    }

    /// Waits until every queue with that topic has room, as far as their owners want that.
    fn wait_for_room(&self, topic: &str) -> Result<MutexGuard<'_, State>> {
        let began = Instant::now();
        let mut state = lock(&self.0.state);
        loop {
            let full = |queue: &&Queue| {
                queue.overflow != Overflow::DropOldest
                    && queue.waiting.len() >= queue.capacity
                    && queue.topics.iter().any(|t| t == topic)
            };
            let Some(queue) = state.queues.values().find(full) else { return Ok(state) };
            let fault = |what: String| {
                let (owner, capacity) = (&queue.owner, queue.capacity);
                Err(Error::Usage(format!(
                    "the queue of {owner} is full with {capacity} messages{what}: `{topic}`"
                )))
            };
            let Overflow::Block(longest) = queue.overflow else { return fault(String::new()) };
            let Some(left) = longest.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) else {
                return fault(format!(" after {longest:?}"));
            };
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks, and waits for the first answer.
    ///
    /// # Errors
    /// As [`Broker::publish`]; nobody answers within `deadline`; the answer is none.
    pub fn request<Q: Request>(&self, from: &str, question: &Q, deadline: Duration) -> Result<Q::Reply> {
        let body = body_of(question)?;
        let began = Instant::now();
        // Its place is kept before anybody can answer.
        let mut state = self.wait_for_room(Q::TOPIC)?;
        let sequence = state.next;
        let envelope = Envelope { sequence, topic: Q::TOPIC.into(), from: from.into(), answers: None, body };
        state.log.append(&envelope)?;
        state.next += 1;
        state.answers.insert(sequence, None);
        deliver(&mut state, &envelope);
        self.0.changed.notify_all();
        let answer = loop {
            if let Some(answer) = state.answers.get_mut(&sequence).and_then(Option::take) {
                break Some(answer);
            }
            let Some(left) = deadline.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) else {
                break None;
            };
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        state.answers.remove(&sequence);
        drop(state);
        let missing =
            |why: &str| Error::Usage(format!("request {sequence} of {from} on `{}`: {why}", Q::TOPIC));
        let answer = answer.ok_or_else(|| missing(&format!("no answer within {deadline:?}")))?;
        answer.read()?.ok_or_else(|| missing(&format!("the answer is of `{}`", answer.topic)))
    }

    /// Answers a request. Where nobody waits for it any more, the answer is a message like any other.
    ///
    /// # Errors
    /// As [`Broker::publish`].
    pub fn reply<M: Message>(&self, request: &Envelope, from: &str, answer: &M) -> Result<u64> {
        self.publish_value(from, M::TOPIC, Some(request.sequence), body_of(answer)?)
    }

    /// Hands recorded messages out again to those who subscribe now, without recording them once more. Numbers go on behind
    /// the last of them.
    ///
    /// # Errors
    /// Numbers that do not rise, or that are below those given out already; a full queue, as in [`Broker::publish`].
    pub fn replay(&self, messages: impl IntoIterator<Item = Envelope>) -> Result<()> {
        for envelope in messages {
            let mut state = self.wait_for_room(&envelope.topic)?;
            if envelope.sequence < state.next {
                return Err(Error::Usage(format!(
                    "message {} cannot be replayed after message {}",
                    envelope.sequence,
                    state.next.saturating_sub(1)
                )));
            }
            state.next = envelope.sequence + 1;
            deliver(&mut state, &envelope);
            self.0.changed.notify_all();
        }
        Ok(())
    }

    /// The log is on the disk.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn sync(&self) -> Result<()> {
        lock(&self.0.state).log.sync()
    }

    /// Goes back to before message `next`: later ones are forgotten, queues are emptied.
    ///
    /// # Errors
    /// As [`Log::cut`].
    pub fn rewind(&self, next: u64) -> Result<()> {
        let mut state = lock(&self.0.state);
        state.log.cut(next)?;
        state.next = next;
        state.queues.values_mut().for_each(|queue| queue.waiting.clear());
        Ok(())
    }
}

fn body_of<M: Message>(message: &M) -> Result<Value> {
    serde_json::to_value(message)
        .map_err(|e| Error::Usage(format!("a message on `{}` has no form: {e}", M::TOPIC)))
}

fn deliver(state: &mut State, envelope: &Envelope) {
    for queue in state.queues.values_mut().filter(|queue| queue.topics.contains(&envelope.topic)) {
        if queue.waiting.len() >= queue.capacity {
            queue.waiting.pop_front();
            queue.dropped += 1;
        }
        queue.waiting.push_back(envelope.clone());
    }
}

/// The queue of one subscriber. When it is dropped the subscription ends.
pub struct Inbox {
    broker: Broker,
    id: u64,
}

impl Inbox {
    /// The next message; `None` where none comes within `timeout`.
    pub fn next(&self, timeout: Duration) -> Option<Envelope> {
        let began = Instant::now();
        let mut state = lock(&self.broker.0.state);
        loop {
            if let Some(envelope) = state.queues.get_mut(&self.id).and_then(|q| q.waiting.pop_front()) {
                drop(state);
                self.broker.0.changed.notify_all();
                return Some(envelope);
            }
            let left = timeout.checked_sub(began.elapsed()).filter(|left| !left.is_zero())?;
            let waited = self.broker.0.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Messages that gave way to later ones.
    pub fn dropped(&self) -> u64 {
        lock(&self.broker.0.state).queues.get(&self.id).map_or(0, |queue| queue.dropped)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        lock(&self.broker.0.state).queues.remove(&self.id);
        // Whoever waits for room in it waits no longer.
        self.broker.0.changed.notify_all();
    }
}

/// The queue of one subscriber to one topic.
pub struct Subscription<M: Message> {
    inbox: Inbox,
    message: PhantomData<M>,
}

impl<M: Message> Subscription<M> {
    /// The next message; `None` where none comes within `timeout`.
    ///
    /// # Errors
    /// What came on the topic is no `M`.
    pub fn next(&self, timeout: Duration) -> Result<Option<(Envelope, M)>> {
        let Some(envelope) = self.inbox.next(timeout) else { return Ok(None) };
        Ok(envelope.read::<M>()?.map(|message| (envelope, message)))
    }

    /// Messages that gave way to later ones.
    pub fn dropped(&self) -> u64 {
        self.inbox.dropped()
    }
}

#[cfg(test)]
#[path = "broker_tests.rs"]
mod tests;
