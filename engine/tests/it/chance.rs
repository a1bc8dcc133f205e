//! Randomness for simulations in tests.

use engine::simulation::Dice;

/// A linear congruential generator: enough randomness for a test, the same on every machine.
pub struct Lcg(pub u64);

impl Dice for Lcg {
    fn roll(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 32).unwrap()) / 4_294_967_296.0
    }
}
