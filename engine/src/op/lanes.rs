//! Leading dimensions as lanes: which part of an operand a lane reads when the operand's leading dimensions are fewer
//! or smaller than those of the result.

use crate::graph::Tensor;
use crate::shape::{DType, Shape, TensorType};

/// Where an operand's part for a lane lies: lane `l` reads part `l / divisor % modulus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lane {
    pub divisor: usize,
    pub modulus: usize,
}

impl Lane {
    pub fn of(self, lane: usize) -> usize {
        lane / self.divisor % self.modulus
    }

    /// The two numbers as kernels take them.
    pub fn parameters(self) -> [u32; 2] {
        [self.divisor as u32, self.modulus as u32]
    }
}

/// The map for an operand with leading dimensions `own` in a result with leading dimensions `lead`; `None` where they
/// do not broadcast, or where the shared dimensions lie on both sides of a repeated one.
pub(crate) fn lane_map(own: &[usize], lead: &[usize]) -> Option<Lane> {
    if own.len() > lead.len() {
        return None;
    }
    let mut lane = Lane { divisor: 1, modulus: 1 };
    let (mut inside, mut over) = (false, false);
    for i in 0..lead.len() {
        let size = lead[lead.len() - 1 - i];
        let mine = if i < own.len() { own[own.len() - 1 - i] } else { 1 };
        match mine {
            _ if size == 1 && mine == 1 => {}
            _ if mine == size && !over => {
                inside = true;
                lane.modulus *= size;
            }
            1 if inside => over = true,
            1 => lane.divisor *= size,
            _ => return None,
        }
    }
    Some(lane)
}

/// The map for `of`, whose last `tail` dimensions are not leading ones. For operands that `infer` has accepted.
pub(crate) fn lane_of(of: &TensorType, tail: usize, lead: &[usize]) -> Lane {
    lane_map(of.shape.leading(tail), lead).unwrap_or(Lane { divisor: 1, modulus: 1 })
}

/// What all operands' leading dimensions broadcast to; each comes with the number of its other dimensions.
pub(crate) fn common_lead<'a>(
    operands: impl IntoIterator<Item = (&'a TensorType, usize)>,
) -> Result<Vec<usize>, String> {
    let operands: Vec<(&TensorType, usize)> = operands.into_iter().collect();
    let mut lead = Shape::default();
    for (of, tail) in &operands {
        if of.shape.len() < *tail {
            return Err(format!("{of} has fewer than {tail} dimensions"));
        }
        let own = Shape::from(of.shape.leading(*tail));
        lead = lead.broadcast(&own).ok_or("the leading dimensions do not broadcast")?;
    }
    for (of, tail) in &operands {
        if lane_map(of.shape.leading(*tail), &lead).is_none() {
            return Err(format!(
                "the leading dimensions of {of} repeat in the middle: stretch it to {lead:?} first"
            ));
        }
    }
    Ok(lead.to_vec())
}

/// `lead` with `tail` behind it.
pub(crate) fn with_lead(lead: &[usize], tail: &[usize]) -> Shape {
    [lead, tail].concat().into()
}

/// The operands with those stretched that [`lane_map`] has no form for. Others stay as they are.
pub(crate) fn stretch<'g>(operands: &mut [Tensor<'g>], tails: &[usize]) {
    let mut lead = Shape::default();
    for (operand, &tail) in operands.iter().zip(tails) {
        let shape = operand.shape();
        // Whatever does not fit is for the op to refuse.
        match lead.broadcast(&Shape::from(shape.leading(tail))) {
            Some(wider) if shape.len() >= tail => lead = wider,
            _ => return,
        }
    }
    for (operand, &tail) in operands.iter_mut().zip(tails) {
        let shape = operand.shape();
        if operand.dtype() == DType::F32 && lane_map(shape.leading(tail), &lead).is_none() {
            *operand = operand.broadcast_to(with_lead(&lead, &shape[shape.len() - tail..]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_agree_with_broadcasting() {
        for (own, lead, expected) in [
            (vec![], vec![2, 3], Some((0..6).map(|_| 0).collect::<Vec<_>>())),
            (vec![3], vec![2, 3], Some((0..6).map(|l| l % 3).collect())),
            (vec![2, 1], vec![2, 3], Some((0..6).map(|l| l / 3).collect())),
            (vec![1, 3, 1], vec![2, 3, 2], Some((0..12).map(|l| l / 2 % 3).collect())),
            (vec![2, 3], vec![2, 3], Some((0..6).collect())),
            (vec![2, 1, 2], vec![2, 3, 2], None),
            (vec![4], vec![2, 3], None),
            (vec![2, 1, 3], vec![2, 1, 3], Some((0..6).collect())),
            (vec![1, 2, 3], vec![2, 3], None),
        ] {
            let map = lane_map(&own, &lead)
                .map(|m| (0..lead.iter().product()).map(|l| m.of(l)).collect::<Vec<_>>());
            assert_eq!(map, expected, "{own:?} in {lead:?}");
        }
    }
}
