//! Tests of devices and of programs on them that need what the public API does not give.

use super::*;
use crate::graph::{Graph, Variable};
use crate::program::{CompileOptions, Program};

/// What was found; without it the test fails, or, where the user leaves the GPU out, says so and ends.
fn unless_skipped<T>(found: Option<T>) -> Option<T> {
    if found.is_none() {
        assert!(std::env::var("SYNOD_SKIP_GPU").is_ok_and(|v| v == "1"), "no adapter can be used");
        eprintln!("SYNOD_SKIP_GPU=1: not tested on a GPU");
    }
    found
}

#[test]
fn a_lost_device_is_an_error_everywhere() {
    let Some(device) = unless_skipped(GpuDevice::open().ok()) else { return };
    let of = TensorType::f32([4]);
    let variable = Variable::new("v", of.clone(), Box::new(device.storage("v", &of).unwrap()));
    let g = Graph::new();
    let next = g.variable(&variable) + g.input("x", [4]);
    g.assign(&variable, next);
    let program = |outputs: &[_]| Program::on_gpu(&device, &g, outputs, CompileOptions::default());
    let (mut reading, mut silent) = (program(&[next]).unwrap(), program(&[]).unwrap());
    reading.run(&[("x", &[1.0f32; 4])]).unwrap();
    device.device.destroy();
    let is_device = |result: Result<()>| match result {
        Err(Error::Device { device: name, .. }) => assert_eq!(name, device.description.name),
        other => panic!("{other:?}"),
    };
    is_device(reading.run(&[]).map(|_| ()));
    is_device(silent.run(&[("x", &[1.0f32; 4])]).map(|_| ()));
    is_device(variable.read().map(|_| ()));
    is_device(variable.write(&[0.0f32; 4]));
    is_device(program(&[next]).map(|_| ()));
    is_device(device.storage("w", &of).map(|_| ()));
}

/// Sums over a workgroup, with subgroup operations and without: rows longer than a workgroup and shorter ones.
#[test]
fn devices_with_subgroups_and_without_compute_the_same() {
    let adapters = adapters();
    // lavapipe and every adapter of the last ten years has subgroups: without, this would compare a thing with itself.
    let has = |a: &&wgpu::Adapter| lacks(a).is_none() && a.features().contains(wgpu::Features::SUBGROUP);
    let Some(adapter) = unless_skipped(adapters.iter().find(has)) else { return };
    let open = |wanted| GpuDevice::from_adapter(adapter, wanted, false).unwrap();
    let devices = [true, false].map(|subgroups| Arc::new(open(subgroups)));
    assert_eq!([true, false], [0, 1].map(|i: usize| devices[i].limits().subgroups));
    for width in [5, 16, 33, 64, 127, 128, 129, 300, 1025] {
        // More than the subgroups of a workgroup, and not a multiple of them.
        let rows = 37;
        let values: Vec<f32> =
            (0..rows * width).map(|i| ((i * 7919 + width) % 1013) as f32 / 200.0 - 2.5).collect();
        let results = [0, 1].map(|i: usize| {
            let g = Graph::new();
            let x = g.input("x", [rows, width]);
            let (scale, bias) = (g.full([width], 1.5), g.full([width], 0.5));
            let (soft, normal) = (x.softmax(-1), x.layer_norm(scale, bias, 1e-5));
            let loss = (x.log_softmax(-1) * normal).sum_all() + (soft * soft * x).sum_all();
            let slope = g.grad(loss, &[x]).unwrap()[0];
            let outputs = [soft, normal, x.sum(&[1]), x.max(&[1]), slope];
            let mut program = Program::on_gpu(&devices[i], &g, &outputs, CompileOptions::default()).unwrap();
            let out = program.run(&[("x", &values)]).unwrap();
            (0..outputs.len()).flat_map(|o| out.f32(o).to_vec()).collect::<Vec<f32>>()
        });
        for (a, b) in results[0].iter().zip(&results[1]) {
            assert!((a - b).abs() <= 1e-4 * (1.0 + b.abs()), "{width}: {a} and {b}");
        }
        // The sums are right, not only alike.
        let first = 2 * rows * width;
        for (row, sum) in values.chunks(width).zip(&results[0][first..]) {
            let exact: f64 = row.iter().map(|v| f64::from(*v)).sum();
            assert!((f64::from(*sum) - exact).abs() < 1e-3, "{width}: {sum}, not {exact}");
        }
    }
}

/// A program whose dispatches wait for each other here and do not there, with its inputs.
fn wide<'g>(g: &'g Graph) -> Vec<crate::graph::Tensor<'g>> {
    let x = g.input("x", [24, 24]);
    let parts: Vec<_> = (0..12).map(|i| (x * (1.0 + i as f32)).softmax(-1).matmul(x)).collect();
    let mut sum = parts[0];
    for &part in &parts[1..] {
        sum = sum.matmul(x).tanh() + part;
    }
    vec![sum, parts[3].sum(&[0])]
}

fn numbers() -> Vec<f32> {
    (0..24 * 24).map(|i| ((i * 7919) % 1013) as f32 / 1013.0 - 0.5).collect()
}

#[test]
fn values_that_lie_apart_and_values_that_share_slots_are_the_same() {
    let Some(mut device) = unless_skipped(GpuDevice::open().ok()) else { return };
    let mut run = |apart: u64| {
        Arc::get_mut(&mut device).unwrap().apart = apart;
        let g = Graph::new();
        let outputs = wide(&g);
        let mut program = Program::on_gpu(&device, &g, &outputs, CompileOptions::default()).unwrap();
        let summary = program.summary();
        let out = program.run(&[("x", &numbers())]).unwrap();
        ([0, 1].map(|i| out.u32(i).to_vec()), summary)
    };
    let ((together, few), (apart, many)) = (run(0), run(u64::MAX));
    assert_eq!(together, apart);
    assert!(few.planned_bytes < many.planned_bytes, "{few:?}, {many:?}");
    assert_eq!(few.dispatches, many.dispatches);
    // The twelve products wait for the twelve softmaxes, not for each other.
    assert!(many.levels < few.levels, "{few:?}, {many:?}");
}

#[test]
fn times_of_kernels_are_taken() {
    let adapters = adapters();
    let has = |a: &&wgpu::Adapter| lacks(a).is_none() && a.features().contains(times::features());
    let Some(adapter) = unless_skipped(adapters.iter().find(has)) else { return };
    let device = Arc::new(GpuDevice::from_adapter(adapter, false, true).unwrap());
    let g = Graph::new();
    let outputs = wide(&g);
    let mut program = Program::on_gpu(&device, &g, &outputs, CompileOptions::default()).unwrap();
    for _ in 0..2 {
        program.run(&[("x", &numbers())]).unwrap();
    }
    assert!(program.gpu_time().unwrap() > Duration::ZERO);
    let report = program.gpu_report().unwrap();
    assert!(report.contains(" 2 runs") && report.contains("softmax/short"), "{report}");
    let silent = Arc::new(GpuDevice::from_adapter(adapter, false, false).unwrap());
    let g = Graph::new();
    let outputs = wide(&g);
    let mut program = Program::on_gpu(&silent, &g, &outputs, CompileOptions::default()).unwrap();
    program.run(&[("x", &numbers())]).unwrap();
    assert_eq!((program.gpu_time(), program.gpu_report()), (None, None));
}

#[test]
fn a_device_that_does_not_answer_is_an_error() {
    let Some(mut device) = unless_skipped(GpuDevice::open().ok()) else { return };
    Arc::get_mut(&mut device).unwrap().patience = Duration::from_millis(1);
    let g = Graph::new();
    let x = g.input("x", [256, 256]);
    let mut product = x;
    for _ in 0..60 {
        product = product.matmul(x);
    }
    let mut program = Program::on_gpu(&device, &g, &[product], CompileOptions::default()).unwrap();
    match program.run(&[("x", &vec![0.01f32; 256 * 256])]).map(|_| ()) {
        Err(Error::Device { message, .. }) => assert!(message.contains("has not finished"), "{message}"),
        other => panic!("{other:?}"),
    };
    // What is under way ends before the device goes.
    device.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
}
