//! The optimum of linear dynamics under a quadratic cost, by the recursion that goes back from the end (Kalman 1960).

use nalgebra::DMatrix;

/// What the recursion gives for some steps.
#[derive(Debug, Clone)]
pub(super) struct Optimum {
    /// `P` at the first step: the least cost from `x` is `x'Px`.
    pub value: DMatrix<f64>,
    /// The sum of the traces of `P` after each of the steps: what noise of variance 1 costs in all.
    pub disturbed: f64,
}

/// What happens in a step: `x` becomes `a x + b u` and costs `x'qx + u'ru`.
pub(super) struct Step {
    pub a: DMatrix<f64>,
    pub b: DMatrix<f64>,
    pub q: DMatrix<f64>,
    pub r: DMatrix<f64>,
}

impl Step {
    /// From `P` after the step the one before it, and the gain `K` of the best action `-Kx`: `q + a'Pa - a'Pb K` with
    /// `K = (r + b'Pb)^-1 b'Pa`. `None` where the inverse does not exist in f64.
    pub fn back(&self, after: &DMatrix<f64>) -> Option<(DMatrix<f64>, DMatrix<f64>)> {
        let Step { a, b, q, r } = self;
        let (pa, pb) = (after * a, after * b);
        let gain = (r + b.tr_mul(&pb)).cholesky()?.solve(&b.tr_mul(&pa));
        let before = q + a.tr_mul(&pa) - pa.tr_mul(b) * &gain;
        // Symmetric but for rounding.
        Some(((&before + before.transpose()) * 0.5, gain))
    }

    /// The optimum over so many steps, after the last of which `P` is `q`. Where `P` no longer changes what is left of the
    /// steps costs no more work.
    pub fn optimum(&self, steps: usize) -> Option<Optimum> {
        let (mut value, mut disturbed) = (self.q.clone(), 0.0);
        for step in 0..steps {
            let (before, _) = self.back(&value)?;
            if before == value {
                disturbed += value.trace() * (steps - step) as f64;
                break;
            }
            disturbed += value.trace();
            value = before;
        }
        Some(Optimum { value, disturbed })
    }
}
