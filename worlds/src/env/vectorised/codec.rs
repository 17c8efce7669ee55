//! One description for writing and reading: little-endian numbers, in the order in which they are visited. What is
//! read is not trusted.

use crate::error::{Error, Result};

/// A number that a [`Codec`] can hold.
pub trait Number: Copy {
    /// Appends it.
    fn put(self, to: &mut Vec<u8>);

    /// Takes it off the front; `None` where that is cut short or is no such number (floats must be finite).
    fn take(from: &mut &[u8]) -> Option<Self>;
}

macro_rules! whole {
    ($($type:ty),*) => {$(
        impl Number for $type {
            fn put(self, to: &mut Vec<u8>) {
                to.extend(self.to_le_bytes());
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                let (head, tail) = from.split_first_chunk()?;
                *from = tail;
                Some(Self::from_le_bytes(*head))
            }
        }
    )*};
}

macro_rules! float {
    ($($type:ty),*) => {$(
        impl Number for $type {
            fn put(self, to: &mut Vec<u8>) {
                to.extend(self.to_le_bytes());
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                let (head, tail) = from.split_first_chunk()?;
                *from = tail;
                Some(Self::from_le_bytes(*head)).filter(|value| value.is_finite())
            }
        }
    )*};
}

whole!(u8, u16, u32, u64, i32);
float!(f32, f64);

impl Number for bool {
    fn put(self, to: &mut Vec<u8>) {
        to.push(u8::from(self));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

/// Writes the numbers it is shown, or replaces them by those it reads.
#[derive(Debug)]
pub struct Codec<'a>(Mode<'a>);

#[derive(Debug)]
enum Mode<'a> {
    Write(Vec<u8>),
    Read(&'a [u8]),
}

impl<'a> Codec<'a> {
    /// One that writes.
    pub fn writer() -> Self {
        Codec(Mode::Write(Vec::new()))
    }

    /// One that reads.
    pub fn reader(bytes: &'a [u8]) -> Self {
        Codec(Mode::Read(bytes))
    }

    /// One number.
    ///
    /// # Errors
    /// When reading: cut short, or not such a number.
    pub fn one<T: Number>(&mut self, value: &mut T) -> Result<()> {
        match &mut self.0 {
            Mode::Write(to) => value.put(to),
            Mode::Read(from) => *value = T::take(from).ok_or_else(|| broken("cut short or damaged"))?,
        }
        Ok(())
    }

    /// As many numbers as there are; how many that is must not come from the bytes.
    ///
    /// # Errors
    /// As [`Codec::one`].
    pub fn all<T: Number>(&mut self, values: &mut [T]) -> Result<()> {
        values.iter_mut().try_for_each(|value| self.one(value))
    }

    /// What was written; empty for one that reads.
    pub fn into_bytes(self) -> Vec<u8> {
        match self.0 {
            Mode::Write(bytes) => bytes,
            Mode::Read(_) => Vec::new(),
        }
    }

    /// Checks that everything has been read.
    ///
    /// # Errors
    /// There is more.
    pub fn finish(self) -> Result<()> {
        match self.0 {
            Mode::Read(rest) if !rest.is_empty() => Err(broken("longer than they should be")),
            _ => Ok(()),
        }
    }
}

pub(super) fn broken(message: &str) -> Error {
    Error::Usage(format!("the saved worlds are {message}"))
}
