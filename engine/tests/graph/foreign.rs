//! Ops of other packages that say what is not so: an error that names them, and never memory of others. Safe code only.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use synod_engine::graph::{
    ByRows, CpuCall, CpuStorage, Cut, GpuCall, GpuPlan, Op, Scalar, VariableStorage, VjpCall,
};
use synod_engine::op::matmul::Matmul;
use synod_engine::op::norm::LayerNorm;
use synod_engine::{Data, Device, Graph, Result, Tensor, TensorType};

/// What it says of itself.
#[derive(Clone)]
enum Says {
    Alias(usize),
    Scalar(Scalar),
    InPlace(&'static [(usize, usize)]),
    Concatenates,
    Epilogue(Arc<dyn Op>),
    ByRows,
    Scratch(usize),
    /// Another answer every time it is asked for its alias.
    Whatever(Arc<AtomicUsize>),
    Cuts,
    Gradient(fn(usize) -> Vec<Option<usize>>),
}

/// An op that is what `says` makes of it, with outputs of these types whatever the operands are.
#[derive(Clone)]
struct Liar {
    outputs: Vec<TensorType>,
    says: Says,
}

impl std::fmt::Debug for Liar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.outputs)
    }
}

impl Op for Liar {
    fn name(&self) -> &'static str {
        "liar"
    }
    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>, String> {
        Ok(self.outputs.clone())
    }
    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        call.outputs.iter_mut().for_each(|output| output.u32().fill(0));
        Ok(())
    }
    fn gpu(&self, _: &GpuCall<'_>) -> Result<GpuPlan> {
        Ok(GpuPlan::default())
    }
    fn alias(&self, _: &[TensorType]) -> Option<usize> {
        match &self.says {
            Says::Alias(offset) => Some(*offset),
            Says::Whatever(asked) => {
                let times = asked.fetch_add(1, Ordering::Relaxed);
                (times > 1).then_some(times * 100)
            }
            _ => None,
        }
    }
    fn scalar(&self) -> Option<Scalar> {
        if let Says::Scalar(function) = self.says { Some(function) } else { None }
    }
    fn in_place(&self) -> &'static [(usize, usize)] {
        if let Says::InPlace(pairs) = self.says { pairs } else { &[] }
    }
    fn concatenates(&self, _: &TensorType) -> bool {
        matches!(self.says, Says::Concatenates)
    }
    fn with_epilogue(&self, _: bool, _: Option<Scalar>) -> Option<Arc<dyn Op>> {
        if let Says::Epilogue(op) = &self.says { Some(op.clone()) } else { None }
    }
    fn by_rows(&self, operands: &[TensorType], _: &[TensorType]) -> Option<ByRows> {
        let op: Arc<dyn Op> = Arc::new(LayerNorm { epsilon: 1e-5 });
        matches!(self.says, Says::ByRows).then(|| ByRows { op, sliced: vec![true; 3 * operands.len()] })
    }
    fn cpu_scratch(&self, _: &[TensorType], _: &[TensorType]) -> usize {
        if let Says::Scratch(floats) = self.says { floats } else { 0 }
    }
    fn cuts(&self, _: &[TensorType], _: &[TensorType]) -> Vec<Cut> {
        let operands = vec![Some(7), None, Some(0)];
        if let Says::Cuts = self.says { vec![Cut { operands, outputs: vec![] }] } else { vec![] }
    }
    fn vjp<'g>(&self, call: &VjpCall<'_, 'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Says::Gradient(sizes) = self.says else { return Ok(vec![None; call.operands.len()]) };
        let graph = call.operands[0].graph();
        let gradient = |size: usize| graph.full([size], 1.0);
        Ok(sizes(call.operands.len()).into_iter().map(|size| size.map(gradient)).collect())
    }
}

fn liar(outputs: &[TensorType], says: Says) -> Liar {
    Liar { outputs: outputs.to_vec(), says }
}

/// The error of compiling `op` on `operands` inputs of eight, with an addition and an activation behind it.
fn refusal(op: Liar, operands: usize) -> Option<String> {
    let g = Graph::new();
    let inputs: Vec<Tensor<'_>> = (0..operands).map(|i| g.input(&format!("x{i}"), [8])).collect();
    let made = g.apply(op, &inputs)[0];
    let bare = Device::cpu().compile(&g, &[made]).err();
    let end = (made + g.input("bias", [8])).relu();
    let more = Device::cpu().compile(&g, &[end]).err();
    bare.or(more).map(|error| error.to_string())
}

#[test]
fn claims_that_do_not_hold_are_errors() {
    let eight = TensorType::f32([8]);
    let nine = TensorType::f32([9]);
    for (op, operands, part) in [
        (liar(std::slice::from_ref(&eight), Says::Alias(24)), 1, "alias"),
        (liar(std::slice::from_ref(&eight), Says::Alias(1)), 1, "alias"),
        (liar(std::slice::from_ref(&eight), Says::Alias(usize::MAX)), 1, "alias"),
        (liar(std::slice::from_ref(&eight), Says::Alias(0)), 0, "alias"),
        (liar(&[TensorType::u32([8])], Says::Alias(0)), 1, "alias"),
        (liar(&[eight.clone(), eight.clone()], Says::Alias(0)), 1, "alias"),
        (liar(&[TensorType::f32([64])], Says::Scalar(Scalar::Negate)), 1, "scalar"),
        (liar(std::slice::from_ref(&eight), Says::Scalar(Scalar::Add)), 1, "scalar"),
        (liar(std::slice::from_ref(&eight), Says::Scalar(Scalar::Negate)), 0, "scalar"),
        (liar(std::slice::from_ref(&eight), Says::InPlace(&[(0, 3)])), 1, "in_place"),
        (liar(std::slice::from_ref(&nine), Says::InPlace(&[(0, 0)])), 1, "in_place"),
        (liar(&[TensorType::f32([20])], Says::Concatenates), 2, "concatenates"),
        (liar(&[TensorType::u32([16])], Says::Concatenates), 2, "concatenates"),
        (liar(std::slice::from_ref(&eight), Says::Scratch(usize::MAX)), 1, "room"),
        (
            liar(std::slice::from_ref(&eight), Says::Epilogue(Arc::new(Matmul::new(false, false)))),
            2,
            "matmul",
        ),
    ] {
        let (says, refused) = (format!("{:?} {part}", op.outputs), refusal(op, operands));
        let message = refused.unwrap_or_else(|| panic!("{says}: taken"));
        assert!(message.contains(part), "{says}: {message}");
    }
}

#[test]
fn claims_that_do_no_harm_are_let_be() {
    let eight = TensorType::f32([8]);
    for says in [Says::ByRows, Says::Cuts, Says::InPlace(&[(0, 0)]), Says::Scratch(100), Says::Alias(0)] {
        assert_eq!(refusal(liar(std::slice::from_ref(&eight), says), 1), None);
    }
    assert_eq!(refusal(liar(&[eight], Says::Scalar(Scalar::Negate)), 1), None);
    // Rows of a chain are those of this package's own ops.
    let g = Graph::new();
    let x = g.input("x", [4096, 64]);
    let y = g.apply_one(liar(&[TensorType::f32([4096, 64])], Says::ByRows), &[x.tanh()]);
    let mut program = Device::cpu().compile(&g, &[y.tanh()]).unwrap();
    let out = program.run(&[("x", &vec![1.0f32; 4096 * 64])]).unwrap();
    assert!(out.f32(0).iter().all(|x| *x == 0.0));
}

#[test]
fn an_op_that_changes_its_mind_is_refused() {
    let says = || Says::Whatever(Arc::new(AtomicUsize::new(0)));
    assert!(refusal(liar(&[TensorType::f32([8])], says()), 1).is_some());
}

#[test]
fn ops_need_outputs_and_not_too_many() {
    for count in [0, 65] {
        let g = Graph::new();
        let made = g.apply_one(liar(&vec![TensorType::f32([8]); count], Says::Scratch(0)), &[]);
        let _ = made.exp();
        let message = g.check().unwrap_err().to_string();
        assert!(message.contains("liar") && message.contains("outputs"), "{message}");
    }
}

#[test]
fn gradients_of_a_rule_must_fit_its_operands() {
    for (sizes, part) in [
        ((|n| vec![Some(8); n + 1]) as fn(usize) -> Vec<Option<usize>>, "3 gradients for 2 operands"),
        (|n| vec![Some(8); n - 1], "1 gradients for 2 operands"),
        (|_| vec![Some(8), Some(4)], "f32[4] for operand 1"),
    ] {
        let g = Graph::new();
        let (x, y) = (g.input("x", [8]), g.input("y", [8]));
        let made = g.apply_one(liar(&[TensorType::f32([8])], Says::Gradient(sizes)), &[x, y]);
        let message = g.grad(made.sum_all(), &[x, y]).unwrap_err().to_string();
        assert!(message.contains("liar") && message.contains(part), "{message}");
    }
}

macro_rules! scale {
    ($module:ident, $factor:literal) => {
        mod $module {
            use super::*;
            #[derive(Debug)]
            pub struct Scale;
            impl Op for Scale {
                fn name(&self) -> &'static str {
                    "scale"
                }
                fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
                    Ok(vec![operands[0].clone()])
                }
                fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
                    let x = call.inputs[0].f32();
                    call.outputs[0].f32().iter_mut().zip(x).for_each(|(y, x)| *y = $factor * x);
                    Ok(())
                }
                fn gpu(&self, _: &GpuCall<'_>) -> Result<GpuPlan> {
                    Ok(GpuPlan::default())
                }
            }
        }
    };
}
scale!(one, 2.0);
scale!(two, 3.0);

#[test]
fn ops_of_two_types_that_print_alike_are_two() {
    let g = Graph::new();
    let x = g.input("x", [1]);
    let outputs = [one::Scale, one::Scale].map(|op| g.apply_one(op, &[x]));
    let other = g.apply_one(two::Scale, &[x]);
    assert_eq!(g.len(), 3);
    let mut program = Device::cpu().compile(&g, &[outputs[0], outputs[1], other]).unwrap();
    let out = program.run(&[("x", &[1.0f32])]).unwrap();
    assert_eq!([0, 1, 2].map(|i| out.scalar(i)), [2.0, 2.0, 3.0]);
}

#[test]
fn a_storage_gives_out_its_own_elements_alone() {
    let storages: Vec<CpuStorage> = (0..64).map(|_| CpuStorage::new(4)).collect();
    for (i, storage) in storages.iter().enumerate() {
        storage.write(&[i as u32; 4]).unwrap();
    }
    for length in [0, 3, 5, 64] {
        assert!(storages[10].read(&mut vec![0; length]).is_err());
        assert!(storages[10].write(&vec![0; length]).is_err());
    }
    let mut out = [0; 4];
    storages[10].read(&mut out).unwrap();
    assert_eq!(out, [10; 4]);
    assert!(CpuStorage::new(usize::MAX).read(&mut out).is_err());
}

/// Data whose length is another each time it is asked for.
struct Shifty(Vec<u32>, std::cell::Cell<usize>);
impl Data for Shifty {
    fn dtype(&self) -> synod_engine::DType {
        synod_engine::DType::U32
    }
    fn bits(&self) -> &[u32] {
        let times = self.1.replace(self.1.get() + 1);
        if times.is_multiple_of(2) { &self.0[..4] } else { &self.0 }
    }
}

#[test]
fn data_that_grows_is_data_of_one_length() {
    let device = Device::cpu();
    let of = TensorType::u32([4]);
    let variables: Vec<_> =
        (0..64).map(|i| device.variable("v", of.clone(), &[i as u32; 4]).unwrap()).collect();
    for first in [0, 1] {
        let grows = Shifty(vec![0xdead_beef; 1 << 16], first.into());
        let _ = variables[10].write(&grows);
        let _ = device.variable("new", of.clone(), &grows);
        let g = Graph::new();
        let mut program = device.compile(&g, &[g.input_u32("x", [4])]).unwrap();
        let _ = program.run(&[("x", &grows)]).map(|out| out.u32(0).to_vec());
    }
    for (i, variable) in variables.iter().enumerate().filter(|(i, _)| *i != 10) {
        assert_eq!(variable.read_u32().unwrap(), [i as u32; 4]);
    }
    assert!(variables[10].read_u32().unwrap().len() == 4);
}

/// Hands its call on to an op that the operands were not made for.
#[derive(Debug)]
struct HandsOn;
impl Op for HandsOn {
    fn name(&self) -> &'static str {
        "hands_on"
    }
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, String> {
        Ok(vec![operands[0].clone()])
    }
    fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {
        LayerNorm { epsilon: 1e-5 }.cpu(call)
    }
    fn gpu(&self, _: &GpuCall<'_>) -> Result<GpuPlan> {
        Ok(GpuPlan::default())
    }
}

#[test]
fn kernels_refuse_the_calls_of_others() {
    let g = Graph::new();
    let y = g.apply_one(HandsOn, &[g.input("x", [1000]), g.input("scale", [1]), g.input("bias", [1])]);
    let mut program = Device::cpu().compile(&g, &[y]).unwrap();
    let run = program.run(&[("x", &vec![1.0f32; 1000]), ("scale", &[1.0f32]), ("bias", &[1.0f32])]);
    assert!(run.err().is_some_and(|error| error.to_string().contains("another package")));
}

/// Reads the sources: a kernel of this package begins with the check that its call is not another's.
#[test]
fn every_kernel_asks_whose_call_it_is() {
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/op"))];
    let mut kernels = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for kernel in text.split("fn cpu(&self, call: &mut CpuCall<'_>) -> Result<()> {").skip(1) {
                kernels += 1;
                assert!(kernel.trim_start().starts_with("call.expect_own()?;"), "{}", path.display());
            }
        }
    }
    assert!(kernels > 50);
}
