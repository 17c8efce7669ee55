//! Scenes as drawings.

use super::mechanics::{Body, Mechanics, Pose, Scene, Shape};
use crate::env::drawing::{Drawing, Role};
use crate::env::plane::{Vector, framed, place, scaled};

/// The smallest radius at which an agent can still be seen.
const SMALLEST: f64 = 0.05;

/// Goals as rings, bodies as they are; agents on top as discs with a line ahead where they can turn. So much about the
/// middle is always seen.
pub(super) fn scene<const L: usize>(
    scene: &Scene,
    mechanics: &Mechanics<L>,
    goal_radius: f64,
    near: f64,
) -> Drawing {
    let mut drawing = Drawing::default();
    for (number, goal) in scene.goals.iter().enumerate() {
        let role = if scene.goals.len() == scene.agents.len() { Role::Agent(number) } else { Role::Goal };
        drawing.ring(role, place(*goal), scaled(goal_radius), 0.0);
    }
    for (body, pose) in mechanics.landmarks.iter().zip(&scene.landmarks) {
        landmark(&mut drawing, body, pose);
    }
    let along = |pose: &Pose, far: f64| {
        let axis = pose.axis();
        [0, 1].map(|i| pose.position[i] + far * axis[i])
    };
    for (number, pose) in scene.agents.iter().enumerate() {
        let radius = match mechanics.agent.shape {
            Shape::Sphere(radius) => radius,
            Shape::Line(long) | Shape::Box(long, _) => long / 2.0,
        };
        let radius = radius.max(SMALLEST);
        drawing.disc(Role::Agent(number), place(pose.position), scaled(radius));
        if mechanics.agent.rotatable {
            drawing.line(Role::Ink, place(pose.position), place(along(pose, 1.5 * radius)), 0.1);
        }
    }
    framed(drawing, near)
}

fn landmark(drawing: &mut Drawing, body: &Body, pose: &Pose) {
    let axis = pose.axis();
    let at = |ahead: f64, left: f64| -> Vector {
        [
            pose.position[0] + ahead * axis[0] - left * axis[1],
            pose.position[1] + ahead * axis[1] + left * axis[0],
        ]
    };
    let role = if body.movable || body.rotatable { Role::Thing } else { Role::Wall };
    match body.shape {
        Shape::Sphere(radius) => {
            drawing.disc(role, place(pose.position), scaled(radius));
        }
        Shape::Line(long) => {
            drawing.line(role, place(at(long / 2.0, 0.0)), place(at(-long / 2.0, 0.0)), 0.1);
        }
        Shape::Box(long, wide) => {
            let corners = [(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (-1.0, 1.0)]
                .map(|(a, l)| place(at(a * long / 2.0, l * wide / 2.0)));
            for (from, to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
                drawing.line(role, *from, *to, 0.1);
            }
        }
    }
}
