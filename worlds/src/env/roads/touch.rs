//! Whether two vehicles touch.

use super::path::Pose;

/// Whether two rectangles of the same size, around their middles, overlap (separating axes).
pub fn touch(one: &Pose, two: &Pose, length: f64, width: f64) -> bool {
    let [x, y] = [two.at[0] - one.at[0], two.at[1] - one.at[1]];
    if x * x + y * y > length * length + width * width {
        return false;
    }
    // Along each of the four axes: half the extents of both, against the distance of the middles.
    let apart = |axis: [f64; 2]| {
        let half = |pose: &Pose| {
            let [c, s] = pose.towards;
            let (forward, aside) = ((axis[0] * c + axis[1] * s).abs(), (axis[1] * c - axis[0] * s).abs());
            (length * forward + width * aside) / 2.0
        };
        (x * axis[0] + y * axis[1]).abs() >= half(one) + half(two)
    };
    let axes = |pose: &Pose| [pose.towards, [-pose.towards[1], pose.towards[0]]];
    !axes(one).into_iter().chain(axes(two)).any(apart)
}
