//! The state of a training run as named tensors and named text, in memory. The form on disk is `run::checkpoint`'s.
//!
//! ```
//! use synod_engine::tensors::{Checkpoint, TensorData};
//! let mut checkpoint = Checkpoint::new();
//! checkpoint.insert("layer/weight", TensorData::f32(&[2], &[1.0, 2.0])?);
//! checkpoint.set("steps", 40);
//! assert_eq!(checkpoint.tensor("layer/weight")?.to_f32()?, [1.0, 2.0]);
//! assert_eq!(checkpoint.get::<u64>("steps")?, 40);
//! assert!(checkpoint.tensor("layer/bias").is_err());
//! # Ok::<(), synod_engine::Error>(())
//! ```

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::error::{Error, Result, nearest};

/// What a counter may reach: far from where adding to it would overflow.
const MOST_STEPS: u64 = 1 << 60;

/// The element type of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// 32-bit floating point.
    F32,
    /// 64-bit floating point.
    F64,
    /// 32-bit unsigned integer.
    U32,
    /// 64-bit unsigned integer.
    U64,
    /// Byte.
    U8,
}

impl ElementType {
    /// Bytes an element takes.
    pub fn size(self) -> usize {
        match self {
            ElementType::U8 => 1,
            ElementType::F32 | ElementType::U32 => 4,
            ElementType::F64 | ElementType::U64 => 8,
        }
    }
}

impl std::fmt::Display for ElementType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ElementType::F32 => "f32",
            ElementType::F64 => "f64",
            ElementType::U32 => "u32",
            ElementType::U64 => "u64",
            ElementType::U8 => "u8",
        })
    }
}

/// A tensor's shape, element type and content (little-endian, row-major).
#[derive(Clone, PartialEq, Eq)]
pub struct TensorData {
    shape: Vec<usize>,
    element_type: ElementType,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for TensorData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:?}", self.element_type, self.shape)
    }
}

macro_rules! typed {
    ($($make:ident $read:ident $type:ty, $variant:ident;)*) => {
        $(
            #[doc = concat!("A tensor of `", stringify!($type), "` with this shape.\n\n# Errors\nWhere the shape does not hold `values.len()` elements.")]
            pub fn $make(shape: &[usize], values: &[$type]) -> Result<Self> {
                let mut bytes = Vec::with_capacity(std::mem::size_of_val(values));
                for value in values {
                    bytes.extend_from_slice(&value.to_le_bytes());
                }
                Self::new(shape, ElementType::$variant, bytes)
            }

            #[doc = concat!("The content as `", stringify!($type), "`.\n\n# Errors\nWhere the elements are of another type.")]
            pub fn $read(&self) -> Result<Vec<$type>> {
                if self.element_type != ElementType::$variant {
                    return Err(Error::Usage(format!(
                        "a tensor holds {}, asked for {}", self.element_type, ElementType::$variant)));
                }
                Ok(self
                    .bytes
                    .as_chunks::<{ size_of::<$type>() }>().0
                    .iter()
                    .map(|c| <$type>::from_le_bytes(*c))
                    .collect())
            }
        )*
    };
}

impl TensorData {
    /// A tensor from its raw little-endian content.
    ///
    /// # Errors
    /// Where the shape's product overflows or does not fit `bytes`.
    pub fn new(shape: &[usize], element_type: ElementType, bytes: Vec<u8>) -> Result<Self> {
        let needed = shape
            .iter()
            .try_fold(1usize, |product, &size| product.checked_mul(size))
            .and_then(|elements| elements.checked_mul(element_type.size()));
        if needed != Some(bytes.len()) {
            return Err(Error::Usage(format!(
                "a tensor {element_type}{shape:?} cannot be made from {} bytes",
                bytes.len()
            )));
        }
        Ok(TensorData { shape: shape.to_vec(), element_type, bytes })
    }

    typed! {
        f32 to_f32 f32, F32;
        f64 to_f64 f64, F64;
        u32 to_u32 u32, U32;
        u64 to_u64 u64, U64;
        u8 to_u8 u8, U8;
    }

    /// Its size along each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What its elements are.
    pub fn element_type(&self) -> ElementType {
        self.element_type
    }

    /// The content, little-endian and row-major.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.bytes.len() / self.element_type.size()
    }
}

/// The complete state of a training run: tensors by name (`agent/actor/weight`, `optimiser/moment1`, `world/state`)
/// and text by name (`architecture`, counters, anything small).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The tensors, by name.
    pub tensors: BTreeMap<String, TensorData>,
    /// Short texts, by name. `architecture` says what the tensors belong to and is compared before loading. Names that
    /// begin with `synod.` belong to the file format.
    pub metadata: BTreeMap<String, String>,
}

impl Checkpoint {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor.
    pub fn insert(&mut self, name: impl Into<String>, tensor: TensorData) {
        self.tensors.insert(name.into(), tensor);
    }

    /// Adds a text or a number. Floating-point numbers written with `{:?}` or `Display` come back exactly.
    pub fn set(&mut self, name: impl Into<String>, value: impl ToString) {
        self.metadata.insert(name.into(), value.to_string());
    }

    /// The tensor of that name.
    ///
    /// # Errors
    /// Where it is missing, with the nearest name that is there.
    pub fn tensor(&self, name: &str) -> Result<&TensorData> {
        self.tensors.get(name).ok_or_else(|| {
            let hint = nearest(name, self.tensors.keys().map(String::as_str))
                .map(|n| format!(" (it has `{n}`)"))
                .unwrap_or_default();
            Error::Usage(format!("the checkpoint lacks the tensor `{name}`{hint}"))
        })
    }

    /// The text of that name, parsed.
    ///
    /// # Errors
    /// Where it is missing or does not parse as a `T`.
    pub fn get<T: FromStr>(&self, name: &str) -> Result<T> {
        let text = self
            .metadata
            .get(name)
            .ok_or_else(|| Error::Usage(format!("the checkpoint lacks the entry `{name}`")))?;
        text.parse().map_err(|_| {
            Error::Usage(format!(
                "the checkpoint's entry `{name}` is `{text}`, not a {}",
                std::any::type_name::<T>()
            ))
        })
    }

    /// So many counters (steps, episodes) in the tensor of that name.
    ///
    /// # Errors
    /// Where it is missing, of another type or length, or holds a number that no run reaches (over 2^60).
    pub fn counters(&self, name: &str, count: usize) -> Result<Vec<u64>> {
        let counters = self.tensor(name)?.to_u64()?;
        if counters.len() != count || counters.iter().any(|counter| *counter > MOST_STEPS) {
            let found = &counters[..counters.len().min(8)];
            return Err(Error::Usage(format!(
                "the checkpoint's `{name}` has to be {count} counters, and begins with {found:?}"
            )));
        }
        Ok(counters)
    }

    /// [`Checkpoint::counters`] where there is one.
    ///
    /// # Errors
    /// As there.
    pub fn counter(&self, name: &str) -> Result<u64> {
        Ok(self.counters(name, 1)?[0])
    }

    /// Takes the tensors of another in, with `prefix/` before their names.
    pub fn nest(&mut self, prefix: &str, other: Checkpoint) {
        for (name, tensor) in other.tensors {
            self.insert(format!("{prefix}/{name}"), tensor);
        }
    }

    /// The tensors whose names begin with `prefix/`, without it: what [`Checkpoint::nest`] took in.
    pub fn nested(&self, prefix: &str) -> Checkpoint {
        let mut own = Checkpoint::new();
        for (name, tensor) in &self.tensors {
            if let Some(name) = name.strip_prefix(prefix).and_then(|name| name.strip_prefix('/')) {
                own.insert(name, tensor.clone());
            }
        }
        own
    }

    /// Compares the tensors with what a trainer expects, before it takes any of them.
    ///
    /// # Errors
    /// One error that names every missing, superfluous and mis-shaped tensor (the first eight of each kind).
    pub fn check<'a>(
        &self,
        expected: impl IntoIterator<Item = (&'a str, ElementType, &'a [usize])>,
    ) -> Result<()> {
        let mut missing = Vec::new();
        let mut different = Vec::new();
        let mut known = std::collections::BTreeSet::new();
        for (name, element_type, shape) in expected {
            known.insert(name);
            match self.tensors.get(name) {
                None => missing.push(name.to_string()),
                Some(t) if t.element_type != element_type || t.shape != shape => different.push(format!(
                    "{name} is {}{:?}, expected {element_type}{shape:?}",
                    t.element_type, t.shape
                )),
                Some(_) => {}
            }
        }
        let extra: Vec<String> =
            self.tensors.keys().filter(|k| !known.contains(k.as_str())).cloned().collect();
        let list = |what: &str, items: Vec<String>| {
            (!items.is_empty()).then(|| {
                let rest = items.len().saturating_sub(8);
                let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
                format!("{what}: {}{more}", items[..items.len() - rest].join(", "))
            })
        };
        let faults: Vec<String> =
            [list("missing", missing), list("of another shape", different), list("superfluous", extra)]
                .into_iter()
                .flatten()
                .collect();
        if faults.is_empty() {
            return Ok(());
        }
        Err(Error::Usage(format!("the checkpoint belongs to another architecture; {}", faults.join("; "))))
    }

    /// Compares this checkpoint with another as [`check`](Self::check) does: a trainer's `load` may compare what it is
    /// given with what its own `save` gives. The tensors named in `free` may have any shape: whoever reads them checks
    /// it.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_like(&self, own: &Checkpoint, free: &[&str]) -> Result<()> {
        self.check(own.tensors.iter().map(|(name, own)| {
            let shape = match self.tensors.get(name) {
                Some(found) if free.contains(&name.as_str()) => found.shape(),
                _ => own.shape(),
            };
            (name.as_str(), own.element_type, shape)
        }))
    }

    /// Refuses parameters that are not finite: a network that holds one acts, and all that it says is meaningless.
    /// What worlds, rollouts and replays hold is theirs to judge.
    ///
    /// # Errors
    /// The first such tensor, with the place of the number in it.
    pub fn check_finite(&self) -> Result<()> {
        const OTHERS: [&str; 4] = ["worlds/", "rollout/", "replay/", "options/"];
        for (name, tensor) in &self.tensors {
            if OTHERS.iter().any(|other| name.starts_with(other)) {
                continue;
            }
            let found = match tensor.element_type {
                ElementType::F32 => tensor.to_f32()?.iter().position(|v| !v.is_finite()),
                ElementType::F64 => tensor.to_f64()?.iter().position(|v| !v.is_finite()),
                _ => None,
            };
            if let Some(at) = found {
                return Err(Error::Usage(format!(
                    "the checkpoint's `{name}` is not finite (element {at} of {})",
                    tensor.elements()
                )));
            }
        }
        Ok(())
    }

    /// Refuses a checkpoint of another network than the one that describes itself as `own`.
    ///
    /// # Errors
    /// Both architectures, in words.
    pub fn check_architecture(&self, own: &str) -> Result<()> {
        let found: String = self.get("architecture")?;
        if found == own {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "the checkpoint is of another network: it holds `{found}`, expected `{own}`"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named() {
        let mut one = Checkpoint::new();
        one.insert("a", TensorData::f32(&[2, 3], &[0.0; 6]).unwrap());
        one.insert("b", TensorData::u32(&[2], &[1, 2]).unwrap());
        one.insert("d", TensorData::u8(&[0, 5], &[]).unwrap());
        assert!(one.check_like(&one, &[]).is_ok());
        let mut longer = one.clone();
        longer.insert("d", TensorData::u8(&[7], &[0; 7]).unwrap());
        assert!(longer.check_like(&one, &[]).is_err());
        assert!(longer.check_like(&one, &["d"]).is_ok());
        let shape = [3usize, 2];
        let error = one
            .check([
                ("a", ElementType::F32, &shape[..]),
                ("b", ElementType::F32, &shape[..1]),
                ("c", ElementType::U8, &[]),
            ])
            .unwrap_err()
            .to_string();
        for part in ["missing: c", "superfluous: d", "a is f32[2, 3], expected f32[3, 2]", "b is u32[2]"] {
            assert!(error.contains(part), "{part} not in: {error}");
        }
    }

    #[test]
    fn content_comes_back_to_the_bit() {
        let values = [f32::NAN, -0.0, f32::MIN_POSITIVE / 2.0, f32::INFINITY, 1.0 / 3.0];
        let back = TensorData::f32(&[5], &values).unwrap().to_f32().unwrap();
        assert!(values.iter().zip(&back).all(|(a, b)| a.to_bits() == b.to_bits()));
        let values = [u64::MAX, 0, 1 << 63];
        assert_eq!(TensorData::u64(&[3, 1], &values).unwrap().to_u64().unwrap(), values);
        assert!(TensorData::u64(&[3], &values).unwrap().to_f64().is_err());
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        assert!(TensorData::f32(&[2, 2], &[0.0; 3]).is_err());
        assert!(TensorData::new(&[usize::MAX, 2], ElementType::F32, vec![]).is_err());
        assert!(TensorData::new(&[usize::MAX, 2, 0], ElementType::F32, vec![]).is_err());
    }
}
