//! Long recurrences: a state that has grown large must not swallow what every step adds to it. What rounding takes from a
//! state is carried beside it (Ogita, Rump and Oishi 2005).

use crate::cpu::simd::Simd;

/// Steps up to which rounding does not show.
pub(super) const LONG: usize = 4096;

/// `factor (before + lost) + term`, and what the result has lost by rounding; nothing where it is not finite.
#[inline(always)]
pub(super) fn step_exactly<S: Simd>(
    s: S,
    factor: S::V,
    before: S::V,
    lost: S::V,
    term: S::V,
) -> (S::V, S::V) {
    let product = s.mul(factor, before);
    let of_product = s.neg(s.neg_mul_add(factor, before, product));
    let sum = s.add(product, term);
    let part = s.sub(sum, product);
    let of_sum = s.add(s.sub(product, s.sub(sum, part)), s.sub(term, part));
    let rest = s.mul_add(factor, lost, s.add(of_product, of_sum));
    let exact = s.add(sum, rest);
    // An infinity has no rest: it would be taken from itself.
    let value = s.select(s.eq(exact, exact), exact, sum);
    let left = s.sub(rest, s.sub(value, sum));
    (value, s.select(s.eq(left, left), left, s.zero()))
}
