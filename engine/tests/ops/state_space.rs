//! Layers of state space models: against plain loops in double precision over the parameters that they have, a sequence
//! against its pieces and its steps, and what they learn.

use std::collections::HashMap;

use nalgebra::{Complex, DMatrix, DVector};
use synod_engine::nn::{
    Builder, DiagonalSsm, Linear, Lru, Mamba, Parameters, Ring, S5, StateSpace, StateSpaceBlock, hippo_normal,
};
use synod_engine::optim::{Optimiser, Rule, STEP_INPUT};
use synod_engine::tensors::Checkpoint;
use synod_engine::{Device, Graph, Tensor};

use crate::common::{Random, devices};

const MODELS: [&str; 4] = ["s4d", "s5", "lru", "mamba"];

/// A layer of a model, alone.
fn model(builder: &mut Builder, kind: &str, features: usize, states: usize) -> Box<dyn StateSpace> {
    match kind {
        "s4d" => Box::new(DiagonalSsm::new(builder, "layer", features, states)),
        "s5" => Box::new(S5::new(builder, "layer", features, states)),
        "lru" => Box::new(Lru::new(builder, "layer", features, states, Ring::default())),
        _ => Box::new(Mamba::new(builder, "layer", features, states)),
    }
}

/// The same with norm, gate and residual.
fn block(builder: &mut Builder, kind: &str, features: usize, states: usize) -> StateSpaceBlock {
    StateSpaceBlock::new(builder, "block", features, kind != "mamba", |b| model(b, kind, features, states))
}

/// Zeros to start from, for sequences with such leading dimensions.
fn zeros<'g>(g: &'g Graph, layer: &dyn StateSpace, lead: &[usize]) -> Vec<Tensor<'g>> {
    layer.state().into_iter().map(|(_, own)| g.full([lead, &own[..]].concat(), 0.0)).collect()
}

/// The parameters' values by name.
fn values(parameters: &Parameters) -> HashMap<String, Vec<f64>> {
    let mut checkpoint = Checkpoint::new();
    parameters.save("p", &mut checkpoint).unwrap();
    let names: Vec<String> = parameters.iter().map(|(name, _)| name.to_string()).collect();
    let of = |name: &str| checkpoint.tensor(&format!("p/{name}")).unwrap().to_f32().unwrap();
    let wide = |name: &str| of(name).into_iter().map(f64::from).collect();
    names.iter().map(|name| (name.trim_start_matches("layer/").to_string(), wide(name))).collect()
}

/// What a layer makes of one sequence `[time, features]`, on a device.
fn outputs(
    device: &Device,
    kind: &str,
    sizes: [usize; 3],
    x: &[f32],
) -> (HashMap<String, Vec<f64>>, Vec<f64>) {
    let [time, features, states] = sizes;
    let mut builder = Builder::new(11);
    let layer = model(&mut builder, kind, features, states);
    let parameters = builder.build(device).unwrap();
    let g = Graph::new();
    let weights = parameters.weights(&g);
    let input = g.input("x", [time, features]);
    let out = layer.forward(&weights, input, &zeros(&g, layer.as_ref(), &[]), None);
    let mut program = device.compile(&g, &[out.outputs]).unwrap();
    let out = program.run(&[("x", &x)]).unwrap();
    (values(&parameters), out.f32(0).iter().map(|x| f64::from(*x)).collect())
}

fn assert_close(device: &Device, found: &[f64], expected: &[f64], random: &Random) {
    assert_eq!(found.len(), expected.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let rest = norm(&mut found.iter().zip(expected).map(|(x, y)| x - y));
    let size = norm(&mut expected.iter().copied());
    assert!(rest < 1e-5 * size, "{}: {rest} of {size}, seed {}", device.name(), random.seed());
}

/// S5 is the dense system of its parameters at the start: HiPPO-N, held over each part's step.
#[test]
fn s5_is_a_dense_system_in_the_basis_of_hippo() {
    let [time, features, parts] = [19, 5, 4];
    let states = 2 * parts;
    for device in devices() {
        let mut random = Random::fresh();
        let x = random.floats(time * features, -1.0, 1.0);
        let (p, found) = outputs(&device, "s5", [time, features, parts], &x);
        let basis = hippo_normal(states).vectors;
        let c = |re: f64, im: f64| Complex::new(re, im);
        // All states of the dense system: the basis and its conjugate.
        let all = DMatrix::from_fn(states, states, |i, k| match k < parts {
            true => basis[(i, k)],
            false => basis[(i, k - parts)].conj(),
        });
        let in_basis = |of: &dyn Fn(usize) -> Complex<f64>| {
            let diagonal: Vec<_> =
                (0..states).map(|k| if k < parts { of(k) } else { of(k - parts).conj() }).collect();
            &all * DMatrix::from_diagonal(&DVector::from_vec(diagonal)) * all.adjoint()
        };
        let lambda = |k: usize| c(-p["log_rate"][k].exp(), p["frequency"][k]);
        let step = |k: usize| p["log_step"][k].exp();
        let decay = in_basis(&|k| (lambda(k) * step(k)).exp());
        let held = in_basis(&|k| ((lambda(k) * step(k)).exp() - 1.0) / lambda(k));
        // The input and readout of the dense system are real.
        let rows = |k: usize, i: usize| {
            let at = i * states + k;
            c(p["input"][at], p["input"][at + parts])
        };
        let columns =
            |i: usize, k: usize| c(p["readout"][k * features + i], -p["readout"][(parts + k) * features + i]);
        let input = DMatrix::from_fn(states, features, |j, i| {
            (0..parts).map(|k| 2.0 * (basis[(j, k)] * rows(k, i)).re).sum::<f64>()
        });
        let readout = DMatrix::from_fn(features, states, |i, j| {
            (0..parts).map(|k| 2.0 * (columns(i, k) * basis[(j, k)].conj()).re).sum::<f64>()
        });
        let real = |m: DMatrix<Complex<f64>>| {
            assert!(m.iter().all(|x| x.im.abs() < 1e-6), "a dense system is real");
            m.map(|x| x.re)
        };
        let (decay, held) = (real(decay), real(held));
        let mut state = DVector::zeros(states);
        let mut expected = Vec::new();
        for t in 0..time {
            let u = DVector::from_fn(features, |i, _| f64::from(x[t * features + i]));
            state = &decay * state + &held * (&input * &u);
            let y = &readout * &state;
            expected.extend((0..features).map(|i| y[i] + p["skip"][i] * u[i]));
        }
        assert_close(&device, &found, &expected, &random);
    }
}

#[test]
fn an_lru_follows_its_definition_and_starts_on_its_ring() {
    let [time, features, states] = [19, 5, 7];
    for device in devices() {
        let mut random = Random::fresh();
        let x = random.floats(time * features, -1.0, 1.0);
        let (p, found) = outputs(&device, "lru", [time, features, states], &x);
        let factor = |k: usize| {
            let size = (-p["nu"][k].exp()).exp();
            assert!((0.9..=0.999).contains(&size), "{size}");
            // Noise of variance 1 keeps variance 1.
            assert!((p["gamma"][k].exp() - (1.0 - size * size).sqrt()).abs() < 1e-5);
            Complex::from_polar(size, p["theta"][k].exp())
        };
        let mut state = vec![Complex::new(0.0, 0.0); states];
        let mut expected = Vec::new();
        for u in x.chunks(features) {
            for (k, state) in state.iter_mut().enumerate() {
                let driven: Complex<f64> = (0..features)
                    .map(|i| {
                        let at = i * 2 * states + k;
                        Complex::new(p["input"][at], p["input"][at + states]) * f64::from(u[i])
                    })
                    .sum();
                *state = factor(k) * *state + driven * p["gamma"][k].exp();
            }
            for i in 0..features {
                let read: f64 = (0..states)
                    .map(|k| {
                        let [re, im] = [k, states + k].map(|row| p["readout"][row * features + i]);
                        re * state[k].re + im * state[k].im
                    })
                    .sum();
                expected.push(read + p["skip"][i] * f64::from(u[i]));
            }
        }
        assert_close(&device, &found, &expected, &random);
    }
}

#[test]
fn mamba_follows_its_definition() {
    let [time, features, states] = [13, 18, 3];
    let (inner, rank) = (2 * features, 2);
    let silu = |x: f64| x / (1.0 + (-x).exp());
    for device in devices() {
        let mut random = Random::fresh();
        let x = random.floats(time * features, -1.0, 1.0);
        let (p, found) = outputs(&device, "mamba", [time, features, states], &x);
        for i in 0..inner {
            let start = (1.0 + p["step_bias"][i].exp()).ln();
            assert!((0.00099..0.101).contains(&start), "{start}");
        }
        let product = |row: &[f64], of: &str, outputs: usize| -> Vec<f64> {
            let weight = &p[of];
            assert_eq!(weight.len(), row.len() * outputs);
            (0..outputs)
                .map(|k| row.iter().enumerate().map(|(i, x)| x * weight[i * outputs + k]).sum())
                .collect()
        };
        let rows: Vec<Vec<f64>> = x
            .chunks(features)
            .map(|u| product(&u.iter().map(|x| f64::from(*x)).collect::<Vec<_>>(), "in/weight", 2 * inner))
            .collect();
        let mut h = vec![0.0; inner * states];
        let mut expected = Vec::new();
        for t in 0..time {
            let u: Vec<f64> = (0..inner)
                .map(|i| {
                    let seen = (0..4).filter(|lag| *lag <= t);
                    let sum: f64 =
                        seen.map(|lag| rows[t - lag][i] * p["kernel"][(3 - lag) * inner + i]).sum();
                    silu(sum + p["kernel_bias"][i])
                })
                .collect();
            let chosen = product(&u, "select/weight", rank + 2 * states);
            let low = product(&chosen[..rank], "low", inner);
            let y: Vec<f64> = (0..inner)
                .map(|i| {
                    let step = (1.0 + (low[i] + p["step_bias"][i]).exp()).ln();
                    let mut sum = p["skip"][i] * u[i];
                    for n in 0..states {
                        let a = -p["log_rate"][n * inner + i].exp();
                        let h = &mut h[i * states + n];
                        *h = (a * step).exp() * *h + ((a * step).exp() - 1.0) / a * chosen[rank + n] * u[i];
                        sum += chosen[rank + states + n] * *h;
                    }
                    sum * silu(rows[t][inner + i])
                })
                .collect();
            expected.extend(product(&y, "out/weight", features));
        }
        assert_close(&device, &found, &expected, &random);
    }
}

/// A sequence at once, in two parts and step by step, of agents with parameters of their own and with common ones, with
/// resets in the middle: as agents use layers.
#[test]
fn sequences_equal_their_pieces_and_their_steps() {
    let (batch, agents, time, features, states) = (2, 3, 9, 5, 4);
    let lead = [batch, agents];
    for (device, kind) in devices().iter().flat_map(|device| MODELS.map(|kind| (device.clone(), kind))) {
        for own in [false, true] {
            let mut builder = if own { Builder::with_lanes(7, agents) } else { Builder::new(7) };
            let layer = block(&mut builder, kind, features, states);
            let parameters = builder.build(&device).unwrap();
            let g = Graph::new();
            let weights = parameters.weights(&g);
            let u = g.input("u", [batch, agents, time, features]);
            let resets = g.input("resets", [batch, agents, time]);
            let start = zeros(&g, &layer, &lead);
            let cut = |first, count| (u.slice(2, first, count), Some(resets.slice(2, first, count)));
            let [(first, first_resets), (second, second_resets)] = [cut(0, 4), cut(4, time - 4)];
            let whole = layer.forward(&weights, u, &start, Some(resets));
            let front = layer.forward(&weights, first, &start, first_resets);
            let back = layer.forward(&weights, second, &front.state, second_resets);
            let (mut state, mut steps) = (start.clone(), Vec::new());
            for t in 0..time {
                let (now, resets) = cut(t, 1);
                let step = layer.forward(&weights, now, &state, resets);
                steps.push(step.outputs);
                state = step.state;
            }
            let pieces = g.concat(&[front.outputs, back.outputs], 2);
            let mut pairs = vec![(whole.outputs, pieces), (whole.outputs, g.concat(&steps, 2))];
            for (i, (_, shape)) in layer.state().into_iter().enumerate() {
                assert_eq!(whole.state[i].shape().to_vec(), [&lead, &shape[..]].concat());
                pairs.extend([(whole.state[i], back.state[i]), (whole.state[i], state[i])]);
            }
            let all: Vec<Tensor<'_>> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
            let mut program = device.compile(&g, &all).unwrap();
            let mut random = Random::fresh();
            let u = random.floats(batch * agents * time * features, -1.0, 1.0);
            let resets: Vec<f32> =
                (0..batch * agents * time).map(|_| f32::from(u8::from(random.below(4) == 0))).collect();
            let out = program.run(&[("u", &u), ("resets", &resets)]).unwrap();
            for i in 0..pairs.len() {
                for (x, y) in out.f32(2 * i).iter().zip(out.f32(2 * i + 1)) {
                    let seed = random.seed();
                    assert!((x - y).abs() < 1e-5, "{} {kind} {own} {i}: {x} {y}, seed {seed}", device.name());
                }
            }
        }
    }
}

/// No gradient passes a reset, and what comes behind one is what a fresh start gives, even where what was before is not
/// a number.
#[test]
fn nothing_passes_a_reset() {
    let (time, features, states) = (8, 3, 4);
    for (device, kind) in devices().iter().flat_map(|device| MODELS.map(|kind| (device.clone(), kind))) {
        let mut builder = Builder::new(3);
        let layer = model(&mut builder, kind, features, states);
        let parameters = builder.build(&device).unwrap();
        let g = Graph::new();
        let weights = parameters.weights(&g);
        let (front, back) = (g.input("front", [5, features]), g.input("back", [3, features]));
        let start = zeros(&g, layer.as_ref(), &[]);
        let resets = g.constant([time], &[0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        let all = layer.forward(&weights, g.concat(&[front, back], 0), &start, Some(resets));
        let behind = all.outputs.slice(0, 5, 3);
        let fresh = layer.forward(&weights, back, &start, None);
        let [own, other] = [behind, fresh.outputs].map(|y| g.grad(y.square().sum_all(), &[back]).unwrap()[0]);
        let through = g.vjp(&[behind], &[g.full([3, features], 1.0)], &[front]).unwrap()[0];
        let through = through.unwrap_or(g.full([5, features], 0.0));
        // And a second derivative is there.
        let second = g.grad(own.square().sum_all(), &[back]).unwrap()[0];
        let expected = g.grad(other.square().sum_all(), &[back]).unwrap()[0];
        let outputs = [behind, fresh.outputs, own, other, second, expected, through];
        let mut program = device.compile(&g, &outputs).unwrap();
        let mut random = Random::fresh();
        let back = random.floats(3 * features, -1.0, 1.0);
        let front = random.floats(5 * features, -1.0, 1.0);
        let out = program.run(&[("front", &front), ("back", &back)]).unwrap();
        for i in [0, 2, 4] {
            for (x, y) in out.f32(i).iter().zip(out.f32(i + 1)) {
                let close = (x - y).abs() < 1e-4 * y.abs().max(0.1);
                assert!(close, "{} {kind} {i}: {x} {y}, seed {}", device.name(), random.seed());
            }
        }
        assert!(out.f32(6).iter().all(|slope| *slope == 0.0), "{} {kind}", device.name());
        let out = program.run(&[("front", &vec![f32::NAN; 5 * features]), ("back", &back)]).unwrap();
        assert!(out.f32(0).iter().all(|y| y.is_finite()), "{} {kind}", device.name());
    }
}

/// Targets are means of inputs two to five steps ago, which no layer without memory can know.
#[test]
fn layers_learn_a_delayed_sum() {
    let (time, batch, features, states) = (48, 16, 8, 8);
    let device = Device::cpu();
    for kind in MODELS {
        let mut builder = Builder::new(3);
        let first = Linear::new(&mut builder, "first", 1, features, 1.0);
        let layer = model(&mut builder, kind, features, states);
        let last = Linear::new(&mut builder, "last", features, 1, 1.0);
        let parameters = builder.build(&device).unwrap();
        let g = Graph::new();
        let weights = parameters.weights(&g);
        let (u, target) = (g.input("u", [batch, time, 1]), g.input("target", [batch, time, 1]));
        let start = zeros(&g, layer.as_ref(), &[batch]);
        let y = layer.forward(&weights, first.forward(&weights, u), &start, None).outputs;
        let loss = (last.forward(&weights, y) - target).square().mean_all();
        let mut optimiser = Optimiser::new(&device, &parameters, Rule::adam(1e-8)).unwrap();
        optimiser.update(&g, parameters.gradient(loss, &weights).unwrap());
        let mut program = device.compile(&g, &[loss]).unwrap();
        let mut random = Random::seeded(5);
        let (mut losses, mut variances) = (Vec::new(), Vec::new());
        for _ in 0..600 {
            let u = random.floats(time * batch, -1.0, 1.0);
            let target: Vec<f32> = (0..time * batch)
                .map(|i| (2..=5).filter(|k| i % time >= *k).map(|k| 0.5 * u[i - k]).sum())
                .collect();
            variances.push(target.iter().map(|x| x * x).sum::<f32>() / target.len() as f32);
            let numbers = optimiser.advance(2e-2);
            let out = program.run(&[("u", &u), ("target", &target), (STEP_INPUT, &numbers)]).unwrap();
            losses.push(out.f32(0)[0]);
        }
        let mean = |x: &[f32]| x[550..].iter().sum::<f32>() / 50.0;
        let left = mean(&losses) / mean(&variances);
        println!("{kind}: of the variance {left} is left");
        assert!(left < 0.3, "{kind}: of the variance {left} is left");
    }
}
