//! What messages mean and how much they count, over more episodes of the same policy.

use super::Inspection;
use super::tape::{MOST_NUMBERS, Stage, Tape};
use super::watch::{Made, Watcher};
use crate::Device;
use crate::agent::importance::{Counterfactuals, MOST_AGENTS, Moment, of_messages};
use crate::agent::team::Team;
use crate::comm::meaning::{Table, entropy, topographic_similarity};
use crate::comm::{Channel, CommunicatorConfig};
use crate::env::{AgentKind, Fact};
use crate::error::Result;
use crate::picture::inspect::{Counted, FactTable, Listening, Meaning, Recording, Speech, groups};
use crate::picture::kept;

/// Other moments that stand for what a speaker might have said, where the work allows it, and the least.
const SAMPLES: [usize; 2] = [4, 16];
/// Pairs of agents that are looked at in all copies at all steps, about.
const WORK: usize = 1 << 24;
/// Moments that samples are drawn from, the recorded ones apart: so many, and the rest of an episode.
const MOST_MOMENTS: usize = 512;
/// Steps of other episodes over which listening is averaged.
const MOST_LISTENED: usize = 64;
/// Messages whose distances are compared.
const MOST_ROWS: usize = 256;
/// Groups of messages that are real numbers.
const GROUPS: usize = 16;
/// Joint actions that are told apart; of more only the first choice is looked at.
const MOST_ACTIONS: usize = 4096;

/// What was said in a round.
#[derive(Default)]
struct Lines {
    size: usize,
    /// `[lines, size]`.
    said: Vec<f32>,
    agents: Vec<usize>,
    /// Whether it was sent.
    sent: Vec<bool>,
    /// The joint choice of its speaker when it was said.
    actions: Vec<u32>,
    /// `[lines, facts]`: what its speaker knew then.
    facts: Vec<Option<u32>>,
}

/// What was said in more episodes of a team.
pub(super) struct Conversation {
    rounds: Vec<Lines>,
    facts: Vec<Fact>,
    /// Of some of the episodes, whole ones, one after another.
    pub moments: Vec<Moment>,
    episodes: usize,
    steps: usize,
}

impl Conversation {
    /// Plays the episodes behind the one that is looked at.
    ///
    /// # Errors
    /// What the device or a world reports.
    pub fn hold(
        stage: &mut Stage<'_>,
        watcher: &mut Watcher<'_>,
        team: &Team,
        inspection: &Inspection,
    ) -> Result<Self> {
        let mut all = Conversation {
            rounds: Vec::new(),
            facts: Vec::new(),
            moments: Vec::new(),
            episodes: 0,
            steps: 0,
        };
        let delay = team.config().communication.delay();
        for episode in 1..=inspection.episodes {
            let (tape, _) = stage.play(inspection.episode.wrapping_add(episode))?;
            let moments = tape.moments();
            all.facts = tape.inner.facts();
            let mut step = 0usize;
            watcher.through(&tape, &moments, |_, _, _, made, _| {
                // What is heard now was said some steps ago.
                if let Some(said_at) = step.checked_sub(delay) {
                    all.add(&tape, &moments, [said_at, step], made);
                }
                step += 1;
            })?;
            all.episodes += 1;
            all.steps += moments.len();
            if all.moments.len() < MOST_MOMENTS {
                all.moments.extend(moments);
            }
            if all.rounds.iter().any(|round| round.said.len() > MOST_NUMBERS / 4) {
                break;
            }
        }
        Ok(all)
    }

    fn add(&mut self, tape: &Tape, moments: &[Moment], [said_at, heard_at]: [usize; 2], made: &[Made<'_>]) {
        self.rounds.resize_with(made.len(), Lines::default);
        let (said, heard) = (&moments[said_at], &moments[heard_at]);
        let facts = self.facts.len();
        for (lines, made) in self.rounds.iter_mut().zip(made) {
            lines.size = made.features;
            for (agent, row) in made.said.chunks(made.features.max(1)).enumerate() {
                let here = said.present[agent] > 0.0 && heard.present[agent] > 0.0;
                // Another agent may have come in its place.
                let same = heard.ages[agent] - said.ages[agent] == (heard_at - said_at) as f32;
                if !here || !same || row.iter().any(|x| !x.is_finite()) {
                    continue;
                }
                lines.said.extend(row);
                lines.agents.push(agent);
                lines.sent.push(made.gates.get(agent).is_none_or(|gate| *gate > 0.0));
                lines.actions.push(joint(tape, said_at, agent));
                lines.facts.extend(&tape.facts[said_at][agent * facts..][..facts]);
            }
        }
    }

    /// What it means, kind by kind and round by round.
    pub fn meaning(&self, team: &Team, kind: &AgentKind) -> Meaning {
        let config = team.config().communication.get::<CommunicatorConfig>();
        let mut speech = Vec::new();
        for (round, lines) in self.rounds.iter().enumerate() {
            let mut first = 0;
            for member in kind.unlike() {
                let range = first..first + member.count;
                first = range.end;
                let heard = |agent: usize| match team.links(round) {
                    Some(links) => links.iter().any(|(from, _)| *from as usize == agent),
                    None => true,
                };
                let heard: Vec<bool> = (0..kind.count).map(heard).collect();
                let own: Vec<usize> = (0..lines.agents.len())
                    .filter(|i| range.contains(&lines.agents[*i]) && heard[lines.agents[*i]])
                    .collect();
                let of = lines.speech(&own, config, &self.facts, joint_actions(&member.actions.sizes()));
                speech.extend(of.map(|of| Speech { round, kind: member.name.clone(), ..of }));
            }
        }
        Meaning { episodes: self.episodes, steps: self.steps, speech, listening: None }
    }
}

/// How many joint choices are told apart.
fn joint_actions(sizes: &[usize]) -> usize {
    let all = sizes.iter().fold(1usize, |all, size| all.saturating_mul(*size));
    if all <= MOST_ACTIONS { all } else { sizes[0] }
}

/// The choices of an agent at a step as one number.
fn joint(tape: &Tape, step: usize, agent: usize) -> u32 {
    let sizes = tape.inner.spec().kinds[0].actions.sizes();
    let taken = &tape.actions[step].discrete[agent * sizes.len()..][..sizes.len()];
    match sizes.iter().fold(1usize, |all, size| all.saturating_mul(*size)) {
        // The last choice is the lowest digit.
        all if all <= MOST_ACTIONS => {
            taken.iter().zip(&sizes).fold(0, |sum, (t, size)| sum * *size as u32 + t)
        }
        _ => taken[0],
    }
}

impl Lines {
    fn row(&self, line: usize) -> &[f32] {
        &self.said[line * self.size..][..self.size]
    }

    /// What some of the lines tell; `None` where nothing was sent.
    fn speech(
        &self,
        own: &[usize],
        config: Option<&CommunicatorConfig>,
        facts: &[Fact],
        actions: usize,
    ) -> Option<Speech> {
        let sent: Vec<usize> = own.iter().copied().filter(|i| self.sent[*i]).collect();
        if sent.is_empty() || self.size == 0 {
            return None;
        }
        let (what, names, symbols) = self.symbols(&sent, config.map(|config| config.channel));
        let mut counts = vec![0u64; names.len()];
        symbols.iter().for_each(|symbol| counts[*symbol as usize] += 1);
        let share = sent.len() as f64 / own.len() as f64;
        let entropy = entropy(&counts);
        let known = |line: usize, fact: usize| self.facts[line * facts.len() + fact];
        let tables = facts
            .iter()
            .enumerate()
            .map(|(index, fact)| {
                let pairs =
                    sent.iter().zip(&symbols).filter_map(|(line, s)| Some((*s, known(*line, index)?)));
                let (words, values): (Vec<u32>, Vec<u32>) = pairs.unzip();
                let table = Table::count(&words, &values, [names.len(), fact.values]);
                FactTable { name: fact.name.clone(), table }
            })
            .filter(|fact| fact.table.total() > 0)
            .collect();
        let taken: Vec<u32> = sent.iter().map(|line| self.actions[*line]).collect();
        let most = actions.max(taken.iter().map(|action| *action as usize + 1).max().unwrap_or(1));
        Some(Speech {
            round: 0,
            kind: String::new(),
            symbols_are: what,
            lines: own.len(),
            sent: sent.len(),
            entropy,
            rate: entropy * share,
            capacity: config.and_then(|config| config.channel.capacity(config.message)),
            signalling: Table::count(&symbols, &taken, [names.len(), most]),
            topographic: self.topographic(&sent, facts.len()),
            facts: tables,
            counts,
            symbols: names,
        })
    }

    /// The similarity of messages to the tuples of what their speakers know, and how many were compared.
    fn topographic(&self, sent: &[usize], facts: usize) -> Option<(f64, usize)> {
        let known = |line: usize| -> Option<Vec<u32>> {
            self.facts[line * facts..][..facts].iter().copied().collect::<Option<Vec<u32>>>()
        };
        let all: Vec<(usize, Vec<u32>)> = sent
            .iter()
            .filter_map(|line| Some((*line, known(*line)?)))
            .filter(|(_, m)| !m.is_empty())
            .collect();
        let taken: Vec<&(usize, Vec<u32>)> =
            kept(all.len(), MOST_ROWS).into_iter().map(|i| &all[i]).collect();
        let first = taken.first()?;
        if taken.iter().all(|(_, meaning)| *meaning == first.1) {
            return None;
        }
        let messages: Vec<&[f32]> = taken.iter().map(|(line, _)| self.row(*line)).collect();
        let meanings: Vec<&[u32]> = taken.iter().map(|(_, meaning)| &meaning[..]).collect();
        Some((topographic_similarity(&messages, &meanings), taken.len()))
    }

    /// Messages as symbols: what these are, their names, and which each message is.
    fn symbols(&self, sent: &[usize], channel: Option<Channel>) -> (&'static str, Vec<String>, Vec<u32>) {
        match channel {
            Some(Channel::Symbols { .. }) => {
                let word = |row: &[f32]| {
                    (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]).then(b.cmp(a))).unwrap_or(0)
                };
                let names = (0..self.size).map(|word| format!("word {word}")).collect();
                ("words", names, sent.iter().map(|line| word(self.row(*line)) as u32).collect())
            }
            Some(Channel::Binary { .. }) => {
                let bits = |line: &usize| -> String {
                    self.row(*line).iter().map(|bit| if *bit > 0.5 { '1' } else { '0' }).collect()
                };
                let all: Vec<String> = sent.iter().map(bits).collect();
                let mut names = all.clone();
                // As numbers: all are equally long.
                names.sort();
                names.dedup();
                let place = |bits: &String| names.binary_search(bits).unwrap_or(0) as u32;
                let symbols = all.iter().map(place).collect();
                ("bits", names, symbols)
            }
            _ => {
                let values: Vec<f32> = sent.iter().flat_map(|line| self.row(*line)).copied().collect();
                let of = groups(&values, self.size, GROUPS);
                let count = of.iter().max().map_or(0, |most| most + 1);
                let names = (0..count).map(|group| format!("group {group}")).collect();
                ("groups", names, of.into_iter().map(|group| group as u32).collect())
            }
        }
    }
}

/// How much the messages of the recorded episode count, and on average those of others. Nothing where there are too
/// many agents.
///
/// # Errors
/// What the device reports.
pub(super) fn count(
    device: &Device,
    team: &Team,
    tape: &Tape,
    own: &[Moment],
    others: &[Moment],
    recording: &Recording,
) -> Result<Option<(Counted, Listening)>> {
    let spec = tape.inner.spec();
    let agents = recording.agents;
    if agents > MOST_AGENTS {
        return Ok(None);
    }
    let moments: Vec<Moment> = own.iter().chain(others).cloned().collect();
    let asked = own.len() + others.len().min(MOST_LISTENED);
    let pairs = (asked * agents * agents).max(1);
    let how = Counterfactuals {
        values: recording.values_of_actions,
        samples: (WORK / pairs).clamp(SAMPLES[0], SAMPLES[1]),
        seed: 0x696d_706f,
    };
    let found = of_messages(device, team, spec, &moments, 0..asked, &how)?;
    let here = own.len() * agents * agents;
    let (mut sum, mut count) = (0.0, 0usize);
    for step in own.len()..asked {
        for hearer in 0..agents {
            for speaker in (0..agents).filter(|speaker| *speaker != hearer) {
                let linked =
                    team.links(0).is_none_or(|links| links.contains(&(speaker as u32, hearer as u32)));
                let present = |agent: usize| moments[step].present[agent] > 0.0;
                if linked && present(hearer) && present(speaker) {
                    sum += f64::from(found.marginal[(step * agents + hearer) * agents + speaker]);
                    count += 1;
                }
            }
        }
    }
    let cut = |mut values: Vec<f32>| {
        values.truncate(here);
        values
    };
    let counted = Counted {
        samples: how.samples.min(moments.len().saturating_sub(1)),
        removed: cut(found.removed),
        marginal: cut(found.marginal),
        value: cut(found.value),
    };
    Ok(Some((
        counted,
        Listening { marginal: sum / count.max(1) as f64, pairs: count, steps: asked - own.len() },
    )))
}
