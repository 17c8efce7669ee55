//! The names of all ops. Every family of ops lists its own in `NAMES`; the tests check that each is tested.
//!
//! ```
//! assert!(synod_engine::op::registry::names().contains(&"matmul"));
//! ```

use super::{
    adam, attention, cast, categorical, conv, elementwise, flip, fused, gather, gru, index, integer,
    integer_reduce, lstm, matmul, memory, message, movement, norm, random, reduce, row_chain, scan, select,
    selective, slice, softmax, sort, ssm, transpose,
};

/// Every op's name, family by family.
pub fn names() -> Vec<&'static str> {
    [
        adam::NAMES,
        attention::NAMES,
        cast::NAMES,
        categorical::NAMES,
        conv::NAMES,
        elementwise::NAMES,
        flip::NAMES,
        fused::NAMES,
        gather::NAMES,
        gru::NAMES,
        index::NAMES,
        integer::NAMES,
        integer_reduce::NAMES,
        lstm::NAMES,
        matmul::NAMES,
        memory::NAMES,
        message::NAMES,
        movement::NAMES,
        norm::NAMES,
        random::NAMES,
        reduce::NAMES,
        row_chain::NAMES,
        scan::NAMES,
        select::NAMES,
        selective::NAMES,
        slice::NAMES,
        softmax::NAMES,
        sort::NAMES,
        ssm::NAMES,
        transpose::NAMES,
    ]
    .concat()
}
