//! What a body looks like from the side (Swimmer: from above): its geoms, the ground with a mark at every metre.

use super::rules::{Creature, MujocoRules};
use super::{Body, Partition};
use crate::env::Drawing;
use crate::env::drawing::{LINE, Role};

/// Cells of a picture in a metre.
const SCALE: f64 = 4.0;

/// Metres of a picture from left to right, from the ground down and from the ground up; for Swimmer from its torso.
fn window(body: Body) -> [f64; 3] {
    match body {
        Body::HalfCheetah => [4.0, 0.3, 1.7],
        Body::Ant => [4.0, 0.3, 1.9],
        Body::Humanoid => [3.2, 0.3, 2.1],
        Body::Hopper | Body::Walker2d => [3.2, 0.3, 1.9],
        Body::Swimmer => [6.0, 2.0, 2.0],
        Body::InvertedPendulum => [2.6, 0.4, 0.9],
    }
}

/// MuJoCo's kinds of geom that are drawn.
const SPHERE: i32 = 2;
const CAPSULE: i32 = 3;
const ELLIPSOID: i32 = 4;
const CYLINDER: i32 = 5;

/// Whose a part of a divided body is; the trunk is nobody's.
fn role(rules: &MujocoRules, body: usize) -> Role {
    let agent = match rules.config.partition {
        Partition::Whole => return Role::Agent(0),
        Partition::TwoByThree => body.checked_sub(2).map(|joint| joint / 3),
        Partition::SixByOne => body.checked_sub(2),
        Partition::FourByTwo => body.checked_sub(2).map(|link| link / 3),
    };
    agent.filter(|agent| *agent < rules.parts.len()).map_or(Role::Thing, Role::Agent)
}

/// The body as it is; `None` where MuJoCo cannot place it.
pub(super) fn draw(rules: &MujocoRules, creature: &Creature) -> Option<Drawing> {
    // Positions of geoms lag behind coordinates by a step.
    let mut data = creature.data.clone();
    data.place().ok()?;
    let model = data.model_of();
    let (kinds, bodies) = model.geom_kinds();
    let (places, turns) = data.geoms();
    let body = rules.config.body;
    let (from_above, [across, down, up]) = (body == Body::Swimmer, window(body));
    let torso = &data.frames()[3..6];
    let fixed = body == Body::InvertedPendulum;
    let middle = [if fixed { 0.0 } else { torso[0] }, if from_above { torso[1] } else { 0.0 }];
    let seen = |[x, y, z]: [f64; 3]| {
        let height = if from_above { y } else { z } - middle[1];
        // Everything stays in the picture, however high a body is thrown.
        let right = (x - middle[0] + across / 2.0).clamp(0.1, across - 0.1);
        [(SCALE * right) as f32, (SCALE * (up - height).clamp(0.1, up + down - 0.1)) as f32]
    };
    let mut drawing = Drawing::new((SCALE * across) as f32, (SCALE * (up + down)) as f32);
    if !from_above && !fixed {
        let ground = [0.0, (SCALE * up) as f32];
        drawing.rectangle(Role::Ground, ground, [(SCALE * across) as f32, (SCALE * down) as f32]);
    }
    // As many marks in every picture, so that each stays the mark of its metre for as long as it is seen.
    let marks = across.ceil() as i64;
    let first = (middle[0] - across / 2.0).ceil() as i64;
    for k in 0..marks {
        let metre = (first..first + marks).find(|metre| metre.rem_euclid(marks) == k).unwrap_or(first);
        let right = (metre as f64 - middle[0] + across / 2.0).clamp(0.0, across);
        let at = |height: f64| [(SCALE * right) as f32, (SCALE * height) as f32];
        let ends = if from_above { [0.05, up + down - 0.05] } else { [up + 0.05, up + down - 0.05] };
        *drawing.line(Role::Thing, at(ends[0]), at(ends[1]), LINE) = 0.5;
    }
    let mut placed = vec![false; rules.parts.len()];
    for (geom, kind) in kinds.iter().enumerate() {
        let [place, size] = [places, model.geom_sizes()].map(|all| &all[3 * geom..3 * geom + 3]);
        let turn = &turns[9 * geom..9 * geom + 9];
        let owner = usize::try_from(bodies[geom]).unwrap_or(0);
        let role = if owner == 0 { Role::Thing } else { role(rules, owner) };
        let radius = (SCALE * size[0]) as f32;
        let end = |to: f64| {
            // A capsule lies along its own third axis.
            let along = to * size[1];
            seen([place[0] + along * turn[2], place[1] + along * turn[5], place[2] + along * turn[8]])
        };
        // What lies behind the torso is paler.
        let behind = !from_above && place[1] > torso[1] + 0.02;
        let opacity = if behind { 0.55 } else { 1.0 };
        let middle = seen([place[0], place[1], place[2]]);
        match *kind {
            CAPSULE | CYLINDER => *drawing.line(role, end(-1.0), end(1.0), 2.0 * radius) = opacity,
            SPHERE | ELLIPSOID => *drawing.disc(role, middle, radius) = opacity,
            _ => continue,
        }
        if let Role::Agent(agent) = role
            && !std::mem::replace(&mut placed[agent], true)
            && [CAPSULE, CYLINDER].contains(kind)
        {
            // Where the agent is, for what is drawn beside it.
            drawing.disc(role, middle, radius);
        }
    }
    let at = creature.moving()[0];
    drawing.note = match creature.goal() {
        0.0 => format!("x {at:+.1} m"),
        goal => format!("x {at:+.1} m, goal {goal:+.1}"),
    };
    Some(drawing)
}
