//! Einstein's notation against sums over all indices.

use std::collections::BTreeMap;

use crate::common::{Case, uniform};
use synod_engine::Graph;

/// The sum over all values of all letters. Dots are written out as letters.
fn reference(equation: &str, shapes: &[Vec<usize>], x: &[Vec<f64>]) -> Vec<f64> {
    let (terms, result) = equation.split_once("->").expect("an arrow");
    let terms: Vec<Vec<char>> = terms.split(',').map(|t| t.chars().collect()).collect();
    let result: Vec<char> = result.chars().collect();
    let mut sizes: BTreeMap<char, usize> = BTreeMap::new();
    for (term, shape) in terms.iter().zip(shapes) {
        for (letter, size) in term.iter().zip(shape) {
            let known = sizes.entry(*letter).or_insert(1);
            *known = (*known).max(*size);
        }
    }
    // The result's letters first, so that each block of values is one element.
    let others = sizes.keys().filter(|l| !result.contains(l));
    let letters: Vec<char> = result.iter().chain(others).copied().collect();
    let total: usize = letters.iter().map(|l| sizes[l]).product();
    let elements: usize = result.iter().map(|l| sizes[l]).product();
    let mut out = vec![0.0; elements];
    for n in 0..total {
        let (mut rest, mut at) = (n, BTreeMap::new());
        for letter in letters.iter().rev() {
            at.insert(*letter, rest % sizes[letter]);
            rest /= sizes[letter];
        }
        let product: f64 = terms
            .iter()
            .zip(shapes)
            .zip(x)
            .map(|((term, shape), x)| {
                let index = term.iter().zip(shape).fold(0, |index, (l, size)| index * size + at[l] % size);
                x[index]
            })
            .product();
        out[n / (total / elements)] += product;
    }
    out
}

/// `plain` is the equation without dots and with an arrow.
fn check(equation: &'static str, plain: &'static str, shapes: &[&[usize]]) {
    let all: Vec<Vec<usize>> = shapes.iter().map(|s| s.to_vec()).collect();
    Case::composition(
        equation,
        shapes.iter().map(|shape| uniform(*shape, -1.5..1.5)).collect(),
        move |g, x| vec![g.einsum(equation, x)],
        move |x| vec![reference(plain, &all, x)],
    )
    .tolerance(1e-4)
    .check();
}

#[test]
fn agrees_with_sums_over_all_indices() {
    for (equation, shapes) in [
        ("ij,jk->ik", &[&[3, 5][..], &[5, 4]][..]),
        ("ij,kj->ki", &[&[3, 5], &[4, 5]]),
        ("bij,bjk->bik", &[&[2, 3, 5], &[2, 5, 4]]),
        ("bqhd,bkhd->bhqk", &[&[2, 3, 2, 4], &[2, 5, 2, 4]]),
        ("ij->ji", &[&[3, 5]]),
        ("ij->", &[&[3, 5]]),
        ("ij->j", &[&[3, 5]]),
        ("ii->i", &[&[4, 4]]),
        ("ii->", &[&[4, 4]]),
        ("iji->j", &[&[4, 3, 4]]),
        ("i,j->ij", &[&[3], &[4]]),
        ("i,i->", &[&[7], &[7]]),
        ("i,i->i", &[&[7], &[7]]),
        (",i->i", &[&[], &[4]]),
        ("ij,j,ik->k", &[&[3, 5], &[5], &[3, 2]]),
        ("abc,cd,be->aed", &[&[2, 3, 4], &[4, 5], &[3, 2]]),
        ("ij,kl->ijkl", &[&[2, 3], &[2, 2]]),
        ("ij,jk->", &[&[3, 5], &[5, 4]]),
    ] {
        check(equation, equation, shapes);
    }
}

#[test]
fn dots_and_results_that_are_not_said() {
    check("...ij,...jk->...ik", "abij,abjk->abik", &[&[2, 3, 2, 4], &[2, 3, 4, 2]]);
    check("...ij, jk -> ...ik", "aij,jk->aik", &[&[3, 2, 4], &[4, 2]]);
    check("...i,...i->...", "abi,bi->ab", &[&[2, 3, 4], &[3, 4]]);
    check("...i,...->...i", "abi,ab->abi", &[&[1, 3, 4], &[2, 1]]);
    check("ij,jk", "ij,jk->ik", &[&[3, 5], &[5, 4]]);
    check("ba", "ba->ab", &[&[3, 5]]);
    check("...ij,jk", "cij,jk->cik", &[&[2, 3, 5], &[5, 4]]);
}

#[test]
fn more_dimensions_than_ops_take_are_an_error() {
    let g = Graph::new();
    let x = g.input("x", [1; 20]);
    g.einsum("abcdefghijklmnopqrsa->a", &[x]);
    assert!(g.check().unwrap_err().to_string().contains("dimensions"));
    // Whatever comes after a mistake does no harm.
    let y = g.einsum("ij,jk->ik", &[x, x]);
    let _ = (y.sort(0, true), y.top_k(2), y.tril(0), y.max_pool1d(2, 2, 0), y.cumprod(-1), y.variance(&[1]));
    let _ = (y.roll(0, 1), y.diagonal(), y.index_select(1, y), y.scatter_set(y, y), y.conv1d(y, 1, 0));
}

#[test]
fn mistakes_name_the_equation() {
    for (equation, shapes, what) in [
        ("ij,jk->ik", &[&[3, 5][..]][..], "names 2 operands"),
        ("ij->ij", &[&[3]], "does not name"),
        ("...ij->ij", &[&[3]], "does not name"),
        ("ij,jk->ik", &[&[3, 5], &[4, 2]], "is 5"),
        ("ii->i", &[&[3, 4]], "is 3"),
        ("ij->ijj", &[&[3, 4]], "twice"),
        ("ij->k", &[&[3, 4]], "no operand has"),
        ("i1->i", &[&[3, 4]], "no letter"),
    ] {
        let g = Graph::new();
        let names: Vec<String> = (0..shapes.len()).map(|i| i.to_string()).collect();
        let x: Vec<_> = shapes.iter().zip(&names).map(|(shape, name)| g.input(name, *shape)).collect();
        g.einsum(equation, &x);
        let message = g.check().expect_err(equation).to_string();
        assert!(message.contains(equation) && message.contains(what), "{equation}: {message}");
    }
}
