//! Adaptive cruise control that hears what the vehicle ahead is about to do, or does not: cooperative (CACC) and plain
//! (ACC), by Ploeg, Scheepers, van Nunen, van de Wouw and Nijmeijer (2011, ITSC, "Design and experimental evaluation of
//! cooperative adaptive cruise control").

use nalgebra::Complex;
use serde::{Deserialize, Serialize};

/// The controller: `u' = (-u + kp e + kd e' + u_ahead)/h` with the spacing error `e = gap - r - h v`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cacc {
    /// The time gap, h, in seconds.
    pub time_gap: f64,
    /// The gap at rest, r, in m.
    pub standstill: f64,
    /// kp, in 1/s^2.
    pub proportional: f64,
    /// kd, in 1/s.
    pub derivative: f64,
}

impl Cacc {
    /// The paper's gains, .2 and .7, and its time gap, .7 s.
    pub const PUBLISHED: Cacc = Cacc { time_gap: 0.7, standstill: 2.5, proportional: 0.2, derivative: 0.7 };

    /// What the vehicle is told after another step of so many seconds. `told` is what it was told before and
    /// `told_ahead` what the vehicle ahead is told (0 where that is not heard: ACC); its speed and acceleration, the gap
    /// and how fast it closes are measured.
    pub fn command(
        &self,
        told: f64,
        told_ahead: f64,
        [speed, acceleration]: [f64; 2],
        [gap, closing]: [f64; 2],
        seconds: f64,
    ) -> f64 {
        let error = gap - self.standstill - self.time_gap * speed;
        let error_rate = -closing - self.time_gap * acceleration;
        let wanted = self.proportional * error + self.derivative * error_rate + told_ahead;
        // Exact for what is constant over the step, and so stable for every length of it.
        let kept = (-seconds / self.time_gap).exp();
        wanted + (told - wanted) * kept
    }
}

/// A vehicle under the controller, as a linear system.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Loop {
    /// The lag of the drive, tau, in seconds.
    pub lag: f64,
    /// The delay of the drive, phi, in seconds.
    pub delay: f64,
    /// The delay of what is heard from the vehicle ahead, theta, in seconds; `None` where nothing is heard (ACC).
    pub heard_after: Option<f64>,
}

/// From 1e-3 to 1e2 rad/s, in so many equal ratios.
const FREQUENCIES: usize = 20_000;

impl Loop {
    /// How a wave of that angular frequency (1/s) passes from a vehicle to the next: `Gamma = (D + G K)/(H (1 + G K))`
    /// with `G = exp(-phi s)/(s^2 (tau s + 1))`, `H = h s + 1`, `K = kp + kd s`, and `D = exp(-theta s)`, or 0 without
    /// words.
    pub fn gamma(&self, controller: &Cacc, frequency: f64) -> Complex<f64> {
        let s = Complex::new(0.0, frequency);
        let one = Complex::new(1.0, 0.0);
        let vehicle = (s * -self.delay).exp() / (s * s * (s * self.lag + one));
        let feedback = vehicle * (s * controller.derivative + controller.proportional);
        let spacing = s * controller.time_gap + one;
        let heard = self.heard_after.map_or(Complex::new(0.0, 0.0), |after| (s * -after).exp());
        (heard + feedback) / (spacing * (one + feedback))
    }

    /// Whether no wave grows from vehicle to vehicle: `|Gamma| <= 1` at every frequency.
    pub fn string_stable(&self, controller: &Cacc) -> bool {
        (0..=FREQUENCIES).all(|i| {
            let frequency = 10f64.powf(-3.0 + 5.0 * i as f64 / FREQUENCIES as f64);
            self.gamma(controller, frequency).norm() <= 1.0 + 1e-10
        })
    }

    /// The smallest time gap that is string stable, in seconds to 1e-5, 0 where every one is; at most 10.
    pub fn smallest_time_gap(&self, controller: &Cacc) -> f64 {
        let stable = |time_gap: f64| self.string_stable(&Cacc { time_gap, ..*controller });
        let (mut low, mut high) = (0.0, 10.0);
        while high - low > 1e-5 {
            let middle = (low + high) / 2.0;
            if stable(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        if low == 0.0 { 0.0 } else { high }
    }
}
