//! A binary tree of sums, to draw from many items by weight (Schaul et al. 2016, appendix B.2.1).

/// Weights of items. Every inner node is the sum of its two children, computed anew from them whenever one changes, so
/// that the tree depends on the weights alone and not on the order in which they were set.
#[derive(Debug, Clone)]
pub(super) struct SumTree {
    /// Node 1 is the root, node `i` has the children `2 i` and `2 i + 1`.
    nodes: Vec<f64>,
    leaves: usize,
    items: usize,
}

impl SumTree {
    /// So many items of weight 0.
    pub fn new(items: usize) -> Self {
        let leaves = items.max(1).next_power_of_two();
        SumTree { nodes: vec![0.0; 2 * leaves], leaves, items }
    }

    pub fn set(&mut self, item: usize, weight: f64) {
        let mut node = self.leaves + item;
        self.nodes[node] = weight;
        while node > 1 {
            node /= 2;
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1];
        }
    }

    pub fn get(&self, item: usize) -> f64 {
        self.nodes[self.leaves + item]
    }

    pub fn total(&self) -> f64 {
        self.nodes[1]
    }

    /// The item that `point`, in `0..total`, falls on; never one of weight 0 while another has some.
    pub fn find(&self, mut point: f64) -> usize {
        let mut node = 1;
        while node < self.leaves {
            let (left, right) = (self.nodes[2 * node], self.nodes[2 * node + 1]);
            // Rounding may leave a point at the very end of a subtree.
            if point < left || right <= 0.0 {
                node *= 2;
            } else {
                point -= left;
                node = 2 * node + 1;
            }
        }
        node - self.leaves
    }

    /// The weights of all items.
    pub fn weights(&self) -> &[f64] {
        &self.nodes[self.leaves..self.leaves + self.items]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::initial::Stream;

    #[test]
    fn items_are_found_by_their_share() {
        let weights = [0.0, 3.0, 0.0, 1.0, 2.0, 0.0, 4.0];
        let mut tree = SumTree::new(weights.len());
        for i in [6, 0, 3, 1, 5, 4, 2] {
            tree.set(i, 7.0);
            tree.set(i, weights[i]);
        }
        assert_eq!(tree.weights(), weights);
        assert_eq!(tree.total(), 10.0);
        let mut stream = Stream::new(5);
        let mut counts = [0usize; 7];
        for _ in 0..100_000 {
            counts[tree.find(stream.uniform() * tree.total())] += 1;
        }
        for (count, weight) in counts.iter().zip(weights) {
            assert!((*count as f64 / 1e4 - weight).abs() < 0.1, "{counts:?}");
        }
        assert_eq!((tree.find(0.0), tree.find(10.0), tree.find(1e9)), (1, 6, 6));
    }
}
