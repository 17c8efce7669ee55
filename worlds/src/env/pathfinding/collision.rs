//! The collision rules: from positions and actions to the next positions. Ported from POGEMA 1.4.0's behaviour,
//! order included.

use super::config::Collision;
use super::plan::after;

const NONE: u32 = u32::MAX;

/// Memory of the rules.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Per cell: the first agent that claims it (`soft`), or its mark (`block_both`). Entries are set before use.
    cell: Vec<u32>,
    /// Per agent: the next agent that claims the same cell.
    next: Vec<u32>,
    /// Per agent: the cell that it claims.
    claim: Vec<u32>,
}

/// The cells of one world as a rule sees them.
pub(super) struct Board<'a> {
    pub blocked: &'a [bool],
    pub stride: usize,
    pub active: &'a [bool],
    pub positions: &'a mut [u32],
    /// 1 where an agent is seen, else 0.
    pub occupied: &'a mut [f32],
}

impl Scratch {
    /// Makes room. Cells are all without claim between two calls, so that worlds of any size can take turns.
    pub(super) fn fit(&mut self, cells: usize, agents: usize) {
        if self.cell.len() < cells {
            self.cell.resize(cells, NONE);
        }
        self.next.resize(agents, NONE);
        self.claim.resize(agents, 0);
    }

    /// Moves the active agents.
    pub(super) fn resolve(
        &mut self,
        rule: Collision,
        invisible_follower: bool,
        board: &mut Board,
        actions: &[u32],
    ) {
        match rule {
            Collision::Priority => priority(board, actions),
            Collision::BlockBoth => self.block_both(board, actions),
            Collision::Soft => self.soft(invisible_follower, board, actions),
        }
    }

    fn block_both(&mut self, board: &mut Board, actions: &[u32]) {
        const CLAIMED: u32 = 0;
        const BLOCKED: u32 = 1;
        for agent in 0..board.positions.len() {
            if board.active[agent] {
                let from = board.positions[agent] as usize;
                let to = after(from, actions[agent] as u8, board.stride);
                self.claim[agent] = to as u32;
                self.cell[to] = if self.cell[to] == NONE { CLAIMED } else { BLOCKED };
                self.cell[from] = BLOCKED;
            }
        }
        for agent in 0..board.positions.len() {
            if board.active[agent] {
                let (from, to) = (board.positions[agent] as usize, self.claim[agent] as usize);
                if self.cell[to] != BLOCKED && !board.blocked[to] && board.occupied[to] == 0.0 {
                    board.occupied[from] = 0.0;
                    board.occupied[to] = 1.0;
                    board.positions[agent] = to as u32;
                    // Remembered for the clean-up below: the cell it came from.
                    self.claim[agent] = from as u32;
                }
            }
        }
        for agent in 0..board.positions.len() {
            if board.active[agent] {
                self.cell[board.positions[agent] as usize] = NONE;
                self.cell[self.claim[agent] as usize] = NONE;
            }
        }
    }

    fn soft(&mut self, invisible_follower: bool, board: &mut Board, actions: &[u32]) {
        let agents = board.positions.len();
        for agent in 0..agents {
            if board.active[agent] {
                let to = after(board.positions[agent] as usize, actions[agent] as u8, board.stride);
                self.append(to, agent as u32);
            }
        }
        // Of two that swap, the lower index is sent back here; the other finds its cell taken below.
        for agent in 0..agents {
            if board.active[agent] {
                let (from, to) = (board.positions[agent], self.claim[agent]);
                if from != to {
                    let mut other = self.cell[from as usize];
                    while other != NONE && (other as usize <= agent || board.positions[other as usize] != to)
                    {
                        other = self.next[other as usize];
                    }
                    if other != NONE {
                        self.remove(to as usize, agent as u32);
                        self.append(from as usize, agent as u32);
                    }
                }
            }
        }
        for agent in (0..agents).rev() {
            if board.active[agent] {
                let to = self.claim[agent] as usize;
                let first = self.cell[to];
                let contested = self.next[first as usize] != NONE;
                if contested || board.blocked[to] {
                    self.send_back(agent as u32, board.positions);
                }
            }
        }
        // Claims are the new positions. Cleared before written, so that a follower is seen; the faulty order clears
        // a cell that a follower of lower index has just entered.
        if invisible_follower {
            for agent in 0..agents {
                if board.active[agent] {
                    let from = std::mem::replace(&mut board.positions[agent], self.claim[agent]);
                    board.occupied[from as usize] = 0.0;
                    board.occupied[self.claim[agent] as usize] = 1.0;
                }
            }
        } else {
            for agent in 0..agents {
                if board.active[agent] {
                    board.occupied[board.positions[agent] as usize] = 0.0;
                }
            }
            for agent in 0..agents {
                if board.active[agent] {
                    board.occupied[self.claim[agent] as usize] = 1.0;
                    board.positions[agent] = self.claim[agent];
                }
            }
        }
        // Cells that lost their claims have empty lists already.
        for agent in 0..agents {
            if board.active[agent] {
                self.cell[self.claim[agent] as usize] = NONE;
            }
        }
    }

    /// Gives up an agent's claim for its own cell; whoever was first to claim that is sent back in turn.
    fn send_back(&mut self, agent: u32, positions: &[u32]) {
        let mut agent = agent;
        loop {
            self.remove(self.claim[agent as usize] as usize, agent);
            let own = positions[agent as usize] as usize;
            let first = self.cell[own];
            self.append(own, agent);
            if first == NONE {
                return;
            }
            agent = first;
        }
    }

    fn append(&mut self, cell: usize, agent: u32) {
        self.claim[agent as usize] = cell as u32;
        self.next[agent as usize] = NONE;
        let mut last = self.cell[cell];
        if last == NONE {
            self.cell[cell] = agent;
            return;
        }
        while self.next[last as usize] != NONE {
            last = self.next[last as usize];
        }
        self.next[last as usize] = agent;
    }

    fn remove(&mut self, cell: usize, agent: u32) {
        let after = self.next[agent as usize];
        let mut at = self.cell[cell];
        if at == agent {
            self.cell[cell] = after;
            return;
        }
        while at != NONE {
            let next = self.next[at as usize];
            if next == agent {
                self.next[at as usize] = after;
                return;
            }
            at = next;
        }
    }
}

fn priority(board: &mut Board, actions: &[u32]) {
    for agent in 0..board.positions.len() {
        if board.active[agent] {
            let from = board.positions[agent] as usize;
            let to = after(from, actions[agent] as u8, board.stride);
            if !board.blocked[to] && board.occupied[to] == 0.0 {
                board.occupied[from] = 0.0;
                board.occupied[to] = 1.0;
                board.positions[agent] = to as u32;
            }
        }
    }
}
