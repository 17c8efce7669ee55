//! Graphs of any ops on any tensors, their gradients, compiled and run with whatever is given; and ops applied to operands
//! that they were not made for.

use synod::graph::{Graph, Op, Scalar, Tensor};
use synod::op::message::Edges;
use synod::op::{
    attention::Attention, cast::Cast, conv, elementwise, gather, gru::Gru, lstm::Lstm, matmul::Matmul,
    memory, movement, norm, reduce, scan, select, selective, slice, softmax, ssm, transpose::Transpose,
};
use synod::{CompileOptions, DType, Device, TensorType};

use crate::{Random, fuzz};

/// A tensor of more elements is neither computed nor differentiated here.
const LARGE: usize = 1 << 16;

fn axis(random: &mut Random) -> isize {
    random.below(7) as isize - 3
}

fn shape(random: &mut Random) -> Vec<usize> {
    const USUAL: [&[usize]; 9] =
        [&[], &[3], &[2, 3], &[3, 3], &[1, 3], &[4, 2, 3], &[2, 1, 3], &[5, 4], &[2, 4, 4, 3]];
    if random.once_in(60) {
        return (0..random.below(5)).map(|_| random.size()).collect();
    }
    random.pick(&USUAL).to_vec()
}

fn input<'g>(g: &'g Graph, random: &mut Random) -> Tensor<'g> {
    let of = shape(random);
    let name = format!("{of:?} {}", random.below(3));
    match random.below(6) {
        0 => g.input_u32(&format!("integers {name}"), of),
        1 => {
            let elements = of.iter().fold(1usize, |all, n| all.saturating_mul(*n)).min(100);
            let values = random.floats(elements);
            g.constant(of, &values)
        }
        _ => g.input(&name, of),
    }
}

/// Any method of a tensor on tensors that are there.
fn method<'g>(g: &'g Graph, all: &[Tensor<'g>], random: &mut Random) -> Vec<Tensor<'g>> {
    let mut any = || *random.pick(all);
    let (x, y, z) = (any(), any(), any());
    // One of the shape of `x`, where there is one.
    let like = |of: Tensor<'g>| all.iter().rev().find(|t| t.tensor_type() == of.tensor_type()).copied();
    let same = like(x).unwrap_or(y);
    let rank = x.shape().len();
    let one = match random.below(48) {
        0 => x + same,
        1 => x * y,
        2 => x - same,
        3 => x / same,
        4 => x.tanh(),
        5 => x.exp(),
        6 => x.relu(),
        7 => x.gelu(),
        8 => x.maximum(same),
        9 => x.less(same),
        10 => x.select(same, same),
        11 => x.matmul(y),
        12 => x.matmul_with(same, true, false),
        13 => x.matmul_with(same, false, true),
        14 => x.sum(&[axis(random)]),
        15 => x.mean(&[axis(random), axis(random)]),
        16 => x.max(&[axis(random)]),
        17 => x.sum_all(),
        18 => x.softmax(axis(random)),
        19 => x.log_softmax(axis(random)),
        20 => x.logsumexp(axis(random)),
        21 => x.slice(axis(random), random.below(4), 1 + random.below(3)),
        22 => x.slice(axis(random), random.size(), random.size()),
        23 => g.concat(&[x, same, x], axis(random)),
        24 => g.stack(&[x, same], axis(random)),
        25 => x.pad(axis(random), random.below(3), random.below(3)),
        26 => x.pad(axis(random), random.size(), random.size()),
        27 => x.repeat(axis(random), random.below(4)),
        28 => {
            let order: Vec<usize> = (0..rank).rev().collect();
            x.transpose(if random.once_in(6) { &[0, 0, 9] } else { &order })
        }
        29 => x.swap(axis(random), axis(random)),
        30 => x.reshape([x.tensor_type().elements()]),
        31 => x.reshape(shape(random)),
        32 => x.broadcast_to(shape(random)),
        33 => x.sum_to(shape(random)),
        34 => x.gather(y),
        35 => x.scatter_add(y, random.size().min(1 << 20)),
        36 => x.take_along_last(y),
        37 => x.put_along_last(y, random.size().min(1 << 20)),
        38 => x.one_hot(random.size().min(1 << 20)),
        39 => x.argmax(),
        40 => x.layer_norm(y, z, 1e-5),
        41 => x.conv2d(y, [random.size(), random.below(3)], [random.below(3), random.size()]),
        42 => x.attention(same, same, random.below(4), random.once_in(3).then_some(z), random.once_in(2)),
        43 => x.memory_read(y, random.below(4), random.once_in(2).then_some(z)),
        44 if random.once_in(2) => x.complex_scan(same, y, random.once_in(2).then_some(z)),
        44 => x.linear_scan(same, y, random.once_in(2).then_some(z)),
        45 => match random.below(5) {
            0 => x.random_normal(shape(random)),
            1 => x.random_uniform(shape(random)),
            2 => g.key(random.bits()).categorical(x),
            3 => x.categorical(g.key(random.bits())),
            _ => x.split_key(random.below(5)),
        },
        46 => return x.split(axis(random), &[random.below(3), random.below(3)]),
        _ => match random.below(6) {
            0 => x.to_u32(),
            1 => x.to_f32(),
            2 => x.detach(),
            3 => x.lstm([y, z], [y, z, same], None).hidden,
            4 => x.gru(y, [y, z, same, z], random.once_in(2).then_some(y)),
            _ => {
                let of = Edges { offsets: x, sources: y, transposed_offsets: z, destinations: y, edges: z };
                let of = if random.once_in(2) { of } else { Edges::input(g, "e", &[], 3, 4) };
                same.message_sum(of)
            }
        },
    };
    vec![one]
}

fn run(g: &Graph, outputs: &[Tensor<'_>], random: &mut Random) {
    let total = outputs.iter().map(|t| t.tensor_type().elements()).fold(0, usize::saturating_add);
    if total > LARGE {
        return;
    }
    let options = CompileOptions { fusion: random.once_in(2) };
    let Ok(mut program) = Device::cpu().compile_with(g, outputs, options) else { return };
    if program.summary().planned_bytes > 16 << 20 {
        return;
    }
    let inputs: Vec<(String, TensorType)> =
        program.inputs().map(|(n, of)| (n.to_string(), of.clone())).collect();
    // What is given is not planned, and takes the longest to make up.
    let given = inputs.iter().map(|(_, of)| of.elements()).fold(0, usize::saturating_add);
    if given > 16 * LARGE {
        return;
    }
    for _ in 0..2 {
        let mut floats = Vec::new();
        let mut integers = Vec::new();
        for (name, of) in &inputs {
            let length = random.length(of.elements());
            match of.dtype {
                DType::F32 => floats.push((name, random.floats(length))),
                _ => integers.push((name, (0..length).map(|_| random.below(4) as u32).collect::<Vec<u32>>())),
            }
        }
        let mut given: Vec<(&str, &dyn synod::Data)> = Vec::new();
        given.extend(floats.iter().map(|(name, data)| (name.as_str(), data as &dyn synod::Data)));
        given.extend(integers.iter().map(|(name, data)| (name.as_str(), data as &dyn synod::Data)));
        if random.once_in(10) {
            given.pop();
        }
        if let Ok(out) = program.run(&given) {
            for i in 0..outputs.len() + 1 {
                let _ = (out.scalar(i), out.f32(i).len(), out.tensor_type(i));
            }
        }
    }
    let mut second = program.fork();
    if let Ok(second) = &mut second {
        let _ = second.run(&[]);
    }
}

#[test]
fn graphs() {
    fuzz("graphs", |random| {
        let (g, other) = (Graph::new(), Graph::new());
        let mut all = vec![input(&g, random), input(&g, random), input(&g, random)];
        let mut good = all.clone();
        for _ in 0..random.below(14) {
            let made = method(&g, &all, random);
            if g.check().is_err() {
                // Everything may still be asked of what stands for a mistake.
                for _ in 0..4 {
                    all.extend(method(&g, &[made.first().copied().unwrap_or(all[0]), all[0]], random));
                }
                let _ = g.grad(all[0], &[all[1]]);
                assert!(Device::cpu().compile(&g, &all).is_err());
                return;
            }
            all.extend(made);
            if random.once_in(3) {
                all.push(input(&g, random));
            }
            good.clone_from(&all);
        }
        if g.check().is_ok() {
            let large = |t: &&Tensor<'_>| t.tensor_type().elements() <= LARGE;
            let small: Vec<Tensor<'_>> = good.iter().filter(large).copied().collect();
            let loss = good[good.len() - 1].sum_all();
            let wrt: Vec<Tensor<'_>> = (0..random.below(4)).map(|_| *random.pick(&good)).collect();
            let mut outputs: Vec<Tensor<'_>> = small.into_iter().rev().take(1 + random.below(3)).collect();
            if let Ok(gradients) = g.grad(loss, &wrt) {
                outputs.extend(gradients);
            }
            if random.once_in(8) {
                let _ = g.vjp(&wrt, &outputs, &good);
            }
            if random.once_in(8) {
                let _ = g.grad(other.scalar(1.0), &wrt);
            }
            run(&g, &outputs, random);
        }
    });
}

#[test]
fn ops_on_any_operands() {
    fn apply(g: &Graph, op: impl Op, random: &mut Random) {
        let operands: Vec<Tensor<'_>> = (0..random.below(8)).map(|_| input(g, random)).collect();
        if g.check().is_err() {
            return;
        }
        let made = g.apply(op, &operands);
        if g.check().is_ok() {
            let loss = made[0].sum_all();
            let mut outputs = made.clone();
            outputs.extend(g.grad(loss, &operands[..operands.len().min(1)]).unwrap_or_default());
            run(g, &outputs, random);
        }
    }
    fuzz("ops on any operands", |random| {
        let g = &Graph::new();
        let mut dimension = || if random.once_in(8) { random.size() } else { random.below(4) };
        let (a, b, c) = (dimension(), dimension(), dimension());
        let flag = random.once_in(2);
        let window = conv::Window { stride: [a, b], padding: [b, c] };
        match random.below(32) {
            0 => apply(g, Matmul::new(flag, random.once_in(2)), random),
            1 => apply(g, slice::Slice { axis: a, start: b, length: c }, random),
            2 => apply(g, slice::Split { axis: a, sizes: vec![b, c] }, random),
            3 => apply(g, slice::Concat(a), random),
            4 => apply(g, slice::Pad { axis: a, before: b, after: c }, random),
            5 => apply(g, Transpose(vec![a, b, c]), random),
            6 => apply(g, reduce::Reduce { reduction: reduce::Reduction::Maximum, axes: vec![a, b] }, random),
            7 => apply(g, reduce::Reduce { reduction: reduce::Reduction::Sum, axes: vec![a] }, random),
            8 => apply(g, elementwise::Broadcast(vec![a, b].into()), random),
            9 => apply(g, movement::Reshape(vec![a, b, c].into()), random),
            10 => apply(g, Cast(DType::U32), random),
            11 => apply(g, gather::Gather, random),
            12 => apply(g, gather::ScatterAdd { rows: a.min(1 << 20) }, random),
            13 => apply(g, select::TakeAlongLast, random),
            14 => apply(g, select::PutAlongLast { size: a.min(1 << 20) }, random),
            15 => apply(g, select::OneHot { classes: a.min(1 << 20) }, random),
            16 => apply(g, select::Argmax, random),
            17 => apply(g, conv::Conv2d::new(window), random),
            18 => apply(g, Attention { heads: a, causal: flag, mask: random.once_in(2) }, random),
            19 => apply(g, Lstm { resets: flag }, random),
            20 => apply(g, Gru { resets: flag }, random),
            21 => apply(g, softmax::Softmax { log: flag }, random),
            22 => apply(g, softmax::SoftmaxGradient { log: flag }, random),
            23 => apply(g, norm::LayerNorm { epsilon: random.float() }, random),
            24 => apply(g, norm::LayerNormGradient, random),
            25 => apply(g, scan::LinearScan { reverse: flag, resets: random.once_in(2) }, random),
            26 => apply(g, ssm::DiagonalSsm { initial: flag, resets: random.once_in(2) }, random),
            27 => apply(g, memory::MemoryWrite { threshold: random.float() }, random),
            28 => apply(g, movement::Copy, random),
            30 => apply(g, selective::SelectiveScan { resets: flag }, random),
            29 => apply(g, scan::ComplexScan::new(flag, random.once_in(2)), random),
            _ => apply(
                g,
                elementwise::Elementwise(*random.pick(&[Scalar::Select, Scalar::Add, Scalar::Exp])),
                random,
            ),
        }
    });
}
