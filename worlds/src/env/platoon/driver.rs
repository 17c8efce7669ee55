//! Drivers that follow rules: the intelligent driver model, as published and as highway-env has it; the gap that is
//! safe; and when to change lanes.
//!
//! Speeds are in m/s, accelerations in m/s^2, gaps in m from bumper to bumper; `closing` is the own speed less that of
//! the vehicle ahead.

use serde::{Deserialize, Serialize};

/// The intelligent driver model (Treiber, Hennecke and Helbing 2000, Physical Review E 62, 1805):
/// `a (1 - (v/v0)^4 - (s*/s)^2)` with `s* = s0 + max(0, v T + v closing/(2 sqrt(a b)))`. The bound at 0 under `s*` is
/// that of Treiber and Kesting's book (Traffic Flow Dynamics, 2013, eq. 11.15).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Idm {
    /// The speed on a free road, v0.
    pub desired_speed: f64,
    /// The time gap, T, in seconds.
    pub time_gap: f64,
    /// The gap in a queue that stands, s0.
    pub jam_distance: f64,
    /// The largest acceleration, a.
    pub acceleration: f64,
    /// Comfortable braking, b.
    pub braking: f64,
}

/// Gaps below this count as this, so that no acceleration is infinite.
const LEAST_GAP: f64 = 0.01;

impl Idm {
    /// The paper's constants (its table I): 120 km/h, 1.6 s, 2 m, .73 and 1.67 m/s^2.
    pub const PUBLISHED: Idm = Idm {
        desired_speed: 120.0 / 3.6,
        time_gap: 1.6,
        jam_distance: 2.0,
        acceleration: 0.73,
        braking: 1.67,
    };

    /// The gap that the driver wants, s*.
    pub fn desired_gap(&self, speed: f64, closing: f64) -> f64 {
        let dynamic = speed * closing / (2.0 * (self.acceleration * self.braking).sqrt());
        self.jam_distance + (speed * self.time_gap + dynamic).max(0.0)
    }

    /// The acceleration at a speed, with the gap to the vehicle ahead and how fast it closes; `None` on a free road.
    pub fn acceleration(&self, speed: f64, ahead: Option<(f64, f64)>) -> f64 {
        let free = 1.0 - (speed / self.desired_speed).powi(4);
        let followed = ahead
            .map_or(0.0, |(gap, closing)| (self.desired_gap(speed, closing) / gap.max(LEAST_GAP)).powi(2));
        self.acceleration * (free - followed)
    }

    /// The gap at which a platoon of that speed stays as it is: `(s0 + v T)/sqrt(1 - (v/v0)^4)`.
    pub fn equilibrium_gap(&self, speed: f64) -> f64 {
        (self.jam_distance + speed * self.time_gap) / (1.0 - (speed / self.desired_speed).powi(4)).sqrt()
    }

    /// The derivatives of the acceleration at equilibrium by the gap, by the own speed at a fixed `closing`, and by
    /// `closing`.
    pub fn derivatives(&self, speed: f64) -> [f64; 3] {
        let Idm { desired_speed: v0, time_gap, acceleration: a, .. } = *self;
        let (gap, wanted) = (self.equilibrium_gap(speed), self.jam_distance + speed * time_gap);
        let by_gap = 2.0 * a * wanted.powi(2) / gap.powi(3);
        let by_speed = -a * (4.0 / v0 * (speed / v0).powi(3) + 2.0 * time_gap * wanted / gap.powi(2));
        let by_closing = -speed * (a / self.braking).sqrt() * wanted / gap.powi(2);
        [by_gap, by_speed, by_closing]
    }

    /// By how much a platoon of that speed is string stable: `(f_v + f_c)^2 - f_c^2 - 2 f_s`. Where it is positive no
    /// wave of any frequency grows from vehicle to vehicle.
    pub fn margin(&self, speed: f64) -> f64 {
        let [s, v, closing] = self.derivatives(speed);
        (v + closing).powi(2) - closing.powi(2) - 2.0 * s
    }

    /// What becomes of a small wave of that angular frequency (1/s) from a vehicle to the next:
    /// `|f_s - i w f_c| / |f_s - w^2 - i w (f_v + f_c)|`.
    pub fn amplification(&self, speed: f64, frequency: f64) -> f64 {
        let [s, v, closing] = self.derivatives(speed);
        s.hypot(frequency * closing) / (s - frequency.powi(2)).hypot(frequency * (v + closing))
    }
}

/// The driver model of highway-env 1.12.1 (Leurent 2018), which departs from the published one: distances are between
/// the middles of vehicles, `s*` has no bound below and is squared (so that a leader that pulls away fast makes its
/// follower brake), and accelerations are held to a limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HighwayIdm {
    /// s0, from bumper to bumper of vehicles of 5 m, and so of middles: 10 m.
    pub jam_distance: f64,
    /// T, in seconds.
    pub time_gap: f64,
    /// a.
    pub acceleration: f64,
    /// b, above 0.
    pub braking: f64,
    /// The largest acceleration and braking.
    pub limit: f64,
    /// The speed limit of the lane, to which target speeds are held.
    pub speed_limit: f64,
}

impl Default for HighwayIdm {
    /// highway-env's constants.
    fn default() -> Self {
        HighwayIdm {
            jam_distance: 10.0,
            time_gap: 1.5,
            acceleration: 3.0,
            braking: 5.0,
            limit: 6.0,
            speed_limit: 40.0,
        }
    }
}

impl HighwayIdm {
    /// The acceleration at a speed towards a target speed, with the distance of the middles and how fast it closes.
    pub fn acceleration(&self, speed: f64, target: f64, ahead: Option<(f64, f64)>) -> f64 {
        let target = target.clamp(0.0, self.speed_limit).max(0.01);
        let free = 1.0 - (speed.max(0.0) / target).powi(4);
        let followed = ahead.map_or(0.0, |(distance, closing)| {
            let dynamic = speed * closing / (2.0 * (self.acceleration * self.braking).sqrt());
            let wanted = self.jam_distance + self.time_gap * speed + dynamic;
            (wanted / distance.max(LEAST_GAP)).powi(2)
        });
        (self.acceleration * (free - followed)).clamp(-self.limit, self.limit)
    }
}

/// How positions follow from accelerations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integration {
    /// The acceleration is constant over the step, and a vehicle that comes to rest stays there.
    Ballistic,
    /// The position moves by the old speed, then the speed by the acceleration: highway-env.
    Euler,
}

impl Integration {
    /// How far a vehicle gets in a step of so many seconds, and its speed after it.
    pub fn step(self, speed: f64, acceleration: f64, seconds: f64) -> (f64, f64) {
        let after = speed + acceleration * seconds;
        match self {
            Integration::Euler => (speed * seconds, after),
            Integration::Ballistic if after < 0.0 => (speed * speed / (-2.0 * acceleration), 0.0),
            Integration::Ballistic => ((speed + after) / 2.0 * seconds, after),
        }
    }
}

/// A vehicle and the one ahead of it, as far as stopping goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The own speed.
    pub speed: f64,
    /// The hardest that the vehicle itself can brake, above 0.
    pub braking: f64,
    /// The gap to the vehicle ahead.
    pub gap: f64,
    /// Its speed.
    pub speed_ahead: f64,
    /// The hardest that anybody can brake, above 0.
    pub hardest: f64,
}

/// The gap that is left when all have stopped.
pub const MARGIN: f64 = 1.0;

impl Pair {
    /// Where the vehicle ahead stops if it brakes from now on as hard as anybody can, counted from the own front, less
    /// [`MARGIN`].
    fn room(&self) -> f64 {
        self.gap + self.speed_ahead.powi(2) / (2.0 * self.hardest.max(self.braking)) - MARGIN
    }

    /// Whether the vehicle can avoid the one ahead whatever that does. If that brakes harder than the vehicle itself can,
    /// the gap is smallest at the beginning or when both stand, so that both are looked at. A vehicle that is safe behind
    /// one that leaves the lane is safe behind the next one too, because `hardest` is the same for all.
    pub fn safe(&self) -> bool {
        self.gap >= MARGIN && self.speed.powi(2) / (2.0 * self.braking) <= self.room()
    }

    /// The largest acceleration for a step of so many seconds after which the vehicle is still safe (Gipps 1981,
    /// Transportation Research B 15, 105; in the discrete form of Krauss 1998): the greatest speed `v'` with
    /// `(v + v')/2 t + v'^2/(2 b) <= room`. Never below `-braking`; from a safe state on, vehicles that keep to it never
    /// touch.
    pub fn highest_acceleration(&self, seconds: f64) -> f64 {
        let half = self.braking * seconds / 2.0;
        let rest = self.room() - self.speed * seconds / 2.0;
        let speed = (half * half + 2.0 * self.braking * rest).max(0.0).sqrt() - half;
        let acceleration = match self.room() {
            _ if speed >= 0.0 => (speed - self.speed) / seconds,
            // It stops within the step, by braking evenly over the room there is.
            room if room > 0.0 => -self.speed.powi(2) / (2.0 * room),
            _ => -self.braking,
        };
        acceleration.max(-self.braking)
    }
}

/// When to change lanes: MOBIL (Kesting, Treiber and Helbing 2007, Transportation Research Record 1999, 86). A lane is
/// taken if the vehicle that would follow in it need not brake harder than `safe_braking`, and if the own gain in
/// acceleration exceeds `politeness` times what both followers lose, and `threshold`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mobil {
    /// Weight of what others lose.
    pub politeness: f64,
    /// The least gain.
    pub threshold: f64,
    /// The hardest that the new follower may have to brake.
    pub safe_braking: f64,
}

impl Mobil {
    /// The paper's constants, with its politeness of .2.
    pub const PUBLISHED: Mobil = Mobil { politeness: 0.2, threshold: 0.1, safe_braking: 4.0 };

    /// Whether to change: accelerations `[now, then]` of the vehicle itself, of the follower it leaves and of the one
    /// it gets.
    pub fn changes(&self, own: [f64; 2], left: [f64; 2], new: [f64; 2]) -> bool {
        let lost = (left[0] - left[1]) + (new[0] - new[1]);
        new[1] >= -self.safe_braking && own[1] - own[0] > self.politeness * lost + self.threshold
    }
}
