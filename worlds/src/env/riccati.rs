//! The optimum of linear dynamics under a quadratic cost, by the recursion that goes back from the end (Kalman 1960).

use nalgebra::DMatrix;

/// What the recursion gives for some steps.
#[derive(Debug, Clone)]
pub(super) struct Optimum {
    /// `P` at the first step: the least cost from `x` is `x'Px`.
    pub value: DMatrix<f64>,
    /// The sum of the traces of `P` after each of the steps: what noise of variance 1 costs in all.
    pub disturbed: f64,
    /// For each step the gain `K` of the best action `-Kx`.
    pub gains: Vec<DMatrix<f64>>,
}

/// With `P` after the last step `q` and, going back, `P <- q + a'Pa - a'Pb (r + b'Pb)^-1 b'Pa`. `None` where the inverse
/// does not exist in f64.
pub(super) fn optimum(
    [a, b]: [&DMatrix<f64>; 2],
    [q, r]: [&DMatrix<f64>; 2],
    steps: usize,
) -> Option<Optimum> {
    let (mut value, mut gains, mut disturbed) = (q.clone(), Vec::with_capacity(steps), 0.0);
    for _ in 0..steps {
        disturbed += value.trace();
        let (pa, pb) = (&value * a, &value * b);
        let gain = (r + b.tr_mul(&pb)).cholesky()?.solve(&b.tr_mul(&pa));
        let before = q + a.tr_mul(&pa) - pa.tr_mul(b) * &gain;
        // Symmetric but for rounding.
        value = (&before + before.transpose()) * 0.5;
        gains.push(gain);
    }
    gains.reverse();
    Some(Optimum { value, disturbed, gains })
}
