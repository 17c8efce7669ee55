//! Points on a plane: what worlds of particles and of vehicles share.

use super::drawing::Drawing;

/// A place, a velocity or a force.
pub(super) type Vector = [f64; 2];

/// How soft a contact is, as a length.
pub(super) const MARGIN: f64 = 1e-3;

#[inline]
pub(super) fn minus(a: Vector, b: Vector) -> Vector {
    [a[0] - b[0], a[1] - b[1]]
}

#[inline]
pub(super) fn squared(v: Vector) -> f64 {
    v[0] * v[0] + v[1] * v[1]
}

#[inline]
pub(super) fn length(v: Vector) -> f64 {
    squared(v).sqrt()
}

/// The force on a point that is so far `apart` from another, where contact begins at a distance of `least`: the soft
/// wall of the particle worlds (Lowe et al. 2017), `strength` times the penetration, which is smooth at its margin.
#[inline]
pub(super) fn repulsion(apart: Vector, least: f64, strength: f64) -> Option<Vector> {
    let distance = length(apart);
    let depth = (least - distance) / MARGIN;
    // The force falls as exp(depth): at -40 it is far below what an f64 beside 1 can hold.
    if depth < -40.0 || distance == 0.0 {
        return None;
    }
    let penetration = (depth.max(0.0) + (-depth.abs()).exp().ln_1p()) * MARGIN;
    Some(apart.map(|part| strength * part / distance * penetration))
}

/// Cells of a drawing in a unit of length: an agent is then about as large as on a grid.
const SCALE: f64 = 4.0;
/// What is further off than this is drawn here.
const FAR: f64 = 5.0;

/// Where a place is in a drawing.
pub(super) fn place(at: Vector) -> [f32; 2] {
    let along = |x: f64| (x.clamp(-FAR, FAR) * SCALE) as f32;
    [along(at[0]), along(-at[1])]
}

/// How long a length is in a drawing.
pub(super) fn scaled(length: f64) -> f32 {
    (length * SCALE) as f32
}

/// A drawing with its frame, which holds all marks and what is so near the middle.
pub(super) fn framed(mut drawing: Drawing, near: f64) -> Drawing {
    let near = scaled(near);
    let mut frame = [-near, -near, near, near];
    for mark in &drawing.marks {
        let [left, top, right, bottom] = mark.shape.bounds();
        frame[0] = frame[0].min(left - 0.2);
        frame[1] = frame[1].min(top - 0.2);
        frame[2] = frame[2].max(right + 0.2);
        frame[3] = frame[3].max(bottom + 0.2);
    }
    drawing.frame = frame;
    drawing
}
