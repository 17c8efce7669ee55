//! An op of one's own, outside the crate: shape rule, gradient, CPU kernel and WGSL kernel in one place.
//!
//! `cargo run --release --example custom_op`
//!
//! The op is the Huber function (Huber 1964): `x^2 / 2` where `|x| <= d`, else `d (|x| - d / 2)`. Its gradient is `x` held
//! between `-d` and `d`, built from ops that exist; so the gradient's gradient exists too.

use synod::graph::{Binding, CpuCall, GpuCall, GpuPlan, Launch, Op, VjpCall};
use synod::{Device, Graph, Result, Tensor, TensorType};

/// The op: all its settings are in its `Debug` text, which is its identity.
#[derive(Debug)]
struct Huber {
    threshold: f32,
}

const SHADER: &str = "
struct Settings { elements: u32, threshold: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> settings: Settings;

@compute @workgroup_size(256)
fn huber(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
         @builtin(local_invocation_index) local: u32) {
    let i = (group.y * groups.x + group.x) * 256u + local;
    if (i >= settings.elements) { return; }
    let a = abs(x[i]);
    let d = settings.threshold;
    y[i] = select(d * (a - 0.5 * d), 0.5 * a * a, a <= d);
}
";

impl Op for Huber {
    fn name(&self) -> &'static str {
        "huber"
    }

    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        match operands {
            [x] => Ok(vec![x.clone()]),
            _ => Err("takes one operand".into()),
        }
    }

    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let derivative = call.operands[0].clamp(-self.threshold, self.threshold);
        Ok(vec![Some(call.cotangent(0) * derivative)])
    }

    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        let d = self.threshold;
        for (y, x) in call.outputs[0].f32().iter_mut().zip(call.inputs[0].f32()) {
            let a = x.abs();
            *y = if a <= d { 0.5 * a * a } else { d * (a - 0.5 * d) };
        }
        Ok(())
    }

    fn gpu(&self, call: &GpuCall<'_>) -> Result<GpuPlan> {
        let elements = call.outputs[0].elements();
        Ok(Launch {
            shader: SHADER.into(),
            entry: "huber",
            constants: Vec::new(),
            bindings: vec![Binding::Input(0), Binding::Output(0)],
            parameters: vec![elements as u32, self.threshold.to_bits()],
            workgroups: call.groups(elements, 256),
        }
        .into())
    }
}

/// Value, gradient and second derivative of `sum(1.7 huber(x))` on a device.
fn differentiate(device: &Device, x: &[f32]) -> Result<[Vec<f32>; 3]> {
    let graph = Graph::new();
    let input = graph.input("x", [x.len()]);
    let y = graph.apply_one(Huber { threshold: 1.0 }, &[input]);
    let first = graph.grad((y * 1.7).sum_all(), &[input])?[0];
    let second = graph.grad((first * first).sum_all(), &[input])?[0];
    let mut program = device.compile(&graph, &[y, first, second])?;
    let outputs = program.run(&[("x", &x)])?;
    Ok([0, 1, 2].map(|i| outputs.f32(i).to_vec()))
}

fn main() -> Result<()> {
    let x = [-3.0, -0.5, 0.0, 0.25, 2.0];
    for device in [Device::cpu(), Device::auto()] {
        let [y, first, second] = differentiate(&device, &x)?;
        println!(
            "{}\n  huber {y:?}\n  gradient of 1.7 huber {first:?}\n  of its square {second:?}",
            device.name()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_devices_compute_it_and_its_derivatives() {
        let mut devices = vec![Device::cpu()];
        match Device::gpu() {
            Ok(device) => devices.push(device),
            Err(error) if std::env::var("SYNOD_SKIP_GPU").as_deref() == Ok("1") => {
                eprintln!("without a GPU: {error}")
            }
            Err(error) => panic!("{error}"),
        }
        for device in devices {
            let [y, first, second] = differentiate(&device, &[-3.0, -0.5, 0.0, 0.25, 2.0]).unwrap();
            assert_eq!(y, [2.5, 0.125, 0.0, 0.03125, 1.5]);
            assert_eq!(first, [-1.7, -0.85, 0.0, 0.425, 1.7]);
            for (found, expected) in second.iter().zip([0.0, -2.89, 0.0, 1.445, 0.0]) {
                assert!((found - expected).abs() < 1e-5, "{second:?}");
            }
        }
    }
}
