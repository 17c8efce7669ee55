//! One query and head at a time, number by number, where something that is not finite came out although some keys are
//! hidden: the other kernels multiply hidden keys and values by 0, which is NaN for what is not finite. Here they are not
//! looked at.

use super::{Backward, Part};

/// Whether there is a NaN.
pub(super) fn holds_nan(x: &[f32]) -> bool {
    // Without a way out in the middle, so that it is done by vectors.
    x.iter().fold(false, |found, x| found | x.is_nan())
}

fn product(x: &[f32], y: &[f32]) -> f32 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

impl Part<'_> {
    /// Head `h` of row `j` of an operand.
    fn head<'a>(&self, of: &'a [f32], j: usize, h: usize) -> &'a [f32] {
        &of[j * self.plan.features() + h * self.plan.dim..][..self.plan.dim]
    }

    /// The keys that query `i` may attend to, with the scaled scores of head `h`.
    fn scores(&self, i: usize, h: usize) -> impl Iterator<Item = (usize, f32)> + Clone {
        let q = self.head(self.q, i, h);
        let keys = (0..self.visible(i)).filter(move |j| self.open(i, *j));
        keys.map(move |j| (j, self.plan.scale() * product(q, self.head(self.k, j, h))))
    }
}

/// The output of query `i` and head `h` into `out`; gives its log-sum-exp.
pub(super) fn forward(part: &Part<'_>, i: usize, h: usize, out: &mut [f32]) -> f32 {
    out.fill(0.0);
    let scores = part.scores(i, h);
    let most = scores.clone().map(|(_, score)| score).reduce(|a, b| if a.is_nan() || a > b { a } else { b });
    let Some(most) = most else { return 0.0 };
    let mut sum = 0.0;
    for (j, score) in scores {
        let weight = (score - most).exp();
        sum += weight;
        out.iter_mut().zip(part.head(part.v, j, h)).for_each(|(out, v)| *out += weight * v);
    }
    out.iter_mut().for_each(|out| *out /= sum);
    most + sum.ln()
}

/// The gradient of head `h` of all queries of a lane: that of query `i` goes to `add_query` (its number, values), what
/// each adds to those of a key and a value to `add_key` (its number, of the key, of the value).
pub(super) fn backward(
    call: &Backward<'_>,
    h: usize,
    add_query: impl Fn(usize, &[f32]),
    add_key: impl Fn(usize, &[f32], &[f32]),
) {
    let Backward { part, out, rows, d_out } = *call;
    let plan = part.plan;
    let [mut of_query, mut of_key, mut of_value] = [(); 3].map(|()| vec![0.0; plan.dim]);
    for i in 0..part.count {
        let (q, c) = (part.head(part.q, i, h), part.head(d_out, i, h));
        let delta = product(part.head(out, i, h), c);
        let logarithm = rows[i * plan.heads + h];
        of_query.fill(0.0);
        for (j, score) in part.scores(i, h) {
            let weight = (score - logarithm).exp();
            let change = plan.scale() * weight * (product(c, part.head(part.v, j, h)) - delta);
            of_query.iter_mut().zip(part.head(part.k, j, h)).for_each(|(d, k)| *d += change * k);
            of_key.iter_mut().zip(q).for_each(|(d, q)| *d = change * q);
            of_value.iter_mut().zip(c).for_each(|(d, c)| *d = weight * c);
            add_key(j, &of_key, &of_value);
        }
        add_query(i, &of_query);
    }
}
