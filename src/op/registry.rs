//! The names of all ops. Every family of ops lists its own in `NAMES`; the tests check that each is tested.

use super::{elementwise, fused, movement, reduce};

/// Every op's name, family by family.
pub fn names() -> Vec<&'static str> {
    [elementwise::NAMES, fused::NAMES, movement::NAMES, reduce::NAMES].concat()
}
