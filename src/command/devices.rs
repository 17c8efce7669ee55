//! `synod devices`.

use clap::Args;
use serde_json::json;
use synod::{Device, Result};

#[derive(Args)]
pub struct Devices {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Devices {
    pub fn run(self) -> Result<()> {
        let adapters = Device::adapters();
        let (cpu, auto) = (Device::cpu().name(), Device::auto().name());
        if self.json {
            let gpus: Vec<_> = adapters
                .iter()
                .map(|a| json!({ "name": a.name, "backend": a.backend, "kind": a.kind, "driver": a.driver }))
                .collect();
            println!("{:#}", json!({ "cpu": cpu, "gpu": gpus, "auto": auto }));
            return Ok(());
        }
        println!("--device cpu   {cpu}");
        match Device::gpu() {
            Ok(gpu) => println!("--device gpu   {}", gpu.name()),
            Err(error) => println!("--device gpu   none: {error}"),
        }
        println!("--device auto  {auto}");
        if !adapters.is_empty() {
            println!("adapters (SYNOD_ADAPTER takes part of a name):");
        }
        for adapter in adapters {
            println!("  {adapter}");
        }
        Ok(())
    }
}
