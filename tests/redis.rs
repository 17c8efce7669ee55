//! Messages between processes over a real Redis server, which is killed and comes back with nothing.
//! `cargo test --features redis --test redis`; Debian's package `redis-server`.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use synod::Result;
use synod::roles::bridge::Bridge;
use synod::roles::broker::{Broker, MemoryLog, Overflow};
use synod::roles::messages::{Round, Score, TOPICS};
use synod::roles::redis::RedisTransport;

const PATIENCE: Duration = Duration::from_secs(30);

/// A server of this test's own, which ends with it.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(port: u16, folder: &Path) -> Server {
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"])
            .current_dir(folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server starts (Debian: apt-get install redis-server)");
        Server { child, port }
    }

    fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

fn bridge(broker: &Broker, server: &Server, name: &str) -> Result<Bridge> {
    let transport = RedisTransport::connect(&server.address(), "team", true, PATIENCE)?;
    Bridge::new(broker, Box::new(transport), name, TOPICS)
}

#[test]
fn two_processes_hear_each_other_and_a_server_that_comes_back_loses_nothing() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(free_port(), folder.path());
    let logs = [MemoryLog::default(), MemoryLog::default()];
    let brokers = logs.clone().map(|log| Broker::new(Box::new(log)));
    let mut one = bridge(&brokers[0], &server, "one")?;
    let mut other = bridge(&brokers[1], &server, "other")?;
    let heard = brokers[1].subscribe::<Round>("listener", 100, Overflow::Refuse)?;
    for number in 0..10 {
        brokers[0].publish("a", &Round { number, steps: 1 })?;
        brokers[1].publish("b", &Score { of: "a".into(), value: number as f64 })?;
    }
    one.carry(Duration::ZERO)?;
    other.carry(PATIENCE)?;
    one.carry(PATIENCE)?;
    let numbers = || {
        let next = || heard.next(Duration::ZERO).ok().flatten();
        std::iter::from_fn(next).map(|(_, round)| round.number).collect::<Vec<u64>>()
    };
    assert_eq!(numbers(), (0..10).collect::<Vec<u64>>());
    // More is sent, and the server dies before anybody has read it. It forgets all.
    for number in 10..20 {
        brokers[0].publish("a", &Round { number, steps: 1 })?;
    }
    one.carry(Duration::ZERO)?;
    let port = server.port;
    drop(server);
    brokers[0].publish("a", &Round { number: 20, steps: 1 })?;
    let back = {
        let path = folder.path().to_path_buf();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            Server::start(port, &path)
        })
    };
    // It waits for the server, sends again what that has lost, and then the new.
    one.carry(Duration::ZERO)?;
    let _server = back.join().expect("a server");
    let mut got = Vec::new();
    while got.len() < 11 {
        assert!(other.carry(PATIENCE)?.received > 0);
        got.extend(numbers());
    }
    assert_eq!(got, (10..21).collect::<Vec<u64>>());
    // Nothing of it is in a log twice.
    for log in logs {
        let rounds = log.messages().iter().filter(|m| m.topic == "round").count();
        let scores = log.messages().iter().filter(|m| m.topic == "score").count();
        assert_eq!((rounds, scores), (21, 10));
    }
    Ok(())
}

#[test]
fn a_server_that_is_not_there_and_what_is_no_message_are_told() {
    let port = free_port();
    let address = format!("redis://127.0.0.1:{port}");
    let patience = Duration::from_millis(200);
    let error = RedisTransport::connect(&address, "team", true, patience).err().expect("nobody").to_string();
    assert!(error.contains(&address) && error.contains("200ms"), "{error}");
    let error =
        RedisTransport::connect("nonsense", "team", true, patience).err().expect("nobody").to_string();
    assert!(error.contains("nonsense"), "{error}");
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(port, folder.path());
    let broker = Broker::in_memory();
    let mut bridge = bridge(&broker, &server, "one").expect("a bridge");
    let stranger = Command::new("redis-cli")
        .args(["-p", &port.to_string(), "XADD", "team", "*", "parcel", "{}"])
        .output()
        .expect("redis-cli runs");
    assert!(stranger.status.success());
    let error = bridge.carry(PATIENCE).unwrap_err().to_string();
    assert!(error.contains("no message") && error.contains("`team`"), "{error}");
}
