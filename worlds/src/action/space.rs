//! What an agent can do.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// Options of all discrete parts of a space together, and continuous numbers, at most.
const MOST: usize = 1 << 24;

/// How deep products may stand in products.
const DEEPEST: usize = 16;

/// What an agent can do in one step.
///
/// An action is a row of integers, one for each discrete part, and a row of floats, one for each continuous dimension,
/// both in the order in which the parts stand. A mask is a row with the options of all discrete parts one after another.
///
/// ```
/// use synod_worlds::action::ActionSpace;
/// let turn = ActionSpace::Continuous { low: vec![-1.0], high: vec![1.0] };
/// let move_and_word = ActionSpace::Product(vec![turn, ActionSpace::Discrete(10)]);
/// assert_eq!((move_and_word.integers(), move_and_word.floats()), (1, 1));
/// // A mean and a deviation for the turn, a number for each word.
/// assert_eq!((move_and_word.options(), move_and_word.parameters()), (10, 12));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ActionSpace {
    /// One of so many options, from 0 on.
    Discrete(usize),
    /// Several choices at once, each of so many options.
    MultiDiscrete(Vec<usize>),
    /// Real numbers, each within its bounds. A bound may be infinite. Worlds hold what lies beyond a bound to it.
    Continuous {
        /// The lower bounds.
        #[serde(serialize_with = "write_bounds", deserialize_with = "read_lower")]
        low: Vec<f32>,
        /// The upper bounds, one for each lower one and above it.
        #[serde(serialize_with = "write_bounds", deserialize_with = "read_upper")]
        high: Vec<f32>,
    },
    /// All of these at once.
    Product(Vec<ActionSpace>),
}

/// JSON has no infinite numbers: a bound that there is none of is `null`.
fn write_bounds<S: Serializer>(bounds: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    let known = |bound: &f32| bound.is_finite().then_some(*bound);
    bounds.iter().map(known).collect::<Vec<_>>().serialize(serializer)
}

fn read_lower<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    let bounds = Vec::<Option<f32>>::deserialize(deserializer)?;
    Ok(bounds.into_iter().map(|bound| bound.unwrap_or(f32::NEG_INFINITY)).collect())
}

fn read_upper<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    let bounds = Vec::<Option<f32>>::deserialize(deserializer)?;
    Ok(bounds.into_iter().map(|bound| bound.unwrap_or(f32::INFINITY)).collect())
}

impl ActionSpace {
    /// `dimensions` real numbers, all within the same bounds.
    pub fn uniform(dimensions: usize, low: f32, high: f32) -> Self {
        ActionSpace::Continuous { low: vec![low; dimensions], high: vec![high; dimensions] }
    }

    /// Integers of an action: one for each discrete part.
    pub fn integers(&self) -> usize {
        match self {
            ActionSpace::Discrete(_) => 1,
            ActionSpace::MultiDiscrete(sizes) => sizes.len(),
            ActionSpace::Continuous { .. } => 0,
            ActionSpace::Product(parts) => parts.iter().map(Self::integers).sum(),
        }
    }

    /// Floats of an action: one for each continuous dimension.
    pub fn floats(&self) -> usize {
        match self {
            ActionSpace::Discrete(_) | ActionSpace::MultiDiscrete(_) => 0,
            ActionSpace::Continuous { low, .. } => low.len(),
            ActionSpace::Product(parts) => parts.iter().map(Self::floats).sum(),
        }
    }

    /// Options of all discrete parts together: the length of a mask.
    pub fn options(&self) -> usize {
        match self {
            ActionSpace::Discrete(options) => *options,
            ActionSpace::MultiDiscrete(sizes) => sizes.iter().fold(0, |sum, n| sum.saturating_add(*n)),
            ActionSpace::Continuous { .. } => 0,
            ActionSpace::Product(parts) => {
                parts.iter().fold(0, |sum, part| sum.saturating_add(part.options()))
            }
        }
    }

    /// Numbers that a network must give for a distribution over this space: one for each option, two for each float.
    pub fn parameters(&self) -> usize {
        self.floats().saturating_mul(2).saturating_add(self.options())
    }

    /// The options of each discrete part: one for each integer of an action.
    pub fn sizes(&self) -> Vec<usize> {
        match self {
            ActionSpace::Discrete(options) => vec![*options],
            ActionSpace::MultiDiscrete(sizes) => sizes.clone(),
            ActionSpace::Continuous { .. } => Vec::new(),
            ActionSpace::Product(parts) => parts.iter().flat_map(Self::sizes).collect(),
        }
    }

    /// The bounds of each float of an action.
    pub fn bounds(&self) -> Vec<[f32; 2]> {
        match self {
            ActionSpace::Discrete(_) | ActionSpace::MultiDiscrete(_) => Vec::new(),
            ActionSpace::Continuous { low, high } => low.iter().zip(high).map(|(l, h)| [*l, *h]).collect(),
            ActionSpace::Product(parts) => parts.iter().flat_map(Self::bounds).collect(),
        }
    }

    /// The options of the one discrete choice that this space is.
    ///
    /// # Errors
    /// It is another space, which `user` (Q-learning, say) has no place for.
    pub fn one_choice(&self, user: &str) -> Result<usize> {
        if self.integers() == 1 && self.floats() == 0 {
            return Ok(self.options());
        }
        Err(Error::Usage(format!("{user} takes actions of one discrete set, not {self}")))
    }

    /// Checks that it is a space: every part has something to choose from, bounds are numbers and in order.
    ///
    /// # Errors
    /// The first fault, in words.
    pub fn check(&self) -> Result<()> {
        self.check_within(DEEPEST)?;
        let numbers = self.options().max(self.floats());
        if numbers > MOST {
            return Err(fault(&format!("has {numbers} options or dimensions, more than {MOST}")));
        }
        if self.integers() + self.floats() == 0 {
            return Err(fault("has no parts"));
        }
        Ok(())
    }

    fn check_within(&self, depth: usize) -> Result<()> {
        match self {
            ActionSpace::Discrete(0) => Err(fault("has a choice without options")),
            ActionSpace::Discrete(_) => Ok(()),
            ActionSpace::MultiDiscrete(sizes) if sizes.contains(&0) => {
                Err(fault("has a choice without options"))
            }
            ActionSpace::MultiDiscrete(_) => Ok(()),
            ActionSpace::Continuous { low, high } => {
                if low.len() != high.len() {
                    return Err(fault(&format!("has {} lower and {} upper bounds", low.len(), high.len())));
                }
                match low.iter().zip(high).find(|(low, high)| low.partial_cmp(high) != Some(LESS)) {
                    Some((low, high)) => Err(fault(&format!("has no room between {low} and {high}"))),
                    None => Ok(()),
                }
            }
            ActionSpace::Product(_) if depth == 0 => Err(fault("is a product of products, too deep")),
            ActionSpace::Product(parts) => parts.iter().try_for_each(|part| part.check_within(depth - 1)),
        }
    }
}

const LESS: std::cmp::Ordering = std::cmp::Ordering::Less;

fn fault(what: &str) -> Error {
    Error::Usage(format!("a space of actions {what}"))
}

/// A choice of 5 is `5`, choices are `3x4`, floats are `[-1..1, 0..1]`, products `(5, [0..1])`.
impl fmt::Display for ActionSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |parts: Vec<String>, by: &str| parts.join(by);
        match self {
            ActionSpace::Discrete(options) => write!(f, "{options}"),
            ActionSpace::MultiDiscrete(sizes) => {
                write!(f, "{}", join(sizes.iter().map(usize::to_string).collect(), "x"))
            }
            ActionSpace::Continuous { .. } => {
                let each = self.bounds().iter().map(|[low, high]| format!("{low}..{high}")).collect();
                write!(f, "[{}]", join(each, ", "))
            }
            ActionSpace::Product(parts) => {
                write!(f, "({})", join(parts.iter().map(Self::to_string).collect(), ", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_the_sum_of_its_parts() {
        let space = ActionSpace::Product(vec![
            ActionSpace::Discrete(5),
            ActionSpace::uniform(2, -1.0, 1.0),
            ActionSpace::Product(vec![
                ActionSpace::MultiDiscrete(vec![3, 4]),
                ActionSpace::uniform(1, 0.0, f32::INFINITY),
            ]),
        ]);
        space.check().unwrap();
        assert_eq!((space.integers(), space.floats(), space.options(), space.parameters()), (3, 3, 12, 18));
        assert_eq!(space.sizes(), [5, 3, 4]);
        assert_eq!(space.bounds(), [[-1.0, 1.0], [-1.0, 1.0], [0.0, f32::INFINITY]]);
        assert_eq!(space.to_string(), "(5, [-1..1, -1..1], (3x4, [0..inf]))");
        assert!(space.one_choice("it").unwrap_err().to_string().contains("one discrete set"));
        assert_eq!(ActionSpace::Discrete(7).one_choice("it").unwrap(), 7);
    }

    #[test]
    fn what_is_no_space_is_refused_in_words() {
        let continuous =
            |low: &[f32], high: &[f32]| ActionSpace::Continuous { low: low.to_vec(), high: high.to_vec() };
        let mut deep = ActionSpace::Discrete(2);
        for _ in 0..DEEPEST + 2 {
            deep = ActionSpace::Product(vec![deep]);
        }
        for (space, words) in [
            (ActionSpace::Discrete(0), "without options"),
            (ActionSpace::MultiDiscrete(vec![2, 0]), "without options"),
            (ActionSpace::MultiDiscrete(Vec::new()), "no parts"),
            (ActionSpace::Discrete(MOST + 1), "more than"),
            (ActionSpace::MultiDiscrete(vec![usize::MAX; 2]), "more than"),
            (continuous(&[0.0], &[]), "1 lower and 0 upper"),
            (continuous(&[1.0], &[1.0]), "no room"),
            (continuous(&[f32::NAN], &[1.0]), "no room"),
            (ActionSpace::Product(vec![ActionSpace::Discrete(0)]), "without options"),
            (deep, "too deep"),
        ] {
            let error = space.check().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
