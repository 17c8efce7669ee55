//! Bodies divided among several agents, as gymnasium-robotics 1.4.2 divides them (multi-agent MuJoCo; Peng et al. 2021,
//! arXiv 2003.06709, section 6).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Body, Version};

/// How a body is divided: agents x joints of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Partition {
    /// One agent moves all of it.
    #[serde(rename = "none")]
    Whole,
    /// HalfCheetah: the back leg and the front leg.
    #[serde(rename = "2x3")]
    TwoByThree,
    /// HalfCheetah: every joint.
    #[serde(rename = "6x1")]
    SixByOne,
    /// Ant: every leg.
    #[serde(rename = "4x2")]
    FourByTwo,
}

/// An agent's part of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is called.
    pub name: String,
    /// Which numbers of what the whole body sees it sees, in this order.
    pub observation: Vec<usize>,
    /// Which of the body's actions are its own.
    pub actions: Vec<usize>,
}

/// The joints of HalfCheetah in the order of its actions, with the place of each in the order of their names.
const CHEETAH: [(&str, usize); 6] =
    [("bthigh", 2), ("bshin", 1), ("bfoot", 0), ("fthigh", 5), ("fshin", 4), ("ffoot", 3)];
/// Joints that hang together: foot, shin and thigh of a leg, and the thighs.
const LINKS: [[usize; 2]; 5] = [[2, 1], [1, 0], [0, 3], [3, 4], [4, 5]];

impl Partition {
    /// The parts of a body, each with the angles of joints that hang on its own where `reach` is 1; `None` where it is
    /// not divided so.
    pub fn parts(self, body: Body, version: Version, reach: usize) -> Option<Vec<Part>> {
        match (self, body) {
            (Partition::Whole, _) => Some(vec![Part {
                name: "body".into(),
                observation: (0..body.seen(version)).collect(),
                actions: (0..body.facts(version).sizes[2]).collect(),
            }]),
            (Partition::TwoByThree, Body::HalfCheetah) => {
                Some(vec![cheetah("back", &[0, 1, 2], reach), cheetah("front", &[3, 4, 5], reach)])
            }
            (Partition::SixByOne, Body::HalfCheetah) => {
                Some(CHEETAH.iter().enumerate().map(|(i, (name, _))| cheetah(name, &[i], reach)).collect())
            }
            (Partition::FourByTwo, Body::Ant) => Some((0..4).map(|leg| ant(leg, version, reach)).collect()),
            _ => None,
        }
    }
}

/// Its joints' angles and velocities in the order of their names, the angles of the joints beside, height and pitch, the
/// torso's velocities.
fn cheetah(name: &str, joints: &[usize], reach: usize) -> Part {
    let by_name = |mut joints: Vec<usize>| {
        joints.sort_by_key(|joint| CHEETAH[*joint].1);
        joints
    };
    let own = by_name(joints.to_vec());
    let mut observation: Vec<usize> = own.iter().flat_map(|joint| [2 + joint, 11 + joint]).collect();
    if reach > 0 {
        let beside = |joint: &usize| {
            let linked = |link: &[usize; 2]| link.contains(joint) && own.iter().any(|own| link.contains(own));
            !own.contains(joint) && LINKS.iter().any(linked)
        };
        observation.extend(by_name((0..6).filter(beside).collect()).iter().map(|joint| 2 + joint));
    }
    observation.extend([0, 1, 8, 9, 10]);
    Part { name: name.into(), observation, actions: joints.to_vec() }
}

/// Ankle, forces on the leg, hip, forces on the torso, the other hips' angles, the torso's height, turn and velocities.
/// Actions begin with the fourth leg's.
fn ant(leg: usize, version: Version, reach: usize) -> Part {
    let forces = version == Version::V5;
    let mut observation = vec![6 + 2 * leg, 20 + 2 * leg];
    if forces {
        observation.extend(33 + 18 * leg..33 + 18 * (leg + 1));
    }
    observation.extend([5 + 2 * leg, 19 + 2 * leg]);
    if forces {
        observation.extend(27..33);
    }
    if reach > 0 {
        observation.extend((0..4).filter(|other| *other != leg).map(|other| 5 + 2 * other));
    }
    observation.extend((0..5).chain(13..19));
    let first = 2 * ((leg + 1) % 4);
    Part { name: format!("leg {}", leg + 1), observation, actions: vec![first, first + 1] }
}
