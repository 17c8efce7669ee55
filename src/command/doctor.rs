//! `synod doctor`.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::{print, print_json};
use crate::env::mujoco;
use crate::{Device, Result, cpu};

#[derive(Args)]
pub struct Doctor {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub fn run(self) -> Result<()> {
        let sets = cpu::simd::Isa::ALL.into_iter().filter(|isa| isa.is_available()).map(cpu::simd::Isa::name);
        let (sets, used): (Vec<&str>, &str) = (sets.collect(), cpu::simd::Isa::best().name());
        let threads = rayon::current_num_threads();
        let adapters: Vec<String> = Device::adapters().iter().map(ToString::to_string).collect();
        let library = mujoco::installation(Path::new(""));
        if self.json {
            let (found, fault) = match &library {
                Ok(found) => (Some(found.as_str()), None),
                Err(error) => (None, Some(error.to_string())),
            };
            return print_json(&json!({
                "version": env!("CARGO_PKG_VERSION"),
                "instruction_sets": sets,
                "instruction_set": used,
                "threads": threads,
                "adapters": adapters,
                "mujoco": found,
                "mujoco_fault": fault,
            }));
        }
        let adapters = match adapters.is_empty() {
            true => "none".to_owned(),
            false => adapters.join("\n           "),
        };
        let library = library.unwrap_or_else(|error| error.to_string());
        print(&format!(
            "version    {}\nprocessor  {used} of {}\nthreads    {threads}\nadapters   {adapters}\nmujoco     {library}\n",
            env!("CARGO_PKG_VERSION"),
            sets.join(", "),
        ))
    }
}
