//! `synod inspect`.

use std::path::PathBuf;

use crate::Result;
use crate::preset::{Inspection, Settings, inspect};
use crate::run::folder;
use clap::Args;

use super::note;

#[derive(Args)]
#[command(after_help = "Examples:
  synod inspect runs/spread-vdn-0 -o pictures
  synod inspect runs/lever-commnet-0 -o pictures --episode 3 --greedy
  synod inspect runs/deep-sea-rnd-0 -o pictures --steps 100
  synod inspect runs/spread-vdn-0 -o best --best
  synod inspect runs/lewis-0 -o pictures --episodes 256

Pictures, each with the same numbers as JSON beside it:
  values.svg      what agents prefer, do, expect and are paid
  attention.svg   who listens to whom (tarmac, gat, gatv2, communicator), or who lets others hear it (ic3net)
  graph.svg       the graph of neighbours (gcn, gat, gatv2)
  intrinsic.svg   what curiosity pays (icm, rnd)
  messages.svg    clusters of messages, where agents communicate
  importance.svg  how much what each says counts for each who hears it
  meaning.svg     what messages mean, over more episodes (--episodes)
What a run has nothing for is left out, with the reason on stderr.")]
pub struct Inspect {
    /// The folder of a team's run
    run: PathBuf,
    /// The folder of the pictures; must not exist, or be empty
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Which of the seed's episodes
    #[arg(long, default_value_t = 0, value_name = "N")]
    episode: u32,
    /// The seed of worlds and actions
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Take the most probable action instead of drawing one
    #[arg(long)]
    greedy: bool,
    /// Steps that are recorded at most
    #[arg(long, default_value_t = 500, value_name = "N")]
    steps: usize,
    /// Clusters of messages
    #[arg(long, default_value_t = 4, value_name = "N")]
    clusters: usize,
    /// Speakers drawn for each listener in the graph: the strongest
    #[arg(long, default_value_t = 3, value_name = "N")]
    arcs: usize,
    /// More episodes, by which the meaning of messages is found; 0 for none
    #[arg(long, default_value_t = 64, value_name = "N")]
    episodes: u32,
    /// Where to compute: auto, cpu or gpu
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: String,
    /// Take the team as it was in the best evaluation of its training, not as it was in the end
    #[arg(long)]
    best: bool,
}

impl Inspect {
    pub fn run(self) -> Result<()> {
        folder::require_run(&self.run)?;
        let settings = Settings::load(&folder::config_of(&self.run), &[])?;
        let device = super::device_to_act(&self.device, &settings)?;
        folder::require_new(&self.output)?;
        let inspection = Inspection {
            episode: self.episode,
            seed: self.seed,
            greedy: self.greedy,
            steps: self.steps,
            clusters: self.clusters,
            arcs: self.arcs,
            episodes: self.episodes,
        };
        let checkpoint = super::checkpoint_of(&self.run, self.best)?;
        let inspected = inspect(&device, &settings, &checkpoint, &inspection)?;
        let mut files = Vec::new();
        for page in &inspected.pages {
            files.push((format!("{}.svg", page.name), page.svg.clone()));
            files.push((format!("{}.json", page.name), page.json.to_string()));
        }
        folder::write_new(&self.output, &files)?;
        for (name, reason) in &inspected.omitted {
            note(format_args!("no {name}.svg: {reason}"));
        }
        let names: Vec<&str> = inspected.pages.iter().map(|page| page.name).collect();
        let end = match &inspected.report {
            Some(report) => report.values.iter().map(|(name, value)| format!("{name} {value:.3}")).collect(),
            None => vec!["the end of the episode was not recorded; --steps sets how much is".to_string()],
        };
        note(format_args!(
            "{}: {} (.svg and .json), {} steps, {}",
            folder::shell_quoted(&self.output),
            names.join(", "),
            inspected.steps,
            end.join(", ")
        ));
        Ok(())
    }
}
