//! Running statistics of what training sees.

use crate::error::{Error, Result};

/// Count, mean and sum of squared deviations, joined batch by batch (Chan et al. 1983).
#[derive(Clone, Copy, Default)]
pub(super) struct Moments {
    pub count: f64,
    pub mean: f64,
    squares: f64,
}

impl Moments {
    pub fn add(&mut self, values: impl Iterator<Item = f64> + Clone) {
        let count = values.clone().count() as f64;
        if count == 0.0 {
            return;
        }
        let mean = values.clone().sum::<f64>() / count;
        let squares: f64 = values.map(|v| (v - mean).powi(2)).sum();
        let (total, apart) = (self.count + count, mean - self.mean);
        self.squares += squares + apart * apart * self.count * count / total;
        self.mean += apart * count / total;
        self.count = total;
    }

    pub fn deviation(&self) -> f64 {
        (self.squares / self.count.max(1.0)).sqrt()
    }

    /// What a checkpoint keeps of them.
    pub fn numbers(&self) -> [f64; 3] {
        [self.count, self.mean, self.squares]
    }

    /// Those that [`Moments::numbers`] gave.
    ///
    /// # Errors
    /// Numbers that are none of any values.
    pub fn of(numbers: &[f64]) -> Result<Self> {
        match *numbers {
            [count, mean, squares] if count >= 0.0 && squares >= 0.0 && mean.is_finite() => {
                Ok(Moments { count, mean, squares })
            }
            _ => Err(Error::Usage("the checkpoint's running statistics are damaged".into())),
        }
    }
}
