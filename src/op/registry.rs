//! The names of all ops. Every family of ops lists its own in `NAMES`; the tests check that each is tested.

use super::{attention, conv, elementwise, fused, matmul, movement, reduce};

/// Every op's name, family by family.
pub fn names() -> Vec<&'static str> {
    [
        attention::NAMES,
        conv::NAMES,
        elementwise::NAMES,
        fused::NAMES,
        matmul::NAMES,
        movement::NAMES,
        reduce::NAMES,
    ]
    .concat()
}
