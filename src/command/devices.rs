//! `synod devices`.

use crate::preset::choice;
use crate::{Device, Result};
use clap::Args;
use serde_json::json;

use super::{print, print_json};

#[derive(Args)]
pub struct Devices {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Devices {
    pub fn run(self) -> Result<()> {
        let adapters = Device::adapters();
        let cpu = Device::cpu().name();
        let auto = match Device::hardware_gpu() {
            Some(_) => format!("by the work of a run: {}", choice::rule()),
            None => format!("{cpu}: there is no hardware GPU"),
        };
        if self.json {
            let gpus: Vec<_> = adapters
                .iter()
                .map(|a| json!({ "name": a.name, "backend": a.backend, "kind": a.kind, "driver": a.driver }))
                .collect();
            return print_json(&json!({ "cpu": cpu, "gpu": gpus, "auto": auto }));
        }
        let gpu = match Device::gpu() {
            Ok(gpu) => gpu.name(),
            Err(error) => format!("none: {error}"),
        };
        let mut text = format!("--device cpu   {cpu}\n--device gpu   {gpu}\n--device auto  {auto}\n");
        if !adapters.is_empty() {
            text += "adapters (SYNOD_ADAPTER takes part of a name):\n";
        }
        for adapter in adapters {
            text += &format!("  {adapter}\n");
        }
        print(&text)
    }
}
