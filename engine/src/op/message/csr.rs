//! Edges in compressed sparse rows, both by destination and by source.

use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor};
use crate::shape::MAXIMUM_ELEMENTS;

/// The edges of a directed graph, sorted by destination, and again by source for gradients. The order of edges with
/// equal ends is that in which they were given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Csr {
    /// `[destinations + 1]`: where the in-edges of every node start in `sources`.
    pub offsets: Vec<u32>,
    /// `[edges]`: where each edge comes from, sorted by destination.
    pub sources: Vec<u32>,
    /// `[sources + 1]`: where the out-edges of every node start in `destinations` and `edges`.
    pub transposed_offsets: Vec<u32>,
    /// `[edges]`: where each edge goes to, sorted by source.
    pub destinations: Vec<u32>,
    /// `[edges]`: which edge of `sources` each of `destinations` is.
    pub edges: Vec<u32>,
    /// `[edges]`: which of the given edges each of `sources` is. Values an edge (scores, masks) go in this order.
    pub order: Vec<u32>,
}

impl Csr {
    /// A graph of `nodes` nodes from `(source, destination)` pairs.
    ///
    /// # Errors
    /// An edge names a node that is not there, or there are more nodes or edges than a tensor may have elements
    /// ([`MAXIMUM_ELEMENTS`]).
    pub fn from_edges(nodes: usize, edges: &[(u32, u32)]) -> Result<Csr> {
        Csr::bipartite(nodes, nodes, edges)
    }

    /// As [`Csr::from_edges`], where messages go from one set of nodes to another.
    ///
    /// # Errors
    /// As there.
    pub fn bipartite(sources: usize, destinations: usize, edges: &[(u32, u32)]) -> Result<Csr> {
        for (what, count) in [("edges", edges.len()), ("sources", sources), ("destinations", destinations)] {
            // Offsets are one more than nodes.
            if count >= MAXIMUM_ELEMENTS {
                return Err(Error::Usage(format!("{count} {what} are not less than {MAXIMUM_ELEMENTS}")));
            }
        }
        let strange = |&&(s, d): &&(u32, u32)| s as usize >= sources || d as usize >= destinations;
        if let Some((source, destination)) = edges.iter().find(strange) {
            return Err(Error::Usage(format!(
                "an edge goes from {source} to {destination}, and there are {sources} sources and {destinations} \
                 destinations"
            )));
        }
        let (offsets, order) = sorted(destinations, edges.len(), |i| edges[i].1);
        let by_destination = |k: u32| edges[order[k as usize] as usize];
        let (transposed_offsets, transposed) = sorted(sources, edges.len(), |k| by_destination(k as u32).0);
        Ok(Csr {
            offsets,
            sources: order.iter().map(|&i| edges[i as usize].0).collect(),
            transposed_offsets,
            destinations: transposed.iter().map(|&k| by_destination(k).1).collect(),
            edges: transposed,
            order,
        })
    }

    /// Number of edges.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there are no edges.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The same edges with room for `edges`, so that graphs of several sizes fit one program.
    ///
    /// # Errors
    /// There are more edges than that, or that is more than a tensor may have elements.
    pub fn padded(mut self, edges: usize) -> Result<Csr> {
        if self.len() > edges || edges > MAXIMUM_ELEMENTS {
            return Err(Error::Usage(format!("{} edges do not fit into {edges}", self.len())));
        }
        for array in [&mut self.sources, &mut self.destinations, &mut self.edges, &mut self.order] {
            array.resize(edges, 0);
        }
        Ok(self)
    }
}

/// Indices sorted by a key below `keys` (counting sort, which keeps the order of equals), and where each key starts.
fn sorted(keys: usize, items: usize, key: impl Fn(usize) -> u32) -> (Vec<u32>, Vec<u32>) {
    let mut offsets = vec![0u32; keys + 1];
    (0..items).for_each(|i| offsets[key(i) as usize + 1] += 1);
    (0..keys).for_each(|k| offsets[k + 1] += offsets[k]);
    let mut next = offsets.clone();
    let mut order = vec![0; items];
    for i in 0..items {
        let at = &mut next[key(i) as usize];
        order[*at as usize] = i as u32;
        *at += 1;
    }
    (offsets, order)
}

/// The arrays of a [`Csr`] as tensors of a graph, with leading dimensions where every lane has a graph of its own.
///
/// The graph may change with every run: the arrays are ordinary tensors, and what lies behind the last offset is
/// never looked at. They must belong together, as those of [`Csr::from_edges`] do. An index out of range is an error
/// on the CPU; on a GPU it is clamped.
#[derive(Debug, Clone, Copy)]
pub struct Edges<'g> {
    /// u32 `[.., destinations + 1]`
    pub offsets: Tensor<'g>,
    /// u32 `[.., edges]`
    pub sources: Tensor<'g>,
    /// u32 `[.., sources + 1]`
    pub transposed_offsets: Tensor<'g>,
    /// u32 `[.., edges]`
    pub destinations: Tensor<'g>,
    /// u32 `[.., edges]`
    pub edges: Tensor<'g>,
}

impl<'g> Edges<'g> {
    /// Inputs `NAME.offsets`, `NAME.sources`, `NAME.transposed_offsets`, `NAME.destinations`, `NAME.edges` for graphs
    /// of `nodes` nodes and at most `edges` edges, with leading dimensions `lead`.
    pub fn input(g: &'g Graph, name: &str, lead: &[usize], nodes: usize, edges: usize) -> Edges<'g> {
        let input =
            |array: &str, size: usize| g.input_u32(&format!("{name}.{array}"), [lead, &[size]].concat());
        Edges {
            offsets: input("offsets", nodes.saturating_add(1)),
            sources: input("sources", edges),
            transposed_offsets: input("transposed_offsets", nodes.saturating_add(1)),
            destinations: input("destinations", edges),
            edges: input("edges", edges),
        }
    }

    /// A graph that never changes. It must have an edge, or room for one ([`Csr::padded`]).
    pub fn constant(g: &'g Graph, csr: &Csr) -> Edges<'g> {
        let array = |values: &[u32]| g.constant_u32([values.len()], values);
        Edges {
            offsets: array(&csr.offsets),
            sources: array(&csr.sources),
            transposed_offsets: array(&csr.transposed_offsets),
            destinations: array(&csr.destinations),
            edges: array(&csr.edges),
        }
    }

    /// The five arrays in the order in which ops take them.
    pub(super) fn arrays(&self) -> [Tensor<'g>; 5] {
        [self.offsets, self.sources, self.transposed_offsets, self.destinations, self.edges]
    }

    /// From operands in that order.
    pub(super) fn of(arrays: &[Tensor<'g>]) -> Edges<'g> {
        Edges {
            offsets: arrays[0],
            sources: arrays[1],
            transposed_offsets: arrays[2],
            destinations: arrays[3],
            edges: arrays[4],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_hold_the_same_edges() {
        let edges = [(2, 0), (0, 1), (2, 1), (1, 1), (0, 1), (3, 3)];
        let csr = Csr::from_edges(4, &edges).unwrap();
        assert_eq!(csr.offsets, [0, 1, 5, 5, 6]);
        assert_eq!(csr.sources, [2, 0, 2, 1, 0, 3]);
        assert_eq!(csr.order, [0, 1, 2, 3, 4, 5]);
        assert_eq!(csr.transposed_offsets, [0, 2, 3, 5, 6]);
        assert_eq!(csr.destinations, [1, 1, 1, 0, 1, 3]);
        assert_eq!(csr.edges, [1, 4, 3, 0, 2, 5]);
        assert!(Csr::from_edges(3, &edges).is_err());
        assert!(Csr::bipartite(4, 3, &edges).is_err());
        assert!(csr.padded(5).is_err());
    }
}
