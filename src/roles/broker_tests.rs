use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Number(u64);

impl Message for Number {
    const TOPIC: &'static str = "number";
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Question(u64);

impl Message for Question {
    const TOPIC: &'static str = "question";
}

impl Request for Question {
    type Reply = Number;
}

fn numbers(inbox: &Subscription<Number>) -> Vec<u64> {
    std::iter::from_fn(|| inbox.next(Duration::ZERO).unwrap()).map(|(_, number)| number.0).collect()
}

#[test]
fn all_see_what_many_say_in_the_order_of_the_log() {
    let log = MemoryLog::default();
    let broker = Broker::new(Box::new(log.clone()));
    let inboxes: Vec<_> =
        (0..3).map(|_| broker.subscribe::<Number>("reader", 1000, Overflow::Refuse).unwrap()).collect();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let broker = broker.clone();
            scope.spawn(move || {
                for i in 0..100 {
                    broker.publish(&format!("writer{writer}"), &Number(100 * writer + i)).unwrap();
                }
            });
        }
    });
    let logged: Vec<u64> = log.messages().iter().map(|m| m.read::<Number>().unwrap().unwrap().0).collect();
    assert_eq!(logged.len(), 400);
    assert!(log.messages().iter().enumerate().all(|(i, m)| m.sequence == i as u64));
    for inbox in &inboxes {
        assert_eq!(numbers(inbox), logged);
    }
    // What each said stays in its order.
    for writer in 0..4 {
        let own: Vec<u64> = logged.iter().copied().filter(|n| n / 100 == writer).collect();
        assert!(own.is_sorted() && own.len() == 100);
    }
}

#[test]
fn a_full_queue_does_what_its_owner_said() {
    let log = MemoryLog::default();
    let broker = Broker::new(Box::new(log.clone()));
    let strict = broker.subscribe::<Number>("strict", 2, Overflow::Refuse).unwrap();
    for i in 0..2 {
        broker.publish("a", &Number(i)).unwrap();
    }
    let error = broker.publish("a", &Number(2)).unwrap_err().to_string();
    assert!(error.contains("strict") && error.contains("full with 2"), "{error}");
    // Refused for one is refused for all: the log and the queues agree.
    assert_eq!((log.messages().len(), numbers(&strict)), (2, vec![0, 1]));
    drop(strict);
    let latest = broker.subscribe::<Number>("latest", 2, Overflow::DropOldest).unwrap();
    for i in 10..15 {
        broker.publish("a", &Number(i)).unwrap();
    }
    assert_eq!((latest.dropped(), numbers(&latest), log.messages().len()), (3, vec![13, 14], 7));
    drop(latest);
    assert!(broker.subscribe::<Number>("none", 0, Overflow::Refuse).is_err());
}

#[test]
fn who_blocks_waits_for_room_and_not_for_ever() {
    let broker = Broker::in_memory();
    let patience = Duration::from_millis(30);
    let slow = broker.subscribe::<Number>("slow", 1, Overflow::Block(patience)).unwrap();
    broker.publish("a", &Number(0)).unwrap();
    let error = broker.publish("a", &Number(1)).unwrap_err().to_string();
    assert!(error.contains("slow") && error.contains("30ms"), "{error}");
    assert_eq!(broker.next_sequence(), 1);
    drop(slow);
    let reader = broker.subscribe::<Number>("reader", 1, Overflow::Block(Duration::from_secs(60))).unwrap();
    let writer = broker.clone();
    let written =
        std::thread::spawn(move || (0..50).try_for_each(|i| writer.publish("a", &Number(i)).map(drop)));
    let read: Vec<u64> =
        (0..50).map(|_| reader.next(Duration::from_secs(60)).unwrap().expect("a message").1.0).collect();
    written.join().unwrap().unwrap();
    assert_eq!(read, (0..50).collect::<Vec<u64>>());
}

#[test]
fn requests_are_answered_or_end_at_their_deadline() {
    let broker = Broker::in_memory();
    let questions = broker.subscribe::<Question>("sage", 4, Overflow::Refuse).unwrap();
    let sage = broker.clone();
    let answering = std::thread::spawn(move || {
        let (envelope, question) = questions.next(Duration::from_secs(60)).unwrap().expect("a question");
        sage.reply(&envelope, "sage", &Number(2 * question.0)).unwrap();
        questions
    });
    assert_eq!(broker.request("pupil", &Question(21), Duration::from_secs(60)).unwrap(), Number(42));
    let _questions = answering.join().unwrap();
    let error = broker.request("pupil", &Question(1), Duration::from_millis(10)).unwrap_err().to_string();
    assert!(error.contains("`question`") && error.contains("no answer within 10ms"), "{error}");
}

#[test]
fn a_log_replays_into_the_same_queues() {
    let log = MemoryLog::default();
    let broker = Broker::new(Box::new(log.clone()));
    let first = broker.subscribe::<Number>("reader", 10, Overflow::Refuse).unwrap();
    for i in 0..5 {
        broker.publish("a", &Number(i * i)).unwrap();
        broker.publish("b", &Question(i)).unwrap();
    }
    let (heard, recorded) = (numbers(&first), log.messages());
    let again = Broker::in_memory();
    let second = again.subscribe::<Number>("reader", 10, Overflow::Refuse).unwrap();
    again.replay(recorded.clone()).unwrap();
    assert_eq!((numbers(&second), again.next_sequence()), (heard, 10));
    assert!(again.replay(recorded).unwrap_err().to_string().contains("message 0"));
    // Back to before message 4, the next has its number.
    broker.rewind(4).unwrap();
    assert_eq!((broker.publish("a", &Number(7)).unwrap(), log.messages().len()), (4, 5));
}

#[test]
fn what_is_no_message_of_a_topic_is_an_error_that_names_it() {
    let broker = Broker::in_memory();
    let inbox = broker.subscribe::<Number>("reader", 1, Overflow::Refuse).unwrap();
    broker.publish_value("stranger", "number", None, Value::from("many")).unwrap();
    let error = inbox.next(Duration::ZERO).unwrap_err().to_string();
    assert!(error.contains("`number`") && error.contains("stranger"), "{error}");
}
