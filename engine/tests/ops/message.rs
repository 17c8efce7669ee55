//! Message passing against plain loops over edges in double precision.

use crate::common::{Case, Input, Random, check_covers, floats, integers, signed, uniform};
use synod_engine::op::message::{Csr, Edges};
use synod_engine::{Device, Error, Graph, Tensor};

const COVERS: &[&str] = &[
    "message_sum",
    "message_max",
    "message_select",
    "message_attention",
    "message_attention_gradient",
    "edge_spread",
    "edge_sum",
    "edge_max",
];

/// Graphs of one size, one a lane.
#[derive(Clone)]
struct Graphs {
    sources: usize,
    destinations: usize,
    edges: usize,
    csr: Vec<Csr>,
    seed: u64,
}

impl Graphs {
    /// Random edges, with room for a few more; some nodes have none.
    fn random(lanes: usize, sources: usize, destinations: usize, edges: usize, room: usize) -> Graphs {
        let mut random = Random::fresh();
        let csr = (0..lanes)
            .map(|_| {
                let used = (destinations * 3).div_ceil(4);
                let pairs: Vec<(u32, u32)> =
                    (0..edges).map(|_| (random.below(sources) as u32, random.below(used) as u32)).collect();
                Csr::bipartite(sources, destinations, &pairs).unwrap().padded(edges + room).unwrap()
            })
            .collect();
        Graphs { sources, destinations, edges: edges + room, csr, seed: random.seed() }
    }

    /// The five arrays, with a leading dimension where there are several graphs.
    fn inputs(&self) -> Vec<Input> {
        let lead = if self.csr.len() == 1 { vec![] } else { vec![self.csr.len()] };
        let all = |array: fn(&Csr) -> &Vec<u32>| {
            let values: Vec<u32> = self.csr.iter().flat_map(|csr| array(csr).iter().copied()).collect();
            let shape = [&lead[..], &[values.len() / self.csr.len()]].concat();
            integers(shape, &values)
        };
        vec![
            all(|c| &c.offsets),
            all(|c| &c.sources),
            all(|c| &c.transposed_offsets),
            all(|c| &c.destinations),
            all(|c| &c.edges),
        ]
    }

    /// Edges of a lane in their order: number, source, destination.
    fn list(&self, lane: usize) -> Vec<(usize, usize, usize)> {
        let csr = &self.csr[lane % self.csr.len()];
        (0..self.destinations)
            .flat_map(|i| {
                (csr.offsets[i] as usize..csr.offsets[i + 1] as usize)
                    .map(move |k| (k, csr.sources[k] as usize, i))
            })
            .collect()
    }
}

fn edges<'g>(arrays: &[Tensor<'g>]) -> Edges<'g> {
    Edges {
        offsets: arrays[0],
        sources: arrays[1],
        transposed_offsets: arrays[2],
        destinations: arrays[3],
        edges: arrays[4],
    }
}

/// Lanes of an operand: `parts` of 1 is no leading dimension.
fn lead(parts: usize, tail: &[usize]) -> Vec<usize> {
    if parts == 1 { tail.to_vec() } else { [&[parts], tail].concat() }
}

/// Different values, none of them near another: maxima have no difference quotient where two are nearly equal.
fn spaced(shape: Vec<usize>) -> Input {
    let mut random = Random::fresh();
    let count: usize = shape.iter().product();
    let mut values: Vec<f32> = (0..count).map(|i| (i as f32 - count as f32 / 2.0) * 2e-3).collect();
    for i in (1..count).rev() {
        values.swap(i, random.below(i + 1));
    }
    floats(shape, &values)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Sum,
    Mean,
    Max,
}

fn reduction(op: &'static str, kind: Kind, graphs: Graphs, parts: usize, channels: usize) -> Case {
    let (lanes, seed) = (parts.max(graphs.csr.len()), graphs.seed);
    let (m, n) = (graphs.sources, graphs.destinations);
    let mut inputs = vec![spaced(lead(parts, &[m, channels]))];
    inputs.extend(graphs.inputs());
    let case = Case::new(
        op,
        inputs,
        move |_, x| {
            let edges = edges(&x[1..]);
            vec![match kind {
                Kind::Sum => x[0].message_sum(edges),
                Kind::Mean => x[0].message_mean(edges),
                Kind::Max => x[0].message_max(edges),
            }]
        },
        move |data| {
            let mut out = vec![0.0; lanes * n * channels];
            for lane in 0..lanes {
                let mut degree = vec![0.0; n];
                for (_, source, destination) in graphs.list(lane) {
                    degree[destination] += 1.0;
                    for c in 0..channels {
                        let value = data[0][((lane % parts) * m + source) * channels + c];
                        let at = &mut out[(lane * n + destination) * channels + c];
                        *at = match kind {
                            Kind::Max if degree[destination] > 1.0 => f64::max(*at, value),
                            Kind::Max => value,
                            _ => *at + value,
                        };
                    }
                }
                if kind == Kind::Mean {
                    for i in 0..n {
                        for c in 0..channels {
                            out[(lane * n + i) * channels + c] /= f64::max(degree[i], 1.0);
                        }
                    }
                }
            }
            vec![out]
        },
    );
    let label = ["sum", "mean", "max"][kind as usize];
    let label = format!("{label}, graph of seed {seed}: {}", case.label);
    case.label(label)
}

fn attention(
    op: &'static str,
    graphs: Graphs,
    parts: usize,
    heads: usize,
    width: usize,
    by_edge: bool,
    masked: bool,
) -> Case {
    let lanes = parts.max(graphs.csr.len());
    let (m, n, e) = (graphs.sources, graphs.destinations, graphs.edges);
    let channels = heads * width;
    let mut inputs = vec![uniform(lead(parts, &[m, channels]), -1.0..1.0)];
    if by_edge {
        inputs.push(uniform(lead(parts, &[e, heads]), -2.0..2.0));
    } else {
        // Sums of these keep away from the kink of the leaky unit.
        inputs.push(signed(lead(parts, &[m, heads]), 1.0..2.0));
        inputs.push(uniform(lead(1, &[n, heads]), -0.8..0.8));
    }
    if masked {
        // Some nodes lose all of their edges.
        let values: Vec<f32> = (0..e).map(|k| if k % 5 == 1 || k < 4 { 0.0 } else { 1.0 }).collect();
        inputs.push(floats(vec![e], &values).fixed());
    }
    inputs.extend(graphs.inputs());
    let scores = if by_edge { 1 } else { 2 };
    let arrays = 1 + scores + usize::from(masked);
    Case::new(
        op,
        inputs,
        move |_, x| {
            let edges = edges(&x[arrays..]);
            let mask = masked.then(|| x[arrays - 1]);
            let (out, weights) = if by_edge {
                x[0].message_attention_scored(x[1], edges, mask)
            } else {
                x[0].message_attention(x[1], x[2], edges, 0.2, mask)
            };
            vec![out, weights]
        },
        move |data| {
            let mut out = vec![0.0; lanes * n * channels];
            let mut weights = vec![0.0; lanes * e * heads];
            for lane in 0..lanes {
                let part = lane % parts;
                let mut list = graphs.list(lane);
                list.retain(|&(k, _, _)| !masked || data[arrays - 1][k] != 0.0);
                for h in 0..heads {
                    let mut sums = vec![0.0; n];
                    for &(k, source, destination) in &list {
                        let score = if by_edge {
                            data[1][(part * e + k) * heads + h]
                        } else {
                            let z =
                                data[1][(part * m + source) * heads + h] + data[2][destination * heads + h];
                            if z > 0.0 { z } else { 0.2 * z }
                        };
                        weights[(lane * e + k) * heads + h] = score.exp();
                        sums[destination] += score.exp();
                    }
                    for &(k, source, destination) in &list {
                        let weight = &mut weights[(lane * e + k) * heads + h];
                        *weight /= sums[destination];
                        for c in h * width..(h + 1) * width {
                            out[(lane * n + destination) * channels + c] +=
                                *weight * data[0][(part * m + source) * channels + c];
                        }
                    }
                }
            }
            vec![out, weights]
        },
    )
}

fn edge(op: &'static str, graphs: Graphs, parts: usize, channels: usize, by_source: bool) -> Case {
    let (lanes, seed) = (parts.max(graphs.csr.len()), graphs.seed);
    let (m, n, e) = (graphs.sources, graphs.destinations, graphs.edges);
    let nodes = if by_source { m } else { n };
    let rows = if op == "edge_spread" { nodes } else { e };
    let mut inputs = vec![spaced(lead(parts, &[rows, channels]))];
    inputs.extend(graphs.inputs());
    let case = Case::new(
        op,
        inputs,
        move |_, x| {
            let edges = edges(&x[1..]);
            vec![match (op, by_source) {
                ("edge_spread", true) => edges.from_sources(x[0]),
                ("edge_spread", false) => edges.from_destinations(x[0]),
                ("edge_sum", true) => edges.sum_at_sources(x[0]),
                ("edge_sum", false) => edges.sum_at_destinations(x[0]),
                _ => edges.max_at_destinations(x[0]),
            }]
        },
        move |data| {
            let of = if op == "edge_spread" { e } else { nodes };
            let mut out = vec![0.0; lanes * of * channels];
            for lane in 0..lanes {
                let mut seen = vec![false; nodes];
                for (k, source, destination) in graphs.list(lane) {
                    let node = if by_source { source } else { destination };
                    let (from, to) = if op == "edge_spread" { (node, k) } else { (k, node) };
                    for c in 0..channels {
                        let value = data[0][((lane % parts) * rows + from) * channels + c];
                        let at = &mut out[(lane * of + to) * channels + c];
                        *at = match op {
                            "edge_max" if seen[node] => f64::max(*at, value),
                            "edge_sum" => *at + value,
                            _ => value,
                        };
                    }
                    seen[node] = true;
                }
            }
            vec![out]
        },
    );
    let label = format!("by source {by_source}, graph of seed {seed}: {}", case.label);
    case.label(label)
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (lanes, sources, destinations, edges, room, parts, channels) in [
        (1, 1, 1, 1, 0, 1, 1),
        (1, 5, 5, 13, 3, 1, 3),
        (1, 7, 4, 11, 0, 3, 17),
        (3, 6, 6, 17, 2, 1, 5),
        (2, 11, 9, 31, 1, 2, 65),
    ] {
        let graphs = || Graphs::random(lanes, sources, destinations, edges, room);
        for (op, kind) in [
            ("message_sum", Kind::Sum),
            ("message_sum", Kind::Mean),
            ("message_max", Kind::Max),
            ("message_select", Kind::Max),
        ] {
            cases.push(reduction(op, kind, graphs(), parts, channels));
        }
        for (op, by_source) in [
            ("edge_spread", true),
            ("edge_spread", false),
            ("edge_sum", true),
            ("edge_sum", false),
            ("edge_max", false),
        ] {
            cases.push(edge(op, graphs(), parts, channels, by_source));
        }
    }
    for (lanes, sources, destinations, edges, room, parts, heads, width) in [
        (1, 1, 1, 1, 0, 1, 1, 1),
        (1, 5, 5, 13, 3, 1, 2, 3),
        (1, 7, 4, 11, 0, 2, 1, 17),
        (3, 6, 6, 17, 2, 1, 3, 5),
        (2, 9, 8, 29, 1, 2, 4, 16),
    ] {
        for (i, (by_edge, masked)) in
            [(false, false), (true, false), (false, true), (true, true)].into_iter().enumerate()
        {
            let op = ["message_attention", "message_attention_gradient"][i % 2];
            let graphs = Graphs::random(lanes, sources, destinations, edges, room);
            cases.push(attention(op, graphs, parts, heads, width, by_edge, masked).tolerance(2e-5));
        }
    }
    cases
}

#[test]
fn messages_follow_their_definition() {
    let cases = cases();
    check_covers(COVERS, &cases);
    cases.iter().for_each(Case::check);
}

#[test]
fn large_graphs_are_cut_on_threads() {
    let graphs = Graphs::random(1, 300, 300, 4000, 7);
    reduction("message_sum", Kind::Mean, graphs.clone(), 1, 64).first_order().check();
    attention("message_attention", graphs, 1, 4, 16, false, true).tolerance(2e-5).first_order().check();
}

#[test]
fn equal_maxima_share_the_gradient() {
    for device in crate::common::devices() {
        let g = Graph::new();
        let csr = Csr::from_edges(3, &[(0, 2), (1, 2), (2, 2)]).unwrap();
        let x = g.input("x", [3, 1]);
        let loss = x.message_max(Edges::constant(&g, &csr)).sum_all();
        let dx = g.grad(loss, &[x]).unwrap();
        let mut program = device.compile(&g, &dx).unwrap();
        assert_eq!(program.run(&[("x", &[2.0f32, 2.0, 1.0])]).unwrap().f32(0), [0.5, 0.5, 0.0]);
    }
}

#[test]
fn a_graph_may_change_between_runs() {
    for device in crate::common::devices() {
        let g = Graph::new();
        let edges = Edges::input(&g, "edges", &[], 4, 6);
        let out = g.input("x", [4, 1]).message_sum(edges);
        let mut program = device.compile(&g, &[out]).unwrap();
        for (pairs, expected) in [
            (vec![(0, 1), (2, 1), (3, 0)], [8.0, 5.0, 0.0, 0.0]),
            (vec![(1, 3)], [0.0, 0.0, 0.0, 2.0]),
            (vec![], [0.0; 4]),
        ] {
            let csr = Csr::from_edges(4, &pairs).unwrap().padded(6).unwrap();
            let run = program.run(&[
                ("x", &[1.0f32, 2.0, 4.0, 8.0]),
                ("edges.offsets", &csr.offsets),
                ("edges.sources", &csr.sources),
                ("edges.transposed_offsets", &csr.transposed_offsets),
                ("edges.destinations", &csr.destinations),
            ]);
            assert_eq!(run.unwrap().f32(0), expected);
        }
    }
}

#[test]
fn indices_out_of_range_are_errors() {
    let offsets = |o: [u32; 4]| o;
    for (offsets, sources, message) in [
        (offsets([0, 1, 2, 2]), [0u32, 3], "node 3 of 3"),
        (offsets([0, 2, 1, 2]), [0, 1], "offsets"),
        (offsets([0, 1, 2, 3]), [0, 1], "offsets"),
        (offsets([1, 1, 2, 2]), [0, 1], "offsets"),
    ] {
        let g = Graph::new();
        let edges = Edges {
            offsets: g.input_u32("o", [4]),
            sources: g.input_u32("s", [2]),
            transposed_offsets: g.input_u32("to", [4]),
            destinations: g.input_u32("d", [2]),
            edges: g.input_u32("e", [2]),
        };
        let x = g.full([3, 2], 1.0);
        let scores = g.full([3, 1], 1.0);
        for out in [
            x.message_sum(edges),
            x.message_max(edges),
            x.message_attention(scores, scores, edges, 0.2, None).0,
            edges.from_sources(x),
        ] {
            let mut program = Device::cpu().compile(&g, &[out]).unwrap();
            let given: Vec<String> = program.inputs().map(|(n, _)| n.to_string()).collect();
            let zero = [0u32; 4];
            let two = [0u32; 2];
            let mut all: Vec<(&str, &dyn synod_engine::Data)> = vec![("o", &offsets), ("s", &sources)];
            for name in ["to", "d", "e"] {
                if given.iter().any(|g| g == name) {
                    all.push((name, if name == "to" { &zero } else { &two }));
                }
            }
            match program.run(&all) {
                Err(Error::Graph(text)) => assert!(text.contains(message), "{text}"),
                Err(other) => panic!("{other}"),
                Ok(_) => panic!("ran with offsets {offsets:?} and sources {sources:?}"),
            }
        }
    }
}

#[test]
fn mistakes_are_named() {
    let g = Graph::new();
    let edges = Edges::input(&g, "edges", &[], 4, 6);
    let x = g.input("x", [3, 2]);
    x.message_sum(edges);
    assert!(matches!(g.check(), Err(Error::Shape { op, .. }) if op == "message_sum"));
    let g = Graph::new();
    let edges = Edges::input(&g, "edges", &[], 4, 6);
    let scores = g.input("s", [4, 3]);
    g.input("x", [4, 2]).message_attention(scores, scores, edges, 0.2, None);
    assert!(matches!(g.check(), Err(Error::Shape { op, .. }) if op == "message_attention"));
}
