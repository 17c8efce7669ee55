//! Memory writes and reads against plain loops in f64.

use crate::common::{Case, Input, Random, floats, mask, uniform};
use synod_engine::{Device, Graph};

const COVERS: &[&str] = &["memory_write", "memory_write_gradient"];

/// One lane of operands.
struct Lane<'a> {
    memory: &'a [f64],
    importance: &'a [f64],
    candidates: &'a [f64],
    gates: &'a [f64],
    importances: &'a [f64],
}

fn write(lane: &Lane<'_>, features: usize, decay: f64, threshold: f64) -> (Vec<f64>, Vec<f64>) {
    let mut memory = lane.memory.to_vec();
    let mut importance: Vec<f64> = lane.importance.iter().map(|r| r * decay).collect();
    for (i, &g) in lane.gates.iter().enumerate() {
        if g <= threshold {
            continue;
        }
        let mut slot = 0;
        for j in 0..importance.len() {
            if importance[j] < importance[slot] {
                slot = j;
            }
        }
        for d in 0..features {
            let m = &mut memory[slot * features + d];
            *m = (1.0 - g) * *m + g * lane.candidates[i * features + d];
        }
        importance[slot] = (1.0 - g) * importance[slot] + g * lane.importances[i];
    }
    (memory, importance)
}

/// Sizes of a case: leading dimensions of the five operands, slots, features, agents.
#[derive(Clone)]
struct Sizes {
    lanes: [Vec<usize>; 5],
    slots: usize,
    features: usize,
    agents: usize,
}

impl Sizes {
    fn equal(lanes: &[usize], slots: usize, features: usize, agents: usize) -> Self {
        Sizes { lanes: std::array::from_fn(|_| lanes.to_vec()), slots, features, agents }
    }

    fn last(&self) -> [Vec<usize>; 5] {
        let (agents, slots) = (vec![self.agents], vec![self.slots]);
        let (memory, candidates) = (vec![self.slots, self.features], vec![self.agents, self.features]);
        [memory, slots, candidates, agents.clone(), agents]
    }

    fn shapes(&self) -> [Vec<usize>; 5] {
        let last = self.last();
        std::array::from_fn(|i| [&self.lanes[i][..], &last[i]].concat())
    }

    fn reference(&self, v: &[Vec<f64>], decay: f64, threshold: f64) -> Vec<Vec<f64>> {
        let rank = self.lanes.iter().map(Vec::len).max().unwrap();
        let size = |own: &[usize], d: usize| (d + own.len()).checked_sub(rank).map_or(1, |at| own[at]);
        let all: Vec<usize> =
            (0..rank).map(|d| self.lanes.iter().map(|own| size(own, d)).max().unwrap()).collect();
        let last = self.last();
        let (mut memory, mut importance) = (Vec::new(), Vec::new());
        for lane in 0..all.iter().product::<usize>() {
            let parts: [&[f64]; 5] = std::array::from_fn(|o| {
                let (mut rest, mut at, mut stride) = (lane, 0, 1);
                for d in (0..rank).rev() {
                    let own = size(&self.lanes[o], d);
                    at += rest % all[d] % own * stride;
                    rest /= all[d];
                    stride *= own;
                }
                let elements: usize = last[o].iter().product();
                &v[o][at * elements..(at + 1) * elements]
            });
            let [memory_of, importance_of, candidates, gates, importances] = parts;
            let lane = Lane { memory: memory_of, importance: importance_of, candidates, gates, importances };
            let (m, r) = write(&lane, self.features, decay, threshold);
            memory.extend(m);
            importance.extend(r);
        }
        vec![memory, importance]
    }
}

/// Importances that stay apart from one another: nearly equal ones would make finite differences jump.
fn ranks(shape: &[usize], random: &mut Random) -> Input {
    let slots = *shape.last().unwrap();
    let mut values = Vec::new();
    for _ in 0..shape.iter().product::<usize>() / slots {
        let mut order: Vec<usize> = (0..slots).collect();
        for i in (1..slots).rev() {
            order.swap(i, random.below(i + 1));
        }
        values.extend(order.iter().map(|&i| ((i as f64 + random.uniform(0.2, 0.8)) / slots as f64) as f32));
    }
    floats(shape, &values)
}

/// What each agent writes is worth so much more than all before that no two slots come near to a tie, whatever the gates
/// (from .3 to .95): agents take different slots as long as there are any, and then the oldest.
fn ladder(shape: &[usize], random: &mut Random) -> Input {
    let agents = *shape.last().unwrap();
    if agents > 8 {
        // As many steps would be more than a float can tell apart; these cases have nearly a slot for each agent.
        return uniform(shape, 5.0..6.0);
    }
    let count = shape.iter().product::<usize>();
    let one =
        |i: usize, random: &mut Random| (random.uniform(5.0, 6.0) * 4f64.powi((i % agents) as i32)) as f32;
    let values: Vec<f32> = (0..count).map(|i| one(i, random)).collect();
    floats(shape, &values)
}

fn case(op: &'static str, sizes: &Sizes, gates: Input, decay: f32, threshold: f32) -> Case {
    let shapes = sizes.shapes();
    let mut random = Random::fresh();
    let inputs = vec![
        uniform(&shapes[0], -1.5..1.5),
        ranks(&shapes[1], &mut random),
        uniform(&shapes[2], -1.5..1.5),
        gates,
        ladder(&shapes[4], &mut random),
    ];
    let sizes = sizes.clone();
    Case::new(
        op,
        inputs,
        move |_, t| {
            let [memory, importance, _] = t[0].memory_write(t[1], t[2], t[3], t[4], decay, threshold);
            vec![memory, importance]
        },
        move |v| sizes.reference(v, f64::from(decay), f64::from(threshold)),
    )
    .tolerance(1e-5)
}

#[test]
fn writes_with_gradients() {
    for (slots, features, agents) in [(1, 1, 1), (3, 2, 2), (2, 3, 5), (5, 4, 3)] {
        for lanes in [&[][..], &[2], &[2, 1, 2]] {
            let sizes = Sizes::equal(lanes, slots, features, agents);
            let gates = uniform(&sizes.shapes()[3], 0.3..0.95);
            case("memory_write", &sizes, gates, 0.9, 0.0).check();
        }
    }
}

#[test]
fn agents_below_the_threshold_write_nothing() {
    let sizes = Sizes::equal(&[2], 3, 2, 4);
    let gates = floats([2, 4], &[0.1, 0.9, 0.4, 0.8, 0.2, 0.0, 0.45, 0.3]);
    case("memory_write_gradient", &sizes, gates, 1.0, 0.5).check();
}

#[test]
fn lanes_are_broadcast() {
    let lanes = [vec![2, 1], vec![3], vec![2, 3], vec![1, 3], vec![]];
    let sizes = Sizes { lanes, slots: 3, features: 2, agents: 2 };
    let gates = uniform(&sizes.shapes()[3], 0.3..0.95);
    case("memory_write_gradient", &sizes, gates, 0.95, 0.0).check();
}

#[test]
fn sizes_of_teams() {
    for (lanes, slots, features, agents) in
        [(7, 16, 64, 8), (3, 65, 33, 67), (130, 4, 17, 3), (1, 200, 128, 64)]
    {
        let sizes = Sizes::equal(&[lanes], slots, features, agents);
        let gates = uniform(&sizes.shapes()[3], 0.3..0.95);
        case("memory_write", &sizes, gates, 0.9, 0.5).outputs_only().check();
        let gates = uniform(&sizes.shapes()[3], 0.3..0.95);
        case("memory_write", &sizes, gates, 0.9, 0.0).first_order().check();
    }
}

#[test]
fn of_equal_slots_the_first_is_taken() {
    for device in crate::common::devices() {
        let g = Graph::new();
        let memory = g.input("memory", [3, 1]);
        let one = |v: f32| g.constant([2, 1], &[v, v]);
        let equal = g.constant([3], &[2.0, 1.0, 1.0]);
        let ones = g.constant([2], &[1.0, 1.0]);
        let [written, ranks, _] = memory.memory_write(equal, one(7.0), ones, ones * 3.0, 1.0, 0.0);
        let mut program = device.compile(&g, &[written, ranks]).unwrap();
        let out = program.run(&[("memory", &[1.0f32, 2.0, 3.0])]).unwrap();
        assert_eq!(out.f32(0), [1.0, 7.0, 7.0]);
        assert_eq!(out.f32(1), [2.0, 3.0, 3.0]);
    }
}

#[test]
fn reads_are_attention_over_valid_slots() {
    let (agents, slots, features) = (3, 4, 6);
    Case::new(
        "attention",
        vec![
            uniform([2, agents, features], -1.5..1.5),
            uniform([2, slots, features], -1.5..1.5),
            mask([2, slots]),
        ],
        |_, t| vec![t[0].memory_read(t[1], 2, Some(t[2]))],
        move |v| {
            let mut out = vec![0.0; 2 * agents * features];
            for lane in 0..2 {
                for i in 0..agents {
                    for h in 0..2 {
                        let query = (lane * agents + i) * features + h * 3;
                        let slot = |j: usize| (lane * slots + j) * features + h * 3;
                        let weight = |j: usize| {
                            let dot: f64 = (0..3).map(|d| v[0][query + d] * v[1][slot(j) + d]).sum();
                            v[2][lane * slots + j] * (dot / 3f64.sqrt()).exp()
                        };
                        let sum: f64 = (0..slots).map(weight).sum();
                        for d in 0..3 {
                            let total: f64 = (0..slots).map(|j| weight(j) * v[1][slot(j) + d]).sum();
                            out[query + d] = if sum > 0.0 { total / sum } else { 0.0 };
                        }
                    }
                }
            }
            vec![out]
        },
    )
    .tolerance(1e-5)
    .check();
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let good: [&[usize]; 5] = [&[2, 3, 4], &[2, 3], &[2, 5, 4], &[2, 5], &[2, 5]];
    for (i, bad) in
        [(0, &[4][..]), (1, &[2, 4]), (2, &[2, 5, 3]), (3, &[2, 4]), (4, &[2, 6]), (2, &[3, 5, 4])]
    {
        let mut shapes = good.map(<[usize]>::to_vec);
        shapes[i] = bad.to_vec();
        let g = Graph::new();
        let t: Vec<_> =
            shapes.iter().enumerate().map(|(i, s)| g.input(&format!("x{i}"), s.clone())).collect();
        let [written, ..] = t[0].memory_write(t[1], t[2], t[3], t[4], 1.0, 0.0);
        let message = Device::cpu().compile(&g, &[written]).err().unwrap().to_string();
        assert!(message.contains("memory_write") && message.contains("f32["), "{message}");
    }
}

/// The cases above differentiate writes; this is what runs when they do.
#[test]
fn the_gradient_of_a_write_is_one_kernel() {
    let g = Graph::new();
    let memory = g.input("memory", [4, 3]);
    let inputs = [
        g.input("importance", [4]),
        g.input("candidates", [2, 3]),
        g.input("gates", [2]),
        g.input("own", [2]),
    ];
    let [importance, candidates, gates, own] = inputs;
    let [slots, ..] = memory.memory_write(importance, candidates, gates, own, 0.9, 0.5);
    let mut outputs = g.grad((slots * slots).sum_all(), &[memory, candidates]).unwrap();
    outputs.push(slots);
    let summary = Device::cpu().compile(&g, &outputs).unwrap().summary();
    for name in COVERS {
        assert!(summary.kernels.iter().any(|(kernel, _)| kernel == name), "{name}: {:?}", summary.kernels);
    }
}
