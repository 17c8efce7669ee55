//! Programs on a GPU: variables, one submission a run, limits and errors.
#![cfg(feature = "gpu")]

mod common;

use std::sync::Arc;

use synod_engine::graph::{Binding, CpuCall, GpuCall, GpuPlan, Launch, Op};
use synod_engine::{Data, Device, Error, Graph, TensorType};

/// The GPU to test on; `None` where the environment says that there shall be none.
fn gpu() -> Option<Device> {
    common::devices().into_iter().find(|d| !d.is_cpu())
}

#[test]
fn variables_change_together_at_the_end_of_a_run() {
    let Some(device) = gpu() else { return };
    let a = device.variable("a", TensorType::f32([2]), &[1.0f32, 2.0]).unwrap();
    let b = device.variable("b", TensorType::f32([2]), &[3.0f32, 4.0]).unwrap();
    let g = Graph::new();
    let (ta, tb) = (g.variable(&a), g.variable(&b));
    g.assign(&a, tb);
    g.assign(&b, ta);
    let mut swap = device.compile(&g, &[ta]).unwrap();
    assert_eq!(swap.run(&[]).unwrap().f32(0), [1.0, 2.0]);
    assert_eq!((a.read().unwrap(), b.read().unwrap()), (vec![3.0, 4.0], vec![1.0, 2.0]));
    assert_eq!(swap.run(&[]).unwrap().f32(0), [3.0, 4.0]);
    assert_eq!((a.read().unwrap(), b.read().unwrap()), (vec![1.0, 2.0], vec![3.0, 4.0]));
    a.write(&[9.0f32, 8.0]).unwrap();
    assert_eq!(swap.run(&[]).unwrap().f32(0), [9.0, 8.0]);
}

#[test]
fn a_run_is_one_submission_and_programs_without_outputs_need_not_be_read() {
    // A device of its own: other tests must not be counted.
    if gpu().is_none() {
        return;
    }
    let device = Device::gpu().unwrap();
    let x = device.variable("x", TensorType::f32([1000]), &vec![0.0f32; 1000]).unwrap();
    let g = Graph::new();
    let step = g.input("step", []);
    let moved = (g.variable(&x) + step).reshape([10, 100]).broadcast_to([3, 10, 100]).tanh();
    let next = g.variable(&x) + step;
    g.assign(&x, next);
    let mut reading = device.compile(&g, &[moved]).unwrap();
    let mut silent = device.compile(&g, &[]).unwrap();
    let before = device.submissions();
    for i in 1..=5 {
        reading.run(&[("step", &1.0f32)]).unwrap();
        assert_eq!(device.submissions() - before, i);
    }
    for i in 6..=25 {
        silent.run(&[("step", &1.0f32)]).unwrap();
        assert_eq!(device.submissions() - before, i);
    }
    assert_eq!(x.read().unwrap(), [25.0; 1000]);
}

#[test]
fn inputs_keep_what_they_were_last_given() {
    for device in common::devices() {
        let g = Graph::new();
        let (a, b) = (g.input("a", [3]), g.input("b", [300_000]));
        let mask = g.input_u32("index", [2]);
        let mut program = device.compile(&g, &[a * 2.0, b + 1.0, mask]).unwrap();
        let large: Vec<f32> = (0..300_000).map(|i| i as f32).collect();
        let message = program.run(&[("a", &[1.0f32; 3]), ("b", &large)]).err().unwrap().to_string();
        assert!(message.contains("input `index`") && message.contains("never given"), "{message}");
        let out = program.run(&[("index", &[7u32, 8])]).unwrap();
        assert_eq!(
            (out.f32(0), out.f32(1)[299_999], out.u32(2)),
            (&[2.0f32; 3][..], 300_000.0, &[7u32, 8][..])
        );
        program.input_mut("a").unwrap()[1] = 5.0;
        program.input_mut_u32("index").unwrap()[0] = 1;
        let out = program.run(&[]).unwrap();
        assert_eq!((out.f32(0), out.u32(2)), (&[2.0f32, 10.0, 2.0][..], &[1u32, 8][..]));
        let mut fork = program.fork().unwrap();
        assert!(fork.run(&[]).is_err(), "a fork starts without inputs");
        let given: [(&str, &dyn Data); 3] = [("a", &[0.5f32; 3]), ("b", &large), ("index", &[4u32, 4])];
        assert_eq!(fork.run(&given).unwrap().f32(0), [1.0; 3]);
        assert_eq!(program.outputs().f32(0), [2.0, 10.0, 2.0]);
    }
}

#[test]
fn what_is_not_computed_is_an_output_too() {
    for device in common::devices() {
        let v = device.variable("v", TensorType::f32([2]), &[1.0f32, 2.0]).unwrap();
        let g = Graph::new();
        let x = g.input("x", [2]);
        let c = g.constant([2], &[5.0, 6.0]);
        let tv = g.variable(&v);
        g.assign(&v, x);
        let mut program = device.compile(&g, &[x, c, tv, x, tv.reshape([1, 2])]).unwrap();
        // What lies in the variable, and on a processor, where outputs are read in place, what lies in the input.
        let copies = if device.is_cpu() { 3 } else { 2 };
        assert_eq!(program.summary().kernels, [("copy".to_string(), copies)]);
        let out = program.run(&[("x", &[8.0f32, 9.0])]).unwrap();
        let all: Vec<&[f32]> = (0..5).map(|i| out.f32(i)).collect();
        assert_eq!(all, [[8.0, 9.0], [5.0, 6.0], [1.0, 2.0], [8.0, 9.0], [1.0, 2.0]]);
        assert_eq!(v.read().unwrap(), [8.0, 9.0]);
    }
}

#[test]
fn programs_run_on_several_threads() {
    let Some(device) = gpu() else { return };
    let g = Graph::new();
    let x = g.input("x", [64]);
    let program = device.compile(&g, &[(x * 2.0).tanh()]).unwrap();
    std::thread::scope(|scope| {
        for t in 0..4 {
            let mut program = program.fork().unwrap();
            scope.spawn(move || {
                for i in 0..20 {
                    let x = 0.01 * (t * 20 + i) as f32;
                    let out = program.run(&[("x", &[x; 64])]).unwrap();
                    assert!(out.f32(0).iter().all(|y| (y - (2.0 * x).tanh()).abs() < 1e-5));
                }
            });
        }
    });
}

#[test]
fn sizes_over_a_limit_are_errors() {
    let Some(device) = gpu() else { return };
    let g = Graph::new();
    // 2^31 - 8 floats: more than one binding of any adapter holds (at most 4 GiB).
    let x = g.input("x", [1]).broadcast_to([2_147_483_640]);
    match device.compile(&g, &[x * 2.0]).err().unwrap() {
        Error::Limit { op, what, needed, limit, operands } => {
            assert_eq!(op, "fused");
            assert!(
                what.contains("bytes") && needed > limit && operands.contains("f32[1]"),
                "{what} {operands}"
            );
        }
        other => panic!("another error: {other}"),
    }
}

/// A head of more features than the attention kernel holds in registers is computed by products and a softmax, and
/// so is its gradient.
#[test]
fn an_op_over_a_limit_is_split_into_simpler_ones() {
    let Some(device) = gpu() else { return };
    let (queries, keys, features) = (3, 5, 600);
    let g = Graph::new();
    let (q, k) = (g.input("q", [2, queries, features]), g.input("k", [2, keys, features]));
    let out = q.attention(k, k * 0.5, 2, None, false);
    let rest = (out * q).tanh();
    let slope = g.grad((rest * rest).sum_all(), &[k]).unwrap()[0];
    let outputs = [rest, out, slope];
    let values = |n: usize| (0..n).map(|i| ((i * 37 % 101) as f32 - 30.0) * 0.01).collect::<Vec<f32>>();
    let (q, k) = (values(2 * queries * features), values(2 * keys * features));
    let run = |device: &Device| {
        let mut program = device.compile(&g, &outputs).unwrap();
        let kernels = program.summary().kernels.clone();
        let out = program.run(&[("q", &q), ("k", &k)]).unwrap();
        ((0..3).map(|i| out.f32(i).to_vec()).collect::<Vec<_>>(), kernels)
    };
    let ((here, whole), (there, split)) = (run(&Device::cpu()), run(&device));
    let has = |kernels: &[(String, usize)], name: &str| kernels.iter().any(|(known, _)| known == name);
    for op in ["attention", "attention_gradient"] {
        assert!(has(&whole, op) && !has(&split, op), "{op}: {whole:?} and {split:?}");
    }
    for (here, there) in here.iter().zip(&there) {
        let most = here.iter().fold(0f32, |most, x| most.max(x.abs()));
        assert!(most > 1e-3, "nothing to compare");
        for (a, b) in here.iter().zip(there) {
            assert!((a - b).abs() < 1e-4 * most, "{a} on the CPU and {b} on the GPU");
        }
    }
}

#[test]
fn mistakes_name_the_device() {
    let Some(device) = gpu() else { return };
    let message = Device::gpu_named("no such adapter").err().unwrap().to_string();
    assert!(message.contains("no such adapter") && message.contains("there is: "), "{message}");
    let adapters = Device::adapters();
    assert!(adapters.iter().any(|a| device.name().contains(&a.name)), "{adapters:?}");

    let here = Device::cpu().variable("w", TensorType::f32([2]), &[0.0f32; 2]).unwrap();
    let g = Graph::new();
    let twice = g.variable(&here) * 2.0;
    let message = device.compile(&g, &[twice]).err().unwrap().to_string();
    assert!(message.contains("`w` lives on another device"), "{message}");
    let there = device.variable("v", TensorType::f32([2]), &[0.0f32; 2]).unwrap();
    let g = Graph::new();
    let twice = g.variable(&there) * 2.0;
    let message = Device::cpu().compile(&g, &[twice]).err().unwrap().to_string();
    assert!(message.contains("`v` lives on another device"), "{message}");
    let other = Device::gpu().unwrap();
    assert!(other.compile(&g, &[twice]).is_err(), "two devices of one adapter share no memory");
}

/// An op with a launch that is not right in one way or another; or, as the test of the part below, one that starts in
/// the middle of its operand.
#[derive(Debug, Clone)]
enum Odd {
    Shader,
    Entry,
    Binding,
    Groups,
    Tail(usize),
}

impl Op for Odd {
    fn name(&self) -> &'static str {
        "odd"
    }
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        let skipped = if let Odd::Tail(n) = self { *n } else { 0 };
        Ok(vec![TensorType::f32([operands[0].elements() - skipped])])
    }
    fn cpu(&self, call: &mut CpuCall<'_>) -> synod_engine::Result<()> {
        let skipped = call.inputs[0].f32().len() - call.outputs[0].f32().len();
        let input = call.inputs[0].f32();
        call.outputs[0].f32().copy_from_slice(&input[skipped..]);
        Ok(())
    }
    fn gpu(&self, _call: &GpuCall<'_>) -> synod_engine::Result<GpuPlan> {
        let text = "@group(0) @binding(0) var<storage, read_write> out: array<f32>;
            @compute @workgroup_size(1) fn main() { out[0] = 1.0; }";
        let shader = if let Odd::Shader = self { "fn main( {" } else { text };
        Ok(Launch {
            shader: shader.into(),
            entry: if let Odd::Entry = self { "absent" } else { "main" },
            constants: Vec::new(),
            bindings: vec![if let Odd::Binding = self { Binding::Output(3) } else { Binding::Output(0) }],
            parameters: Vec::new(),
            workgroups: if let Odd::Groups = self { [1, u32::MAX, 1] } else { [1, 1, 1] },
        }
        .into())
    }
    fn alias(&self, _operands: &[TensorType]) -> Option<usize> {
        if let Odd::Tail(n) = self { Some(*n) } else { None }
    }
}

#[test]
fn launches_that_are_wrong_are_errors_that_name_the_op() {
    let Some(device) = gpu() else { return };
    for (odd, expected) in [
        (Odd::Shader, "odd(f32[4])"),
        (Odd::Entry, "absent"),
        (Odd::Binding, "odd: a launch binds Output(3)"),
        (Odd::Groups, "odd: workgroups along y"),
    ] {
        let g = Graph::new();
        let y = g.apply_one(odd.clone(), &[g.input("x", [4])]);
        let message = device.compile(&g, &[y]).err().unwrap().to_string();
        assert!(message.contains(expected), "{odd:?}: {message}");
    }
    // And the device still works.
    let g = Graph::new();
    let mut program = device.compile(&g, &[g.input("x", [1]) * 3.0]).unwrap();
    assert_eq!(program.run(&[("x", &[2.0f32])]).unwrap().f32(0), [6.0]);
}

#[test]
fn values_that_start_anywhere_are_found() {
    for device in common::devices() {
        let v = device.variable("v", TensorType::f32([700]), &vec![0.25f32; 700]).unwrap();
        let g = Graph::new();
        let x = g.input("x", [700]);
        let c: Vec<f32> = (0..700).map(|i| -(i as f32)).collect();
        let (c, v) = (g.constant([700], &c), g.variable(&v));
        let tail = |of, n| g.apply_one(Odd::Tail(n), &[of]);
        // Of an input, a constant, a variable, and a computed value; aligned (64 elements) and not; and of a part.
        let mut outputs = Vec::new();
        for n in [1, 3, 64, 699] {
            outputs.push(tail(x, n) * 2.0 + tail(c, n) + tail(v, n) + tail(x + 1.0, n).tanh());
            outputs.push(tail(x * 3.0, n));
        }
        outputs.push(tail(tail(x, 5), 6) - tail(x, 11) + tail(tail(x * c, 4), 7));
        let mut program = device.compile(&g, &outputs).unwrap();
        let data: Vec<f32> = (0..700).map(|i| (i as f32 * 0.37).sin()).collect();
        for _ in 0..2 {
            let out = program.run(&[("x", &data)]).unwrap();
            for (k, n) in [1, 3, 64, 699].into_iter().enumerate() {
                for i in n..700 {
                    let want = data[i] * 2.0 - i as f32 + 0.25 + (data[i] + 1.0).tanh();
                    let got = out.f32(2 * k)[i - n];
                    assert!((got - want).abs() < 1e-4 * want.abs().max(1.0), "{got} instead of {want}");
                    assert_eq!(out.f32(2 * k + 1)[i - n], data[i] * 3.0);
                }
            }
            for i in 11..700 {
                let want = -data[i] * i as f32;
                assert!((out.f32(8)[i - 11] - want).abs() < 1e-4 * want.abs().max(1.0));
            }
        }
    }
}

#[test]
fn values_share_memory_and_never_with_what_is_read() {
    // Where there is room values lie apart; here there is less than they all need.
    let Ok(device) = Device::gpu_binding_at_most(64 * 1024) else {
        assert!(gpu().is_none());
        return;
    };
    let g = Graph::new();
    let x = g.input("x", [1000]);
    // Shapes alternate, so that nothing fuses.
    let mut y = x;
    for i in 0..40 {
        y = (y * 0.9 + 0.1).reshape([if i % 2 == 0 { 10 } else { 20 }, if i % 2 == 0 { 100 } else { 50 }]);
    }
    let mut program = device.compile(&g, &[y]).unwrap();
    let summary = program.summary();
    assert!(summary.steps == 40 && summary.planned_bytes <= 3 * 4000, "{summary:?}");
    let out = program.run(&[("x", &vec![0.5f32; 1000])]).unwrap();
    let want = (0..40).fold(0.5f32, |y, _| y * 0.9 + 0.1);
    assert!(out.f32(0).iter().all(|y| (y - want).abs() < 1e-6));
}

#[test]
fn devices_may_be_shared_by_threads() {
    fn everywhere<T: Send + Sync>() {}
    everywhere::<Device>();
    everywhere::<Arc<synod_engine::Variable>>();
    fn sendable<T: Send>() {}
    sendable::<synod_engine::Program>();
}

/// What is put one after another is computed in place, unless that would write where the same step reads.
#[test]
fn concatenations_need_no_kernel_where_their_parts_have_steps_of_their_own() {
    const N: usize = 64;
    for device in common::devices() {
        let state = device.variable("state", TensorType::f32([3 * N]), &vec![0.0f32; 3 * N]).unwrap();
        let g = Graph::new();
        let (x, y) = (g.input("x", [N]), g.input("y", [N]));
        let [xm, ym] = [x, y].map(|t| t.reshape([8, 8]));
        let (square, other) = (xm.matmul(xm).reshape([N]), ym.matmul(xm).reshape([N]));
        // Of a concatenation, of which a part is an output and another is read elsewhere.
        let inner = g.concat(&[square, other], 0);
        let outer = g.concat(&[inner, x.softmax(-1)], 0);
        g.assign(&state, outer);
        let twice = g.concat(&[y.softmax(-1), y.softmax(-1)], 0);
        let mut program = device.compile(&g, &[outer, square, twice, outer.slice(0, N, N) * 2.0]).unwrap();
        let copies = program.summary().kernels.iter().find(|(name, _)| name == "concat").map(|(_, n)| *n);
        assert_eq!(copies, Some(1), "{}: all but the one of equal parts", device.name());
        // A chain: what one step writes the next one reads.
        let h = Graph::new();
        let first = h.input("x", [N]).softmax(-1);
        let chain = h.concat(&[first, first.softmax(-1)], 0);
        let mut chained = device.compile(&h, &[chain]).unwrap();

        let xs: Vec<f32> = (0..N).map(|i| (i % 7) as f32 * 0.25 - 0.5).collect();
        let ys: Vec<f32> = (0..N).map(|i| (i % 5) as f32 * 0.5 - 1.0).collect();
        let softmax = |v: &[f32]| -> Vec<f32> {
            let all: f32 = v.iter().map(|x| x.exp()).sum();
            v.iter().map(|x| x.exp() / all).collect()
        };
        let product = |a: &[f32], b: &[f32]| -> Vec<f32> {
            (0..N).map(|i| (0..8).map(|t| a[i / 8 * 8 + t] * b[t * 8 + i % 8]).sum()).collect()
        };
        let whole = [product(&xs, &xs), product(&ys, &xs), softmax(&xs)].concat();
        let near = |got: &[f32], want: &[f32]| {
            let all = got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(all && got.len() == want.len(), "{}: {got:?} {want:?}", device.name());
        };
        let out = program.run(&[("x", &xs), ("y", &ys)]).unwrap();
        near(out.f32(0), &whole);
        near(out.f32(1), &product(&xs, &xs));
        near(out.f32(2), &[softmax(&ys), softmax(&ys)].concat());
        near(out.f32(3), &product(&ys, &xs).iter().map(|x| x * 2.0).collect::<Vec<_>>());
        near(&state.read().unwrap(), &whole);
        let out = chained.run(&[("x", &xs)]).unwrap();
        near(out.f32(0), &[softmax(&xs), softmax(&softmax(&xs))].concat());
    }
}
