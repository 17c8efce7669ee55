//! What words mean: how what agents say goes together with facts of their world and with what they do.
//!
//! ```
//! use synod::comm::meaning::Table;
//! // Two words that mean two states, and a third that means nothing.
//! let table = Table::count(&[0, 1, 0, 1, 2, 2], &[0, 1, 0, 1, 0, 1], [3, 2]);
//! assert!((table.information() - 2.0 / 3.0).abs() < 1e-12); // bits
//! assert_eq!(table.counts, [2, 0, 0, 2, 1, 1]);
//! ```

/// How often each word was said where a fact had each value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Words, and values.
    pub size: [usize; 2],
    /// `[words, values]`.
    pub counts: Vec<u64>,
}

impl Table {
    /// Counts pairs; those that are not in a table of that size are left out.
    pub fn count(words: &[u32], values: &[u32], size: [usize; 2]) -> Self {
        let mut counts = vec![0; size[0].saturating_mul(size[1])];
        for (word, value) in words.iter().zip(values) {
            let (word, value) = (*word as usize, *value as usize);
            if word < size[0] && value < size[1] {
                counts[word * size[1] + value] += 1;
            }
        }
        Table { size, counts }
    }

    /// All pairs.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How often each word was said.
    pub fn words(&self) -> Vec<u64> {
        self.counts.chunks(self.size[1].max(1)).map(|row| row.iter().sum()).collect()
    }

    /// How often the fact had each value.
    pub fn values(&self) -> Vec<u64> {
        let column = |value: usize| self.counts.iter().skip(value).step_by(self.size[1]).sum();
        (0..self.size[1]).map(column).collect()
    }

    /// The mutual information of word and value in bits, by their frequencies. With few pairs it is too high by about
    /// `(words - 1)(values - 1) / (2 ln 2 pairs)`: see [`Table::bias`].
    pub fn information(&self) -> f64 {
        let joint = entropy(&self.counts);
        (entropy(&self.words()) + entropy(&self.values()) - joint).max(0.0)
    }

    /// By how much [`Table::information`] is too high on average where word and value have nothing to do with each
    /// other (Miller 1955), in bits.
    pub fn bias(&self) -> f64 {
        let seen = |counts: &[u64]| counts.iter().filter(|count| **count > 0).count().max(1) as f64 - 1.0;
        let free = seen(&self.words()) * seen(&self.values());
        free / (2.0 * std::f64::consts::LN_2 * self.total().max(1) as f64)
    }
}

/// The entropy of frequencies in bits.
pub fn entropy(counts: &[u64]) -> f64 {
    let all = counts.iter().sum::<u64>().max(1) as f64;
    let term = |count: &u64| {
        let share = *count as f64 / all;
        if *count > 0 { -share * share.log2() } else { 0.0 }
    };
    // A sum of no more than minus zeros is one: 0 is meant.
    counts.iter().map(term).sum::<f64>() + 0.0
}

/// Topographic similarity (Brighton and Kirby 2006): the rank correlation (Spearman) between the distances of
/// meanings and those of the messages for them, over all pairs. 1 where like things are said alike; 0 for no
/// relation, and where all distances of a kind are equal. `messages` are rows of numbers (their distance is
/// Euclid's), `meanings` rows of values (theirs is the number of values that differ).
pub fn topographic_similarity(messages: &[&[f32]], meanings: &[&[u32]]) -> f64 {
    let count = messages.len().min(meanings.len());
    let (mut said, mut meant) = (Vec::new(), Vec::new());
    for i in 0..count {
        for j in 0..i {
            let squares = messages[i].iter().zip(messages[j]).map(|(a, b)| f64::from(a - b).powi(2));
            said.push(squares.sum::<f64>().sqrt());
            let differ = meanings[i].iter().zip(meanings[j]).filter(|(a, b)| a != b).count();
            meant.push(differ as f64);
        }
    }
    correlation(&ranks(&said), &ranks(&meant))
}

/// The places of numbers in their order, from 0 on; equal ones share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    while first < order.len() {
        let same = order[first..].iter().take_while(|i| values[**i] == values[order[first]]).count();
        let mean = first as f64 + (same as f64 - 1.0) / 2.0;
        order[first..first + same].iter().for_each(|i| ranks[*i] = mean);
        first += same;
    }
    ranks
}

/// The correlation of two rows (Pearson's); 0 where one of them never changes.
pub fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let count = a.len().min(b.len()).max(1) as f64;
    let mean = |x: &[f64]| x.iter().sum::<f64>() / count;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum =
        |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f(a - mean_a, b - mean_b)).sum::<f64>();
    let scale = (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
    if scale > 0.0 { sum(&|a, b| a * b) / scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn information_is_that_of_the_textbook() {
        // A binary symmetric channel with a tenth of errors: 1 - H(.1).
        let mut words = Vec::new();
        let mut values = Vec::new();
        for i in 0..1000u32 {
            values.push(i % 2);
            words.push(if i % 20 < 2 { 1 - i % 2 } else { i % 2 });
        }
        let table = Table::count(&words, &values, [2, 2]);
        let h = -(0.1f64 * 0.1f64.log2() + 0.9 * 0.9f64.log2());
        assert!((table.information() - (1.0 - h)).abs() < 1e-9);
        assert_eq!(table.total(), 1000);
        assert!((entropy(&table.words()) - 1.0).abs() < 1e-9);
        // Nothing in common.
        let none = Table::count(&[0, 0, 1, 1], &[0, 1, 0, 1], [2, 2]);
        assert!(none.information().abs() < 1e-12 && (none.bias() - 1.0 / (8.0 * 2f64.ln())).abs() < 1e-12);
        assert_eq!(Table::count(&[7], &[0], [2, 2]).total(), 0);
        assert_eq!(Table::default().information(), 0.0);
    }

    #[test]
    fn like_things_said_alike_are_similar() {
        let meanings: Vec<Vec<u32>> = (0..9u32).map(|i| vec![i / 3, i % 3]).collect();
        let wide: Vec<&[u32]> = meanings.iter().map(Vec::as_slice).collect();
        // A code that says both parts, each one-hot: the distance follows from how many differ.
        let code = |m: &[u32]| -> Vec<f32> {
            (0..6u32).map(|k| f32::from(u8::from(k == m[0] || k == 3 + m[1]))).collect()
        };
        let said: Vec<Vec<f32>> = meanings.iter().map(|m| code(m)).collect();
        let rows: Vec<&[f32]> = said.iter().map(Vec::as_slice).collect();
        assert!((topographic_similarity(&rows, &wide) - 1.0).abs() < 1e-9);
        // One word for each says nothing of what is like what.
        let words: Vec<Vec<f32>> =
            (0..9).map(|i| (0..9).map(|k| f32::from(u8::from(i == k))).collect()).collect();
        let rows: Vec<&[f32]> = words.iter().map(Vec::as_slice).collect();
        assert_eq!(topographic_similarity(&rows, &wide), 0.0);
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [2.5, 0.0, 2.5, 1.0]);
    }
}
