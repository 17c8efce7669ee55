//! What messages mean: how what is said goes together with what speakers know and do.

use serde_json::{Value, json};

use super::canvas::{HEAD, LEFT, WIDTH, finish, sheet};
use super::{Page, Recording};
use crate::comm::meaning::Table;
use crate::picture::svg::{Anchor, Svg};
use crate::picture::{cut, kept};

/// Kinds that speak in rounds, of which more are not drawn, and facts of each.
const MOST_SPEECH: usize = 8;
const MOST_FACTS: usize = 3;
/// Rows and columns of a table that are drawn.
const MOST_SYMBOLS: usize = 24;
const MOST_VALUES: usize = 64;

/// What was said in some episodes, and what it means.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meaning {
    /// Episodes looked at.
    pub episodes: usize,
    /// Their steps together.
    pub steps: usize,
    /// What each kind says in each round, where it says anything that is heard.
    pub speech: Vec<Speech>,
    /// How much is made of it; `None` where that was not computed.
    pub listening: Option<Listening>,
}

/// How much messages change what hearers do (positive listening, Lowe et al. 2019, arXiv 1903.05168).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Listening {
    /// The mean importance of a message for one who can hear it, against what its speaker says at other moments; nats.
    pub marginal: f64,
    /// Pairs of hearer and speaker that this is a mean of.
    pub pairs: usize,
    /// Steps that they were in.
    pub steps: usize,
}

/// What a kind of agent says in a round of communication.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Speech {
    /// The round.
    pub round: usize,
    /// The name of the kind.
    pub kind: String,
    /// What a message was made: `words`, `bits` or, of real numbers, `groups` (clusters by k-means).
    pub symbols_are: &'static str,
    /// `[symbols]`: what they are called.
    pub symbols: Vec<String>,
    /// `[symbols]`: how often each was sent.
    pub counts: Vec<u64>,
    /// Times that an agent of the kind could have sent something, and that it did.
    pub lines: usize,
    /// Times that it did.
    pub sent: usize,
    /// Bits of a symbol, by the frequencies.
    pub entropy: f64,
    /// Bits of a step and speaker: the entropy times the share of times at which something was sent.
    pub rate: f64,
    /// Bits that a message can have; `None` for real numbers.
    pub capacity: Option<f64>,
    /// Symbols with what speakers knew of each fact of the world.
    pub facts: Vec<FactTable>,
    /// Symbols with what speakers did.
    pub signalling: Table,
    /// The similarity of messages and what their speakers knew, and of how many messages; `None` where all knew the
    /// same.
    pub topographic: Option<(f64, usize)>,
}

/// Symbols with the values of a fact.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FactTable {
    /// What the fact is called.
    pub name: String,
    /// Symbols with values.
    pub table: Table,
}

impl Meaning {
    /// Whether tables are those of their symbols.
    pub(super) fn fits(&self) -> bool {
        let whole = |table: &Table, symbols: usize| {
            table.size[0] == symbols && table.counts.len() == symbols.saturating_mul(table.size[1])
        };
        self.speech.iter().all(|speech| {
            let symbols = speech.symbols.len();
            speech.counts.len() == symbols
                && whole(&speech.signalling, symbols)
                && speech.facts.iter().all(|fact| whole(&fact.table, symbols))
        })
    }
}

pub(super) fn page(recording: &Recording) -> Option<Page> {
    let meaning = recording.meaning.as_ref()?;
    let listening = meaning
        .listening
        .map(|of| json!({ "mean_marginal_importance": of.marginal, "pairs": of.pairs, "steps": of.steps }));
    let json = recording.json(json!({
        "shape": "tables are [symbol][value]; entropies, information and its bias in bits, listening in nats; the bias \
                  is what information is on average where symbol and value have nothing to do with each other \
                  (Miller 1955), and was not taken off",
        "episodes_looked_at": meaning.episodes,
        "steps_looked_at": meaning.steps,
        "positive_listening": listening,
        "speech": meaning.speech.iter().map(speech_json).collect::<Vec<Value>>(),
    }));
    Some(Page { name: "meaning", svg: draw(recording, meaning), json })
}

fn rows(table: &Table) -> Vec<&[u64]> {
    table.counts.chunks(table.size[1].max(1)).collect()
}

fn speech_json(speech: &Speech) -> Value {
    let table = |table: &Table| {
        json!({
            "pairs": table.total(),
            "information": table.information(),
            "bias": table.bias(),
            "table": rows(table),
        })
    };
    let fact = |fact: &FactTable| {
        let mut object = table(&fact.table);
        object["name"] = json!(fact.name);
        object["entropy"] = json!(crate::comm::meaning::entropy(&fact.table.values()));
        object
    };
    json!({
        "round": speech.round,
        "kind": speech.kind,
        "symbols_are": speech.symbols_are,
        "symbols": speech.symbols,
        "counts": speech.counts,
        "times": speech.lines,
        "sent": speech.sent,
        "entropy": speech.entropy,
        "rate": speech.rate,
        "capacity": speech.capacity,
        "facts": speech.facts.iter().map(fact).collect::<Vec<Value>>(),
        "positive_signalling": table(&speech.signalling),
        "topographic_similarity": speech.topographic.map(|(similarity, _)| similarity),
        "topographic_messages": speech.topographic.map(|(_, count)| count),
    })
}

fn draw(recording: &Recording, meaning: &Meaning) -> String {
    let mut canvas = sheet(
        "What messages mean",
        &format!(
            "{}: {} more episodes, {} steps together; rows are what was sent, dark where it goes with the value",
            recording.title, meaning.episodes, meaning.steps
        ),
    );
    canvas.scale(WIDTH - LEFT, 20.0, (0.0, 1.0), "share of the row");
    let mut y = HEAD + 20.0;
    if let Some(of) = meaning.listening {
        let text = format!(
            "Positive listening: {:.4} nats, the mean importance of a message for who can hear it ({} pairs, {} steps)",
            of.marginal, of.pairs, of.steps
        );
        canvas.text([LEFT, y], 11.0, Anchor::Start, &text);
        y += 26.0;
    }
    for speech in meaning.speech.iter().take(MOST_SPEECH) {
        let title = format!("Round {}, {}", speech.round, cut(&speech.kind, 40));
        canvas.text([LEFT, y], 13.5, Anchor::Start, &title);
        y += 18.0;
        for line in lines(speech) {
            canvas.text([LEFT, y], 11.0, Anchor::Start, &line);
            y += 15.0;
        }
        for fact in speech.facts.iter().take(MOST_FACTS) {
            y = table(&mut canvas, speech, fact, y + 6.0);
        }
        y += 18.0;
    }
    finish(canvas, y)
}

fn lines(speech: &Speech) -> Vec<String> {
    let capacity = match speech.capacity {
        Some(bits) => format!(" of {bits:.2} that fit"),
        None => String::new(),
    };
    let mut lines = vec![format!(
        "{} messages in {} times, {} {}: {:.3} bits a message{capacity}, {:.3} bits a step",
        speech.sent,
        speech.lines,
        speech.counts.iter().filter(|count| **count > 0).count(),
        speech.symbols_are,
        speech.entropy,
        speech.rate
    )];
    lines.push(format!(
        "Positive signalling: {:.3} bits of message and own action (bias {:.3})",
        speech.signalling.information(),
        speech.signalling.bias()
    ));
    if let Some((similarity, count)) = speech.topographic {
        lines.push(format!("Topographic similarity: {similarity:.3} over {count} messages"));
    }
    lines
}

/// A table of symbols and values; gives where it ends.
fn table(canvas: &mut Svg, speech: &Speech, fact: &FactTable, y: f32) -> f32 {
    let text = format!(
        "Fact `{}`: {:.3} bits of mutual information (bias {:.3}) of {:.3}",
        cut(&fact.name, 40),
        fact.table.information(),
        fact.table.bias(),
        crate::comm::meaning::entropy(&fact.table.values())
    );
    canvas.text([LEFT, y + 6.0], 11.0, Anchor::Start, &text);
    let words = fact.table.words();
    let mut shown: Vec<usize> = (0..words.len()).filter(|symbol| words[*symbol] > 0).collect();
    shown.sort_by(|a, b| words[*b].cmp(&words[*a]).then(a.cmp(b)));
    shown.truncate(MOST_SYMBOLS);
    shown.sort_unstable();
    let values = kept(fact.table.size[1], MOST_VALUES);
    let (left, top) = (LEFT + 130.0, y + 18.0);
    let width = ((WIDTH - left - LEFT) / values.len().max(1) as f32).min(40.0);
    let height = 16.0;
    canvas.cells([left, top], [shown.len(), values.len()], [width, height], |row, column| {
        let count = fact.table.counts[shown[row] * fact.table.size[1] + values[column]];
        count as f32 / words[shown[row]].max(1) as f32
    });
    for (row, symbol) in shown.iter().enumerate() {
        let middle = top + (row as f32 + 0.5) * height + 3.5;
        let name = format!("{} ({})", cut(&speech.symbols[*symbol], 16), words[*symbol]);
        canvas.text([left - 5.0, middle], 9.5, Anchor::End, &name);
    }
    let every = values.len().div_ceil(24).max(1);
    let below = top + height * shown.len() as f32;
    for (column, value) in values.iter().enumerate().step_by(every) {
        canvas.text(
            [left + (column as f32 + 0.5) * width, below + 11.0],
            9.5,
            Anchor::Middle,
            &value.to_string(),
        );
    }
    below + 24.0
}
