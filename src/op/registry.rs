//! The names of all ops. Every family of ops lists its own in `NAMES`; the tests check that each is tested.

use super::{
    attention, cast, conv, elementwise, fused, gather, matmul, movement, norm, random, reduce, select, slice,
    softmax, transpose,
};

/// Every op's name, family by family.
pub fn names() -> Vec<&'static str> {
    [
        attention::NAMES,
        cast::NAMES,
        conv::NAMES,
        elementwise::NAMES,
        fused::NAMES,
        gather::NAMES,
        matmul::NAMES,
        movement::NAMES,
        norm::NAMES,
        random::NAMES,
        reduce::NAMES,
        select::NAMES,
        slice::NAMES,
        softmax::NAMES,
        transpose::NAMES,
    ]
    .concat()
}
