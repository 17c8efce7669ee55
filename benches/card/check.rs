//! Whether a row computes what it shall: outputs against plain loops in double precision, gradients against the slope
//! of the loss along a random direction, steps of optimisers against their formula.

use synod::Device;

use crate::reference;
use crate::workloads::{EPSILON, LEARNING_RATE, Normal, Pass, Row, Runner, Work};

/// Runs a row twice with fresh numbers (a second run must not depend on the first) and compares.
///
/// # Errors
/// What is wrong, with the numbers.
pub fn check(row: &Row, device: &Device, seed: u64) -> Result<(), String> {
    let mut random = Normal::seeded(seed);
    let (values, edges) = (row.work.values(&mut random), row.work.edges(&mut random));
    let failed = |message: String| format!("{} with seed {seed}: {message}", row.name);
    let mut runner = Runner::new(row, device, &values, &edges).map_err(|e| failed(e.to_string()))?;
    if row.pass == Pass::Train {
        return check_step(row, device, &mut runner, &values).map_err(failed);
    }
    let mut run = || {
        runner.run()?;
        runner.results()
    };
    let (first, second) =
        (run().map_err(|e| failed(e.to_string()))?, run().map_err(|e| failed(e.to_string()))?);
    if first != second {
        return Err(failed("a second run gives other numbers".into()));
    }
    let x = doubles(&values);
    match row.pass {
        Pass::Forward => close(&first[0], &reference::forward(row.work, &x, &edges), 1e-4).map_err(failed),
        _ => check_gradient(row.work, &x, &edges, &doubles(&first), &mut random).map_err(failed),
    }
}

fn doubles(values: &[Vec<f32>]) -> Vec<Vec<f64>> {
    values.iter().map(|v| v.iter().map(|&x| f64::from(x)).collect()).collect()
}

/// Whether an error is within its limit; one that is no number is not.
fn within(error: f64, limit: f64) -> bool {
    error.abs() <= limit
}

/// Compares within a fraction of the largest number.
fn close(got: &[f32], expected: &[f64], tolerance: f64) -> Result<(), String> {
    if got.len() != expected.len() {
        return Err(format!("{} numbers where {} were expected", got.len(), expected.len()));
    }
    let largest = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(*got) - expected).abs();
        if !within(error, tolerance * largest) {
            return Err(format!("element {i} is {got} and should be {expected}; the largest is {largest}"));
        }
    }
    Ok(())
}

/// The slope of the loss along a direction in which every operand has the same share.
///
/// # Errors
/// What is wrong, with the numbers.
pub fn check_gradient(
    work: Work,
    x: &[Vec<f64>],
    edges: &[(u32, u32)],
    gradients: &[Vec<f64>],
    random: &mut Normal,
) -> Result<(), String> {
    let shapes = |v: &[Vec<f64>]| v.iter().map(Vec::len).collect::<Vec<_>>();
    if shapes(x) != shapes(gradients) {
        return Err(format!("gradients of {:?} elements for operands of {:?}", shapes(gradients), shapes(x)));
    }
    let norms: Vec<f64> = gradients.iter().map(|g| g.iter().map(|g| g * g).sum::<f64>().sqrt()).collect();
    let least = norms.iter().copied().fold(f64::INFINITY, f64::min);
    if !(least > 0.0 && norms.iter().all(|n| n.is_finite())) {
        return Err(format!("gradients have the norms {norms:?}"));
    }
    let direction: Vec<Vec<f64>> = gradients
        .iter()
        .zip(&norms)
        .map(|(g, norm)| g.iter().map(|_| f64::from(random.next()) / norm).collect())
        .collect();
    // No operand moves by more than about this much, whatever the size of its gradient.
    let step = 1e-4 * least;
    let loss = |sign: f64| -> f64 {
        let moved: Vec<Vec<f64>> = x
            .iter()
            .zip(&direction)
            .map(|(x, d)| x.iter().zip(d).map(|(x, d)| x + sign * step * d).collect())
            .collect();
        reference::forward(work, &moved, edges).iter().map(|y| y * y).sum()
    };
    let expected = (loss(1.0) - loss(-1.0)) / (2.0 * step);
    let along = |(g, d): (&Vec<f64>, &Vec<f64>)| -> f64 { g.iter().zip(d).map(|(g, d)| g * d).sum() };
    let got: f64 = gradients.iter().zip(&direction).map(along).sum();
    // Each operand adds a normal number of deviation 1 to the slope.
    let tolerance = 1e-3 * (x.len() as f64).sqrt();
    if !within(got - expected, tolerance) {
        return Err(format!("the slope of the loss is {expected}, from gradients {got}"));
    }
    Ok(())
}

/// The first step of Adam, from moments of zero: parameters move by the rate times `g / (|g| + epsilon)`.
fn check_step(row: &Row, device: &Device, runner: &mut Runner, values: &[Vec<f32>]) -> Result<(), String> {
    let message = |e: synod::Error| e.to_string();
    let before = runner.parameters(device).map_err(message)?;
    runner.run().and_then(|()| runner.wait()).map_err(message)?;
    let after = runner.parameters(device).map_err(message)?;
    let x = doubles(values);
    let gradients = match row.work {
        Work::MlpAdam { m, i, o } => reference::mlp_gradient([m, i, o], &x, &doubles(&before)),
        _ => x,
    };
    for (tensor, gradient) in gradients.iter().enumerate() {
        let largest = gradient.iter().fold(0.0, |most: f64, g| most.max(g.abs()));
        let mut compared = 0;
        for (i, g) in gradient.iter().enumerate() {
            // The sign of a gradient next to zero is a matter of rounding.
            if g.abs() < 1e-4 * largest {
                continue;
            }
            compared += 1;
            let got = f64::from(after[tensor][i]) - f64::from(before[tensor][i]);
            let expected = -f64::from(LEARNING_RATE) * g / (g.abs() + f64::from(EPSILON));
            let rounding = 2.0 * f64::from(f32::EPSILON) * f64::from(before[tensor][i].abs());
            if !within(got - expected, 2e-2 * f64::from(LEARNING_RATE) + rounding) {
                return Err(format!(
                    "parameter {i} of tensor {tensor} moved by {got}, and should by {expected}"
                ));
            }
        }
        if 4 * compared < gradient.len() {
            return Err(format!("only {compared} of {} gradients are far from zero", gradient.len()));
        }
    }
    Ok(())
}
