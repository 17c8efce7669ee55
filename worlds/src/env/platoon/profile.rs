//! How the leader drives: its speed as a function of time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A speed over time, in m/s.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Profile {
    /// Always the same.
    Constant {
        /// m/s.
        #[serde(default = "usual")]
        #[schemars(range(min = 0.0, max = 60.0))]
        speed: f64,
    },
    /// A wave about a speed.
    Sinusoid {
        /// m/s.
        #[serde(default = "usual")]
        #[schemars(range(min = 0.0, max = 60.0))]
        speed: f64,
        /// m/s, at most `speed`.
        #[serde(default = "swing")]
        #[schemars(range(min = 0.0, max = 60.0))]
        amplitude: f64,
        /// Seconds of a wave.
        #[serde(default = "wave")]
        #[schemars(range(min = 0.1, max = 1e4))]
        period: f64,
    },
    /// At first a speed; then the leader brakes to a lower one, keeps that, and comes back.
    Braking {
        /// m/s.
        #[serde(default = "usual")]
        #[schemars(range(min = 0.0, max = 60.0))]
        speed: f64,
        /// m/s, at most `speed`.
        #[serde(default = "slow")]
        #[schemars(range(min = 0.0, max = 60.0))]
        lowest: f64,
        /// The second in which it starts to brake.
        #[serde(default = "start")]
        #[schemars(range(min = 0.0, max = 1e5))]
        from: f64,
        /// Seconds at the lower speed.
        #[serde(default = "pause")]
        #[schemars(range(min = 0.0, max = 1e5))]
        hold: f64,
        /// How hard it brakes, in m/s^2.
        #[serde(default = "braking")]
        #[schemars(range(min = 0.1, max = 10.0))]
        braking: f64,
        /// How it accelerates again, in m/s^2.
        #[serde(default = "acceleration")]
        #[schemars(range(min = 0.1, max = 10.0))]
        acceleration: f64,
    },
    /// The same to a standstill, over and over.
    StopAndGo {
        /// m/s.
        #[serde(default = "usual")]
        #[schemars(range(min = 0.0, max = 60.0))]
        speed: f64,
        /// Seconds at the speed.
        #[serde(default = "go")]
        #[schemars(range(min = 1.0, max = 1e5))]
        go: f64,
        /// Seconds at rest.
        #[serde(default = "pause")]
        #[schemars(range(min = 0.0, max = 1e5))]
        hold: f64,
        /// How hard it brakes, in m/s^2.
        #[serde(default = "braking")]
        #[schemars(range(min = 0.1, max = 10.0))]
        braking: f64,
        /// How it accelerates again, in m/s^2.
        #[serde(default = "acceleration")]
        #[schemars(range(min = 0.1, max = 10.0))]
        acceleration: f64,
    },
}

fn usual() -> f64 {
    22.0
}

fn swing() -> f64 {
    2.0
}

fn wave() -> f64 {
    20.0
}

fn slow() -> f64 {
    10.0
}

fn start() -> f64 {
    5.0
}

fn pause() -> f64 {
    5.0
}

fn go() -> f64 {
    20.0
}

fn braking() -> f64 {
    3.0
}

fn acceleration() -> f64 {
    1.0
}

/// The speed `at` seconds after it started to go from `speed` to `lowest` and back.
fn dip(at: f64, [speed, lowest]: [f64; 2], hold: f64, [braking, acceleration]: [f64; 2]) -> f64 {
    let down = (speed - lowest) / braking;
    match at {
        at if at <= 0.0 => speed,
        at if at < down => speed - braking * at,
        at if at < down + hold => lowest,
        at => (lowest + acceleration * (at - down - hold)).min(speed),
    }
}

impl Profile {
    /// The speed after so many seconds, at least 0.
    pub fn speed(&self, seconds: f64) -> f64 {
        match *self {
            Profile::Constant { speed } => speed,
            Profile::Sinusoid { speed, amplitude, period } => {
                (speed + amplitude * (std::f64::consts::TAU * seconds / period).sin()).max(0.0)
            }
            Profile::Braking { speed, lowest, from, hold, braking, acceleration } => {
                dip(seconds - from, [speed, lowest], hold, [braking, acceleration])
            }
            Profile::StopAndGo { speed, go, hold, braking, acceleration } => {
                let dipped = speed / braking + hold + speed / acceleration;
                dip(seconds.rem_euclid(go + dipped) - go, [speed, 0.0], hold, [braking, acceleration])
            }
        }
    }

    /// The speed about which it varies.
    pub fn usual(&self) -> f64 {
        match *self {
            Profile::Constant { speed }
            | Profile::Sinusoid { speed, .. }
            | Profile::Braking { speed, .. }
            | Profile::StopAndGo { speed, .. } => speed,
        }
    }

    /// The hardest that it ever brakes, in m/s^2.
    pub fn hardest(&self) -> f64 {
        match *self {
            Profile::Constant { .. } => 0.0,
            Profile::Sinusoid { amplitude, period, .. } => std::f64::consts::TAU * amplitude / period,
            Profile::Braking { braking, .. } | Profile::StopAndGo { braking, .. } => braking,
        }
    }

    /// What is above the usual speed though it should be below it, if anything: its name.
    pub(super) fn fault(&self) -> Option<(&'static str, f64)> {
        match *self {
            Profile::Sinusoid { speed, amplitude, .. } if amplitude > speed => Some(("amplitude", speed)),
            Profile::Braking { speed, lowest, .. } if lowest > speed => Some(("lowest", speed)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_keep_their_limits_and_their_shape() {
        let wave = Profile::Sinusoid { speed: 20.0, amplitude: 3.0, period: 10.0 };
        let dip = Profile::Braking {
            speed: 20.0,
            lowest: 8.0,
            from: 5.0,
            hold: 2.0,
            braking: 3.0,
            acceleration: 1.5,
        };
        let stops = Profile::StopAndGo { speed: 12.0, go: 10.0, hold: 3.0, braking: 4.0, acceleration: 2.0 };
        for profile in [Profile::Constant { speed: 9.0 }, wave, dip, stops] {
            let (mut lowest, mut hardest) = (f64::INFINITY, 0.0f64);
            for i in 0..40_000 {
                let t = f64::from(i) * 0.001;
                lowest = lowest.min(profile.speed(t));
                hardest = hardest.max((profile.speed(t) - profile.speed(t + 0.001)) / 0.001);
            }
            assert!((hardest - profile.hardest()).abs() < 1e-3, "{profile:?} brakes by {hardest}");
            let low = match profile {
                Profile::Constant { speed } => speed,
                Profile::Sinusoid { .. } => 17.0,
                Profile::Braking { lowest, .. } => lowest,
                Profile::StopAndGo { .. } => 0.0,
            };
            assert!((lowest - low).abs() < 1e-3, "{profile:?}: {lowest}");
        }
        // Braking takes 4 s, 2 s below, then 12/1.5 = 8 s up.
        let speeds = [5.0, 7.0, 9.0, 11.0, 13.0, 19.0, 30.0].map(|t| dip.speed(t));
        assert_eq!(speeds, [20.0, 14.0, 8.0, 8.0, 11.0, 20.0, 20.0]);
        // 10 s of going, 3 s of braking, 3 s of rest, 6 s of accelerating; then again.
        let speeds = [10.0, 11.0, 13.0, 16.0, 19.0, 22.0, 33.0, 35.0].map(|t| stops.speed(t));
        assert_eq!(speeds, [12.0, 8.0, 0.0, 0.0, 6.0, 12.0, 8.0, 0.0]);
    }
}
