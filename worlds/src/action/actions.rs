//! What agents did, as flat arrays.

use super::ActionSpace;
use crate::error::{Error, Result};

/// Integers, and floats, at most.
const MOST: usize = 1 << 36;

/// Actions of many agents, integers apart from floats.
///
/// Worlds take, for each kind of agent one after another, a block `[worlds, count, integers]` and a block
/// `[worlds, count, floats]`, both of that kind's [`ActionSpace`]. Actors and experience keep the same rows in the order
/// that they name themselves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Actions {
    /// The integers.
    pub discrete: Vec<u32>,
    /// The floats.
    pub continuous: Vec<f32>,
}

impl Actions {
    /// Zeros for `lanes` agents of one space; empty, which nothing takes, for more than 2^36 numbers.
    pub fn zeros(space: &ActionSpace, lanes: usize) -> Self {
        Self::of_lengths([space.integers(), space.floats()].map(|each| lanes.saturating_mul(each)))
    }

    /// So many zeros; empty for more than 2^36.
    pub fn of_lengths([integers, floats]: [usize; 2]) -> Self {
        if integers.max(floats) > MOST {
            return Actions::default();
        }
        Actions { discrete: vec![0; integers], continuous: vec![0.0; floats] }
    }

    /// Refuses arrays that are not of so many integers and floats; `user` begins the message.
    ///
    /// # Errors
    /// The lengths, in words.
    pub fn expect(&self, user: &str, integers: usize, floats: usize, agents: usize) -> Result<()> {
        if self.discrete.len() != integers {
            let got = self.discrete.len();
            return Err(Error::Usage(format!(
                "{user}: {got} actions for {agents} agents, expected {integers}"
            )));
        }
        if self.continuous.len() != floats {
            let got = self.continuous.len();
            return Err(Error::Usage(format!(
                "{user}: {got} continuous numbers for {agents} agents, expected {floats}"
            )));
        }
        Ok(())
    }

    /// Holds the floats, in rows with such bounds, to them, as worlds do; what is no number becomes 0, or the bound nearest
    /// to it.
    pub fn hold(&mut self, bounds: &[[f32; 2]]) {
        hold(&mut self.continuous, bounds);
    }

    /// Refuses, among rows of `space`, an option that does not exist and a float that is not finite. Floats beyond
    /// their bounds are not refused: worlds hold them to the bounds.
    ///
    /// # Errors
    /// The first fault, in words.
    pub fn check_values(&self, space: &ActionSpace) -> Result<()> {
        let sizes = space.sizes();
        for row in self.discrete.chunks(sizes.len().max(1)) {
            if let Some((action, size)) = row.iter().zip(&sizes).find(|(a, size)| **a as usize >= **size) {
                return Err(Error::Usage(format!("action {action} of a choice of {size}")));
            }
        }
        match self.continuous.iter().find(|x| !x.is_finite()) {
            Some(x) => Err(Error::Usage(format!("a continuous action is {x}"))),
            None => Ok(()),
        }
    }
}

/// [`Actions::hold`] for floats alone.
pub fn hold(continuous: &mut [f32], bounds: &[[f32; 2]]) {
    for row in continuous.chunks_exact_mut(bounds.len().max(1)) {
        for (number, [low, high]) in row.iter_mut().zip(bounds) {
            let known = if number.is_nan() { 0.0 } else { *number };
            // Not `clamp`, which panics where bounds are not in order.
            *number = known.min(*high).max(*low);
        }
    }
}

/// Actions of one discrete choice each.
impl From<Vec<u32>> for Actions {
    fn from(discrete: Vec<u32>) -> Self {
        Actions { discrete, continuous: Vec::new() }
    }
}

/// Actions of one discrete choice each.
impl From<&[u32]> for Actions {
    fn from(discrete: &[u32]) -> Self {
        discrete.to_vec().into()
    }
}

/// Actions of one discrete choice each.
impl<const N: usize> From<[u32; N]> for Actions {
    fn from(discrete: [u32; N]) -> Self {
        discrete.to_vec().into()
    }
}

/// Continuous actions alone.
impl From<Vec<f32>> for Actions {
    fn from(continuous: Vec<f32>) -> Self {
        Actions { discrete: Vec::new(), continuous }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_values_are_checked() {
        let parts = vec![ActionSpace::MultiDiscrete(vec![2, 3]), ActionSpace::uniform(1, 0.0, 1.0)];
        let space = ActionSpace::Product(parts);
        let mut actions = Actions::zeros(&space, 4);
        actions.expect("test", 8, 4, 4).unwrap();
        actions.check_values(&space).unwrap();
        let words = |result: Result<()>| result.unwrap_err().to_string();
        assert!(words(actions.expect("test", 6, 4, 3)).contains("8 actions for 3 agents, expected 6"));
        assert!(words(actions.expect("test", 8, 3, 4)).contains("4 continuous numbers"));
        // The first choice has two options, the second three.
        actions.discrete[7] = 2;
        actions.check_values(&space).unwrap();
        actions.discrete[6] = 2;
        assert!(words(actions.check_values(&space)).contains("action 2 of a choice of 2"));
        actions.discrete[6] = 0;
        actions.continuous[1] = 9.0;
        actions.check_values(&space).unwrap();
        actions.continuous[1] = f32::NAN;
        assert!(words(actions.check_values(&space)).contains("NaN"));
        actions.continuous = vec![-3.0, f32::NAN, 0.25, f32::INFINITY];
        actions.hold(&space.bounds());
        assert_eq!(actions.continuous, [0.0, 0.0, 0.25, 1.0]);
    }
}
