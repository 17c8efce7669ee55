//! Messages between processes: a bridge carries topics of one broker to those of other processes, over a [`Transport`].
//!
//! Every process keeps a broker and a log of its own. What comes over a bridge is published and recorded there like anything
//! said at home, under the name of who said it; it is not carried back. A message that arrives twice counts once.
//!
//! ```
//! use std::time::Duration;
//! use synod::roles::bridge::{Bridge, Channel};
//! use synod::roles::broker::{Broker, Overflow};
//! use synod::roles::messages::{Round, TOPICS};
//! let (here, there) = Channel::pair("here", "there");
//! let (home, abroad) = (Broker::in_memory(), Broker::in_memory());
//! let mut bridge = Bridge::new(&home, Box::new(here), "here", TOPICS)?;
//! let mut other = Bridge::new(&abroad, Box::new(there), "there", TOPICS)?;
//! let heard = abroad.subscribe::<Round>("listener", 8, Overflow::Refuse)?;
//! home.publish("supervisor", &Round { number: 0, steps: 100 })?;
//! bridge.carry(Duration::ZERO)?;
//! other.carry(Duration::ZERO)?;
//! assert_eq!(heard.next(Duration::ZERO)?.expect("a message").1.steps, 100);
//! # Ok::<(), synod::Error>(())
//! ```

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::broker::{Broker, Envelope, Inbox, LONGEST_QUEUE, Overflow};
use crate::error::{Error, Result};

/// A message on its way between processes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parcel {
    /// The process that said it.
    pub origin: String,
    /// The message, with its number there.
    pub envelope: Envelope,
}

/// A way between processes that keeps the order of what each of them sends.
pub trait Transport: Send {
    /// Sends a message to all others.
    ///
    /// # Errors
    /// It cannot be sent, after all that was tried; the message is the sender's again.
    fn send(&mut self, parcel: &Parcel) -> Result<()>;

    /// What came, in order; nothing where nothing comes within `patience`. Messages of one's own may be among it.
    ///
    /// # Errors
    /// The way is broken for good, or what came is no message.
    fn receive(&mut self, patience: Duration) -> Result<Vec<Parcel>>;
}

/// A transport within one process: two ends that hear each other.
pub struct Channel {
    name: String,
    out: Sender<Parcel>,
    into: Receiver<Parcel>,
}

impl Channel {
    /// Two ends of these names.
    pub fn pair(one: &str, other: &str) -> (Channel, Channel) {
        let ((to_one, of_one), (to_other, of_other)) = (channel(), channel());
        (
            Channel { name: one.into(), out: to_other, into: of_one },
            Channel { name: other.into(), out: to_one, into: of_other },
        )
    }
}

impl Transport for Channel {
    fn send(&mut self, parcel: &Parcel) -> Result<()> {
        let name = &self.name;
        self.out.send(parcel.clone()).map_err(|_| Error::Usage(format!("{name}: the other end is gone")))
    }

    fn receive(&mut self, patience: Duration) -> Result<Vec<Parcel>> {
        let first = match self.into.recv_timeout(patience) {
            Ok(parcel) => parcel,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(Vec::new()),
        };
        Ok(std::iter::once(first).chain(self.into.try_iter()).collect())
    }
}

/// Messages that a bridge has carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// To other processes.
    pub sent: usize,
    /// From them.
    pub received: usize,
}

/// Carries topics between a broker and other processes.
pub struct Bridge {
    broker: Broker,
    transport: Box<dyn Transport>,
    name: String,
    topics: Vec<String>,
    outgoing: Inbox,
    /// A message that could not be sent yet.
    waiting: Option<Parcel>,
    /// Numbers of messages that came over this bridge: they are not carried back.
    foreign: Vec<u64>,
    /// The number of the last message of each process.
    last: BTreeMap<String, u64>,
}

impl Bridge {
    /// A bridge of a process of that name, which no other has, for these topics.
    ///
    /// # Errors
    /// An empty name.
    pub fn new(broker: &Broker, transport: Box<dyn Transport>, name: &str, topics: &[&str]) -> Result<Self> {
        if name.is_empty() {
            return Err(Error::Usage("a process at a bridge needs a name".into()));
        }
        // What is said waits here while the way is broken; whoever says more than that is told.
        let outgoing = broker.inbox(&format!("bridge of {name}"), topics, LONGEST_QUEUE, Overflow::Refuse)?;
        Ok(Bridge {
            broker: broker.clone(),
            transport,
            name: name.into(),
            topics: topics.iter().map(|topic| topic.to_string()).collect(),
            outgoing,
            waiting: None,
            foreign: Vec::new(),
            last: BTreeMap::new(),
        })
    }

    /// Sends what was said since the last time, and publishes what came; waits for that at most `patience`.
    ///
    /// # Errors
    /// As [`Transport::send`] and [`Transport::receive`]: what was not sent is kept, and the next call sends it. A full queue
    /// at home.
    pub fn carry(&mut self, patience: Duration) -> Result<Carried> {
        let mut carried = Carried::default();
        loop {
            if self.waiting.is_none() {
                let Some(envelope) = self.outgoing.next(Duration::ZERO) else { break };
                if let Some(at) = self.foreign.iter().position(|number| *number == envelope.sequence) {
                    self.foreign.swap_remove(at);
                    continue;
                }
                self.waiting = Some(Parcel { origin: self.name.clone(), envelope });
            }
            if let Some(parcel) = &self.waiting {
                self.transport.send(parcel)?;
            }
            self.waiting = None;
            carried.sent += 1;
        }
        for Parcel { origin, envelope } in self.transport.receive(patience)? {
            let known = self.last.get(&origin).is_some_and(|last| *last >= envelope.sequence);
            if origin == self.name || known || !self.topics.contains(&envelope.topic) {
                continue;
            }
            let number =
                self.broker.publish_value(&envelope.from, &envelope.topic, None, envelope.body.clone())?;
            self.foreign.push(number);
            self.last.insert(origin, envelope.sequence);
            carried.received += 1;
        }
        Ok(carried)
    }
}

#[cfg(test)]
mod tests {
    use super::super::broker::MemoryLog;
    use super::super::messages::{Round, Score, TOPICS};
    use super::*;

    #[test]
    fn what_is_said_on_either_side_is_in_both_logs_once() -> Result<()> {
        let (one, other) = Channel::pair("one", "other");
        let logs = [MemoryLog::default(), MemoryLog::default()];
        let brokers = logs.clone().map(|log| Broker::new(Box::new(log)));
        let mut bridges = [
            Bridge::new(&brokers[0], Box::new(one), "one", TOPICS)?,
            Bridge::new(&brokers[1], Box::new(other), "other", TOPICS)?,
        ];
        for number in 0..20 {
            brokers[0].publish("a", &Round { number, steps: 1 })?;
            brokers[1].publish("b", &Score { of: "a".into(), value: number as f64 })?;
            for bridge in &mut bridges {
                bridge.carry(Duration::ZERO)?;
            }
        }
        for bridge in &mut bridges {
            bridge.carry(Duration::ZERO)?;
        }
        for log in logs {
            let messages = log.messages();
            assert_eq!(messages.len(), 40);
            for (topic, from) in [("round", "a"), ("score", "b")] {
                let own: Vec<&Envelope> = messages.iter().filter(|m| m.topic == topic).collect();
                assert!(own.len() == 20 && own.iter().all(|message| message.from == from));
            }
        }
        Ok(())
    }

    /// A way that fails now and then, and then sends twice.
    struct Shaky(Channel, u32);

    impl Transport for Shaky {
        fn send(&mut self, parcel: &Parcel) -> Result<()> {
            self.1 += 1;
            match self.1 % 3 {
                0 => Err(Error::Usage("the way is broken".into())),
                1 => self.0.send(parcel),
                _ => self.0.send(parcel).and_then(|()| self.0.send(parcel)),
            }
        }

        fn receive(&mut self, patience: Duration) -> Result<Vec<Parcel>> {
            self.0.receive(patience)
        }
    }

    #[test]
    fn nothing_is_lost_or_doubled_on_a_shaky_way() -> Result<()> {
        let (one, other) = Channel::pair("one", "other");
        let (home, log) = (Broker::in_memory(), MemoryLog::default());
        let abroad = Broker::new(Box::new(log.clone()));
        let mut bridge = Bridge::new(&home, Box::new(Shaky(one, 0)), "one", TOPICS)?;
        let mut there = Bridge::new(&abroad, Box::new(other), "other", TOPICS)?;
        let mut failures = 0;
        for number in 0..30 {
            home.publish("a", &Round { number, steps: 1 })?;
            failures += u32::from(bridge.carry(Duration::ZERO).is_err());
        }
        while bridge.carry(Duration::ZERO).is_err() {}
        there.carry(Duration::ZERO)?;
        let numbers: Vec<u64> =
            log.messages().iter().filter_map(|m| m.read::<Round>().ok()?).map(|r| r.number).collect();
        assert_eq!(numbers, (0..30).collect::<Vec<u64>>());
        assert!(failures > 5);
        Ok(())
    }
}
