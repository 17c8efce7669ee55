//! Pipelines, made once for each shader text, entry point and set of constants.

use std::collections::HashMap;

use super::device::{GpuDevice, lock};
use crate::error::Result;
use crate::graph::{Binding, Launch};

/// How a binding is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Use {
    Read,
    Write,
    Uniform,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    shader: String,
    trusted: bool,
    entry: &'static str,
    constants: Vec<(&'static str, u64)>,
    uses: Vec<Use>,
}

/// A pipeline, and the layout that its bind groups have.
#[derive(Clone)]
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// What was made so far on a device.
#[derive(Default)]
pub(crate) struct Pipelines {
    /// By their text and whether it is trusted.
    modules: HashMap<(String, bool), wgpu::ShaderModule>,
    pipelines: HashMap<Key, Pipeline>,
}

impl GpuDevice {
    /// The pipeline for a launch; `what` is for errors. The text of a launch of this package on operands that its op has
    /// accepted may be `trusted`, which saves its checks; others are checked by wgpu.
    pub(super) fn pipeline(&self, what: &str, launch: &Launch, trusted: bool) -> Result<Pipeline> {
        let uses: Vec<Use> = launch
            .bindings
            .iter()
            .map(|binding| match binding {
                Binding::Input(_) | Binding::ScratchRead(_) => Use::Read,
                Binding::Output(_) | Binding::Scratch(_) => Use::Write,
            })
            .chain((!launch.parameters.is_empty()).then_some(Use::Uniform))
            .collect();
        let key = Key {
            shader: launch.shader.to_string(),
            trusted,
            entry: launch.entry,
            constants: launch.constants.iter().map(|(name, value)| (*name, value.to_bits())).collect(),
            uses,
        };
        let mut known = lock(&self.pipelines);
        if let Some(pipeline) = known.pipelines.get(&key) {
            return Ok(pipeline.clone());
        }
        let text = (key.shader.clone(), trusted);
        let module = match known.modules.get(&text) {
            Some(module) => module.clone(),
            None => {
                let module = self.guarded(what, || self.module(what, &launch.shader, trusted))?;
                known.modules.insert(text, module.clone());
                module
            }
        };
        let pipeline = self.guarded(&format!("{what}, entry `{}`", launch.entry), || {
            self.make_pipeline(what, launch, &module, &key.uses)
        })?;
        known.pipelines.insert(key, pipeline.clone());
        Ok(pipeline)
    }

    fn module(&self, label: &str, text: &str, trusted: bool) -> wgpu::ShaderModule {
        let checks = if self.checked {
            wgpu::ShaderRuntimeChecks::checked()
        } else {
            wgpu::ShaderRuntimeChecks::unchecked()
        };
        let source = wgpu::ShaderSource::Wgsl(text.into());
        let descriptor = wgpu::ShaderModuleDescriptor { label: Some(label), source };
        if !trusted {
            return self.device.create_shader_module(descriptor);
        }
        // SAFETY: trusted are launches of this package's own ops alone (`is_own`), on operands and outputs whose types were
        // checked against the op's shape rule (`verify::sound`), and copies of this executor. Those kernels keep within
        // their operands by the sizes in their parameters, clamp indices that come from data, have loops that end, and
        // divide integers by sizes only, which are not 0. Tests run with all checks, and once more without (see
        // `GpuDevice::checked`).
        unsafe { self.device.create_shader_module_trusted(descriptor, checks) }
    }

    fn make_pipeline(
        &self,
        label: &str,
        launch: &Launch,
        module: &wgpu::ShaderModule,
        uses: &[Use],
    ) -> Pipeline {
        let entries: Vec<wgpu::BindGroupLayoutEntry> = uses
            .iter()
            .enumerate()
            .map(|(i, of)| wgpu::BindGroupLayoutEntry {
                binding: i as u32,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: match of {
                        Use::Uniform => wgpu::BufferBindingType::Uniform,
                        Use::Read => wgpu::BufferBindingType::Storage { read_only: true },
                        Use::Write => wgpu::BufferBindingType::Storage { read_only: false },
                    },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let layout = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(label),
            entries: &entries,
        });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(label),
            layout: Some(&pipeline_layout),
            module,
            entry_point: Some(launch.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &launch.constants,
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Pipeline { pipeline, layout }
    }
}
