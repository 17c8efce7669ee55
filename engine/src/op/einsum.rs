//! Sums of products in Einstein's notation, as transpositions, sums and matrix products.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::graph::{Graph, Tensor};
use crate::shape::{DType, Shape};

/// What a dimension is called: a letter of the equation, or a number for one of those that `...` stands for, counted from
/// the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Dots(usize),
    Letter(char),
}

/// An operand and what its dimensions are called, each name once.
#[derive(Clone)]
struct Named<'g> {
    x: Tensor<'g>,
    labels: Vec<Label>,
}

/// The labels of a term; `dots` is how many dimensions `...` stands for.
fn labels(term: &str, dots: usize) -> Result<Vec<Label>, String> {
    let mut found = Vec::new();
    let (before, after) = match term.split_once("...") {
        Some((before, after)) => (before, Some(after)),
        None => (term, None),
    };
    let mut letters = |part: &str| match part.chars().find(|c| !c.is_ascii_alphabetic()) {
        Some(c) => Err(format!("`{c}` is no letter of a dimension")),
        None => {
            found.extend(part.chars().map(Label::Letter));
            Ok(())
        }
    };
    letters(before)?;
    if let Some(after) = after {
        let at = before.len();
        letters(after)?;
        found.splice(at..at, (0..dots).rev().map(Label::Dots));
    }
    Ok(found)
}

impl<'g> Named<'g> {
    /// The dimension of a label.
    fn at(&self, label: Label) -> Option<usize> {
        self.labels.iter().position(|l| *l == label)
    }

    fn has(&self, label: &Label) -> bool {
        self.labels.contains(label)
    }

    /// An operand whose labels may stand twice, of which the diagonal is taken, and whose stretched dimensions are left out.
    fn new(x: Tensor<'g>, mut labels: Vec<Label>, sizes: &BTreeMap<Label, usize>) -> Self {
        let (mut x, mut shape) = (x, x.shape().to_vec());
        while let Some((first, second)) = (0..labels.len())
            .find_map(|i| Some((i, (i + 1..labels.len()).find(|&j| labels[j] == labels[i])?)))
        {
            // Both last, then the diagonal in their place.
            let mut order: Vec<usize> = (0..labels.len()).filter(|i| *i != first && *i != second).collect();
            order.extend([first, second]);
            x = x.transpose(&order).diagonal();
            order.pop();
            labels = order.iter().map(|&i| labels[i]).collect();
            shape = order.iter().map(|&i| shape[i]).collect();
        }
        let stretched = |i: usize| shape[i] == 1 && sizes.get(&labels[i]).is_some_and(|size| *size != 1);
        let kept: Vec<usize> = (0..labels.len()).filter(|&i| !stretched(i)).collect();
        let x = x.reshape(kept.iter().map(|&i| shape[i]).collect::<Vec<_>>());
        Named { x, labels: kept.iter().map(|&i| labels[i]).collect() }
    }

    /// The sum over the dimensions whose labels are not wanted.
    fn sum_others(self, wanted: impl Fn(&Label) -> bool) -> Self {
        let axes: Vec<isize> =
            (0..self.labels.len()).filter(|&i| !wanted(&self.labels[i])).map(|i| i as isize).collect();
        let labels = self.labels.into_iter().filter(|label| wanted(label)).collect();
        Named { x: self.x.sum(&axes), labels }
    }

    /// The dimensions in the order of these groups of labels, each group as one.
    fn grouped(&self, sizes: &BTreeMap<Label, usize>, groups: &[&[Label]]) -> Tensor<'g> {
        let order: Vec<usize> = groups.iter().flat_map(|g| g.iter()).filter_map(|l| self.at(*l)).collect();
        let size = |group: &&[Label]| group.iter().map(|label| sizes[label]).product::<usize>();
        self.x.transpose(&order).reshape(groups.iter().map(size).collect::<Vec<_>>())
    }

    /// The product with another operand, summed over what `later` does not want.
    fn times(self, other: Self, sizes: &BTreeMap<Label, usize>, later: impl Fn(&Label) -> bool) -> Self {
        let a = self.clone().sum_others(|l| later(l) || other.has(l));
        let b = other.sum_others(|l| later(l) || a.has(l));
        let of = |x: &Named<'g>, want: &dyn Fn(&Label) -> bool| -> Vec<Label> {
            x.labels.iter().copied().filter(want).collect()
        };
        let shared = of(&a, &|l| b.has(l) && later(l));
        let summed = of(&a, &|l| b.has(l) && !later(l));
        let (rows, columns) = (of(&a, &|l| !b.has(l)), of(&b, &|l| !a.has(l)));
        let x = if summed.is_empty() {
            a.grouped(sizes, &[&shared, &rows, &[]]) * b.grouped(sizes, &[&shared, &[], &columns])
        } else {
            a.grouped(sizes, &[&shared, &rows, &summed])
                .matmul(b.grouped(sizes, &[&shared, &summed, &columns]))
        };
        let labels = [shared, rows, columns].concat();
        let shape: Vec<usize> = labels.iter().map(|label| sizes[label]).collect();
        Named { x: x.reshape(shape), labels }
    }
}

/// The labels of every operand and of the result, and the size of each label.
type Plan = (Vec<Vec<Label>>, Vec<Label>, BTreeMap<Label, usize>);

fn plan(equation: &str, shapes: &[Shape]) -> Result<Plan, String> {
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (terms, result) = match equation.split_once("->") {
        Some((terms, result)) => (terms, Some(result)),
        None => (&equation[..], None),
    };
    let terms: Vec<&str> = terms.split(',').collect();
    if terms.len() != shapes.len() {
        return Err(format!("it names {} operands and was given {}", terms.len(), shapes.len()));
    }
    let (mut operands, mut sizes, mut most) = (Vec::new(), BTreeMap::new(), 0);
    for (term, shape) in terms.iter().zip(shapes) {
        let own = term.chars().filter(char::is_ascii_alphabetic).count();
        let unfit = || format!("`{term}` does not name the dimensions of {shape:?}");
        let dots = match term.contains("...") {
            true => shape.len().checked_sub(own).ok_or_else(unfit)?,
            false => 0,
        };
        most = most.max(dots);
        let labels = labels(term, dots)?;
        if labels.len() != shape.len() {
            return Err(unfit());
        }
        for (&label, &size) in labels.iter().zip(shape.iter()) {
            let known = sizes.entry(label).or_insert(size);
            let stretches = matches!(label, Label::Dots(_));
            match (*known == size, stretches) {
                (true, _) => {}
                (false, true) if *known == 1 => *known = size,
                (false, true) if size == 1 => {}
                _ => return Err(format!("a dimension is {known} in one operand and {size} in `{term}`")),
            }
        }
        operands.push(labels);
    }
    let result = match result {
        Some(result) => labels(result, most)?,
        None => {
            // What stands once, in order, behind what dots stand for.
            let all: Vec<Label> = operands.iter().flatten().copied().collect();
            let once = |label: &&Label| all.iter().filter(|l| l == label).count() == 1;
            let letters = sizes.keys().filter(|l| matches!(l, Label::Letter(_))).filter(once).copied();
            (0..most).rev().map(Label::Dots).chain(letters).collect()
        }
    };
    for (i, label) in result.iter().enumerate() {
        if !sizes.contains_key(label) || result[..i].contains(label) {
            return Err("the result names a dimension twice, or one that no operand has".into());
        }
    }
    Ok((operands, result, sizes))
}

impl Graph {
    /// The sum of products that `equation` says, in Einstein's notation: a letter for every dimension of every operand,
    /// then, after `->`, those of the result in order; dimensions that are not in the result are summed over. A letter that
    /// stands twice in an operand takes its diagonal. `...` stands for any further dimensions, which are broadcast. Without
    /// `->` the result has the letters that stand once, in alphabetical order. Operands are taken up from left to right, two
    /// at a time, each pair by one matrix product (or by a multiplication where nothing is summed).
    ///
    /// ```
    /// use synod_engine::{Device, Graph};
    /// # fn main() -> synod_engine::Result<()> {
    /// let g = Graph::new();
    /// let (a, b) = (g.input("a", [2, 3]), g.input("b", [4, 3]));
    /// let y = g.einsum("ik,jk->ji", &[a, b]);
    /// assert_eq!(y.shape()[..], [4, 2]);
    /// let mut program = Device::cpu().compile(&g, &[y])?;
    /// let outputs = program.run(&[("a", &[1.0f32; 6]), ("b", &[2.0f32; 12])])?;
    /// assert_eq!(outputs.f32(0), [6.0; 8]);
    /// # Ok(()) }
    /// ```
    pub fn einsum<'g>(&'g self, equation: &str, operands: &[Tensor<'g>]) -> Tensor<'g> {
        let fail = |message: String| self.fail(Error::Graph(format!("einsum `{equation}`: {message}")));
        if operands.iter().any(|x| x.dtype() != DType::F32) {
            return fail("takes f32 operands".into());
        }
        let shapes: Vec<Shape> = operands.iter().map(Tensor::shape).collect();
        let (named, result, sizes) = match plan(equation, &shapes) {
            Ok(plan) => plan,
            Err(message) => return fail(message),
        };
        let mut left: Vec<Named<'g>> =
            operands.iter().zip(named).map(|(&x, labels)| Named::new(x, labels, &sizes)).rev().collect();
        let Some(mut product) = left.pop() else { return fail("takes at least one operand".into()) };
        while let Some(next) = left.pop() {
            let later = |label: &Label| result.contains(label) || left.iter().any(|x| x.has(label));
            product = product.times(next, &sizes, later);
        }
        let product = product.sum_others(|label| result.contains(label));
        // A dimension of the result that only stretched ones have.
        let kept: Vec<Label> = result.iter().copied().filter(|label| product.has(label)).collect();
        let groups: Vec<&[Label]> = kept.iter().map(std::slice::from_ref).collect();
        let shape: Vec<usize> = result.iter().map(|label| sizes[label]).collect();
        product.grouped(&sizes, &groups).reshape(shape)
    }
}
