//! `synod list`.

use clap::Args;
use serde_json::json;

use super::{print, print_json};
use crate::Result;
use crate::agent::AgentConfig;
use crate::agent::core::CoreConfig;
use crate::comm::Communication;
use crate::env::WorldConfig;
use crate::preset::presets;
use crate::train::LearnerConfig;

#[derive(Args)]
#[command(after_help = "Examples:
  synod list                      the presets
  synod list --worlds --learners  what can be put together: --set world=taxi --set learner=dqn
  synod list --presets --json")]
pub struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The presets (without any flag too)
    #[arg(long)]
    presets: bool,
    /// The worlds: `world.kind`
    #[arg(long)]
    worlds: bool,
    /// The agents: `agent.kind`
    #[arg(long)]
    agents: bool,
    /// Recurrent cores of agents: `agent.core.kind`
    #[arg(long)]
    cores: bool,
    /// Ways to communicate: `agent.communication.kind`
    #[arg(long)]
    communications: bool,
    /// The learners: `learner.kind`
    #[arg(long)]
    learners: bool,
}

type Lines = Vec<(&'static str, &'static str)>;

impl List {
    pub fn run(self) -> Result<()> {
        let all: [(&str, bool, fn() -> Lines); 6] = [
            ("presets", self.presets, || presets().iter().map(|p| (p.name, p.summary)).collect()),
            ("worlds", self.worlds, WorldConfig::kinds),
            ("agents", self.agents, AgentConfig::kinds),
            ("cores", self.cores, CoreConfig::kinds),
            ("communications", self.communications, Communication::kinds),
            ("learners", self.learners, LearnerConfig::kinds),
        ];
        let none = all.iter().all(|(_, asked, _)| !asked);
        let lists: Vec<(&str, Lines)> = all
            .iter()
            .filter(|(name, asked, _)| *asked || (none && *name == "presets"))
            .map(|(name, _, lines)| (*name, lines()))
            .collect();
        if self.json {
            let of = |lines: &Lines| {
                json!(
                    lines
                        .iter()
                        .map(|(name, line)| json!({ "name": name, "summary": line }))
                        .collect::<Vec<_>>()
                )
            };
            return match &lists[..] {
                [(_, lines)] => print_json(&of(lines)),
                lists => {
                    let object: serde_json::Map<_, _> =
                        lists.iter().map(|(name, lines)| (name.to_string(), of(lines))).collect();
                    print_json(&object.into())
                }
            };
        }
        let width = lists.iter().flat_map(|(_, lines)| lines).map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for (name, lines) in &lists {
            if lists.len() > 1 {
                text += &format!("{}{name}:\n", if text.is_empty() { "" } else { "\n" });
            }
            for (name, line) in lines {
                text += &format!("{name:width$}  {line}\n");
            }
        }
        print(&text)
    }
}
