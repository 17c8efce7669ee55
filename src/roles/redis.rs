//! Messages between processes over a Redis server: a stream of its own for each team, which keeps the order of all.
//!
//! A server that goes away is tried again until `patience` is over. Where it comes back without what it held (it keeps
//! nothing on a disk unless told to), what this process has sent lately is sent again; who has it already takes no notice.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use redis::streams::StreamReadReply;
use redis::{Client, Connection, ErrorKind, RedisError, cmd};

use super::bridge::{Parcel, Transport};
use crate::error::{Error, Result};

/// Messages that the server keeps, about.
const KEPT: usize = 100_000;
/// Messages of one's own that are kept to be sent again.
const RECENT: usize = 4096;
/// Messages that are read at once.
const AT_ONCE: usize = 256;
/// How long it is waited between tries.
const PAUSE: Duration = Duration::from_millis(50);
/// The field of a stream's entry that holds the message.
const FIELD: &str = "parcel";

/// A stream on a Redis server.
pub struct RedisTransport {
    client: Client,
    address: String,
    stream: String,
    patience: Duration,
    connection: Option<Connection>,
    /// The last entry that was read.
    last_read: String,
    /// What was sent lately, and the entry of the last of it.
    sent: VecDeque<Parcel>,
    last_sent: Option<String>,
}

impl RedisTransport {
    /// The stream of that name on the server at `address` (`redis://host:6379`). With `from_start` everything that the server
    /// still has of it is received, else what is said from now on. A server that does not answer is tried for `patience`,
    /// now and whenever it goes away.
    ///
    /// # Errors
    /// An address that is none, or a server that does not answer.
    pub fn connect(address: &str, stream: &str, from_start: bool, patience: Duration) -> Result<Self> {
        let client = Client::open(address)
            .map_err(|e| Error::Usage(format!("{address} is no address of a server: {e}")))?;
        let mut transport = RedisTransport {
            client,
            address: address.into(),
            stream: stream.into(),
            patience,
            connection: None,
            last_read: "0-0".into(),
            sent: VecDeque::new(),
            last_sent: None,
        };
        if !from_start {
            // The last entry that there is: `$` would mean another one at every call.
            let latest: Vec<(String, Vec<String>)> = transport.ask(|connection, stream| {
                cmd("XREVRANGE").arg(stream).arg("+").arg("-").arg("COUNT").arg(1).query(connection)
            })?;
            if let Some((entry, _)) = latest.into_iter().next() {
                transport.last_read = entry;
            }
        } else {
            transport.ask(|connection, _| cmd("PING").query::<String>(connection))?;
        }
        Ok(transport)
    }

    /// Asks the server, again and again where it has gone.
    fn ask<T>(&mut self, question: impl Fn(&mut Connection, &str) -> redis::RedisResult<T>) -> Result<T> {
        let (began, stream) = (Instant::now(), self.stream.clone());
        loop {
            let asked = match self.reach() {
                Ok(connection) => question(connection, &stream),
                Err(error) => Err(error),
            };
            match asked {
                Ok(answer) => return Ok(answer),
                // What the server refuses it refuses again.
                Err(error) if !is_away(&error) => return Err(self.fault(&error)),
                Err(error) => {
                    self.connection = None;
                    if began.elapsed() >= self.patience {
                        return Err(self.fault(&error));
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    /// The connection, made anew where there is none.
    fn reach(&mut self) -> redis::RedisResult<&mut Connection> {
        if self.connection.is_none() {
            let mut connection = self.client.get_connection_with_timeout(Duration::from_secs(2))?;
            connection.set_write_timeout(Some(Duration::from_secs(10)))?;
            self.send_again(&mut connection)?;
            self.connection = Some(connection);
        }
        self.connection.as_mut().ok_or_else(|| RedisError::from((ErrorKind::Io, "no connection")))
    }

    /// Sends again what was sent lately, where the server does not have the last of it any more.
    fn send_again(&mut self, connection: &mut Connection) -> redis::RedisResult<()> {
        let Some(last) = self.last_sent.clone() else { return Ok(()) };
        let found: Vec<(String, Vec<String>)> =
            cmd("XRANGE").arg(&self.stream).arg(&last).arg(&last).query(connection)?;
        if !found.is_empty() {
            return Ok(());
        }
        for parcel in &self.sent {
            self.last_sent = Some(add(connection, &self.stream, parcel)?);
        }
        Ok(())
    }

    fn fault(&self, error: &RedisError) -> Error {
        let (address, patience) = (&self.address, self.patience);
        Error::Usage(format!(
            "the message server at {address} does not answer ({error}); tried for {patience:?}"
        ))
    }
}

/// Whether an error means that the server is away or not ready, and not that it refuses.
fn is_away(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_connection_refusal()
        || error.is_timeout()
        || matches!(error.code(), Some("LOADING" | "MASTERDOWN" | "TRYAGAIN"))
}

fn add(connection: &mut Connection, stream: &str, parcel: &Parcel) -> redis::RedisResult<String> {
    let text =
        serde_json::to_string(parcel).map_err(|_| (ErrorKind::Client, "a message has no form in JSON"))?;
    let mut command = cmd("XADD");
    command.arg(stream).arg("MAXLEN").arg("~").arg(KEPT).arg("*").arg(FIELD).arg(text);
    command.query(connection)
}

impl Transport for RedisTransport {
    fn send(&mut self, parcel: &Parcel) -> Result<()> {
        let entry = self.ask(|connection, stream| add(connection, stream, parcel))?;
        self.last_sent = Some(entry);
        self.sent.push_back(parcel.clone());
        if self.sent.len() > RECENT {
            self.sent.pop_front();
        }
        Ok(())
    }

    fn receive(&mut self, patience: Duration) -> Result<Vec<Parcel>> {
        let after = self.last_read.clone();
        let reply: StreamReadReply = self.ask(|connection, stream| {
            let mut command = cmd("XREAD");
            command.arg("COUNT").arg(AT_ONCE);
            // To block for 0 would be to wait for ever.
            if !patience.is_zero() {
                command.arg("BLOCK").arg(patience.as_millis().max(1) as u64);
            }
            connection.set_read_timeout(Some(patience + Duration::from_secs(10)))?;
            let read: Option<StreamReadReply> =
                command.arg("STREAMS").arg(stream).arg(&after).query(connection)?;
            Ok(read.unwrap_or_default())
        })?;
        let mut parcels = Vec::new();
        for entry in reply.keys.into_iter().flat_map(|key| key.ids) {
            let text: Option<String> = entry.get(FIELD);
            let parcel = text.and_then(|text| serde_json::from_str(&text).ok());
            self.last_read = entry.id;
            let strange = || {
                let (stream, entry) = (&self.stream, &self.last_read);
                Error::Usage(format!(
                    "entry {entry} of the stream `{stream}` at {} is no message",
                    self.address
                ))
            };
            parcels.push(parcel.ok_or_else(strange)?);
        }
        Ok(parcels)
    }
}
