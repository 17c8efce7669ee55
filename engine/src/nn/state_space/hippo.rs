//! The matrix that memory by Legendre polynomials is made of, and the basis in which it is nearly diagonal.

use nalgebra::{Complex, DMatrix};

/// The eigenvalues of HiPPO-N with positive imaginary part, and their eigenvectors.
#[derive(Debug, Clone)]
pub struct Hippo {
    /// `[n / 2]`, ascending: the eigenvalues are `-1/2 + i frequency`; the others are their conjugates.
    pub frequencies: Vec<f64>,
    /// `[n, n / 2]`, the eigenvectors as orthonormal columns.
    pub vectors: DMatrix<Complex<f64>>,
}

/// HiPPO-LegS without its part of rank one (Gu, Goel and Ré 2022, arXiv 2111.00396; HiPPO-N of Smith et al. 2023,
/// equation 9), for an even number of states `n`.
///
/// ```text
/// S_jk = -1/2 on the diagonal, -1/2 sqrt((2 j + 1)(2 k + 1)) below, as much with a plus above
/// ```
///
/// `S + 1/2` is skew, so that `-i (S + 1/2)` is Hermitian and has an orthonormal basis.
pub fn hippo_normal(n: usize) -> Hippo {
    let skew = |j: usize, k: usize| {
        let size = 0.5 * (((2 * j + 1) * (2 * k + 1)) as f64).sqrt();
        match j.cmp(&k) {
            std::cmp::Ordering::Greater => -size,
            std::cmp::Ordering::Equal => 0.0,
            std::cmp::Ordering::Less => size,
        }
    };
    // -i times a real number.
    let hermitian = DMatrix::from_fn(n, n, |j, k| Complex::new(0.0, -skew(j, k)));
    let decomposition = hermitian.symmetric_eigen();
    let mut order: Vec<usize> = (0..n).filter(|&i| decomposition.eigenvalues[i] > 0.0).collect();
    order.sort_by(|&i, &k| decomposition.eigenvalues[i].total_cmp(&decomposition.eigenvalues[k]));
    order.truncate(n / 2);
    let column = |i: usize| {
        let vector = decomposition.eigenvectors.column(i).into_owned();
        // Vectors are known up to a turn: the first number of each is real and not negative.
        let turn = vector
            .get(0)
            .filter(|first| first.norm() > 1e-12)
            .map_or(Complex::new(1.0, 0.0), |first| first.conj() / Complex::new(first.norm(), 0.0));
        vector * turn
    };
    let columns: Vec<_> = order.iter().map(|&i| column(i)).collect();
    Hippo {
        frequencies: order.iter().map(|&i| decomposition.eigenvalues[i]).collect(),
        vectors: DMatrix::from_fn(n, columns.len(), |j, k| columns[k][j]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_are_those_of_the_matrix() {
        for (n, expected) in
            [(4, vec![0.556501, 4.603293]), (8, vec![0.427489, 1.957794, 5.354209, 19.85741])]
        {
            let found = hippo_normal(n).frequencies;
            assert_eq!(found.len(), n / 2);
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-5 * expected.max(1.0), "{found} {expected}");
            }
        }
    }

    #[test]
    fn vectors_are_orthonormal_and_turn_by_their_frequency() {
        for n in [2, 6, 32, 64] {
            let Hippo { frequencies, vectors } = hippo_normal(n);
            assert_eq!(frequencies.len(), n / 2);
            let gram = vectors.adjoint() * &vectors;
            assert!((gram - DMatrix::identity(n / 2, n / 2)).norm() < 1e-9);
            let s = DMatrix::from_fn(n, n, |j, k| {
                let [j, k] = [j, k].map(|i| i as f64);
                let size = 0.5 * ((2.0 * j + 1.0) * (2.0 * k + 1.0)).sqrt();
                Complex::new(
                    if j > k {
                        -size
                    } else if j < k {
                        size
                    } else {
                        -0.5
                    },
                    0.0,
                )
            });
            for (k, frequency) in frequencies.iter().enumerate() {
                let v = vectors.column(k).into_owned();
                let rest = &s * &v - v * Complex::new(-0.5, *frequency);
                assert!(rest.norm() < 1e-8 * frequency.max(1.0), "{n} {k}: {}", rest.norm());
            }
        }
    }
}
