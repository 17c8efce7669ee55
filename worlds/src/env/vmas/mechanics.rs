//! Bodies that are pushed and touch each other, as VMAS moves them: what all its worlds share.

use crate::env::pathfinding::Pcg64;
use crate::env::plane::{Vector, length, minus, repulsion};
use crate::env::vectorised::Codec;
use crate::error::Result;

/// Contacts with lines and boxes begin so far before the surfaces meet.
const LINE_MARGIN: f64 = 1.0 / 150.0;

/// What a body looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    Sphere(f64),
    /// Its length.
    Line(f64),
    /// Length along its own axis, and width.
    Box(f64, f64),
}

impl Shape {
    /// The radius of the circle about it.
    fn reach(self) -> f64 {
        match self {
            Shape::Sphere(radius) => radius,
            Shape::Line(long) => long / 2.0,
            Shape::Box(long, wide) => (long * long + wide * wide).sqrt() / 2.0,
        }
    }
}

/// What a body is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body {
    pub shape: Shape,
    pub mass: f64,
    pub movable: bool,
    pub rotatable: bool,
    pub collides: bool,
    /// Of a mass of 1 on the ground.
    pub friction: f64,
    /// The most force of its own along an axis.
    pub most_force: f64,
    pub most_speed: f64,
    /// The most speed along an axis.
    pub most_velocity: f64,
}

impl Body {
    /// A movable body of mass 1 that touches others and has no limits.
    pub const fn new(shape: Shape) -> Self {
        Body {
            shape,
            mass: 1.0,
            movable: true,
            rotatable: false,
            collides: true,
            friction: 0.0,
            most_force: f64::INFINITY,
            most_speed: f64::INFINITY,
            most_velocity: f64::INFINITY,
        }
    }

    /// How hard it is to turn. A line counts as one of twelve parts of its mass.
    pub fn inertia(&self) -> f64 {
        let of = match self.shape {
            Shape::Sphere(radius) => radius * radius / 2.0,
            Shape::Line(long) => long * long / 12.0,
            Shape::Box(long, wide) => (long * long + wide * wide) / 12.0,
        };
        self.mass * of
    }
}

/// Where a body is and how it moves.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pose {
    /// Its middle.
    pub position: [f64; 2],
    /// Per second.
    pub velocity: [f64; 2],
    /// In radians, anticlockwise.
    pub rotation: f64,
    /// Radians per second.
    pub spin: f64,
}

impl Pose {
    pub(super) fn at(position: Vector) -> Self {
        Pose { position, ..Pose::default() }
    }

    /// The direction of its own axis.
    pub(super) fn axis(&self) -> Vector {
        [self.rotation.cos(), self.rotation.sin()]
    }

    fn visit(&mut self, codec: &mut Codec) -> Result<()> {
        codec.all(&mut self.position)?;
        codec.all(&mut self.velocity)?;
        codec.one(&mut self.rotation)?;
        codec.one(&mut self.spin)
    }

    fn is_near(&self) -> bool {
        let parts = [self.position, self.velocity, [self.rotation, self.spin]];
        parts.iter().flatten().all(|part| part.abs() < 1e9)
    }
}

/// A world of bodies between two steps.
#[derive(Debug, Clone)]
pub struct Scene {
    pub(super) agents: Vec<Pose>,
    pub(super) landmarks: Vec<Pose>,
    /// Where agents, or what they push, are to go.
    pub(super) goals: Vec<Vector>,
    /// What a controller of an agent remembers: the sum of errors, and the last one.
    pub(super) errors: Vec<[Vector; 2]>,
    /// What reports are made of.
    pub(super) counts: [f64; 2],
    /// The agents' own force and torque in a step; nothing in it outlasts one.
    pub(super) efforts: Vec<(Vector, f64)>,
    /// All forces and torques in a part of a step, agents first.
    totals: Vec<(Vector, f64)>,
}

impl Scene {
    pub(super) fn blank(agents: usize, landmarks: usize, goals: usize) -> Self {
        Scene {
            agents: vec![Pose::default(); agents],
            landmarks: vec![Pose::default(); landmarks],
            goals: vec![[0.0; 2]; goals],
            errors: Vec::new(),
            counts: [0.0; 2],
            efforts: vec![([0.0; 2], 0.0); agents],
            totals: vec![([0.0; 2], 0.0); agents + landmarks],
        }
    }

    /// The agents.
    pub fn agents(&self) -> &[Pose] {
        &self.agents
    }

    /// All that is there besides: packages, lines, walls.
    pub fn landmarks(&self) -> &[Pose] {
        &self.landmarks
    }

    /// Where agents, or what they push, are to go.
    pub fn goals(&self) -> &[[f64; 2]] {
        &self.goals
    }

    /// Sets an agent, a landmark or a goal to a place; those that there are not are passed over, and so is what is not
    /// finite.
    pub fn put(&mut self, agents: &[Pose], landmarks: &[Pose], goals: &[[f64; 2]]) {
        let pairs = self.agents.iter_mut().zip(agents).chain(self.landmarks.iter_mut().zip(landmarks));
        pairs.filter(|(_, new)| new.is_near()).for_each(|(old, new)| *old = *new);
        let finite = |goal: &[f64; 2]| goal.iter().all(|part| part.abs() < 1e9);
        self.goals.iter_mut().zip(goals).filter(|(_, new)| finite(new)).for_each(|(old, new)| *old = *new);
    }

    /// Draws a place within `reach` of the middle on both axes that is as far as `apart` from all `others`; the last of
    /// many that were tried where there is none.
    pub(super) fn draw(reach: f64, apart: f64, others: &[Vector], random: &mut Pcg64) -> Vector {
        let mut place = [0.0; 2];
        for _ in 0..10_000 {
            place = [0; 2].map(|_| reach * (2.0 * random.double() - 1.0));
            if others.iter().all(|other| length(minus(place, *other)) >= apart) {
                break;
            }
        }
        place
    }

    /// Draws places of agents and then of their goals, where each has one; nothing moves and nothing has been counted.
    pub(super) fn scatter(&mut self, reach: f64, apart: f64, random: &mut Pcg64) {
        let agents = self.agents.len();
        let count = if self.goals.len() == agents { 2 * agents } else { agents };
        let mut places = Vec::with_capacity(count);
        for number in 0..count {
            let place = Scene::draw(reach, apart, &places, random);
            match number.checked_sub(agents) {
                None => self.agents[number] = Pose::at(place),
                Some(goal) => self.goals[goal] = place,
            }
            places.push(place);
        }
        self.counts = [0.0; 2];
    }

    /// How far an agent is from a goal.
    pub(super) fn to_goal(&self, agent: usize, goal: usize) -> f64 {
        length(minus(self.agents[agent].position, self.goals[goal]))
    }

    pub(super) fn visit(&mut self, codec: &mut Codec) -> Result<()> {
        self.agents.iter_mut().chain(&mut self.landmarks).try_for_each(|pose| pose.visit(codec))?;
        self.goals.iter_mut().chain(self.errors.iter_mut().flatten()).try_for_each(|v| codec.all(v))?;
        codec.all(&mut self.counts)
    }

    /// Whether nothing is so far off that a step could overflow.
    pub(super) fn valid(&self) -> bool {
        let vectors = self.goals.iter().chain(self.errors.iter().flatten());
        self.agents.iter().chain(&self.landmarks).all(Pose::is_near)
            && vectors.flatten().all(|part| part.abs() < 1e9)
            && self.counts.iter().all(|count| count.abs() < 1e30)
    }
}

/// The agents' body, those of the landmarks, and the medium that they are in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mechanics<const L: usize> {
    pub agent: Body,
    pub landmarks: [Body; L],
    /// Of a step.
    pub seconds: f64,
    /// The parts in which a step is made.
    pub parts: usize,
    /// The part of a velocity that a step takes.
    pub drag: f64,
    /// Of contacts.
    pub strength: f64,
    /// How far from the middle a body can get along each axis.
    pub reach: Vector,
}

impl<const L: usize> Mechanics<L> {
    /// VMAS's defaults: steps of .1 s in one part, a drag of .25, contacts of strength 100, no bounds.
    pub const fn new(agent: Body, landmarks: [Body; L]) -> Self {
        let reach = [f64::INFINITY; 2];
        Mechanics { agent, landmarks, seconds: 0.1, parts: 1, drag: 0.25, strength: 100.0, reach }
    }

    /// One step by the agents' efforts.
    pub fn advance(&self, scene: &mut Scene) {
        let agents = scene.agents.len();
        for part in 0..self.parts {
            let span = self.seconds / self.parts as f64;
            for (agent, (force, torque)) in scene.efforts.iter().enumerate() {
                let most = self.agent.most_force;
                let own = force.map(|along| along.clamp(-most, most));
                let rub = rubbing(&self.agent, scene.agents[agent].velocity, span);
                scene.totals[agent] = ([own[0] + rub[0], own[1] + rub[1]], *torque);
            }
            for (total, (body, pose)) in
                scene.totals[agents..].iter_mut().zip(self.landmarks.iter().zip(&scene.landmarks))
            {
                *total = (rubbing(body, pose.velocity, span), 0.0);
            }
            self.touch(scene);
            let bodies = std::iter::repeat_n(&self.agent, agents).chain(&self.landmarks);
            let poses = scene.agents.iter_mut().chain(&mut scene.landmarks);
            for ((body, pose), (force, torque)) in bodies.zip(poses).zip(&scene.totals) {
                self.carry(body, pose, *force, *torque, span, part == 0);
            }
        }
    }

    /// Forces of all contacts: of agents with each other and with landmarks.
    fn touch(&self, scene: &mut Scene) {
        let agents = scene.agents.len();
        if !self.agent.collides {
            return;
        }
        for a in 0..agents {
            for b in a + 1..agents {
                let (first, second) = (&scene.agents[a], &scene.agents[b]);
                if let Some((force, _)) = self.contact(&self.agent, first, &self.agent, second) {
                    add(&mut scene.totals[a].0, force, 1.0);
                    add(&mut scene.totals[b].0, force, -1.0);
                }
            }
            for (b, body) in self.landmarks.iter().enumerate().filter(|(_, body)| body.collides) {
                let other = &scene.landmarks[b];
                if let Some((force, point)) = self.contact(&self.agent, &scene.agents[a], body, other) {
                    let arm = minus(point, other.position);
                    add(&mut scene.totals[a].0, force, 1.0);
                    let (total, torque) = &mut scene.totals[agents + b];
                    add(total, force, -1.0);
                    *torque -= arm[0] * force[1] - arm[1] * force[0];
                }
            }
        }
    }

    /// The force on a sphere that touches a body, and where. What no sphere touches has none.
    fn contact(&self, body: &Body, pose: &Pose, other: &Body, at: &Pose) -> Option<(Vector, Vector)> {
        let Shape::Sphere(radius) = body.shape else { return None };
        let from = pose.position;
        // Beyond the circles about both the margins of lines and boxes do not count.
        if length(minus(from, at.position)) > radius + other.shape.reach() {
            return None;
        }
        let (point, nearest, least) = match other.shape {
            Shape::Sphere(size) => (at.position, at.position, radius + size),
            Shape::Line(long) => {
                let point = nearest_on_line(at.position, at.axis(), long, from);
                (point, point, radius + LINE_MARGIN)
            }
            Shape::Box(..) => {
                let nearest = nearest_on_box(other.shape, at, from);
                let (ahead, inward) = (minus(nearest, from), minus(at.position, nearest));
                let far = length(ahead);
                let deep = if far > 0.0 { (ahead[0] * inward[0] + ahead[1] * inward[1]) / far } else { 0.0 };
                let along = if far > 0.0 { ahead.map(|part| part / far * deep) } else { [0.0; 2] };
                let point = [nearest[0] + along[0], nearest[1] + along[1]];
                (point, nearest, radius + LINE_MARGIN + deep.abs())
            }
        };
        let apart = minus(from, point);
        let distance = length(apart);
        if !(1e-6..=least).contains(&distance) {
            return None;
        }
        repulsion(apart, least, self.strength).map(|force| (force, nearest))
    }

    /// Moves and turns one body.
    fn carry(&self, body: &Body, pose: &mut Pose, force: Vector, torque: f64, span: f64, first: bool) {
        let kept = if first { 1.0 - self.drag } else { 1.0 };
        if body.movable {
            for axis in 0..2 {
                pose.velocity[axis] = pose.velocity[axis] * kept + force[axis] / body.mass * span;
            }
            let speed = length(pose.velocity);
            if speed > body.most_speed {
                pose.velocity = pose.velocity.map(|part| part / speed * body.most_speed);
            }
            for axis in 0..2 {
                let most = body.most_velocity;
                pose.velocity[axis] = pose.velocity[axis].clamp(-most, most);
                let to = pose.position[axis] + pose.velocity[axis] * span;
                pose.position[axis] = to.clamp(-self.reach[axis], self.reach[axis]);
            }
        }
        if body.rotatable {
            pose.spin = pose.spin * kept + torque / body.inertia() * span;
            pose.rotation += pose.spin * span;
        }
    }
}

fn add(to: &mut Vector, force: Vector, sign: f64) {
    to[0] += sign * force[0];
    to[1] += sign * force[1];
}

/// Friction with the ground: it stops a body at most.
fn rubbing(body: &Body, velocity: Vector, span: f64) -> Vector {
    let speed = length(velocity);
    if body.friction == 0.0 || speed == 0.0 {
        return [0.0; 2];
    }
    let most = body.friction * body.mass;
    velocity.map(|along| -along / speed * most.min(along.abs() / span * body.mass))
}

/// The point of a line nearest to another.
fn nearest_on_line(middle: Vector, axis: Vector, long: f64, to: Vector) -> Vector {
    let off = minus(to, middle);
    let along = (off[0] * axis[0] + off[1] * axis[1]).clamp(-long / 2.0, long / 2.0);
    [middle[0] + along * axis[0], middle[1] + along * axis[1]]
}

/// The point of a box's outline nearest to another, also from inside.
pub(super) fn nearest_on_box(shape: Shape, pose: &Pose, to: Vector) -> Vector {
    let Shape::Box(long, wide) = shape else { return pose.position };
    let axis = pose.axis();
    let across = [-axis[1], axis[0]];
    let mut best = (f64::INFINITY, pose.position);
    for (out, half, along, side) in [(axis, long / 2.0, across, wide), (across, wide / 2.0, axis, long)] {
        for sign in [1.0, -1.0] {
            let middle = [0, 1].map(|i| pose.position[i] + sign * half * out[i]);
            let point = nearest_on_line(middle, along, side, to);
            let far = length(minus(point, to));
            if far < best.0 {
                best = (far, point);
            }
        }
    }
    best.1
}

/// Whether a sphere overlaps a box, by VMAS's measure.
pub(super) fn sphere_on_box(radius: f64, centre: Vector, shape: Shape, pose: &Pose) -> bool {
    let surface = nearest_on_box(shape, pose, centre);
    let to_surface = length(minus(centre, surface));
    let to_middle = length(minus(centre, pose.position));
    to_surface < radius + LINE_MARGIN || to_middle < length(minus(surface, pose.position))
}
