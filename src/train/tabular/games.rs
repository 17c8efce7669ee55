//! Solutions of games between two: what minimax-Q and Nash-Q make of the values of a state.

use microlp::{ComparisonOp, LinearExpr, OptimizationDirection, Problem, Variable};

/// What each pair of actions pays to one of the two.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Payoffs {
    /// Actions of the one that is paid.
    pub own: usize,
    /// Actions of the other.
    pub other: usize,
    /// `[own, other]`.
    pub pays: Vec<f64>,
}

/// Probabilities of one's actions, and what one is paid on average.
pub(super) type Strategy = (Vec<f64>, f64);

impl Payoffs {
    fn at(&self, own: usize, other: usize) -> f64 {
        self.pays[own * self.other + other]
    }

    /// The same game in units in which it pays from 0 to 1, with the least payment and the unit; `None` for payments
    /// that are not finite.
    fn scaled(&self) -> Option<(Payoffs, f64, f64)> {
        let least = self.pays.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.pays.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let unit = if most > least { most - least } else { 1.0 };
        let finite = unit.is_finite() && self.pays.iter().all(|pay| pay.is_finite());
        finite.then(|| {
            let pays = self.pays.iter().map(|pay| (pay - least) / unit).collect();
            (Payoffs { pays, ..*self }, least, unit)
        })
    }

    /// What is paid on average for these probabilities of actions.
    fn mean(&self, own: &[f64], other: &[f64]) -> f64 {
        let row = |i: usize| other.iter().enumerate().map(|(j, q)| q * self.at(i, j)).sum::<f64>();
        own.iter().enumerate().map(|(i, p)| p * row(i)).sum()
    }
}

/// Probabilities of `count` actions, as variables of a linear program in which they sum to 1.
fn probabilities(program: &mut Problem, count: usize, open: impl Fn(usize) -> bool) -> Vec<Variable> {
    let bounds = |i: usize| if open(i) { (0.0, 1.0) } else { (0.0, 0.0) };
    let all: Vec<Variable> = (0..count).map(|i| program.add_var(0.0, bounds(i))).collect();
    let one: Vec<(Variable, f64)> = all.iter().map(|p| (*p, 1.0)).collect();
    program.add_constraint(&one[..], ComparisonOp::Eq, 1.0);
    all
}

/// The values of these variables in the program's solution, rounding of probabilities taken off.
fn solved(program: &Problem, all: &[Variable]) -> Option<Vec<f64>> {
    let solution = program.solve().ok()?.into_solution().ok()?;
    let values: Vec<f64> = all.iter().map(|p| solution.var_value(*p).clamp(0.0, 1.0)).collect();
    let sum: f64 = values.iter().sum();
    (sum > 0.5).then(|| values.iter().map(|p| p / sum).collect())
}

/// The strategy that is paid most whatever the other does, and what that is (Littman 1994, figure 1): the largest `v`
/// with
/// `sum_a p(a) pays(a, o) >= v` for all actions `o` of the other. `None` where the linear program has no solution.
pub(super) fn minimax(game: &Payoffs) -> Option<Strategy> {
    let (scaled, least, unit) = game.scaled()?;
    let mut program = Problem::new(OptimizationDirection::Maximize);
    let own = probabilities(&mut program, game.own, |_| true);
    let value = program.add_var(1.0, (0.0, 1.0));
    for other in 0..game.other {
        let mut paid: LinearExpr = LinearExpr::empty();
        own.iter().enumerate().for_each(|(i, p)| paid.add(*p, scaled.at(i, other)));
        paid.add(value, -1.0);
        program.add_constraint(paid, ComparisonOp::Ge, 0.0);
    }
    let strategy = solved(&program, &own)?;
    let against = |other: usize| strategy.iter().enumerate().map(|(i, p)| p * scaled.at(i, other)).sum();
    let worst = (0..game.other).map(against).fold(f64::INFINITY, f64::min);
    Some((strategy, least + unit * worst))
}

/// An equilibrium of two that are paid each by a game of its own; `second` has the second's actions first. Of those in
/// which both are sure of what they do, it is the one that pays the two together most; without one, the first that is
/// found when the numbers of actions in use grow. `None` where none is found.
///
/// Sets of actions in use are gone through (Nisan et al. 2007, "Algorithmic Game Theory", algorithm 3.4), and a linear
/// program says whether the other can make just these the best.
pub(super) fn nash(first: &Payoffs, second: &Payoffs) -> Option<[Strategy; 2]> {
    let (a, b) = (first.scaled()?.0, second.scaled()?.0);
    let sure = |i: usize, j: usize| {
        (0..first.own).all(|other| first.at(i, j) >= first.at(other, j))
            && (0..second.own).all(|other| second.at(j, i) >= second.at(other, i))
    };
    let mut best: Option<(f64, usize, usize)> = None;
    for (i, j) in (0..first.own).flat_map(|i| (0..second.own).map(move |j| (i, j))) {
        let sum = first.at(i, j) + second.at(j, i);
        if sure(i, j) && best.is_none_or(|(most, ..)| sum > most) {
            best = Some((sum, i, j));
        }
    }
    let of = |count: usize, at: usize| (0..count).map(|i| f64::from(u8::from(i == at))).collect::<Vec<_>>();
    let both = match best {
        Some((_, i, j)) => Some([of(first.own, i), of(second.own, j)]),
        None => sets(first.own, second.own).into_iter().find_map(|[own, other]| {
            // Each one's probabilities are what makes the other's set the best.
            let strategy = indifferent(&b, other, own)?;
            Some([strategy, indifferent(&a, own, other)?])
        }),
    };
    let [own, other] = both?;
    let values = [first.mean(&own, &other), second.mean(&other, &own)];
    Some([(own, values[0]), (other, values[1])])
}

/// Pairs of sets of actions as bits, none of them empty, those of few actions first.
fn sets(own: usize, other: usize) -> Vec<[u32; 2]> {
    let mut all: Vec<[u32; 2]> =
        (1..1u32 << own).flat_map(|i| (1..1u32 << other).map(move |j| [i, j])).collect();
    all.sort_by_key(|pair| pair[0].count_ones() + pair[1].count_ones());
    all
}

/// Probabilities of the other's actions, of the set `other` alone, for which all actions of the set `own` are best.
fn indifferent(game: &Payoffs, own: u32, other: u32) -> Option<Vec<f64>> {
    let mut program = Problem::new(OptimizationDirection::Maximize);
    let strategy = probabilities(&mut program, game.other, |j| other >> j & 1 == 1);
    let value = program.add_var(0.0, (0.0, 1.0));
    for i in 0..game.own {
        let mut less = LinearExpr::empty();
        less.add(value, 1.0);
        strategy.iter().enumerate().for_each(|(j, q)| less.add(*q, -game.at(i, j)));
        let compare = if own >> i & 1 == 1 { ComparisonOp::Eq } else { ComparisonOp::Ge };
        program.add_constraint(less, compare, 0.0);
    }
    solved(&program, &strategy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn game<const N: usize>(rows: &[[f64; N]]) -> Payoffs {
        Payoffs { own: rows.len(), other: N, pays: rows.concat() }
    }

    fn near(found: &Strategy, strategy: &[f64], value: f64) {
        assert!((found.1 - value).abs() < 1e-6, "{found:?}, not {value}");
        assert!(
            found.0.iter().zip(strategy).all(|(a, b)| (a - b).abs() < 1e-6),
            "{found:?}, not {strategy:?}"
        );
        assert_eq!(found.0.len(), strategy.len());
    }

    /// Games that textbooks solve by hand.
    #[test]
    fn minimax_solves_games_of_two_that_are_known() {
        near(&minimax(&game(&[[1.0, -1.0], [-1.0, 1.0]])).unwrap(), &[0.5, 0.5], 0.0);
        let scissors = game(&[[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]);
        near(&minimax(&scissors).unwrap(), &[1.0 / 3.0; 3], 0.0);
        // 3p + (1 - p) * -1 = -2p + 4 (1 - p): p = 1/2, worth 1.
        near(&minimax(&game(&[[3.0, -2.0], [-1.0, 4.0]])).unwrap(), &[0.5, 0.5], 1.0);
        // A saddle: the second row is never worse than 2, and the second column never more.
        near(
            &minimax(&game(&[[4.0, 1.0, 8.0], [2.0, 3.0, 9.0], [0.0, 1.0, 7.0]])).unwrap(),
            &[0.25, 0.75, 0.0],
            2.5,
        );
        near(&minimax(&game(&[[1.0, 0.0], [5.0, 2.0]])).unwrap(), &[0.0, 1.0], 2.0);
        // A column more than rows: only two of three matter. p: 1 -> 0, 3; 2 -> 4, 1: 4(1-p)=... at p = 1/2: 2.
        near(&minimax(&game(&[[0.0, 3.0, 5.0], [4.0, 1.0, 6.0]])).unwrap(), &[0.5, 0.5], 2.0);
        // Any strategy will do where all is the same, also far from 1.
        assert!((minimax(&game(&[[-7e6, -7e6]])).unwrap().1 + 7e6).abs() < 1e-6);
    }

    #[test]
    fn games_of_numbers_that_are_none_have_no_solution() {
        for pay in [f64::NAN, f64::INFINITY] {
            let broken = game(&[[1.0, pay], [0.0, 1.0]]);
            assert_eq!(minimax(&broken), None);
            assert_eq!(nash(&broken, &game(&[[1.0, 0.0], [0.0, 1.0]])), None);
        }
    }

    #[test]
    fn nash_finds_equilibria_that_are_known() {
        let of = |first: &Payoffs, second: &Payoffs, own: (&[f64], f64), other: (&[f64], f64)| {
            let [a, b] = nash(first, second).unwrap();
            near(&a, own.0, own.1);
            near(&b, other.0, other.1);
        };
        // The prisoners' dilemma.
        let dilemma = game(&[[3.0, 0.0], [5.0, 1.0]]);
        of(&dilemma, &dilemma, (&[0.0, 1.0], 1.0), (&[0.0, 1.0], 1.0));
        // A hunt: of two sure equilibria the one that pays more.
        let hunt = game(&[[3.0, 3.0], [0.0, 5.0]]);
        of(&hunt, &hunt, (&[0.0, 1.0], 5.0), (&[0.0, 1.0], 5.0));
        // An inspection: without a sure one; each makes the other's actions pay alike. Second: -4p + 0(1-p) = -1: p =
        // 1/4 of the first; first: 2q - 1 = 0: q = 1/2 of the second.
        let inspector = game(&[[1.0, -1.0], [0.0, 0.0]]);
        let worker = game(&[[-4.0, 0.0], [-1.0, -1.0]]);
        of(&inspector, &worker, (&[0.25, 0.75], 0.0), (&[0.5, 0.5], -1.0));
        // Scissors, paper, stone needs all three of each; a fourth action that only loses is left alone.
        let own = game(&[[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0], [-2.0, -2.0, -2.0]]);
        let other = game(&[[0.0, -1.0, 1.0, 2.0], [1.0, 0.0, -1.0, 2.0], [-1.0, 1.0, 0.0, 2.0]]);
        let third = 1.0 / 3.0;
        of(&own, &other, (&[third, third, third, 0.0], 0.0), (&[third; 3], 0.0));
    }
}
