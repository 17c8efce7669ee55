use super::*;
use crate::comm::meaning::Table;
use crate::nn::initial::Stream;
use crate::picture::xml::elements;

/// An episode of random numbers in which agents come and go; some numbers are none.
fn recording(stream: &mut Stream, [steps, agents, actions]: [usize; 3], rounds: usize) -> Recording {
    let lanes = steps * agents;
    let mut odd = |count: usize| -> Vec<f32> {
        let value = |stream: &mut Stream| match stream.below(40) {
            0 => f32::NAN,
            1 => f32::INFINITY,
            2 => -1e30,
            _ => stream.normal() as f32,
        };
        (0..count).map(|_| value(stream)).collect()
    };
    let (features, heads) = (3, 2);
    let rounds: Vec<Round> = (0..rounds)
        .map(|_| Round { features, said: odd(lanes * features), heads, ..Round::default() })
        .collect();
    let (rewards, values, preferences) = (odd(lanes), odd(lanes), odd(lanes * actions));
    let (bonuses, positions) = (odd(lanes), odd(lanes * 2));
    let importance = Counted {
        samples: 4,
        removed: odd(lanes * agents),
        marginal: odd(lanes * agents),
        value: odd(lanes * agents),
    };
    let table = |values: u32| Table::count(&[0, 1, 1, 2], &[0, 1, values, 1], [3, 1 + values as usize]);
    let speech = Speech {
        kind: "<prey>".into(),
        symbols_are: "words",
        symbols: ["yes", "no", "a < b"].map(String::from).to_vec(),
        counts: vec![1, 2, 1],
        lines: 8,
        sent: 4,
        facts: [1, 2, 300].map(|n| FactTable { name: "f & g".into(), table: table(n) }).to_vec(),
        signalling: table(actions as u32),
        topographic: Some((0.5, 4)),
        ..Speech::default()
    };
    let listening = Some(Listening { marginal: 0.1, pairs: 3, steps: 2 });
    let meaning = Meaning { episodes: 2, steps: 8, speech: vec![speech; 12], listening };
    let mut flags = |count: usize| -> Vec<bool> { (0..count).map(|_| stream.below(3) > 0).collect() };
    let (mut present, allowed) = (flags(lanes), flags(lanes * actions));
    present[0] = true;
    let link = |stream: &mut Stream| Link {
        from: stream.below(agents) as u32,
        to: stream.below(agents) as u32,
        weights: (0..rounds.len() * heads).map(|_| stream.uniform() as f32).collect(),
    };
    Recording {
        title: "a < b & c".into(),
        agents,
        names: (0..agents)
            .map(|agent| format!("{} {agent}", if agent < 2 { "hunter" } else { "<prey>" }))
            .collect(),
        choices: vec![actions],
        action_names: vec![(0..actions).map(|action| format!("do & {action}")).collect()],
        arcs: 3,
        steps,
        present,
        taken: (0..lanes).map(|_| stream.below(actions) as u32).collect(),
        rewards,
        values,
        preferences,
        values_of_actions: stream.below(2) == 0,
        allowed,
        bonuses: Some(("RND".into(), bonuses)),
        graph: Some(Links {
            dimensions: 2,
            positions,
            edges: (0..steps).map(|_| (0..2 * agents).map(|_| link(stream)).collect()).collect(),
            learned: true,
        }),
        rounds,
        importance: Some(importance),
        meaning: Some(meaning),
        ..Recording::default()
    }
}

#[test]
fn odd_episodes_are_drawn_with_all_their_numbers() {
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
    let mut stream = Stream::new(seed);
    for sizes in [[1, 1, 1], [2, 3, 5], [30, 7, 2], [600, 2, 40], [3, MOST_LISTENERS + 1, 4]] {
        for rounds in [1, 3, 10] {
            let mut recording = recording(&mut stream, sizes, rounds);
            // Some number must be there to be drawn.
            recording.bonuses.as_mut().unwrap().1[0] = 1.0;
            let found = pages(&recording, 4).unwrap();
            let names: Vec<&str> = found.iter().map(|page| page.name).collect();
            let said = names.contains(&"messages");
            assert!(said || sizes[0] <= 2, "seed {seed}, {sizes:?}: {names:?}");
            assert_eq!(names.contains(&"attention"), sizes[1] <= MOST_LISTENERS, "{names:?}");
            assert!(
                ["values", "intrinsic", "graph", "importance", "meaning"]
                    .iter()
                    .all(|name| names.contains(name)),
                "{names:?}"
            );
            for page in &found {
                let elements = elements(&page.svg);
                assert!(elements.iter().any(|e| e.text.contains("a < b & c")), "seed {seed}: {}", page.name);
            }
            let rewards = found[0].json["rewards"].as_array().unwrap();
            for (i, reward) in recording.rewards.iter().enumerate() {
                let written = rewards[i / sizes[1]][i % sizes[1]].as_f64();
                let expected = Some(*reward).filter(|r| recording.present[i] && r.is_finite());
                assert_eq!(written.map(|r| r as f32), expected, "seed {seed}");
            }
        }
    }
}

/// A move, a word and two numbers; and numbers alone.
#[test]
fn actions_of_several_parts_are_drawn_with_their_numbers() {
    let mut stream = Stream::new(3);
    let mut several = recording(&mut stream, [12, 2, 5], 1);
    several.present.fill(true);
    several.choices = vec![2, 3];
    several.taken = (0..24).flat_map(|i| [i % 2, i % 3]).collect();
    (several.floats, several.numbers) = (2, (0..48).map(|i| i as f32).collect());
    let page = &pages(&several, 3).unwrap()[0];
    assert_eq!(page.json["actions"][2][1], serde_json::json!([1, 2, 10.0, 11.0]));
    assert!(page.svg.contains("action, number 1"));
    let page = pages(&several, 3).unwrap().into_iter().find(|page| page.name == "messages").unwrap();
    let clusters = page.json["rounds"][0]["clusters"].as_array().unwrap().clone();
    let total = |name: &str| -> u64 {
        let lists = clusters.iter().flat_map(|cluster| cluster[name].as_array().unwrap());
        lists.map(|count| count.as_u64().unwrap()).sum()
    };
    // One option of each of two choices.
    assert_eq!(total("by_action"), 2 * total("by_agent"));

    let mut numbers = several.clone();
    (numbers.choices, numbers.taken) = (Vec::new(), Vec::new());
    (numbers.preferences, numbers.allowed) = (Vec::new(), Vec::new());
    let page = &pages(&numbers, 3).unwrap()[0];
    assert_eq!(page.json["actions"][0][1], serde_json::json!([2.0, 3.0]));
    assert!(page.svg.contains("action, do &amp; 1"));
    numbers.action_names.clear();
    assert!(pages(&numbers, 3).unwrap()[0].svg.contains("action, number 0"));
}

#[test]
fn agents_and_actions_have_their_names() {
    let mut stream = Stream::new(3);
    let recording = recording(&mut stream, [6, 3, 4], 1);
    let pages = pages(&recording, 2).unwrap();
    let words = |name: &str| -> Vec<String> {
        let page = pages.iter().find(|page| page.name == name).unwrap();
        elements(&page.svg).into_iter().map(|e| e.text).collect()
    };
    let has =
        |page: &str, part: &str| assert!(words(page).iter().any(|w| w.contains(part)), "{page}: {part}");
    has("values", "hunter 1");
    has("values", "do & 3");
    has("intrinsic", "<prey> 2");
    has("messages", "with do & ");
    has("attention", "0 to 1 are hunter, 2 is <prey>");
    // Without names there are numbers.
    let plain = Recording { names: Vec::new(), action_names: Vec::new(), ..recording.clone() };
    assert_eq!((plain.name_of(1), plain.name_of_action(1, 2)), ("agent 1".to_string(), "2".to_string()));
    let each = vec![vec!["a".to_string()], Vec::new(), vec!["b".to_string()]];
    let each = Recording { action_names: each, ..recording };
    assert_eq!([0, 1, 2].map(|agent| each.name_of_action(agent, 0)), ["a", "0", "b"]);
}

/// What messages count and mean is in the pictures too; a mean is that over the steps at which both are there.
#[test]
fn what_messages_count_and_mean_is_drawn() {
    let mut stream = Stream::new(8);
    let mut two = recording(&mut stream, [3, 2, 2], 1);
    // Agent 1 is away at the second step.
    two.present = vec![true, true, true, false, true, true];
    let map = |to_first: f32, to_second: f32| vec![0.0, to_first, to_second, 0.0];
    let steps = [map(0.25, 1.0), map(9.0, 9.0), map(0.75, 2.0)].concat();
    two.importance =
        Some(Counted { samples: 1, removed: steps.clone(), marginal: steps.clone(), value: steps });
    let pages = pages(&two, 2).unwrap();
    let page = |name: &str| pages.iter().find(|page| page.name == name).unwrap();
    let words =
        |name: &str| -> Vec<String> { elements(&page(name).svg).into_iter().map(|e| e.text).collect() };
    let found = &page("importance").json["marginal"];
    assert_eq!(found["edges"], serde_json::json!([[null, 0.5], [1.5, null]]));
    assert_eq!(found["speakers"], serde_json::json!([1.5, 0.5]));
    assert!(words("importance").iter().any(|w| w == "1.50"), "{:?}", words("importance"));
    let speech = &page("meaning").json["speech"][0];
    assert_eq!(speech["facts"][0]["table"], serde_json::json!([[1, 0], [0, 2], [0, 1]]));
    let drawn = words("meaning");
    for part in ["Fact `f & g`: 0.811 bits", "a < b (1)", "Topographic similarity: 0.500", "0.1000 nats"] {
        assert!(drawn.iter().any(|w| w.contains(part)), "{part}: {drawn:?}");
    }
}

/// Many messages are in the groups that some of them make.
#[test]
fn all_messages_are_in_the_nearest_group() {
    let values: Vec<f32> =
        (0..10_000).map(|i| if i % 4 == 0 { 5.0 } else { -5.0 } + (i % 7) as f32 * 0.01).collect();
    let of = groups(&values, 1, 2);
    assert!(of.iter().enumerate().all(|(i, group)| *group == usize::from(i % 4 == 0)));
    assert_eq!(groups(&values[..3], 1, 2), [1, 0, 0]);
    assert!(groups(&[], 2, 3).is_empty());
}

/// Of many speakers only the strongest are drawn, in arrows that stay in their panel.
#[test]
fn arrows_are_few_and_within_their_panels() {
    let mut stream = Stream::new(4);
    let (agents, arcs) = (12, 2);
    let mut recording = recording(&mut stream, [1, agents, 2], 1);
    recording.arcs = arcs;
    recording.present.fill(true);
    let links = recording.graph.as_mut().unwrap();
    links.positions = (0..2 * agents).map(|_| stream.uniform() as f32).collect();
    let pairs = (0..agents as u32).flat_map(|from| (0..agents as u32).map(move |to| (from, to)));
    let pairs = pairs.filter(|(from, to)| from != to);
    links.edges = vec![pairs.map(|(from, to)| Link { from, to, weights: vec![0.1; 2] }).collect()];
    let page = pages(&recording, 1).unwrap().into_iter().find(|page| page.name == "graph").unwrap();
    let elements = elements(&page.svg);
    let curves: Vec<&str> = elements.iter().map(|e| e.get("d")).filter(|d| d.contains('Q')).collect();
    assert!((1..=arcs * agents).contains(&curves.len()), "{} arrows", curves.len());
    // The panel is the second frame: the first is the page.
    let panel = elements.iter().find(|e| e.get("fill") == "none" && e.name == "rect").unwrap();
    let (x, y, side) = (panel.number("x"), panel.number("y"), panel.number("width"));
    for curve in curves {
        let numbers: Vec<f32> = curve
            .split(|c: char| c.is_ascii_alphabetic() || c == ' ')
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().unwrap())
            .collect();
        for point in numbers.chunks(2) {
            let inside = (x..=x + side).contains(&point[0]) && (y..=y + side).contains(&point[1]);
            assert!(inside, "{curve} leaves {x} {y} {side}");
        }
    }
}

#[test]
fn arrays_that_do_not_fit_are_refused() {
    let mut stream = Stream::new(1);
    let whole = recording(&mut stream, [4, 3, 2], 2);
    let changes: [fn(&mut Recording); 17] = [
        |r| r.rounds[0].priorities = vec![1.0; 12],
        |r| _ = r.importance.as_mut().unwrap().marginal.pop(),
        |r| r.meaning.as_mut().unwrap().speech[3].facts[1].table.counts.push(1),
        |r| r.meaning.as_mut().unwrap().speech[0].counts.clear(),
        |r| _ = r.names.pop(),
        |r| r.action_names = vec![Vec::new(); 2],
        |r| r.steps = 0,
        |r| r.agents = usize::MAX,
        |r| r.choices = vec![3],
        |r| r.taken[5] = 2,
        |r| r.choices = vec![1, 1],
        |r| r.floats = 1,
        |r| r.rewards.truncate(3),
        |r| r.rounds[1].features = 9,
        |r| r.rounds[1].gates = vec![1.0; 12],
        |r| r.graph.as_mut().unwrap().edges[2][0].to = 3,
        |r| r.graph.as_mut().unwrap().edges[1][0].weights.clear(),
    ];
    for (i, change) in changes.iter().enumerate() {
        let mut broken = whole.clone();
        change(&mut broken);
        assert!(matches!(pages(&broken, 4), Err(Error::Usage(_))), "change {i}");
    }
    assert!(pages(&whole, 0).is_err() && pages(&whole, 17).is_err());
}
