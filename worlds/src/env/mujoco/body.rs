//! What Gymnasium says about each body: sizes, what it sees, what moving it pays, when it has fallen.
//!
//! Numbers are those of gymnasium 1.4.0, `envs/mujoco/*_v5.py` and `*_v4.py`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Two legs in a plane, 6 joints.
    HalfCheetah,
    /// Four legs, 8 joints.
    Ant,
    /// A person, 17 joints.
    Humanoid,
    /// One leg in a plane, 3 joints.
    Hopper,
    /// A walker on two legs in a plane, 6 joints.
    Walker2d,
    /// A chain of three links in a viscous fluid, 2 joints.
    Swimmer,
    /// A pole on a cart.
    InvertedPendulum,
}

/// Which of Gymnasium's versions of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Version {
    /// The current one.
    V5,
    /// The one before: Ant and Humanoid pay no contact costs, Ant does not see them, and being alive is paid in the step
    /// that falls too.
    V4,
}

/// What is seen beside positions and velocities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "mujoco"), allow(dead_code))] // Read where worlds are stepped.
pub(super) enum More {
    Nothing,
    /// Contact forces on each body, held to -1 to 1 (Ant v5).
    Contacts,
    /// Inertias, velocities, forces of joints, contact forces (Humanoid).
    Inertias,
}

/// Where the velocity that is paid is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "mujoco"), allow(dead_code))] // Read where worlds are stepped.
pub(super) enum Place {
    /// The first coordinate of the joints.
    Joint,
    /// The torso's frame, as it was computed last.
    Torso,
    /// The centre of mass, as it was computed last.
    Mass,
    /// It is not paid.
    Nowhere,
}

/// When a body has not fallen.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(not(feature = "mujoco"), allow(dead_code))] // Read where worlds are stepped.
pub(super) enum Healthy {
    Always,
    /// The coordinate lies between two ends; whether the ends are allowed themselves.
    Between {
        coordinate: usize,
        ends: [f64; 2],
        inclusive: bool,
    },
    /// Height (coordinate 1) and angle (coordinate 2) lie between two ends each, everything from coordinate 2 on within a
    /// bound.
    Upright {
        height: [f64; 2],
        angle: f64,
        all: f64,
    },
}

/// The numbers of a body.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "mujoco"), allow(dead_code))] // Most are read where worlds are stepped.
pub(super) struct Facts {
    /// The model's file.
    pub file: &'static str,
    /// Coordinates, velocities, actuators, bodies with the world.
    pub sizes: [usize; 4],
    /// Seconds of a step of the library.
    pub timestep: f64,
    /// Steps of the library in a step of the world.
    pub frame_skip: usize,
    /// Actions go from minus this to this.
    pub range: f64,
    /// Coordinates that are not seen, from the first.
    pub hidden: usize,
    /// What velocities are held to in what is seen.
    pub velocity_bound: f64,
    pub more: More,
    pub place: Place,
    /// What a metre a second pays.
    pub forward: f64,
    /// What is paid for not having fallen.
    pub alive: f64,
    /// What the sum of the actions' squares costs.
    pub control: f64,
    /// What the sum of the contact forces' squares costs, and the most that it costs.
    pub contact: [f64; 2],
    pub healthy: Healthy,
    /// Starts: noise of coordinates, uniform to both sides, and of velocities.
    pub noise: [f64; 2],
    /// Whether the noise of velocities is normal instead.
    pub normal: bool,
    /// Names of the actuators.
    pub actuators: &'static [&'static str],
}

const LEGS: &[&str] = &["bthigh", "bshin", "bfoot", "fthigh", "fshin", "ffoot"];
const ANT: &[&str] = &["hip_4", "ankle_4", "hip_1", "ankle_1", "hip_2", "ankle_2", "hip_3", "ankle_3"];
const HUMANOID: &[&str] = &[
    "abdomen_y",
    "abdomen_z",
    "abdomen_x",
    "right_hip_x",
    "right_hip_z",
    "right_hip_y",
    "right_knee",
    "left_hip_x",
    "left_hip_z",
    "left_hip_y",
    "left_knee",
    "right_shoulder1",
    "right_shoulder2",
    "right_elbow",
    "left_shoulder1",
    "left_shoulder2",
    "left_elbow",
];
const HOPPER: &[&str] = &["thigh", "leg", "foot"];
const WALKER: &[&str] = &["thigh", "leg", "foot", "thigh_left", "leg_left", "foot_left"];

impl Body {
    /// The numbers of gymnasium's environment of that version.
    pub(super) fn facts(self, version: Version) -> Facts {
        let old = version == Version::V4;
        let infinite = f64::INFINITY;
        let facts = Facts {
            file: "half_cheetah.xml",
            sizes: [9, 9, 6, 8],
            timestep: 0.01,
            frame_skip: 5,
            range: 1.0,
            hidden: 1,
            velocity_bound: infinite,
            more: More::Nothing,
            place: Place::Joint,
            forward: 1.0,
            alive: 0.0,
            control: 0.1,
            contact: [0.0, infinite],
            healthy: Healthy::Always,
            noise: [0.1, 0.1],
            normal: true,
            actuators: LEGS,
        };
        match self {
            Body::HalfCheetah => facts,
            Body::Ant => Facts {
                file: "ant.xml",
                sizes: [15, 14, 8, 14],
                hidden: 2,
                more: if old { More::Nothing } else { More::Contacts },
                place: Place::Torso,
                alive: 1.0,
                control: 0.5,
                contact: [if old { 0.0 } else { 5e-4 }, infinite],
                healthy: Healthy::Between { coordinate: 2, ends: [0.2, 1.0], inclusive: true },
                actuators: ANT,
                ..facts
            },
            Body::Humanoid => Facts {
                file: "humanoid.xml",
                sizes: [24, 23, 17, 14],
                timestep: 0.003,
                range: 0.4,
                hidden: 2,
                more: More::Inertias,
                place: Place::Mass,
                forward: 1.25,
                alive: 5.0,
                contact: [if old { 0.0 } else { 5e-7 }, 10.0],
                healthy: Healthy::Between { coordinate: 2, ends: [1.0, 2.0], inclusive: false },
                noise: [0.01, 0.01],
                normal: false,
                actuators: HUMANOID,
                ..facts
            },
            Body::Hopper => Facts {
                file: "hopper.xml",
                sizes: [6, 6, 3, 5],
                timestep: 0.002,
                frame_skip: 4,
                velocity_bound: 10.0,
                alive: 1.0,
                control: 1e-3,
                healthy: Healthy::Upright { height: [0.7, infinite], angle: 0.2, all: 100.0 },
                noise: [5e-3, 5e-3],
                normal: false,
                actuators: HOPPER,
                ..facts
            },
            Body::Walker2d => Facts {
                file: if old { "walker2d.xml" } else { "walker2d_v5.xml" },
                sizes: [9, 9, 6, 8],
                timestep: 0.002,
                frame_skip: 4,
                velocity_bound: 10.0,
                alive: 1.0,
                control: 1e-3,
                healthy: Healthy::Upright { height: [0.8, 2.0], angle: 1.0, all: infinite },
                noise: [5e-3, 5e-3],
                normal: false,
                actuators: WALKER,
                ..facts
            },
            Body::Swimmer => Facts {
                file: "swimmer.xml",
                sizes: [5, 5, 2, 4],
                frame_skip: 4,
                hidden: 2,
                control: 1e-4,
                normal: false,
                actuators: &["front", "back"],
                ..facts
            },
            Body::InvertedPendulum => Facts {
                file: "inverted_pendulum.xml",
                sizes: [2, 2, 1, 3],
                timestep: 0.02,
                frame_skip: 2,
                range: 3.0,
                hidden: 0,
                place: Place::Nowhere,
                forward: 0.0,
                alive: 1.0,
                control: 0.0,
                healthy: Healthy::Between { coordinate: 1, ends: [-0.2, 0.2], inclusive: true },
                noise: [0.01, 0.01],
                normal: false,
                actuators: &["slide"],
                ..facts
            },
        }
    }

    /// Numbers of what the whole body sees.
    pub(super) fn seen(self, version: Version) -> usize {
        let Facts { sizes: [coordinates, velocities, _, bodies], hidden, more, .. } = self.facts(version);
        // Humanoid v4 sees rows that are always zero: those of the world, and forces of its free joint.
        let old = version == Version::V4;
        let moving = if old { bodies } else { bodies - 1 };
        coordinates - hidden
            + velocities
            + match more {
                More::Nothing => 0,
                More::Contacts => 6 * moving,
                More::Inertias => (10 + 6 + 6) * moving + if old { velocities } else { velocities - 6 },
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths that Gymnasium's documentation gives.
    #[test]
    fn observations_have_their_published_lengths() {
        for (body, v5, v4) in [
            (Body::HalfCheetah, 17, 17),
            (Body::Ant, 105, 27),
            (Body::Humanoid, 348, 376),
            (Body::Hopper, 11, 11),
            (Body::Walker2d, 17, 17),
            (Body::Swimmer, 8, 8),
            (Body::InvertedPendulum, 4, 4),
        ] {
            assert_eq!((body.seen(Version::V5), body.seen(Version::V4)), (v5, v4), "{body:?}");
            let facts = body.facts(Version::V5);
            assert_eq!(facts.actuators.len(), facts.sizes[2], "{body:?}");
        }
    }
}
